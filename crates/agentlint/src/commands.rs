//! All commands but `check`.

use std::fmt::Write;
use std::path::Path;

use analyzer_core::lint::{RULES, find, nearest};
use analyzer_core::policy::{Bases, Pattern, suggest};
use analyzer_core::{Analysis, analyze};

use crate::Done;
use crate::cli::{self, DiffFormat, Global, InspectFormat, PolicyFormat, SchemaOf};
use crate::discover::{Found, Rules};
use crate::error::Error;
use crate::live::Live;
use crate::lock::{Change, Lock, Places};
use crate::output::{cyclonedx, graph};
use crate::project::Project;
use crate::report::{ReportV1, word};
use crate::{config, git, lock};

/// `agentlint inspect`
pub fn inspect(args: &cli::Inspect, global: &Global) -> Result<Done, Error> {
    let project = Project::load(&args.scope, global)?;
    let analysis = analyze(&project.sources, &project.options());
    Ok(Done::text(match args.output {
        InspectFormat::Json => serde_json::to_string_pretty(&analysis).expect("an analysis is JSON") + "\n",
        InspectFormat::Table => table(&project, &analysis),
        InspectFormat::Mermaid => graph::mermaid(&analysis),
        InspectFormat::Svg => graph::svg(&analysis),
        InspectFormat::Cyclonedx => cyclonedx::render(&analysis, |path| project.shown(path)),
    }))
}

fn table(project: &Project, analysis: &Analysis) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    let place = |file: &str, line: u32| format!("{}:{line}", project.shown(file));
    if !analysis.entry_point.is_empty() {
        rows.push(["entry point".into(), project.shown(&analysis.entry_point), analysis.entry_point_reason.clone()]);
    }
    for tool in &analysis.tools {
        let address = tool.detected_url_pattern.as_ref().or(tool.base_url.as_ref());
        let address = address.map(|address| format!(" {address}")).unwrap_or_default();
        rows.push([
            format!("tool {}", lock::kind(tool.kind)),
            format!("{}{address}", tool.name),
            place(&tool.file, tool.line),
        ]);
    }
    for usage in &analysis.model_usages {
        let model = usage.model.as_deref().unwrap_or("?");
        let role = format!("model {}", lock::role(usage.role));
        rows.push([role, format!("{}/{model}", usage.provider), place(&usage.file, usage.line)]);
    }
    for destination in &analysis.destinations {
        rows.push(["host".into(), destination.host.clone(), place(&destination.file, destination.line)]);
    }
    for secret in &analysis.secrets {
        rows.push([format!("secret {}", secret.kind), secret.preview.clone(), place(&secret.file, secret.line)]);
    }
    for package in &analysis.requirements.packages {
        rows.push(["package".into(), package.specifier.clone(), place(&package.file, package.line)]);
    }
    for variable in &analysis.env_vars {
        rows.push(["variable".into(), variable.name.clone(), place(&variable.file, variable.line)]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1).min(60));
    let mut out = String::new();
    for [kind, what, place] in &rows {
        writeln!(out, "{kind:first$}  {what:second$}  {place}").expect("writing to a string");
    }
    out
}

/// `agentlint policy`
pub fn policy(args: &cli::PolicyArgs, global: &Global) -> Result<Done, Error> {
    let project = Project::load(&args.scope, global)?;
    let analysis = analyze(&project.sources, &project.options());
    let mut bases = Bases::new();
    for base in &args.base {
        let (tool, address) =
            base.split_once('=').ok_or_else(|| Error::Usage(format!("--base {base:?}: write TOOL=URL")))?;
        Pattern::parse(address).map_err(|error| Error::Usage(format!("--base {base:?}: {error}")))?;
        bases.insert(tool.into(), address.into());
    }
    let agent = args.agent.as_deref().or(project.config.agent.as_deref()).unwrap_or("agent");
    let suggestion = suggest(agent, &analysis, &bases);
    if args.output == PolicyFormat::Json {
        return Ok(Done::text(serde_json::to_string_pretty(&suggestion).expect("a policy is JSON") + "\n"));
    }
    let mut out = String::new();
    for policy in &suggestion.policies {
        writeln!(out, "{}", policy.name).expect("writing to a string");
        for rule in &policy.rules {
            let operations = match rule.rule.operations.is_empty() {
                true => "any method".to_owned(),
                false => rule.rule.operations.join(", "),
            };
            let resource = rule.rule.resource.as_deref().unwrap_or_default();
            let confidence = format!("{:?}", rule.confidence).to_lowercase();
            writeln!(out, "  allow {operations} {resource}").expect("writing to a string");
            writeln!(out, "    {} ({confidence} confidence)", rule.reason).expect("writing to a string");
            for place in &rule.evidence {
                writeln!(out, "    {}:{} {}", project.shown(&place.file), place.line, place.call)
                    .expect("writing to a string");
            }
        }
    }
    for tool in &suggestion.uncovered {
        let place = format!("{}:{}", project.shown(&tool.file), tool.line);
        writeln!(out, "no policy for {} ({place}): {}", tool.tool, tool.reason).expect("writing to a string");
    }
    Ok(Done::text(out))
}

/// `agentlint lock`
pub fn lock(args: &cli::Lock, global: &Global) -> Result<Done, Error> {
    let project = Project::load(&args.scope, global)?;
    let analysis = analyze(&project.sources, &project.options());
    let (own, places) = lock::of(&analysis, |path| project.shown(path));
    let file = if args.file.is_absolute() { args.file.clone() } else { project.root.join(&args.file) };
    if !args.check {
        std::fs::write(&file, own.text()).map_err(|error| Error::Write(file.clone(), error))?;
        let notes = format!(
            "{} tools, {} models, {} hosts, {} packages\n",
            own.tools.len(),
            own.models.len(),
            own.hosts.len(),
            own.packages.len()
        );
        return Ok(Done { notes, ..Done::default() });
    }
    let text = std::fs::read_to_string(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Usage(format!("there is no {}; `agentlint lock` writes it", file.display()))
        }
        _ => Error::Read(file.clone(), error),
    })?;
    let known = lock::parse(&file.display().to_string(), &text)?;
    let change = Change::between(&known, &own, &places);
    let notes = match change.is_empty() {
        true => "the lock is what the code does\n".to_owned(),
        false => "code and lock differ; if that is meant, run `agentlint lock` and commit\n".to_owned(),
    };
    Ok(Done { out: change.text(), notes, code: u8::from(!change.is_empty()) })
}

/// `agentlint diff`
pub fn diff(args: &cli::Diff, global: &Global) -> Result<Done, Error> {
    // Most files are the same on both sides.
    let mut live = Live::new();
    let (before, _) = side(&args.before, global, &mut live)?;
    let (after, places) = side(&args.after, global, &mut live)?;
    let change = Change::between(&before, &after, &places);
    let out = match args.output {
        DiffFormat::Text => change.text(),
        DiffFormat::Json => serde_json::to_string_pretty(&change).expect("a change is JSON") + "\n",
        DiffFormat::Markdown if change.is_empty() => "The agent may touch what it could before.\n".to_owned(),
        DiffFormat::Markdown => format!("The agent gains and loses:\n\n```diff\n{}```\n", change.text()),
    };
    Ok(Done::text(out))
}

/// One side of a comparison: a folder, a lock, or a commit.
fn side(name: &str, global: &Global, live: &mut Live) -> Result<(Lock, Places), Error> {
    let path = Path::new(name);
    if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Read(path.to_owned(), error))?;
        return Ok((lock::parse(name, &text)?, Places::new()));
    }
    let project = if path.is_dir() {
        let scope = cli::Scope {
            paths: vec![path.to_owned()],
            stdin_filename: String::new(),
            exclude: Vec::new(),
            force_exclude: false,
            no_gitignore: false,
            jobs: None,
            written: Vec::new(),
        };
        Project::load(&scope, global)?
    } else {
        analyzer_core::prepare();
        // A commit is looked at as the folder is, by today's configuration.
        let here = std::fs::canonicalize(".").map_err(|error| Error::Read(".".into(), error))?;
        let (config, at) = config::load(&here, &global.config, global.isolated)?;
        let configured_in = at.as_deref().and_then(Path::parent).filter(|folder| here.starts_with(folder));
        let configured_in = configured_in.unwrap_or(&here).to_owned();
        let way = here.strip_prefix(&configured_in).map(Path::to_owned).unwrap_or_default();
        let rules = Rules { exclude: vec![(way, config.exclude.clone())], no_gitignore: false };
        let found = Found { files: rules.found(git::tree(Path::new("."), name)?)?, ..Found::default() };
        Project::new(".".into(), String::new(), configured_in, found, config, None)?.with_input()?
    };
    let analysis = live.analysis(&project)?;
    Ok(lock::of(&analysis, |path| project.shown(path)))
}

/// `agentlint explain`
pub fn explain(args: &cli::Explain) -> Result<Done, Error> {
    let as_json = |rule: &analyzer_core::lint::Rule| {
        serde_json::json!({
            "rule": rule.name, "code": rule.code, "group": rule.group(), "severity": word(rule.severity),
            "pedantic": rule.pedantic, "summary": rule.summary, "text": rule.text,
        })
    };
    let Some(name) = &args.rule else {
        if args.json {
            let all: Vec<_> = RULES.iter().map(as_json).collect();
            return Ok(Done::text(serde_json::to_string_pretty(&all).expect("rules are JSON") + "\n"));
        }
        let mut out = String::new();
        for rule in RULES {
            let pedantic = if rule.pedantic { " (pedantic)" } else { "" };
            writeln!(out, "{} {:24} {:7} {}{pedantic}", rule.code, rule.name, word(rule.severity), rule.summary)
                .expect("writing to a string");
        }
        return Ok(Done::text(out));
    };
    if args.json {
        let rule = rule(name)?;
        return Ok(Done::text(serde_json::to_string_pretty(&as_json(rule)).expect("a rule is JSON") + "\n"));
    }
    explained(name).map(Done::text)
}

fn rule(name: &str) -> Result<&'static analyzer_core::lint::Rule, Error> {
    find(name).ok_or_else(|| {
        let near = nearest(name, RULES.iter().map(|rule| rule.name));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Error::Usage(format!("there is no rule `{name}`{near} (`agentlint explain` lists them)"))
    })
}

/// The page of a rule, as it is shown.
pub fn explained(name: &str) -> Result<String, Error> {
    let rule = rule(name)?;
    // Markers of the tests are no part of the example.
    let marker = format!("lints: {}", rule.name);
    let text: String = rule
        .text
        .lines()
        .map(|line| match line.find(&marker) {
            Some(at) => line[..at].trim_end().trim_end_matches(['#', '/']).trim_end().to_owned() + "\n",
            None => line.to_owned() + "\n",
        })
        .collect();
    let pedantic = if rule.pedantic { ", pedantic" } else { "" };
    let head = format!("# {} ({}, {}{pedantic})\n\n", rule.name, rule.code, word(rule.severity));
    let foot = format!(
        "\n## Silence\n\n`# agentlint: ignore[{}] <reason>` on the line or above it, or `ignore = [\"{}\"]` in agentlint.toml.\n",
        rule.name, rule.name
    );
    Ok(head + &text + &foot)
}

const STARTER: &str = "# https://json-schema.org: `agentlint schema config` prints what may stand here.

# Fail from this severity on: info, low, medium, high, never.
fail-on = \"medium\"

# Rules to leave out, by name, code or group: `agentlint explain` lists them.
ignore = []

# Files to leave out, as in .gitignore.
exclude = []

# What a model may cost in a month.
# [models.\"openai/gpt-4o\"]
# monthly_budget_usd = 50
";

const HOOK: &str = "repos:
  - repo: local
    hooks:
      - id: agentlint
        name: agentlint
        language: system
        entry: agentlint check --force-exclude
        types_or: [python, javascript, ts, tsx, jsx]
        require_serial: true
";

const WORKFLOW: &str = "name: agentlint
on: [pull_request]
permissions:
  contents: read
  security-events: write
jobs:
  agentlint:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v6
        with:
          python-version: \"3.x\"
      # Where your wheel of agentlint-cli lies: a path, an address, a requirement of your own index.
      - run: pip install \"$WHEEL\"
        env:
          WHEEL: ${{ vars.AGENTLINT_WHEEL }}
      - run: agentlint check -o github -o sarif=agentlint.sarif --exit-zero
      - run: agentlint lock --check
";

/// `agentlint init`
pub fn init(args: &cli::Init) -> Result<Done, Error> {
    let mut files = vec![("agentlint.toml", STARTER)];
    if args.ci {
        files.extend([(".pre-commit-config.yaml", HOOK), (".github/workflows/agentlint.yml", WORKFLOW)]);
    }
    let mut notes = String::new();
    for (name, text) in files {
        let path = args.folder.join(name);
        if path.exists() {
            writeln!(notes, "{} is there and stays as it is", path.display()).expect("writing to a string");
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::Write(folder.to_owned(), error))?;
        }
        std::fs::write(&path, text).map_err(|error| Error::Write(path.clone(), error))?;
        writeln!(notes, "wrote {}", path.display()).expect("writing to a string");
    }
    Ok(Done { notes, ..Done::default() })
}

/// `agentlint completions`
pub fn completions(shell: clap_complete::Shell) -> Done {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "agentlint", &mut out);
    Done::text(String::from_utf8_lossy(&out))
}

/// `agentlint schema`
pub fn schema(of: SchemaOf) -> Done {
    let schema = match of {
        SchemaOf::Config => schemars::schema_for!(config::Config),
        SchemaOf::Report => schemars::schema_for!(ReportV1),
    };
    Done::text(serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n")
}

/// `agentlint man`
pub fn man(folder: Option<&Path>) -> Result<Done, Error> {
    let command = || cli::command().disable_help_subcommand(true);
    if let Some(folder) = folder {
        let write = |error| Error::Write(folder.to_owned(), error);
        std::fs::create_dir_all(folder).map_err(write)?;
        clap_mangen::generate_to(command(), folder).map_err(write)?;
        return Ok(Done::default());
    }
    let mut out = Vec::new();
    clap_mangen::Man::new(command()).render(&mut out).map_err(|error| Error::Write("-".into(), error))?;
    Ok(Done::text(String::from_utf8_lossy(&out)))
}
