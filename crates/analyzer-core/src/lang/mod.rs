//! Source to facts, by language. This folder is the only place that names tree-sitter: whoever reads facts has never
//! heard of syntax trees, and a new language is a new file here.

#[cfg(feature = "mimalloc")]
mod allocator;
mod builder;
mod component;
mod data;
mod javascript;
mod literal;
mod notebook;
mod python;
pub mod text;
mod tree;

pub use data::{is_env_file, is_sample_of, without_sample_mark};

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use crate::facts::FileFacts;
use crate::sources::{Language, Source};
pub use tree::Cost;
use tree::{Gave, Grammar};

/// Reading stopped because the caller asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

/// What it costs to parse a text and do nothing with it, against what it may cost; none for texts without a grammar.
///
/// This is the floor that everything else is measured against.
pub fn cost(text: &str, language: Language) -> Option<Cost> {
    let (tree, cost) = tree::parse_counted(grammar(language)?, text, None);
    drop(tree);
    Some(cost)
}

fn grammar(language: Language) -> Option<Grammar> {
    Some(match language {
        Language::Python => Grammar::Python,
        Language::JavaScript => Grammar::JavaScript,
        Language::TypeScript => Grammar::TypeScript,
        Language::Tsx => Grammar::Tsx,
        Language::Text | Language::Notebook | Language::Component => return None,
    })
}

/// What a source text says. A text over its budget still gives its strings and imports.
pub fn read(source: &Source, cancel: Option<&AtomicBool>) -> Result<FileFacts, Cancelled> {
    match source.language {
        Language::Text => Ok(data::read(&source.path, &source.text)),
        Language::Notebook => {
            let code: Arc<str> = notebook::code(&source.text).into();
            let mut facts = read_code(&code, Language::Python, cancel)?;
            facts.code = Some(code);
            Ok(facts)
        }
        Language::Component => {
            let code: Arc<str> = component::code(&source.text).into();
            let mut facts = read_code(&code, Language::TypeScript, cancel)?;
            facts.code = Some(code);
            Ok(facts)
        }
        language => read_code(&source.text, language, cancel),
    }
}

/// What code says, wherever it stands.
fn read_code(text: &Arc<str>, language: Language, cancel: Option<&AtomicBool>) -> Result<FileFacts, Cancelled> {
    let Some(grammar) = grammar(language) else { return Ok(FileFacts::default()) };
    let tree = match tree::parse(grammar, text, cancel) {
        Ok(tree) => tree,
        Err(Gave::UpCancelled) => return Err(Cancelled),
        Err(Gave::UpBudget) => return Ok(text::read_lines(text, language)),
    };
    let mut facts = match grammar {
        Grammar::Python => {
            let mut visitor = python::Python::new(text);
            tree::walk(&tree, &mut visitor);
            visitor.b.finish()
        }
        _ => {
            let mut visitor = javascript::JavaScript::new(text, table(grammar));
            tree::walk(&tree, &mut visitor);
            visitor.b.finish()
        }
    };
    facts.has_errors = tree.root_node().has_error();
    Ok(facts)
}

fn table(grammar: Grammar) -> &'static javascript::Table {
    static TABLES: [LazyLock<javascript::Table>; 3] = [
        LazyLock::new(|| javascript::Table::new(Grammar::JavaScript)),
        LazyLock::new(|| javascript::Table::new(Grammar::TypeScript)),
        LazyLock::new(|| javascript::Table::new(Grammar::Tsx)),
    ];
    &TABLES[grammar as usize - 1]
}
