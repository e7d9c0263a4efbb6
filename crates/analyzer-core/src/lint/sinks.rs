//! Calls, options and assignments by name: `rules/sinks.toml`, and who matches them.

use std::cell::LazyCell;
use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::credentials;
use super::view::{Draft, Seen};
use crate::analysis::Confidence;
use crate::facts::{ExprId, ExprKind, FileFacts, Item, Sym};
use crate::knowledge::index::Symbol;
use crate::knowledge::schema::ArgRef;
use crate::memo::{self, Asked, On};
use crate::resolve::{At, Frames, Ref};
use crate::sites::{Context, Site};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    call: Vec<Call>,
    option: Vec<Setting>,
    assign: Vec<Setting>,
}

/// A call that a rule looks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    rule: String,
    #[serde(default)]
    python: Vec<String>,
    #[serde(default)]
    js: Vec<String>,
    #[serde(default)]
    members: Vec<String>,
    /// Where the value stands that matters.
    #[serde(default)]
    pub arg: Vec<ArgRef>,
    only: Option<String>,
    #[serde(default)]
    unless: Vec<ArgRef>,
    /// Of a literal list only the first element counts.
    #[serde(default)]
    pub program: bool,
    /// The text must look like SQL.
    #[serde(default)]
    pub sql: bool,
    /// What it does, for messages.
    pub what: String,
}

/// An option or an assignment that a rule looks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    rule: String,
    name: String,
    value: String,
    #[serde(default)]
    modules: Vec<String>,
    what: String,
}

struct Index {
    file: File,
    /// Calls by the last name of a symbol, with the symbol; none for those by member alone.
    calls: FxHashMap<String, Vec<(usize, Option<Symbol>)>>,
    /// Options and assignments by name.
    options: FxHashMap<String, Vec<usize>>,
    assigned: FxHashMap<String, Vec<usize>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("../../rules/sinks.toml")).expect("the embedded file is tested");
    let mut calls: FxHashMap<String, Vec<(usize, Option<Symbol>)>> = FxHashMap::default();
    for (index, call) in file.call.iter().enumerate() {
        let symbols = call.python.iter().map(|text| Symbol::parse(true, text));
        for symbol in symbols.chain(call.js.iter().map(|text| Symbol::parse(false, text))) {
            let last = symbol.last().unwrap_or_default();
            calls.entry(last.trim_end_matches("()").to_owned()).or_default().push((index, Some(symbol)));
        }
        for member in &call.members {
            calls.entry(member.clone()).or_default().push((index, None));
        }
    }
    let named = |settings: &[Setting]| {
        let mut named: FxHashMap<String, Vec<usize>> = FxHashMap::default();
        for (number, setting) in settings.iter().enumerate() {
            named.entry(setting.name.clone()).or_default().push(number);
        }
        named
    };
    let (options, assigned) = (named(&file.option), named(&file.assign));
    Index { file, calls, options, assigned }
});

/// A call that a rule looks for, in the code.
pub struct Found<'s> {
    /// The call.
    pub site: &'s Site,
    /// What it is.
    pub call: &'static Call,
    /// How sure.
    pub confidence: Confidence,
}

impl Found<'_> {
    /// The argument that matters.
    pub fn argument(&self, cx: &Context) -> Option<(At, Frames)> {
        cx.project.argument(self.site.at, &None, &self.call.arg)
    }
}

/// What rules look for in a file.
#[derive(PartialEq)]
pub struct Watched {
    /// Calls whose last name some rule looks for, with what they call.
    sites: Vec<Site>,
    /// Which of them are which calls, by number, and how sure that is.
    calls: Vec<(usize, usize, Confidence)>,
    /// Values that are set, by the name that the code gives them.
    settings: Vec<(At, String, Given)>,
    /// Credentials that are logged: the argument, the variable, the number of the call.
    logged: Vec<(At, String, usize)>,
}

/// An option or an assignment, by number.
#[derive(Clone, Copy, PartialEq)]
enum Given {
    Option(usize),
    Assigned(usize),
}

impl Given {
    fn setting(self) -> &'static Setting {
        match self {
            Given::Option(number) => &INDEX.file.option[number],
            Given::Assigned(number) => &INDEX.file.assign[number],
        }
    }
}

impl Watched {
    /// Credentials that are logged: the argument, the variable, and what it is written to.
    pub fn logged(&self) -> impl Iterator<Item = (&At, &str, &'static str)> {
        self.logged.iter().map(|(at, variable, call)| (at, variable.as_str(), INDEX.file.call[*call].what.as_str()))
    }

    /// Calls of one rule.
    pub fn calls(&self, rule: &str) -> Vec<Found<'_>> {
        let mut found: Vec<Found> = Vec::new();
        for &(site, number, confidence) in &self.calls {
            let (site, call) = (&self.sites[site], &INDEX.file.call[number]);
            if call.rule == rule && found.last().is_none_or(|last| last.site.at != site.at) {
                found.push(Found { site, call, confidence });
            }
        }
        found
    }
}

/// Looks in every file for what rules look for.
pub fn watched(cx: &Context) -> Vec<Arc<Watched>> {
    memo::each_told(cx.project.memo, cx.project.count(), Asked::Watched, On::Watched, cx, |cx, file| {
        let sites = named_calls(cx, file);
        let calls = sites.iter().enumerate().flat_map(|(index, site)| matches(cx, index, site)).collect();
        let mut watched = Watched { sites, calls, settings: given(cx, file), logged: Vec::new() };
        let number = |call: &'static Call| INDEX.file.call.iter().position(|own| std::ptr::eq(own, call));
        let logs =
            watched.calls("secret-logged").into_iter().filter_map(|found| Some((found.site.at, number(found.call)?)));
        let logged = logs.flat_map(|(call, number)| {
            let logged = credentials::logged_by(cx, call).into_iter();
            logged.map(move |(at, variable)| (at, variable, number))
        });
        watched.logged = logged.collect();
        watched
    })
}

/// Calls of a file whose last name some rule looks for.
fn named_calls(cx: &Context, file: usize) -> Vec<Site> {
    let index = &*INDEX;
    let mut sites = Vec::new();
    let facts = cx.project.facts(file);
    // `from os import system as run`
    let renamed = |sym: Sym| {
        facts.imports.iter().any(|import| {
            let named = matches!(&import.item, Item::Member(name) if index.calls.contains_key(&**name));
            named && import.local == Some(sym)
        })
    };
    for call in &facts.calls {
        let wanted = match *facts.kind(call.callee) {
            ExprKind::Attr(_, sym) => index.calls.contains_key(facts.name(sym)),
            ExprKind::Name(sym) => index.calls.contains_key(facts.name(sym)) || renamed(sym),
            _ => false,
        };
        if !wanted {
            continue;
        }
        let found = symbols(cx, file, call.callee).next();
        let at = At { file, expr: call.expr };
        sites.extend(found.map(|(symbol, chain)| Site { at, symbol, chain, hits: Vec::new() }));
    }
    sites
}

/// What an expression outside of the submitted files stands for.
fn symbols(cx: &Context, file: usize, callee: ExprId) -> impl Iterator<Item = (Symbol, Vec<(At, Frames)>)> {
    let refs = cx.project.refer(At { file, expr: callee }, &None).into_iter();
    refs.filter_map(move |reference| match reference {
        Ref::External(symbol, chain) => Some((cx.project.as_callee(symbol, file), chain)),
        _ => None,
    })
}

/// Calls of one rule in all files.
pub fn calls<'s>(seen: &'s Seen, rule: &str) -> impl Iterator<Item = Found<'s>> {
    seen.watched.iter().flat_map(move |of_file| of_file.calls(rule))
}

/// The calls that a call with a watched name is.
fn matches(cx: &Context, index: usize, site: &Site) -> Vec<(usize, usize, Confidence)> {
    let named = site.symbol.last().and_then(|last| INDEX.calls.get(last.trim_end_matches("()")));
    let matched = named.into_iter().flatten().filter_map(|(number, symbol)| {
        let confidence = match symbol {
            Some(symbol) if symbol.is_path_of(&site.symbol) => Confidence::High,
            Some(_) => return None,
            None => Confidence::Medium,
        };
        holds(cx, &INDEX.file.call[*number], site).then_some((index, *number, confidence))
    });
    matched.collect()
}

fn holds(cx: &Context, call: &Call, site: &Site) -> bool {
    let argument = |places: &[ArgRef]| cx.project.argument(site.at, &None, places);
    let given = call.only.as_ref().is_none_or(|name| {
        let value = argument(&[ArgRef::Name(name.clone())]);
        value.is_some_and(|(at, _)| written(cx.project.facts(at.file), at.expr).as_deref() == Some("true"))
    });
    // What is spread into a call may hold anything.
    let facts = cx.project.facts(site.at.file);
    let spread = || {
        let call = facts.call(site.at.expr);
        call.is_some_and(|call| call.args.iter().any(|arg| matches!(facts.kind(arg.value), ExprKind::Spread(_))))
    };
    given && (call.unless.is_empty() || argument(&call.unless).is_none() && !spread())
}

/// Options and assignments of one rule.
pub fn settings(seen: &Seen, rule: &str, help: &str, out: &mut Vec<Draft>) {
    for (at, name, given) in seen.watched.iter().flat_map(|of_file| &of_file.settings) {
        let setting = given.setting();
        if setting.rule == rule {
            let message = format!("`{name}` set to `{}` {}", setting.value, setting.what);
            out.push(Draft::new(seen.at(*at), message, help));
        }
    }
}

/// Options and assignments of a file that some rule looks for: calls, then literals, then assignments.
fn given(cx: &Context, file: usize) -> Vec<(At, String, Given)> {
    let (index, facts) = (&*INDEX, cx.project.facts(file));
    let mut found = Vec::new();
    let mut add = |name: &str, value: ExprId, candidates: &[Given], callee: Option<ExprId>| {
        let module = LazyCell::new(|| symbols(cx, file, callee?).next().map(|(symbol, _)| root(&symbol)));
        // Of one rule, the first that holds.
        let mut rules: Vec<&str> = Vec::new();
        for &given in candidates {
            let setting = given.setting();
            let of_module = || {
                setting.modules.is_empty()
                    || module.as_ref().is_some_and(|module| setting.modules.iter().any(|own| own == module))
            };
            let is_written = || written(facts, value).is_some_and(|text| text.eq_ignore_ascii_case(&setting.value));
            if !rules.contains(&setting.rule.as_str()) && is_written() && of_module() {
                rules.push(&setting.rule);
                found.push((At { file, expr: value }, name.to_owned(), given));
            }
        }
    };
    let options = |name: &str| -> Vec<Given> {
        index.options.get(name).into_iter().flatten().map(|&number| Given::Option(number)).collect()
    };
    for call in &facts.calls {
        for (name, value) in call.args.iter().filter_map(|arg| Some((facts.name(arg.name?), arg.value))) {
            add(name, value, &options(name), Some(call.callee));
        }
    }
    for expr in &facts.exprs {
        let ExprKind::Dict(items) = &expr.kind else { continue };
        for (key, value) in items.iter().filter_map(|(key, value)| Some(((*key)?, *value))).take(4_096) {
            if let Some(name) = facts.text(key) {
                add(name, value, &options(name), None);
            }
        }
    }
    for assignment in &facts.place_assignments {
        let name = match facts.kind(assignment.target) {
            ExprKind::Attr(_, sym) => facts.name(*sym),
            ExprKind::Index(_, key) => facts.text(*key).unwrap_or(""),
            _ => continue,
        };
        let assigned: Vec<Given> =
            index.assigned.get(name).into_iter().flatten().map(|&number| Given::Assigned(number)).collect();
        add(name, assignment.value, &assigned, None);
    }
    found
}

/// `requests` of `requests.Session().get`, `@scope/name` of npm packages.
fn root(symbol: &Symbol) -> String {
    match symbol.is_python() {
        true => symbol.module().split('.').next().unwrap_or("").to_owned(),
        false => symbol.module().strip_prefix("node:").unwrap_or(symbol.module()).to_owned(),
    }
}

/// A value as written: `true` in any spelling, a number, a text, the last name of `ssl.CERT_NONE`.
fn written(facts: &FileFacts, expr: ExprId) -> Option<String> {
    Some(match facts.kind(expr) {
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Number(text) | ExprKind::Text(text) => facts.text_of(*text).to_owned(),
        ExprKind::Attr(_, sym) | ExprKind::Name(sym) => facts.name(*sym).to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_names_a_rule_that_is_there() {
        let file = &INDEX.file;
        let settings = file.option.iter().chain(&file.assign).map(|setting| &setting.rule);
        for rule in file.call.iter().map(|call| &call.rule).chain(settings) {
            assert!(super::super::find(rule).is_some(), "{rule}");
        }
    }
}
