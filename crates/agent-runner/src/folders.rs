//! Folders: where things are below the data folder that builder and runner share.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Artifact, Digest};

/// The data folder.
#[derive(Debug, Clone)]
pub struct Folders {
    data: PathBuf,
}

/// What is known of an environment, kept in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentNotes {
    /// The interpreter: a path in the environment, or of the host.
    pub interpreter: PathBuf,
    /// Folders of the host that the interpreter needs.
    pub needs: Vec<PathBuf>,
}

impl Folders {
    /// Made if need be, for the platform alone.
    pub fn at(data: &Path) -> io::Result<Folders> {
        let private = |folder: &Path| DirBuilder::new().recursive(true).mode(0o700).create(folder);
        private(data)?;
        let folders = Folders { data: data.canonicalize()? };
        for folder in ["artifacts", "environments", "aside", "cache", "logs", "run"] {
            private(&folders.data.join(folder))?;
        }
        Ok(folders)
    }

    /// All of it.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// One artifact: its code, and beside it what its code looks for in the folders above.
    pub fn artifact(&self, digest: &Digest) -> PathBuf {
        self.data.join("artifacts").join(digest.as_str())
    }

    /// The code of an artifact.
    pub fn code(&self, digest: &Digest) -> PathBuf {
        self.artifact(digest).join("app")
    }

    /// One environment.
    pub fn environment(&self, digest: &Digest) -> PathBuf {
        self.data.join("environments").join(digest.as_str())
    }

    /// All artifacts, or all environments.
    pub fn all(&self, kind: &str) -> PathBuf {
        self.data.join(kind)
    }

    /// What is known of an environment.
    pub fn notes(&self, environment: &Digest) -> io::Result<EnvironmentNotes> {
        let text = std::fs::read(self.environment(environment).join(NOTES))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Whether all of an artifact is here: what is half made is elsewhere.
    pub fn has(&self, artifact: &Artifact) -> bool {
        self.code(&artifact.digest).is_dir() && self.notes(&artifact.environment).is_ok()
    }
}

/// The file that makes an environment one.
pub const NOTES: &str = "environment.json";
