//! The least that this code needs: an allowance for each address and method that its calls build, and nothing more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::matching::Pattern;
use super::rule::{Permission, Policy, Rule};
use crate::analysis::{Analysis, CallSite, Confidence, Tool, ToolKind};

/// Address by tool name, where somebody has registered one: it goes before the one that the code holds.
pub type Bases = BTreeMap<String, String>;

/// Policies for all tools of an analysis, and what no policy can be made for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// One policy per tool, sorted by name.
    pub policies: Vec<SuggestedPolicy>,
    /// Tools without an address.
    pub uncovered: Vec<Uncovered>,
}

/// The policy for one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuggestedPolicy {
    /// `{agent}-{tool}-auto`.
    pub name: String,
    /// The tool.
    pub tool: String,
    /// Its rules, sorted by address.
    pub rules: Vec<SuggestedRule>,
}

/// A rule with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuggestedRule {
    /// The rule.
    pub rule: Rule,
    /// Why it is as wide as it is: one sentence.
    pub reason: String,
    /// How sure it is that the code needs this and no more.
    pub confidence: Confidence,
    /// The calls it was made for.
    pub evidence: Vec<Place>,
}

/// A call in the code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Path as submitted.
    pub file: String,
    /// Line.
    pub line: u32,
    /// What is called.
    pub call: String,
}

/// A tool without an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncovered {
    /// The tool.
    pub tool: String,
    /// Why there is no policy for it, and what to do: one sentence.
    pub reason: String,
    /// Its first use.
    pub file: String,
    /// Line of its first use.
    pub line: u32,
}

impl Suggestion {
    /// The policies without their reasons, as they are stored and asked.
    pub fn policies(&self) -> Vec<Policy> {
        let plain = |policy: &SuggestedPolicy| Policy {
            name: policy.name.clone(),
            rules: policy.rules.iter().map(|rule| rule.rule.clone()).collect(),
        };
        self.policies.iter().map(plain).collect()
    }
}

/// The least that the analyzed code needs, for an agent of this name.
pub fn suggest(agent: &str, analysis: &Analysis, bases: &Bases) -> Suggestion {
    let mut suggestion = Suggestion::default();
    let reached = analysis.tools.iter().filter(|tool| tool.kind != ToolKind::Function);
    let mut by_name: BTreeMap<&str, Vec<&Tool>> = BTreeMap::new();
    for tool in reached {
        by_name.entry(&tool.name).or_default().push(tool);
    }
    for (name, tools) in by_name {
        let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
        for tool in &tools {
            match base(tool, bases) {
                Ok(base) => of_tool(tool, &base, &mut drafts),
                Err(reason) => suggestion.uncovered.push(Uncovered {
                    tool: name.into(),
                    reason,
                    file: tool.file.clone(),
                    line: tool.line,
                }),
            }
        }
        if !drafts.is_empty() {
            let rules = drafts.into_iter().map(|(resource, draft)| draft.rule(resource)).collect();
            suggestion.policies.push(SuggestedPolicy {
                name: format!("{agent}-{name}-auto"),
                tool: name.into(),
                rules,
            });
        }
    }
    suggestion
}

/// Where a tool is reached: as registered, by a variable that an address will replace, or as the code says.
fn base(tool: &Tool, bases: &Bases) -> Result<String, String> {
    let variable = tool.detected_url_pattern.as_ref().map(|name| format!("${{{name}}}"));
    let known = bases.get(&tool.name).cloned().or(variable).or_else(|| tool.base_url.clone());
    let reason = match (&known, tool.kind) {
        (Some(base), _) if base.starts_with("://") => {
            "the code connects to it by host, without HTTP; allow the host where connections are allowed"
        }
        (Some(base), _) if !base.contains(['{', '*']) || base.starts_with("${") => {
            let base = base.trim_end_matches('/').to_owned();
            let parsed = Pattern::parse(&base).map(|_| base);
            return parsed.map_err(|error| format!("{error}; register the tool with its address"));
        }
        (None, ToolKind::Mcp) => {
            "the MCP server is a process on the agent's own machine; what it may reach is decided where it runs"
        }
        _ => "the code does not say where its library connects; register the tool with its address",
    };
    Err(reason.to_owned())
}

/// A rule in the making, by its resource.
#[derive(Default)]
struct Draft {
    methods: BTreeSet<String>,
    any_method: bool,
    reasons: BTreeSet<&'static str>,
    confidence: Option<Confidence>,
    evidence: BTreeSet<Place>,
}

impl Draft {
    fn rule(self, resource: String) -> SuggestedRule {
        let methods = if self.any_method { BTreeSet::new() } else { self.methods };
        let mut reason = self.reasons.into_iter().collect::<Vec<_>>().join("; ");
        if reason.is_empty() {
            reason = "the code writes this address and method".into();
        }
        SuggestedRule {
            rule: Rule::new(Permission::Allow, resource).for_operations(methods),
            reason,
            confidence: self.confidence.unwrap_or_default(),
            evidence: self.evidence.into_iter().collect(),
        }
    }
}

const HIDDEN: &str = "the code hides the paths it calls, so the whole host is allowed";
const METHOD: &str = "the code does not show the method, so all are allowed";
const SEGMENT: &str = "each unknown part of the path is taken for one segment";
const REST: &str = "the path ends in a part that only the run knows, so whatever follows is allowed";

fn of_tool(tool: &Tool, base: &str, drafts: &mut BTreeMap<String, Draft>) {
    let first =
        CallSite { file: tool.file.clone(), line: tool.line, method: None, path: None, call: tool.name.clone() };
    let sites = if tool.call_sites.is_empty() { std::slice::from_ref(&first) } else { &tool.call_sites };
    // Where a client is made, nothing is called yet; its calls say more. A client none of whose calls says anything
    // needs the whole host.
    let known = sites.iter().any(|site| site.path.is_some());
    let hidden = |site: &&CallSite| site.path.is_none() && site.method.is_none();
    let only_made =
        known && tool.kind == ToolKind::Sdk && sites.iter().filter(hidden).all(|site| makes_client(site, sites));
    for site in sites.iter().filter(|site| !(only_made && hidden(site))) {
        let (path, wide) = match &site.path {
            Some(template) => pattern(template),
            None => ("/*".to_owned(), Some((HIDDEN, Confidence::Low))),
        };
        let draft = drafts.entry(format!("{base}{path}")).or_default();
        let mut confidence = tool.confidence;
        if let Some((reason, at_most)) = wide {
            draft.reasons.insert(reason);
            confidence = confidence.min(at_most);
        }
        match &site.method {
            Some(method) => drop(draft.methods.insert(method.to_ascii_uppercase())),
            None => {
                draft.any_method = true;
                draft.reasons.insert(METHOD);
                confidence = confidence.min(Confidence::Medium);
            }
        }
        draft.confidence = Some(draft.confidence.map_or(confidence, |known| known.min(confidence)));
        draft.evidence.insert(Place { file: site.file.clone(), line: site.line, call: site.call.clone() });
    }
}

/// Another call is written as a member of this one: `stripe.StripeClient().charges.create` of `stripe.StripeClient`.
fn makes_client(site: &CallSite, sites: &[CallSite]) -> bool {
    let made = format!("{}()", site.call);
    sites.iter().any(|other| other.call.starts_with(&made))
}

/// Names of holes that often hold several segments. English, not products.
const PATHS: [&str; 14] = [
    "path",
    "file",
    "filename",
    "key",
    "endpoint",
    "url",
    "uri",
    "route",
    "resource",
    "repo",
    "repository",
    "suffix",
    "slug",
    "rest",
];

/// The narrowest pattern that covers a path template, and why it is wider than the template.
fn pattern(template: &str) -> (String, Option<(&'static str, Confidence)>) {
    let mut out = String::new();
    let mut wide = None;
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        push(&mut out, &rest[..open]);
        let Some(close) = rest[open..].find('}') else {
            return (out + "*", Some((REST, Confidence::Low)));
        };
        let name = &rest[open + 1..open + close];
        rest = &rest[open + close + 1..];
        let words = name.to_ascii_lowercase();
        let several = words.split(['_', '-', '.']).next_back().is_some_and(|word| PATHS.contains(&word));
        // What may hold slashes, and what is glued to the host or to a whole segment's name, leaves the rest open.
        if several || out.is_empty() || name.is_empty() || name.contains('{') {
            return (out + if template.starts_with('{') { "/*" } else { "*" }, Some((REST, Confidence::Low)));
        }
        if !out.ends_with('*') {
            out.push('*');
        }
        wide = Some(if rest.is_empty() { (REST, Confidence::High) } else { (SEGMENT, Confidence::Medium) });
    }
    push(&mut out, rest);
    (if out.is_empty() { "/".into() } else { out }, wide)
}

/// Fixed text of a path, in which a star is no wildcard and a question mark no query.
fn push(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '*' => out.push_str("%2A"),
            '?' => out.push_str("%3F"),
            '#' => out.push_str("%23"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_becomes_the_narrowest_pattern_that_covers_it() {
        for (template, expected) in [
            ("/v1/charges", "/v1/charges"),
            ("/v1/charges/{id}", "/v1/charges/*"),
            ("/v1/charges/{id}/refund", "/v1/charges/*/refund"),
            ("/v1/{a}{b}/x", "/v1/*/x"),
            ("/files/report-{day}.json", "/files/report-*.json"),
            ("/repos/{repo}/issues", "/repos/*"),
            ("/raw/{file_path}/meta", "/raw/*"),
            ("{path}", "/*"),
            ("/{path}", "/*"),
            ("/a/{broken", "/a/*"),
            ("/odd*name", "/odd%2Aname"),
            ("", "/"),
        ] {
            assert_eq!(pattern(template).0, expected, "{template}");
        }
    }
}
