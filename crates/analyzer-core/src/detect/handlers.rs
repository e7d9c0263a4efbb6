//! What an agent runtime can call: handler functions, framework objects, web apps, MCP servers.

use crate::analysis::{Execution, Handler};
use crate::facts::{Exported, MODULE};
use crate::knowledge::index::RuleKind;
use crate::memo::Asked;
use crate::resolve::At;
use crate::sites::Context;
use crate::sources::Language;

/// Names of functions that the platform's runtime looks for, in its order (measured on the published runtime 1.4.2).
const FUNCTIONS: &[&str] = &["handler", "invoke", "main", "run", "lambda_handler"];

/// All handlers, in order of file and line.
pub fn detect(cx: &Context) -> Vec<Handler> {
    let found = cx.each(Asked::Handlers, of_file);
    let mut handlers: Vec<Handler> = found.iter().flat_map(|of_file| of_file.iter().cloned()).collect();
    handlers.sort_by(|a, b| (&a.file, a.line, &a.name).cmp(&(&b.file, b.line, &b.name)));
    handlers.dedup();
    handlers
}

fn of_file(cx: &Context, file: usize) -> Vec<Handler> {
    let mut handlers = Vec::new();
    for site in cx.sites_of(file) {
        let Some(hit) = site.hits(RuleKind::Handler).find(|hit| !hit.by_suffix) else { continue };
        let rule = &cx.project.knowledge.entry(hit.entry).handler[hit.rule as usize];
        let facts = cx.project.facts(site.at.file);
        let at_module = facts.scope_of(site.at.expr) == MODULE;
        let name = cx.assigned(site.at).map_or_else(|| site.symbol.display(), str::to_owned);
        if at_module || rule.kind != "object" {
            let file = cx.project.path(site.at.file).to_owned();
            handlers.push(Handler { name, kind: rule.kind.clone(), file, line: cx.project.line(site.at) });
        }
    }
    if cx.project.language(file) == Language::Text {
        return handlers;
    }
    let facts = cx.project.facts(file);
    let path = cx.project.path(file).to_owned();
    for function in &facts.functions {
        let name = function.name.map(|sym| facts.name(sym)).unwrap_or_default();
        let outer = facts.scopes[function.scope.0 as usize].parent == Some(MODULE);
        if outer && function.class.is_none() && FUNCTIONS.contains(&name) {
            let kind = if name == "main" { "main" } else { "function" };
            handlers.push(Handler { name: name.into(), kind: kind.into(), file: path.clone(), line: function.line });
        }
        // A decorator that marks the entry: `@app.entrypoint`.
        for &expr in &function.decorators {
            let at = At { file, expr };
            let callee = facts.call(expr).map_or(at, |call| At { file, expr: call.callee });
            let hits = cx.project.hits(callee, &None);
            if hits.iter().any(|(hit, _)| {
                hit.kind == RuleKind::Handler
                    && cx.project.knowledge.entry(hit.entry).handler[hit.rule as usize].kind == "decorator"
            }) {
                let handler =
                    Handler { name: name.into(), kind: "decorator".into(), file: path.clone(), line: function.line };
                handlers.push(handler);
            }
        }
    }
    for (name, exported) in &facts.exports {
        if &**name == "default" && matches!(exported, Exported::Expr(_)) {
            let Exported::Expr(expr) = *exported else { continue };
            let line = facts.expr(expr).line;
            handlers.push(Handler { name: "default".into(), kind: "export".into(), file: path.clone(), line });
        }
    }
    handlers
}

/// Which tier of the platform's runtime this code would run in.
pub fn execution(handlers: &[Handler], entry_point: &str) -> Execution {
    let kinds = ["function", "object", "main", "decorator"];
    let found = kinds.iter().find_map(|kind| handlers.iter().find(|h| h.file == entry_point && h.kind == *kind));
    match found {
        Some(handler) => {
            let reason = format!("{} `{}` at {}:{}", handler.kind, handler.name, handler.file, handler.line);
            Execution { tier: 2, reason }
        }
        None if entry_point.is_empty() => {
            Execution { tier: 1, reason: "no entry point: the runtime's own tool loop".into() }
        }
        None => Execution { tier: 1, reason: format!("no handler in {entry_point}: the runtime's own tool loop") },
    }
}
