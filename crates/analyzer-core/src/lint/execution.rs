//! What the model decides: commands, code, SQL, files; and switches that let it.

use super::sinks::{self, Found};
use super::taint::FromModel;
use super::view::{Draft, Seen};
use crate::facts::ExprKind;
use crate::resolve::{At, Piece, Value};

pub fn shell(seen: &Seen, out: &mut Vec<Draft>) {
    let help = "let the model choose among commands that you wrote, and pass its values as separate arguments";
    of_model(seen, "shell-from-model", help, out);
}

pub fn code(seen: &Seen, out: &mut Vec<Draft>) {
    let help = "run it in a sandbox without network and secrets, or give the model functions to choose from";
    of_model(seen, "code-from-model", help, out);
}

pub fn sql(seen: &Seen, out: &mut Vec<Draft>) {
    let help = "write the statement yourself and pass values as parameters; give a model that must write SQL a user that may \
                only read";
    of_model(seen, "sql-from-model", help, out);
}

pub fn file(seen: &Seen, out: &mut Vec<Draft>) {
    let help = "resolve the path and refuse it unless it lies in the folder that the agent may use";
    of_model(seen, "file-from-model", help, out);
}

pub fn deserialization(seen: &Seen, out: &mut Vec<Draft>) {
    for found in sinks::calls(seen, "unsafe-deserialization") {
        let (what, help) =
            found.call.what.split_once("; ").unwrap_or((&found.call.what, "read a format that is only data"));
        let message = format!("`{}` {what}", found.site.symbol.display());
        out.push(Draft::new(seen.at(found.site.at), message, help).fix(found.fix(seen)));
    }
}

pub fn dangerous(seen: &Seen, out: &mut Vec<Draft>) {
    let help = "leave the option out, or run the agent where nothing can be lost and say so in an ignore comment";
    sinks::settings(seen, "dangerous-option", help, out);
}

pub fn approval(seen: &Seen, out: &mut Vec<Draft>) {
    let help = "ask a person for what changes something, and allow by name what only reads";
    sinks::settings(seen, "approval-off", help, out);
}

pub fn debug(seen: &Seen, out: &mut Vec<Draft>) {
    sinks::settings(seen, "debug-mode", "switch it on by an environment variable, on your own machine only", out);
}

fn of_model(seen: &Seen, rule: &str, help: &str, out: &mut Vec<Draft>) {
    for found in sinks::calls(seen, rule) {
        let Some((argument, _)) = found.argument(seen) else { continue };
        let Some(argument) = decisive(seen, &found, argument) else { continue };
        if found.call.sql && !looks_like_sql(seen, argument) {
            continue;
        }
        let Some(FromModel { what, confidence, step }) = seen.taint.of(argument) else { continue };
        let call = found.site.symbol.display();
        let decides = match found.call.what.as_str() {
            into if into.starts_with("a ") || into.starts_with("an ") => {
                format!("{what} reaches {into} through `{call}`")
            }
            decided => format!("{what} decides {decided} in `{call}`"),
        };
        let end = seen.cx.step(found.site.at, format!("call of `{call}`"));
        let draft = Draft::new(seen.at(found.site.at), decides, help).confidence(confidence.min(found.confidence));
        out.push(draft.because(&[step, end]));
    }
}

/// The part of an argument that matters: of a literal list the program. Nothing when that is written down.
fn decisive(seen: &Seen, found: &Found, argument: At) -> Option<At> {
    if !found.call.program {
        return Some(argument);
    }
    match seen.facts(argument.file).kind(argument.expr) {
        ExprKind::List(items) => items.first().map(|first| At { file: argument.file, expr: *first }),
        _ => Some(argument),
    }
}

/// A statement's verb in what is written, or a name that says so.
fn looks_like_sql(seen: &Seen, at: At) -> bool {
    let verb = |text: &str| {
        let text = text.trim_start().to_ascii_lowercase();
        ["select ", "insert ", "update ", "delete ", "create ", "drop ", "alter ", "with "]
            .iter()
            .any(|verb| text.starts_with(verb))
    };
    let says = |name: &str| ["sql", "statement"].iter().any(|word| name.to_ascii_lowercase().contains(word));
    let facts = seen.facts(at.file);
    let named = match facts.kind(at.expr) {
        ExprKind::Name(sym) | ExprKind::Attr(_, sym) => says(facts.name(*sym)),
        _ => false,
    };
    let first = |pieces: &[Piece]| match pieces.first() {
        Some(Piece::Lit(text)) => verb(text),
        Some(Piece::Hole(name)) => says(name),
        _ => false,
    };
    named || seen.cx.project.values(at, &None).iter().any(|known| matches!(&known.value, Value::Text(p) if first(p)))
}
