//! Plans: several changes of a workspace, checked together and carried out in order, each once.

mod action;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{Caller, Identity, Read, Write};
use crate::store::Resource;
use action::{Action, Done};

/// Changes of one plan.
const MOST: usize = 100;

/// The longest key of a change.
const LONGEST_KEY: usize = 255;

/// Several changes, in order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Given back as it is.
    #[serde(default)]
    plan_id: Option<String>,
    /// Go on after a change that failed.
    #[serde(default)]
    continue_on_error: bool,
    /// The changes.
    #[serde(default)]
    #[schema(required)]
    actions: Vec<ActionRequest>,
}

/// One change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// By what the answer names it; `action-1`, `action-2` when absent.
    #[serde(default)]
    id: Option<String>,
    /// `tool.upsert`, `model_provider.upsert`, `policy.upsert`, `deploy_draft.create_or_patch`, `deploy.execute` or
    /// `starter_kit.seed`.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// Whatever has this key is done once, however often it is sent.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// What the path of that resource takes.
    #[serde(default)]
    #[schema(value_type = Value)]
    params: Option<Value>,
}

/// Whether a plan can be carried out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Validation {
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_id: Option<String>,
    /// The workspace.
    namespace: String,
    /// Every change can be.
    valid: bool,
    /// In the plan's order.
    results: Vec<ValidationResult>,
}

/// Whether a change can be carried out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ValidationResult {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    idempotency_key: String,
    valid: bool,
    /// What is wrong.
    errors: Vec<String>,
    /// What should be known.
    warnings: Vec<String>,
    /// What would be changed: `/tools/stripe-api`.
    resource_ref: String,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Application {
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_id: Option<String>,
    /// The workspace.
    namespace: String,
    /// Nothing failed.
    applied: bool,
    applied_count: usize,
    failed_count: usize,
    /// In the plan's order.
    results: Vec<ApplicationResult>,
    /// The first thing that is wrong with a plan of which nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How a plan is refused: in the shape of its answer, or as any other request.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ApplicationRefusal {
    /// A change of it is invalid.
    #[schema(title = "invalid plan")]
    Plan(Application),
    /// It is no plan.
    #[schema(title = "no plan")]
    Request(crate::answer::Refusal),
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ApplicationResult {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    idempotency_key: String,
    status: ActionResultStatus,
    /// What was changed: `/tools/stripe-api`.
    resource_ref: String,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionResultStatus {
    /// It was done.
    Applied,
    /// It was tried.
    Failed,
    /// It was done before, or something before it failed.
    Skipped,
    /// It cannot be done as it is written.
    Invalid,
}

/// A change that was done, by its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Applied {
    key: String,
    kind: String,
    resource_ref: String,
}

impl Resource for Applied {
    const KIND: &'static str = "applied_action";

    fn key(&self) -> &str {
        &self.key
    }
}

/// A change that was read.
struct Step {
    id: String,
    kind: String,
    key: String,
    resource_ref: String,
    action: Result<Action, Vec<String>>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(validate)).routes(routes!(apply))
}

/// Says whether a plan can be carried out. Nothing is changed.
#[utoipa::path(post, path = "/actions/validate", tag = "plans", request_body = PlanRequest,
    responses((status = 200, body = Validation), (status = 400, body = crate::answer::Refusal)))]
async fn validate(
    State(app): State<App>,
    caller: Caller<Read>,
    Body { value, .. }: Body<PlanRequest>,
) -> Result<Json<Validation>, ApiError> {
    let (plan_id, steps) = (value.plan_id.clone(), read(value, &caller)?);
    let mut results = Vec::new();
    let mut tx = app.store().read().await?;
    for step in steps {
        let done = tx.get::<Applied>(&caller.workspace, &step.key).await?;
        let again = done.map(|_| "an action with this idempotency_key was applied before and is skipped".to_string());
        let errors = step.action.err().unwrap_or_default();
        results.push(ValidationResult {
            id: step.id,
            kind: step.kind,
            idempotency_key: step.key,
            valid: errors.is_empty(),
            errors,
            warnings: again.into_iter().collect(),
            resource_ref: step.resource_ref,
        });
    }
    let valid = results.iter().all(|result| result.valid);
    Ok(Json(Validation { plan_id, namespace: caller.workspace.clone(), valid, results }))
}

/// Carries a plan out, in order, up to the first change that fails. A plan with anything invalid in it changes nothing
/// and is answered in the same shape.
#[utoipa::path(post, path = "/actions/apply", tag = "plans", request_body = PlanRequest,
    responses((status = 200, body = Application), (status = 400, body = ApplicationRefusal)))]
async fn apply(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<PlanRequest>,
) -> Result<(StatusCode, Json<Application>), ApiError> {
    let (plan_id, goes_on) = (value.plan_id.clone(), value.continue_on_error);
    let steps = read(value, &caller)?;
    let invalid = steps.iter().find_map(|step| step.action.as_ref().err()).map(|errors| errors.join("; "));
    let mut results = Vec::new();
    let mut stopped = false;
    for step in steps {
        let mut result = ApplicationResult {
            id: step.id,
            kind: step.kind,
            idempotency_key: step.key,
            status: ActionResultStatus::Skipped,
            resource_ref: step.resource_ref,
            error: None,
            output: None,
        };
        match step.action {
            Err(errors) => (result.status, result.error) = (ActionResultStatus::Invalid, Some(errors.join("; "))),
            Ok(action) if invalid.is_none() && !stopped => {
                carry_out(&app, &caller, action, &mut result).await;
                stopped = result.status == ActionResultStatus::Failed && !goes_on;
            }
            Ok(_) => {}
        }
        results.push(result);
    }
    let count = |status| results.iter().filter(|result| result.status == status).count();
    let (applied_count, failed_count) = (count(ActionResultStatus::Applied), count(ActionResultStatus::Failed));
    let status = if invalid.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let application = Application {
        plan_id,
        namespace: caller.workspace.clone(),
        applied: invalid.is_none() && failed_count == 0,
        applied_count,
        failed_count,
        results,
        error: invalid,
    };
    Ok((status, Json(application)))
}

/// One change, unless its key says that it was done.
async fn carry_out(app: &App, who: &Identity, action: Action, result: &mut ApplicationResult) {
    let applied = Applied {
        key: result.idempotency_key.clone(),
        kind: result.kind.clone(),
        resource_ref: result.resource_ref.clone(),
    };
    match once(app, who, action, applied).await {
        Ok(None) => {}
        Ok(Some(done)) => {
            result.status = ActionResultStatus::Applied;
            result.resource_ref = done.resource_ref;
            result.output = Some(done.output);
        }
        Err(error) => {
            if let ApiError::Internal(cause) = &error {
                warn!(%cause, action = result.kind, "an action of a plan failed");
            }
            (result.status, result.error) = (ActionResultStatus::Failed, Some(error.to_string()));
        }
    }
}

async fn once(app: &App, who: &Identity, action: Action, mut applied: Applied) -> Result<Option<Done>, ApiError> {
    let mut tx = app.store().begin().await?;
    if let Some(before) = tx.get::<Applied>(&who.workspace, &applied.key).await? {
        return match before.value.kind == applied.kind {
            true => Ok(None),
            false => {
                let text = format!("this idempotency_key was used for {:?}; send a new one", before.value.kind);
                Err(ApiError::Conflict(text))
            }
        };
    }
    let now = app.world().now();
    if action.brings_its_own_transaction() {
        // Doing it twice is doing it once; so the key is written down when it is done.
        drop(tx);
        let done = action.carry_out_alone(app, who).await?;
        applied.resource_ref = done.resource_ref.clone();
        let mut tx = app.store().begin().await?;
        tx.put(&who.workspace, &applied, now).await?;
        tx.commit().await?;
        return Ok(Some(done));
    }
    // The key first: of two at one time the other waits here, and is told that it is done.
    if tx.create(&who.workspace, &applied, now).await?.is_none() {
        return Ok(None);
    }
    let done = action.carry_out(app, &mut tx, who).await?;
    tx.commit().await?;
    Ok(Some(done))
}

/// The changes of a plan, each with what is wrong with it.
fn read(request: PlanRequest, who: &Identity) -> Result<Vec<Step>, ApiError> {
    match request.actions.len() {
        0 => return Err(ApiError::field("actions must hold at least one action", "/actions")),
        count if count > MOST => {
            return Err(ApiError::field(format!("actions must hold at most {MOST} actions"), "/actions"));
        }
        _ => {}
    }
    let mut steps: Vec<Step> = Vec::new();
    for (index, ActionRequest { id, kind, idempotency_key, params }) in request.actions.into_iter().enumerate() {
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("action-{}", index + 1));
        let (kind, key) = (kind.unwrap_or_default(), idempotency_key.unwrap_or_default());
        let params = params.unwrap_or_default();
        let mut errors = Vec::new();
        if key.trim().is_empty() {
            errors.push("idempotency_key is required".to_string());
        } else if key.len() > LONGEST_KEY {
            errors.push(format!("idempotency_key is longer than {LONGEST_KEY} bytes"));
        } else if steps.iter().any(|step| step.key == key) {
            errors.push("idempotency_key stands for another action of this plan".to_string());
        }
        if steps.iter().any(|step| step.id == id) {
            errors.push(format!("id {id:?} stands for another action of this plan"));
        }
        let resource_ref = action::resource_ref(&kind, &params);
        let action = match (Action::read(&kind, params, who), errors.is_empty()) {
            (Ok(action), true) => Ok(action),
            (Ok(_), false) => Err(errors),
            (Err(more), _) => Err([errors, more].concat()),
        };
        steps.push(Step { id, kind, key, resource_ref, action });
    }
    Ok(steps)
}
