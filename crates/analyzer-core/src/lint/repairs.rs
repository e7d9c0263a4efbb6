//! Repairs that need a look: the program does something else afterwards, which is what the rule asks for.

use std::ops::Range;

use super::fix::{Edit, Fix};
use super::view::{Place, Seen};
use crate::analysis::Step;
use crate::facts::{ExprId, ExprKind};
use crate::manifest::Declared;
use crate::resolve::At;

fn needs_a_look(seen: &Seen, file: usize, span: Range<usize>, text: String, title: String) -> Fix {
    let edit = Edit { file: seen.path(file).to_owned(), start: span.start, end: span.end, text };
    Fix { title, safe: false, edits: vec![edit] }
}

/// The bytes of an expression in its file; none where places are those of something inside it.
fn span(seen: &Seen, at: At) -> Option<Range<usize>> {
    let facts = seen.facts(at.file);
    let expr = facts.expr(at.expr);
    let span = expr.start as usize..expr.end as usize;
    (facts.code.is_none() && !facts.has_errors && seen.text(at.file).get(span.clone()).is_some()).then_some(span)
}

/// `http` becomes `https` in the literal that an address begins with.
pub(super) fn to_secure(seen: &Seen, scheme: &str, secure: &str, host: &str, steps: &[Step]) -> Option<Fix> {
    // A port speaks one of both, and nobody has a certificate for a number.
    if !matches!(scheme, "http" | "ws") || host.contains(':') || host.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let written = format!("{scheme}://{host}");
    for step in steps {
        let Some(file) = seen.file(&step.file) else { continue };
        let facts = seen.facts(file);
        let here = (0..facts.exprs.len() as u32).map(ExprId).filter(|id| facts.expr(*id).line == step.line);
        let literals = here.filter(|id| matches!(facts.kind(*id), ExprKind::Text(_)));
        let mut places: Vec<usize> = literals
            .filter_map(|expr| {
                let span = span(seen, At { file, expr })?;
                let text = &seen.text(file)[span.clone()];
                let at = text.find(&written)?;
                let before = text[..at].chars().next_back();
                let after = text[at + written.len()..].chars().next();
                let whole =
                    |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && !matches!(c, ':' | '.' | '-'));
                (whole(before) && whole(after)).then_some(span.start + at)
            })
            .collect();
        places.dedup();
        if let [at] = places[..] {
            let title = format!("use `{secure}://` for {host}");
            return Some(needs_a_look(seen, file, at..at + scheme.len(), secure.to_owned(), title));
        }
    }
    None
}

/// A value as written becomes another: `False` becomes `True`, `ssl.CERT_NONE` becomes `ssl.CERT_REQUIRED`.
pub(super) fn to_value(seen: &Seen, at: At, name: &str, value: &str, other: &str) -> Option<Fix> {
    let span = span(seen, at)?;
    let written = &seen.text(at.file)[span.clone()];
    let start = written.to_ascii_lowercase().rfind(&value.to_ascii_lowercase())?;
    let old = &written[start..start + value.len()];
    let is_title = old.starts_with(|c: char| c.is_ascii_uppercase()) && old[1..] == old[1..].to_ascii_lowercase();
    let new = match is_title {
        true => other[..1].to_ascii_uppercase() + &other[1..],
        false => other.to_owned(),
    };
    let place = span.start + start..span.start + start + value.len();
    Some(needs_a_look(seen, at.file, place, new.clone(), format!("set `{name}` to `{new}`")))
}

/// A call of something becomes the call of its neighbour: `yaml.load` becomes `yaml.safe_load`.
pub(super) fn to_call(seen: &Seen, at: At, others: &std::collections::BTreeMap<String, String>) -> Option<Fix> {
    let facts = seen.facts(at.file);
    let callee = facts.call(at.expr)?.callee;
    // The bare name was imported: that line would have to change too.
    let ExprKind::Attr(_, sym) = *facts.kind(callee) else { return None };
    let (name, other) = others.get_key_value(facts.name(sym))?;
    let span = span(seen, At { file: at.file, expr: callee })?;
    let start =
        span.end.checked_sub(name.len()).filter(|start| seen.text(at.file).get(*start..span.end) == Some(name))?;
    Some(needs_a_look(seen, at.file, start..span.end, other.clone(), format!("call `{other}`")))
}

/// A call gets one more argument.
pub(super) fn with_argument(seen: &Seen, at: At, argument: &str) -> Option<Fix> {
    let facts = seen.facts(at.file);
    let call = facts.call(at.expr)?;
    let span = span(seen, at)?;
    let text = seen.text(at.file);
    let inner = &text[..span.end].strip_suffix(')')?;
    let last = call.args.iter().map(|arg| facts.expr(arg.value).end as usize).max();
    // Behind the last argument only a comma: no comment, no generator's own parentheses.
    let (at_byte, separator) = match last {
        None => (inner.trim_end().len(), ""),
        Some(last) => match inner.get(last..)?.trim() {
            "" => (last, ", "),
            "," => (last + inner[last..].find(',')? + 1, " "),
            _ => return None,
        },
    };
    let clear = last.is_some() || inner[..at_byte].ends_with('(');
    let title = format!("add `{argument}`");
    clear.then(|| needs_a_look(seen, at.file, at_byte..at_byte, format!("{separator}{argument}"), title))
}

/// A line of a requirements file goes.
pub(super) fn without_requirement(seen: &Seen, declared: &Declared, place: &Place) -> Option<Fix> {
    if !declared.file.ends_with(".txt") {
        return None;
    }
    let text = seen.text(place.file);
    let start = text[..place.span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[place.span.end..].find('\n').map_or(text.len(), |at| place.span.end + at + 1);
    let line = text[start..end].trim_end();
    // Hashes may follow on lines of their own.
    let whole = start == place.span.start && !line.ends_with('\\');
    let title = format!("take `{}` out of {}", declared.name, declared.file);
    whole.then(|| needs_a_look(seen, place.file, start..end, String::new(), title))
}

/// A comment goes, with its line where nothing else stands there.
pub(super) fn without_comment(seen: &Seen, place: &Place) -> Option<Fix> {
    let text = seen.text(place.file);
    let comment = text[place.span.clone()].trim_start();
    // Prose and cells of notebooks quote comments; only code says where one ends.
    let facts = seen.facts(place.file);
    let own =
        |c: &crate::facts::Comment| (c.start as usize..c.end as usize).contains(&(place.span.end - comment.len()));
    if facts.code.is_some() || !facts.comments.iter().any(own) {
        return None;
    }
    // Something may stand behind `/* … */`.
    if !comment.starts_with('#') && !comment.starts_with("//") {
        return None;
    }
    let line = text[..place.span.start].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line..place.span.end - comment.len()];
    let (start, end) = match before.trim().is_empty() {
        true => (line, text[place.span.end..].find('\n').map_or(text.len(), |at| place.span.end + at + 1)),
        false => (line + before.trim_end().len(), place.span.end),
    };
    let fix = needs_a_look(seen, place.file, start..end, String::new(), "take the comment out".to_owned());
    Some(Fix { safe: true, ..fix })
}
