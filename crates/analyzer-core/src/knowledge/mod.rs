//! What the analyzer knows of the world: data files, embedded, and a user's own through the same door.

pub mod index;
pub mod schema;

use std::sync::{Arc, LazyLock};

pub use index::{Hit, Knowledge};
pub use schema::{ArgRef, Entry};

/// Path and text of every embedded knowledge file.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/knowledge_files.rs"));

/// Why a knowledge file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnowledgeError {
    /// Not TOML, an unknown field, a wrong type.
    #[error("{file}:{line}: {message}")]
    Syntax {
        /// Path of the file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A value that cannot be.
    #[error("{file}: {message}")]
    Invalid {
        /// Path of the file.
        file: String,
        /// What is wrong.
        message: String,
    },
}

/// Reads one knowledge file.
pub fn parse(path: &str, text: &str) -> Result<Entry, KnowledgeError> {
    let entry: Entry = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        KnowledgeError::Syntax { file: path.into(), line, message: error.message().into() }
    })?;
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".toml");
    if entry.id != stem {
        let message = format!("id {:?} must be the file's name {stem:?}", entry.id);
        return Err(KnowledgeError::Invalid { file: path.into(), message });
    }
    if let Some(host) = entry.hosts.iter().find(|h| h.contains("://") || **h != h.to_ascii_lowercase()) {
        let message = format!("host {host:?} must be bare and lower case");
        return Err(KnowledgeError::Invalid { file: path.into(), message });
    }
    Ok(entry)
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
