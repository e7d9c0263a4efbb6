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

/// A project in which all files import one: what an edit of that one costs is asked of all of them.
#[divan::bench]
fn one_edit_of_what_all_import(bencher: divan::Bencher) {
    let mut session = Session::new(Options::default());
    for file in 0..499 {
        session.set(&format!("part{file}.py"), PART);
    }
    session.set("shared.py", SHARED);
    session.lint(&LintOptions::default()).expect("within limits");
    let mut count = 0;
    bencher.bench_local(|| {
        count += 1;
        session.set("shared.py", format!("{SHARED}# {count}\n"));
        session.lint(&LintOptions::default()).expect("within limits").findings.len()
    });
}

const PART: &str = "from shared import call, PROMPT\nfrom openai import OpenAI\n\ndef run(city):\n    call(f'https://api.weather.dev/{city}')\n    OpenAI().responses.create(model='gpt-4o', instructions=PROMPT)\n";

const SHARED: &str =
    "import requests\n\nPROMPT = 'You are a clerk.'\n\ndef call(url):\n    return requests.get(url, timeout=9)\n";

#[divan::bench]
fn all_anew(bencher: divan::Bencher) {
    let sources = open().sources().expect("within limits");
    bencher.bench_local(|| lint(&sources, &Options::default(), &LintOptions::default()).findings.len());
}
