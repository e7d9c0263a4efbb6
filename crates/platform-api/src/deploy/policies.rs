//! Policies: the least that the code needs of each required tool, made by the analyzer's synthesis under the names that
//! tools have here.

use std::collections::BTreeMap;

use analyzer_core::Analysis;
use analyzer_core::analysis::Confidence;
use analyzer_core::policy::{Bases, Permission, Place, Rule, SuggestedPolicy, SuggestedRule, suggest};
use serde::{Deserialize, Serialize};

use super::plan::Match;
use crate::tools::{AccessMode, ToolRecord};

/// Tags of tools and capabilities whose calls a person should see first, where the tool is critical.
const GRAVE: [&str; 3] = ["destructive", "financial", "irreversible"];

/// A policy that a deploy makes or proposes; it can be posted as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// `{agent}-{tool}-auto`.
    pub name: String,
    /// Its rules, as policies are posted.
    pub spec: GeneratedSpec,
    /// The tool.
    pub tool: String,
    /// Why each rule is there, in their order.
    pub evidence: Vec<Why>,
}

/// The rules of a generated policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedSpec {
    /// Each allows or asks.
    pub policies: Vec<Rule>,
}

/// Why a rule is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Why it is as wide as it is: one sentence.
    pub reason: String,
    /// How sure it is that the code needs this and no more.
    pub confidence: Confidence,
    /// The calls it was made for.
    pub calls: Vec<Place>,
}

/// One policy for each required tool that is registered.
pub fn generate(
    agent: &str,
    analysis: Option<&Analysis>,
    matches: &[Match],
    required: &[String],
    tools: &BTreeMap<String, ToolRecord>,
) -> Vec<Generated> {
    let bases: Bases = tools.values().map(|tool| (tool.name.clone(), tool.spec.connection.base_url.clone())).collect();
    let from_code = analysis.map(|analysis| {
        let mut named = analysis.clone();
        for tool in &mut named.tools {
            let found = matches.iter().find(|found| found.detected == tool.name && found.line == tool.line);
            if let Some(name) = found.and_then(|found| found.tool.clone()) {
                tool.name = name;
            }
        }
        suggest(agent, &named, &bases)
    });
    let known = required.iter().filter_map(|name| tools.get(name));
    known
        .map(|tool| {
            let own = from_code.iter().flat_map(|suggestion| &suggestion.policies).find(|own| own.tool == tool.name);
            let own = own.cloned().unwrap_or_else(|| whole(agent, tool, analysis.is_some()));
            generated(own, tool)
        })
        .collect()
}

/// Everything below the tool's address, because the code does not say what it calls there.
fn whole(agent: &str, tool: &ToolRecord, has_code: bool) -> SuggestedPolicy {
    let base = tool.spec.connection.base_url.trim_end_matches('/');
    let reason = match has_code {
        true => "the code does not show how it calls this tool; everything below its address is covered",
        false => "an image shows no code; everything below the tool's address is covered",
    };
    let rule = SuggestedRule {
        rule: Rule::new(Permission::Allow, format!("{base}/*")),
        reason: reason.into(),
        confidence: Confidence::Low,
        evidence: Vec::new(),
    };
    let name = format!("{agent}-{}-auto", tool.name);
    SuggestedPolicy { name, tool: tool.name.clone(), rules: vec![rule] }
}

fn generated(policy: SuggestedPolicy, tool: &ToolRecord) -> Generated {
    let critical = tool.spec.governance.access_control.mode == AccessMode::Critical;
    let (rules, evidence) = policy
        .rules
        .into_iter()
        .map(|SuggestedRule { mut rule, reason, confidence, evidence }| {
            if critical && is_grave(&rule, tool) {
                rule.permission = Permission::ApprovalRequired;
            }
            (rule, Why { reason, confidence, calls: evidence })
        })
        .unzip();
    Generated { name: policy.name, spec: GeneratedSpec { policies: rules }, tool: policy.tool, evidence }
}

/// Does it take something away or move money? By its method, by the tool's tags, by those of the capability it uses.
fn is_grave(rule: &Rule, tool: &ToolRecord) -> bool {
    let tagged = |tags: &[String]| tags.iter().any(|tag| GRAVE.contains(&tag.to_ascii_lowercase().as_str()));
    let deletes = rule.operations.is_empty() || rule.operations.iter().any(|own| own.eq_ignore_ascii_case("DELETE"));
    let used = tool.spec.capabilities.iter().filter(|capability| {
        let method = &capability.method;
        let path = capability.path.trim_end_matches(['*', '/']);
        let covers = rule.resource.as_deref().is_none_or(|resource| resource.contains(path));
        covers && (rule.operations.is_empty() || rule.operations.iter().any(|own| own.eq_ignore_ascii_case(method)))
    });
    deletes || tagged(&tool.spec.risk_tags) || used.into_iter().any(|capability| tagged(&capability.risk_tags))
}
