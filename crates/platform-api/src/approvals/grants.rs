//! Grants: is there an approval for this call?

use super::{ApprovalStatus, Scope};
use crate::store::{ApprovalRow, StoreError, Tx, Workspace};

/// A call that needs an approval.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    /// For whom.
    pub subject: &'a str,
    /// By which agent.
    pub agent: &'a str,
    /// Of which tool.
    pub tool: &'a str,
    /// In which run.
    pub run: Option<&'a str>,
    /// What is to be done with the tool.
    pub capability: Option<&'a str>,
    /// By which HTTP method.
    pub method: Option<&'a str>,
    /// To which address.
    pub url: Option<&'a str>,
    /// SHA-256 of what is to be sent.
    pub payload_hash: Option<&'a str>,
}

/// How a grant covers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// For as long as it holds.
    Standing,
    /// For this once; it is to be used up.
    Once,
}

/// Whether and how a grant covers a call at a time.
pub fn covers(grant: &ApprovalRow, call: &Call, now: i64) -> Option<Cover> {
    let holds = grant.status == ApprovalStatus::Approved && grant.expires_at.is_some_and(|end| end > now);
    if !holds || grant.used_at.is_some() || grant.tool_id != call.tool || !is_theirs(grant, call) {
        return None;
    }
    let same_run = grant.run_id.is_some() && grant.run_id.as_deref() == call.run;
    match Scope::named(grant.scope.as_deref()?)? {
        // What was shown to the person who agreed, to the letter.
        Scope::Once => {
            let same_payload = grant.payload_hash.is_none() || grant.payload_hash.as_deref() == call.payload_hash;
            let here = same_run || grant.run_id.is_none();
            (here && same_payload && is_alike(grant, call)).then_some(Cover::Once)
        }
        Scope::Run => (same_run && is_alike(grant, call)).then_some(Cover::Standing),
        Scope::AgentUserTtl => Some(Cover::Standing),
    }
}

/// The first grant that covers a call; those that stand before those that are used up.
pub fn find<'a>(grants: &'a [ApprovalRow], call: &Call, now: i64) -> Option<(&'a ApprovalRow, Cover)> {
    let covering = |wanted: Cover| {
        grants.iter().filter_map(|grant| Some((grant, covers(grant, call, now)?))).find(|(_, cover)| *cover == wanted)
    };
    covering(Cover::Standing).or_else(|| covering(Cover::Once))
}

/// The grant for a call, used up if it is good for one call only: of two callers only one gets it.
pub async fn take(
    tx: &mut Tx,
    workspace: Workspace<'_>,
    call: &Call<'_>,
    now: i64,
) -> Result<Option<ApprovalRow>, StoreError> {
    let mut grants = tx.grants(workspace, call.tool, now).await?;
    while let Some((grant, cover)) = find(&grants, call, now) {
        let grant = grant.clone();
        if cover == Cover::Standing || tx.use_grant(&grant.id, now).await? {
            return Ok(Some(grant));
        }
        grants.retain(|other| other.id != grant.id);
    }
    Ok(None)
}

/// The same user through the same agent. A request that names no agent was made by its subject itself.
fn is_theirs(grant: &ApprovalRow, call: &Call) -> bool {
    match &grant.agent_id {
        Some(agent) => agent == call.agent && grant.subject == call.subject,
        None => grant.subject == call.subject || grant.subject == call.agent,
    }
}

/// Whatever the request said of the call is so; the query is not compared.
fn is_alike(grant: &ApprovalRow, call: &Call) -> bool {
    let path = |url: &str| url.split(['?', '#']).next().unwrap_or_default().to_string();
    let same_method = match (&grant.tool_method, call.method) {
        (Some(granted), Some(method)) => granted.eq_ignore_ascii_case(method),
        (granted, _) => granted.is_none(),
    };
    let same_capability = grant.capability.is_none() || grant.capability.as_deref() == call.capability;
    same_method
        && same_capability
        && (grant.tool_url.is_none() || grant.tool_url.as_deref().map(path) == call.url.map(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000;

    fn grant(scope: Scope) -> ApprovalRow {
        ApprovalRow {
            id: format!("req-{}", scope.name()),
            workspace: "default".into(),
            subject: "alice".into(),
            agent_id: Some("payment-agent".into()),
            tool_id: "stripe-api".into(),
            run_id: Some("run-1".into()),
            action_id: Some("action-1".into()),
            capability: Some("create-charge".into()),
            payload_hash: Some("sha256:abc".into()),
            tool_method: Some("POST".into()),
            tool_url: Some("https://api.stripe.com/v1/charges?expand=1".into()),
            status: ApprovalStatus::Approved,
            duration: "4h".into(),
            scope: Some(scope.name().into()),
            approver_id: None,
            reason: None,
            pending_key: None,
            created_at: 0,
            updated_at: 0,
            expires_at: Some(NOW + 1),
            used_at: None,
            told: "[]".into(),
            deciders: "{}".into(),
        }
    }

    fn call() -> Call<'static> {
        Call {
            subject: "alice",
            agent: "payment-agent",
            tool: "stripe-api",
            run: Some("run-1"),
            capability: Some("create-charge"),
            method: Some("post"),
            url: Some("https://api.stripe.com/v1/charges"),
            payload_hash: Some("sha256:abc"),
        }
    }

    #[test]
    fn each_scope_covers_what_it_says_and_no_more() {
        let calls = [
            ("the same call", call()),
            ("another payload", Call { payload_hash: Some("sha256:def"), ..call() }),
            ("another address", Call { url: Some("https://api.stripe.com/v1/refunds"), ..call() }),
            ("another method", Call { method: Some("DELETE"), ..call() }),
            ("another run", Call { run: Some("run-2"), ..call() }),
            ("no run", Call { run: None, ..call() }),
            ("another user", Call { subject: "bob", ..call() }),
            ("another agent", Call { agent: "other-agent", ..call() }),
            ("another tool", Call { tool: "other-api", ..call() }),
        ];
        let covered = |scope| {
            let grant = grant(scope);
            let covered = calls.iter().filter(|(_, call)| covers(&grant, call, NOW).is_some());
            covered.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!(covered(Scope::Once), ["the same call"]);
        assert_eq!(covered(Scope::Run), ["the same call", "another payload"]);
        let all = ["the same call", "another payload", "another address", "another method", "another run", "no run"];
        assert_eq!(covered(Scope::AgentUserTtl), all);
    }

    #[test]
    fn a_grant_ends() {
        for scope in Scope::ALL {
            let grant = grant(scope);
            assert!(covers(&grant, &call(), NOW).is_some());
            assert!(covers(&grant, &call(), NOW + 1).is_none());
            let used = ApprovalRow { used_at: Some(NOW), ..grant.clone() };
            assert!(covers(&used, &call(), NOW).is_none());
            for status in ApprovalStatus::ALL.into_iter().filter(|status| *status != ApprovalStatus::Approved) {
                assert!(covers(&ApprovalRow { status, ..grant.clone() }, &call(), NOW).is_none());
            }
        }
    }

    #[test]
    fn what_stands_is_not_used_up_and_spares_what_would_be() {
        let grants = [grant(Scope::Once), grant(Scope::Run)];
        let (found, cover) = find(&grants, &call(), NOW).unwrap();
        assert_eq!((found.id.as_str(), cover), ("req-run", Cover::Standing));
        assert_eq!(find(&grants[..1], &call(), NOW).unwrap().1, Cover::Once);
    }

    #[test]
    fn a_request_without_an_agent_is_its_subjects_own() {
        let grant = ApprovalRow { agent_id: None, subject: "payment-agent".into(), ..grant(Scope::AgentUserTtl) };
        assert!(covers(&grant, &call(), NOW).is_some());
        assert!(covers(&grant, &Call { agent: "other-agent", ..call() }, NOW).is_none());
    }
}
