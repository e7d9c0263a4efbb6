//! Labels: what a person found in an agent by reading it. The agents themselves are other people's and are not here;
//! a label says where to fetch them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One labelled agent: `fixtures/labels/<id>.toml`, or `labels.toml` beside an agent of our own.
#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    /// Public repository, `owner/name`; empty for agents of our own.
    #[serde(default)]
    pub repository: String,
    /// Commit.
    #[serde(default)]
    pub commit: String,
    /// Folder in the repository.
    #[serde(default)]
    pub path: String,
    /// Files and folders in it that the reader left out, and so the label says nothing of.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Which part of the labels: what is learnt from, or what is looked at only as a number.
    #[serde(default)]
    pub part: Part,
    /// External hosts.
    pub destinations: Vec<String>,
    /// Distribution names.
    pub requirements: Vec<String>,
    /// The file that starts it.
    pub entry_point: String,
    /// Files that would be as right.
    #[serde(default)]
    pub entry_point_also: Vec<String>,
    /// Beginning of the main system prompt.
    #[serde(default)]
    pub system_prompt: String,
    /// Beginnings that would be as right.
    #[serde(default)]
    pub system_prompt_also: Vec<String>,
    /// Services and functions.
    #[serde(default)]
    pub tool: Vec<Tool>,
    /// Where a model is chosen.
    #[serde(default)]
    pub model_usage: Vec<Usage>,
    /// Credentials.
    #[serde(default)]
    pub secret: Vec<Secret>,
}

/// The parts of the labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Its misses are looked at, and mechanisms built for them.
    #[default]
    Learn,
    /// Labelled by readers who saw neither the analyzer nor its knowledge; only its figures are looked at.
    Held,
}

impl Label {
    /// The label speaks of this file.
    pub fn covers(&self, path: &str) -> bool {
        let below = |left: &String| {
            path.strip_prefix(left.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !self.left_out.iter().any(below)
    }
}

/// A labelled tool.
#[derive(Debug, Clone, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// `env`, `http`, `sdk`, `mcp`, `function`.
    pub kind: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// Lines that would be as right.
    #[serde(default)]
    pub also_lines: Vec<u32>,
}

/// A labelled model usage.
#[derive(Debug, Clone, Deserialize)]
pub struct Usage {
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// Lines that would be as right.
    #[serde(default)]
    pub also_lines: Vec<u32>,
    /// Provider id.
    pub provider: String,
    /// The model; none when it cannot be known.
    pub model: Option<String>,
    /// Its role.
    pub role: String,
}

/// A labelled secret.
#[derive(Debug, Clone, Deserialize)]
pub struct Secret {
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// Lines that would be as right.
    #[serde(default)]
    pub also_lines: Vec<u32>,
}

/// Labels of a folder, by id.
pub fn load(folder: &Path) -> Result<BTreeMap<String, Label>, String> {
    let mut labels = BTreeMap::new();
    for path in files(folder)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
        let id = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        labels.insert(id, read(&path)?);
    }
    Ok(labels)
}

fn read(path: &Path) -> Result<Label, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Labels of the agents of our own writing: `<case>/labels.toml`.
pub fn load_own(folder: &Path) -> Result<BTreeMap<String, Label>, String> {
    let mut labels = BTreeMap::new();
    for case in files(folder)?.into_iter().filter(|path| path.join("labels.toml").is_file()) {
        let of_case = read(&case.join("labels.toml"))?;
        let id = case.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        labels.insert(id, of_case);
    }
    Ok(labels)
}

/// Text files below a folder, by their path in it.
pub fn sources(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let mut sources = Vec::new();
    let mut work = vec![folder.to_owned()];
    while let Some(at) = work.pop() {
        for path in files(&at)? {
            if path.is_dir() {
                work.push(path);
            } else if let Ok(bytes) = std::fs::read(&path)
                && let Ok(text) = String::from_utf8(bytes)
            {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                sources.push((name, text));
            }
        }
    }
    sources.sort();
    Ok(sources)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    Ok(paths)
}
