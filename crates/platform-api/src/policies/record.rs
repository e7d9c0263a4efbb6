//! Records: a policy and a binding as they are kept.

use analyzer_core::analysis::Confidence;
use analyzer_core::policy::{Place, Policy as NamedRules, Rule};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::Resource;

/// A policy as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub spec: PolicySpec,
    /// Who wrote it.
    pub origin: PolicyOrigin,
    /// Why each rule is there, in the order of the rules; empty for a policy that a person wrote.
    #[serde(default)]
    pub evidence: Vec<RuleEvidence>,
}

impl Resource for PolicyRecord {
    const KIND: &'static str = "policy";

    fn key(&self) -> &str {
        &self.name
    }
}

impl PolicyRecord {
    /// Its rules under its name, as the engine takes them.
    pub fn rules(&self) -> NamedRules {
        NamedRules { name: self.name.clone(), rules: self.spec.policies.clone() }
    }
}

/// What a policy says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicySpec {
    /// Its rules; their order does not matter.
    pub policies: Vec<Rule>,
    /// Who is asked, where a rule says that somebody must be.
    pub approvals: Vec<ApprovalRule>,
}

/// Who is asked about which calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalRule {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Tools that it is about; empty for all.
    pub tool_ids: Vec<String>,
    /// Capabilities that it is about; empty for all.
    pub capabilities: Vec<String>,
    /// HTTP methods that it is about; empty for all.
    pub operations: Vec<String>,
    /// Addresses that it is about, spelt as in rules; empty for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Risk tags of which the tool must have one; empty for all.
    pub tags: Vec<String>,
    /// Who decides.
    pub approvers: Approvers,
    /// How long an approval holds: `4h`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_duration: String,
    /// How the question reaches them.
    pub delivery: Delivery,
}

/// Who decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Approvers {
    /// Their groups.
    pub groups: Vec<String>,
    /// Whether one of them is enough.
    #[serde(rename = "match")]
    pub quorum: Quorum,
}

/// How many approvers must agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quorum {
    /// One of them.
    #[default]
    Any,
    /// Each group.
    All,
}

/// How a question reaches its approvers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Delivery {
    /// Ids of approval connectors, in order.
    pub connectors: Vec<String>,
    /// Whether the first that takes it is enough.
    pub mode: DeliveryMode,
    /// Whether it may be decided in the console too.
    #[serde(rename = "fallbackToUI")]
    pub fallback_to_ui: bool,
}

impl Default for Delivery {
    fn default() -> Delivery {
        Delivery { connectors: Vec::new(), mode: DeliveryMode::FirstSuccess, fallback_to_ui: true }
    }
}

/// How many connectors are asked to deliver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryMode {
    /// One after the other, until one takes it.
    #[default]
    FirstSuccess,
    /// All of them.
    All,
}

/// Who wrote a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum PolicyOrigin {
    /// A person or their program.
    #[default]
    Person,
    /// The deploy of an agent, from its code; the next deploy of that agent may replace it.
    Deploy {
        /// The agent.
        agent: String,
        /// The tool that the policy is about.
        tool: String,
    },
}

/// Why a rule is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEvidence {
    /// Why it is as wide as it is.
    pub reason: String,
    /// How sure it is that the code needs this and no more.
    pub confidence: Confidence,
    /// The calls that it was made for.
    pub places: Vec<Place>,
}

/// One policy counts for one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// What it is found by: [`Binding::id`].
    pub id: String,
    /// The agent.
    pub agent: String,
    /// The policy.
    pub policy: String,
    /// Who made it.
    pub origin: BindingOrigin,
    /// The name of the policy binding that it was posted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Who made a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BindingOrigin {
    /// A deploy, for a policy that it generated.
    Generated,
    /// Somebody, by naming the policy.
    Bound,
}

impl Resource for Binding {
    const KIND: &'static str = "binding";

    fn key(&self) -> &str {
        &self.id
    }
}

impl Binding {
    /// A policy for an agent.
    pub fn new(agent: &str, policy: &str, origin: BindingOrigin) -> Binding {
        Binding { id: Binding::id(agent, policy), agent: agent.into(), policy: policy.into(), origin, label: None }
    }

    /// The same, posted under a name of its own.
    pub fn posted(label: &str, agent: &str, policy: &str) -> Binding {
        let id = format!("{label}.{agent}.{policy}");
        Binding { id, label: Some(label.into()), ..Binding::new(agent, policy, BindingOrigin::Bound) }
    }

    /// Under what such a binding is kept. Names have no dots, so no two bindings share one.
    pub fn id(agent: &str, policy: &str) -> String {
        format!("{agent}.{policy}")
    }
}
