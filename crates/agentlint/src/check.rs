//! `check` and `baseline`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use analyzer_core::Language;
use analyzer_core::analysis::Confidence;
use analyzer_core::lint::{Finding, Report, add_ignores, apply, find};

use crate::cli::{self, FailOn, Global, Sure};
use crate::error::Error;
use crate::output::{Checked, Format, Output};
use crate::project::{Chosen, Project};
use crate::report::ReportV1;
use crate::{Done, Surroundings, git, progress, watch};

/// `agentlint check`
pub fn run(mut args: cli::Check, global: &Global, surroundings: Surroundings) -> Result<Done, Error> {
    let began = now();
    let outputs = args.output.iter().map(|text| Output::parse(text)).collect::<Result<Vec<_>, _>>()?;
    args.scope.written = outputs.iter().filter_map(|output| output.file.clone()).collect();
    let args = &args;
    if args.watch {
        return watch::run(args, &outputs, global, surroundings);
    }
    if args.scope.is_stdin() && (args.diff.is_some() || args.staged) {
        return Err(Error::Usage("--diff and --staged look at files; standard input is none".into()));
    }
    let mut project = Project::load(&args.scope, global)?;
    let look = || look(&project, args, Project::lint);
    let mut looked = match surroundings.watched && !global.quiet {
        true => {
            let what = format!("analyzing {} files", project.sources.files().len());
            progress::during(&what, progress::PATIENCE, std::io::stderr(), look)?
        }
        false => look()?,
    };
    if let Some(reason) = &args.add_ignores {
        return silence(&project, &looked.report, reason, args.scope.is_stdin());
    }
    let mut notes = String::new();
    if args.diff_fixes {
        let out = differences(&project, &looked.report, args.unsafe_fixes);
        let code = u8::from(fails(&project, &looked.report, args) && !args.exit_zero);
        return Ok(Done { out, notes: foreign(&project, &looked.report, args.unsafe_fixes), code });
    }
    let mut text = None;
    let rewrites = args.fix || args.unsafe_fixes;
    if rewrites && args.scope.is_stdin() && !project.foreign.is_empty() {
        return Err(Error::Usage("standard input is not UTF-8; nothing is repaired".into()));
    }
    if rewrites {
        let (files, repaired) = repaired(&project, &looked.report, args.unsafe_fixes);
        writeln!(notes, "{repaired} repaired").expect("writing to a string");
        notes.push_str(&foreign(&project, &looked.report, args.unsafe_fixes));
        project = match args.scope.is_stdin() {
            true => project.with(files)?,
            false => {
                write(&project, files)?;
                Project::load(&args.scope, global)?
            }
        };
        if args.scope.is_stdin() {
            text = project.sources.files().first().map(|source| source.text.to_string());
        }
        looked = self::look(&project, args, Project::lint)?;
    }
    let mut done = reported(&project, &looked, args, &outputs, global, surroundings, began)?;
    // What came from standard input goes back repaired, and the findings beside it.
    if let Some(text) = text {
        notes.push_str(&std::mem::replace(&mut done.out, text));
    }
    done.notes.insert_str(0, &notes);
    Ok(done)
}

/// The outputs that were asked for, the summary and the exit code.
pub fn reported(
    project: &Project,
    looked: &Looked,
    args: &cli::Check,
    outputs: &[Output],
    global: &Global,
    surroundings: Surroundings,
    began: std::time::Instant,
) -> Result<Done, Error> {
    let Looked { report, active, baselined, stale } = looked;
    let v1 = ReportV1::new(project, report, *active, *baselined, *stale);
    let checked = Checked { project, report, v1: &v1 };
    let mut out = String::new();
    let plain = if surroundings.assistant { Format::Agent } else { Format::Full };
    let default = [Output { format: plain, file: None }];
    for output in if outputs.is_empty() { &default[..] } else { outputs } {
        match &output.file {
            Some(file) => {
                let text = checked.render(output.format, false);
                std::fs::write(file, text).map_err(|error| Error::Write(file.clone(), error))?;
            }
            None => out.push_str(&checked.render(output.format, surroundings.colour)),
        }
    }
    let failing = fails(project, report, args);
    let incomplete = (args.fail_on_incomplete || project.config.fail_on_incomplete) && !v1.coverage.complete;
    let mut notes = summary(&v1, began);
    if global.verbose > 0 {
        for file in &v1.coverage.skipped {
            writeln!(notes, "left out {}: {}", file.file, file.reason).expect("writing to a string");
        }
        for (folder, config) in &project.below {
            let folder = project.shown(folder);
            writeln!(notes, "{folder} has its own configuration, which counts for the rules of its files")
                .expect("writing to a string");
            if config.is_about_more() {
                writeln!(notes, "what else it says counts where {folder} itself is checked")
                    .expect("writing to a string");
            }
        }
        for note in &v1.coverage.notes {
            writeln!(notes, "note {}:{} {}", note.file, note.line, note.message).expect("writing to a string");
        }
    }
    if incomplete {
        notes.push_str("not everything could be read, and --fail-on-incomplete asks for that; -v says what\n");
    }
    Ok(Done { out, notes, code: u8::from((failing || incomplete) && !args.exit_zero) })
}

fn fails(project: &Project, report: &Report, args: &cli::Check) -> bool {
    let fail_on = args.fail_on.or(project.config.fail_on).unwrap_or(FailOn::Medium);
    report.findings.iter().any(|finding| fail_on.fails(finding.severity))
}

/// What is reported of a project.
pub struct Looked {
    report: Report,
    /// Rules that were checked.
    active: usize,
    /// Findings that the baseline knows, and entries of it that are gone.
    baselined: usize,
    stale: usize,
}

/// Findings of the active rules that are sure enough, on the lines that were asked for, and not known.
pub fn look(
    project: &Project,
    args: &cli::Check,
    lint: impl FnOnce(&Project, Chosen, bool) -> Result<Report, Error>,
) -> Result<Looked, Error> {
    let rules = project.rules(&args.select, &args.ignore, args.pedantic)?;
    let active = rules.count();
    let mut report = lint(project, rules.clone(), args.no_ignores)?;
    let (baselined, stale) =
        without_known(project, &rules, args.baseline.as_deref(), args.min_confidence, &mut report)?;
    if args.diff.is_some() || args.staged {
        let changed = git::changed(&project.root, args.diff.as_deref())?;
        let touched = |finding: &Finding| {
            let ranges = changed.get(&finding.file).map_or(&[][..], Vec::as_slice);
            ranges.iter().any(|(from, to)| *from <= finding.end_line && finding.line <= *to)
        };
        report.findings.retain(touched);
    }
    Ok(Looked { report, active, baselined, stale })
}

#[expect(clippy::disallowed_methods, reason = "the rim: the summary says how long it took")]
pub fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn summary(report: &ReportV1, began: std::time::Instant) -> String {
    let s = &report.summary;
    let mut out = match s.findings {
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let parts = [("high", s.high), ("medium", s.medium), ("low", s.low), ("info", s.info)];
    let parts: Vec<String> =
        parts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    if !parts.is_empty() {
        write!(out, " ({})", parts.join(", ")).expect("writing to a string");
    }
    let files = if s.files == 1 { "file" } else { "files" };
    let rules = if s.rules == 1 { "rule" } else { "rules" };
    write!(out, " in {} {files}, {} {rules}, {} ms", s.files, s.rules, began.elapsed().as_millis())
        .expect("writing to a string");
    for (count, what) in
        [(s.silenced, "silenced by comments"), (s.baselined, "in the baseline"), (s.stale, "gone from the baseline")]
    {
        if count > 0 {
            write!(out, ", {count} {what}").expect("writing to a string");
        }
    }
    let repairs = |safe: bool| report.findings.iter().flat_map(|f| &f.fix).filter(|fix| fix.safe == safe).count();
    match (repairs(true), repairs(false)) {
        (0, 0) => {}
        (safe, 0) => write!(out, "; [*] {safe} can be repaired by --fix").expect("writing to a string"),
        (0, other) => write!(out, "; {other} can be repaired by --unsafe-fixes").expect("writing to a string"),
        (safe, other) => write!(out, "; [*] {safe} can be repaired by --fix, {other} more by --unsafe-fixes")
            .expect("writing to a string"),
    }
    if !report.coverage.complete {
        out.push_str("; not everything could be read (-v)");
    }
    out + "\n"
}

/// The repairs that may be made.
fn repairs(report: &Report, also_unsafe: bool) -> impl Iterator<Item = &analyzer_core::lint::Fix> {
    let fixes = report.findings.iter().filter_map(|finding| finding.fix.as_ref());
    fixes.filter(move |fix| fix.safe || also_unsafe)
}

/// A line for each file with repairs that is not UTF-8 and stays as it is.
fn foreign(project: &Project, report: &Report, also_unsafe: bool) -> String {
    let edited: BTreeSet<&str> =
        repairs(report, also_unsafe).flat_map(|fix| &fix.edits).map(|edit| edit.file.as_str()).collect();
    let of_them = edited.into_iter().filter(|file| project.foreign.contains(*file));
    of_them.map(|file| format!("{} is not UTF-8 and stays as it is\n", project.shown(file))).collect()
}

/// Files after repairs, and the number of repairs.
fn repaired(project: &Project, report: &Report, also_unsafe: bool) -> (BTreeMap<String, String>, usize) {
    let stays = |fix: &&analyzer_core::lint::Fix| fix.edits.iter().any(|edit| project.foreign.contains(&edit.file));
    let fixes: Vec<_> = repairs(report, also_unsafe).filter(|fix| !stays(fix)).collect();
    let edits: Vec<_> = fixes.iter().flat_map(|fix| fix.edits.iter().cloned()).collect();
    let changed: BTreeSet<&str> = edits.iter().map(|edit| edit.file.as_str()).collect();
    let sources = project.sources.files().iter().filter(|source| changed.contains(&*source.path));
    let files =
        sources.map(|source| (source.path.to_string(), apply(&source.path, &source.text, edits.iter().cloned())));
    (files.collect(), fixes.len())
}

fn write(project: &Project, files: BTreeMap<String, String>) -> Result<(), Error> {
    for (path, text) in files {
        let path = project.root.join(path);
        std::fs::write(&path, text).map_err(|error| Error::Write(path.clone(), error))?;
    }
    Ok(())
}

/// The repairs as a difference between what may be shown of the files before and after.
fn differences(project: &Project, report: &Report, also_unsafe: bool) -> String {
    let mut out = String::new();
    let (files, _) = repaired(project, report, also_unsafe);
    let all = project.sources.files().iter().map(|source| {
        let text = files.get(&*source.path).cloned().unwrap_or_else(|| source.text.to_string());
        (source.path.to_string(), text)
    });
    let Ok(after) = analyzer_core::Sources::new(all) else { return out };
    let options = project.options();
    let before = analyzer_core::redacted(&project.sources, &options);
    let after = analyzer_core::redacted(&after, &options);
    for (before, after) in
        before.files().iter().zip(after.files()).filter(|(before, _)| files.contains_key(&*before.path))
    {
        let path = project.shown(&before.path);
        let difference = similar::TextDiff::from_lines(&*before.text, &*after.text);
        write!(out, "{}", difference.unified_diff().context_radius(3).header(&path, &path))
            .expect("writing to a string");
    }
    out
}

fn silence(project: &Project, report: &Report, reason: &str, is_stdin: bool) -> Result<Done, Error> {
    let mut by_file: BTreeMap<&str, BTreeMap<u32, Vec<&str>>> = BTreeMap::new();
    for finding in &report.findings {
        let rules = by_file.entry(&finding.file).or_default().entry(finding.line).or_default();
        if !rules.contains(&finding.rule) {
            rules.push(finding.rule);
        }
    }
    let (mut count, mut out, mut notes) = (0, String::new(), String::new());
    for source in project.sources.files() {
        if is_stdin {
            out = source.text.to_string();
        }
        let Some(at) = by_file.get(&*source.path) else { continue };
        let why = match source.language {
            Language::Notebook => Some("is a notebook"),
            _ if source.path.ends_with(".json") => Some("has no comments"),
            _ if project.foreign.contains(&*source.path) => Some("is not UTF-8"),
            _ => None,
        };
        if let Some(why) = why {
            writeln!(notes, "{} {why} and stays as it is", project.shown(&source.path)).expect("writing to a string");
            continue;
        }
        let path = project.root.join(&*source.path);
        let text = add_ignores(&source.text, source.language, at, reason);
        match is_stdin {
            true => out = text,
            false => std::fs::write(&path, text).map_err(|error| Error::Write(path.clone(), error))?,
        }
        count += at.len();
    }
    Ok(Done { out, notes: format!("{count} comments added\n{notes}"), ..Done::default() })
}

const HEAD: &str =
    "# Findings that are known, one a line: file, rule, fingerprint. `agentlint baseline` writes this file.\n";

/// `agentlint baseline`
pub fn baseline(args: &cli::Baseline, global: &Global) -> Result<Done, Error> {
    let project = Project::load(&args.scope, global)?;
    let report = project.lint(project.rules(&[], &[], false)?, false)?;
    let lines: BTreeSet<String> = report
        .findings
        .iter()
        .map(|finding| {
            let file = project.shown(&finding.file).replace(' ', "%20");
            format!("{file} {} {}\n", finding.rule, finding.fingerprint)
        })
        .collect();
    let text: String = lines.iter().map(String::as_str).collect();
    std::fs::write(&args.file, format!("{HEAD}{text}")).map_err(|error| Error::Write(args.file.clone(), error))?;
    Ok(Done { notes: format!("{} findings recorded in {}\n", lines.len(), args.file.display()), ..Done::default() })
}

/// Takes out what the baseline knows and what is not sure enough: how many are known, and how many of those are gone.
pub fn without_known(
    project: &Project,
    rules: &Chosen,
    baseline: Option<&Path>,
    least: Option<Sure>,
    report: &mut Report,
) -> Result<(usize, usize), Error> {
    let own = || project.config.baseline.as_ref().map(|file| project.configured_in.join(file));
    let counts = match baseline.map(Path::to_owned).or_else(own) {
        Some(file) => known(&file, project, rules, report)?,
        None => (0, 0),
    };
    report.findings.retain(|finding| {
        let least = least.or(project.config_of(&finding.file).min_confidence);
        finding.confidence >= least.map_or(Confidence::Low, Into::into)
    });
    Ok(counts)
}

/// Takes out what the baseline knows: how many, and how many of its entries are gone.
fn known(file: &Path, project: &Project, rules: &Chosen, report: &mut Report) -> Result<(usize, usize), Error> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::Read(file.to_owned(), error))?;
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    // Only what was looked for can be gone.
    let looked_for = |path: &str, rule: &str| {
        let path = path.replace("%20", " ");
        let own = path.strip_prefix(project.prefix.as_str());
        let named = own.is_some_and(|own| project.only.as_ref().is_none_or(|only| only.contains(own)));
        named && find(rule).is_none_or(|rule| rules.of(own.unwrap_or_default()).is_active(rule))
    };
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split(' ').collect();
        let [path, rule, fingerprint] = words[..] else {
            let message = format!(
                "{}:{}: no line of a baseline; `agentlint baseline` writes it anew",
                file.display(),
                number + 1
            );
            return Err(Error::Config(message));
        };
        known.insert(fingerprint, !looked_for(path, rule));
    }
    let before = report.findings.len();
    report.findings.retain(|finding| match known.get_mut(finding.fingerprint.as_str()) {
        Some(seen) => {
            *seen = true;
            false
        }
        None => true,
    });
    Ok((before - report.findings.len(), known.values().filter(|seen| !**seen).count()))
}
