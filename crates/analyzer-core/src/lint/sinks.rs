//! Calls, options and assignments by name: `rules/sinks.toml`, and who matches them.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::view::{Draft, Seen};
use crate::analysis::Confidence;
use crate::facts::{ExprId, ExprKind, FileFacts, Item, Sym};
use crate::knowledge::index::Symbol;
use crate::knowledge::schema::ArgRef;
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
    Index { file, calls }
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
    pub fn argument(&self, seen: &Seen) -> Option<(At, Frames)> {
        seen.cx.project.argument(self.site.at, &None, &self.call.arg)
    }
}

/// Calls whose last name some rule looks for, with what they call.
pub fn watched(cx: &Context) -> Vec<Site> {
    let index = &*INDEX;
    let mut sites = Vec::new();
    for file in 0..cx.project.files.len() {
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

/// Calls of one rule.
pub fn calls<'s>(seen: &'s Seen, rule: &str) -> Vec<Found<'s>> {
    let index = &*INDEX;
    let mut found: Vec<Found> = Vec::new();
    for site in &seen.watched {
        let Some(last) = site.symbol.last() else { continue };
        let Some(candidates) = index.calls.get(last.trim_end_matches("()")) else { continue };
        for (number, symbol) in candidates {
            let call = &index.file.call[*number];
            let confidence = match symbol {
                Some(symbol) if symbol.is_path_of(&site.symbol) => Confidence::High,
                Some(_) => continue,
                None => Confidence::Medium,
            };
            if call.rule == rule && holds(seen, call, site) && found.last().is_none_or(|last| last.site.at != site.at) {
                found.push(Found { site, call, confidence });
            }
        }
    }
    found
}

fn holds(seen: &Seen, call: &Call, site: &Site) -> bool {
    let argument = |places: &[ArgRef]| seen.cx.project.argument(site.at, &None, places);
    let given = call.only.as_ref().is_none_or(|name| {
        let value = argument(&[ArgRef::Name(name.clone())]);
        value.is_some_and(|(at, _)| written(seen.facts(at.file), at.expr).as_deref() == Some("true"))
    });
    // What is spread into a call may hold anything.
    let facts = seen.facts(site.at.file);
    let spread = || {
        let call = facts.call(site.at.expr);
        call.is_some_and(|call| call.args.iter().any(|arg| matches!(facts.kind(arg.value), ExprKind::Spread(_))))
    };
    given && (call.unless.is_empty() || argument(&call.unless).is_none() && !spread())
}

/// Options and assignments of one rule.
pub fn settings(seen: &Seen, rule: &str, help: &str, out: &mut Vec<Draft>) {
    let index = &*INDEX;
    let options: Vec<&Setting> = index.file.option.iter().filter(|setting| setting.rule == rule).collect();
    let assigned: Vec<&Setting> = index.file.assign.iter().filter(|setting| setting.rule == rule).collect();
    for (file, _, facts) in seen.files() {
        let wanted = |settings: &[&'static Setting], name: &str, value: ExprId, module: Option<&str>| {
            settings.iter().copied().find(|setting| {
                setting.name == name
                    && (setting.modules.is_empty()
                        || module.is_some_and(|module| setting.modules.iter().any(|own| own == module)))
                    && written(facts, value).is_some_and(|text| text.eq_ignore_ascii_case(&setting.value))
            })
        };
        for call in &facts.calls {
            for arg in call.args.iter().filter(|arg| arg.name.is_some()) {
                let name = arg.name.map_or("", |sym| facts.name(sym));
                if !options.iter().any(|setting| setting.name == name) {
                    continue;
                }
                let module = symbols(seen.cx, file, call.callee).next().map(|(symbol, _)| root(&symbol));
                if let Some(setting) = wanted(&options, name, arg.value, module.as_deref()) {
                    report(seen, At { file, expr: arg.value }, name, setting, help, out);
                }
            }
        }
        for expr in &facts.exprs {
            let ExprKind::Dict(items) = &expr.kind else { continue };
            for (key, value) in items.iter().filter_map(|(key, value)| Some(((*key)?, *value))).take(4_096) {
                let Some(name) = facts.text(key) else { continue };
                if let Some(setting) = wanted(&options, name, value, None) {
                    report(seen, At { file, expr: value }, name, setting, help, out);
                }
            }
        }
        for assignment in &facts.place_assignments {
            let name = match facts.kind(assignment.target) {
                ExprKind::Attr(_, sym) => facts.name(*sym),
                ExprKind::Index(_, key) => facts.text(*key).unwrap_or(""),
                _ => continue,
            };
            if let Some(setting) = wanted(&assigned, name, assignment.value, None) {
                report(seen, At { file, expr: assignment.value }, name, setting, help, out);
            }
        }
    }
}

fn report(seen: &Seen, at: At, name: &str, setting: &Setting, help: &str, out: &mut Vec<Draft>) {
    let message = format!("`{name}` set to `{}` {}", setting.value, setting.what);
    out.push(Draft::new(seen.at(at), message, help));
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
