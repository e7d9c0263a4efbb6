//! Callbacks: decisions that come from connectors. Nobody shows a key here; whoever signs with the connector's secret may
//! decide on what this connector was told of.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use ingestion_server::web::body::json;
use ingestion_server::web::{ApiError, Received};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deliver::about;
use super::signature::Scheme;
use super::wire::header;
use super::{Activity, ConnectorRecord, ConnectorType, find, note};
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::approvals::{self, AccessRequest, Deciders, Decision, Rejection};
use crate::auth::Identity;
use crate::store::Resource;

/// What a connector decided: a webhook in these words, Slack by a button.
#[derive(Debug, Clone, Deserialize, ToSchema)]
struct CallbackDecision {
    /// On which request.
    request_id: String,
    /// What.
    decision: Verdict,
    /// Who.
    #[serde(default)]
    approver_id: Option<String>,
    /// Of which groups.
    #[serde(default)]
    approver_groups: Vec<String>,
    /// What an approval is good for.
    #[serde(default)]
    scope: Option<String>,
    /// For how long.
    #[serde(default)]
    duration: Option<String>,
    /// Why.
    #[serde(default)]
    reason: Option<String>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// It may be done.
    #[serde(alias = "approve", alias = "APPROVED")]
    Approved,
    /// It may not.
    #[serde(alias = "reject", alias = "REJECTED")]
    Rejected,
}

/// What Slack sends when somebody presses a button.
#[derive(Debug, Deserialize)]
struct Interaction {
    user: SlackUser,
    actions: Vec<SlackAction>,
}

#[derive(Debug, Deserialize)]
struct SlackUser {
    id: String,
}

#[derive(Debug, Deserialize)]
struct SlackAction {
    action_id: Verdict,
    value: String,
}

/// The operation, at the root.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(decide))
}

/// A connector decides, and signs that it was it: `X-RunAgents-Signature` and `X-RunAgents-Timestamp`, or Slack's own.
#[utoipa::path(post, path = "/callbacks/approvals/{id}", tag = "approval connectors", params(("id" = String, Path)),
    request_body = CallbackDecision, security(()),
    responses((status = 200, body = AccessRequest), (status = 400, body = Refusal), (status = 403, body = Refusal),
        (status = 404, body = Refusal), (status = 409, body = Refusal)))]
async fn decide(
    State(app): State<App>,
    Named(id): Named,
    headers: HeaderMap,
    body: Received,
) -> Result<Json<AccessRequest>, ApiError> {
    // Which connectors there are is nobody's business who cannot sign.
    let stranger = || ApiError::Forbidden("the signature is missing, too old or wrong".into());
    let mut tx = app.store().read().await?;
    let workspace = tx.workspace_of(ConnectorRecord::KIND, &id).await?.ok_or_else(stranger)?;
    let (connector, secrets) = find(&mut tx, &workspace, &id).await?.ok_or_else(stranger)?;
    drop(tx);
    let (scheme, secret) = match connector.kind {
        ConnectorType::Slack => (Scheme::Slack, secrets.header(header::SLACK_SIGNING_SECRET)),
        _ => (Scheme::Ours, secrets.header(header::SIGNING_SECRET)),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (seconds, signature) = scheme.headers();
    let (seconds, signature, now) = (header(seconds), header(signature), app.world().now());
    let signed = |secret: &str| scheme.verify(secret, seconds, signature, &body.bytes, now);
    if !connector.enabled || !secret.is_some_and(signed) {
        return Err(stranger());
    }

    let decision = match scheme {
        Scheme::Ours => json(&body.bytes)?,
        Scheme::Slack => pressed(&body.bytes)?,
    };
    approvals::expire_due(&app).await?;
    let mut tx = app.store().begin().await?;
    let request = approvals::find(&mut tx, &workspace, &decision.request_id).await?;
    let told: Vec<String> = serde_json::from_str(&request.told).unwrap_or_default();
    if !told.contains(&id) {
        return Err(approvals::unknown());
    }
    let approver = decision.approver_id.filter(|text| !text.is_empty()).unwrap_or_else(|| connector.name.clone());
    let who = Identity {
        key: format!("{id}/{approver}"),
        name: format!("{id}/{approver}"),
        user: Some(approver.clone()),
        groups: decision.approver_groups.into_iter().chain(connector.group_members.groups_of(&approver)).collect(),
        ..Identity::platform(&workspace)
    };
    let who = Deciders::read(&request).vouch(who);
    let verdict = decision.decision;
    let decided = match verdict {
        Verdict::Approved => {
            let granted = Decision { scope: decision.scope, duration: decision.duration, reason: decision.reason };
            approvals::approve(&app, &mut tx, &who, request, granted).await?
        }
        Verdict::Rejected => {
            approvals::reject(&app, &mut tx, &who, request, Rejection { reason: decision.reason }).await?
        }
    };
    let decision = match verdict {
        Verdict::Approved => "approved",
        Verdict::Rejected => "rejected",
    };
    let activity = Activity {
        event: "decision_received".into(),
        decision: Some(decision.into()),
        approver_id: Some(approver),
        status_code: 200,
        message: format!("the request was {decision}"),
        ..about(&decided, &id, &connector.name)
    };
    note(&app, &mut tx, &workspace, activity).await?;
    tx.commit().await?;
    Ok(Json(decided.into()))
}

/// The button that somebody pressed in Slack, from the form that Slack sends.
fn pressed(body: &[u8]) -> Result<CallbackDecision, ApiError> {
    let refuse = || ApiError::BadRequest("this is not a press of one of our buttons".into());
    let payload = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload").ok_or_else(refuse)?.1;
    let Interaction { user, actions } = serde_json::from_str(&payload).map_err(|_| refuse())?;
    let action = actions.into_iter().next().ok_or_else(refuse)?;
    Ok(CallbackDecision {
        request_id: action.value,
        decision: action.action_id,
        approver_id: Some(format!("slack:{}", user.id)),
        approver_groups: Vec::new(),
        scope: None,
        duration: None,
        reason: None,
    })
}
