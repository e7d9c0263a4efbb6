//! Manifests: what the project's own files declare about packages, aliases and how it starts.
//!
//! Everything here says less rather than fail: a broken manifest gives a note, an unknown form gives nothing.

mod javascript;
mod python;
mod start;
mod text;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::analysis::Note;
use crate::depth;
use crate::packages::normalize;
use crate::sources::{Source, Sources};
pub(crate) use javascript::sources_of;
pub(crate) use text::{folder_of, join};

/// What all manifests say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifests {
    /// Python distributions, in order of file and line.
    pub python: Vec<Declared>,
    /// npm packages, in order of file.
    pub npm: Vec<Declared>,
    /// Files that something starts, the strongest first.
    pub starts: Vec<Start>,
    /// Import names that stand for paths or other packages.
    pub path_aliases: Vec<PathAlias>,
    /// The project's own packages.
    pub package_names: Vec<OwnPackage>,
    /// What could not be read.
    pub notes: Vec<Note>,
}

/// A package that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Normal form of the name.
    pub name: String,
    /// As it stands in a requirements file: `crewai[tools]>=0.80`; for npm `zod@^3.23`.
    pub specifier: String,
    /// Extras asked for.
    pub extras: Vec<String>,
    /// For development only.
    pub dev: bool,
    /// In an optional group, or a peer.
    pub optional: bool,
    /// The manifest.
    pub file: String,
}

/// A file that a manifest starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// 0 is the strongest.
    pub rank: u8,
    /// The submitted file.
    pub file: String,
    /// A sentence's end: "`CMD` of Dockerfile starts it".
    pub reason: String,
}

/// An import name that stands for something else, for the files of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathAlias {
    /// Folder whose files know it; empty for the project.
    pub folder: String,
    /// `@/*`, `~lib`, `openai`; empty for TypeScript's `baseUrl`.
    pub pattern: String,
    /// Paths from the project's root with `*` for what the pattern caught, or `npm:`, `jsr:` and `https:` addresses.
    pub targets: Vec<String>,
}

/// A package that the project itself is or contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPackage {
    /// Its name as imported: `@acme/lib`, `my_agent`.
    pub name: String,
    /// Its folder; empty for the project's root.
    pub folder: String,
    /// Files that answer to the bare name, from the project's root: `main`, `exports`.
    pub entries: Vec<String>,
    /// An npm package rather than a Python one.
    pub npm: bool,
}

impl Manifests {
    /// Reads every manifest among the sources.
    pub fn read(sources: &Sources) -> Manifests {
        Manifests::read_noting(sources).0
    }

    /// The same, with the paths of the files whose texts were read for it. Of the others only the paths count.
    pub(crate) fn read_noting(sources: &Sources) -> (Manifests, BTreeSet<Arc<str>>) {
        let mut reader = Reader { sources, found: Manifests::default(), read: RefCell::default() };
        for source in sources.files() {
            reader.file(source);
        }
        python::includes(&mut reader);
        let mut found = std::mem::take(&mut reader.found);
        found.starts.sort();
        found.starts.dedup_by(|later, earlier| later.file == earlier.file && later.rank == earlier.rank);
        found.notes.sort();
        (found, reader.read.into_inner())
    }

    /// The declaration of a Python distribution that counts for a file: of the nearest folder above it, else the first.
    pub fn python_declared(&self, name: &str, file: &str) -> Option<&Declared> {
        nearest(&self.python, name, file)
    }

    /// The declaration of an npm package that counts for a file.
    pub fn npm_declared(&self, name: &str, file: &str) -> Option<&Declared> {
        nearest(&self.npm, name, file)
    }
}

fn nearest<'a>(declared: &'a [Declared], name: &str, file: &str) -> Option<&'a Declared> {
    let rank = |d: &Declared| {
        let folder = folder_of(&d.file);
        let above = text::is_under(file, folder).then_some(folder.len());
        // Of one folder, what runs in production comes first, then what says most.
        (above, !d.dev, !d.optional, d.specifier.len())
    };
    let first = declared.partition_point(|d| d.name.as_str() < name);
    let same = declared[first..].iter().take_while(|d| d.name == name);
    same.enumerate().max_by_key(|(at, d)| (rank(d), std::cmp::Reverse(*at))).map(|(_, d)| d)
}

/// What the readers of single formats share.
struct Reader<'a> {
    sources: &'a Sources,
    found: Manifests,
    /// Files whose texts were read.
    read: RefCell<BTreeSet<Arc<str>>>,
}

impl<'a> Reader<'a> {
    fn file(&mut self, source: &'a Source) {
        let path = &*source.path;
        let name = path.rsplit('/').next().unwrap_or(path);
        if path.split('/').any(|part| part == "node_modules" || part == "site-packages") {
            return;
        }
        match name {
            "pyproject.toml" => python::pyproject(self, source),
            "setup.cfg" => python::setup_cfg(self, source),
            "setup.py" => python::setup_py(self, source),
            "Pipfile" => python::pipfile(self, source),
            "environment.yml" | "environment.yaml" | "conda.yml" | "conda.yaml" => python::environment(self, source),
            "package.json" => javascript::package(self, source),
            "deno.json" | "deno.jsonc" | "import_map.json" | "importmap.json" => javascript::deno(self, source),
            "jsconfig.json" => javascript::tsconfig(self, source),
            "langgraph.json" => start::langgraph(self, source),
            "wrangler.toml" | "wrangler.json" | "wrangler.jsonc" => start::wrangler(self, source),
            "serverless.yml" | "serverless.yaml" | "template.yaml" | "template.yml" => start::serverless(self, source),
            "runagents.yaml" | "runagents.yml" | "agent.yaml" | "agent.yml" => start::runagents(self, source),
            "Procfile" => start::procfile(self, source),
            name if name == "Dockerfile" || name.starts_with("Dockerfile.") || name.ends_with(".Dockerfile") => {
                start::dockerfile(self, source);
            }
            name if name.starts_with("tsconfig") && name.ends_with(".json") => javascript::tsconfig(self, source),
            _ if python::is_requirements(path) => python::requirements(self, source),
            _ => return,
        }
        self.read.borrow_mut().insert(source.path.clone());
    }

    fn source(&self, path: &str) -> Option<&'a Source> {
        let files = self.sources.files();
        let source = files.binary_search_by(|file| (*file.path).cmp(path)).ok().map(|at| &files[at]);
        self.read.borrow_mut().extend(source.map(|source| source.path.clone()));
        source
    }

    fn exists(&self, path: &str) -> bool {
        self.sources.files().binary_search_by(|file| (*file.path).cmp(path)).is_ok()
    }

    fn note(&mut self, source: &Source, line: usize, message: String) {
        let file = source.path.to_string();
        self.found.notes.push(Note { file, line: line as u32, code: "manifest".into(), message });
    }

    fn json(&mut self, source: &Source) -> Option<Value> {
        match serde_json::from_str(&text::plain_json(&source.text)) {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("not readable as JSON ({error}); what it declares is not known");
                self.note(source, error.line(), message);
                None
            }
        }
    }

    fn toml(&mut self, source: &Source) -> Option<toml::Table> {
        if depth::is_too_deep(&source.text) {
            self.note(source, 1, "tables within tables without end; what it declares is not known".into());
            return None;
        }
        match toml::from_str(&source.text) {
            Ok(table) => Some(table),
            Err(error) => {
                let line = error.span().map_or(0, |span| text::line_at(&source.text, span.start));
                let message = format!("not readable as TOML ({}); what it declares is not known", error.message());
                self.note(source, line, message);
                None
            }
        }
    }

    fn declare_python(&mut self, file: &str, written: &str, dev: bool, optional: bool) {
        if let Some(asked) = python::Asked::read(written) {
            self.found.python.push(Declared {
                name: normalize(asked.name),
                specifier: asked.specifier(),
                extras: asked.extras.iter().map(|e| normalize(e)).collect(),
                dev,
                optional,
                file: file.to_owned(),
            });
        }
    }

    fn start(&mut self, rank: u8, file: String, reason: String) {
        self.found.starts.push(Start { rank, file, reason });
    }
}

#[cfg(test)]
mod tests;
