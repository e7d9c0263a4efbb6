//! Function tools: functions that the model may call, in every form that code gives them.

mod definitions;
mod handed;
mod registered;
mod schemas;

use std::cell::RefCell;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::analysis::{Confidence, Step, Tool, ToolKind};
use crate::facts::{ExprKind, FunctionId, ScopeKind};
use crate::knowledge::index::{Hit, RuleKind};
use crate::knowledge::schema::{ArgRef, Form, FunctionRule};
use crate::resolve::{At, Frames, Known, Ref};
use crate::sites::Context;

/// One entry per function tool.
pub fn detect(cx: &Context) -> Vec<Tool> {
    let mut found = Found {
        cx,
        tools: Vec::new(),
        functions: FxHashSet::default(),
        keys: FxHashMap::default(),
        claimed: FxHashSet::default(),
        dispatch: None,
        imported: RefCell::default(),
    };
    found.lists();
    found.decorators();
    found.calls();
    found.classes();
    found.shaped_classes();
    found.schemas();
    found.named();
    let mut tools = found.tools;
    tools.sort_by(|a, b| (&a.file, a.line, &a.name).cmp(&(&b.file, b.line, &b.name)));
    tools.dedup_by(|a, b| a.name == b.name && a.file == b.file && (a.line == b.line));
    tools
}

struct Found<'c, 'a> {
    cx: &'c Context<'a>,
    tools: Vec<Tool>,
    /// Functions that are reported already.
    functions: FxHashSet<(usize, FunctionId)>,
    /// Calls whose name is their key in a map of tools.
    keys: FxHashMap<At, String>,
    /// Literal dicts that are part of a tool's own call.
    claimed: FxHashSet<At>,
    /// What the program's tables hold by name, made when somebody asks.
    dispatch: Option<FxHashMap<String, Vec<At>>>,
    /// Entries that were asked about, and whether some file imports a package of theirs.
    imported: RefCell<FxHashMap<u32, bool>>,
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
    fn is_imported(&self, index: u32) -> bool {
        if let Some(&known) = self.imported.borrow().get(&index) {
            return known;
        }
        let entry = self.cx.project.knowledge.entry(index);
        let imported = self.cx.project.files.iter().any(|file| {
            let (packages, separator) = match file.source.language.is_python() {
                true => (&entry.python_packages, '.'),
                false => (&entry.npm_packages, '/'),
            };
            let is_of = |module: &str, package: &str| {
                module.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
            };
            file.facts.imports.iter().any(|import| packages.iter().any(|package| is_of(&import.module, package)))
        });
        self.imported.borrow_mut().insert(index, imported);
        imported
    }

    fn add(&mut self, name: String, file: usize, line: u32, description: Option<String>, by: Step) {
        let name = name.trim().to_owned();
        // A test makes up tools to test with.
        if name.is_empty() || name.len() > 200 || name.contains('\n') || self.cx.project.is_test(file) {
            return;
        }
        let path = self.cx.project.path(file).to_owned();
        self.tools.push(Tool {
            name,
            kind: ToolKind::Function,
            file: path.clone(),
            line,
            base_url: None,
            detected_url_pattern: None,
            default_url: None,
            service: None,
            description,
            source: None,
            confidence: Confidence::High,
            call_sites: Vec::new(),
            evidence: vec![Step { what: "definition".into(), file: path, line }, by],
        });
    }

    /// A submitted function, at its `def`.
    fn add_function(&mut self, file: usize, id: FunctionId, name: Option<String>, by: Step) {
        if !self.functions.insert((file, id)) {
            return;
        }
        let facts = self.cx.project.facts(file);
        let function = &facts.functions[id.0 as usize];
        let own = function.name.map(|sym| facts.name(sym).to_owned());
        let description = function.doc.and_then(|doc| facts.text(doc)).map(first_sentence);
        if let Some(name) = name.or(own) {
            let line = function.line;
            self.add(name, file, line, description, by);
        }
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
        let file = first.and_then(|step| project.files.iter().position(|file| *file.source.path == *step.file));
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
