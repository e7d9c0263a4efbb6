//! Files over their parsing budget: strings and imports, read line by line.

use std::sync::Arc;

use super::builder::Builder;
use super::literal;
use super::tree::Span;
use crate::facts::*;
use crate::sources::Language;

/// Strings and imports of a source text, without its structure.
pub fn read_lines(text: &Arc<str>, language: Language) -> FileFacts {
    let mut b = Builder::new(text);
    b.facts.over_budget = true;
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index as u32 + 1;
        match language.is_python() {
            true => python_import(&mut b, line.trim_end(), number),
            false => javascript_import(&mut b, line, number),
        }
        strings(&mut b, line, start, number, language.is_python());
        start += line.len();
    }
    b.finish()
}

fn python_import(b: &mut Builder, line: &str, number: u32) {
    let mut words = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
    let module = match (words.next(), words.next()) {
        (Some("import" | "from"), Some(module)) => module,
        _ => return,
    };
    if module.starts_with('.') || !module.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') {
        return;
    }
    let root = b.facts.intern(module.split('.').next().unwrap_or(module));
    let (module, item) = (module.into(), Item::Root);
    b.import(Import { module, item, local: Some(root), line: number, type_only: false, conditional: false });
}

fn javascript_import(b: &mut Builder, line: &str, number: u32) {
    let trimmed = line.trim_start();
    let after = match trimmed.find("require(") {
        Some(at) => &trimmed[at + "require(".len()..],
        None if trimmed.starts_with("import") || trimmed.starts_with("export") || trimmed.starts_with('}') => {
            match trimmed.rfind("from") {
                Some(at) => &trimmed[at + "from".len()..],
                None => return,
            }
        }
        None => return,
    };
    let after = after.trim_start();
    let Some(quote) = after.chars().next().filter(|c| "\"'".contains(*c)) else { return };
    let Some(module) = after[1..].split(quote).next() else { return };
    let (module, item) = (module.into(), Item::Effect);
    b.import(Import { module, item, local: None, line: number, type_only: false, conditional: false });
}

/// Quoted text within one line.
fn strings<'t>(b: &mut Builder<'t>, line: &'t str, start: usize, number: u32, python: bool) {
    let bytes = line.as_bytes();
    let mut at = 0;
    while let Some(open) = bytes[at..].iter().position(|c| b"\"'`".contains(c)).map(|i| i + at) {
        let quote = bytes[open];
        let mut close = open + 1;
        while close < bytes.len() && bytes[close] != quote {
            close += 1 + usize::from(bytes[close] == b'\\');
        }
        if close >= bytes.len() {
            return;
        }
        let literal = &line[open..=close];
        let decoded = if python { literal::python(literal) } else { literal::javascript(literal) };
        let span = Span { start: (start + open) as u32, end: (start + close + 1) as u32, line: number };
        b.text(decoded, span);
        at = close + 1;
    }
}
