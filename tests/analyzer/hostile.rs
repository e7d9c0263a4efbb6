//! Input that hurts is answered, in work that grows no faster than the input. Work is counted, never timed.

use std::path::Path;

use analyzer_core::facts::ExprId;
use analyzer_core::{Analysis, Options, Sources, analyze, lang, sources::Language, work};
use test_bench::hostile::{Files, SHAPES, Shape};

/// On one thread, so that all work is counted; its stack is what a thread gets by default, so that depth would show.
fn on_one_thread<T: Send>(ask: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread").install(ask)
}

fn answer(files: Files) -> (Analysis, u64) {
    let sources = Sources::new(files).expect("clean paths");
    work::counted(|| analyze(&sources, &Options::default()))
}

fn bytes(files: &Files) -> u64 {
    files.iter().map(|(path, text)| (path.len() + text.len()) as u64).sum()
}

/// How much faster the work of a shape grew than its input, and the steps per byte of the larger.
fn growth(shape: &Shape) -> (f64, u64) {
    // A tenth of what the bench measures: builds with checks are slow.
    let ask = |size| {
        let files = (shape.files)(size);
        (bytes(&files), answer(files).1)
    };
    let ((small, of_small), (large, of_large)) = (ask(shape.small / 10), ask(shape.large / 10));
    ((of_large as f64 / of_small.max(1_000) as f64) / (large as f64 / small as f64), of_large / large)
}

/// Steps per byte that one question's budget may lead to. Shapes below it may approach it faster than they grow.
const STEPS_PER_BYTE: u64 = 200;

/// Every question ends within its budget, but there are many: not what we want.
const COSTLY: [&str; 1] = ["exponential-uses"];

#[test]
fn work_grows_no_faster_than_hostile_input() {
    let failures: Vec<String> = on_one_thread(|| {
        let shapes = SHAPES.iter().filter(|shape| !COSTLY.contains(&shape.name));
        let grown = shapes.map(|shape| (shape.name, growth(shape)));
        let bad = grown.filter(|(_, (growth, steps))| *growth > 1.5 && *steps > STEPS_PER_BYTE);
        bad.map(|(name, (growth, steps))| format!("{name}: {growth:.2}, {steps} steps per byte")).collect()
    });
    assert!(failures.is_empty(), "work grew faster than input, by these factors:\n{}", failures.join("\n"));
}

#[test]
fn depth_needs_no_stack() {
    let deep = ["parentheses", "lists", "dicts", "calls", "unclosed-parentheses", "attribute-chain", "method-chain"];
    let also = ["method-chain-js", "call-of-call", "arrows", "ternaries", "templates", "jsx", "deep-json", "deep-toml"];
    for shape in SHAPES.iter().filter(|shape| deep.contains(&shape.name) || also.contains(&shape.name)) {
        let (analysis, _) = on_one_thread(|| answer((shape.files)(shape.large)));
        assert!(!analysis.cancelled, "{}", shape.name);
    }
}

#[test]
fn every_hostile_file_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile");
    let mut names: Vec<_> = std::fs::read_dir(folder).expect("the folder is there").flatten().collect();
    names.sort_by_key(std::fs::DirEntry::path);
    assert!(!names.is_empty());
    let mut failures = Vec::new();
    for entry in names {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What is no UTF-8 arrives with replacement characters, as the servers decode it.
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).expect("readable")).into_owned();
        let (analysis, steps) = on_one_thread(|| answer(vec![(name.clone(), text.clone())]));
        assert!(!analysis.cancelled, "{name}");
        assert!(steps < 200_000, "{name}: {steps} steps for {} bytes", text.len());
        if Language::of(&name, &text) == Language::Text {
            continue;
        }
        // Every one connects to this host before or after what hurts; where that is lost today, the name says so.
        let heard = analysis.outbound_destinations.iter().any(|host| host == "api.acme.io");
        let lost = name.starts_with("lost-");
        if heard == lost {
            failures.push(format!("{name}: {:?}, {:?}", analysis.outbound_destinations, analysis.notes));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn unclosed_quotes_cost_what_closed_ones_do_or_end_early() {
    let bodies = ["a 'b' \"c\" f(x)\n", "x = \"\"\"a\n", "def f():\n    '''x'''\n", "{a} b\n", "x = \"\n", "(\n"];
    for kilobytes in [64, 1_024] {
        for (open, body) in ["x = \"\"\"", "f('''", "x = f\"\"\"", "x = \""].into_iter().zip(bodies) {
            let text = format!("import requests\n{open}{}", body.repeat(kilobytes * 1_024 / body.len()));
            let cost = lang::cost(&text, Language::Python).expect("Python has a grammar");
            // The watch sees it when the lexer comes back, which may have read to the end of the file.
            assert!(cost.bytes <= cost.max_bytes + text.len(), "{kilobytes} kB of {body:?}: {cost:?}");
            let (analysis, _) = on_one_thread(|| answer(vec![("agent.py".into(), text.clone())]));
            assert_eq!(analysis.detected_requirements, ["requests"], "{kilobytes} kB of {body:?}");
        }
    }
}

#[test]
fn a_file_over_its_budget_gives_strings_and_imports() {
    let text = "import requests\nx = 'a' + \"b\"\ny = '''never closed\n";
    let facts = lang::text::read_lines(&text.into(), Language::Python);
    assert!(facts.over_budget);
    assert_eq!(&*facts.imports[0].module, "requests");
    let texts: Vec<&str> = (0..facts.exprs.len()).filter_map(|i| facts.text(ExprId(i as u32))).collect();
    assert_eq!(texts[..2], ["a", "b"]);
}

#[test]
fn ordinary_files_stay_far_below_the_budget() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in test_bench::labels::sources(&folder.join("fixtures")).expect("readable") {
        let hostile = path.starts_with("hostile/");
        let Some(cost) = lang::cost(&text, Language::of(&path, &text)).filter(|_| !hostile) else { continue };
        assert!(
            cost.complete && cost.ticks * 4 < cost.max_ticks && cost.bytes * 4 < cost.max_bytes,
            "{path}: {cost:?}"
        );
    }
}

/// Small projects that go round in circles: data files that hold nothing but paths, functions that hand on to themselves,
/// values that are handed to each other, a place that everybody fills.
#[test]
fn circles_end_within_a_bounded_number_of_steps() {
    let handed_on = format!("def f(**kw):\n{}    OpenAI(**kw)\nf()\n", "    f(**kw)\n".repeat(16));
    let fan = |name: &str, of: &str| format!("{name} = f({})\n", [of; 100].join(", "));
    let fans: String =
        [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "g")].map(|(name, of)| fan(name, of)).concat();
    let request = format!("import requests\n{fans}requests.post(address, {})\n", ["a"; 100].join(", "));
    let placed: String = (0..2_000).map(|_| "st.session_state.k = 1\nos.thing.k()\n").collect();
    let deep = (0..79).fold(String::from("1"), |value, _| format!("{{ {}b = {value} }}", "a.".repeat(78)));
    let cases: [Vec<(&str, String)>; 8] = [
        vec![(".agentlint/secrets/x.toml", format!("x = {deep}\n")), ("a.py", "import os\n".into())],
        vec![("pyproject.toml", format!("[tool]\nx = {deep}\n")), ("a.py", "import os\n".into())],
        vec![("settings.toml", format!("x = {deep}\n")), ("a.py", "C = 'settings.toml'\nC['x']()\n".into())],
        vec![(".agentlint/pack.toml", format!("x = {deep}\n")), ("a.py", "import os\n".into())],
        vec![("a.yaml", "b.yaml".into()), ("b.yaml", "a.yaml".into()), ("a.py", "C = 'a.yaml'\nC['k']()\n".into())],
        vec![("a.py", format!("from openai import OpenAI\n{handed_on}"))],
        vec![("a.py", request)],
        vec![("a.py", format!("import os\nimport streamlit as st\n{placed}"))],
    ];
    for files in cases {
        let name = files[0].0;
        let files: Files = files.into_iter().map(|(path, text)| (path.into(), text)).collect();
        let (_, steps) = on_one_thread(|| answer(files));
        assert!(steps < 20_000_000, "{name}: {steps} steps");
    }
}
