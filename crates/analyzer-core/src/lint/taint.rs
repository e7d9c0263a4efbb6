//! What the model decides: parameters of functions it may call, and what it answers.

use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

use super::sinks::{Found, Watched};
use crate::analysis::{Analysis, Confidence, Step, ToolKind};
use crate::facts::{Bound, ExprKind, FunctionId, ScopeKind};
use crate::knowledge::index::RuleKind;
use crate::memo::{self, On};
use crate::resolve::{At, Frame, Ref};
use crate::sites::Context;

/// Steps that one question may take.
const STEPS: usize = 400;

/// Parameters that frameworks fill, not the model.
const FILLED: [&str; 12] = [
    "self",
    "cls",
    "this",
    "ctx",
    "context",
    "run_context",
    "runtime",
    "state",
    "config",
    "session",
    "deps",
    "request",
];

/// Functions that turn a text into something that can no longer be an address, a command or code.
const HARMLESS: [&str; 8] = ["int", "float", "bool", "len", "quote", "Number", "parseInt", "isinstance"];

/// Asks whether a value comes from the model.
pub struct Taint<'a> {
    pub(super) cx: &'a Context<'a>,
    /// What rules look for by name, by file.
    pub(super) watched: Vec<Arc<Watched>>,
    /// Functions that the model may call, by the name of the tool.
    callable: Callable,
}

type Callable = FxHashMap<(usize, FunctionId), (String, Confidence)>;

/// Why a value is the model's.
#[derive(Debug, Clone)]
pub struct FromModel {
    /// `parameter `url` of tool `fetch``.
    pub what: String,
    /// How sure.
    pub confidence: Confidence,
    /// Where it begins.
    pub step: Step,
}

impl<'a> Taint<'a> {
    pub(super) fn new(cx: &'a Context<'a>, analysis: &Analysis, watched: Vec<Arc<Watched>>) -> Taint<'a> {
        let mut callable: Callable = FxHashMap::default();
        let mut tools: FxHashMap<&str, Vec<(&str, u32)>> = FxHashMap::default();
        for tool in analysis.tools.iter().filter(|tool| tool.kind == ToolKind::Function) {
            tools.entry(&tool.file).or_default().push((&tool.name, tool.line));
        }
        for file in 0..cx.project.count() {
            let Some(here) = tools.get(cx.project.path(file)) else { continue };
            let facts = cx.project.facts(file);
            let lines: FxHashMap<u32, &str> = here.iter().map(|(name, line)| (*line, *name)).collect();
            let names: FxHashMap<String, &str> = here.iter().map(|(name, _)| (plain(name), *name)).collect();
            // A registration's functions stand inside its call.
            let calls: Vec<(u32, u32, &str)> = facts
                .calls
                .iter()
                .map(|call| facts.expr(call.expr))
                .filter_map(|expr| Some((expr.start, expr.end, *lines.get(&expr.line)?)))
                .collect();
            for (index, function) in facts.functions.iter().enumerate() {
                let id = FunctionId(index as u32);
                let named = || function.name.and_then(|sym| names.get(&plain(facts.name(sym))).copied());
                let inside = || {
                    let expr = facts.expr(function.expr?);
                    calls.iter().find(|(start, end, _)| *start < expr.start && expr.end <= *end).map(|(.., name)| *name)
                };
                let found = lines
                    .get(&function.line)
                    .map(|name| (*name, Confidence::High))
                    .or_else(|| inside().map(|name| (name, Confidence::High)))
                    .or_else(|| named().map(|name| (name, Confidence::Medium)));
                if let Some((name, confidence)) = found {
                    callable.insert((file, id), (name.to_owned(), confidence));
                }
            }
        }
        if let Some(memo) = cx.project.memo {
            memo.compare(On::Callable, callable.clone(), |before, now| memo::differing(before, now, |(file, _)| *file));
        }
        Taint { cx, watched, callable }
    }

    /// Calls of one rule in a file.
    pub(super) fn calls(&self, file: usize, rule: &str) -> Vec<Found<'_>> {
        self.cx.project.note(On::Watched, file);
        self.watched[file].calls(rule)
    }

    /// Whether the model decides the value of an expression, or a part of it.
    pub fn of(&self, at: At) -> Option<FromModel> {
        let project = self.cx.project;
        let mut seen = FxHashSet::default();
        let mut work = vec![(at, 0)];
        let mut steps = 0;
        while let Some((at, hops)) = work.pop() {
            steps += 1;
            if steps > STEPS || !seen.insert(at) {
                continue;
            }
            crate::work::done(1);
            let facts = project.facts(at.file);
            let here = |expr| At { file: at.file, expr };
            match facts.kind(at.expr) {
                ExprKind::Name(sym) => {
                    let scopes =
                        std::iter::successors(Some(facts.scope_of(at.expr)), |s| facts.scopes[s.0 as usize].parent);
                    let bindings = scopes
                        .filter(|scope| !matches!(facts.scopes[scope.0 as usize].kind, ScopeKind::Class(_)))
                        .map(|scope| facts.bindings_in(scope, *sym))
                        .find(|bindings| !bindings.is_empty());
                    let own = bindings.unwrap_or(&[]);
                    for binding in own.iter().rev().take(6) {
                        match binding.value {
                            Bound::Expr(expr) => work.push((here(expr), hops)),
                            Bound::Param(function, index) => {
                                if let Some(found) = self.parameter(at, function, index, facts.name(*sym)) {
                                    return Some(found);
                                }
                                if hops < 3 {
                                    let given = self.given(at.file, function, index);
                                    work.extend(given.into_iter().map(|given| (given, hops + 1)));
                                }
                            }
                            _ => {}
                        }
                    }
                }
                ExprKind::Attr(base, _)
                | ExprKind::Index(base, _)
                | ExprKind::Element(base)
                | ExprKind::Spread(base) => {
                    work.push((here(*base), hops));
                }
                ExprKind::Concat(parts) | ExprKind::List(parts) => {
                    work.extend(parts.iter().take(64).map(|part| (here(*part), hops)));
                }
                ExprKind::Percent(a, b) | ExprKind::Either(a, b) | ExprKind::Cond(a, b) => {
                    work.extend([(here(*b), hops), (here(*a), hops)]);
                }
                ExprKind::Dict(items) => work.extend(items.iter().take(64).map(|(_, value)| (here(*value), hops))),
                ExprKind::Call(index) => {
                    let call = &facts.calls[*index as usize];
                    if let Some(found) = self.answer(at) {
                        return Some(found);
                    }
                    let last = match facts.kind(call.callee) {
                        ExprKind::Attr(base, sym) => {
                            work.push((here(*base), hops));
                            facts.name(*sym)
                        }
                        ExprKind::Name(sym) => facts.name(*sym),
                        _ => continue,
                    };
                    // What a submitted function makes of its arguments is not followed; what others do is taken for
                    // a change of form.
                    let called = project.refer(here(call.callee), &None);
                    let outside = !called.iter().any(|r| matches!(r, Ref::Function(..) | Ref::Class(..)));
                    if outside && !HARMLESS.contains(&last) {
                        work.extend(call.args.iter().map(|arg| (here(arg.value), hops)));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn parameter(&self, at: At, function: FunctionId, index: u32, name: &str) -> Option<FromModel> {
        self.cx.project.note(On::Callable, at.file);
        let (tool, confidence) = self.callable.get(&(at.file, function))?;
        let facts = self.cx.project.facts(at.file);
        let params = &facts.functions[function.0 as usize].params;
        // Schemas and contexts: the first object that JavaScript hands over holds the model's arguments, others do not.
        let second = !self.cx.project.language(at.file).is_python() && index > 0;
        if FILLED.contains(&name) || (second && params.len() > 1 && name.starts_with('{')) {
            return None;
        }
        let what = match name.starts_with('{') {
            true => format!("arguments of tool `{tool}`"),
            false => format!("parameter `{name}` of tool `{tool}`"),
        };
        let line = facts.functions[function.0 as usize].line;
        let step = Step { what: what.clone(), file: self.cx.project.path(at.file).to_owned(), line };
        Some(FromModel { what, confidence: *confidence, step })
    }

    /// What callers give for a parameter.
    fn given(&self, file: usize, function: FunctionId, index: u32) -> Vec<At> {
        let callers = self.cx.project.callers(file, function).iter().take(12);
        let given = |&call: &At| {
            let frames = Some(Arc::new(Frame { function: (file, function), call, outer: None }));
            self.cx.project.given_argument(file, function, index, &frames).map(|(at, _)| at)
        };
        callers.filter_map(given).collect()
    }

    /// A call that gives a model's answer.
    fn answer(&self, at: At) -> Option<FromModel> {
        let site = self.cx.site(at)?;
        let is_model =
            |at: At| self.cx.site(at).is_some_and(|site| site.hits(RuleKind::Model).any(|hit| !hit.by_suffix));
        let last = site.symbol.last()?;
        // `OpenAI()` makes a client; what is called on it answers.
        let made = last.starts_with(char::is_uppercase);
        let asked = !made && (is_model(at) || site.chain.iter().any(|(at, _)| is_model(*at)));
        asked.then(|| {
            let step = self.cx.step(at, format!("answer of `{}`", site.symbol.display()));
            FromModel { what: "the model's answer".into(), confidence: Confidence::Medium, step }
        })
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
