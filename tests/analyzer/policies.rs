//! The law of policies: what the analyzer saw is allowed, and whatever lies outside is not.

use std::path::Path;
use std::sync::LazyLock;

use analyzer_core::analysis::{CallSite, Tool, ToolKind};
use analyzer_core::policy::{Bases, Call, Outcome, Permission, Rules, Suggestion, Target, suggest};
use analyzer_core::{Analysis, Options, Sources, analyze};
use proptest::prelude::*;
use test_bench::labels;

struct Agent {
    name: String,
    analysis: Analysis,
    suggestion: Suggestion,
    rules: Rules,
}

static AGENTS: LazyLock<Vec<Agent>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents");
    let mut cases: Vec<_> = std::fs::read_dir(folder).expect("the folder is there").flatten().collect();
    cases.retain(|case| case.path().join("input").is_dir());
    cases.sort_by_key(std::fs::DirEntry::path);
    assert!(cases.len() > 50, "{} agents", cases.len());
    let agent = |case: &std::fs::DirEntry| {
        let sources = Sources::new(labels::sources(&case.path().join("input")).expect("readable"));
        let analysis = analyze(&sources.expect("within limits"), &Options::default());
        let suggestion = suggest("agent", &analysis, &Bases::new());
        let rules = Rules::new(&suggestion.policies()).expect("what is suggested can be");
        Agent { name: case.file_name().to_string_lossy().into_owned(), analysis, suggestion, rules }
    };
    cases.iter().map(agent).collect()
});

/// The address of a tool, and one of its calls.
fn calls(agent: &Agent) -> Vec<(String, &Tool, &CallSite)> {
    let mut calls = Vec::new();
    for tool in agent.analysis.tools.iter().filter(|tool| tool.kind != ToolKind::Function) {
        let base = match &tool.detected_url_pattern {
            Some(variable) => Some(format!("${{{variable}}}")),
            None => tool.base_url.clone().filter(|base| !base.starts_with("://") && !base.contains('{')),
        };
        let uncovered = agent.suggestion.uncovered.iter().any(|u| u.tool == tool.name && u.line == tool.line);
        assert_eq!(base.is_none(), uncovered, "{}: {} has an address or is said to have none", agent.name, tool.name);
        for site in base.iter().flat_map(|base| tool.call_sites.iter().map(move |site| (base.clone(), tool, site))) {
            calls.push(site);
        }
    }
    calls
}

/// A path as a run would build it.
fn filled(template: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str(value);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    (out + rest).replace('?', "%3F").replace('#', "%23")
}

fn decide(rules: &Rules, method: &str, url: &str) -> Outcome {
    match Target::parse(url) {
        Ok(target) => rules.decide(&Call::new(method, &target)).outcome,
        Err(_) => Outcome::Denied,
    }
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

#[test]
fn every_call_of_every_agent_is_allowed() {
    let mut count = 0;
    for agent in AGENTS.iter() {
        for (base, tool, site) in calls(agent) {
            let path = filled(site.path.as_deref().unwrap_or("/anything/at/all"), "x-1");
            let methods = site.method.as_ref().map_or(METHODS.to_vec(), |method| vec![method.as_str()]);
            for method in methods {
                let url =
                    format!("{}{}{path}", base.trim_end_matches('/'), if path.starts_with('/') { "" } else { "/" });
                let outcome = decide(&agent.rules, method, &url);
                assert_ne!(outcome, Outcome::Denied, "{}: {} {method} {url} of {site:?}", agent.name, tool.name);
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count} calls");
}

#[test]
fn every_rule_names_the_calls_it_was_made_for() {
    for agent in AGENTS.iter() {
        for rule in agent.suggestion.policies.iter().flat_map(|policy| &policy.rules) {
            assert!(!rule.evidence.is_empty() && !rule.reason.is_empty(), "{}: {rule:?}", agent.name);
            assert_eq!(rule.rule.permission, Permission::Allow);
        }
    }
}

/// What a call could ever be, as a regular expression over method and address: the template with its holes, written down
/// a second time and in another way than the synthesis does it.
fn reach(base: &str, tool: &Tool, site: &CallSite) -> regex::Regex {
    let method = site.method.as_deref().map_or_else(|| "[A-Z]+".to_owned(), regex::escape);
    let mut path = String::new();
    match site.path.as_deref().filter(|path| !path.is_empty()) {
        None if site.path.is_some() => path.push('/'),
        None => path.push_str("/.*"),
        Some(template) => {
            let parts: Vec<&str> = template.split(['{', '}']).collect();
            for (index, part) in parts.iter().enumerate() {
                let is_last = index + 2 >= parts.len() && parts.last().is_none_or(|last| last.is_empty());
                let slashes = |name: &str| {
                    let last = name.rsplit(['_', '-', '.']).next().unwrap_or(name).to_ascii_lowercase();
                    name.is_empty() || is_last || index == 1 && parts[0].is_empty() || several(&last)
                };
                match index % 2 {
                    0 => path.push_str(&regex::escape(part)),
                    _ if slashes(part) => {
                        path.push_str(".*");
                        break;
                    }
                    _ => path.push_str("[^/]+"),
                }
            }
        }
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    assert!(!tool.name.is_empty());
    regex::Regex::new(&format!("^{method} {}{slash}{path}$", regex::escape(base.trim_end_matches('/')))).unwrap()
}

fn several(word: &str) -> bool {
    let words = "path file filename key endpoint url uri route resource repo repository suffix slug rest";
    words.split(' ').any(|several| several == word)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_lies_outside_the_patterns_is_not_allowed(
        agent in any::<prop::sample::Index>(),
        call in any::<prop::sample::Index>(),
        method in prop::sample::select(METHODS.to_vec()),
        keep_method in any::<bool>(),
        change in 0..9_usize,
        other in "[a-z]{1,6}",
    ) {
        let agent = agent.get(&AGENTS);
        let calls = calls(agent);
        prop_assume!(!calls.is_empty());
        let (base, _, site) = call.get(&calls);
        let method = site.method.as_deref().filter(|_| keep_method).unwrap_or(method);
        let path = filled(site.path.as_deref().unwrap_or("/anything"), &other);
        let path = format!("/{}", path.trim_start_matches('/'));
        let base = base.trim_end_matches('/');
        let url = match change {
            0 => format!("{base}{path}"),
            1 => format!("{base}{path}/{other}"),
            2 => format!("{base}{path}{other}"),
            3 => format!("{base}/{other}{path}"),
            4 => format!("{base}{}", path.rsplit_once('/').map_or("/", |(above, _)| above)),
            5 => format!("{base}.{other}{path}"),
            6 => base.replacen("https://", "http://", 1) + &path,
            7 => format!("https://{other}.example.com{path}"),
            _ => format!("{base}:8123{path}"),
        };
        let outcome = decide(&agent.rules, method, &url);
        let url = if url == base { format!("{url}/") } else { url };
        let seen = calls.iter().any(|(base, tool, site)| reach(base, tool, site).is_match(&format!("{method} {url}")));
        prop_assert_eq!(outcome != Outcome::Denied, seen, "{}: {} {}", &agent.name, method, url);
    }
}
