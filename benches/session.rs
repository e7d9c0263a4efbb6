//! What one edit costs in an editor that has a project of 500 files open, against reading the project anew.

use analyzer_core::lint::{LintOptions, lint};
use analyzer_core::{Options, Session};
use test_bench::labels;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Agents of our own writing, in folders of their own, until there are 500 files.
fn project() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents");
    let files = labels::sources(&folder).expect("readable");
    let files: Vec<_> = files.into_iter().filter(|(path, _)| path.contains("/input/")).collect();
    (0..)
        .flat_map(|round| files.iter().map(move |(path, text)| (format!("r{round}/{path}"), text.clone())))
        .take(500)
        .collect()
}

fn open() -> Session {
    let mut session = Session::new(Options::default());
    for (path, text) in project() {
        session.set(&path, text);
    }
    session.lint(&LintOptions::default()).expect("within limits");
    session
}

const EDITED: &str = "r0/quickstart-echo/input/agent.py";

#[divan::bench]
fn one_edit(bencher: divan::Bencher) {
    let mut session = open();
    let text = session.text(EDITED).expect("it is among them").to_string();
    let mut count = 0;
    bencher.bench_local(|| {
        count += 1;
        session.set(EDITED, format!("{text}# {count}\n"));
        session.lint(&LintOptions::default()).expect("within limits").findings.len()
    });
}

#[divan::bench]
fn all_anew(bencher: divan::Bencher) {
    let sources = open().sources().expect("within limits");
    bencher.bench_local(|| lint(&sources, &Options::default(), &LintOptions::default()).findings.len());
}
