//! Data files to facts: YAML, JSON, TOML and `.env` as the literals they are, prose as one text. Code that loads such a file means
//! these expressions.

use std::borrow::Cow;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use thin_vec::ThinVec;

use super::builder::Builder;
use super::tree::Span;
use crate::depth;
use crate::facts::*;

/// Data beyond this is no configuration.
const LARGEST: usize = 512 << 10;

/// What a data file says; nothing for files of other kinds.
pub fn read(path: &str, text: &Arc<str>) -> FileFacts {
    let name = without_sample_mark(path.rsplit('/').next().unwrap_or(path)).to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is_lock = name.contains("lock") || name.ends_with(".min.json");
    match extension {
        _ if is_env_file(path) && text.len() <= LARGEST => variables(text),
        "yaml" | "yml" | "json" if text.len() <= LARGEST && !is_lock => structure(text),
        "toml" if text.len() <= LARGEST && !is_lock && !depth::is_too_deep(text) => tables(text),
        "prompt" | "prompty" if text.len() <= LARGEST => match front_matter(text) {
            Some(end) => prompt(text, end),
            None => prose(text),
        },
        "txt" | "md" | "jinja" | "j2" | "mdx" if text.len() <= LARGEST => prose(text),
        _ => FileFacts::default(),
    }
}

/// Whether a file is a sample of one of this name, which has no mark itself. The length alone tells for most.
pub fn is_sample_of(sample: &str, real: &str) -> bool {
    let longest = real.len() + "template".len() + 1;
    (real.len() + 1..=longest).contains(&sample.len())
        && real.split('.').next().is_some_and(|stem| sample.contains(stem))
        && without_sample_mark(sample) == real
}

/// `config.yaml` for `config-example.yaml`, `config.sample.yaml`, `example.config.yaml` and `config.yaml.dist`.
pub fn without_sample_mark(name: &str) -> String {
    const MARKS: [&str; 5] = ["example", "sample", "template", "dist", "default"];
    let separators = ['.', '-', '_'];
    for mark in MARKS {
        let Some(at) = name.find(mark) else { continue };
        let (before, after) = (&name[..at], &name[at + mark.len()..]);
        if let (Some(rest), true) = (before.strip_suffix(separators), after.is_empty() || after.starts_with(separators))
        {
            return format!("{rest}{after}");
        }
        if let (true, Some(rest)) =
            (before.is_empty(), after.strip_prefix(separators).filter(|rest| rest.contains('.')))
        {
            return rest.to_owned();
        }
    }
    name.to_owned()
}

fn prose(text: &Arc<str>) -> FileFacts {
    let mut b = Builder::new(text);
    let span = Span { start: 0, end: text.len() as u32, line: 1 };
    let whole = b.text(Cow::Borrowed(&**text), span);
    b.facts.exports.push(("default".into(), Exported::Expr(whole)));
    b.finish()
}

/// Where the data ends that stands between two lines of dashes in front of a text.
fn front_matter(text: &str) -> Option<usize> {
    let first = text.find('\n').filter(|&end| text[..end].trim_end() == "---")?;
    text[first..].find("\n---").map(|end| first + end + 1)
}

/// A prompt with data in front of it, where it is `template`: Dotprompt, Prompty.
fn prompt(text: &Arc<str>, end: usize) -> FileFacts {
    let mut b = Builder::new(text);
    let root = yaml(&mut b, &text[..end]);
    let body = text[end..].find('\n').map_or(text.len(), |line| end + line + 1);
    let line = text[..body].bytes().filter(|&byte| byte == b'\n').count() as u32 + 1;
    let span = Span { start: body as u32, end: text.len() as u32, line };
    let (key, value) = (b.text(Cow::Borrowed("template"), span), b.text(Cow::Borrowed(text[body..].trim()), span));
    let mut pairs = match root.map(|root| b.facts.kind(root).clone()) {
        Some(ExprKind::Dict(pairs)) => pairs,
        _ => ThinVec::new(),
    };
    pairs.push((Some(key), value));
    let whole = b.expr(ExprKind::Dict(pairs), Span { line: 1, ..span });
    b.facts.exports.push(("default".into(), Exported::Expr(whole)));
    b.finish()
}

/// A list or mapping that is being read.
struct Open {
    items: ThinVec<ExprId>,
    is_mapping: bool,
    span: Span,
    anchor: usize,
}

fn structure(text: &Arc<str>) -> FileFacts {
    let mut b = Builder::new(text);
    if let Some(root) = yaml(&mut b, text) {
        b.facts.exports.push(("default".into(), Exported::Expr(root)));
    }
    b.finish()
}

/// YAML as its events come, leaves first; JSON is YAML. What does not parse ends the file there.
fn yaml(b: &mut Builder, text: &str) -> Option<ExprId> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: Vec<(usize, ExprId)> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let Ok((event, at)) = event else { break };
        // Places within a data file are lines; the parser counts characters, not bytes.
        let line = at.start.line() as u32;
        let span = Span { start: 0, end: 0, line };
        let done = match event {
            Event::SequenceStart(anchor, _) => {
                open.push(Open { items: ThinVec::new(), is_mapping: false, span, anchor });
                None
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open { items: ThinVec::new(), is_mapping: true, span, anchor });
                None
            }
            Event::Scalar(value, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let kind = match &*value {
                    "null" | "~" | "" if plain => ExprKind::Null,
                    "true" | "false" if plain => ExprKind::Bool(&*value == "true"),
                    _ => ExprKind::Text(b.facts.keep(value)),
                };
                Some((b.expr(kind, span), anchor))
            }
            Event::Alias(anchor) => {
                let known = anchors.iter().find(|(id, _)| *id == anchor).map(|(_, expr)| *expr);
                Some((known.unwrap_or_else(|| b.expr(ExprKind::Unknown, span)), 0))
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|closed| {
                let kind = if closed.is_mapping {
                    let pairs = closed.items.chunks(2).filter(|pair| pair.len() == 2);
                    ExprKind::Dict(pairs.map(|pair| (Some(pair[0]), pair[1])).collect())
                } else {
                    ExprKind::List(closed.items)
                };
                (b.expr(kind, closed.span), closed.anchor)
            }),
            _ => None,
        };
        if let Some((expr, anchor)) = done {
            if anchor != 0 {
                anchors.push((anchor, expr));
            }
            match open.last_mut() {
                Some(holder) => holder.items.push(expr),
                None => {
                    root.get_or_insert(expr); // Of several documents, the first.
                }
            }
        }
    }
    root
}

/// `.env`, `.env.local`, `.env.production`: what the program is started with, not a sample of it.
pub fn is_env_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == ".env"
        || matches!(name.strip_prefix(".env."), Some("local" | "development" | "production" | "dev" | "prod"))
}

/// `KEY=value` by line.
fn variables(text: &Arc<str>) -> FileFacts {
    let mut b = Builder::new(text);
    let mut pairs = ThinVec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let told = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let Some((key, value)) = told.filter(|_| !line.starts_with('#')) else { continue };
        let value = value.trim();
        let bare = || value.split(" #").next().unwrap_or(value).trim_end();
        let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.split(quote).next());
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare);
        let span = Span { start: 0, end: 0, line: index as u32 + 1 };
        if !value.is_empty() {
            let key = b.text(Cow::Borrowed(key.trim()), span);
            pairs.push((Some(key), b.text(Cow::Borrowed(value), span)));
        }
    }
    let root = b.expr(ExprKind::Dict(pairs), Span { start: 0, end: 0, line: 1 });
    b.facts.exports.push(("default".into(), Exported::Expr(root)));
    b.finish()
}

/// TOML as its tables come; what does not parse is left out.
fn tables(text: &Arc<str>) -> FileFacts {
    let mut b = Builder::new(text);
    let (root, _) = DeTable::parse_recoverable(text);
    let root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
    let root = item(&mut b, &Lines::new(text), &root, 0);
    b.facts.exports.push(("default".into(), Exported::Expr(root)));
    b.finish()
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn span(&self, offset: usize) -> Span {
        Span { start: 0, end: 0, line: self.0.partition_point(|end| *end < offset) as u32 + 1 }
    }
}

/// Tables deeper than this are no configuration.
const DEEPEST: u32 = 64;

fn item(b: &mut Builder, lines: &Lines, value: &Spanned<DeValue>, depth: u32) -> ExprId {
    let span = lines.span(value.span().start);
    let kind = match value.get_ref() {
        _ if depth > DEEPEST => ExprKind::Unknown,
        DeValue::String(text) => ExprKind::Text(b.facts.keep(Cow::Borrowed(&**text))),
        DeValue::Integer(number) => ExprKind::Text(b.facts.keep(Cow::Borrowed(number.as_str()))),
        DeValue::Float(number) => ExprKind::Text(b.facts.keep(Cow::Borrowed(number.as_str()))),
        DeValue::Boolean(value) => ExprKind::Bool(*value),
        DeValue::Datetime(time) => ExprKind::Text(b.facts.keep(Cow::Owned(time.to_string()))),
        DeValue::Array(items) => ExprKind::List(items.iter().map(|entry| item(b, lines, entry, depth + 1)).collect()),
        DeValue::Table(table) => {
            let pair = |(key, value): (&Spanned<DeString>, &Spanned<DeValue>)| {
                let name = b.text(Cow::Borrowed(&**key.get_ref()), lines.span(key.span().start));
                (Some(name), item(b, lines, value, depth + 1))
            };
            ExprKind::Dict(table.iter().map(pair).collect())
        }
    };
    b.expr(kind, span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(facts: &FileFacts, path: &[&str]) -> Option<(String, u32)> {
        let Some(&(_, Exported::Expr(mut at))) = facts.exports.first() else { return None };
        for key in path {
            let ExprKind::Dict(pairs) = facts.kind(at) else { return None };
            at = pairs.iter().find(|(k, _)| k.and_then(|k| facts.text(k)) == Some(key))?.1;
        }
        Some((facts.text(at)?.to_owned(), facts.expr(at).line))
    }

    #[test]
    fn yaml_and_json_are_literals_with_lines() {
        let yaml = "writer:\n  role: >\n    Chief\n    editor\n  llm: openai/gpt-4o\n";
        let yaml = read("config/agents.yaml", &yaml.into());
        assert_eq!(value(&yaml, &["writer", "llm"]), Some(("openai/gpt-4o".into(), 5)));
        assert_eq!(value(&yaml, &["writer", "role"]).unwrap().0, "Chief editor\n");
        let json = read("tools.json", &"{\n  \"name\": \"get_weather\",\n  \"parameters\": {}\n}\n".into());
        assert_eq!(value(&json, &["name"]), Some(("get_weather".into(), 2)));
    }

    #[test]
    fn toml_is_tables_with_lines() {
        let text = "name = 'x'\n[llm]\nchat.model = \"gpt-4o\"\nbroken = \n[tail]\nkeys = ['a']\n";
        let facts = read("config.toml", &text.into());
        assert_eq!(value(&facts, &["llm", "chat", "model"]), Some(("gpt-4o".into(), 3)));
        assert_eq!(value(&facts, &["name"]), Some(("x".into(), 1)));
    }

    #[test]
    fn deep_tables_cost_no_stack() {
        let inner = (0..79).fold(String::from("1"), |value, _| format!("{{ {}b = {value} }}", "a.".repeat(78)));
        for text in [
            format!("x = {inner}"),
            format!("{}b = 1", "a.".repeat(100_000)),
            format!("x = {}", "[".repeat(200_000)),
            format!("[{}b]", "a.".repeat(100_000)),
        ] {
            read("config.toml", &text.into());
        }
    }

    #[test]
    fn samples_are_named_after_what_they_are_samples_of() {
        for sample in ["config-example.yaml", "config.sample.yaml", "example.config.yaml", "config.yaml.dist"] {
            assert_eq!(without_sample_mark(sample), "config.yaml", "{sample}");
        }
        for other in ["examples.yaml", "example.yaml", "my_examples.json"] {
            assert_ne!(without_sample_mark(other), "s.yaml", "{other}");
        }
    }

    #[test]
    fn broken_data_gives_what_came_before() {
        let facts = read("a.yaml", &"a: x\nb: 'not closed".into());
        assert!(!facts.exprs.is_empty());
        assert!(read("package-lock.json", &"{}".into()).exports.is_empty());
    }

    /// Not what we want: the parser gives up on a broken flow mapping before it hands out what came before the break.
    #[test]
    fn broken_json_gives_nothing_yet() {
        assert!(read("a.json", &"{\"a\": \"x\", ]]]".into()).exprs.is_empty());
    }
}
