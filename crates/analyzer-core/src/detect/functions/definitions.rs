//! Definitions that are tools by themselves: by a decorator, by a base class.

use super::{Found, first_sentence};
use crate::analysis::Step;
use crate::facts::{Bound, ClassId, ExprId, ExprKind, FunctionId};
use crate::knowledge::index::{Hit, RuleKind};
use crate::knowledge::schema::{ArgRef, Form};
use crate::resolve::{At, Ref};

impl Found<'_, '_> {
    /// `@tool`, `@tool("name")`, `@agent.tool(retries=2)`.
    pub(super) fn decorators(&mut self) {
        let file = self.file;
        let facts = self.cx.project.facts(file);
        for (index, function) in facts.functions.iter().enumerate() {
            let mut marks: Vec<(Option<String>, Step)> = Vec::new();
            for &expr in &function.decorators {
                if let Some(mark) = self.decorator(At { file, expr }) {
                    self.claim(At { file, expr });
                    marks.push(mark);
                }
            }
            // Of several, the one that gives a name.
            let best = marks.iter().find(|(name, _)| name.is_some()).or(marks.first()).cloned();
            if let Some((name, by)) = best {
                self.add_function(file, FunctionId(index as u32), name, by);
            }
        }
        for class in &facts.classes {
            for &decorator in &class.decorators {
                if let (Some((name, by)), Some(sym)) = (self.decorator(At { file, expr: decorator }), class.name) {
                    let name = name.unwrap_or_else(|| facts.name(sym).to_owned());
                    self.claim(At { file, expr: decorator });
                    self.add(name, file, class.line, None, by);
                    break;
                }
            }
        }
    }

    /// What a call is given is a part of the tool that it makes.
    pub(super) fn claim(&mut self, call: At) {
        if let Some(the_call) = self.cx.project.call(call) {
            self.claimed.extend(the_call.args.iter().map(|arg| At { file: call.file, expr: arg.value }));
        }
    }

    /// The name that a tool's decorator gives, if this is one.
    pub(super) fn decorator(&self, at: At) -> Option<(Option<String>, Step)> {
        let facts = self.cx.project.facts(at.file);
        let (callee, called) = match facts.call(at.expr) {
            Some(call) => (At { file: at.file, expr: call.callee }, true),
            None => (at, false),
        };
        let Some((hit, reference)) = self.rule_of(callee, Form::Decorator) else {
            return self.own_decorator(at, callee);
        };
        let name = if called { self.text(at, &self.rule(hit).name) } else { None };
        let what = match &reference {
            Ref::External(symbol, _) => format!("decorator `{}`", symbol.display()),
            _ => "decorator".into(),
        };
        Some((name, self.cx.step(at, what)))
    }

    /// `@McpTool({ name: "search" })`, `@tool_registry.register`: a decorator of the project's own, or of a library that
    /// nobody describes, by what it is called.
    fn own_decorator(&self, at: At, callee: At) -> Option<(Option<String>, Step)> {
        let (project, facts) = (self.cx.project, self.cx.project.facts(at.file));
        let last = |expr: ExprId| match *facts.kind(expr) {
            ExprKind::Name(sym) | ExprKind::Attr(_, sym) => Some(facts.name(sym)),
            _ => None,
        };
        let name = last(callee.expr)?;
        let registers = || match *facts.kind(callee.expr) {
            ExprKind::Attr(base, _) => {
                name == "register" && last(base).is_some_and(|b| project.knowledge.is_tool_variable(b))
            }
            _ => false,
        };
        if !project.knowledge.is_tool_decorator(name) && !registers() {
            return None;
        }
        // One of a library that is described says there what it makes.
        let is_described = |reference: &Ref| match reference {
            Ref::External(symbol, _) => project.knowledge.frameworks_of(symbol).next().is_some(),
            _ => false,
        };
        if project.refer(callee, &None).iter().any(is_described) {
            return None;
        }
        let named = || self.text(at, &[ArgRef::Name("name".into())]);
        let first = || self.text(at, &[ArgRef::Position(0)]).filter(|text| !text.contains(char::is_whitespace));
        let given = if at == callee { None } else { named().or_else(first) };
        Some((given, self.cx.step(at, format!("decorator `{name}`"))))
    }

    /// `class Search(BaseTool): name = "search"`.
    pub(super) fn classes(&mut self) {
        let cx = self.cx;
        let file = self.file;
        let facts = cx.project.facts(file);
        for (index, class) in facts.classes.iter().enumerate().filter(|(_, class)| !class.is_type) {
            let Some((hit, by)) = self.tool_base(file, ClassId(index as u32), 0) else { continue };
            let attribute = self.rule(hit).name.iter().find_map(|place| match place {
                ArgRef::Name(name) => self.class_text(file, ClassId(index as u32), name),
                ArgRef::Position(_) => None,
            });
            let attribute = attribute.or_else(|| self.told_to_base(file, ClassId(index as u32), &self.rule(hit).name));
            let own = class.name.map(|sym| facts.name(sym).to_owned());
            let description = class.doc.and_then(|doc| facts.text(doc)).map(first_sentence);
            if let Some(name) = attribute.or(own) {
                self.add(name, file, class.line, description, by);
            }
        }
    }

    /// `class Search { name = "search"; parameters = {type: "object", …} }`: a class that says what a model needs to know
    /// of a tool, whatever interface it was written for.
    pub(super) fn shaped_classes(&mut self) {
        let cx = self.cx;
        let file = self.file;
        let facts = cx.project.facts(file);
        for (index, class) in facts.classes.iter().enumerate().filter(|(_, class)| !class.is_type) {
            let says = |names: &[&str]| names.iter().any(|name| !facts.bindings_named(class.scope, name).is_empty());
            if !says(&["name"]) || !says(&["description"]) || self.tool_base(file, ClassId(index as u32), 0).is_some() {
                continue;
            }
            let fields = ["parameters", "inputSchema", "input_schema", "schema", "parametersSchema", "args_schema"];
            let bindings = fields.iter().flat_map(|name| facts.bindings_named(class.scope, name));
            let is_schema = |expr: ExprId| {
                match facts.kind(expr) {
                ExprKind::Dict(pairs) => pairs.iter().any(|(key, _)| {
                    matches!(key.and_then(|key| facts.text(key)), Some("type" | "properties" | "required"))
                }),
                ExprKind::Call(_) => facts.call(expr).is_some_and(
                    |call| matches!(*facts.kind(call.callee), ExprKind::Attr(_, member) if facts.name(member) == "object"),
                ),
                _ => false,
            }
            };
            let takes = |binding: &crate::facts::Binding| match binding.value {
                Bound::Expr(expr) => is_schema(expr),
                Bound::Function(id) => facts.functions[id.0 as usize].returns.iter().any(|&expr| is_schema(expr)),
                _ => false,
            };
            if bindings.into_iter().any(takes)
                && let Some(name) = self.class_text(file, ClassId(index as u32), "name")
            {
                let what = "class with name, description and parameters".to_owned();
                let by = Step { what, file: cx.project.path(file).to_owned(), line: class.line };
                self.add(name, file, class.line, None, by);
            }
        }
    }

    /// `export const metadata: ToolMetadata = { name: "search" }`: an object whose type says that it is a tool.
    pub(super) fn typed(&mut self) {
        let cx = self.cx;
        let file = self.file;
        for &(value, annotation) in &cx.project.facts(file).typed {
            let hits = cx.project.hits(At { file, expr: annotation }, &None).into_iter();
            let known =
                hits.into_iter().find(|(hit, _)| hit.kind == RuleKind::Function && self.rule(*hit).form == Form::Typed);
            let Some((hit, _)) = known else { continue };
            let at = At { file, expr: value };
            let text = |places: &[ArgRef]| {
                places.iter().find_map(|place| match place {
                    ArgRef::Name(name) => {
                        cx.project.element(&(at, None), name).and_then(|(at, frames)| cx.project.text(at, &frames))
                    }
                    ArgRef::Position(_) => None,
                })
            };
            let rule = self.rule(hit);
            let (name, description) = (text(&rule.name), text(&rule.description));
            if let Some(name) = name {
                let by = cx.step(At { file, expr: annotation }, "type of a tool");
                self.claimed.insert(at);
                self.add(name, file, cx.project.line(at), description.map(|text| first_sentence(&text)), by);
            }
        }
    }

    /// The rule that makes a class a tool, by its bases and theirs.
    pub(super) fn tool_base(&self, file: usize, class: ClassId, depth: u32) -> Option<(Hit, Step)> {
        let bases = self.cx.project.facts(file).classes[class.0 as usize].bases.clone();
        for expr in bases {
            let at = At { file, expr };
            for reference in self.cx.project.refer(at, &None) {
                match reference {
                    Ref::External(symbol, _) => {
                        let hits = self.cx.project.knowledge.lookup(&symbol);
                        let hit = hits
                            .into_iter()
                            .find(|h| h.kind == RuleKind::Function && self.rule(*h).form == Form::Class);
                        if let Some(hit) = hit {
                            return Some((hit, self.cx.step(at, format!("subclass of `{}`", symbol.display()))));
                        }
                    }
                    Ref::Class(f, c) if (f, c) != (file, class) && depth < 4 => {
                        if let Some(found) = self.tool_base(f, c, depth + 1) {
                            return Some(found);
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// `super().__init__(name="search")`: what a constructor tells that of the base class.
    fn told_to_base(&self, file: usize, class: ClassId, places: &[ArgRef]) -> Option<String> {
        let (constructor, base) = self.cx.project.told_to_base(file, class)?;
        let is_own = self.cx.project.facts(file).functions[constructor.0 as usize].class == Some(class);
        is_own.then(|| self.text(base, places)).flatten()
    }

    fn class_text(&self, file: usize, class: ClassId, name: &str) -> Option<String> {
        let facts = self.cx.project.facts(file);
        let scope = facts.classes[class.0 as usize].scope;
        facts.bindings_named(scope, name).iter().rev().find_map(|binding| match binding.value {
            Bound::Expr(expr) => {
                let known = self.cx.project.values(At { file, expr }, &None);
                known.into_iter().find_map(|known| known.literal())
            }
            Bound::Function(id) => {
                let returns = &facts.functions[id.0 as usize].returns;
                returns.iter().find_map(|&expr| self.cx.project.text(At { file, expr }, &None))
            }
            _ => None,
        })
    }
}
