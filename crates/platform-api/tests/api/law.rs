//! The law of generated policies: every call that the analyzer saw in our own agents goes through with the policies that a
//! deploy makes of them; whatever lies outside their patterns is asked for where a tool is critical, and denied elsewhere.

use std::collections::BTreeMap;

use analyzer_core::analysis::{Tool, ToolKind};
use analyzer_core::policy::{Call, Outcome, Policy, Rules, Target};
use serde_json::{Value, json};

use crate::support::Platform;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Addresses beside one that is called: below it, above it, beside it, and elsewhere on its host.
fn near(url: &str) -> impl Iterator<Item = Target> {
    let url = url.split(['?', '#']).next().unwrap().trim_end_matches('/');
    let host = url.match_indices('/').nth(2).map_or(url, |(at, _)| &url[..at]);
    let above = url.rsplit_once('/').map_or(url, |(above, _)| above);
    let places = [
        url.to_string(),
        format!("{url}/outside-x9"),
        format!("{url}-x9"),
        above.to_string(),
        format!("{above}/outside-x9"),
        format!("{host}/outside-x9"),
        format!("{host}/"),
    ];
    places.into_iter().filter(|place| !place.contains('%')).filter_map(|place| Target::parse(&place).ok())
}

/// Whether a rule is about a call, by what the documents say of rules and nothing else; none for a resource that they do
/// not speak of.
fn are_about(policies: &[Policy], method: &str, url: &str) -> Option<bool> {
    let mut covered = false;
    for rule in policies.iter().flat_map(|policy| &policy.rules) {
        let of_method =
            rule.operations.is_empty() || rule.operations.iter().any(|own| own.eq_ignore_ascii_case(method));
        covered |= covers(rule.resource.as_deref()?, url)? && of_method;
    }
    Some(covered)
}

/// Exact, but for a `*` at the end, which is whatever follows, and one between slashes, which is one segment.
fn covers(resource: &str, url: &str) -> Option<bool> {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (resource.split('/').collect(), url.split('/').collect());
    for (at, part) in wanted.iter().enumerate() {
        if at + 1 == wanted.len()
            && let Some(prefix) = part.strip_suffix('*')
        {
            let rest = found.get(at..).unwrap_or_default().join("/");
            return (!prefix.contains('*')).then(|| found.len() > at && rest.starts_with(prefix));
        }
        match (*part, found.get(at)) {
            (_, None) => return Some(false),
            ("*", Some(segment)) if !segment.is_empty() => {}
            (part, Some(segment)) if !part.contains('*') => {
                if !part.eq_ignore_ascii_case(segment) {
                    return Some(false);
                }
            }
            _ => return None,
        }
    }
    Some(wanted.len() == found.len())
}

#[tokio::test]
async fn what_the_analyzer_saw_is_what_the_policy_allows() {
    let platform = Platform::on_sqlite().await;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/agents");
    let (mut agents, mut replayed, mut outside) = (0, 0, 0);
    for entry in std::fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path().join("input");
        let mut files = BTreeMap::new();
        read(&folder, &folder, &mut files);
        if files.is_empty() {
            continue;
        }
        let shelf = platform_api::analyses::Analyses::of(&platform.app, "default");
        let analysis = platform.app.ingestion().analyze(files.clone(), &shelf).await.unwrap();
        // What the code takes from a variable gets an address when it is registered.
        let base = |tool: &Tool| tool.base_url.clone().unwrap_or_else(|| format!("https://{}.example", tool.name));
        let reached = || analysis.tools.iter().filter(|tool| tool.kind != ToolKind::Function);
        let tools: Vec<Value> = reached()
            .filter(|tool| platform_api::names::is_name(&tool.name))
            // No tool has an address with a hole in its host, nor a database's.
            .filter(|tool| platform_api::names::address(&base(tool), "").is_ok())
            .map(|tool| json!({"name": tool.name, "base_url": base(tool)}))
            .collect();
        let request = json!({"agent_name": "law", "source_files": files, "tools_to_create": tools});
        let preview = platform.post("/api/v1/deploy/preview", request).await.expect(200);
        let plan = &preview["plan"];
        let policies: Vec<Policy> = plan["policies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|policy| {
                serde_json::from_value(json!({"name": policy["name"], "rules": policy["spec"]["policies"]})).unwrap()
            })
            .collect();
        let rules = Rules::new(&policies).unwrap();
        let decide = |method: &str, url: &str| rules.decide(&Call::new(method, &Target::parse(url).unwrap())).outcome;
        agents += 1;
        for tool in reached() {
            let base = base(tool);
            if Target::parse(&base).is_err() {
                continue;
            }
            let is_required = plan["required_tools"].as_array().unwrap().contains(&json!(tool.name));
            for site in tool.call_sites.iter().filter(|_| is_required) {
                let (Some(method), Some(path)) = (&site.method, &site.path) else { continue };
                // A hole is whatever the program puts there.
                let path: String = path
                    .split('{')
                    .enumerate()
                    .map(|(n, part)| {
                        if n == 0 {
                            part.into()
                        } else {
                            format!("x{}", part.split_once('}').map_or("", |(_, rest)| rest))
                        }
                    })
                    .collect();
                let url = format!("{}{path}", base.trim_end_matches('/'));
                if Target::parse(&url).is_err() {
                    continue;
                }
                assert_ne!(decide(method, &url), Outcome::Denied, "{}: {method} {url}", folder.display());
                replayed += 1;
                for (method, target) in METHODS.iter().flat_map(|method| near(&url).map(move |url| (*method, url))) {
                    let Some(covered) = are_about(&policies, method, target.url()) else { continue };
                    let critical = Call { asks_by_default: true, ..Call::new(method, &target) };
                    let outcomes = [rules.decide(&Call::new(method, &target)).outcome, rules.decide(&critical).outcome];
                    let at = format!("{}: {method} {}", folder.display(), target.url());
                    match covered {
                        true => assert!(!outcomes.contains(&Outcome::Denied), "{at}"),
                        false => assert_eq!(outcomes, [Outcome::Denied, Outcome::ApprovalRequired], "{at}"),
                    }
                    outside += usize::from(!covered);
                }
            }
        }
        for url in ["https://never-mentioned.example/x", "https://metadata.invalid/"] {
            assert_eq!(decide("POST", url), Outcome::Denied, "{}", folder.display());
        }
    }
    assert!(agents > 60 && replayed > 70 && outside > 1_000, "{agents} agents, {replayed} calls, {outside} outside");
}

fn read(root: &std::path::Path, folder: &std::path::Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => read(root, &path, files),
            false => {
                if let Ok(text) = std::fs::read_to_string(&path) {
                    files.insert(path.strip_prefix(root).unwrap().display().to_string(), text);
                }
            }
        }
    }
}
