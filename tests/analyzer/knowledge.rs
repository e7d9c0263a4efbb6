//! Every knowledge entry proves itself: its examples hold what it says, and nothing else.

use analyzer_core::knowledge::schema::Example;
use analyzer_core::knowledge::{entry_files, parse};
use analyzer_core::{Analysis, Options, Sources, analyze};

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
    let found = facts(&analyze(&sources, &Options::default()));
    let missing = example.finds.iter().filter(|line| !found.contains(line)).map(|line| format!("does not find {line:?}"));
    let complete = |line: &&String| ["model ", "tool ", "host "].iter().any(|kind| line.starts_with(kind));
    let extra = found.iter().filter(complete).filter(|line| !example.finds.contains(line));
    missing.chain(extra.map(|line| format!("finds {line:?} too"))).collect()
}

/// An analysis in the words of the examples.
fn facts(analysis: &Analysis) -> Vec<String> {
    let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_ascii_lowercase();
    let mut lines = Vec::new();
    for usage in &analysis.model_usages {
        let model = usage.model.as_deref().unwrap_or("?");
        lines.push(format!("model {} {model} {} line {}", usage.provider, word(&usage.role), usage.line));
    }
    for tool in &analysis.tools {
        lines.push(format!("tool {} {} line {}", tool.name, word(&tool.kind), tool.line));
    }
    lines.extend(analysis.outbound_destinations.iter().map(|host| format!("host {host}")));
    lines.extend(analysis.prompts.iter().map(|prompt| format!("prompt {}", prompt.text)));
    lines.extend(analysis.frameworks.iter().map(|framework| format!("framework {}", framework.name)));
    lines.extend(analysis.detected_requirements.iter().map(|specifier| format!("requirement {specifier}")));
    lines.push(format!("entry {}", analysis.entry_point));
    lines
}
