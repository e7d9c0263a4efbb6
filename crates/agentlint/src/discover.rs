//! Files: which are read, which are not and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::{Override, OverrideBuilder};

use crate::error::Error;

/// Larger files hold data, not code.
const LARGEST: u64 = 1 << 20;

/// Folders that hold what others wrote or programs made.
const BUILT_IN: [&str; 17] = [
    ".git",
    "node_modules",
    ".venv",
    "venv",
    "__pycache__",
    "site-packages",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".next",
    ".turbo",
    "dist",
    "build",
    "target",
    "coverage",
];

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Text by path, relative to the folder.
    pub files: BTreeMap<String, String>,
    /// Paths that version control does not take: environment files that are looked at for secrets.
    pub untracked: BTreeSet<String>,
    /// What was left out, and why.
    pub skipped: Vec<(String, String)>,
}

/// What may be left out.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Globs as in .gitignore.
    pub exclude: Vec<String>,
    /// Look at files that version control ignores too.
    pub no_gitignore: bool,
}

impl Rules {
    fn overrides(&self, root: &Path) -> Result<Override, Error> {
        let mut builder = OverrideBuilder::new(root);
        for glob in &self.exclude {
            let refuse = |error: ignore::Error| Error::Usage(format!("exclude {glob:?}: {error}"));
            builder.add(&format!("!{glob}")).map_err(refuse)?;
        }
        builder.build().map_err(|error| Error::Usage(error.to_string()))
    }

    /// Whether a file is left out by name.
    pub fn excludes(&self, root: &Path, path: &Path) -> Result<bool, Error> {
        let overrides = self.overrides(root)?;
        let above = path.strip_prefix(root).unwrap_or(path).ancestors().filter(|part| !part.as_os_str().is_empty());
        Ok(above.enumerate().any(|(depth, part)| overrides.matched(part, depth > 0).is_ignore()))
    }
}

/// The files below a folder.
pub fn below(root: &Path, rules: &Rules) -> Result<Found, Error> {
    let mut found = Found::default();
    let overrides = rules.overrides(root)?;
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .require_git(false)
        .git_ignore(!rules.no_gitignore)
        .git_global(!rules.no_gitignore)
        .git_exclude(!rules.no_gitignore)
        .ignore(!rules.no_gitignore)
        .overrides(overrides.clone())
        .filter_entry(|entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            !(is_folder && entry.depth() > 0 && BUILT_IN.iter().any(|name| entry.file_name() == *name))
        })
        .sort_by_file_name(std::cmp::Ord::cmp)
        .build();
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.skipped.push((root.display().to_string(), error.to_string()));
                continue;
            }
        };
        match entry.file_type() {
            Some(kind) if kind.is_dir() => folders.push(entry.path().to_owned()),
            Some(kind) if kind.is_file() => found.take(root, entry.path()),
            _ => found.skipped.push((relative(root, entry.path()), "a link or a special file".into())),
        }
    }
    // The very file that holds the secrets is usually one that git does not see.
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let own = relative(root, &path);
            let wanted = name == ".env" || name.starts_with(".env.");
            let excluded = overrides.matched(&path, false).is_ignore();
            if wanted && !excluded && !found.files.contains_key(&own) && path.is_file() {
                found.take(root, &path);
                found.untracked.insert(own);
            }
        }
    }
    Ok(found)
}

impl Found {
    /// Reads a file, unless it is no text.
    pub fn take(&mut self, root: &Path, path: &Path) {
        let own = relative(root, path);
        let reason = match std::fs::metadata(path) {
            Err(error) => error.to_string(),
            Ok(metadata) if metadata.len() > LARGEST => format!("larger than {} KiB", LARGEST >> 10),
            Ok(_) => match std::fs::read(path) {
                Err(error) => error.to_string(),
                Ok(bytes) if bytes.iter().take(8_192).any(|byte| *byte == 0) => "no text".into(),
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.files.insert(own, text);
                    return;
                }
            },
        };
        self.skipped.push((own, reason));
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
