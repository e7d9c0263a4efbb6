//! Artifacts: source that is ready to run, named by its content.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What an agent is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Python, served by the published runtime.
    Python,
    /// JavaScript or TypeScript, served by our own runner.
    Node,
}

/// What is to be built. Paths are relative, without `..`, and valid once this exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    language: Language,
    files: BTreeMap<String, String>,
    requirements: Vec<String>,
    entry_point: Option<String>,
}

/// Why something cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A path that would leave the agent's folder, or is none.
    #[error("{0:?} is no path of a file: use relative paths without `..`")]
    Path(String),
    /// A file that is also a folder of another.
    #[error("{0:?} is both a file and a folder")]
    Twice(String),
    /// An entry point that nobody submitted.
    #[error("the entry point {0:?} is none of the files")]
    EntryPoint(String),
    /// A requirement that would be read as something else than a package.
    #[error("{0:?} is no requirement: name one package a line, as in `openai>=1.0`")]
    Requirement(String),
}

impl Source {
    /// Checks paths, entry point and requirements. Without an entry point the runtime's own loop answers.
    ///
    /// Requirements are pip's for Python (`openai>=1.0`) and npm's for Node (`openai@^4`); for Node a submitted
    /// `package.json` counts where none are given.
    pub fn new(
        language: Language,
        files: BTreeMap<String, String>,
        requirements: Vec<String>,
        entry_point: Option<String>,
    ) -> Result<Source, SourceError> {
        for path in files.keys() {
            let part_is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
            let plain = path.len() <= 4096 && !path.contains(['\0', '\\']) && path.split('/').all(part_is_plain);
            if !plain {
                return Err(SourceError::Path(path.clone()));
            }
            let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            if let Some(folder) = folders.find(|folder| files.contains_key(*folder)) {
                return Err(SourceError::Twice(folder.to_string()));
            }
        }
        if let Some(entry_point) = entry_point.iter().find(|entry_point| !files.contains_key(*entry_point)) {
            return Err(SourceError::EntryPoint(entry_point.clone()));
        }
        let mut kept = Vec::new();
        for line in &requirements {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // Options would read files or reach hosts of their own choosing.
            let plain = line.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '@')
                && !line.contains(|any: char| any.is_control())
                && !line.contains("://")
                && line.len() <= 1024;
            if !plain {
                return Err(SourceError::Requirement(line.to_string()));
            }
            kept.push(line.to_string());
        }
        kept.sort();
        kept.dedup();
        Ok(Source { language, files, requirements: kept, entry_point })
    }

    /// What it is written in.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Its files by path.
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// The packages it asks for, sorted.
    pub fn requirements(&self) -> &[String] {
        &self.requirements
    }

    /// The file that holds the handler.
    pub fn entry_point(&self) -> Option<&str> {
        self.entry_point.as_deref()
    }
}

/// What a builder made. It is data: whoever keeps it may start the agent from it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Artifact {
    /// The same for the same source, requirements and interpreter.
    pub digest: Digest,
    /// The code alone.
    pub code: Digest,
    /// The environment that the code runs in, shared by all that require the same.
    pub environment: Digest,
    /// What it is written in.
    pub language: Language,
    /// The file that holds the handler.
    pub entry_point: Option<String>,
}

/// The SHA-256 of some content, as hex digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Of parts in order; how they are cut counts.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Digest(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        match text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            true => Ok(Digest(text)),
            // It becomes the name of a folder.
            false => Err(serde::de::Error::custom("a digest has 64 hex digits")),
        }
    }
}
