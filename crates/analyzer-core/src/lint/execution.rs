//! What the model decides: commands, code, SQL, files; and switches that let it.

use super::sinks::{self, Found};
use super::taint::{FromModel, Taint};
use super::view::{Draft, Seen, place};
use crate::facts::ExprKind;
use crate::resolve::{At, Piece, Project, Value};

pub fn shell(seen: &Seen, out: &mut Vec<Draft>) {
    out.extend(seen.decided("shell-from-model"));
}

pub fn code(seen: &Seen, out: &mut Vec<Draft>) {
    out.extend(seen.decided("code-from-model"));
}

pub fn sql(seen: &Seen, out: &mut Vec<Draft>) {
    out.extend(seen.decided("sql-from-model"));
}

pub fn file(seen: &Seen, out: &mut Vec<Draft>) {
    out.extend(seen.decided("file-from-model"));
}

pub fn deserialization(seen: &Seen, out: &mut Vec<Draft>) {
    for found in sinks::calls(seen, "unsafe-deserialization") {
        let (what, help) =
            found.call.what.split_once("; ").unwrap_or((&found.call.what, "read a format that is only data"));
        let message = format!("`{}` {what}", found.site.symbol.display());
        out.push(Draft::new(seen.at(found.site.at), message, help));
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

/// Calls of a file whose argument the model decides, by rule, and the way out.
const OF_MODEL: [(&str, &str); 4] = [
    (
        "shell-from-model",
        "let the model choose among commands that you wrote, and pass its values as separate arguments",
    ),
    ("code-from-model", "run it in a sandbox without network and secrets, or give the model functions to choose from"),
    (
        "sql-from-model",
        "write the statement yourself and pass values as parameters; give a model that must write SQL a user that may only read",
    ),
    ("file-from-model", "resolve the path and refuse it unless it lies in the folder that the agent may use"),
];

/// What the model decides in the calls of a file.
pub(super) fn decided(taint: &Taint, file: usize, out: &mut Vec<(&'static str, Draft)>) {
    let (cx, project) = (taint.cx, taint.cx.project);
    for (rule, help) in OF_MODEL {
        for found in taint.calls(file, rule) {
            let Some((argument, _)) = found.argument(cx) else { continue };
            let Some(argument) = decisive(project, &found, argument) else { continue };
            if found.call.sql && !looks_like_sql(project, argument) {
                continue;
            }
            let Some(FromModel { what, confidence, step }) = taint.of(argument) else { continue };
            let call = found.site.symbol.display();
            let decides = match found.call.what.as_str() {
                into if into.starts_with("a ") || into.starts_with("an ") => {
                    format!("{what} reaches {into} through `{call}`")
                }
                decided => format!("{what} decides {decided} in `{call}`"),
            };
            let end = cx.step(found.site.at, format!("call of `{call}`"));
            let draft = Draft::new(place(project, found.site.at), decides, help);
            out.push((rule, draft.confidence(confidence.min(found.confidence)).because(&[step, end])));
        }
    }
}

/// The part of an argument that matters: of a literal list the program. Nothing when that is written down.
fn decisive(project: &Project, found: &Found, argument: At) -> Option<At> {
    if !found.call.program {
        return Some(argument);
    }
    match project.facts(argument.file).kind(argument.expr) {
        ExprKind::List(items) => items.first().map(|first| At { file: argument.file, expr: *first }),
        _ => Some(argument),
    }
}

/// A statement's verb in what is written, or a name that says so.
fn looks_like_sql(project: &Project, at: At) -> bool {
    let verb = |text: &str| {
        let text = text.trim_start().to_ascii_lowercase();
        ["select ", "insert ", "update ", "delete ", "create ", "drop ", "alter ", "with "]
            .iter()
            .any(|verb| text.starts_with(verb))
    };
    let says = |name: &str| ["sql", "statement"].iter().any(|word| name.to_ascii_lowercase().contains(word));
    let facts = project.facts(at.file);
    let named = match facts.kind(at.expr) {
        ExprKind::Name(sym) | ExprKind::Attr(_, sym) => says(facts.name(*sym)),
        _ => false,
    };
    let first = |pieces: &[Piece]| match pieces.first() {
        Some(Piece::Lit(text)) => verb(text),
        Some(Piece::Hole(name)) => says(name),
        _ => false,
    };
    named || project.values(at, &None).iter().any(|known| matches!(&known.value, Value::Text(p) if first(p)))
}
