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
    /// Paths of files that are not UTF-8: writing what was read of them would change what they say.
    pub foreign: BTreeSet<String>,
    /// Folders that were looked into.
    pub folders: Vec<PathBuf>,
}

/// What may be left out.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Globs as in .gitignore, and the way from the folder that they speak of down to the one that is read.
    pub exclude: Vec<(PathBuf, Vec<String>)>,
    /// Look at files that version control ignores too.
    pub no_gitignore: bool,
}

/// Globs, ready to match.
struct Excluded(Vec<(PathBuf, Override)>);

impl Excluded {
    /// A path from the folder that is read.
    fn has(&self, path: &Path, is_folder: bool) -> bool {
        self.0.iter().any(|(way, globs)| globs.matched(way.join(path), is_folder).is_ignore())
    }
}

impl Rules {
    fn globs(globs: &[String]) -> Result<Override, Error> {
        let mut builder = OverrideBuilder::new("");
        for glob in globs {
            // The parser speaks of `!`, which nobody wrote.
            let refuse = |error: ignore::Error| {
                let why = error.to_string();
                let why = why.rsplit("': ").next().unwrap_or_default();
                Error::Usage(format!("exclude {glob:?}: {why}"))
            };
            builder.add(&format!("!{glob}")).map_err(refuse)?;
        }
        builder.build().map_err(|error| Error::Usage(error.to_string()))
    }

    fn excluded(&self) -> Result<Excluded, Error> {
        let some = self.exclude.iter().filter(|(_, globs)| !globs.is_empty());
        let ready = some.map(|(way, globs)| Ok((way.clone(), Self::globs(globs)?)));
        Ok(Excluded(ready.collect::<Result<_, Error>>()?))
    }

    /// Those of these files that would be found below the folder, by name and size.
    pub fn found(&self, files: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
        let excluded = self.excluded()?;
        let takes = |path: &str| {
            let above = Path::new(path).ancestors().filter(|part| !part.as_os_str().is_empty());
            above.enumerate().all(|(depth, part)| {
                let is_built_in = BUILT_IN.iter().any(|name| part.file_name().is_some_and(|own| own == *name));
                !(depth > 0 && is_built_in || excluded.has(part, depth > 0))
            })
        };
        Ok(files.into_iter().filter(|(path, _)| takes(path)).collect())
    }

    /// Whether a file is left out by name, or a folder above it.
    pub fn excludes(&self, root: &Path, path: &Path) -> Result<bool, Error> {
        let excluded = self.excluded()?;
        let above = path.strip_prefix(root).unwrap_or(path).ancestors().filter(|part| !part.as_os_str().is_empty());
        Ok(above.enumerate().any(|(depth, part)| excluded.has(part, depth > 0)))
    }
}

/// The files below a folder.
pub fn below(root: &Path, rules: &Rules) -> Result<Found, Error> {
    let mut found = Found::default();
    let excluded = std::sync::Arc::new(rules.excluded()?);
    let (of_walk, from) = (excluded.clone(), root.to_owned());
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .require_git(false)
        .git_ignore(!rules.no_gitignore)
        .git_global(!rules.no_gitignore)
        .git_exclude(!rules.no_gitignore)
        .ignore(!rules.no_gitignore)
        .filter_entry(move |entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            let is_built_in = is_folder && BUILT_IN.iter().any(|name| entry.file_name() == *name);
            let own = entry.path().strip_prefix(&from).unwrap_or(entry.path());
            entry.depth() == 0 || !(is_built_in || of_walk.has(own, is_folder))
        })
        .sort_by_file_name(std::cmp::Ord::cmp)
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.skipped.push((root.display().to_string(), error.to_string()));
                continue;
            }
        };
        match entry.file_type() {
            Some(kind) if kind.is_dir() => found.folders.push(entry.path().to_owned()),
            Some(kind) if kind.is_file() => found.take(root, entry.path()),
            _ => found.skipped.push((relative(root, entry.path()), "a link or a special file".into())),
        }
    }
    // The very file that holds the secrets is usually one that git does not see.
    for folder in found.folders.clone() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let own = relative(root, &path);
            let wanted = name == ".env" || name.starts_with(".env.");
            if wanted && !excluded.has(Path::new(&own), false) && !found.files.contains_key(&own) && path.is_file() {
                found.take(root, &path);
                found.untracked.insert(own);
            }
        }
    }
    Ok(found)
}

impl Found {
    /// Takes in what a file holds.
    pub fn read(&mut self, path: String, bytes: Vec<u8>) {
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            self.foreign.insert(path.clone());
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        });
        self.files.insert(path, text);
    }

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
                    self.read(own, bytes);
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
