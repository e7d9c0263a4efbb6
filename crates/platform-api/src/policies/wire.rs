//! Wire: policies as they are sent, in `spec` or with their rules beside the name, and as they are answered.

use analyzer_core::policy::{Pattern, Permission, Policy as NamedRules, Rule, RuleError, RuleFault, Rules};
use ingestion_server::web::{ApiError, FieldError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::bindings::Uses;
use super::{ApprovalRule, NAMESPACE, PolicyOrigin, PolicyRecord, PolicySpec, RuleEvidence};
use crate::names;
use crate::store::Stored;
use crate::time::duration;

/// A policy as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PolicyRequest {
    /// What it is called.
    #[schema(required)]
    name: Option<String>,
    /// What it says.
    spec: Option<SpecRequest>,
    /// Its rules, where there is no `spec`.
    rules: Option<Vec<RuleRequest>>,
}

/// What a policy says.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct SpecRequest {
    policies: Option<Vec<RuleRequest>>,
    rules: Option<Vec<RuleRequest>>,
    approvals: Option<Vec<ApprovalRule>>,
    /// Its rules decide nothing; calls that they would have made into something else are noted in the runs.
    #[serde(alias = "logOnly")]
    log_only: bool,
}

/// A rule as it is sent. A field that is none of these is refused: a rule with a misspelt limit would have none.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleRequest {
    /// `allow`, `deny` or `approval_required`.
    #[schema(required)]
    permission: Option<String>,
    /// Address of the calls; a `*` at the end stands for whatever follows, elsewhere for one segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// HTTP methods; none for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<String>>,
    /// Risk tags, of which the tool must have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
}

/// A policy as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// `default`.
    namespace: &'static str,
    /// What it says.
    #[schema(value_type = PolicySpecAnswer)]
    spec: PolicySpec,
    /// The rules again, where the first clients look for them.
    #[schema(value_type = Vec<RuleRequest>)]
    rules: Vec<Rule>,
    /// Whether it counts.
    status: PolicyStatus,
    /// The agents that it is bound to.
    used_by: Vec<PolicyUse>,
    /// Who wrote it.
    origin: PolicyOrigin,
    /// Why each rule is there, for a policy that a deploy wrote.
    #[schema(value_type = Vec<Object>)]
    evidence: Vec<RuleEvidence>,
    /// When it was made.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

/// What a policy says, as it is answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer")]
pub struct PolicySpecAnswer {
    policies: Vec<RuleRequest>,
    approvals: Vec<ApprovalRule>,
    /// True for a policy that decides nothing; absent otherwise.
    log_only: Option<bool>,
}

/// Whether a policy counts. What cannot be compiled is never kept, so it always does, if only by what it logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PolicyStatus {
    ready: bool,
    message: &'static str,
}

/// An agent that a policy is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PolicyUse {
    pub(super) name: String,
    pub(super) namespace: String,
}

impl Policy {
    /// With the agents that use it.
    pub fn new(stored: Stored<PolicyRecord>, uses: &Uses) -> Policy {
        let Stored { value: PolicyRecord { name, spec, origin, evidence }, created_at, updated_at, .. } = stored;
        let used_by = uses.of(&name);
        Policy {
            name,
            namespace: NAMESPACE,
            rules: spec.policies.clone(),
            spec,
            status: PolicyStatus { ready: true, message: "" },
            used_by,
            origin,
            evidence,
            created_at,
            updated_at,
        }
    }
}

impl PolicyRequest {
    /// What is to be kept, under the name that the path holds, if it holds one.
    pub fn read(self, path: Option<&str>) -> Result<PolicyRecord, ApiError> {
        let PolicyRequest { name, spec, rules } = self;
        let name = match (name.filter(|name| !name.is_empty()), path) {
            (Some(name), Some(path)) if name != path => {
                let text = format!("the body names the policy {name:?} and the path {path:?}; a policy keeps its name");
                return Err(ApiError::field(text, "/name"));
            }
            (_, Some(path)) => path.to_string(),
            (Some(name), None) => names::policy_name(&name, "/name")?,
            (None, None) => return Err(ApiError::field("policy name is required", "/name")),
        };
        let log_only = spec.as_ref().is_some_and(|spec| spec.log_only);
        let (rules, approvals, at) = match (spec, rules) {
            (Some(SpecRequest { policies: Some(rules), approvals, .. }), _) => (rules, approvals, "/spec/policies"),
            (Some(SpecRequest { rules: Some(rules), approvals, .. }), _) => (rules, approvals, "/spec/rules"),
            (spec, Some(rules)) => (rules, spec.and_then(|spec| spec.approvals), "/rules"),
            (Some(spec), None) => (Vec::new(), spec.approvals, "/spec/policies"),
            (None, None) => return Err(ApiError::field("policy spec is required", "/spec")),
        };
        let approvals = approvals.unwrap_or_default();
        let mut errors = Vec::new();
        let policies = check_rules(&name, rules, at, &mut errors);
        approvals.iter().enumerate().for_each(|(index, approval)| check_approval(index, approval, &mut errors));
        match errors.first() {
            None => {
                let spec = PolicySpec { policies, approvals, log_only };
                Ok(PolicyRecord { name, spec, origin: PolicyOrigin::Person, evidence: Vec::new() })
            }
            Some((text, _)) => Err(ApiError::Invalid {
                text: text.clone(),
                errors: errors.into_iter().map(|(_, error)| error).collect(),
            }),
        }
    }
}

/// A text of its own, and what is wrong where.
type Fault = (String, FieldError);

/// Rules that the engine takes; what it does not take is said in its words, rule by rule.
fn check_rules(policy: &str, rules: Vec<RuleRequest>, at: &str, errors: &mut Vec<Fault>) -> Vec<Rule> {
    let mut checked = Vec::new();
    for (index, rule) in rules.into_iter().enumerate() {
        match rule.check(policy) {
            Ok(rule) => checked.push(rule),
            Err((field, reason)) => {
                let text = format!("policy {policy:?}, rule {}: {reason}", index + 1);
                errors.push((text, FieldError::new(format!("{at}/{index}{field}"), reason)));
            }
        }
    }
    checked
}

impl RuleRequest {
    /// The rule, or the field that is wrong and why.
    fn check(self, policy: &str) -> Result<Rule, (String, String)> {
        let RuleRequest { permission, resource, operations, tags } = self;
        let permission = permission.unwrap_or_default();
        let plain: String = permission.chars().filter(char::is_ascii_alphanumeric).collect();
        let permission = match plain.to_ascii_lowercase().as_str() {
            "allow" => Permission::Allow,
            "deny" => Permission::Deny,
            "approvalrequired" => Permission::ApprovalRequired,
            _ => {
                let shown: String = permission.chars().take(40).collect();
                let text = format!("permission {shown:?} is none; write allow, deny or approval_required");
                return Err(("/permission".into(), text));
            }
        };
        let rule = Rule {
            permission,
            resource: resource.filter(|resource| !resource.is_empty()),
            operations: operations.unwrap_or_default(),
            tags: tags.unwrap_or_default(),
        };
        let alone = NamedRules { name: policy.into(), rules: vec![rule.clone()] };
        let Err(RuleError { reason, .. }) = Rules::new(&[alone]) else { return Ok(rule) };
        let field = match &reason {
            RuleFault::Resource(_) => "/resource".into(),
            RuleFault::Operation(odd) => {
                let index = rule.operations.iter().position(|own| own.starts_with(odd.as_str())).unwrap_or_default();
                format!("/operations/{index}")
            }
            RuleFault::Unlimited => String::new(),
        };
        Err((field, reason.to_string()))
    }
}

/// Rules that somebody else made, by the same door: their texts say which one cannot be.
pub fn checked(policy: &str, rules: Vec<RuleRequest>) -> Result<Vec<Rule>, String> {
    let mut errors = Vec::new();
    let rules = check_rules(policy, rules, "", &mut errors);
    match errors.into_iter().next() {
        None => Ok(rules),
        Some((text, _)) => Err(text),
    }
}

fn check_approval(index: usize, approval: &ApprovalRule, errors: &mut Vec<Fault>) {
    let mut refuse = |field: &str, text: String| {
        errors.push((text.clone(), FieldError::new(format!("/spec/approvals/{index}/{field}"), text)));
    };
    if !approval.resource.is_empty()
        && let Err(error) = Pattern::parse(&approval.resource)
    {
        refuse("resource", error.to_string());
    }
    if !approval.default_duration.is_empty() && duration(&approval.default_duration).is_none() {
        let shown: String = approval.default_duration.chars().take(40).collect();
        refuse("defaultDuration", format!("{shown:?} is no duration; write a count and a unit: 30m, 4h, 1d"));
    }
}
