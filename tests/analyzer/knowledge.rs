//! Every knowledge entry proves itself: its examples hold what it says, and nothing else.

use analyzer_core::knowledge::schema::Example;
use analyzer_core::knowledge::{entry_files, parse};
use analyzer_core::{Options, Sources, analyze};

use crate::words::{is_complete_kind, said};

#[test]
fn every_example_finds_what_it_says_and_no_more() {
    let mut failures = Vec::new();
    for (path, text) in entry_files() {
        let entry = parse(path, text).expect("loading is tested beside the loader");
        if entry.example.is_empty() && !path.contains("/language/") {
            failures.push(format!("{path}: has no example"));
        }
        for (index, example) in entry.example.iter().enumerate() {
            failures.extend(check(example).into_iter().map(|line| format!("{path} example {}: {line}", index + 1)));
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// Lines that are missing, and those of models, tools and hosts that are too many.
fn check(example: &Example) -> Vec<String> {
    let (name, code) = match (&example.python, &example.javascript, &example.typescript) {
        (Some(code), None, None) => ("agent.py", code),
        (None, Some(code), None) => ("agent.js", code),
        (None, None, Some(code)) => ("agent.ts", code),
        _ => return vec!["must hold code in exactly one language".into()],
    };
    let sources = Sources::new([(name, code.as_str())]).expect("one file");
    let found: Vec<String> = said(&analyze(&sources, &Options::default()))
        .into_iter()
        .map(|said| match said.place {
            Some((_, line)) if is_complete_kind(&said.words) => format!("{} line {line}", said.words),
            _ => said.words,
        })
        .collect();
    let missing =
        example.finds.iter().filter(|line| !found.contains(line)).map(|line| format!("does not find {line:?}"));
    let extra = found.iter().filter(|line| is_complete_kind(line)).filter(|line| !example.finds.contains(line));
    missing.chain(extra.map(|line| format!("finds {line:?} too"))).collect()
}
