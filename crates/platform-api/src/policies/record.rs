//! Records: a policy and a binding as they are kept.

use std::fmt;

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
    /// Its rules decide nothing; calls that they would have made into something else are noted in the runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub log_only: bool,
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

/// Who decides: users that are named, and members of groups. Nobody named: whoever may approve at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Approvers {
    /// Users, as their keys call them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Groups, as keys of their members call them.
    pub groups: Vec<String>,
    /// Whether a member of one group is enough.
    #[serde(rename = "match")]
    pub membership: Membership,
}

/// Of how many groups whoever decides must be a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// One of them.
    #[default]
    Any,
    /// Each of them.
    All,
}

impl Approvers {
    /// Is nobody named?
    pub fn are_all(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// May this user, a member of these groups, decide?
    pub fn admit(&self, user: Option<&str>, groups: &[String]) -> bool {
        let is_member = |group: &String| groups.contains(group);
        let by_group = match self.membership {
            Membership::Any => self.groups.iter().any(is_member),
            Membership::All => !self.groups.is_empty() && self.groups.iter().all(is_member),
        };
        self.are_all() || by_group || user.is_some_and(|user| self.users.iter().any(|own| own == user))
    }
}

impl fmt::Display for Approvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = match (self.membership, self.groups.len()) {
            (Membership::All, 2..) => "members of all of the groups ",
            (Membership::Any, 2..) => "members of one of the groups ",
            _ => "members of the group ",
        };
        let named = [("", &self.users), (groups, &self.groups)];
        let named = named.into_iter().filter(|(_, names)| !names.is_empty());
        f.write_str(&named.map(|(what, names)| format!("{what}{}", names.join(", "))).collect::<Vec<_>>().join(", "))
    }
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

/// For whom a policy counts. The account with which an agent makes its calls has the agent's name; a user is whom an
/// agent acts for, and groups are that user's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", content = "name")]
pub enum Subject {
    /// An agent, whomever it acts for.
    ServiceAccount(String),
    /// Whichever agent acts for this user.
    User(String),
    /// Whichever agent acts for a member of this group.
    Group(String),
}

/// Whose call it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Principal<'a> {
    /// The agent that makes it.
    pub agent: &'a str,
    /// The user that the agent acts for.
    pub user: Option<&'a str>,
    /// The groups of that user.
    pub groups: &'a [String],
}

impl Subject {
    /// Whether it is who makes a call, or for whom.
    pub fn is(&self, principal: &Principal) -> bool {
        match self {
            Subject::ServiceAccount(agent) => agent == principal.agent,
            Subject::User(user) => principal.user == Some(user),
            Subject::Group(group) => principal.groups.contains(group),
        }
    }

    /// The agent, if it is one.
    pub fn agent(&self) -> Option<&str> {
        match self {
            Subject::ServiceAccount(agent) => Some(agent),
            Subject::User(_) | Subject::Group(_) => None,
        }
    }
}

/// One policy counts for one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// What it is found by: [`Binding::id`].
    pub id: String,
    /// For whom.
    pub subject: Subject,
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
        let subject = Subject::ServiceAccount(agent.into());
        Binding { id: Binding::id(agent, policy), subject, policy: policy.into(), origin, label: None }
    }

    /// A policy for a subject, posted under a name of its own.
    pub fn posted(label: &str, subject: Subject, policy: &str) -> Binding {
        let (kind, name) = match &subject {
            Subject::ServiceAccount(name) => ("", name),
            Subject::User(name) => ("User.", name),
            Subject::Group(name) => ("Group.", name),
        };
        let id = format!("{label}.{kind}{name}.{policy}");
        Binding { id, subject, policy: policy.into(), origin: BindingOrigin::Bound, label: Some(label.into()) }
    }

    /// Is it this agent's?
    pub fn is_of(&self, agent: &str) -> bool {
        self.subject.agent() == Some(agent)
    }

    /// Under what such a binding is kept. Names of agents and policies have no dots and no capitals, so no two bindings
    /// share one.
    pub fn id(agent: &str, policy: &str) -> String {
        format!("{agent}.{policy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn approvers_are_named_users_and_members_of_one_or_of_each_group() {
        let of = |users: &str, groups: &str, membership| Approvers {
            users: names(users),
            groups: names(groups),
            membership,
        };
        let (any, all) = (Membership::Any, Membership::All);
        for (approvers, user, groups, admitted) in [
            (of("", "", any), None, "", true),
            (of("", "", all), None, "", true),
            (of("", "finance ops", any), None, "ops", true),
            (of("", "finance ops", any), Some("ops"), "", false),
            (of("", "finance ops", all), None, "ops", false),
            (of("", "finance ops", all), None, "ops dev finance", true),
            (of("ann", "", all), Some("ann"), "", true),
            (of("ann", "", all), Some("bob"), "ann", false),
            (of("ann", "ops", any), Some("bob"), "ops", true),
        ] {
            assert_eq!(approvers.admit(user, &names(groups)), admitted, "{approvers:?} {user:?} {groups}");
        }
        assert_eq!(of("ann", "ops dev", all).to_string(), "ann, members of all of the groups ops, dev");
    }

    #[test]
    fn a_subject_is_the_agent_its_user_or_one_of_the_users_groups() {
        let groups = names("ops");
        let principal = Principal { agent: "payer", user: Some("ann"), groups: &groups };
        assert!(Subject::ServiceAccount("payer".into()).is(&principal));
        assert!(Subject::User("ann".into()).is(&principal) && Subject::Group("ops".into()).is(&principal));
        for other in
            [Subject::User("payer".into()), Subject::ServiceAccount("ann".into()), Subject::Group("ann".into())]
        {
            assert!(!other.is(&principal), "{other:?}");
        }
    }
}
