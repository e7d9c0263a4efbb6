//! Recorded: what a changed policy would have changed, over the calls that agents made.

use std::collections::BTreeMap;

use analyzer_core::policy::Permission;
use ingestion_server::web::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use super::evaluate::{Judge, permission};
use super::simulate::reason;
use super::{PolicyRecord, Principal, bound_policies};
use crate::app::App;
use crate::auth::Identity;
use crate::runs::observed::{self, DAY};
use crate::tools::ToolRecord;

/// What a changed policy would have changed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RecordedSimulation {
    /// The policy.
    policy: String,
    /// Calls since then were looked at.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    since: i64,
    /// How many there were.
    calls: u64,
    /// Whether all of them were looked at.
    complete: bool,
    /// Those that would become something else.
    changes: Vec<Change>,
}

/// The same call, made once or more, that would become something else.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct Change {
    /// The agent.
    agent: String,
    /// Its method.
    method: String,
    /// Its address, without its query.
    url: String,
    /// The tool that it was for, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    /// How often it was made.
    calls: u64,
    /// When last.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    last_called_at: i64,
    /// What becomes of it as things are.
    #[schema(value_type = String)]
    before: Permission,
    /// What would become of it.
    #[schema(value_type = String)]
    after: Permission,
    /// Why that: one sentence.
    reason: String,
}

/// Over the recorded calls of the last days: of the agents that the policy of this name is bound to, or of the one that is
/// named, as if it were bound to that.
pub async fn simulate(
    app: &App,
    who: &Identity,
    changed: PolicyRecord,
    agent: Option<&str>,
    days: i64,
) -> Result<RecordedSimulation, ApiError> {
    let since = app.world().now().saturating_sub(days.saturating_mul(DAY)).max(0);
    let mut tx = app.store().read().await?;
    let (observed, complete) = observed::calls(&mut tx, &who.workspace, agent, since).await?;
    let tools: Vec<ToolRecord> =
        tx.list::<ToolRecord>(&who.workspace).await?.into_iter().map(|tool| tool.value).collect();
    let mut judges: BTreeMap<String, Option<(Judge, Judge)>> = BTreeMap::new();
    let (mut calls, mut changes) = (0, Vec::new());
    for one in observed {
        if !judges.contains_key(&one.agent) {
            let principal = Principal { agent: &one.agent, user: None, groups: &[] };
            let before = bound_policies(&mut tx, &who.workspace, &principal).await?;
            judges.insert(one.agent.clone(), both(&tools, before, &changed, agent.is_some())?);
        }
        let Some(Some((before, after))) = judges.get(&one.agent) else { continue };
        calls += one.calls;
        let (was, is) = (before.judge(&one.method, &one.url), after.judge(&one.method, &one.url));
        if was.outcome != is.outcome {
            changes.push(Change {
                before: permission(was.outcome),
                after: permission(is.outcome),
                reason: reason(after, is.tool, &is.because, false),
                agent: one.agent,
                method: one.method,
                url: one.url,
                tool: one.tool,
                calls: one.calls,
                last_called_at: one.last_at,
            });
        }
    }
    Ok(RecordedSimulation { policy: changed.name, since, calls, complete, changes })
}

/// An agent's judge as it is, and with the changed policy; none for an agent that the policy does not count for.
fn both(
    tools: &[ToolRecord],
    before: Vec<PolicyRecord>,
    changed: &PolicyRecord,
    is_named: bool,
) -> Result<Option<(Judge, Judge)>, ApiError> {
    let mut after = before.clone();
    match after.iter_mut().find(|policy| policy.name == changed.name) {
        Some(own) => *own = changed.clone(),
        None if is_named => after.push(changed.clone()),
        None => return Ok(None),
    }
    let judge = |policies: &[PolicyRecord]| {
        Judge::new(tools.to_vec(), policies).map_err(|error| ApiError::Internal(error.into()))
    };
    Ok(Some((judge(&before)?, judge(&after)?)))
}
