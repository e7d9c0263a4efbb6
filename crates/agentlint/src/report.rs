//! The report: one shape that every output is made of, versioned, with a schema.

use analyzer_core::lint::{Excerpts, Finding, RULES, Report, Severity, comment_sign};
use schemars::JsonSchema;
use serde::Serialize;

use crate::project::Project;

/// What `check` found. Fields are added, never changed or taken away, while this is `report/v1`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReportV1 {
    /// `report/v1`
    pub schema: &'static str,
    /// Version of agentlint.
    pub version: &'static str,
    /// Numbers.
    pub summary: Summary,
    /// What is wrong, by file and place.
    pub findings: Vec<FindingV1>,
    /// What was read and what was not.
    pub coverage: Coverage,
}

/// Numbers.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Summary {
    /// Findings that are reported.
    pub findings: usize,
    /// Of these, the worst.
    pub high: usize,
    /// Of these, what should be repaired.
    pub medium: usize,
    /// Of these, weaknesses.
    pub low: usize,
    /// Of these, what is worth knowing.
    pub info: usize,
    /// Findings that a repair can be made for.
    pub fixable: usize,
    /// Findings that comments silence.
    pub silenced: usize,
    /// Findings that the baseline knows.
    pub baselined: usize,
    /// Entries of the baseline that are gone.
    pub stale: usize,
    /// Rules that were checked.
    pub rules: usize,
    /// Files that were read.
    pub files: usize,
}

/// Something that is wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FindingV1 {
    /// Name of the rule.
    pub rule: &'static str,
    /// Its code.
    pub code: &'static str,
    /// `info`, `low`, `medium`, `high`.
    pub severity: &'static str,
    /// `low`, `medium`, `high`.
    pub confidence: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Path from where the command ran.
    pub file: String,
    /// First line, from 1.
    pub line: u32,
    /// First column, in characters from 1.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column behind the last character.
    pub end_column: u32,
    /// The function or class around it; empty for the module.
    pub symbol: String,
    /// The line, without credentials; absent where it cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What led here.
    pub because: Vec<StepV1>,
    /// The same after the code moved.
    pub fingerprint: String,
    /// A repair that can be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<FixV1>,
    /// The comment that silences it.
    pub ignore: String,
}

/// A link of what led to a finding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StepV1 {
    /// What stands there.
    pub what: String,
    /// Path.
    pub file: String,
    /// Line.
    pub line: u32,
}

/// A repair.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FixV1 {
    /// What it does.
    pub title: String,
    /// It can be made without looking: `--fix`; else `--unsafe-fixes`.
    pub safe: bool,
}

/// What was read and what was not.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Coverage {
    /// Everything was read completely.
    pub complete: bool,
    /// Files.
    pub files: usize,
    /// Of these, read with a grammar.
    pub parsed: usize,
    /// What could not be read or known.
    pub notes: Vec<NoteV1>,
    /// Files that were left out for a reason of their own: too large, no text, unreadable.
    pub skipped: Vec<SkippedV1>,
}

/// Something that could not be read or known.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NoteV1 {
    /// Path; empty for the project.
    pub file: String,
    /// Line; 0 for the whole file.
    pub line: u32,
    /// Stable code.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// A file that was left out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SkippedV1 {
    /// Path.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// A word for a severity.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
    }
}

/// What is not known of a file, rather than of what its code decides at run time.
const INCOMPLETE: [&str; 4] = ["budget", "syntax", "encoding", "pack"];

impl ReportV1 {
    /// The report of a project.
    pub fn new(project: &Project, report: &Report, rules: usize, baselined: usize, stale: usize) -> ReportV1 {
        let findings: Vec<FindingV1> =
            report.findings.iter().map(|finding| FindingV1::new(project, &report.excerpts, finding)).collect();
        let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
        let summary = Summary {
            findings: findings.len(),
            high: count(Severity::High),
            medium: count(Severity::Medium),
            low: count(Severity::Low),
            info: count(Severity::Info),
            fixable: findings.iter().filter(|finding| finding.fix.is_some()).count(),
            silenced: report.silenced,
            baselined,
            stale,
            rules,
            files: report.analysis.stats.files,
        };
        let notes: Vec<NoteV1> = report
            .analysis
            .notes
            .iter()
            .map(|note| NoteV1 {
                file: if note.file.is_empty() { String::new() } else { project.shown(&note.file) },
                line: note.line,
                code: note.code.clone(),
                message: note.message.clone(),
            })
            .collect();
        let skipped: Vec<SkippedV1> = project
            .skipped
            .iter()
            .map(|(file, reason)| SkippedV1 { file: project.shown(file), reason: reason.clone() })
            .collect();
        let unread = |file: &SkippedV1| !file.reason.starts_with("no text") && !file.reason.starts_with("a link");
        let complete =
            !notes.iter().any(|note| INCOMPLETE.contains(&note.code.as_str())) && !skipped.iter().any(unread);
        let stats = &report.analysis.stats;
        let coverage = Coverage { complete, files: stats.files, parsed: stats.parsed, notes, skipped };
        ReportV1 { schema: "report/v1", version: env!("CARGO_PKG_VERSION"), summary, findings, coverage }
    }
}

impl ReportV1 {
    /// The same with paths that begin further up.
    pub fn below(mut self, way: &str) -> ReportV1 {
        let lower = |file: &mut String| {
            // Elsewhere on the machine, or nowhere: the project as a whole.
            if !file.is_empty() && !file.starts_with(['/', '.']) {
                file.insert_str(0, way);
            }
        };
        for finding in &mut self.findings {
            lower(&mut finding.file);
            finding.because.iter_mut().for_each(|step| lower(&mut step.file));
        }
        self.coverage.notes.iter_mut().for_each(|note| lower(&mut note.file));
        self.coverage.skipped.iter_mut().for_each(|file| lower(&mut file.file));
        self
    }
}

impl FindingV1 {
    fn new(project: &Project, excerpts: &Excerpts, finding: &Finding) -> FindingV1 {
        let sign = comment_sign(&finding.file);
        FindingV1 {
            rule: finding.rule,
            code: finding.code,
            severity: word(finding.severity),
            confidence: match finding.confidence {
                analyzer_core::analysis::Confidence::Low => "low",
                analyzer_core::analysis::Confidence::Medium => "medium",
                analyzer_core::analysis::Confidence::High => "high",
            },
            message: finding.message.clone(),
            help: finding.help.clone(),
            file: project.shown(&finding.file),
            line: finding.line,
            column: finding.column,
            end_line: finding.end_line,
            end_column: finding.end_column,
            symbol: finding.symbol.clone(),
            excerpt: excerpts.line(&finding.file, finding.line).map(shorten),
            because: finding
                .because
                .iter()
                .map(|step| StepV1 { what: step.what.clone(), file: project.shown(&step.file), line: step.line })
                .collect(),
            fingerprint: finding.fingerprint.clone(),
            fix: finding.fix.as_ref().map(|fix| FixV1 { title: fix.title.clone(), safe: fix.safe }),
            ignore: format!("{sign} agentlint: ignore[{}] <reason>", finding.rule),
        }
    }
}

/// A line as long as people read.
fn shorten(line: &str) -> String {
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The page of a rule.
pub fn page(name: &str) -> &'static str {
    RULES.iter().find(|rule| rule.name == name).map_or("", |rule| rule.text)
}

/// The first paragraph of a rule's page, on one line.
pub fn first_paragraph(name: &str) -> String {
    page(name).split("\n\n").next().unwrap_or_default().replace('\n', " ")
}
