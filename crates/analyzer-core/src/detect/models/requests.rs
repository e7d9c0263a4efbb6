//! Models that are asked by raw HTTP: by a provider's host, or by a request in the shape that all providers copy.

use super::*;

/// A raw HTTP call of a model provider's host, or of the platform's gateway.
pub(super) fn of_request(cx: &Context, outbound: &Outbound) -> Option<Usage> {
    if outbound.connection && !outbound.address.scheme.starts_with("ws") {
        return None;
    }
    let mut confidence = outbound.confidence;
    let (entry, provider) = match owner_of(cx, &outbound.address) {
        Some(entry) => (entry, entry.id.clone()),
        None if speaks_to_model(cx, outbound) => {
            // Everybody copies one interface; whose it is, the host may say.
            confidence = confidence.min(Confidence::Medium);
            let entries = || cx.project.knowledge.entries().map(|(_, entry)| entry);
            let address = &outbound.address;
            let entry = match is_loopback(address.bare_host()) {
                true => entries().find(|entry| entry.loopback)?,
                false => entries().find(|entry| entry.copied)?,
            };
            let named = url::is_external(&address.host) && !address.host.contains('{');
            (entry, if named { provider_of_host(address.bare_host()) } else { entry.id.clone() })
        }
        None => return None,
    };
    let path = outbound.address.path.to_ascii_lowercase();
    let (model, named_by, model_steps) = requested_model(cx, outbound);
    let default_from_env = model.is_some() && named_by.is_some();
    let model =
        model.or_else(|| model_in_path(&outbound.address.path)).or_else(|| model_in_query(&outbound.address.query));
    let model = model.or_else(|| {
        // Behind a variable whose default is known: `…/models/${MODEL}:generateContent`.
        let known = cx.project.values(outbound.url_at, &outbound.frames);
        let written = known.iter().filter_map(Known::literal_or_default);
        written.into_iter().find_map(|url| {
            let query = url.split_once('?').map_or("", |(_, query)| query);
            model_in_path(url.split('?').next().unwrap_or(&url)).or_else(|| model_in_query(query))
        })
    });
    // Only where a provider's own paths for models are called: not its file store, not its list of models.
    let is_model_path = MODEL_PATHS.iter().any(|(part, _)| path.contains(part));
    if model.is_none() && !is_model_path && confidence == outbound.confidence {
        return None;
    }
    let serves_it = |name: &String| !(entry.own_models && is_foreign(cx, &entry.id, name));
    let (model, confidence) = match model {
        Some(name) if serves_it(&name) => (Some(name), confidence),
        // What another branch asks another provider for.
        Some(_) => (None, confidence.min(Confidence::Medium)),
        // It goes by in a part of the request that cannot be followed, or in a variable.
        None if named_by.is_none() => (None, confidence.min(Confidence::Medium)),
        None => (None, confidence),
    };
    let role = match entry.gateway {
        true => Role::Default,
        false => MODEL_PATHS.iter().find(|(part, _)| path.contains(part)).map_or(Role::Chat, |(_, role)| *role),
    };
    let variable_name = match &outbound.address.env {
        Some(env) => env.clone(),
        None => cx.variable(outbound.at),
    };
    let mut evidence = model_steps;
    evidence.extend(outbound.steps.iter().cloned());
    let host = outbound.address.bare_host().to_owned();
    let host = url::is_external(&outbound.address.host).then(|| Implied {
        host,
        by: None,
        confidence: outbound.confidence,
        steps: outbound.steps.clone(),
    });
    let usage = ModelUsage {
        role,
        model,
        alternatives: Vec::new(),
        provider,
        variable_name,
        file: cx.project.path(outbound.url_at.file).to_owned(),
        line: cx.project.line(outbound.url_at),
        default_from_env,
        call: outbound.call.clone(),
        confidence,
        evidence,
    };
    Some(Usage { usage, order: (false, 0), host })
}

/// Parts of paths that stand for models in the APIs of all providers, and the role they imply.
const MODEL_PATHS: &[(&str, Role)] = &[
    ("embed", Role::Embedding),
    ("rerank", Role::Reranking),
    ("moderations", Role::Classify),
    ("classif", Role::Classify),
    ("chat", Role::Chat),
    ("completion", Role::Chat),
    ("messages", Role::Chat),
    ("responses", Role::Chat),
    ("generate", Role::Chat),
    ("converse", Role::Chat),
    ("invoke", Role::Chat),
    ("predict", Role::Chat),
    ("realtime", Role::Chat),
    ("tts", Role::Chat),
    ("speech", Role::Chat),
    ("transcri", Role::Chat),
    ("images", Role::Chat),
    ("/models/", Role::Chat),
];

/// Whether an address is a provider's, or is spoken to as to one: then it is no tool.
pub fn is_model_endpoint(cx: &Context, outbound: &Outbound) -> bool {
    owner_of(cx, &outbound.address).is_some() || speaks_to_model(cx, outbound)
}

/// A request that names a model and gives it messages, to an address that nobody knows.
fn speaks_to_model(cx: &Context, outbound: &Outbound) -> bool {
    !outbound.connection
        && !cx.project.is_test(outbound.url_at.file)
        && outbound.method.as_deref() == Some("POST")
        && cx.owners(&outbound.address).next().is_none()
        && requested(cx, outbound, &["messages"]).is_some()
        && requested(cx, outbound, &["model"]).is_some()
}

/// `"model"` in the body of a request, and the variable of the environment that has a part in it.
fn requested_model(cx: &Context, outbound: &Outbound) -> (Option<String>, Option<String>, Vec<Step>) {
    let Some((value, frames)) = requested(cx, outbound, &["model", "modelId", "model_id"]) else {
        return (None, None, Vec::new());
    };
    let known = cx.project.values(value, &frames);
    let variable = known.iter().find_map(|k| k.env()).map(|(name, _)| name.to_owned());
    match known.into_iter().find_map(|k| Some((k.literal_or_default()?, k.steps))) {
        Some((name, steps)) => (Some(name), variable, steps),
        None => (None, variable, Vec::new()),
    }
}

/// Parts of a request that are looked at for a key.
const MOST_PARTS: usize = 256;

/// What stands under one of some keys in the body of a request: a dict, JSON made of one or a form, among the arguments.
fn requested(cx: &Context, outbound: &Outbound, names: &[&str]) -> Option<(At, Frames)> {
    let call = cx.project.call(outbound.at)?;
    let here = |arg: &crate::facts::Arg| (At { file: outbound.at.file, expr: arg.value }, outbound.frames.clone(), 0);
    let mut work: Vec<(At, Frames, u32)> = call.args.iter().map(here).collect();
    let mut seen: FxHashSet<At> = FxHashSet::default();
    while let Some((at, frames, depth)) = work.pop() {
        if depth > 5 || seen.len() >= MOST_PARTS || !seen.insert(at) {
            continue;
        }
        for name in names {
            let appended = || Some((appended(cx, at, name)?, frames.clone()));
            if let Some(found) = cx.project.element(&(at, frames.clone()), name).or_else(appended) {
                return Some(found);
            }
        }
        // `data=json.dumps({…}).encode()`, `body: JSON.stringify({…})`, `json=payload`.
        for reference in cx.project.refer(at, &frames) {
            if let Ref::External(_, calls) = &reference {
                // What a model answered says nothing of who is asked.
                let is_answer =
                    |call: &At| cx.site(*call).is_some_and(|site| site.hits(RuleKind::Model).next().is_some());
                for (call, frames) in calls.iter().filter(|(call, _)| !is_answer(call)) {
                    let Some(the_call) = cx.project.call(*call) else { continue };
                    let inner = the_call.args.iter().map(|arg| At { file: call.file, expr: arg.value });
                    work.extend(inner.map(|at| (at, frames.clone(), depth + 1)));
                }
            }
            if let Ref::Expr(to, frames) = reference {
                if let ExprKind::Dict(_) = cx.project.facts(to.file).kind(to.expr) {
                    let pairs = cx.project.pairs(to, &frames);
                    let body =
                        pairs.into_iter().filter(|(key, ..)| matches!(key.as_deref(), Some("body" | "data" | "json")));
                    work.extend(body.map(|(_, at, frames)| (at, frames, depth + 1)));
                } else if to != at {
                    work.push((to, frames, depth + 1));
                }
            }
        }
    }
    None
}

/// `form.append("model", "whisper-1")` of a form that is sent.
fn appended(cx: &Context, form: At, name: &str) -> Option<At> {
    let facts = cx.project.facts(form.file);
    let ExprKind::Name(form_name) = *facts.kind(form.expr) else { return None };
    let scope = facts.scope_of(form.expr);
    let appends = |call: &&crate::facts::Call| match (facts.kind(call.callee), &call.args[..]) {
        (ExprKind::Attr(base, method), [key, _, ..]) => {
            matches!(*facts.kind(*base), ExprKind::Name(name) if name == form_name)
                && facts.scope_of(call.expr) == scope
                && matches!(facts.name(*method), "append" | "set")
                && facts.text(key.value) == Some(name)
        }
        _ => false,
    };
    let from = facts.calls.partition_point(|call| call.expr < form.expr);
    let call = facts.calls[..from].iter().rev().take(64).find(appends)?;
    Some(At { file: form.file, expr: call.args[1].value })
}

/// `/v1beta/models/gemini-pro:generateContent`, `/model/anthropic.claude/invoke`, `/models/org/name`.
fn model_in_path(path: &str) -> Option<String> {
    let (_, rest) = path
        .split_once("/models/")
        .or_else(|| path.split_once("/model/"))
        // `/v1/engines/davinci/completions`: one part, and what is asked of it.
        .or_else(|| {
            path.split_once("/engines/").map(|(before, rest)| (before, rest.split('/').next().unwrap_or(rest)))
        })?;
    let rest = rest.split("/v1/").next()?;
    let name = rest.split(':').next()?.trim_end_matches("/invoke").trim_end_matches("/converse").trim_end_matches('/');
    is_model_name(name).then(|| name.to_owned())
}

/// `?model=gpt-realtime&…` of a socket's address.
fn model_in_query(query: &str) -> Option<String> {
    let name = query.split('&').find_map(|pair| pair.strip_prefix("model="))?;
    is_model_name(name).then(|| name.to_owned())
}
