//! `crates/analyzer-core/rules/*.md`: each rule's page is its test. It hits on the lines that say so, it misses what only
//! looks like it, and its repair is clean.

use std::path::Path;

use analyzer_core::lint::{Declared, LintOptions, RULES, Report, RuleSet, lint};
use analyzer_core::policy::Policy;
use analyzer_core::{Options, Sources};

/// What a page declares beside its code.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Declarations {
    tools: Option<std::collections::BTreeSet<String>>,
    hosts: Option<std::collections::BTreeSet<String>>,
    models: Option<std::collections::BTreeMap<String, Model>>,
    policies: Option<Vec<Policy>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    monthly_budget_usd: Option<u32>,
}

struct Section {
    title: String,
    files: Vec<(String, String)>,
}

fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => {
                let file = open.take().expect("a block is open");
                sections.last_mut().expect("code stands below a heading").files.push(file);
            }
            (None, Some(info)) => {
                let mut words = info.split_whitespace();
                let language = words.next().expect("a block names its language");
                let path = words.next().map_or_else(|| format!("agent.{language}"), str::to_owned);
                open = Some((path, String::new()));
            }
            (Some((_, code)), None) => *code += &format!("{line}\n"),
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    sections.push(Section { title: title.to_owned(), files: Vec::new() });
                }
            }
        }
    }
    sections
}

/// A section's files without the markers of tests, what it declares, and the lines that it marks.
fn read(rule: &str, section: &Section) -> (Vec<(String, String)>, Declared, Vec<String>) {
    let mut declared = Declared { by: "agent.lock".into(), ..Declared::default() };
    let mut wanted = Vec::new();
    let mut files = Vec::new();
    for (path, text) in &section.files {
        if path == "declared.toml" {
            let read: Declarations = toml::from_str(text).unwrap_or_else(|error| panic!("{rule}: {error}"));
            declared.tools = read.tools;
            declared.hosts = read.hosts;
            declared.policies = read.policies;
            let budget = |(name, model): (String, Model)| (name, model.monthly_budget_usd);
            declared.models = read.models.map(|models| models.into_iter().map(budget).collect());
            continue;
        }
        let mut plain = String::new();
        for (index, line) in text.lines().enumerate() {
            let marker = format!("lints: {rule}");
            let at = line.find(&marker);
            wanted.extend(at.map(|_| format!("{path}:{}", index + 1)));
            let mut code = at.map_or(line, |at| line[..at].trim_end());
            if at.is_some() {
                code = code.trim_end_matches("//").trim_end_matches('#').trim_end();
            }
            plain += &format!("{code}\n");
        }
        files.push((path.clone(), plain));
    }
    // JSON has no comments; a page about it names the line in its test.
    if rule == "unpinned-mcp-server" && section.title == "Hit" {
        wanted.push(".mcp.json:4".into());
        wanted.sort();
    }
    (files, declared, wanted)
}

/// What all rules say.
fn report(files: &[(String, String)], declared: &Declared) -> Report {
    let sources = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let sources = Sources::new(sources).expect("pages hold clean paths");
    let (rules, declared) = (RuleSet::default().pedantic(), declared.clone());
    lint(&sources, &Options::default(), &LintOptions { rules, declared, ..LintOptions::default() })
}

/// Lines of a section that a rule finds, and those that its markers ask for.
fn compare(rule: &'static str, section: &Section) -> (Vec<String>, Vec<String>) {
    let (files, declared, mut wanted) = read(rule, section);
    let report = report(&files, &declared);
    let mut found: Vec<String> = Vec::new();
    for finding in report.findings.iter().filter(|finding| finding.rule == rule) {
        assert!(!finding.message.ends_with('.') && !finding.help.ends_with('.'), "{rule}: {finding:?}");
        assert!(
            finding.line >= 1 && (finding.end_line, finding.end_column) > (finding.line, finding.column),
            "{finding:?}"
        );
        found.push(format!("{}:{}", finding.file, finding.line));
    }
    found.sort();
    wanted.sort();
    (found, wanted)
}

#[test]
fn every_rule_has_a_page_that_proves_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/analyzer-core/rules");
    let mut failures = Vec::new();
    for rule in RULES {
        let text = std::fs::read_to_string(folder.join(format!("{}.md", rule.name))).expect("each rule has a page");
        let sections = sections(&text);
        let titles: Vec<&str> = sections.iter().map(|section| section.title.as_str()).collect();
        assert_eq!(titles, ["Hit", "Near miss", "Fix"], "{}", rule.name);
        for section in &sections {
            let (found, wanted) = compare(rule.name, section);
            if found != wanted {
                failures.push(format!("{}, {}: found {found:?}, wanted {wanted:?}", rule.name, section.title));
            }
            assert_eq!(wanted.is_empty(), section.title != "Hit", "{}: {}", rule.name, section.title);
        }
    }
    assert!(RULES.len() >= 25, "{} rules", RULES.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// The files with every repair of a rule made, and how many of those are not safe.
fn repaired(rule: &str, files: &[(String, String)], declared: &Declared) -> (Vec<(String, String)>, usize) {
    let report = report(files, declared);
    let own = report.findings.iter().filter(|finding| finding.rule == rule);
    let fixes: Vec<_> = own.filter_map(|finding| finding.fix.clone()).collect();
    let edits: Vec<_> = fixes.iter().flat_map(|fix| fix.edits.clone()).collect();
    let apply =
        |(path, text): &(String, String)| (path.clone(), analyzer_core::lint::apply(path, text, edits.iter().cloned()));
    (files.iter().map(apply).collect(), fixes.iter().filter(|fix| !fix.safe).count())
}

#[test]
fn a_repaired_page_parses_and_its_rule_is_silent() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/analyzer-core/rules");
    let mut unsafe_ones = Vec::new();
    for rule in RULES {
        let text = std::fs::read_to_string(folder.join(format!("{}.md", rule.name))).expect("each rule has a page");
        let hit = sections(&text).into_iter().next().expect("a page has sections");
        let (files, declared, _) = read(rule.name, &hit);
        let (fixed, count) = repaired(rule.name, &files, &declared);
        if count > 0 {
            unsafe_ones.push(rule.name);
        }
        let after = report(&fixed, &declared);
        assert!(!after.analysis.notes.iter().any(|note| note.code == "syntax"), "{}: {fixed:?}", rule.name);
        let left = after.findings.iter().filter(|finding| finding.rule == rule.name && finding.fix.is_some());
        assert_eq!(left.count(), 0, "{}: {fixed:?}", rule.name);
        // What had a repair is gone.
        let before = report(&files, &declared);
        let unrepaired =
            |report: &Report| report.findings.iter().filter(|f| f.rule == rule.name && f.fix.is_none()).count();
        assert_eq!(unrepaired(&after), unrepaired(&before), "{}: {fixed:?}", rule.name);
    }
    let expected = [
        "plain-http",
        "tls-verification-off",
        "request-without-timeout",
        "unsafe-deserialization",
        "unused-requirement",
        "debug-mode",
    ];
    assert_eq!(unsafe_ones, expected);
}

/// A line of Python before and after the repairs that need a look; the same where there is none.
const REPAIRS: &[(&str, &str, &str)] = &[
    ("plain-http", "requests.get('http://api.northwind-crm.io/v1')", "requests.get('https://api.northwind-crm.io/v1')"),
    (
        "plain-http",
        "BASE = 'http://api.northwind-crm.io'; requests.get(f'{BASE}/v1')",
        "BASE = 'https://api.northwind-crm.io'; requests.get(f'{BASE}/v1')",
    ),
    (
        "plain-http",
        "requests.get(f'http://api.northwind-crm.io/v1/{os.getpid()}')",
        "requests.get(f'https://api.northwind-crm.io/v1/{os.getpid()}')",
    ),
    // A port speaks one of both, a number has no certificate, a name may be longer.
    ("plain-http", "requests.get('http://api.northwind-crm.io:8080/v1')", "="),
    ("plain-http", "requests.get('http://93.184.216.34/v1')", "="),
    (
        "plain-http",
        "requests.get('http://northwind-crm.io/'); 'http://northwind-crm.io.evil.example'",
        "requests.get('https://northwind-crm.io/'); 'http://northwind-crm.io.evil.example'",
    ),
    ("tls-verification-off", "requests.get(url, verify=False)", "requests.get(url, verify=True)"),
    (
        "tls-verification-off",
        "requests.get(url, verify = False, timeout=3)",
        "requests.get(url, verify = True, timeout=3)",
    ),
    ("tls-verification-off", "context.verify_mode = ssl.CERT_NONE", "context.verify_mode = ssl.CERT_REQUIRED"),
    ("tls-verification-off", "os.environ['PYTHONHTTPSVERIFY'] = '0'", "os.environ['PYTHONHTTPSVERIFY'] = '1'"),
    ("tls-verification-off", "ssl._create_unverified_context()", "ssl.create_default_context()"),
    ("request-without-timeout", "requests.get(url)", "requests.get(url, timeout=30)"),
    ("request-without-timeout", "requests.get(url, )", "requests.get(url, timeout=30 )"),
    (
        "request-without-timeout",
        "requests.get(url, params={'a': (1,)})",
        "requests.get(url, params={'a': (1,)}, timeout=30)",
    ),
    ("request-without-timeout", "requests.get(\n    url,\n)", "requests.get(\n    url, timeout=30\n)"),
    ("request-without-timeout", "requests.get(\n    url,  # ours\n)", "="),
    ("request-without-timeout", "requests.get(**options)", "="),
    ("unsafe-deserialization", "yaml.load(text)", "yaml.safe_load(text)"),
    ("unsafe-deserialization", "list(yaml.load_all(text))", "list(yaml.safe_load_all(text))"),
    ("unsafe-deserialization", "from yaml import load; load(text)", "="),
    ("unsafe-deserialization", "pickle.loads(data)", "="),
    ("debug-mode", "flask.Flask('a').run(debug=True)", "flask.Flask('a').run(debug=False)"),
];

#[test]
fn repairs_that_need_a_look_change_what_they_say_and_nothing_else() {
    let head = "import os, pickle, ssl\nimport flask, requests, yaml\n";
    for (rule, before, after) in REPAIRS {
        let files = [("agent.py".to_owned(), format!("{head}{before}\n"))];
        let (fixed, count) = repaired(rule, &files, &Declared::default());
        let (expected, changes) = if *after == "=" { (before, 0) } else { (after, 1) };
        assert_eq!((fixed[0].1.as_str(), count), (format!("{head}{expected}\n").as_str(), changes), "{rule}");
    }
    let files = [("agent.js".to_owned(), "new https.Agent({ rejectUnauthorized: false });\n".to_owned())];
    let (fixed, count) = repaired("tls-verification-off", &files, &Declared::default());
    assert_eq!((fixed[0].1.as_str(), count), ("new https.Agent({ rejectUnauthorized: true });\n", 1));
}

#[test]
fn a_comment_that_silences_nothing_is_taken_out_safely() {
    for (path, before, after) in [
        ("a.py", "x = 1  # agentlint: ignore[plain-http] old\ny = 2\n", "x = 1\ny = 2\n"),
        ("a.py", "if x:\n    # agentlint: ignore[plain-http]\n    y = 2\n", "if x:\n    y = 2\n"),
        ("a.js", "// agentlint: ignore[plain-http]\nlet y = 2;\n", "let y = 2;\n"),
        // Prose and notebooks quote.
        ("README.md", "# agentlint: ignore[plain-http] so\n", "="),
        (
            "a.ipynb",
            "{\"cells\": [{\"cell_type\": \"code\", \"source\": [\n\"x = 1  # agentlint: ignore[plain-http]\\n\"\n]}]}\n",
            "=",
        ),
        // More may stand behind it on the line, and a slip of the pen means another rule.
        ("a.js", "let x = 1 /* agentlint: ignore[plain-http] */ + y;\n", "="),
        ("a.py", "x = 1  # agentlint: ignore[plain-htp]\n", "="),
    ] {
        let files = [(path.to_owned(), before.to_owned())];
        let (fixed, count) = repaired("unused-ignore", &files, &Declared::default());
        assert_eq!((fixed[0].1.as_str(), count), (if after == "=" { before } else { after }, 0), "{before}");
    }
}

/// Ways to write a credential down.
const PLACES: [(&str, &str); 14] = [
    ("a.py", "API_KEY = \"{}\"\n"),
    ("a.py", "\"\"\"What it does.\"\"\"\nAPI_KEY = '{}'\n"),
    ("a.py", "#!/usr/bin/env python3\n# What it does.\n\napi_key: str = \"{}\"\n"),
    (
        "a.py",
        "from __future__ import annotations\n\nimport requests\n\nheaders = {{\"Authorization\": \"Bearer x\", \"X-Api-Key\": \"{}\"}}\n",
    ),
    ("a.py", "import os\n\n\nclass Settings:\n    api_key = \"{}\"\n"),
    ("a.py", "def call(api_key=\"{}\"):\n    return api_key\n"),
    ("a.py", "from openai import OpenAI\n\nclient = OpenAI(\n    api_key=\"{}\",\n)\n"),
    ("a.py", "os = 1\napi_key = \"{}\"\n"),
    ("a.py", "api_key = \"x\" \"{}\"\n"),
    ("a.py", "if True:\n    import json\n    api_key = f\"{}\"\n"),
    ("a.js", "const apiKey = \"{}\";\n"),
    ("a.js", "call({{ apiKey: '{}' }});\n"),
    ("a.ts", "export const apiKey: string = \"{}\";\n"),
    ("a.tsx", "export const page = <Client apiKey=\"{}\" />;\nconst token = \"{}\";\n"),
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_repaired_file_parses_and_is_clean(
        places in proptest::collection::vec(proptest::sample::select(PLACES.to_vec()), 1..4),
        key in "[0-9a-zA-Z]{32}",
        has_mark in proptest::bool::ANY,
        line_end in proptest::sample::select(vec!["\n", "\r\n"]),
    ) {
        let value = format!("sk_live_{key}");
        let write = |(index, (path, text)): (usize, &(&str, &str))| {
            let (stem, end) = path.split_once('.').unwrap();
            (format!("{stem}{index}.{end}"), text.replace("{{", "\u{1}").replace("}}", "\u{2}").replace("{}", &value).replace('\u{1}', "{").replace('\u{2}', "}"))
        };
        let dressed = |(path, text): (String, String)| {
            (path, format!("{}{}", if has_mark { "\u{feff}" } else { "" }, text.replace('\n', line_end)))
        };
        let files: Vec<(String, String)> = places.iter().enumerate().map(write).map(dressed).collect();
        let check = |files: &[(String, String)]| {
            let sources = Sources::new(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))).unwrap();
            lint(&sources, &Options::default(), &LintOptions::default())
        };
        let before = check(&files);
        let edits: Vec<_> =
            before.findings.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| fix.edits.clone()).collect();
        let fixed: Vec<(String, String)> = files
            .iter()
            .map(|(path, text)| (path.clone(), analyzer_core::lint::apply(path, text, edits.iter().cloned())))
            .collect();
        let after = check(&fixed);
        proptest::prop_assert!(!after.analysis.notes.iter().any(|note| note.code == "syntax"), "{:?}", fixed);
        for (_, text) in &fixed {
            proptest::prop_assert!(!text.trim_start_matches('\u{feff}').contains('\u{feff}'), "{:?}", text);
            proptest::prop_assert_eq!(text.matches('\n').count(), text.matches(line_end).count(), "{:?}", text);
        }
        // What had a repair is gone, and nothing new is there.
        let left = |report: &Report| {
            let secrets = report.findings.iter().filter(|finding| finding.rule == "hardcoded-secret");
            secrets.map(|finding| (finding.file.clone(), finding.fix.is_some())).collect::<Vec<_>>()
        };
        let unrepaired: Vec<_> = left(&before).into_iter().filter(|(_, fix)| !fix).collect();
        proptest::prop_assert_eq!(left(&after), unrepaired, "{:?}", fixed);
        // Once more changes nothing.
        proptest::prop_assert!(!after.findings.iter().any(|finding| finding.rule == "hardcoded-secret" && finding.fix.is_some()));
    }
}

#[test]
fn a_repair_keeps_how_lines_end_and_what_a_file_begins_with() {
    let key = "sk_live_4eC39HqLyjWDarjtT1zdp7dcAbCdEfGh";
    let text = format!("\u{feff}# What it does.\r\nAPI_KEY = \"{key}\"\r\n");
    let (fixed, _) = repaired("hardcoded-secret", &[("a.py".to_owned(), text)], &Declared::default());
    assert_eq!(fixed[0].1, "\u{feff}# What it does.\r\nimport os\r\nAPI_KEY = os.environ[\"API_KEY\"]\r\n");
}

#[test]
fn a_text_of_json_is_no_comment() {
    let quoted = "{\"ignore\": \"# agentlint: ignore[plain-http] <reason>\"}\n";
    let comment = "{\n  // agentlint: ignore[plain-http]\n  \"x\": 1\n}\n";
    for (text, expected) in [(quoted, 0), (comment, 1)] {
        let report = report(&[("a.json".to_owned(), text.to_owned())], &Declared::default());
        let unused = report.findings.iter().filter(|finding| finding.rule == "unused-ignore");
        assert_eq!(unused.count(), expected, "{text}");
    }
}

#[test]
fn the_plain_ways_to_write_a_credential_have_a_repair() {
    let key = "sk_live_4eC39HqLyjWDarjtT1zdp7dcAbCdEfGh";
    let repaired: Vec<bool> = PLACES
        .iter()
        .map(|(path, text)| {
            let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}").replacen("{}", key, 1).replace("{}", "x");
            let text = text.replace('\u{1}', "{").replace('\u{2}', "}");
            let report = lint(&Sources::new([(*path, text)]).unwrap(), &Options::default(), &LintOptions::default());
            report.findings.iter().any(|finding| finding.rule == "hardcoded-secret" && finding.fix.is_some())
        })
        .collect();
    // Not a default that somebody may count on, where `os` is something else, where the text is put together, and in an
    // attribute of JSX.
    let expected = [true, true, true, true, true, false, true, false, false, false, true, true, true, false];
    assert_eq!(repaired, expected);
}

#[test]
fn hostile_files_are_linted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile");
    let files = test_bench::labels::sources(&folder).expect("readable");
    let sources = Sources::new(files).expect("within limits");
    let report = lint(
        &sources,
        &Options::default(),
        &LintOptions { rules: RuleSet::default().pedantic(), ..LintOptions::default() },
    );
    assert!(!report.findings.is_empty() && !report.analysis.cancelled);
}
