//! Configuration: `agentlint.toml`, `[tool.agentlint]` of pyproject.toml, `"agentlint"` of package.json; the closest wins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use analyzer_core::lint::{RuleSet, SelectError, Severity, nearest};
use analyzer_core::policy::{Permission, Policy, Rule, Rules};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cli::{FailOn, Sure};
use crate::error::Error;

/// agentlint.toml
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Fail from this severity on; `medium` when absent.
    pub fail_on: Option<FailOn>,
    /// Fail when a file could not be read completely.
    pub fail_on_incomplete: bool,
    /// Report findings that are at least as sure as this.
    pub min_confidence: Option<Sure>,
    /// Check the pedantic rules too.
    pub pedantic: bool,
    /// Check these rules only.
    pub select: Vec<String>,
    /// Do not check these rules.
    pub ignore: Vec<String>,
    /// How bad what a rule finds is: `plain-http = "high"`.
    pub severity: BTreeMap<String, Level>,
    /// Files to leave out, as in .gitignore.
    pub exclude: Vec<String>,
    /// Findings that are known and do not fail.
    pub baseline: Option<String>,
    /// Folders with knowledge of your own: SDK wrappers, services, formats of credentials.
    pub packs: Vec<String>,
    /// The agent's name.
    pub agent: Option<String>,
    /// Tools that the agent may use, beside those of agent.lock.
    pub tools: Option<BTreeSet<String>>,
    /// Hosts that the agent may reach, beside those of agent.lock.
    pub hosts: Option<BTreeSet<String>>,
    /// Models that the agent may use, as `provider/model`.
    pub models: BTreeMap<String, Model>,
    /// Policies that calls are checked against.
    pub policies: Vec<OwnPolicy>,
}

/// A model that the agent may use.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// What it may cost in a month.
    pub monthly_budget_usd: Option<u32>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPolicy {
    /// Its name.
    pub name: String,
    /// Its rules.
    pub rules: Vec<OwnRule>,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnRule {
    /// What becomes of the calls it covers.
    pub permission: OwnPermission,
    /// Address with wildcards.
    pub resource: Option<String>,
    /// HTTP methods; all when absent.
    #[serde(default)]
    pub operations: Vec<String>,
    /// Risk tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnPermission {
    /// It goes through.
    Allow,
    /// A person is asked.
    ApprovalRequired,
    /// It is refused.
    Deny,
}

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// A weakness.
    Low,
    /// Should be repaired.
    Medium,
    /// Must be repaired.
    High,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Severity {
        match level {
            Level::Info => Severity::Info,
            Level::Low => Severity::Low,
            Level::Medium => Severity::Medium,
            Level::High => Severity::High,
        }
    }
}

impl Config {
    /// Each name is one of a rule or of several; the place of one that is not is looked up in the file, where there is one.
    fn check_rules(&self, file: Option<&Path>) -> Result<(), Error> {
        let refuse = |name: &str, error: SelectError| {
            let text = file.and_then(|file| Some((file, std::fs::read_to_string(file).ok()?)));
            let line = text.and_then(|(file, text)| {
                let line = text.lines().position(|line| line.contains(name))? + 1;
                Some(format!("{}:{line}: ", file.display()))
            });
            Error::Config(format!("{}{error}", line.unwrap_or_default()))
        };
        for name in self.select.iter().chain(&self.ignore) {
            RuleSet::default().select([name]).map_err(|error| refuse(name, error))?;
        }
        for (name, severity) in &self.severity {
            RuleSet::default().with_severity(name, (*severity).into()).map_err(|error| refuse(name, error))?;
        }
        Ok(())
    }

    /// Whether it says more than which rules count for which files, and how bad what they find is.
    pub fn is_about_more(&self) -> bool {
        let Config { pedantic, select, ignore, severity, exclude, min_confidence, .. } = self.clone();
        let of_rules = Config { pedantic, select, ignore, severity, exclude, min_confidence, ..Config::default() };
        *self != of_rules
    }

    /// The policies as the engine takes them.
    pub fn policies(&self) -> Result<Vec<Policy>, Error> {
        let permission = |own: OwnPermission| match own {
            OwnPermission::Allow => Permission::Allow,
            OwnPermission::ApprovalRequired => Permission::ApprovalRequired,
            OwnPermission::Deny => Permission::Deny,
        };
        let rule = |own: &OwnRule| Rule {
            permission: permission(own.permission),
            resource: own.resource.clone(),
            operations: own.operations.clone(),
            tags: own.tags.clone(),
        };
        let policy = |own: &OwnPolicy| Policy { name: own.name.clone(), rules: own.rules.iter().map(rule).collect() };
        let policies: Vec<Policy> = self.policies.iter().map(policy).collect();
        Rules::new(&policies).map_err(|error| Error::Config(error.to_string()))?;
        Ok(policies)
    }
}

/// The configuration for a folder, and where it was found.
pub fn load(folder: &Path, given: &[String], isolated: bool) -> Result<(Config, Option<PathBuf>), Error> {
    let mut table = toml::Table::new();
    let mut found = None;
    if !isolated {
        for folder in folder.ancestors() {
            if let Some((path, own)) = in_folder(folder, |path| std::fs::read_to_string(path).ok())? {
                table = own;
                found = Some(path);
                break;
            }
            if folder.join(".git").exists() {
                break;
            }
        }
    }
    for given in given {
        match given.split_once('=') {
            Some((key, value)) if !Path::new(given).exists() => {
                // Words need no quotes: `fail-on=high`.
                let plain = format!("{} = {value}", key.trim());
                let quoted = format!("{} = {}", key.trim(), toml::Value::String(value.trim().to_owned()));
                let is_toml = toml::from_str::<toml::Table>(&plain).is_ok();
                let text = if is_toml { plain } else { quoted };
                read("--config", &text)?;
                table.extend(toml::from_str::<toml::Table>(&text).map_err(|error| Error::Config(error.to_string()))?);
            }
            _ => {
                let path = PathBuf::from(given);
                let text = std::fs::read_to_string(&path).map_err(|error| Error::Read(path.clone(), error))?;
                read(&path.display().to_string(), &text)?;
                table = toml::from_str(&text).map_err(|error| Error::Config(error.to_string()))?;
                found = Some(path);
            }
        }
    }
    let config: Config = table.try_into().map_err(|error: toml::de::Error| Error::Config(advice(error.message())))?;
    config.policies()?;
    config.check_rules(found.as_deref())?;
    Ok((config, found))
}

/// The configurations of folders below the one that is read, by those folders (`services/billing/`): the closest counts
/// for the rules of a file, and for what is left out below it.
pub fn below(root: &Path, files: &BTreeMap<String, String>) -> Result<BTreeMap<String, Config>, Error> {
    let is_one = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        FILES.contains(&name) && path.contains('/')
    };
    let folders: BTreeSet<&str> =
        files.keys().filter(|path| is_one(path)).filter_map(|path| path.rsplit_once('/')).map(|(own, _)| own).collect();
    let mut found = BTreeMap::new();
    for folder in folders {
        let text = |path: &Path| files.get(path.strip_prefix(root).ok()?.to_str()?).cloned();
        let Some((path, table)) = in_folder(&root.join(folder), text)? else { continue };
        let config: Config =
            table.try_into().map_err(|error: toml::de::Error| Error::Config(advice(error.message())))?;
        config.policies()?;
        config.check_rules(Some(&path))?;
        found.insert(format!("{folder}/"), config);
    }
    Ok(found)
}

/// The names of files that may hold a configuration, the strongest first.
const FILES: [&str; 3] = ["agentlint.toml", "pyproject.toml", "package.json"];

/// Files that may configure a folder: those in it and above it, as far as its repository goes.
pub fn candidates(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in folder.ancestors() {
        files.extend(FILES.into_iter().chain([".gitignore"]).map(|name| folder.join(name)));
        if folder.join(".git").exists() {
            break;
        }
    }
    files
}

/// The configuration that a folder holds, checked.
fn in_folder(folder: &Path, text: impl Fn(&Path) -> Option<String>) -> Result<Option<(PathBuf, toml::Table)>, Error> {
    let [own, pyproject, package] = FILES;
    let text = |name: &str| {
        let path = folder.join(name);
        let text = text(&path)?;
        Some((path, text))
    };
    if let Some((path, text)) = text(own) {
        read(&path.display().to_string(), &text)?;
        return Ok(Some((path, toml::from_str(&text).map_err(|error| Error::Config(error.to_string()))?)));
    }
    if let Some((path, text)) = text(pyproject) {
        #[derive(Deserialize)]
        struct Pyproject {
            tool: Option<Tool>,
        }
        #[derive(Deserialize)]
        struct Tool {
            agentlint: Option<toml::Spanned<toml::Value>>,
        }
        let own = toml::from_str::<Pyproject>(&text).ok().and_then(|file| file.tool).and_then(|tool| tool.agentlint);
        if let Some(own) = own {
            #[derive(Deserialize)]
            struct Checked {
                tool: CheckedTool,
            }
            #[derive(Deserialize)]
            struct CheckedTool {
                #[expect(dead_code, reason = "read for its errors, which name the line")]
                agentlint: Config,
            }
            let checked = toml::from_str::<Checked>(&text)
                .map_err(|error| at_line(&path.display().to_string(), &text, &error))?;
            drop(checked.tool);
            if let toml::Value::Table(table) = own.into_inner() {
                return Ok(Some((path, table)));
            }
        }
    }
    if let Some((path, text)) = text(package) {
        let file: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(own) = file.get("agentlint") {
            serde_json::from_value::<Config>(own.clone()).map_err(|error| {
                let message = error.to_string();
                let key = message.split('`').nth(1).unwrap_or_default();
                let begin = text.find("\"agentlint\"").unwrap_or(0);
                let at = text[begin..].find(&format!("\"{key}\"")).map_or(begin, |at| begin + at);
                let line = text[..at].matches('\n').count() + 1;
                Error::Config(format!("{}:{line}: {}", path.display(), advice(&message)))
            })?;
            let table = toml::Table::try_from(own).map_err(|error| Error::Config(error.to_string()))?;
            return Ok(Some((path, table)));
        }
    }
    Ok(None)
}

/// Reads for errors, which name the line.
fn read(name: &str, text: &str) -> Result<Config, Error> {
    toml::from_str(text).map_err(|error| at_line(name, text, &error))
}

fn at_line(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    Error::Config(format!("{name}:{line}: {}", advice(error.message())))
}

/// ``unknown field `selct`, expected one of `select`, …`` with the nearest name in front.
fn advice(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let (Some(wrong), true) = (names.next(), message.starts_with("unknown ")) else { return message.trim().to_owned() };
    let near = nearest(wrong, names);
    let kind = message.split('`').next().unwrap_or("unknown").trim();
    match near {
        Some(near) => format!("{kind} `{wrong}`; did you mean `{near}`?"),
        None => message.trim().to_owned(),
    }
}
