//! A project as commands see it: its files, its configuration, and the analysis of both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analyzer_core::lint::{Declared, LintOptions, RULES, Report, RuleSet, lint};
use analyzer_core::{Options, Pack, Session, Sources};

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
    /// What stands before a shown path for whoever counts from the repository: `agents/` when the command runs there.
    pub way: String,
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
    /// What is configured for folders below the root, by `services/billing/`: which rules count for their files.
    pub below: BTreeMap<String, Config>,
    /// The folder that paths of the configuration are relative to.
    pub configured_in: PathBuf,
    /// Paths of files that are not UTF-8, which nothing is written to.
    pub foreign: BTreeSet<String>,
    /// Folders that were looked into.
    pub folders: Vec<PathBuf>,
    /// Text by path of each pack.
    pub pack_texts: Vec<BTreeMap<String, String>>,
    packs: Vec<Arc<Pack>>,
}

/// The rules that were chosen, by configuration and command line.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    rules: RuleSet,
    /// Those of folders that have a configuration of their own.
    folders: Vec<(String, RuleSet)>,
}

impl Chosen {
    /// Those that count for a file.
    pub fn of(&self, path: &str) -> &RuleSet {
        let above = self.folders.iter().filter(|(folder, _)| path.starts_with(folder.as_str()));
        above.max_by_key(|(folder, _)| folder.len()).map_or(&self.rules, |(_, rules)| rules)
    }

    /// How many rules count anywhere.
    pub fn count(&self) -> usize {
        let sets = || self.folders.iter().map(|(_, rules)| rules).chain([&self.rules]);
        RULES.iter().filter(|rule| sets().any(|rules| rules.is_active(rule))).count()
    }
}

impl Project {
    /// The project that the command line speaks of.
    pub fn load(scope: &Scope, global: &Global) -> Result<Project, Error> {
        if let Some(jobs) = scope.jobs {
            // A second pool in one process is none; the first stays.
            let _ = analyzer_core::threads(usize::from(jobs));
        }
        analyzer_core::prepare();
        if scope.is_stdin() {
            if scope.paths.len() > 1 {
                return Err(Error::Usage("`-` reads standard input alone; name no other paths".into()));
            }
            return Project::of_stdin(scope, global);
        }
        let Roots { root, files, folders } = roots(&scope.paths)?;
        let whole = absolute(&root)?;
        let (config, at) = config::load(&whole, &global.config, global.isolated)?;
        // What is configured above speaks of paths from there.
        let above = at.as_deref().and_then(Path::parent).filter(|folder| *folder != whole && whole.starts_with(folder));
        let way = above.and_then(|folder| whole.strip_prefix(folder).ok()).map(Path::to_owned).unwrap_or_default();
        let exclude = vec![(PathBuf::new(), scope.exclude.clone()), (way, config.exclude.clone())];
        let rules = Rules { exclude, no_gitignore: scope.no_gitignore };
        let configured_in = above.map_or_else(|| root.clone(), Path::to_owned);
        let mut found = discover::below(&root, &rules)?;
        for file in scope.written.iter().filter_map(|file| std::path::absolute(file).ok()) {
            if let Ok(own) = file.strip_prefix(&whole) {
                found.files.remove(&own.to_string_lossy().replace('\\', "/"));
            }
        }
        let below = configured_below(&root, &mut found, global)?;
        let mut only = None;
        if !files.is_empty() || !folders.is_empty() {
            let mut named = BTreeSet::new();
            for folder in folders {
                let own = |path: &String| root.join(path).starts_with(&folder);
                named.extend(found.files.keys().filter(|path| own(path)).cloned());
                // Also what version control ignores is read where it is named.
                if !found.files.keys().any(own) {
                    let way = folder.strip_prefix(&root).unwrap_or(&folder);
                    let exclude = rules.exclude.iter().map(|(above, globs)| (above.join(way), globs.clone())).collect();
                    for path in discover::below(&folder, &Rules { exclude, ..rules.clone() })?.files.into_keys() {
                        found.take(&root, &folder.join(&path));
                        named.insert(way.join(path).to_string_lossy().replace('\\', "/"));
                    }
                }
            }
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
        let project = Project::new(root, prefix, configured_in, found, config, only)?;
        Project { way: way_from_repository()?, below, ..project }.with_input()
    }

    /// The folder that paths of these are relative to.
    pub fn root_of(paths: &[PathBuf]) -> Result<PathBuf, Error> {
        Ok(roots(paths)?.root)
    }

    /// All files of a folder as an editor has it open.
    pub fn of_folder(root: &Path, global: &Global) -> Result<Project, Error> {
        analyzer_core::prepare();
        let (config, at) = config::load(root, &global.config, global.isolated)?;
        let configured_in = at.as_deref().and_then(Path::parent).filter(|folder| root.starts_with(folder));
        let configured_in = configured_in.unwrap_or(root).to_owned();
        let way = root.strip_prefix(&configured_in).map(Path::to_owned).unwrap_or_default();
        let mut found =
            discover::below(root, &Rules { exclude: vec![(way, config.exclude.clone())], no_gitignore: false })?;
        let below = configured_below(root, &mut found, global)?;
        let project = Project::new(root.to_owned(), String::new(), configured_in, found, config, None)?;
        Ok(Project { below, ..project })
    }

    fn of_stdin(scope: &Scope, global: &Global) -> Result<Project, Error> {
        let mut bytes = Vec::new();
        let stdin = std::io::stdin().lock().take(64 << 20).read_to_end(&mut bytes);
        stdin.map_err(|error| Error::Read("-".into(), error))?;
        // The closest configuration is that of the folder where the file would lie.
        let place = Path::new(&scope.stdin_filename).parent().filter(|folder| folder.is_dir());
        let place = place.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (config, at) = config::load(&absolute(place)?, &global.config, global.isolated)?;
        let configured_in = at.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned();
        let mut found = Found::default();
        found.read(scope.stdin_filename.clone(), bytes);
        let project = Project::new(".".into(), String::new(), configured_in, found, config, None)?;
        Project { way: way_from_repository()?, ..project }.with_input()
    }

    /// A project from files that were read.
    pub fn new(
        root: PathBuf,
        prefix: String,
        configured_in: PathBuf,
        mut found: Found,
        config: Config,
        only: Option<BTreeSet<String>>,
    ) -> Result<Project, Error> {
        let sources =
            Sources::new(std::mem::take(&mut found.files)).map_err(|error| Error::Usage(error.to_string()))?;
        let pack_texts =
            config.packs.iter().map(|folder| pack(&configured_in, folder)).collect::<Result<Vec<_>, _>>()?;
        let read = |(folder, files): (&String, &BTreeMap<String, String>)| {
            let pack = Pack::read(files.clone()).map_err(|error| Error::Config(format!("pack {folder}: {error}")))?;
            Ok(Arc::new(pack))
        };
        let packs = config.packs.iter().zip(&pack_texts).map(read).collect::<Result<_, _>>()?;
        let Found { untracked, skipped, foreign, folders, .. } = found;
        Ok(Project {
            root,
            prefix,
            way: String::new(),
            sources,
            untracked,
            skipped,
            only,
            config,
            below: BTreeMap::new(),
            configured_in,
            foreign,
            folders,
            pack_texts,
            packs,
        })
    }

    /// The same, unless there is nothing to analyze.
    pub fn with_input(self) -> Result<Project, Error> {
        match self.sources.files().is_empty() || self.only.as_ref().is_some_and(BTreeSet::is_empty) {
            true => Err(Error::NoInput(self.root.display().to_string())),
            false => Ok(self),
        }
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
    pub fn rules(&self, select: &[String], ignore: &[String], pedantic: bool) -> Result<Chosen, Error> {
        let of = |config: &Config| -> Result<RuleSet, Error> {
            let refuse = |error: analyzer_core::lint::SelectError| Error::Usage(error.to_string());
            let mut rules = RuleSet::default();
            if pedantic || config.pedantic {
                rules = rules.pedantic();
            }
            let select = if select.is_empty() { &config.select[..] } else { select };
            rules = rules.select(select).map_err(refuse)?;
            rules = rules.ignore(config.ignore.iter().chain(ignore)).map_err(refuse)?;
            for (name, severity) in &config.severity {
                rules = rules.with_severity(name, (*severity).into()).map_err(refuse)?;
            }
            Ok(rules)
        };
        let folders = self.below.iter().map(|(folder, config)| Ok((folder.clone(), of(config)?)));
        Ok(Chosen { rules: of(&self.config)?, folders: folders.collect::<Result<_, Error>>()? })
    }

    /// The closest configuration of a file.
    pub fn config_of(&self, path: &str) -> &Config {
        let above = self.below.iter().filter(|(folder, _)| path.starts_with(folder.as_str()));
        above.max_by_key(|(folder, _)| folder.len()).map_or(&self.config, |(_, config)| config)
    }

    /// What the linter is told.
    pub fn lint_options(&self, chosen: Chosen, no_ignores: bool) -> Result<LintOptions, Error> {
        // Elsewhere on this machine is no name that fingerprints could keep.
        let prefix = match self.prefix.starts_with(['/', '.']) || self.prefix.contains(':') {
            true => String::new(),
            false => self.prefix.clone(),
        };
        let declared = self.declared()?;
        let Chosen { rules, folders } = chosen;
        Ok(LintOptions { rules, folders, declared, untracked: self.untracked.clone(), no_ignores, prefix })
    }

    /// What is wrong.
    pub fn lint(&self, rules: Chosen, no_ignores: bool) -> Result<Report, Error> {
        Ok(self.named(lint(&self.sources, &self.options(), &self.lint_options(rules, no_ignores)?)))
    }

    /// What is wrong, from a session that has these files.
    pub fn lint_in(&self, session: &mut Session, rules: Chosen, no_ignores: bool) -> Result<Report, Error> {
        let report = session.lint(&self.lint_options(rules, no_ignores)?);
        Ok(self.named(report.map_err(|error| Error::Usage(error.to_string()))?))
    }

    /// What is said of the files that were named, where some were.
    fn named(&self, mut report: Report) -> Report {
        if let Some(only) = &self.only {
            report.findings.retain(|finding| only.contains(&finding.file));
        }
        report
    }

    /// A path as it is shown.
    pub fn shown(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

/// What folders below the root configure, unless the command line speaks for all; what they leave out goes.
fn configured_below(root: &Path, found: &mut Found, global: &Global) -> Result<BTreeMap<String, Config>, Error> {
    if global.isolated || !global.config.is_empty() {
        return Ok(BTreeMap::new());
    }
    let below = config::below(root, &found.files)?;
    for (folder, config) in below.iter().filter(|(_, config)| !config.exclude.is_empty()) {
        let rules = Rules { exclude: vec![(PathBuf::new(), config.exclude.clone())], no_gitignore: true };
        let own = found.files.extract_if(.., |path, _| path.starts_with(folder.as_str()));
        let own = own.map(|(path, text)| (path[folder.len()..].to_owned(), text)).collect();
        found.files.extend(rules.found(own)?.into_iter().map(|(path, text)| (format!("{folder}{path}"), text)));
    }
    Ok(below)
}

/// From the root of the repository to where the command runs, with `/` at the end; nothing at the root or without one.
fn way_from_repository() -> Result<String, Error> {
    let here = absolute(Path::new("."))?;
    let repository = here.ancestors().find(|folder| folder.join(".git").exists());
    let way = repository.and_then(|root| here.strip_prefix(root).ok()).map(Path::to_string_lossy).unwrap_or_default();
    Ok(if way.is_empty() { String::new() } else { format!("{}/", way.replace('\\', "/")) })
}

/// What paths of the command line stand for.
struct Roots {
    /// The folder that paths are relative to.
    root: PathBuf,
    /// Files that were named.
    files: Vec<PathBuf>,
    /// Folders that were named beside others; none for one alone, which is the root.
    folders: Vec<PathBuf>,
}

fn roots(paths: &[PathBuf]) -> Result<Roots, Error> {
    let missing = paths.iter().find_map(|path| std::fs::metadata(path).err().map(|error| (path, error)));
    if let Some((path, error)) = missing {
        return Err(Error::Read(path.clone(), error));
    }
    if let [folder] = paths
        && folder.is_dir()
    {
        return Ok(Roots { root: folder.clone(), files: Vec::new(), folders: Vec::new() });
    }
    // Hooks and editors name files by their whole path.
    let here = absolute(Path::new("."))?;
    let inside = |path: &PathBuf| -> Option<PathBuf> {
        let path = match path.is_absolute() {
            true => path.strip_prefix(&here).map(Path::to_owned).or_else(|_| {
                let own = std::fs::canonicalize(path).unwrap_or_default();
                own.strip_prefix(&here).map(Path::to_owned)
            }),
            false => Ok(path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()),
        };
        path.ok().filter(|path| !path.starts_with("..")).map(|path| Path::new(".").join(path))
    };
    if let Some(paths) = paths.iter().map(inside).collect::<Option<Vec<_>>>() {
        let (folders, files) = paths.into_iter().partition(|path| path.is_dir());
        return Ok(Roots { root: ".".into(), files, folders });
    }
    match paths {
        [file] => Ok(Roots {
            root: file.parent().unwrap_or(Path::new("/")).to_owned(),
            files: vec![file.clone()],
            folders: Vec::new(),
        }),
        _ => Err(Error::Usage("several paths must lie below the current folder; run the command where they do".into())),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(|error| Error::Read(path.to_owned(), error))
}

/// The files of a pack.
fn pack(from: &Path, folder: &str) -> Result<BTreeMap<String, String>, Error> {
    let path = from.join(folder);
    if !path.is_dir() {
        return Err(Error::Config(format!("pack {folder}: there is no folder {}", path.display())));
    }
    let found = discover::below(&path, &Rules { no_gitignore: true, ..Rules::default() })?;
    let files: BTreeMap<_, _> = found.files.into_iter().filter(|(path, _)| path.ends_with(".toml")).collect();
    match files.is_empty() {
        true => Err(Error::Config(format!("pack {folder}: no .toml file is in {}", path.display()))),
        false => Ok(files),
    }
}
