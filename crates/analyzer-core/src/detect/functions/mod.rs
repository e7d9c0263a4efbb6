//! Function tools: functions that the model may call, in every form that code gives them.

mod definitions;
mod handed;
mod registered;
mod said;
mod schemas;

use rustc_hash::FxHashSet;

use crate::analysis::{Confidence, Step, Tool};
use crate::facts::{ExprKind, FunctionId, ScopeKind};
use crate::knowledge::index::{Hit, RuleKind};
use crate::knowledge::schema::{ArgRef, Form, FunctionRule};
use crate::memo::Asked;
use crate::resolve::{At, Frames, Known, Ref};
use crate::sites::Context;
use said::{Said, Tools, function, tool};

/// One entry per function tool.
pub fn detect(cx: &Context) -> Vec<Tool> {
    let asked = cx.each(Asked::Definitions, Found::of_file);
    let mut tools = Tools::new(cx);
    for pass in 0..PASSES {
        for said in asked.iter().flat_map(|of_file| &of_file[pass]) {
            tools.hear(said);
        }
    }
    let mut tools = tools.tools;
    tools.sort_by(|a, b| (&a.file, a.line, &a.name).cmp(&(&b.file, b.line, &b.name)));
    tools.dedup_by(|a, b| a.name == b.name && a.file == b.file && (a.line == b.line));
    // A model has one tool of a name: which definition it is, if a file holds several, nobody says.
    let mut seen: FxHashSet<(String, String)> = FxHashSet::default();
    for tool in &mut tools {
        if !seen.insert((tool.file.clone(), tool.name.clone())) {
            tool.confidence = tool.confidence.min(Confidence::Medium);
        }
    }
    tools
}

/// Lists, decorators, calls, classes, their shapes, typed literals, shapes of others, names: what is found first in all files goes before what is found later.
const PASSES: usize = 8;

/// What one file says of function tools, its own and those of others.
struct Found<'c, 'a> {
    cx: &'c Context<'a>,
    file: usize,
    said: Vec<Said>,
    /// Literal dicts that are part of a tool's own call.
    claimed: FxHashSet<At>,
}

impl Found<'_, '_> {
    fn of_file(cx: &Context, file: usize) -> [Vec<Said>; PASSES] {
        let mut found = Found { cx, file, said: Vec::new(), claimed: FxHashSet::default() };
        let passes = [
            Found::lists,
            Found::decorators,
            Found::calls,
            Found::classes,
            Found::shaped_classes,
            Found::typed,
            Found::schemas,
            Found::named,
        ];
        passes.map(|pass| {
            pass(&mut found);
            std::mem::take(&mut found.said)
        })
    }
}

impl Found<'_, '_> {
    fn rule(&self, hit: Hit) -> &FunctionRule {
        &self.cx.project.knowledge.entry(hit.entry).function[hit.rule as usize]
    }

    /// The rule behind a callee: by what it stands for, else by its last member where the base is not known and the
    /// project imports the framework: `@mcp.tool()` of a parameter that nobody annotated.
    fn rule_of(&self, callee: At, form: Form) -> Option<(Hit, Ref)> {
        let project = self.cx.project;
        let hits = project.hits(callee, &None).into_iter();
        let known = hits.into_iter().find(|(hit, _)| hit.kind == RuleKind::Function && self.rule(*hit).form == form);
        known.or_else(|| {
            project.refer(callee, &None).into_iter().find_map(|reference| {
                let Ref::External(symbol, _) = &reference else { return None };
                let symbol = project.as_callee(symbol.clone(), callee.file);
                let hits = project.knowledge.by_member(&symbol, RuleKind::Function);
                let hit = hits.into_iter().find(|hit| self.rule(*hit).form == form && self.is_imported(hit.entry))?;
                Some((hit, reference))
            })
        })
    }

    /// Some file imports a package of an entry.
    fn is_imported(&self, entry: u32) -> bool {
        let entry = self.cx.project.knowledge.entry(entry);
        let imported = |python: bool, package: &String| self.cx.imports_package(python, package);
        entry.python_packages.iter().any(|package| imported(true, package))
            || entry.npm_packages.iter().any(|package| imported(false, package))
    }

    fn add(&mut self, name: String, file: usize, line: u32, description: Option<String>, by: Step) {
        self.said.extend(tool(self.cx, name, file, line, description, by).map(Said::Tool));
    }

    /// A submitted function, at its `def`.
    fn add_function(&mut self, file: usize, id: FunctionId, name: Option<String>, by: Step) {
        self.said.push(Said::Function((file, id), function(self.cx, file, id, name, by)));
    }

    fn text(&self, call: At, places: &[ArgRef]) -> Option<String> {
        let (at, frames) = self.cx.project.argument(call, &None, places)?;
        let text = self.cx.project.values(at, &frames).into_iter().find_map(|known| known.literal_or_default());
        // A callback in the name's place is no name.
        text.filter(|_| !matches!(self.cx.project.facts(at.file).kind(at.expr), ExprKind::Function(_)))
    }

    /// Everything that an argument may say, where it says several things: a name in a loop over tools, the names of the
    /// objects that a helper is given.
    fn texts(&self, call: At, places: &[ArgRef]) -> Vec<Known> {
        let project = self.cx.project;
        let mut given: Vec<(At, Frames)> = Vec::new();
        if let (Some(at), Some(ArgRef::Name(name))) = (self.handed_object(call), places.first()) {
            for reference in project.all_refs(at, &None) {
                if let Ref::Expr(at, frames) = reference {
                    given.extend(project.element(&(at, frames), name));
                }
            }
        }
        if given.is_empty() {
            given.extend(project.argument(call, &None, places));
        }
        let known = given.into_iter().flat_map(|(at, frames)| project.all_values(at, &frames));
        known.filter(|known| known.literal_or_default().is_some()).collect()
    }

    /// The only argument of a call, where it is an object that stands elsewhere: `server.addTool(tool)`.
    fn handed_object(&self, call: At) -> Option<At> {
        let facts = self.cx.project.facts(call.file);
        match &facts.call(call.expr)?.args[..] {
            [arg] if matches!(facts.kind(arg.value), ExprKind::Name(_) | ExprKind::Attr(..)) => {
                Some(At { file: call.file, expr: arg.value })
            }
            _ => None,
        }
    }

    /// The place of a definition by its name: that of the literal, whatever was put around it.
    fn named_at(&self, known: &Known) -> (usize, u32) {
        let project = self.cx.project;
        let is_built = matches!(project.facts(known.origin.file).kind(known.origin.expr), ExprKind::Concat(_));
        let first = known.steps.first().filter(|_| is_built);
        let file = first.and_then(|step| project.file(&step.file));
        match (file, first) {
            (Some(file), Some(step)) => (file, step.line),
            _ => self.defined_at(known.origin),
        }
    }

    /// The place of a definition, by the literal that names it: the class around an attribute, else the literal's line.
    fn defined_at(&self, name: At) -> (usize, u32) {
        let facts = self.cx.project.facts(name.file);
        let scope = facts.scopes[facts.scope_of(name.expr).0 as usize];
        let line = match scope.kind {
            ScopeKind::Class(class) => facts.classes[class.0 as usize].line,
            _ => self.cx.project.line(name),
        };
        (name.file, line)
    }
}

/// What the model reads first, in one line.
fn first_sentence(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or("").trim();
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    line[..end].chars().take(200).collect()
}
