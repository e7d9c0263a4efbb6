//! Rules as they are written, sent and stored.

use serde::{Deserialize, Serialize};

use super::matching::PatternError;

/// What a rule does with the calls it covers, in order of strength: of several the strongest decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// The call goes through.
    Allow,
    /// A person is asked first.
    ApprovalRequired,
    /// The call is refused, whatever else allows it.
    Deny,
}

/// One rule: which calls, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What becomes of them.
    pub permission: Permission,
    /// Address of the calls it covers. A `*` at the end stands for whatever follows, elsewhere in the path for any part
    /// of one segment; without `*` the address is exact. The query is never compared. Absent: every address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// HTTP methods in any case; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Risk tags, of which the called tool must have one; empty for every tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Rule {
    /// A rule about one address, for all methods.
    pub fn new(permission: Permission, resource: impl Into<String>) -> Rule {
        Rule { permission, resource: Some(resource.into()), operations: Vec::new(), tags: Vec::new() }
    }

    /// The same for these methods only.
    pub fn for_operations<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Rule {
        self.operations = methods.into_iter().map(Into::into).collect();
        self
    }

    /// The same for tools with one of these tags only.
    pub fn for_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Rule {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}

/// Rules under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its rules; their order does not matter.
    pub rules: Vec<Rule>,
}

/// Why a rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy:?}, rule {rule}: {reason}")]
pub struct RuleError {
    /// The policy.
    pub policy: String,
    /// The rule, from 1.
    pub rule: usize,
    /// What is wrong with it.
    pub reason: RuleFault,
}

/// What can be wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// The resource is no pattern.
    #[error(transparent)]
    Resource(#[from] PatternError),
    /// An operation is no HTTP method.
    #[error("operation {0:?} is no HTTP method; write GET, POST, …, or leave `operations` out for all")]
    Operation(String),
    /// It would allow everything.
    #[error("it would allow every call of every tool; name a `resource`, `tags`, or both")]
    Unlimited,
}
