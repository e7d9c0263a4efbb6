//! Routing: which rule of a policy says who is asked about a call, and for how long an approval holds.

use analyzer_core::policy::{Pattern, Target};

use super::CreateAccessRequest;
use crate::policies::{ApprovalRule, Binding, PolicyRecord, Principal, groups_of};
use crate::store::{StoreError, Tx, Workspace};
use crate::tools::ToolRecord;

/// What is known of a call when somebody is to be asked about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    tool: &'a str,
    capability: Option<&'a str>,
    method: Option<&'a str>,
    url: Option<&'a str>,
    /// Of the tool.
    tags: &'a [String],
}

/// Whether a rule is about a call: each thing that it names must be so. Of an action nobody knows method and address; then a
/// rule that names those may be about it, and is taken to be: else nobody in particular would have to be asked.
pub fn is_about(rule: &ApprovalRule, question: &Question) -> bool {
    let named = |names: &[String], name: Option<&str>| {
        names.is_empty() || name.is_some_and(|name| names.iter().any(|one| one.eq_ignore_ascii_case(name)))
    };
    let reached = || {
        let (pattern, target) = (Pattern::parse(&rule.resource).ok()?, Target::parse(question.url?).ok()?);
        Some(pattern.covers(&target).any)
    };
    let is_unknown = question.method.is_none() && question.url.is_none();
    named(&rule.tool_ids, Some(question.tool))
        && named(&rule.capabilities, question.capability)
        && (is_unknown || named(&rule.operations, question.method))
        && (is_unknown || rule.resource.is_empty() || reached().unwrap_or(false))
        && (rule.tags.is_empty() || rule.tags.iter().any(|tag| question.tags.contains(tag)))
}

/// The first rule that is about a request, of the policies that count for its agent, for whom that acts or for a group of
/// theirs, in the order of their names; and the tool.
pub async fn route(
    tx: &mut Tx,
    workspace: Workspace<'_>,
    agent: Option<&str>,
    request: &CreateAccessRequest,
    now: i64,
) -> Result<(Option<ApprovalRule>, Option<ToolRecord>), StoreError> {
    let name = request.tool_id.as_deref().unwrap_or_default();
    let tool = tx.get::<ToolRecord>(workspace, name).await?.map(|stored| stored.value);
    let question = Question {
        tool: name,
        capability: request.capability.as_deref(),
        method: request.tool_method.as_deref(),
        url: request.tool_url.as_deref(),
        tags: tool.as_ref().map_or(&[], |tool| &tool.spec.risk_tags),
    };
    let user = request.subject.as_deref();
    let groups = groups_of(tx, workspace, user, now).await?;
    let principal = Principal { agent: agent.unwrap_or_default(), user, groups: &groups };
    let bindings = tx.list::<Binding>(workspace).await?;
    let mut bound: Vec<_> =
        bindings.into_iter().map(|stored| stored.value).filter(|binding| binding.subject.is(&principal)).collect();
    bound.sort_by(|a, b| a.policy.cmp(&b.policy));
    for binding in bound {
        let Some(policy) = tx.get::<PolicyRecord>(workspace, &binding.policy).await? else { continue };
        // One on trial decides nothing, not even who decides.
        if policy.value.spec.log_only {
            continue;
        }
        if let Some(rule) = policy.value.spec.approvals.into_iter().find(|rule| is_about(rule, &question)) {
            return Ok((Some(rule), tool));
        }
    }
    Ok((None, tool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_about_what_it_names_and_else_about_everything() {
        let tags = ["financial".to_string()];
        let question = Question {
            tool: "stripe-api",
            capability: Some("create-charge"),
            method: Some("POST"),
            url: Some("https://api.stripe.com/v1/charges?x=1"),
            tags: &tags,
        };
        let list = |text: &str| vec![text.to_string()];
        let rule = ApprovalRule::default;
        assert!(is_about(&rule(), &question));
        for (yes, no) in [
            (
                ApprovalRule { tool_ids: list("stripe-api"), ..rule() },
                ApprovalRule { tool_ids: list("jira"), ..rule() },
            ),
            (
                ApprovalRule { operations: list("post"), ..rule() },
                ApprovalRule { operations: list("DELETE"), ..rule() },
            ),
            (
                ApprovalRule { capabilities: list("create-charge"), ..rule() },
                ApprovalRule { capabilities: list("refund"), ..rule() },
            ),
            (
                ApprovalRule { resource: "https://api.stripe.com/v1/charges*".into(), ..rule() },
                ApprovalRule { resource: "https://api.stripe.com/v1/refunds*".into(), ..rule() },
            ),
            (ApprovalRule { tags: list("financial"), ..rule() }, ApprovalRule { tags: list("pii"), ..rule() }),
        ] {
            assert!(is_about(&yes, &question), "{yes:?}");
            assert!(!is_about(&no, &question), "{no:?}");
        }
        let unknown = Question { url: None, method: None, ..question };
        let refunds = ApprovalRule { resource: "https://api.stripe.com/v1/refunds*".into(), ..rule() };
        assert!(is_about(&ApprovalRule { operations: list("post"), ..rule() }, &unknown));
        assert!(is_about(&refunds, &unknown) && !is_about(&refunds, &Question { url: None, ..question }));
        assert!(!is_about(&ApprovalRule { tool_ids: list("jira"), ..rule() }, &unknown));
    }
}
