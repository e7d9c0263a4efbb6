//! `fixtures/agents/<case>/`: whole agents of our own writing, with the answer beside the question.

use std::path::{Path, PathBuf};

use analyzer_core::{Analysis, Options, Sources, analyze};
use test_bench::labels;
use test_bench::score::{CATEGORIES, Score, score};

use crate::page::page;

/// Strict F1 that the agents of our own writing must keep, by category.
const FLOORS: [(&str, f64); 7] = [
    ("tools", 0.96),
    ("model_usages", 0.96),
    ("destinations", 0.97),
    ("secrets", 0.95),
    ("requirements", 0.99),
    ("entry_point", 0.99),
    ("system_prompt", 0.97),
];

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path()).collect();
    cases.retain(|case| case.join("input").is_dir());
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn analysis(case: &Path) -> Analysis {
    let sources = Sources::new(labels::sources(&case.join("input")).expect("readable")).expect("within limits");
    analyze(&sources, &Options::default())
}

#[test]
fn every_agent_has_the_answer_beside_it() {
    for case in cases() {
        let name = case.file_name().expect("a folder").to_string_lossy().into_owned();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description(name);
        settings.bind(|| insta::assert_snapshot!("analysis", page(&analysis(&case))));
    }
}

#[test]
fn the_labels_written_before_the_code_ran_are_met() {
    let mut total = Score::default();
    let mut failures = Vec::new();
    for case in cases() {
        let text = std::fs::read_to_string(case.join("labels.toml")).expect("labels.toml beside the agent");
        let label: labels::Label = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
        let of_agent = score(&label, &analysis(&case));
        for category in CATEGORIES {
            let count = &of_agent.strict[category];
            let name = case.file_name().expect("a folder").to_string_lossy();
            failures.extend(count.misses.iter().map(|miss| format!("{name} - {category}: {miss}")));
            failures.extend(count.extras.iter().map(|extra| format!("{name} + {category}: {extra}")));
        }
        total.add(&of_agent);
    }
    for (category, floor) in FLOORS {
        let f1 = total.strict[category].f1();
        assert!(f1 >= floor, "{category}: strict F1 {f1:.3} is below {floor}\n{}", failures.join("\n"));
    }
}
