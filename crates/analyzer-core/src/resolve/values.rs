//! What an expression evaluates to, as far as one can tell without running it, and where that comes from.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::*;
use crate::analysis::Step;
use crate::knowledge::schema::EnvRule;

/// A value, and the way it came.
#[derive(Debug, Clone)]
pub struct Known {
    /// The value.
    pub value: Value,
    /// From the origin to here.
    pub steps: Vec<Step>,
    /// The expression that it starts from: a literal, a look-up.
    pub origin: At,
}

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text with holes; a literal is one piece.
    Text(Vec<Piece>),
    /// Something that is not text: an instance, a function, a dict.
    Object(Ref),
    /// `None`.
    Null,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Known text.
    Lit(String),
    /// An environment variable or command-line option, with the literal it falls back to.
    Env {
        /// Name of the variable; empty for a command-line option.
        name: String,
        /// The fallback.
        default: Option<String>,
    },
    /// Unknown; the name says what would stand there.
    Hole(String),
}

impl Known {
    /// The text, when every piece of it is known.
    pub fn literal(&self) -> Option<String> {
        let Value::Text(pieces) = &self.value else { return None };
        pieces.iter().map(|piece| if let Piece::Lit(text) = piece { Some(text.as_str()) } else { None }).collect()
    }

    /// The text with the fallbacks of variables in their place, when every piece is then known.
    pub fn literal_or_default(&self) -> Option<String> {
        let Value::Text(pieces) = &self.value else { return None };
        let text = |piece| match piece {
            Piece::Lit(text) | Piece::Env { default: Some(text), .. } => Some(text),
            _ => None,
        };
        pieces.iter().cloned().map(text).collect()
    }

    /// The text with holes in braces and variables by their fallback or name.
    pub fn template(&self) -> Option<String> {
        let Value::Text(pieces) = &self.value else { return None };
        let text = |piece: &Piece| match piece {
            Piece::Lit(text) | Piece::Env { default: Some(text), .. } => text.clone(),
            Piece::Env { name, .. } | Piece::Hole(name) => format!("{{{name}}}"),
        };
        Some(pieces.iter().map(text).collect())
    }

    /// A variable of the environment takes part.
    pub fn env(&self) -> Option<(&str, Option<&str>)> {
        let Value::Text(pieces) = &self.value else { return None };
        pieces.iter().find_map(|piece| match piece {
            Piece::Env { name, default } => Some((name.as_str(), default.as_deref())),
            _ => None,
        })
    }

    /// Bytes of text.
    pub(super) fn size(&self) -> usize {
        let Value::Text(pieces) = &self.value else { return 0 };
        let size = |piece: &Piece| match piece {
            Piece::Lit(text) | Piece::Env { name: text, .. } | Piece::Hole(text) => text.len() + 16,
        };
        pieces.iter().map(size).sum()
    }

    /// No hole and no variable without fallback.
    pub fn is_resolved(&self) -> bool {
        self.literal_or_default().is_some()
    }
}

impl Project<'_> {
    /// What an expression evaluates to; several answers where branches or callers differ.
    pub fn values(&self, at: At, frames: &Frames) -> Vec<Known> {
        self.values_in(at, frames, &mut Question::new())
    }

    /// Everything that an expression may evaluate to: the names of all tools of a list.
    pub fn all_values(&self, at: At, frames: &Frames) -> Vec<Known> {
        self.values_in(at, frames, &mut Question::wide())
    }

    /// The text of an expression, when it is one known literal.
    pub fn text(&self, at: At, frames: &Frames) -> Option<String> {
        self.text_in(at, frames, &mut Question::new())
    }

    pub(super) fn text_in(&self, at: At, frames: &Frames, q: &mut Question) -> Option<String> {
        let facts = self.facts(at.file);
        match facts.kind(at.expr) {
            ExprKind::Text(text) | ExprKind::Number(text) => return Some(facts.text_of(*text).to_owned()),
            _ => {}
        }
        let mut known = self.values_in(at, frames, q).into_iter();
        let first = known.next()?.literal_or_default()?;
        Some(first)
    }

    pub(super) fn values_in(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        if !q.step() {
            return vec![self.hole(at)];
        }
        let tangled = frames.is_none() && q.is_tangled();
        if tangled {
            match q.values.entry(at) {
                Entry::Occupied(known) => {
                    let known = known.get().clone().unwrap_or_else(|| vec![self.hole(at)]);
                    q.back();
                    return known;
                }
                Entry::Vacant(place) => drop(place.insert(None)),
            }
        }
        let mut known = self.value_kind(at, frames, q);
        q.back();
        if known.len() > 1 {
            distinct(&mut known, q.many);
        }
        if tangled {
            q.values.insert(at, Some(known.clone()));
        }
        known
    }

    pub(super) fn step(&self, at: At, what: String) -> Step {
        Step { what, file: self.path(at.file).to_owned(), line: self.line(at) }
    }

    pub(super) fn text_known(&self, at: At, pieces: Vec<Piece>, what: &str) -> Known {
        Known { value: Value::Text(pieces), steps: vec![self.step(at, what.to_owned())], origin: at }
    }

    /// The unknown, named for what would stand there.
    pub(super) fn hole(&self, at: At) -> Known {
        let name = self.hole_name(at);
        Known { value: Value::Text(vec![Piece::Hole(name)]), steps: Vec::new(), origin: at }
    }

    pub(super) fn hole_name(&self, at: At) -> String {
        let facts = self.facts(at.file);
        let mut expr = at.expr;
        for _ in 0..16 {
            match facts.kind(expr) {
                ExprKind::Name(sym) if facts.name(*sym).starts_with('{') => return "options".into(),
                ExprKind::Name(sym) | ExprKind::Attr(_, sym) => return facts.name(*sym).to_owned(),
                ExprKind::Call(index) => {
                    let call = &facts.calls[*index as usize];
                    // `quote(city)`, `encodeURIComponent(id)`, `str(id)`: what is wrapped tells more.
                    match (call.args.first(), facts.kind(call.callee)) {
                        (Some(arg), ExprKind::Name(_))
                            if matches!(facts.kind(arg.value), ExprKind::Name(_) | ExprKind::Attr(..)) =>
                        {
                            expr = arg.value;
                        }
                        _ => expr = call.callee,
                    }
                }
                ExprKind::Index(base, key) => match facts.text(*key) {
                    Some(key) => return key.to_owned(),
                    None => expr = *base,
                },
                ExprKind::Either(a, _) | ExprKind::Cond(a, _) | ExprKind::Spread(a) | ExprKind::Element(a) => expr = *a,
                _ => break,
            }
        }
        "value".into()
    }

    pub(super) fn value_kind(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let facts = self.facts(at.file);
        let here = |expr| At { file: at.file, expr };
        match facts.kind(at.expr) {
            ExprKind::Text(text) | ExprKind::Number(text) => {
                vec![self.text_known(at, vec![Piece::Lit(facts.text_of(*text).to_owned())], "literal")]
            }
            ExprKind::Bool(_) => vec![self.hole(at)],
            ExprKind::Null => vec![Known { value: Value::Null, steps: Vec::new(), origin: at }],
            ExprKind::Concat(parts) => self.concat(at, &parts.clone(), frames, q),
            ExprKind::Percent(template, values) => self.percent(at, here(*template), here(*values), frames, q),
            ExprKind::Either(a, b) => self.either(here(*a), here(*b), frames, q),
            ExprKind::Cond(a, b) => {
                let mut known = self.values_in(here(*a), frames, q);
                known.extend(self.values_in(here(*b), frames, q));
                prefer_known(known)
            }
            ExprKind::Name(sym) => self.named_value(at, *sym, frames, q),
            ExprKind::Attr(..) | ExprKind::Index(..) | ExprKind::Element(_) => self.member_value(at, frames, q),
            ExprKind::Call(_) => self.called_value(at, frames, q),
            ExprKind::Dict(_) | ExprKind::List(_) | ExprKind::Function(_) | ExprKind::Class(_) => {
                let object = Value::Object(Ref::Expr(at, frames.clone()));
                vec![Known { value: object, steps: Vec::new(), origin: at }]
            }
            _ => vec![self.hole(at)],
        }
    }

    /// `a or b`: a variable takes `b` as its fallback; a known `a` is the answer; an unknown one leaves both.
    pub(super) fn either(&self, a: At, b: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let firsts = self.values_in(a, frames, q);
        let mut out = Vec::new();
        let mut needs_second = firsts.is_empty();
        let mut envs = Vec::new();
        for known in firsts {
            match &known.value {
                Value::Text(pieces) => match &pieces[..] {
                    [Piece::Env { name, default: None }] => {
                        envs.push((name.clone(), known.steps.clone(), known.origin))
                    }
                    [Piece::Lit(text)] if text.is_empty() => needs_second = true,
                    [Piece::Hole(_)] => needs_second = true,
                    _ => out.push(known),
                },
                Value::Null => needs_second = true,
                Value::Object(Ref::Unknown) => needs_second = true,
                Value::Object(Ref::External(..)) => {
                    // What an outside call gives may be nothing.
                    needs_second = true;
                    out.push(known);
                }
                Value::Object(_) => out.push(known),
            }
        }
        if needs_second || !envs.is_empty() {
            let seconds = self.values_in(b, frames, q);
            for (name, steps, origin) in envs {
                let default = seconds.iter().find_map(Known::literal_or_default);
                let fallback = seconds.iter().find(|second| second.env().is_some() && default.is_none());
                if let Some(second) = fallback {
                    out.push(second.clone());
                }
                let mut steps = steps;
                if default.is_some() {
                    steps.push(self.step(b, "fallback".into()));
                }
                let piece = Piece::Env { name, default };
                out.push(Known { value: Value::Text(vec![piece]), steps, origin });
            }
            if needs_second {
                out.extend(seconds);
            }
        }
        prefer_known(out)
    }

    pub(super) fn named_value(&self, at: At, sym: Sym, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let bindings = self.reaching(at, sym);
        if bindings.is_empty() {
            return self.by_reference(at, frames, q);
        }
        let name = self.facts(at.file).name(sym).to_owned();
        let mut out = Vec::new();
        for (binding, _) in bindings {
            let before = out.len();
            match binding.value {
                Bound::Expr(expr) => out.extend(self.values_in(At { file: at.file, expr }, frames, q)),
                Bound::Param(function, index) => {
                    let arguments = self.arguments_of_param(at.file, function, index, frames, q);
                    for (argument, frames) in arguments {
                        out.extend(self.values_in(argument, &frames, q));
                    }
                    out.extend(self.option_default(at.file, function, &name, q));
                    if out.len() == before {
                        out.push(self.hole(at));
                    }
                }
                Bound::Import(index)
                    if self.imported_values(at.file, index, q).is_some_and(|known| {
                        out.extend(known);
                        true
                    }) => {}
                _ => {
                    for reference in self.bound(at.file, binding, frames, q) {
                        out.extend(self.value_of(reference, at, q));
                    }
                }
            }
            let step = Step { what: format!("`{name}`"), file: self.path(at.file).to_owned(), line: binding.line };
            for known in &mut out[before..] {
                if known.steps.len() < 16 && !known.steps.is_empty() {
                    known.steps.push(step.clone());
                }
            }
        }
        prefer_known(out)
    }

    /// The value of a name of another submitted module.
    pub(super) fn imported_values(&self, file: usize, index: u32, q: &mut Question) -> Option<Vec<Known>> {
        let import = &self.facts(file).imports[index as usize];
        let Item::Member(name) = &import.item else { return None };
        let module = self.imports.module(file, index as usize)?;
        self.module_values(module, name, q)
    }

    /// The value that a submitted module gives a name.
    pub(super) fn module_values(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Known>> {
        if !q.step() {
            return None;
        }
        let known = self.module_values_of(file, name, q);
        q.back();
        known.filter(|known| !known.is_empty())
    }

    pub(super) fn module_values_of(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Known>> {
        let facts = self.facts(file);
        let mut out = Vec::new();
        let mut expressions = Vec::new();
        let mut imports = Vec::new();
        let mut of_bindings = |bindings: &[Binding], line: &mut u32| {
            for (binding, _) in super::names::select(facts, bindings, MODULE, BlockId(0), None) {
                *line = binding.line;
                match binding.value {
                    Bound::Expr(expr) => expressions.push(expr),
                    Bound::Import(index) => imports.push(index),
                    _ => {}
                }
            }
        };
        let mut line = 1;
        if self.is_python(file) {
            of_bindings(facts.bindings_named(MODULE, name), &mut line);
        } else {
            let mut more = Vec::new();
            for (_, exported) in facts.exports.iter().filter(|(exported, _)| &**exported == name) {
                match *exported {
                    Exported::Local(sym) => of_bindings(facts.bindings_in(MODULE, sym), &mut line),
                    Exported::Expr(expr) => more.push(Ok(expr)),
                    Exported::Import(index) => more.push(Err(index)),
                }
            }
            for found in more {
                match found {
                    Ok(expr) => expressions.push(expr),
                    Err(index) => imports.push(index),
                }
            }
        }
        for expr in expressions {
            out.extend(self.values_in(At { file, expr }, &None, q));
        }
        for index in imports {
            out.extend(self.imported_values(file, index, q).unwrap_or_default());
        }
        let step = Step { what: format!("`{name}`"), file: self.path(file).to_owned(), line };
        for known in &mut out {
            if !known.steps.is_empty() && known.steps.len() < 16 {
                known.steps.push(step.clone());
            }
        }
        if out.is_empty() { None } else { Some(prefer_known(out)) }
    }

    /// `@click.option("--model", default="…")` gives the parameter of that name its value.
    pub(super) fn option_default(&self, file: usize, function: FunctionId, name: &str, q: &mut Question) -> Vec<Known> {
        let facts = self.facts(file);
        let mut out = Vec::new();
        for &decorator in &facts.functions[function.0 as usize].decorators {
            let Some(call) = facts.call(decorator) else { continue };
            let flag = call.args.iter().filter(|a| a.name.is_none()).filter_map(|a| facts.text(a.value));
            let named = flag.into_iter().any(|flag| flag.trim_start_matches('-').replace('-', "_") == name);
            let at = At { file, expr: decorator };
            if let (true, Some((default, _))) =
                (named, self.argument_in(at, &None, &[ArgRef::Name("default".into())], q))
            {
                out.extend(self.text_in(default, &None, q).map(|text| {
                    let piece = Piece::Env { name: String::new(), default: Some(text) };
                    self.text_known(default, vec![piece], "default of an option")
                }));
            }
        }
        out
    }

    pub(super) fn by_reference(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let mut out = Vec::new();
        for reference in self.refer_in(at, frames, q) {
            out.extend(self.value_of(reference, at, q));
        }
        if out.is_empty() {
            out.push(self.hole(at));
        }
        prefer_known(out)
    }

    /// The value of what an expression stands for.
    pub(super) fn value_of(&self, reference: Ref, at: At, q: &mut Question) -> Vec<Known> {
        match reference {
            Ref::Expr(to, frames) if to != at => self.values_in(to, &frames, q),
            Ref::Expr(..) | Ref::Unknown => vec![self.hole(at)],
            Ref::External(ref symbol, _) if symbol.is_unknown() => vec![self.hole(at)],
            other => vec![Known { value: Value::Object(other), steps: Vec::new(), origin: at }],
        }
    }

    /// `os.environ["X"]`, `process.env.X`, `settings.model`, `args.model`, `CONFIG["base"]`.
    pub(super) fn member_value(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let facts = self.facts(at.file);
        let here = |expr| At { file: at.file, expr };
        let (base, key) = match facts.kind(at.expr) {
            ExprKind::Attr(base, sym) => (here(*base), Some(facts.name(*sym).to_owned())),
            ExprKind::Index(base, key) => (here(*base), self.text_in(here(*key), frames, q)),
            _ => return self.by_reference(at, frames, q),
        };
        if let (ExprKind::Index(..), Some(key)) = (facts.kind(at.expr), &key) {
            if let Some(known) = self.split_part(base, key, frames, q) {
                return known;
            }
            if let (Some((holder, true)), "0") = (self.entries_of(base), key.as_str()) {
                return self.keys_of_map(holder, frames, q);
            }
        }
        let mut out = Vec::new();
        for reference in self.refer_in(base, frames, q) {
            match (&reference, &key) {
                (Ref::External(symbol, calls), Some(key)) => {
                    if let Some(rule) = self.env_map(symbol, calls, base, q) {
                        let name = variable_name(rule.template.as_deref(), key);
                        let default = self.schema_default(rule, calls, key, q);
                        out.push(self.variable(at, name, default, q));
                        continue;
                    }
                    let before = out.len();
                    for placed in self.placed(symbol, key) {
                        out.extend(self.values_in(placed, &None, q));
                    }
                    if out.len() > before {
                        continue;
                    }
                    if let Some((call, _)) = calls.last() {
                        out.extend(self.parsed_option(*call, symbol, key, q));
                    }
                }
                (Ref::Instance(file, class, made), Some(key)) => {
                    out.extend(self.field_value(*file, *class, made.as_ref(), key, q));
                }
                (Ref::Module(file), Some(key)) => out.extend(self.module_values(*file, key, q).unwrap_or_default()),
                (Ref::Expr(holder, holder_frames), Some(key)) => {
                    if let Some((value, frames)) = self.literal_element(*holder, holder_frames, key, q) {
                        out.extend(self.values_in(value, &frames, q));
                    }
                }
                (Ref::Class(file, class), Some(key)) => out.extend(self.field_value(*file, *class, None, key, q)),
                _ => {}
            }
        }
        if out.iter().any(|known| !matches!(&known.value, Value::Text(p) if matches!(p[..], [Piece::Hole(_)]))) {
            return prefer_known(out);
        }
        let mut known = self.by_reference(at, frames, q);
        if let Some(key) = key {
            let step = self.step(at, format!("`{key}`"));
            for known in &mut known {
                if !known.steps.is_empty() && known.steps.len() < 16 {
                    known.steps.push(step.clone());
                }
            }
        }
        known
    }

    /// The keys of a map, and the names that a module exports; each comes from where its value stands.
    fn keys_of_map(&self, holder: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let mut out = Vec::new();
        for reference in self.refer_in(holder, frames, q) {
            let named: Vec<(String, At)> = match reference {
                Ref::Module(file) => self.exported_names(file, q),
                Ref::Expr(at, frames) => {
                    let pairs = self.pairs_in(at, &frames, q).into_iter();
                    pairs.filter_map(|(key, value, _)| Some((key?, value))).collect()
                }
                _ => Vec::new(),
            };
            for (name, at) in named.into_iter().take(q.many) {
                let pieces = vec![Piece::Lit(name)];
                out.push(Known { value: Value::Text(pieces), steps: vec![self.step(at, "key".into())], origin: at });
            }
        }
        if out.is_empty() { vec![self.hole(holder)] } else { out }
    }

    /// The rule by which a symbol is a map of variables.
    pub(super) fn env_map(
        &self,
        symbol: &Symbol,
        calls: &[(At, Frames)],
        at: At,
        q: &mut Question,
    ) -> Option<&EnvRule> {
        let mut rules = self.rules(symbol, RuleKind::EnvRead).map(|(entry, rule)| &entry.env_read[rule as usize]);
        if let Some(rule) = rules.find(|rule| rule.map) {
            return (rule.of.is_empty() || self.is_of_map(rule, calls, q)).then_some(rule);
        }
        if !symbol.is_unknown() {
            return None;
        }
        // A parameter that nobody annotated is known by the name that the documents give it.
        let facts = self.facts(at.file);
        let ExprKind::Attr(base, member) = *facts.kind(at.expr) else { return None };
        let ExprKind::Name(base) = *facts.kind(base) else { return None };
        let written = format!("{}.{}", facts.name(base), facts.name(member));
        let rules = self.knowledge.entries().flat_map(|(_, entry)| &entry.env_read);
        rules.into_iter().find(|rule| rule.written.contains(&written))
    }

    /// `schema.safeParse(process.env)`: what the last call is given is a map of variables.
    fn is_of_map(&self, rule: &EnvRule, calls: &[(At, Frames)], q: &mut Question) -> bool {
        let Some((call, frames)) = calls.last() else { return false };
        let Some((given, frames)) = self.argument_in(*call, frames, &rule.of, q) else { return false };
        let is_map = |reference: &Ref| matches!(reference, Ref::External(symbol, _) if self.is_env_map(symbol));
        self.refer_in(given, &frames, q).iter().any(is_map)
    }

    /// `z.object({ MODEL: z.string().default("…") }).parse(process.env)`: the default of a key in the schema of a map.
    fn schema_default(
        &self,
        rule: &EnvRule,
        calls: &[(At, Frames)],
        key: &str,
        q: &mut Question,
    ) -> Option<(String, Vec<Step>)> {
        let mut calls = calls.iter().rev().take(4);
        let (entry, frames) = calls.find_map(|(call, frames)| {
            let schemas = rule
                .schema
                .iter()
                .filter_map(|place| self.argument_in(*call, frames, std::slice::from_ref(place), &mut Question::new()));
            schemas.into_iter().find_map(|schema| self.element_in(&schema, key, &mut Question::new()))
        })?;
        let known = self.values_in(entry, &frames, q);
        known.into_iter().find_map(|known| Some((known.literal_or_default()?, known.steps)))
    }

    /// A field of a submitted class: what constructions give it, what the class and its constructor assign.
    pub(super) fn field_value(
        &self,
        file: usize,
        class: ClassId,
        made: Option<&(At, Frames)>,
        key: &str,
        q: &mut Question,
    ) -> Vec<Known> {
        let facts = self.facts(file);
        let info = &facts.classes[class.0 as usize];
        let bindings = facts.bindings_named(info.scope, key);
        let constructor = self.constructor(file, class);
        let mut out = Vec::new();
        if constructor.is_none() || bindings.is_empty() {
            for (at, frames) in self.given_fields(file, class, key, made, q) {
                out.extend(self.values_in(at, &frames, q));
            }
        }
        let frames: Frames = match (made, constructor) {
            (Some((call, outer)), Some(function)) => {
                Some(Arc::new(Frame { function, call: *call, outer: outer.clone() }))
            }
            _ => None,
        };
        // A field that the subclasses fill in: `self.base` in a method that all of them share.
        let filled = bindings.iter().any(|b| match b.value {
            Bound::Expr(expr) => !matches!(facts.kind(expr), ExprKind::Null) && facts.text(expr) != Some(""),
            Bound::Annotation(_) => false,
            _ => true,
        });
        if !filled && made.is_none() && q.step() {
            for &(f, c) in self.subclasses(file, class).iter().take(q.many) {
                out.extend(self.field_value(f, c, None, key, q));
            }
            q.back();
        }
        let from_env =
            self.reads_environment(file, class, q).map(|rule| self.field_variable(file, class, key, rule, q));
        for binding in bindings.iter().rev().take(MANY) {
            let before = out.len();
            match binding.value {
                Bound::Expr(expr) => {
                    let known = self.values_in(At { file, expr }, &frames, q);
                    let is_absent = |known: &Known| match &known.value {
                        Value::Null => true,
                        // `Field(alias="X")`: a field without a default.
                        Value::Text(pieces) => matches!(pieces[..], [Piece::Hole(_)]),
                        Value::Object(reference) => matches!(reference, Ref::External(..)),
                    };
                    out.extend(known.into_iter().map(|known| match (&from_env, known.literal()) {
                        (Some(name), Some(text)) => {
                            let piece = Piece::Env { name: name.clone(), default: Some(text) };
                            Known { value: Value::Text(vec![piece]), ..known }
                        }
                        (Some(name), None) if is_absent(&known) => {
                            self.variable(At { file, expr }, name.clone(), None, q)
                        }
                        _ => known,
                    }));
                }
                Bound::Annotation(expr) => {
                    if let Some(name) = &from_env {
                        out.push(self.variable(At { file, expr }, name.clone(), None, q));
                    }
                }
                _ => {}
            }
            let step = Step { what: format!("`{key}`"), file: self.path(file).to_owned(), line: binding.line };
            for known in &mut out[before..] {
                if known.steps.len() < 16 && !known.steps.is_empty() {
                    known.steps.push(step.clone());
                }
            }
        }
        prefer_known(out)
    }

    /// The rule by which a class reads its fields from the environment (pydantic's settings).
    pub(super) fn reads_environment(&self, file: usize, class: ClassId, q: &mut Question) -> Option<&EnvRule> {
        let bases = self.facts(file).classes[class.0 as usize].bases.clone();
        bases.into_iter().take(4).find_map(|expr| {
            self.refer_in(At { file, expr }, &None, q).into_iter().find_map(|base| match base {
                Ref::External(symbol, _) => {
                    let mut rules =
                        self.rules(&symbol, RuleKind::EnvRead).map(|(entry, rule)| &entry.env_read[rule as usize]);
                    rules.find(|rule| rule.fields)
                }
                Ref::Class(f, c) if (f, c) != (file, class) && q.step() => {
                    let reads = self.reads_environment(f, c, q);
                    q.back();
                    reads
                }
                _ => None,
            })
        })
    }

    /// The variable behind a field of such a class: its alias, or its name in capitals behind the class's prefix.
    fn field_variable(&self, file: usize, class: ClassId, key: &str, rule: &EnvRule, q: &mut Question) -> String {
        let facts = self.facts(file);
        let scope = facts.classes[class.0 as usize].scope;
        let last = |scope: ScopeId, name: &str| facts.bindings_named(scope, name).last().map(|binding| binding.value);
        if let Some(Bound::Expr(expr)) = last(scope, key)
            && facts.call(expr).is_some()
            && let Some((alias, frames)) = self.argument_in(At { file, expr }, &None, &rule.alias, q)
        {
            // `AliasChoices("A", "B")`: the first is asked first.
            let alias = self.argument_in(alias, &frames, &[ArgRef::Position(0)], q).map_or(alias, |(first, _)| first);
            if let Some(name) = self.text_in(alias, &frames, q) {
                return name;
            }
        }
        let prefix = rule.prefix.iter().find_map(|path| {
            let (member, part) = path.split_once('.')?;
            let value = match last(scope, member)? {
                Bound::Class(inner) => match last(facts.classes[inner.0 as usize].scope, part)? {
                    Bound::Expr(expr) => At { file, expr },
                    _ => return None,
                },
                Bound::Expr(expr) => {
                    let holder = At { file, expr };
                    let argument = self.argument_in(holder, &None, &[ArgRef::Name(part.into())], q);
                    argument.or_else(|| self.element_in(&(holder, None), part, q))?.0
                }
                _ => return None,
            };
            self.text_in(value, &None, q)
        });
        format!("{}{key}", prefix.unwrap_or_default()).to_ascii_uppercase()
    }

    /// `parser.parse_args().model`: the default of the option of that name, declared on the same parser.
    pub(super) fn parsed_option(&self, call: At, symbol: &Symbol, key: &str, q: &mut Question) -> Vec<Known> {
        let parses = symbol.last().is_some_and(|last| last == "parse_args()" || last == "opts()" || last == "parse()");
        if !parses {
            return Vec::new();
        }
        let facts = self.facts(call.file);
        let options = self.options[call.file].get_or_init(|| options(facts));
        let mut out = Vec::new();
        for &candidate in options.get(key).map_or(&[][..], Vec::as_slice) {
            let candidate = &facts.calls[candidate as usize];
            work::done(1);
            let at = At { file: call.file, expr: candidate.expr };
            let places = [ArgRef::Name("default".into()), ArgRef::Position(2)];
            if let Some((default, frames)) = self.argument_in(at, &None, &places, q)
                && let Some(text) = self.text_in(default, &frames, q)
            {
                let piece = Piece::Env { name: String::new(), default: Some(text) };
                out.push(self.text_known(default, vec![piece], &format!("default of option `{key}`")));
            }
        }
        out
    }

    pub(super) fn called_value(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let Some(call) = self.call(at) else { return vec![self.hole(at)] };
        let callee = At { file: at.file, expr: call.callee };
        let callee_refs = self.refer_in(callee, frames, q);
        for reference in &callee_refs {
            let Ref::External(symbol, calls) = reference else { continue };
            if let Some(known) = self.env_read(symbol, at, frames, q) {
                return known;
            }
            if let Some(known) = self.map_get(symbol, at, frames, q) {
                return known;
            }
            if let Some((inner, frames)) = self.passed_through(symbol, at, frames, q) {
                return self.given_or_made(inner, &frames, q);
            }
            if let Some(known) = self.joined(symbol, at, frames, q) {
                return known;
            }
            if let Some(root) = self.loaded(symbol, calls, at, frames, q) {
                return self.values_in(root, &None, q);
            }
            let taken = self.taken_out(at, frames, q);
            if !taken.is_empty() {
                return prefer_known(taken.into_iter().flat_map(|at| self.values_in(at, &None, q)).collect());
            }
        }
        let facts = self.facts(at.file);
        if let ExprKind::Attr(base, method) = *facts.kind(call.callee) {
            let base = At { file: at.file, expr: base };
            let method = facts.name(method).to_owned();
            if let Some(known) = self.text_method(at, base, &method, frames, q) {
                return known;
            }
        }
        let mut out = Vec::new();
        for reference in callee_refs {
            match reference {
                Ref::Function(file, id) => {
                    let frame = Frame { function: (file, id), call: at, outer: frames.clone() };
                    let inner = Some(Arc::new(frame));
                    for &expr in self.facts(file).functions[id.0 as usize].returns.iter().take(MANY) {
                        out.extend(self.values_in(At { file, expr }, &inner, q));
                    }
                }
                Ref::Class(file, class) => out.push(Known {
                    value: Value::Object(Ref::Instance(file, class, Some((at, frames.clone())))),
                    steps: Vec::new(),
                    origin: at,
                }),
                Ref::External(symbol, mut calls) if !symbol.is_unknown() => {
                    calls.push((at, frames.clone()));
                    let object = Ref::External(symbol.called(), calls);
                    out.push(Known { value: Value::Object(object), steps: Vec::new(), origin: at });
                }
                _ => {}
            }
        }
        if out.is_empty() {
            out.push(self.hole(at));
        }
        prefer_known(out)
    }

    /// `context.tools.get("crm", default)`: a look-up in a map of variables.
    fn map_get(&self, symbol: &Symbol, at: At, frames: &Frames, q: &mut Question) -> Option<Vec<Known>> {
        let callee = self.call(at)?.callee;
        let ExprKind::Attr(base, _) = *self.facts(at.file).kind(callee) else { return None };
        if symbol.last() != Some("get") {
            return None;
        }
        let base = At { file: at.file, expr: base };
        let template = self.refer_in(base, frames, q).into_iter().find_map(|reference| match reference {
            Ref::External(symbol, calls) => self.env_map(&symbol, &calls, base, q).map(|rule| rule.template.clone()),
            _ => None,
        })?;
        let (key, key_frames) = self.argument_in(at, frames, &[ArgRef::Position(0)], q)?;
        let key = self.text_in(key, &key_frames, q)?;
        let default = self.argument_in(at, frames, &[ArgRef::Position(1)], q);
        let default = default.and_then(|(at, frames)| self.text_in(at, &frames, q)).filter(|text| !text.is_empty());
        let name = variable_name(template.as_deref(), &key);
        Some(vec![self.variable(at, name, default.map(|text| (text, Vec::new())), q)])
    }

    /// A variable of the environment, with its fallback: what the look-up says, else what the program itself sets.
    fn variable(&self, at: At, name: String, fallback: Option<(String, Vec<Step>)>, q: &mut Question) -> Known {
        let fallback = fallback.or_else(|| {
            q.open = true;
            if self.stage >= Stage::Callers {
                self.note(On::Variable, memo::place(&name));
            }
            let set = *self.variables.get(&name)?;
            let known = self.values_in(set, &None, q);
            known.into_iter().find_map(|known| Some((known.literal_or_default()?, known.steps)))
        });
        let (default, mut steps) = fallback.map_or((None, Vec::new()), |(text, steps)| (Some(text), steps));
        steps.push(self.step(at, format!("env `{name}`")));
        Known { value: Value::Text(vec![Piece::Env { name, default }]), steps, origin: at }
    }

    /// What the program itself gives a variable of the environment.
    pub fn set_variable(&self, name: &str) -> Vec<Known> {
        self.note(On::Variable, memo::place(name));
        self.variables.get(name).map(|at| self.values(*at, &None)).unwrap_or_default()
    }

    /// Addresses and models of a submitted `.env`; what else is in there is nobody's business here.
    fn env_file(&self, file: usize) -> Vec<(String, At)> {
        let facts = self.facts(file);
        let Some((_, Exported::Expr(root))) = facts.exports.first() else { return Vec::new() };
        let ExprKind::Dict(pairs) = facts.kind(*root) else { return Vec::new() };
        let told = pairs.iter().filter_map(|(key, value)| Some((facts.text((*key)?)?, facts.text(*value)?, *value)));
        // `MODEL=MODEL_NAME` is a place to fill in.
        let wanted = told.filter(|(key, text, _)| {
            let is_secret = ["KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL"].iter().any(|part| key.contains(part));
            let is_told = key.contains("MODEL") || text.contains("://") && !text.contains('@');
            is_told && !is_secret && text.contains(|c: char| c.is_lowercase())
        });
        wanted.map(|(key, _, expr)| (key.to_owned(), At { file, expr })).collect()
    }

    /// Variables that a file sets: `os.environ["X"] = …`, `process.env.X = …`, lines of a `.env`.
    pub(super) fn sets_variables(&self, file: usize) -> Vec<(String, At)> {
        if crate::lang::is_env_file(self.path(file)) {
            return self.env_file(file);
        }
        let facts = self.facts(file);
        let maps = self.knowledge.entries().flat_map(|(_, entry)| &entry.env_read).filter(|rule| rule.map);
        let maps: Vec<&str> = maps.flat_map(|rule| rule.python.iter().chain(&rule.js)).map(String::as_str).collect();
        let may_be_map = |base: ExprId| match *facts.kind(base) {
            ExprKind::Attr(_, sym) | ExprKind::Name(sym) => {
                let name = facts.name(sym);
                maps.iter().any(|map| map.rsplit(['.', '#']).next() == Some(name))
            }
            _ => false,
        };
        let mut set = Vec::new();
        for assignment in &facts.place_assignments {
            let (base, key) = match *facts.kind(assignment.target) {
                ExprKind::Index(base, key) => (base, facts.text(key)),
                ExprKind::Attr(base, member) => (base, Some(facts.name(member))),
                _ => continue,
            };
            let Some(key) = key.filter(|_| may_be_map(base)) else { continue };
            let is_map = |reference: &Ref| match reference {
                Ref::External(symbol, _) => {
                    self.rules(symbol, RuleKind::EnvRead).any(|(e, r)| e.env_read[r as usize].map)
                }
                _ => false,
            };
            if self.refer(At { file, expr: base }, &None).iter().any(is_map) {
                set.push((key.to_owned(), At { file, expr: assignment.value }));
            }
        }
        set
    }

    /// What an argument is, or what it gives where it is a function: `default_factory=lambda: …`.
    fn given_or_made(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let made = self.refer_in(at, frames, q).into_iter().find_map(|reference| match reference {
            Ref::Function(file, id) => Some((file, id)),
            _ => None,
        });
        let Some((file, id)) = made else { return self.values_in(at, frames, q) };
        let returns = &self.facts(file).functions[id.0 as usize].returns;
        prefer_known(returns.iter().take(MANY).flat_map(|&expr| self.values_in(At { file, expr }, &None, q)).collect())
    }

    /// `os.getenv("X", "default")`.
    pub(super) fn env_read(&self, symbol: &Symbol, at: At, frames: &Frames, q: &mut Question) -> Option<Vec<Known>> {
        let (entry, rule) = self.rules(symbol, RuleKind::EnvRead).find(|(e, r)| !e.env_read[*r as usize].map)?;
        let rule = &entry.env_read[rule as usize];
        if rule.fields {
            return None;
        }
        let (name, name_frames) = self.argument_in(at, frames, &rule.name, q)?;
        let name = self.text_in(name, &name_frames, q)?;
        let default = self.argument_in(at, frames, &rule.default, q).and_then(|(default, frames)| {
            let known = self.values_in(default, &frames, q);
            known.into_iter().find_map(|known| known.literal_or_default().map(|text| (text, known.steps)))
        });
        Some(vec![self.variable(at, name, default, q)])
    }
}

/// The variable behind a key of a map: `crm` is `TOOL_CRM_URL` by the template `TOOL_{}_URL`.
fn variable_name(template: Option<&str>, key: &str) -> String {
    match template {
        Some(template) => template.replace("{}", &key.to_ascii_uppercase().replace('-', "_")),
        None => key.to_owned(),
    }
}

/// Calls that declare options of the command line, by the names of the options.
pub(super) fn options(facts: &FileFacts) -> FxHashMap<String, Vec<u32>> {
    let mut options: FxHashMap<String, Vec<u32>> = FxHashMap::default();
    for (index, call) in facts.calls.iter().enumerate() {
        let ExprKind::Attr(_, method) = *facts.kind(call.callee) else { continue };
        if !matches!(facts.name(method), "add_argument" | "option" | "requiredOption") {
            continue;
        }
        let flags = call.args.iter().filter(|a| a.name.is_none()).filter_map(|a| facts.text(a.value));
        for flag in flags.flat_map(|flag| flag.split([',', ' '])) {
            let calls = options.entry(flag.trim_start_matches('-').replace('-', "_")).or_default();
            if calls.last() != Some(&(index as u32)) {
                calls.push(index as u32);
            }
        }
    }
    options
}

/// Alternatives that say the same are one, and there are not many.
pub(super) fn distinct(known: &mut Vec<Known>, many: usize) {
    let mut seen: Vec<String> = Vec::new();
    known.retain(|k| match k.template() {
        Some(text) if seen.contains(&text) => false,
        Some(text) => {
            seen.push(text);
            true
        }
        None => true,
    });
    known.truncate(many);
}

/// Adjacent known text is one piece.
pub(super) fn push_piece(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (_, Piece::Lit(text)) if text.is_empty() => {}
        (Some(Piece::Lit(last)), Piece::Lit(text)) => last.push_str(&text),
        (_, piece) => pieces.push(piece),
    }
}

/// Drops the entirely unknown where something is known.
pub(super) fn prefer_known(mut known: Vec<Known>) -> Vec<Known> {
    let says = |k: &Known| match &k.value {
        Value::Text(pieces) => !matches!(pieces[..], [Piece::Hole(_)]),
        Value::Object(Ref::Unknown) | Value::Null => false,
        Value::Object(_) => true,
    };
    if known.iter().any(says) {
        known.retain(says);
    }
    known
}
