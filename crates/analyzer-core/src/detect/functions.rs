//! Function tools: functions that the model may call, in every form that code gives them.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::analysis::{Confidence, Step, Tool, ToolKind};
use crate::facts::{Bound, ClassId, ExprId, ExprKind, FunctionId};
use crate::knowledge::index::{Hit, RuleKind};
use crate::knowledge::schema::{ArgRef, Form, FunctionRule, SchemaRule};
use crate::resolve::{At, Frames, Ref, Value};
use crate::sites::Context;

/// One entry per function tool.
pub fn detect(cx: &Context) -> Vec<Tool> {
    let mut found = Found {
        cx,
        tools: Vec::new(),
        functions: FxHashSet::default(),
        keys: FxHashMap::default(),
        claimed: FxHashSet::default(),
    };
    found.lists();
    found.decorators();
    found.calls();
    found.classes();
    found.schemas();
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
}

impl Found<'_, '_> {
    fn rule(&self, hit: Hit) -> &FunctionRule {
        &self.cx.project.knowledge.entry(hit.entry).function[hit.rule as usize]
    }

    fn add(&mut self, name: String, file: usize, line: u32, description: Option<String>, by: Step) {
        let name = name.trim().to_owned();
        if name.is_empty() || name.len() > 200 || name.contains('\n') {
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

    /// `@tool`, `@tool("name")`, `@agent.tool(retries=2)`.
    fn decorators(&mut self) {
        for file in 0..self.cx.project.files.len() {
            let facts = self.cx.project.facts(file);
            for (index, function) in facts.functions.iter().enumerate() {
                let marks = function.decorators.iter().filter_map(|&expr| self.decorator(At { file, expr }));
                let marks: Vec<(Option<String>, Step)> = marks.collect();
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
                        self.add(name, file, class.line, None, by);
                        break;
                    }
                }
            }
        }
    }

    /// The name that a tool's decorator gives, if this is one.
    fn decorator(&self, at: At) -> Option<(Option<String>, Step)> {
        let facts = self.cx.project.facts(at.file);
        let (callee, called) = match facts.call(at.expr) {
            Some(call) => (At { file: at.file, expr: call.callee }, true),
            None => (at, false),
        };
        let mut hits =
            self.cx.project.hits(callee, &None).into_iter().filter(|(hit, _)| hit.kind == RuleKind::Function);
        let (hit, reference) = hits.find(|(hit, _)| self.rule(*hit).form == Form::Decorator)?;
        let name = if called { self.text(at, &self.rule(hit).name) } else { None };
        let what = match &reference {
            Ref::External(symbol, _) => format!("decorator `{}`", symbol.display()),
            _ => "decorator".into(),
        };
        Some((name, self.cx.step(at, what)))
    }

    /// `Agent(tools=[f, {…}], …)`, `generateText({tools: {key: …}})`.
    fn lists(&mut self) {
        for site in &self.cx.sites {
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
                        self.keys.entry(*call).or_insert_with(|| key.clone());
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

    /// `tool({name, …})`, `FunctionTool.from_defaults(fn=add)`, `server.registerTool("name", …)`.
    fn calls(&mut self) {
        let cx = self.cx;
        for site in &cx.sites {
            let Some(hit) = site.hits(RuleKind::Function).find(|hit| self.rule(*hit).form == Form::Call) else {
                continue;
            };
            // A decorator that is called is counted with its function.
            let facts = cx.project.facts(site.at.file);
            if facts.functions.iter().any(|f| f.decorators.contains(&site.at.expr)) {
                continue;
            }
            let rule = self.rule(hit).clone();
            let by = cx.step(site.at, format!("call of `{}`", site.symbol.display()));
            if let Some(call) = facts.call(site.at.expr) {
                let args = call.args.iter().map(|arg| At { file: site.at.file, expr: arg.value });
                self.claimed.extend(args);
            }
            if let Some((file, line, name)) = self.class_argument(site.at, &rule) {
                match self.text(site.at, &rule.name).filter(|given| *given != name) {
                    Some(given) => self.add(given, site.at.file, cx.project.line(site.at), None, by),
                    None => self.add(name, file, line, None, by),
                }
                continue;
            }
            let given = self.text(site.at, &rule.name);
            let function = self.function_argument(site.at, &rule);
            let description = self.text(site.at, &rule.description).map(|text| first_sentence(&text));
            let python = cx.project.files[site.at.file].source.language.is_python();
            if let (Some((file, id)), true) = (function, python) {
                let is_named = cx.project.facts(file).functions[id.0 as usize].expr.is_none();
                let facts = cx.project.facts(file);
                let own = facts.functions[id.0 as usize].name.map(|sym| facts.name(sym));
                // A registration that gives another name is what names the tool.
                let renamed = given.as_deref().is_some_and(|name| Some(name) != own);
                if is_named && !renamed && (given.is_none() || self.is_plain_name(site.at, &rule)) {
                    self.add_function(file, id, given, by);
                    continue;
                }
            }
            let own = function.and_then(|(file, id)| {
                let facts = cx.project.facts(file);
                facts.functions[id.0 as usize].name.map(|sym| facts.name(sym).to_owned())
            });
            let own = own.filter(|name| !["execute", "func", "handler", "run", "call", "fn"].contains(&name.as_str()));
            let name = given
                .or_else(|| self.keys.get(&site.at).cloned())
                .or(own)
                .or_else(|| cx.assigned.get(&site.at).cloned());
            if let Some((file, id)) = function {
                self.functions.insert((file, id));
            }
            if let Some(name) = name {
                self.add(name, site.at.file, cx.project.line(site.at), description, by);
            }
        }
    }

    /// A class given as the function: its schema is the tool.
    fn class_argument(&self, call: At, rule: &FunctionRule) -> Option<(usize, u32, String)> {
        let (at, frames) = self.cx.project.argument(call, &None, &rule.function)?;
        self.cx.project.refer(at, &frames).into_iter().find_map(|reference| match reference {
            Ref::Class(file, id) => {
                let facts = self.cx.project.facts(file);
                let class = &facts.classes[id.0 as usize];
                Some((file, class.line, facts.name(class.name?).to_owned()))
            }
            _ => None,
        })
    }

    /// The function is given by the name of its `def`, not by a variable that wraps it.
    fn is_plain_name(&self, call: At, rule: &FunctionRule) -> bool {
        let Some((at, _)) = self.cx.project.argument(call, &None, &rule.function) else { return false };
        match *self.cx.project.facts(at.file).kind(at.expr) {
            ExprKind::Name(sym) => self.cx.project.is_defined_function(at, sym),
            _ => true,
        }
    }

    fn function_argument(&self, call: At, rule: &FunctionRule) -> Option<(usize, FunctionId)> {
        let (at, frames) = self.cx.project.argument(call, &None, &rule.function)?;
        self.cx.project.refer(at, &frames).into_iter().find_map(|reference| match reference {
            Ref::Function(file, id) => Some((file, id)),
            _ => None,
        })
    }

    /// `class Search(BaseTool): name = "search"`.
    fn classes(&mut self) {
        let cx = self.cx;
        for file in 0..cx.project.files.len() {
            let facts = cx.project.facts(file);
            for (index, class) in facts.classes.iter().enumerate() {
                let Some((hit, by)) = self.tool_base(file, ClassId(index as u32), 0) else { continue };
                let attribute = self.rule(hit).name.iter().find_map(|place| match place {
                    ArgRef::Name(name) => self.class_text(file, ClassId(index as u32), name),
                    ArgRef::Position(_) => None,
                });
                let own = class.name.map(|sym| facts.name(sym).to_owned());
                let description = class.doc.and_then(|doc| facts.text(doc)).map(first_sentence);
                if let Some(name) = attribute.or(own) {
                    self.add(name, file, class.line, description, by);
                }
            }
        }
    }

    /// The rule that makes a class a tool, by its bases and theirs.
    fn tool_base(&self, file: usize, class: ClassId, depth: u32) -> Option<(Hit, Step)> {
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

    /// Literal dicts that declare a tool: `{"type": "function", "function": {"name": …, "parameters": …}}`.
    fn schemas(&mut self) {
        let cx = self.cx;
        let rules: Vec<&SchemaRule> = cx.project.knowledge.schemas().collect();
        let roots: FxHashSet<&str> = rules.iter().filter_map(|rule| rule.name.split('.').next()).collect();
        for file in 0..cx.project.files.len() {
            let facts = cx.project.facts(file);
            let mut inside: FxHashSet<ExprId> = FxHashSet::default();
            // Outer dicts come after inner ones: the other way round, an outer schema claims its parts.
            for (index, expr) in facts.exprs.iter().enumerate().rev() {
                let ExprKind::Dict(pairs) = &expr.kind else { continue };
                let id = ExprId(index as u32);
                let has_root =
                    pairs.iter().any(|(key, _)| key.and_then(|k| facts.text(k)).is_some_and(|k| roots.contains(k)));
                if !has_root || inside.contains(&id) || self.claimed.contains(&At { file, expr: id }) {
                    continue;
                }
                let at = At { file, expr: id };
                if let Some((name, name_at)) = rules.iter().find_map(|rule| self.schema(at, rule)) {
                    claim(facts, id, &mut inside);
                    // What stands in another file is found there.
                    if name_at.file != file {
                        continue;
                    }
                    let line = cx.project.line(name_at);
                    let by = Step { what: "schema".into(), file: cx.project.path(file).to_owned(), line };
                    match self.function_named(file, &name) {
                        Some((file, function)) => self.add_function(file, function, Some(name), by),
                        None => self.add(name, file, line, None, by),
                    }
                }
            }
        }
    }

    /// The name that a dict declares, and its line.
    fn schema(&self, at: At, rule: &SchemaRule) -> Option<(String, At)> {
        let (name_at, frames) = self.descend(at, &rule.name)?;
        let holds = |pair: &String| {
            let (path, wanted) = pair.split_once('=').unwrap_or((pair, ""));
            let found = self.descend(at, path);
            found.and_then(|(at, frames)| self.cx.project.text(at, &frames)).is_some_and(|text| text == wanted)
        };
        if !rule.requires.iter().all(|path| self.descend(at, path).is_some()) || !rule.equals.iter().all(holds) {
            return None;
        }
        let known = self.cx.project.values(name_at, &frames);
        let name = known.iter().find_map(|known| match &known.value {
            Value::Text(_) => known.literal_or_default(),
            _ => None,
        })?;
        Some((name, name_at))
    }

    fn descend(&self, at: At, path: &str) -> Option<(At, Frames)> {
        let mut found = (at, None);
        for part in path.split('.') {
            found = self.cx.project.element(&found, part)?;
        }
        Some(found)
    }

    /// The submitted function that a schema describes: of the same name, in the same file before others.
    fn function_named(&self, file: usize, name: &str) -> Option<(usize, FunctionId)> {
        let files = [file].into_iter().chain((0..self.cx.project.files.len()).filter(|&f| f != file));
        files.into_iter().find_map(|file| {
            let facts = self.cx.project.facts(file);
            if !self.cx.project.files[file].source.language.is_python() {
                return None;
            }
            let sym = facts.symbol(name)?;
            let at = facts.functions.iter().position(|f| f.name == Some(sym) && f.expr.is_none())?;
            Some((file, FunctionId(at as u32)))
        })
    }
}

/// Everything inside a schema belongs to it.
fn claim(facts: &crate::facts::FileFacts, root: ExprId, inside: &mut FxHashSet<ExprId>) {
    let mut work = vec![root];
    while let Some(id) = work.pop() {
        match facts.kind(id) {
            ExprKind::Dict(pairs) => work.extend(pairs.iter().map(|(_, value)| *value)),
            ExprKind::List(items) => work.extend(items.iter().copied()),
            _ => continue,
        }
        inside.insert(id);
    }
}

/// What the model reads first, in one line.
fn first_sentence(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or("").trim();
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    line[..end].chars().take(200).collect()
}
