//! System prompts: the literal text that reaches the system role.

use std::cmp::Reverse;

use crate::analysis::{Prompt, Step};
use crate::facts::{Bound, ExprId, ExprKind, MODULE};
use crate::knowledge::index::RuleKind;
use crate::knowledge::schema::ArgRef;
use crate::memo::Asked;
use crate::resolve::{At, Frames, Known, Ref};
use crate::sites::{Context, Site};

/// A prompt, and how likely it is the main one: smaller first.
struct Candidate {
    rank: u8,
    /// How many other agents its agent hands over to.
    hands_over: usize,
    /// Where it is handed over.
    at: At,
    prompt: Prompt,
}

/// Prompts, the likeliest system prompt first: of equal ones, the first in the order in which one reads the files.
pub fn detect(cx: &Context, reading: &[usize]) -> Vec<Prompt> {
    let found = cx.each(Asked::Prompts, |cx, file| (called(cx, file), written(cx, file)));
    let mut candidates: Vec<&Candidate> = found.iter().flat_map(|of_file| &of_file.0).collect();
    candidates.extend(found.iter().flat_map(|of_file| &of_file.1));
    candidates.sort_by_key(|candidate| {
        (candidate.rank, Reverse(candidate.hands_over), reading[candidate.at.file], candidate.at.expr)
    });
    let mut prompts: Vec<Prompt> = Vec::new();
    for candidate in candidates {
        if !prompts.iter().any(|known| known.text == candidate.prompt.text) {
            prompts.push(candidate.prompt.clone());
        }
    }
    prompts.truncate(64);
    prompts
}

/// Prompts that the calls of a file are given.
fn called(cx: &Context, file: usize) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for site in cx.sites_of(file) {
        for hit in site.hits(RuleKind::Prompt) {
            let rule = &cx.project.knowledge.entry(hit.entry).prompt[hit.rule as usize];
            if let Some((at, frames)) = cx.project.argument(site.at, &None, &rule.text) {
                let by = site.symbol.display();
                let before = candidates.len();
                add(cx, at, &frames, &by, rule.rank.unwrap_or(5), &mut candidates);
                let others = hands_over(cx, site, &rule.agents);
                candidates[before..].iter_mut().for_each(|candidate| candidate.hands_over = others);
            }
        }
    }
    candidates
}

/// Prompts that a file writes down in other ways.
fn written(cx: &Context, file: usize) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    decorated(cx, file, &mut candidates);
    messages(cx, file, &mut candidates);
    conventional(cx, file, &mut candidates);
    candidates
}

/// How many agents stand among the arguments of an agent.
fn hands_over(cx: &Context, site: &Site, places: &[ArgRef]) -> usize {
    let is_agent = |at: &At| cx.site(*at).is_some_and(|site| site.hits(RuleKind::Prompt).next().is_some());
    let given = places.iter().filter_map(|place| cx.project.argument(site.at, &None, std::slice::from_ref(place)));
    let items = given.flat_map(|(at, frames)| cx.project.elements(at, &frames));
    let agents = items.filter(|(at, frames)| {
        cx.project.refer(*at, frames).iter().any(|reference| {
            matches!(reference, Ref::External(_, calls) if calls.iter().any(|(call, _)| *call != site.at && is_agent(call)))
        })
    });
    agents.count()
}

fn add(cx: &Context, at: At, frames: &Frames, by: &str, rank: u8, out: &mut Vec<Candidate>) {
    let mut found: Vec<(Known, bool)> = cx.project.values(at, frames).into_iter().map(|known| (known, false)).collect();
    // A function that gives the prompt.
    for reference in cx.project.refer(at, frames) {
        if let Ref::Function(file, id) = reference {
            let returns = cx.project.facts(file).functions[id.0 as usize].returns.clone();
            let texts = returns.into_iter().flat_map(|expr| cx.project.values(At { file, expr }, &None));
            found.extend(texts.map(|known| (known, false)).take(1));
        }
    }
    // `SystemMessage(content=PROMPT)` handed on as an object, lists of instructions: their texts.
    if found.iter().all(|(known, _)| known.template().is_none()) {
        let items = cx.project.elements(at, frames);
        found = items
            .into_iter()
            .flat_map(|(at, frames)| cx.project.values(at, &frames))
            .map(|known| (known, true))
            .collect();
        found.truncate(1);
    }
    for (known, _) in found {
        let Some(text) = known.template() else { continue };
        let text = dedent(&text);
        // What stands in holes is not said.
        let outside = text.split('{').map(|part| part.rsplit('}').next().unwrap_or(""));
        if outside.flat_map(str::chars).filter(|c| c.is_alphabetic()).count() < 3 {
            continue;
        }
        let origin = known.origin;
        let mut evidence = known.steps.clone();
        evidence.truncate(8);
        evidence.push(Step {
            what: format!("system prompt of `{by}`"),
            file: cx.project.path(at.file).to_owned(),
            line: cx.project.line(at),
        });
        out.push(Candidate {
            rank,
            hands_over: 0,
            at,
            prompt: Prompt {
                text,
                file: cx.project.path(origin.file).to_owned(),
                line: cx.project.line(origin),
                used_by: by.to_owned(),
                source: None,
                evidence,
            },
        });
    }
}

/// `@agent.system_prompt`: what the function returns.
fn decorated(cx: &Context, file: usize, out: &mut Vec<Candidate>) {
    let facts = cx.project.facts(file);
    for function in &facts.functions {
        for &expr in &function.decorators {
            let callee = facts.call(expr).map_or(expr, |call| call.callee);
            let hits = cx.project.hits(At { file, expr: callee }, &None);
            let Some((hit, Ref::External(symbol, _))) = hits.into_iter().find(|(hit, _)| hit.kind == RuleKind::Prompt)
            else {
                continue;
            };
            let rule = &cx.project.knowledge.entry(hit.entry).prompt[hit.rule as usize];
            for &returned in function.returns.iter().take(1) {
                add(cx, At { file, expr: returned }, &None, &symbol.display(), rule.rank.unwrap_or(5), out);
            }
        }
    }
}

/// `{"role": "system", "content": …}` and `("system", …)`: the shapes of chat messages.
fn messages(cx: &Context, file: usize, out: &mut Vec<Candidate>) {
    let facts = cx.project.facts(file);
    for expr in &facts.exprs {
        let is_system = |id: ExprId| facts.text(id).is_some_and(|text| matches!(text, "system" | "developer"));
        let content = match &expr.kind {
            ExprKind::Dict(pairs) => {
                let get = |name: &str| {
                    pairs.iter().find(|(key, _)| key.and_then(|k| facts.text(k)) == Some(name)).map(|p| p.1)
                };
                match get("role") {
                    Some(role) if is_system(role) => get("content").or_else(|| get("text")).or_else(|| get("parts")),
                    // The body of a request: `{"model": …, "system": …, "messages": […]}`.
                    None if get("messages").is_some() || get("contents").is_some() => {
                        get("system").or_else(|| get("systemInstruction")).or_else(|| get("system_instruction"))
                    }
                    _ => None,
                }
            }
            // `ChatMessage(role="system", content=…)`.
            ExprKind::Call(index) => {
                let call = &facts.calls[*index as usize];
                let named = |name: &str| {
                    let arg = call.args.iter().find(|arg| arg.name.is_some_and(|sym| facts.name(sym) == name));
                    arg.map(|arg| arg.value)
                };
                match named("role") {
                    Some(role) if is_system(role) => named("content").or_else(|| named("text")),
                    _ => None,
                }
            }
            ExprKind::List(items) => match items[..] {
                [role, content] if is_system(role) => Some(content),
                _ => None,
            },
            _ => None,
        };
        if let Some(content) = content {
            add(cx, At { file, expr: content }, &None, "system message", 2, out);
        }
    }
}

/// `SYSTEM_PROMPT = "…"`: a constant whose name says what it is, when nothing better was found.
fn conventional(cx: &Context, file: usize, out: &mut Vec<Candidate>) {
    let facts = cx.project.facts(file);
    for ((scope, sym), bindings) in facts.bindings.iter() {
        let name = facts.name(*sym).to_ascii_lowercase().replace('_', "");
        let says = ["systemprompt", "systemmessage", "systeminstruction", "systeminstructions", "agentinstructions"];
        if !says.iter().any(|s| name.ends_with(s)) {
            continue;
        }
        if let Some(Bound::Expr(expr)) = bindings.last().map(|b| b.value) {
            let rank = if *scope == MODULE { 8 } else { 9 };
            add(cx, At { file, expr }, &None, facts.name(*sym), rank, out);
        }
    }
}

/// Without the indentation that all lines share, and without space around.
fn dedent(text: &str) -> String {
    let indent = text
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines = text
        .lines()
        .enumerate()
        .map(|(i, line)| if i == 0 { line } else { line.get(indent..).unwrap_or(line.trim_start()) });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_indentation_is_no_part_of_a_prompt() {
        assert_eq!(dedent("\n    You are\n      kind.\n    "), "You are\n  kind.");
        assert_eq!(dedent("You are\n    kind."), "You are\nkind.");
    }
}
