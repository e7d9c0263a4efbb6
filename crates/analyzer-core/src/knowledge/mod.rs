//! What the analyzer knows of the world: data files, embedded, and a user's own through the same door.

pub mod index;
pub mod schema;
mod symbol;

use std::sync::{Arc, LazyLock};

pub use index::{Hit, Knowledge};
pub use schema::{ArgRef, Entry};

/// Path and text of every embedded knowledge file.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/knowledge_files.rs"));

/// Why a knowledge file was refused: not TOML, an unknown field, a value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct KnowledgeError {
    /// Path of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads one knowledge file.
pub fn parse(path: &str, text: &str) -> Result<Entry, KnowledgeError> {
    let entry: Entry = read(path, text)?;
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".toml");
    if entry.id != stem {
        return Err(refuse(path, text, &entry.id, format!("id {:?} must be the file's name {stem:?}", entry.id)));
    }
    if let Some(host) = entry.hosts.iter().find(|h| h.contains("://") || **h != h.to_ascii_lowercase()) {
        return Err(refuse(path, text, host, format!("host {host:?} must be bare and lower case")));
    }
    Ok(entry)
}

/// Reads TOML as one of our shapes; a misspelt field is refused with its line.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<T, KnowledgeError> {
    if crate::depth::is_too_deep(text) {
        return Err(KnowledgeError { file: path.into(), line: 1, message: "tables within tables without end".into() });
    }
    toml::from_str(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        KnowledgeError { file: path.into(), line, message: error.message().into() }
    })
}

/// A refusal at the line where `value` is written.
pub(crate) fn refuse(path: &str, text: &str, value: &str, message: String) -> KnowledgeError {
    let line = text.find(value).map_or(1, |at| line_of(text, at));
    KnowledgeError { file: path.into(), line, message }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The embedded knowledge, loaded once.
pub fn builtin() -> Arc<Knowledge> {
    static BUILTIN: LazyLock<Arc<Knowledge>> = LazyLock::new(|| Arc::new(Knowledge::new(embedded())));
    BUILTIN.clone()
}

/// The embedded entries, without their examples.
pub fn embedded() -> Vec<(String, Entry)> {
    let entries = serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/knowledge_entries.json")));
    entries.unwrap_or_else(|error| panic!("embedded knowledge is checked by tests: {error}"))
}

/// The embedded files that hold an [`Entry`]; secrets' formats and package lists have shapes of their own.
pub fn entry_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    let other = ["knowledge/secrets/", "knowledge/packages/"];
    FILES.iter().copied().filter(move |(path, _)| !other.iter().any(|folder| path.starts_with(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_loads() {
        let errors: Vec<String> =
            entry_files().filter_map(|(path, text)| parse(path, text).err()).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "\n{}", errors.join("\n"));
    }

    #[test]
    fn what_is_embedded_is_what_the_files_say() {
        let mut read: Vec<_> =
            entry_files().map(|(path, text)| (path.to_owned(), parse(path, text).unwrap())).collect();
        read.iter_mut().for_each(|(_, entry)| entry.example.clear());
        assert_eq!(format!("{:?}", embedded()), format!("{read:?}"));
    }

    #[test]
    fn a_misspelt_field_is_refused_with_file_and_line() {
        let error = parse("x/acme.toml", "id = \"acme\"\nname = \"A\"\nsource = \"s\"\nhost = [\"a\"]\n").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("x/acme.toml:4: ") && text.contains("host"), "{text}");
    }
}
