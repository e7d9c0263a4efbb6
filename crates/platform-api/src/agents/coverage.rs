//! Coverage: what an agent may do, against what it did: permissions that nothing used, and calls that none covers.

use analyzer_core::policy::{Permission, Rule, RuleRef};
use axum::Json;
use axum::extract::State;
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::find;
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::params::{Params, number};
use crate::policies::evaluate::{Because, Judge};
use crate::policies::{Principal, RuleRequest, bound_policies};
use crate::runs::observed::{self, DAY, Observed};
use crate::tools::ToolRecord;

/// Days of whoever does not say how many.
const DAYS: i64 = 30;

/// Of which time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// The last so many days; 30 when absent.
    #[param(value_type = Option<u64>)]
    days: Option<String>,
}

/// What an agent may do, against what it did.
#[derive(Debug, Serialize, ToSchema)]
struct Coverage {
    /// The agent.
    agent: String,
    /// Calls since then are counted.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    since: i64,
    /// How many there were.
    calls: u64,
    /// Whether all of them were looked at.
    complete: bool,
    /// Each rule that lets the agent do something, and how often it decided.
    permissions: Vec<Used>,
    /// Those that decided nothing, as lines of a lock that would go.
    unused: Vec<String>,
    /// Calls that no rule lets through.
    undeclared: Vec<Undeclared>,
}

/// A rule that lets the agent do something.
#[derive(Debug, Serialize, ToSchema)]
struct Used {
    /// Its policy.
    policy: String,
    /// Its place in the policy, from 0.
    index: usize,
    /// What it says.
    #[schema(value_type = RuleRequest)]
    rule: Rule,
    /// How many calls it decided.
    calls: u64,
    /// When the last of them was made.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_called_at: Option<i64>,
}

/// A call that no rule lets through.
#[derive(Debug, Serialize, ToSchema)]
struct Undeclared {
    /// Its method.
    method: String,
    /// Its address, without its query.
    url: String,
    /// The tool that it was for, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    /// How often it was tried.
    attempts: u64,
    /// When last.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    last_called_at: i64,
    /// The line that a lock would gain.
    line: String,
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(coverage))
}

/// What an agent may do, against what its runs did: which permissions nothing used, and which calls none covers. Calls are
/// judged by the policies of now.
#[utoipa::path(get, path = "/agents/{name}/coverage", tag = "agents", params(("name" = String, Path), Wanted),
    responses((status = 200, body = Coverage), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn coverage(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(name): Named,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Coverage>, ApiError> {
    let days = number(wanted.days.as_deref(), "days", 1, DAYS)?;
    let since = app.world().now().saturating_sub(days.saturating_mul(DAY)).max(0);
    let mut tx = app.store().read().await?;
    find(&mut tx, &caller, None, &name).await?;
    let tools = tx.list::<ToolRecord>(&caller.workspace).await?.into_iter().map(|tool| tool.value).collect();
    let mut policies =
        bound_policies(&mut tx, &caller.workspace, &Principal { agent: &name, user: None, groups: &[] }).await?;
    policies.retain(|policy| !policy.spec.log_only);
    let (observed, complete) = observed::calls(&mut tx, &caller.workspace, Some(&name), since).await?;
    drop(tx);
    let judge = Judge::new(tools, &policies).map_err(|error| ApiError::Internal(error.into()))?;
    let mut permissions = Vec::new();
    for (at, policy) in policies.iter().enumerate() {
        for (index, rule) in policy.spec.policies.iter().enumerate() {
            if rule.permission != Permission::Deny {
                let used =
                    Used { policy: policy.name.clone(), index, rule: rule.clone(), calls: 0, last_called_at: None };
                permissions.push((RuleRef { policy: at, rule: index }, used));
            }
        }
    }
    let mut undeclared = Vec::new();
    for Observed { method, url, calls, last_at, .. } in &observed {
        let judgement = judge.judge(method, url);
        match judgement.because {
            Because::Rule(at) => {
                if let Some((_, used)) = permissions.iter_mut().find(|(own, _)| *own == at) {
                    used.calls += calls;
                    used.last_called_at = used.last_called_at.max(Some(*last_at));
                }
            }
            _ => undeclared.push(Undeclared {
                method: method.clone(),
                url: url.clone(),
                tool: judgement.tool.map(|tool| tool.name.clone()),
                attempts: *calls,
                last_called_at: *last_at,
                line: line('+', method, url),
            }),
        }
    }
    let permissions: Vec<Used> = permissions.into_iter().map(|(_, used)| used).collect();
    let unused = permissions.iter().filter(|used| used.calls == 0).flat_map(|used| lines(&used.rule)).collect();
    let calls = observed.iter().map(|one| one.calls).sum();
    Ok(Json(Coverage { agent: name, since, calls, complete, permissions, unused, undeclared }))
}

/// A rule as the lines of a lock that it is.
fn lines(rule: &Rule) -> Vec<String> {
    let address = rule.resource.as_deref().unwrap_or("*");
    match rule.operations.is_empty() {
        true => vec![line('-', "*", address)],
        false => rule.operations.iter().map(|method| line('-', method, address)).collect(),
    }
}

/// `+ POST api.stripe.com/v1/refunds`.
fn line(sign: char, method: &str, url: &str) -> String {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    format!("{sign} {method} {address}")
}
