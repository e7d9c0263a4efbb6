//! Tools that are declared by their shape: dicts, and calls by keyword, that say a name and what it takes.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Found;
use super::said::Said;
use crate::facts::{Call, ExprId, ExprKind, FileFacts, FunctionId};
use crate::knowledge::schema::{ArgRef, SchemaRule};
use crate::memo::Asked;
use crate::resolve::{At, Frames, Known, Ref, Value};
use crate::sites::Context;

/// A tool that a shape declares.
struct Declared {
    name: String,
    /// Where the shape names it.
    at: At,
    /// The name comes from elsewhere, one of several: its definition is there.
    elsewhere: Option<(usize, u32)>,
    /// The name is that of a function: `f.__name__`.
    function: Option<(usize, FunctionId)>,
}

impl Found<'_, '_> {
    /// `{"type": "function", "function": {"name": …, "parameters": …}}`, `@register(name="x", parameters={…})`.
    pub(super) fn schemas(&mut self) {
        let cx = self.cx;
        let rules: Vec<&SchemaRule> = cx.project.knowledge.schemas().collect();
        let roots: FxHashSet<&str> = rules.iter().map(|rule| first_part(rule)).collect();
        let file = self.file;
        let facts = cx.project.facts(file);
        let mut inside: FxHashSet<ExprId> = FxHashSet::default();
        // Outer dicts come after inner ones: the other way round, an outer schema claims its parts.
        for (index, expr) in facts.exprs.iter().enumerate().rev() {
            let id = ExprId(index as u32);
            let at = At { file, expr: id };
            let may_declare = match &expr.kind {
                ExprKind::Dict(pairs) => {
                    let is_root =
                        |key: &Option<ExprId>| key.and_then(|k| facts.text(k)).is_some_and(|k| roots.contains(k));
                    pairs.iter().any(|(key, _)| is_root(key))
                }
                ExprKind::Call(call) => self.is_own_registry(at, &facts.calls[*call as usize], &roots),
                _ => false,
            };
            if !may_declare || inside.contains(&id) || self.claimed.contains(&at) {
                continue;
            }
            let declared = rules.iter().map(|rule| self.declared(at, rule)).find(|declared| !declared.is_empty());
            let Some(declared) = declared else { continue };
            claim(facts, id, &mut inside);
            for tool in declared {
                self.declare(file, tool);
            }
        }
    }

    /// A call of something of the project's own, by keyword: what is called is not known to make tools, or to do
    /// anything else.
    fn is_own_registry(&self, at: At, call: &Call, roots: &FxHashSet<&str>) -> bool {
        let facts = self.cx.project.facts(at.file);
        let names_root = |name| roots.contains(facts.name(name));
        call.args.len() > 1
            && call.args.iter().filter_map(|arg| arg.name).any(names_root)
            && self.cx.site(at).is_none_or(|site| site.hits.is_empty())
            && !matches!(facts.kind(call.callee), ExprKind::Name(sym) if facts.name(*sym) == "dict")
    }

    fn declare(&mut self, file: usize, tool: Declared) {
        let cx = self.cx;
        if let Some((file, function)) = tool.function {
            let by = cx.step(tool.at, "schema");
            self.add_function(file, function, Some(tool.name), by);
            return;
        }
        if let Some((file, line)) = tool.elsewhere {
            let by = cx.step(tool.at, "schema");
            self.add(tool.name, file, line, None, by);
            return;
        }
        // What stands in another file is found there.
        if tool.at.file != file {
            return;
        }
        let line = cx.project.line(tool.at);
        let by = cx.step(tool.at, "schema");
        let function = self.decorated_by(tool.at).or_else(|| self.function_named(file, &tool.name));
        match function {
            Some((file, function)) => self.add_function(file, function, Some(tool.name), by),
            None => {
                let own = super::tool(cx, tool.name.clone(), file, line, None, by.clone());
                self.said.push(Said::Declared { name: tool.name, by, tool: own });
            }
        }
    }

    /// The tools that a shape declares by a rule.
    fn declared(&self, at: At, rule: &SchemaRule) -> Vec<Declared> {
        let Some(list) = &rule.list else { return self.declares(at, None, rule) };
        let Some((list, frames)) = self.descend(at, None, list) else { return Vec::new() };
        let items = self.cx.project.elements(list, &frames);
        items.into_iter().flat_map(|(at, frames)| self.declares(at, frames, rule)).collect()
    }

    fn declares(&self, at: At, frames: Frames, rule: &SchemaRule) -> Vec<Declared> {
        let Some((name_at, name_frames)) = self.descend(at, frames.clone(), &rule.name) else { return Vec::new() };
        let is_there = |path: &String| path.split('|').any(|path| self.descend(at, frames.clone(), path).is_some());
        let holds = |pair: &String| {
            let (path, wanted) = pair.split_once('=').unwrap_or((pair, ""));
            let found = self.descend(at, frames.clone(), path);
            let text = found.and_then(|(at, frames)| self.cx.project.text(at, &frames));
            text.is_some_and(|text| match wanted.strip_suffix('*') {
                Some(begin) => text.starts_with(begin),
                None => text == wanted,
            })
        };
        if !rule.requires.iter().all(is_there) || !rule.equals.iter().all(holds) {
            return Vec::new();
        }
        if let Some(base) = self.named_after(name_at) {
            return self.functions_named(base, &name_frames, name_at);
        }
        let known = self.cx.project.all_values(name_at, &name_frames);
        let named = |known: &&Known| matches!(known.value, Value::Text(_)) && known.literal_or_default().is_some();
        let named: Vec<&Known> = known.iter().filter(named).collect();
        let one = named.len() == 1;
        let declared = |known: &Known| {
            let is_elsewhere = (!one || self.is_member(name_at)) && known.origin != name_at;
            let elsewhere = is_elsewhere.then(|| self.named_at(known));
            let name = known.literal_or_default().unwrap_or_default();
            Declared { name, at: name_at, elsewhere, function: None }
        };
        named.into_iter().map(declared).collect()
    }

    /// The function whose name is taken: `f` of `f.__name__`.
    fn named_after(&self, name: At) -> Option<At> {
        let facts = self.cx.project.facts(name.file);
        match *facts.kind(name.expr) {
            ExprKind::Attr(base, sym) if facts.name(sym) == "__name__" => Some(At { file: name.file, expr: base }),
            _ => None,
        }
    }

    /// A tool for each function that an expression may stand for.
    fn functions_named(&self, at: At, frames: &Frames, name_at: At) -> Vec<Declared> {
        let declared = |reference| {
            let Ref::Function(file, id) = reference else { return None };
            let facts = self.cx.project.facts(file);
            let name = facts.name(facts.functions[id.0 as usize].name?).to_owned();
            Some(Declared { name, at: name_at, elsewhere: None, function: Some((file, id)) })
        };
        self.cx.project.all_refs(at, frames).into_iter().filter_map(declared).collect()
    }

    /// `self.name`, `tool.name`: the name of something that is defined elsewhere.
    fn is_member(&self, at: At) -> bool {
        matches!(self.cx.project.facts(at.file).kind(at.expr), ExprKind::Attr(..))
    }

    fn descend(&self, at: At, frames: Frames, path: &str) -> Option<(At, Frames)> {
        let project = self.cx.project;
        let mut found = (at, frames);
        for (index, part) in path.split('.').enumerate() {
            let is_call = index == 0 && project.call(found.0).is_some();
            found = match is_call {
                true => project.argument(found.0, &found.1, &[ArgRef::Name(part.into())])?,
                false => project.element(&found, part)?,
            };
        }
        Some(found)
    }

    /// The function whose decorator names it: `@register(name="x", …) def f`.
    fn decorated_by(&self, name: At) -> Option<(usize, FunctionId)> {
        let facts = self.cx.project.facts(name.file);
        let names = |decorator: &ExprId| {
            facts.call(*decorator).is_some_and(|call| call.args.iter().any(|arg| arg.value == name.expr))
        };
        let at = facts.functions.iter().position(|function| function.decorators.iter().any(names))?;
        Some((name.file, FunctionId(at as u32)))
    }

    /// The function of the same file that a schema describes by its name. One of another file may be anything.
    fn function_named(&self, file: usize, name: &str) -> Option<(usize, FunctionId)> {
        let facts = self.cx.project.facts(file);
        if !self.cx.project.language(file).is_python() {
            return None;
        }
        let sym = facts.symbol(name)?;
        let at = facts.functions.iter().position(|f| f.name == Some(sym) && f.expr.is_none())?;
        Some((file, FunctionId(at as u32)))
    }
}

/// Named values of Python's literal dicts, by their keys.
pub(super) fn dispatch(cx: &Context) -> FxHashMap<String, Vec<At>> {
    let mut table: FxHashMap<String, Vec<At>> = FxHashMap::default();
    for (key, at) in cx.each(Asked::Dispatch, named_values).iter().flat_map(|of_file| of_file.iter()) {
        table.entry(key.clone()).or_default().push(*at);
    }
    table
}

fn named_values(cx: &Context, file: usize) -> Vec<(String, At)> {
    let mut named = Vec::new();
    if !cx.project.language(file).is_python() {
        return named;
    }
    let facts = cx.project.facts(file);
    for expr in &facts.exprs {
        let ExprKind::Dict(pairs) = &expr.kind else { continue };
        for &(key, value) in pairs {
            if let (Some(key), ExprKind::Name(_) | ExprKind::Attr(..)) =
                (key.and_then(|key| facts.text(key)), facts.kind(value))
            {
                named.push((key.to_owned(), At { file, expr: value }));
            }
        }
    }
    named
}

fn first_part(rule: &SchemaRule) -> &str {
    let path = rule.list.as_deref().unwrap_or(&rule.name);
    path.split('.').next().unwrap_or(path)
}

/// Everything inside a schema belongs to it.
fn claim(facts: &FileFacts, root: ExprId, inside: &mut FxHashSet<ExprId>) {
    let mut work = vec![root];
    while let Some(id) = work.pop() {
        match facts.kind(id) {
            ExprKind::Dict(pairs) => work.extend(pairs.iter().map(|(_, value)| *value)),
            ExprKind::List(items) => work.extend(items.iter().copied()),
            ExprKind::Call(call) if id == root => {
                work.extend(facts.calls[*call as usize].args.iter().map(|arg| arg.value))
            }
            _ => continue,
        }
        inside.insert(id);
    }
}
