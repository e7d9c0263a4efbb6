//! Lint rules: what is wrong with what an agent touches, with the reason, the way out and a place to point at.
//!
//! Rules are pure functions over [`Seen`]: what the analyzer knows when it is done. What products are called stands in
//! `rules/sinks.toml` and in the knowledge; what a rule means, with examples that are its tests, in `rules/<name>.md`.

mod credentials;
mod excerpt;
mod execution;
mod fingerprint;
mod fix;
mod ignores;
mod made;
mod models;
mod network;
mod packages;
mod project;
mod repairs;
mod rules;
mod select;
mod servers;
mod sinks;
mod taint;
mod tools;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::analysis::{Analysis, Confidence, Step};
use crate::policy::Policy;
use crate::{Options, Sources};
use made::Made;

pub use excerpt::Excerpts;
pub use fix::{Edit, Fix, apply};
pub use ignores::{add_ignores, comment_sign};
pub use rules::{RULES, Rule, find};
pub use select::{RuleSet, SelectError, nearest};
pub use view::Seen;

/// How bad a finding is, from what is worth knowing to what must not be deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A weakness that needs something else to go wrong.
    Low,
    /// Should be repaired before a deploy.
    #[default]
    Medium,
    /// Must be repaired before a deploy.
    High,
}

/// Something that is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: &'static str,
    /// Code of the rule.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// What is wrong: one sentence without its full stop.
    pub message: String,
    /// What to do: one sentence without its full stop.
    pub help: String,
    /// Path as submitted.
    pub file: String,
    /// First line; lines and columns count from 1, columns in characters.
    pub line: u32,
    /// First column.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column behind the last character.
    pub end_column: u32,
    /// The function or class that the place is in; empty for the module.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub symbol: String,
    /// What led here, from the origin on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Step>,
    /// Stays the same when lines move, code is reformatted or other names change.
    pub fingerprint: String,
    /// A repair, where one can be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// What a project declares its agent to touch; what is absent is not checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared {
    /// Where it is declared, for messages: `agent.lock`.
    pub by: String,
    /// Names of tools.
    pub tools: Option<BTreeSet<String>>,
    /// Hosts.
    pub hosts: Option<BTreeSet<String>>,
    /// `provider/model`, with the monthly budget in dollars.
    pub models: Option<BTreeMap<String, Option<u32>>>,
    /// Policies that calls are checked against.
    pub policies: Option<Vec<Policy>>,
}

/// What a caller may choose.
#[derive(Debug, Clone, Default)]
pub struct LintOptions {
    /// Which rules, and how bad.
    pub rules: RuleSet,
    /// Other ones for what is below these folders: `services/billing/`. The closest counts.
    pub folders: Vec<(String, RuleSet)>,
    /// What is declared.
    pub declared: Declared,
    /// Files that version control does not take: a secret in one is a warning.
    pub untracked: BTreeSet<String>,
    /// Comments that ask for silence are not heard.
    pub no_ignores: bool,
    /// What stands before each path in fingerprints, so that a part of a project has those of the whole: `agents/billing/`.
    pub prefix: String,
}

impl LintOptions {
    /// The rules that count for a file.
    pub fn rules_of(&self, path: &str) -> &RuleSet {
        let above = self.folders.iter().filter(|(folder, _)| path.starts_with(folder.as_str()));
        above.max_by_key(|(folder, _)| folder.len()).map_or(&self.rules, |(_, rules)| rules)
    }

    /// Whether a rule counts anywhere.
    fn is_active(&self, rule: &Rule) -> bool {
        self.rules.is_active(rule) || self.folders.iter().any(|(_, rules)| rules.is_active(rule))
    }
}

/// An analysis and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What the agent touches.
    pub analysis: Analysis,
    /// What is wrong, by file and place.
    pub findings: Vec<Finding>,
    /// Findings that a comment silences.
    pub silenced: usize,
    /// Lines of the files without their credentials.
    pub excerpts: Excerpts,
}

/// What is wrong with the agent in these files.
pub fn lint(sources: &Sources, options: &Options, lint: &LintOptions) -> Report {
    report(crate::look(sources, options, |looked| check(looked, lint)))
}

/// What the rules say of what was seen.
pub(crate) fn check(looked: &view::Looked, lint: &LintOptions) -> (Vec<Finding>, usize, Excerpts) {
    let seen = Seen::new(looked, lint);
    let mut findings = Vec::new();
    let mut made = Made::before(&seen);
    for rule in RULES.iter().filter(|rule| lint.is_active(rule)) {
        let mut found = Vec::new();
        (rule.check)(&seen, &mut found);
        for draft in found {
            let rules = lint.rules_of(&seen.cx.project.source(draft.place.file).path);
            if rules.is_active(rule) {
                findings.push(made.finding(&seen, rule, rules.severity(rule), draft));
            }
        }
    }
    made.keep(&seen);
    findings.sort_by(|a, b| place(a).cmp(&place(b)));
    findings.dedup_by(|a, b| place(a) == place(b));
    let silenced = if lint.no_ignores { 0 } else { ignores::silence(&seen, lint, &mut findings) };
    fingerprint::number(&mut findings);
    (findings, silenced, seen.into_excerpts())
}

/// Both together.
pub(crate) fn report((analysis, found): (Analysis, Option<(Vec<Finding>, usize, Excerpts)>)) -> Report {
    let (findings, silenced, excerpts) = found.unwrap_or_default();
    Report { analysis, findings, silenced, excerpts }
}

fn place(finding: &Finding) -> (&str, u32, u32, &str, &str) {
    (&finding.file, finding.line, finding.column, finding.code, &finding.message)
}
