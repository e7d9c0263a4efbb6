//! Where a value begins and ends: quoted, bare, made by a shell, given in a template or by a function.

use std::ops::Range;

use super::super::{judge, names, scan::floor};
use super::{GAP, VALUE};

/// A quoted text, or a word.
pub fn value_at(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut start = start;
    let mut quote = None;
    // The anchor or the tag of a YAML value: `&shared "…"`, `!!str …`.
    if matches!(bytes.get(start), Some(b'&' | b'!')) {
        let word = bytes[start..(start + GAP).min(bytes.len())].iter().position(|b| *b == b' ');
        start += word.map_or(0, |word| word + 1);
    }
    if bytes.get(start) == Some(&b'\\') && matches!(bytes.get(start + 1), Some(b'"' | b'\'')) {
        start += 1;
    }
    // `r"…"`, `b"…"`, `f"…"`, `@"…"`.
    if matches!(bytes.get(start), Some(b'r' | b'b' | b'f' | b'u' | b'@'))
        && matches!(bytes.get(start + 1), Some(b'"' | b'\''))
    {
        start += 1;
    }
    if let Some(&mark) = bytes.get(start).filter(|b| b"\"'`".contains(b)) {
        quote = Some(mark);
        start += 1;
        // `"\"…\""` is a text that holds a text.
        if mark == b'"' && bytes[start.min(bytes.len())..].starts_with(b"\\\"") {
            start += 2;
        }
    }
    let window = &bytes[start.min(bytes.len())..(start + VALUE).min(bytes.len())];
    if let Some(inner) = nested(text, start, quote).or_else(|| shell(text, start)) {
        return Some(inner);
    }
    let end = match quote {
        Some(mark) => window.iter().position(|b| *b == mark || *b == b'\n' || *b == b'\\')?,
        None => {
            let ends = |(i, b): (usize, &u8)| {
                // Another pair begins: `a=b=c` is no value, `…==` at the end is padding.
                let nested = *b == b'=' && window.get(i + 1).is_some_and(u8::is_ascii_alphanumeric);
                *b <= b' ' || *b >= 127 || nested || b",;\"'`<>|)}]\\".contains(b)
            };
            window.iter().enumerate().position(ends).unwrap_or(window.len())
        }
    };
    let value = text.get(start..start + end)?;
    // `&` joins parameters, unless it stands in a quoted password.
    let end = if quote.is_none() { value.find('&').unwrap_or(value.len()) } else { value.len() };
    // Unquoted code is no value.
    // `var password: Text? = null`: what stands there is a type.
    let declares = || text[start + end..].trim_start_matches(' ').starts_with("= ");
    let code = quote.is_none() && (value[..end].contains(['(', '[', '{']) || reference(&value[..end]) || declares());
    (!code && end >= 4).then_some(start..start + end)
}

/// What stands behind `value:`, `"default":`, `value =`.
pub fn named_value(key: &str) -> Option<&str> {
    let value = ["defaultValue", "default_value", "value", "default", "fallback"]
        .iter()
        .find_map(|word| key.strip_prefix(*word))?;
    let value = value.trim_start_matches(['"', '\'']).trim_start();
    Some(value.strip_prefix([':', '='])?.trim_start())
}

/// `${1:-value}`, `$(echo 'value' | base64 -d)`: what a shell makes of it.
fn shell(text: &str, start: usize) -> Option<Range<usize>> {
    let window = text[start..floor(text, start + VALUE)].split('\n').next()?;
    if let Some(rest) = window.strip_prefix("${") {
        let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        let value = rest[name..].strip_prefix(":-").or_else(|| rest[name..].strip_prefix('-'))?;
        let from = start + window.len() - value.len();
        let length = value.find(['}', '$', '"', '\''])?;
        return (length >= 4 && value[length..].starts_with('}')).then_some(from..from + length);
    }
    let rest = window.strip_prefix("$(")?;
    // `$(or $(NAME),value)`
    if let Some(value) = rest.strip_prefix("or ").and_then(|rest| rest.split_once("),")).map(|(_, value)| value) {
        let from = start + window.len() - value.len();
        let length = value.find(')').filter(|length| *length >= 4 && !value[..*length].contains(['$', ' ', ',']))?;
        return Some(from..from + length);
    }
    if let Some(parts) =
        rest.strip_prefix("printf '%s%s").and_then(|rest| rest.split_once("' '")).map(|(_, parts)| parts)
    {
        let from = start + window.len() - parts.len();
        let length = parts.find('\'').filter(|length| *length >= 4)?;
        return Some(from..from + length);
    }
    let rest = ["echo -n ", "echo ", "printf '%s' ", "printf %s ", "printf "]
        .iter()
        .find_map(|word| rest.strip_prefix(word))?;
    let command = rest.split(')').next()?;
    let (value, decoder) = command.split_once('|')?;
    let decodes = ["base64", "openssl", "xxd"].iter().any(|word| decoder.trim_start().starts_with(word));
    let value = value.trim_end().trim_end_matches(['"', '\'', '\\']);
    let quotes = value.len() - value.trim_start_matches(['"', '\'', '\\']).len();
    let from = start + window.len() - rest.len() + quotes;
    let length = value.len() - quotes;
    (decodes && length >= 4 && !value.contains(' ')).then_some(from..from + length)
}

/// A header whose value is JSON in JSON, `"{\"x\": \"…\"}"`: the one value in it that a machine made. A constructor,
/// `new Secret("…")`: its text.
fn nested(text: &str, start: usize, quote: Option<u8>) -> Option<Range<usize>> {
    let window = &text[start..floor(text, start + VALUE / 4)];
    // `{{ lookup('env', 'NAME') | default('…') }}`, `{{ .Values.key | default "…" }}`
    if window.starts_with("{{") {
        let inner = window.split(['\n', '}']).next()?;
        let given = inner.find("default")? + "default".len();
        let quote = inner[given..].find(['"', '\'']).filter(|at| *at <= 2)? + given;
        let value = &inner[quote + 1..];
        let end = value.find(&inner[quote..=quote]).filter(|end| *end >= 4)?;
        return Some(start + quote + 1..start + quote + 1 + end);
    }
    // `coalesce(var.key, "…")`, `lookup({ dev = "", prod = "…" }, …)`: the one text in it that a machine made.
    if quote.is_none() && ["coalesce(", "lookup(", "try("].iter().any(|call| window.starts_with(call)) {
        let line = window.split('\n').next()?;
        let texts = line.match_indices('"').map(|(at, _)| at);
        let mut pairs = texts.clone().zip(texts.skip(1));
        let (from, to) = pairs.find(|(from, to)| judge::machine_made(&line[from + 1..*to]))?;
        return Some(start + from + 1..start + to);
    }
    match quote {
        Some(_) if window.starts_with("{\\\"") => {
            let json = window.split("}\"").next()?;
            let texts = json.match_indices("\\\"").map(|(at, _)| at + 2);
            texts
                .zip(json.match_indices("\\\"").map(|(at, _)| at).skip(1))
                .find_map(|(from, to)| judge::machine_made(json.get(from..to)?).then_some(start + from..start + to))
        }
        None => {
            let made = window.strip_prefix("new ").unwrap_or(window);
            let (class, rest) = made.split_once('(')?;
            let last = class.rsplit(['.', ':']).next()?;
            let named =
                last.starts_with(|c: char| c.is_ascii_uppercase()) && last.bytes().all(|b| b.is_ascii_alphanumeric());
            let text = rest.strip_prefix('"').filter(|_| named && class.len() <= 60 && !class.contains([' ', '\n']))?;
            let end = text.find(['"', '\n', '\\'])?;
            let from = start + window.len() - text.len();
            (end >= 4 && text[end..].starts_with("\")")).then_some(from..from + end)
        }
        _ => None,
    }
}

/// `aws_s3_object.layer.key`: names joined by dots, one of them of several words.
fn reference(value: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && !judge::machine_made(part)
    };
    let word = |part: &str| {
        let letters = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        letters && part.starts_with(|c: char| c.is_ascii_alphabetic()) && judge::language(part)
    };
    let members =
        value.contains('.') && value.split('.').all(word) && value.split('.').any(|part| names::words(part).len() > 1);
    members || value.split('.').count() >= 3 && value.contains('_') && value.split('.').all(name)
}

/// Bytes of the escapes by which a terminal is told colours, as JSON writes them.
pub fn colour(text: &str) -> usize {
    let mut rest = text;
    while let Some(code) = rest.strip_prefix("\\u001b[") {
        let Some(end) = code.bytes().take(16).position(|b| b == b'm') else { break };
        rest = &code[end + 1..];
    }
    text.len() - rest.len()
}
