//! Credentials: in the code, in prompts, in addresses, in logs.

use super::Severity;
use super::fix;
use super::view::{Draft, Seen};
use crate::analysis::{Confidence, Secret};
use crate::detect::secrets::MASK;
use crate::facts::ExprKind;
use crate::resolve::{At, Piece, Value};
use crate::sites::Context;

fn severity(secret: &Secret) -> Severity {
    match secret.severity {
        crate::analysis::Severity::High => Severity::High,
        crate::analysis::Severity::Medium => Severity::Medium,
        crate::analysis::Severity::Low => Severity::Low,
    }
}

fn is_env_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == ".env" || name.starts_with(".env.") || name.ends_with(".env")
}

fn in_url(secret: &Secret) -> bool {
    secret.reasons.iter().any(|reason| matches!(reason.as_str(), "dsn" | "query" | "path"))
        || secret.kind == "connection_string"
}

pub fn hardcoded(seen: &Seen, out: &mut Vec<Draft>) {
    for secret in seen.analysis.secrets.iter().filter(|secret| !in_url(secret) && !is_env_file(&secret.file)) {
        report(seen, secret, severity(secret), out);
    }
}

pub fn in_env_file(seen: &Seen, out: &mut Vec<Draft>) {
    for secret in seen.analysis.secrets.iter().filter(|secret| is_env_file(&secret.file)) {
        let untracked = seen.lint.untracked.contains(&secret.file);
        let Some(place) = seen.secret(&secret.file, secret.line, secret.column) else { continue };
        let (severity, message, help) = match untracked {
            true => (
                Severity::Low,
                format!("{} in an environment file that version control does not take", what(secret)),
                "nothing to do while the file stays on this machine; deploy the value as a secret of the platform"
                    .to_owned(),
            ),
            false => (
                severity(secret),
                format!("{} in an environment file that is part of the project", what(secret)),
                format!("add `{}` to .gitignore, take it out of the history and revoke the credential", secret.file),
            ),
        };
        out.push(Draft::new(place, message, help).severity(severity).confidence(secret.confidence));
    }
}

pub fn in_url_literal(seen: &Seen, out: &mut Vec<Draft>) {
    for secret in seen.analysis.secrets.iter().filter(|secret| in_url(secret) && !is_env_file(&secret.file)) {
        let Some(place) = seen.secret(&secret.file, secret.line, secret.column) else { continue };
        let message = format!("{} inside an address, which proxies, logs and error messages repeat", what(secret));
        out.push(Draft::new(place, message, move_out(secret)).severity(severity(secret)).confidence(secret.confidence));
    }
}

fn report(seen: &Seen, secret: &Secret, severity: Severity, out: &mut Vec<Draft>) {
    let Some(place) = seen.secret(&secret.file, secret.line, secret.column) else { return };
    let draft = Draft::new(place.clone(), format!("{} in the source", what(secret)), move_out(secret));
    let repair = fix::to_environment(seen, &place, secret);
    out.push(draft.severity(severity).confidence(secret.confidence).fix(repair));
}

/// `Stripe API key`, from the first words of the description.
fn what(secret: &Secret) -> String {
    let end = secret.description.find(" in the source").unwrap_or(secret.description.len());
    secret.description[..end].trim_end_matches('.').to_owned()
}

fn move_out(secret: &Secret) -> String {
    let variable = secret.suggested_env.as_deref().unwrap_or("API_KEY");
    let revoke = secret.description.split(" and ").last().unwrap_or("revoke it").trim_end_matches('.').to_owned();
    format!("read it from the environment as `{variable}`, and {revoke}")
}

pub fn in_prompt(seen: &Seen, out: &mut Vec<Draft>) {
    for prompt in &seen.analysis.prompts {
        let lines = prompt.text.matches('\n').count() as u32;
        let within =
            |secret: &&Secret| secret.file == prompt.file && (prompt.line..=prompt.line + lines).contains(&secret.line);
        let secret = seen.analysis.secrets.iter().find(within);
        if secret.is_none() && !prompt.text.contains(MASK) {
            continue;
        }
        let Some(place) = seen.line(&prompt.file, secret.map_or(prompt.line, |secret| secret.line)) else { continue };
        let message =
            format!("the prompt of `{}` holds a credential, and the model can be made to repeat it", prompt.used_by);
        let help = "take it out of the prompt; give the model a tool whose code has the credential";
        out.push(Draft::new(place, message, help).because(&prompt.evidence));
    }
}

/// A part of a query whose name says that it is a credential.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    ["key", "apikey", "token", "secret", "password", "passwd", "pwd", "auth", "sig", "signature"]
        .iter()
        .any(|word| words.contains(word))
        || name.ends_with("apikey")
        || name.ends_with("accesstoken")
}

pub fn in_query(seen: &Seen, out: &mut Vec<Draft>) {
    for outbound in seen.cx.outbound() {
        let named = outbound.address.query.split('&').filter_map(|pair| pair.split_once('='));
        // A literal is reported as a credential in an address.
        let Some((name, _)) = named.filter(|(_, value)| value.starts_with('{')).find(|(name, _)| is_credential(name))
        else {
            continue;
        };
        let message = format!("the credential `{name}` travels in the address, which proxies and logs keep");
        let draft = Draft::new(seen.at(outbound.url_at), message, "send it in a header, such as `Authorization`");
        out.push(draft.because(&outbound.steps).confidence(outbound.confidence));
    }
}

pub fn logged(seen: &Seen, out: &mut Vec<Draft>) {
    for (at, variable, what) in seen.watched.iter().flat_map(|of_file| of_file.logged()) {
        let message = format!("the value of `{variable}` is written to {what}");
        let help = "log whether it is set, never the value";
        out.push(Draft::new(seen.at(*at), message, help).confidence(Confidence::High));
    }
}

/// Variables that a call writes, of those that hold credentials.
pub(super) fn logged_by(cx: &Context, call: At) -> Vec<(At, String)> {
    let facts = cx.project.facts(call.file);
    let mut found = Vec::new();
    for arg in facts.call(call.expr).into_iter().flat_map(|call| &call.args).take(8) {
        let at = At { file: call.file, expr: arg.value };
        // Literals say nothing; only what is looked up or put together is asked about.
        if matches!(facts.kind(arg.value), ExprKind::Text(_) | ExprKind::Number(_) | ExprKind::Bool(_)) {
            continue;
        }
        let variable = cx.project.values(at, &None).into_iter().find_map(|known| match known.value {
            Value::Text(pieces) => pieces.into_iter().find_map(|piece| match piece {
                Piece::Env { name, .. } if is_credential(&name) => Some(name),
                _ => None,
            }),
            _ => None,
        });
        found.extend(variable.map(|variable| (at, variable)));
    }
    found
}
