//! Our own scanner, as a process beside the others.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use analyzer_core::analysis::Secret;
use analyzer_core::detect::secrets::{Formats, detect};
use analyzer_core::facts::FileFacts;
use analyzer_core::{Limits, Sources, lang};
use serde_json::{Value, json};
use test_bench::secrets::Finding;

use super::process::{self, Cost};
use super::{Findings, big_row};
use crate::run::{Done, say};

/// Files whose time is read together: asking for the time takes as long as scanning a small file.
const TIMED_TOGETHER: usize = 16;

/// Scans a folder file by file and prints what it finds as JSON: the child that [`measured`] starts.
pub fn scan(folder: &Path, bytes: bool) -> Done {
    let formats = Formats::builtin();
    let (mut found, mut size, mut nanos) = (Vec::new(), 0, 0);
    for paths in files(folder).chunks(TIMED_TOGETHER) {
        let mut batch = Vec::new();
        for path in paths {
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
            let limits = Limits { files: usize::MAX, bytes: usize::MAX, ..Limits::default() };
            let Ok(sources) = Sources::with_limits([(name, text)], &limits) else { continue };
            size += sources.files()[0].text.len();
            let facts = match bytes {
                true => without_tree(),
                false => lang::read(&sources.files()[0], None).map_err(|_| "nobody cancels")?,
            };
            batch.push((sources, [Arc::new(facts)]));
        }
        let before = spent();
        let secrets: Vec<Secret> =
            batch.iter().flat_map(|(sources, facts)| detect(sources, facts, formats, b"")).collect();
        nanos += spent() - before;
        found.extend(secrets.into_iter().map(|secret| {
            json!({"file": secret.file, "line": secret.line, "said": secret.provider.unwrap_or_default(),
                "type": secret.kind, "name": secret.name, "reasons": secret.reasons, "preview": secret.preview})
        }));
    }
    let answer = json!({"bytes": size, "seconds": nanos as f64 / 1e9, "found": found});
    std::io::Write::write_all(&mut std::io::stdout(), answer.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// What is known of a file that nobody parsed.
fn without_tree() -> FileFacts {
    let mut facts = FileFacts::default();
    facts.over_budget = true;
    facts
}

/// Processor time of this thread, in nanoseconds.
fn spent() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Bytes of all files in a folder.
pub fn size(folder: &Path) -> u64 {
    files(folder).iter().filter_map(|path| path.metadata().ok()).map(|about| about.len()).sum()
}

fn child(folder: &Path, place: &Path, bytes: bool) -> Result<(Value, Cost), String> {
    let out = place.join("ours.json");
    let file = std::fs::File::create(&out).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("secrets-bench").arg("--scan").arg(folder).args(bytes.then_some("--bytes"));
    let cost = process::run(command.stdout(file).stderr(Stdio::null()))?;
    let text = std::fs::read_to_string(&out).map_err(|error| error.to_string())?;
    Ok((serde_json::from_str(&text).map_err(|error| error.to_string())?, cost))
}

/// What it finds, and what it takes.
pub fn measured(folder: &Path, place: &Path, bytes: bool) -> Result<(Findings, Cost), String> {
    let (answer, cost) = child(folder, place, bytes)?;
    let mut findings = Findings::new();
    for found in answer["found"].as_array().into_iter().flatten() {
        let said = found["said"].as_str().unwrap_or("").to_owned();
        let finding = Finding { line: found["line"].as_u64().unwrap_or(0) as u32, said };
        findings.entry(found["file"].as_str().unwrap_or("").to_owned()).or_default().push(finding);
    }
    Ok((findings, cost))
}

/// Real packages with their trees: the row counts the secret pass alone, the memory is that of the whole process.
pub fn big(packages: &Path, place: &Path, list: bool) -> Result<String, String> {
    let (answer, cost) = child(packages, place, false)?;
    let found = answer["found"].as_array().map_or(0, Vec::len);
    if list {
        for found in answer["found"].as_array().into_iter().flatten() {
            say(&found.to_string());
        }
    }
    Ok(row("ours, trees given", &answer, found, cost))
}

/// Real packages as bytes, without trees.
pub fn big_bytes(packages: &Path, place: &Path) -> Result<String, String> {
    let (answer, cost) = child(packages, place, true)?;
    let found = answer["found"].as_array().map_or(0, Vec::len);
    Ok(row("ours, bytes alone", &answer, found, cost))
}

fn row(name: &str, answer: &Value, found: usize, cost: Cost) -> String {
    let (bytes, seconds) = (answer["bytes"].as_u64().unwrap_or(0), answer["seconds"].as_f64().unwrap_or(0.0));
    big_row(name, found, seconds, bytes, cost.peak)
}
