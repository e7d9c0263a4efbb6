//! Functions that are handed to a model: in lists and maps of tools.

use super::said::Said;
use super::{Found, first_sentence};
use crate::analysis::Step;
use crate::facts::{Bound, ExprId, ExprKind, FunctionId};
use crate::knowledge::index::RuleKind;
use crate::knowledge::schema::Form;
use crate::resolve::{At, Frames, Ref};

impl Found<'_, '_> {
    /// `Agent(tools=[f, {…}], …)`, `generateText({tools: {key: …}})`.
    pub(super) fn lists(&mut self) {
        for site in self.cx.sites_of(self.file) {
            for hit in site.hits(RuleKind::Function) {
                let rule = self.rule(hit);
                if rule.form != Form::List {
                    continue;
                }
                let Some((at, frames)) = self.cx.project.argument(site.at, &None, &rule.tools.clone()) else {
                    continue;
                };
                let by = self.cx.step(site.at, format!("given to `{}`", site.symbol.display()));
                self.handed(at, &frames, &by);
            }
        }
    }

    /// A list or map of tools that is handed over.
    fn handed(&mut self, at: At, frames: &Frames, by: &Step) {
        let project = self.cx.project;
        let mut is_map = false;
        for reference in project.refer(at, frames) {
            match reference {
                Ref::Expr(holder, frames)
                    if matches!(project.facts(holder.file).kind(holder.expr), ExprKind::Dict(_)) =>
                {
                    is_map = true;
                    for (key, value, frames) in project.pairs(holder, &frames) {
                        self.keyed(key, value, &frames, by);
                    }
                }
                Ref::Function(file, id) => self.add_function(file, id, None, by.clone()),
                _ => {}
            }
        }
        if !is_map {
            for (item, frames) in project.elements(at, frames) {
                self.item(item, &frames, by);
            }
        }
    }

    fn item(&mut self, item: At, frames: &Frames, by: &Step) {
        for reference in self.cx.project.refer(item, frames) {
            match reference {
                Ref::Function(file, id) if !self.is_wrapped(file, id) => self.add_function(file, id, None, by.clone()),
                // A class handed over by name: its schema is the tool.
                Ref::Class(file, id) if self.tool_base(file, id, 0).is_none() => {
                    let facts = self.cx.project.facts(file);
                    let class = &facts.classes[id.0 as usize];
                    if let Some(sym) = class.name {
                        let description = class.doc.and_then(|doc| facts.text(doc)).map(first_sentence);
                        self.add(facts.name(sym).to_owned(), file, class.line, description, by.clone());
                    }
                }
                Ref::Expr(at, frames) if at != item => self.handed_once(at, &frames, by),
                _ => {}
            }
        }
    }

    fn handed_once(&mut self, at: At, frames: &Frames, by: &Step) {
        if let ExprKind::List(_) = self.cx.project.facts(at.file).kind(at.expr) {
            for (item, frames) in self.cx.project.elements(at, frames) {
                for reference in self.cx.project.refer(item, &frames) {
                    if let Ref::Function(file, id) = reference {
                        self.add_function(file, id, None, by.clone());
                    }
                }
            }
        }
    }

    /// A function that a decorator makes a tool is reported with the decorator's name.
    fn is_wrapped(&self, file: usize, id: FunctionId) -> bool {
        let decorators = &self.cx.project.facts(file).functions[id.0 as usize].decorators;
        decorators.iter().any(|&expr| self.decorator(At { file, expr }).is_some())
    }

    /// An entry of a map of tools: its key is its name, unless the tool has one of its own.
    fn keyed(&mut self, key: Option<String>, value: At, frames: &Frames, by: &Step) {
        let Some(key) = key else { return };
        let project = self.cx.project;
        for reference in project.refer(value, frames) {
            match reference {
                Ref::External(_, calls) => {
                    if let Some((call, _)) = calls.last() {
                        self.said.push(Said::Key(*call, key.clone()));
                    }
                }
                Ref::Function(file, id) => self.add_function(file, id, Some(key.clone()), by.clone()),
                Ref::Expr(at, _) if matches!(project.facts(at.file).kind(at.expr), ExprKind::Dict(_)) => {
                    let pairs = project.pairs(at, &None);
                    let has = |name: &str| pairs.iter().any(|(k, ..)| k.as_deref() == Some(name));
                    if has("execute") || has("parameters") || has("inputSchema") || has("description") {
                        let line = project.line(value);
                        self.add(key.clone(), value.file, line, None, by.clone());
                    }
                }
                _ => {}
            }
        }
    }

    /// Functions under names that say what for, whoever takes them: `Helper(tools=[f])`, `AVAILABLE_TOOLS = {"f": f}`.
    pub(super) fn named(&mut self) {
        let project = self.cx.project;
        let file = self.file;
        let facts = project.facts(file);
        for call in &facts.calls {
            let named = call.args.iter().filter_map(|arg| Some((facts.name(arg.name?), arg.value)));
            let options =
                call.args.iter().filter(|arg| arg.name.is_none()).filter_map(|arg| match facts.kind(arg.value) {
                    ExprKind::Dict(pairs) => Some(pairs),
                    _ => None,
                });
            let options = options.flatten().filter_map(|&(key, value)| Some((facts.text(key?)?, value)));
            let handed = named.chain(options).filter(|(name, _)| project.knowledge.is_tool_argument(name));
            let handed: Vec<ExprId> = handed.map(|(_, value)| value).collect();
            for expr in handed {
                let by = self.cx.step(At { file, expr }, "given as a tool");
                self.listed(At { file, expr }, &by);
            }
        }
        let mut kept: Vec<(ExprId, &str)> = Vec::new();
        for ((_, sym), bindings) in facts.bindings.iter() {
            let name = facts.name(*sym);
            if project.knowledge.is_tool_variable(name) {
                kept.extend(bindings.iter().filter_map(|binding| match binding.value {
                    Bound::Expr(expr) => Some((expr, name)),
                    _ => None,
                }));
            }
        }
        kept.sort();
        for (expr, name) in kept {
            let at = At { file, expr };
            let by = self.cx.step(at, format!("kept in `{name}`"));
            match facts.kind(expr) {
                ExprKind::Dict(_) => self.tabled(at, &by),
                ExprKind::List(_) => self.listed(at, &by),
                _ => {}
            }
        }
    }

    /// A list of nothing but functions, or of functions and tools that are known as such.
    fn listed(&mut self, at: At, by: &Step) {
        let mut functions = Vec::new();
        let mut named = Vec::new();
        for (item, frames) in self.cx.project.elements(at, &None) {
            let mut is_tool = false;
            for reference in self.cx.project.refer(item, &frames) {
                match reference {
                    Ref::Expr(at, _) if self.own_tool(at).is_some() => {
                        is_tool = true;
                        named.extend(self.own_tool(at));
                    }
                    Ref::Function(file, id) => {
                        is_tool = true;
                        functions.push((file, id));
                    }
                    Ref::Instance(..) | Ref::External(..) | Ref::Expr(..) => is_tool = true,
                    _ => {}
                }
            }
            if !is_tool {
                return;
            }
        }
        for (file, id) in functions {
            self.add_new(file, id, None, by);
        }
        for (name, at) in named {
            let tool = super::tool(self.cx, name.clone(), at.file, self.cx.project.line(at), None, by.clone());
            self.said.extend(tool.map(|tool| Said::IfNew(name, Box::new(Said::Tool(tool)))));
        }
    }

    /// `{"name": "search", "description": …, "run": f}`: the name, and where it stands.
    fn own_tool(&self, at: At) -> Option<(String, At)> {
        let project = self.cx.project;
        let ExprKind::Dict(pairs) = project.facts(at.file).kind(at.expr) else { return None };
        let is_function = |value: ExprId| {
            let refs = project.refer(At { file: at.file, expr: value }, &None);
            refs.iter().any(|reference| matches!(reference, Ref::Function(..)))
        };
        let (name, _) = project.element(&(at, None), "name")?;
        project.element(&(at, None), "description")?;
        let has_function = pairs.iter().any(|&(_, value)| is_function(value));
        Some((project.text(name, &None).filter(|_| has_function)?, name))
    }

    /// A map from names to functions.
    fn tabled(&mut self, at: At, by: &Step) {
        let mut functions = Vec::new();
        for (key, value, frames) in self.cx.project.pairs(at, &None) {
            for reference in self.cx.project.refer(value, &frames) {
                if let (Some(key), Ref::Function(file, id)) = (&key, reference) {
                    functions.push((file, id, key.clone()));
                }
            }
        }
        for (file, id, key) in functions {
            self.add_new(file, id, Some(key), by);
        }
    }

    /// Adds a function unless a tool of its name was found by what declares it.
    fn add_new(&mut self, file: usize, id: FunctionId, name: Option<String>, by: &Step) {
        let facts = self.cx.project.facts(file);
        let own = facts.functions[id.0 as usize].name.map(|sym| facts.name(sym));
        let Some(called) = name.as_deref().or(own).map(str::to_owned) else { return };
        let function = Said::Function((file, id), super::function(self.cx, file, id, name, by.clone()));
        self.said.push(Said::IfNew(called, Box::new(function)));
    }
}
