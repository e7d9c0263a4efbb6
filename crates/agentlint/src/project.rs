//! A project as commands see it: its files, its configuration, and the analysis of both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analyzer_core::lint::{Declared, LintOptions, Report, RuleSet, lint};
use analyzer_core::{Options, Pack, Sources};

use crate::cli::{Global, Scope};
use crate::config::{self, Config};
use crate::discover::{self, Found, Rules};
use crate::error::Error;
use crate::lock;

/// The files of a project and what is configured for them.
#[derive(Clone)]
pub struct Project {
    /// The folder that paths are relative to.
    pub root: PathBuf,
    /// What stands before a path when it is shown: from where the command runs to the root.
    pub prefix: String,
    /// The files.
    pub sources: Sources,
    /// Paths that version control does not take.
    pub untracked: BTreeSet<String>,
    /// What was left out, and why.
    pub skipped: Vec<(String, String)>,
    /// Findings in these files only.
    pub only: Option<BTreeSet<String>>,
    /// What is configured.
    pub config: Config,
    packs: Vec<Arc<Pack>>,
}

impl Project {
    /// The project that the command line speaks of.
    pub fn load(scope: &Scope, global: &Global) -> Result<Project, Error> {
        if let Some(jobs) = scope.jobs {
            // A second pool in one process is none; the first stays.
            let _ = analyzer_core::threads(jobs.max(1));
        }
        if scope.is_stdin() {
            return Project::of_stdin(scope, global);
        }
        let (root, files) = root(&scope.paths)?;
        let (config, _) = config::load(&absolute(&root)?, &global.config, global.isolated)?;
        let mut exclude = config.exclude.clone();
        exclude.extend(scope.exclude.iter().cloned());
        let rules = Rules { exclude, no_gitignore: scope.no_gitignore };
        let mut found = discover::below(&root, &rules)?;
        let mut only = None;
        if !files.is_empty() {
            let mut named = BTreeSet::new();
            for path in files {
                if scope.force_exclude && rules.excludes(&root, &path)? {
                    continue;
                }
                let own = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                // What is named is read, whatever is ignored.
                if !found.files.contains_key(&own) {
                    found.take(&root, &path);
                }
                named.insert(own);
            }
            only = Some(named);
        }
        let prefix = match root.as_os_str().to_string_lossy().as_ref() {
            "." | "" => String::new(),
            root => format!("{}/", root.trim_end_matches('/').replace('\\', "/").trim_start_matches("./")),
        };
        Project::new(root, prefix, found, config, only)
    }

    fn of_stdin(scope: &Scope, global: &Global) -> Result<Project, Error> {
        let mut bytes = Vec::new();
        let stdin = std::io::stdin().lock().take(64 << 20).read_to_end(&mut bytes);
        stdin.map_err(|error| Error::Read("-".into(), error))?;
        let (config, _) = config::load(&absolute(Path::new("."))?, &global.config, global.isolated)?;
        let mut found = Found::default();
        found.files.insert(scope.stdin_filename.clone(), String::from_utf8_lossy(&bytes).into_owned());
        Project::new(".".into(), String::new(), found, config, None)
    }

    /// A project from files that were read.
    pub fn new(
        root: PathBuf,
        prefix: String,
        found: Found,
        config: Config,
        only: Option<BTreeSet<String>>,
    ) -> Result<Project, Error> {
        let sources = Sources::new(found.files).map_err(|error| Error::Usage(error.to_string()))?;
        let chosen = only.as_ref().is_some_and(BTreeSet::is_empty);
        if sources.files().is_empty() || chosen {
            return Err(Error::NoInput(root.display().to_string()));
        }
        let packs = config.packs.iter().map(|folder| pack(&root, folder)).collect::<Result<_, _>>()?;
        Ok(Project { root, prefix, sources, untracked: found.untracked, skipped: found.skipped, only, config, packs })
    }

    /// The same with other texts of some files.
    pub fn with(&self, texts: BTreeMap<String, String>) -> Result<Project, Error> {
        let files = self.sources.files().iter().map(|source| {
            let text = texts.get(&*source.path).cloned().unwrap_or_else(|| source.text.to_string());
            (source.path.to_string(), text)
        });
        let sources = Sources::new(files).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Project { sources, ..self.clone() })
    }

    /// What the analyzer is told.
    pub fn options(&self) -> Options {
        Options { packs: self.packs.clone(), ..Options::default() }
    }

    /// What is declared: the lock, and what the configuration adds.
    pub fn declared(&self) -> Result<Declared, Error> {
        let mut declared = Declared { by: "agentlint.toml".into(), ..Declared::default() };
        let path = self.root.join("agent.lock");
        if let Ok(text) = std::fs::read_to_string(&path) {
            let lock = lock::parse(&path.display().to_string(), &text)?;
            declared.by = "agent.lock".into();
            declared.tools = Some(lock.tools.iter().map(|tool| tool.name.clone()).collect());
            declared.hosts = Some(lock.hosts.iter().cloned().collect());
            declared.models = Some(lock.models.iter().map(|model| (model.name(), None)).collect());
        }
        if let Some(tools) = &self.config.tools {
            declared.tools.get_or_insert_default().extend(tools.iter().cloned());
        }
        if let Some(hosts) = &self.config.hosts {
            declared.hosts.get_or_insert_default().extend(hosts.iter().cloned());
        }
        if !self.config.models.is_empty() {
            let models = self.config.models.iter().map(|(name, model)| (name.clone(), model.monthly_budget_usd));
            declared.models.get_or_insert_default().extend(models);
        }
        if !self.config.policies.is_empty() {
            declared.policies = Some(self.config.policies()?);
        }
        Ok(declared)
    }

    /// The active rules by configuration and command line.
    pub fn rules(&self, select: &[String], ignore: &[String], pedantic: bool) -> Result<RuleSet, Error> {
        let refuse = |error: analyzer_core::lint::SelectError| Error::Usage(error.to_string());
        let mut rules = RuleSet::default();
        if pedantic || self.config.pedantic {
            rules = rules.pedantic();
        }
        let select = if select.is_empty() { &self.config.select[..] } else { select };
        rules = rules.select(select).map_err(refuse)?;
        rules = rules.ignore(self.config.ignore.iter().chain(ignore)).map_err(refuse)?;
        for (name, severity) in &self.config.severity {
            rules = rules.with_severity(name, (*severity).into()).map_err(refuse)?;
        }
        Ok(rules)
    }

    /// What is wrong.
    pub fn lint(&self, rules: RuleSet, no_ignores: bool) -> Result<Report, Error> {
        let options = LintOptions { rules, declared: self.declared()?, untracked: self.untracked.clone(), no_ignores };
        let mut report = lint(&self.sources, &self.options(), &options);
        if let Some(only) = &self.only {
            report.findings.retain(|finding| only.contains(&finding.file));
        }
        Ok(report)
    }

    /// A path as it is shown.
    pub fn shown(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

/// The folder that paths are relative to, and the files that were named.
fn root(paths: &[PathBuf]) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    let missing = paths.iter().find_map(|path| std::fs::metadata(path).err().map(|error| (path, error)));
    if let Some((path, error)) = missing {
        return Err(Error::Read(path.clone(), error));
    }
    if let [folder] = paths
        && folder.is_dir()
    {
        return Ok((folder.clone(), Vec::new()));
    }
    let inside = |path: &&PathBuf| path.is_relative() && !path.starts_with("..");
    if paths.iter().all(|path| inside(&path)) {
        let mut files = Vec::new();
        for path in paths {
            let path: PathBuf =
                path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
            match path.is_dir() {
                true => {
                    let found = discover::below(&path, &Rules::default())?;
                    files.extend(found.files.keys().map(|own| path.join(own)));
                }
                false => files.push(path),
            }
        }
        return Ok((".".into(), files.into_iter().map(|path| Path::new(".").join(path)).collect()));
    }
    match paths {
        [file] => Ok((file.parent().unwrap_or(Path::new("/")).to_owned(), vec![file.clone()])),
        _ => Err(Error::Usage("several paths must lie below the current folder; run the command where they do".into())),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(|error| Error::Read(path.to_owned(), error))
}

fn pack(root: &Path, folder: &str) -> Result<Arc<Pack>, Error> {
    let path = root.join(folder);
    let found = discover::below(&path, &Rules { no_gitignore: true, ..Rules::default() })?;
    let files = found.files.into_iter().filter(|(path, _)| path.ends_with(".toml"));
    let pack = Pack::read(files).map_err(|error| Error::Config(format!("pack {folder}: {error}")))?;
    Ok(Arc::new(pack))
}
