//! The command line.

use std::path::PathBuf;

use analyzer_core::analysis::Confidence;
use analyzer_core::lint::Severity;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// The commands by what one wants, as the help shows them.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Look", &["check", "inspect", "policy", "explain"]),
    ("Guard", &["lock", "diff", "baseline", "init"]),
    ("Serve", &["lsp", "mcp"]),
    ("Set up", &["completions", "schema", "man", "help"]),
];

const AFTER: &str = "Examples:
  agentlint check                         what is wrong here
  agentlint check --fix                   and repaired, where that is safe
  agentlint check --watch                 again whenever a file changes
  agentlint check --diff main -o github   on lines of a pull request, as annotations
  agentlint lock --check                  fail when the agent may touch more than agent.lock says

Exit codes, the same for every output:
  0  nothing at or above --fail-on
  1  findings at or above --fail-on, or a lock that differs
  2  could not run: bad flag, bad configuration, unreadable input
  3  no input files";

/// Find what an AI agent will touch - tools, models, secrets, hosts, packages - before it is deployed.
///
/// Runs offline, never executes your code, never prints a secret.
#[derive(Debug, Parser)]
#[command(name = "agentlint", version, propagate_version = true, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
}

/// The command line with its commands in groups.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let styles = command.get_styles();
    let (header, literal) = (*styles.get_header(), *styles.get_literal());
    let mut groups = String::new();
    for (heading, names) in GROUPS {
        groups.push_str(&format!("{header}{heading}:{header:#}\n"));
        for name in names {
            let about = match command.find_subcommand(name) {
                Some(own) => own.get_about().map(ToString::to_string).unwrap_or_default(),
                None => "Print this message or the help of a command".to_owned(),
            };
            groups.push_str(&format!("  {literal}{name:<11}{literal:#}  {about}\n"));
        }
        groups.push('\n');
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n{{options}}{{after-help}}"
    ))
}

/// Options of all commands.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Colour the output.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Say more: skipped files and why.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say less: no summary.
    #[arg(short, long, global = true, overrides_with = "quiet")]
    pub quiet: bool,
    /// A configuration file, or one setting as `key=value`; repeatable.
    #[arg(long, global = true, value_name = "FILE|KEY=VALUE", env = "AGENTLINT_CONFIG", hide_env_values = true)]
    pub config: Vec<String>,
    /// Read no configuration file.
    #[arg(long, global = true)]
    pub isolated: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set; FORCE_COLOR and CLICOLOR_FORCE ask for it elsewhere.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Analyze files and report findings.
    Check(Check),
    /// Print what was detected, as the deploy API sees it.
    Inspect(Inspect),
    /// Print the least-privilege policies for this code, each rule with its lines.
    Policy(PolicyArgs),
    /// Write agent.lock, the committed list of what this agent may touch.
    Lock(Lock),
    /// Compare two trees, locks or git references: permissions that are gained and lost.
    Diff(Diff),
    /// Explain a rule: what it finds, why it matters, how to repair it.
    Explain(Explain),
    /// Record today's findings, so that only new ones fail.
    Baseline(Baseline),
    /// Write a starter agentlint.toml; with --ci a hook and a workflow too.
    Init(Init),
    /// Language server on standard input and output.
    Lsp,
    /// MCP server for coding assistants on standard input and output.
    Mcp,
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of the configuration or of the report.
    Schema {
        /// Which.
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Print the manual page, or write all pages into a folder.
    Man {
        /// Where the page of each command is written.
        folder: Option<PathBuf>,
    },
}

/// What to analyze.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Scope")]
pub struct Scope {
    /// Folders and files; `-` reads one file from standard input.
    #[arg(default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// Name of the file on standard input.
    #[arg(long, value_name = "NAME", default_value = "agent.py")]
    pub stdin_filename: String,
    /// Leave out files that match, as in .gitignore; repeatable.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Leave out excluded files even where they are named on the command line.
    #[arg(long)]
    pub force_exclude: bool,
    /// Look at files that version control ignores too.
    #[arg(long)]
    pub no_gitignore: bool,
    /// Threads; as many as there are processors when absent.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Files that the command writes: they are reports and no part of the project.
    #[arg(skip)]
    pub written: Vec<PathBuf>,
}

impl Scope {
    /// One file comes from standard input.
    pub fn is_stdin(&self) -> bool {
        self.paths.iter().any(|path| path.as_os_str() == "-")
    }
}

/// `agentlint check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub scope: Scope,
    /// Report findings on lines that changed since this git reference only.
    #[arg(long, value_name = "REF", help_heading = "Scope", conflicts_with = "staged")]
    pub diff: Option<String>,
    /// Report findings on staged lines only.
    #[arg(long, help_heading = "Scope")]
    pub staged: bool,
    /// Findings that are known and do not fail.
    #[arg(long, value_name = "FILE", help_heading = "Scope")]
    pub baseline: Option<PathBuf>,
    /// Format and where it goes; repeatable: full, concise, json, jsonl, sarif, github, gitlab, junit, markdown, html,
    /// agent. When absent `full`, and `agent` where a coding assistant runs it.
    #[arg(
        short,
        long,
        value_name = "FORMAT[=FILE]",
        env = "AGENTLINT_OUTPUT",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub output: Vec<String>,
    /// Fail from this severity on.
    #[arg(long, value_enum, value_name = "SEVERITY", help_heading = "Output")]
    pub fail_on: Option<FailOn>,
    /// Fail when a file could not be read completely.
    #[arg(long, help_heading = "Output")]
    pub fail_on_incomplete: bool,
    /// Exit with 0 whatever is found.
    #[arg(short, long, help_heading = "Output")]
    pub exit_zero: bool,
    /// Check these rules only: names, codes, beginnings of codes, groups.
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    pub select: Vec<String>,
    /// Do not check these rules.
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    pub ignore: Vec<String>,
    /// Report findings that are at least as sure as this.
    #[arg(long, value_enum, value_name = "CONFIDENCE", help_heading = "Rules")]
    pub min_confidence: Option<Sure>,
    /// Check the pedantic rules too.
    #[arg(long, help_heading = "Rules")]
    pub pedantic: bool,
    /// Report what comments silence too.
    #[arg(long, help_heading = "Rules")]
    pub no_ignores: bool,
    /// Write a comment above each finding that silences it.
    #[arg(long, value_name = "REASON", num_args = 0..=1, default_missing_value = "TODO: say why", help_heading = "Rules")]
    pub add_ignores: Option<String>,
    /// Make the repairs that are safe.
    #[arg(long, help_heading = "Repairs")]
    pub fix: bool,
    /// Make the repairs that need a look too.
    #[arg(long, help_heading = "Repairs")]
    pub unsafe_fixes: bool,
    /// Show the repairs as a difference and make none; removed secrets are masked.
    #[arg(long, help_heading = "Repairs")]
    pub diff_fixes: bool,
    /// Report again whenever a file changes, until Ctrl-C; the exit code is that of the last report.
    #[arg(
        short,
        long,
        help_heading = "Scope",
        conflicts_with_all = ["add_ignores", "fix", "unsafe_fixes", "diff_fixes"]
    )]
    pub watch: bool,
}

/// `agentlint inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    pub scope: Scope,
    /// How.
    #[arg(short, long, value_enum, default_value_t = InspectFormat::Json, help_heading = "Output")]
    pub output: InspectFormat,
}

/// How `inspect` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InspectFormat {
    /// The analysis as the API gives it.
    Json,
    /// A table for people.
    Table,
    /// The flow graph for documents that draw Mermaid.
    Mermaid,
    /// The flow graph as a picture.
    Svg,
    /// A bill of materials: CycloneDX 1.6 with models, services and libraries.
    Cyclonedx,
}

/// `agentlint policy`
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(flatten)]
    pub scope: Scope,
    /// The agent's name, which policies begin with.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Where a tool is registered, as `name=address`; repeatable.
    #[arg(long, value_name = "TOOL=URL")]
    pub base: Vec<String>,
    /// How.
    #[arg(short, long, value_enum, default_value_t = PolicyFormat::Text, help_heading = "Output")]
    pub output: PolicyFormat,
}

/// How `policy` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyFormat {
    /// For people.
    Text,
    /// With reasons and lines.
    Json,
}

/// `agentlint lock`
#[derive(Debug, Args)]
pub struct Lock {
    #[command(flatten)]
    pub scope: Scope,
    /// Compare and write nothing; fail when code and lock differ.
    #[arg(long)]
    pub check: bool,
    /// The lock.
    #[arg(long, value_name = "FILE", default_value = "agent.lock")]
    pub file: PathBuf,
}

/// `agentlint diff`
#[derive(Debug, Args)]
pub struct Diff {
    /// A folder, a lock or a git reference.
    pub before: String,
    /// Another one; the current folder when absent.
    #[arg(default_value = ".")]
    pub after: String,
    /// How.
    #[arg(short, long, value_enum, default_value_t = DiffFormat::Text, help_heading = "Output")]
    pub output: DiffFormat,
}

/// How `diff` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For people.
    Text,
    /// For pull requests.
    Markdown,
    /// For programs.
    Json,
}

/// `agentlint explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// Name or code; all rules in a list when absent.
    pub rule: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `agentlint baseline`
#[derive(Debug, Args)]
pub struct Baseline {
    #[command(flatten)]
    pub scope: Scope,
    /// The baseline.
    #[arg(long, value_name = "FILE", default_value = "agentlint-baseline.txt")]
    pub file: PathBuf,
}

/// `agentlint init`
#[derive(Debug, Args)]
pub struct Init {
    /// Where.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// A pre-commit hook and a GitHub workflow too.
    #[arg(long)]
    pub ci: bool,
}

/// Whose schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// agentlint.toml.
    Config,
    /// The json output of `check`.
    Report,
}

/// From which severity on to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailOn {
    /// Everything fails.
    Info,
    /// Weaknesses and worse.
    Low,
    /// What should be repaired before a deploy, and worse.
    Medium,
    /// What must be repaired before a deploy.
    High,
    /// Nothing fails.
    Never,
}

impl FailOn {
    /// Whether a finding of this severity fails.
    pub fn fails(self, severity: Severity) -> bool {
        match self {
            FailOn::Info => true,
            FailOn::Low => severity >= Severity::Low,
            FailOn::Medium => severity >= Severity::Medium,
            FailOn::High => severity >= Severity::High,
            FailOn::Never => false,
        }
    }
}

/// How sure findings must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sure {
    /// All.
    Low,
    /// One link may be assumed.
    Medium,
    /// Everything was resolved.
    High,
}

impl From<Sure> for Confidence {
    fn from(sure: Sure) -> Confidence {
        match sure {
            Sure::Low => Confidence::Low,
            Sure::Medium => Confidence::Medium,
            Sure::High => Confidence::High,
        }
    }
}
