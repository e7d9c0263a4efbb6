//! `crates/analyzer-core/rules/*.md`: each rule's page is its test. It hits on the lines that say so, it misses what only
//! looks like it, and its repair is clean.

use std::path::Path;

use analyzer_core::lint::{Declared, LintOptions, RULES, RuleSet, lint};
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

/// Lines of a section that a rule finds, and those that its markers ask for.
fn compare(rule: &'static str, section: &Section) -> (Vec<String>, Vec<String>) {
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
    let sources = Sources::new(files).expect("pages hold clean paths");
    let rules = RuleSet::default().pedantic();
    let report = lint(&sources, &Options::default(), &LintOptions { rules, declared, ..LintOptions::default() });
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
