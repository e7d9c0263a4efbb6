//! Drafts: deploys that somebody is still thinking about, each with a version, so that two people do not overwrite one
//! another; and artifacts, source that was submitted before.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::wire::{DeployRequest, LlmConfig};
use crate::agents::SOURCE;
use crate::answer::{Deleted, Named, Refusal};
use crate::app::{App, json};
use crate::auth::{Caller, Deploy, Identity, Read};
use crate::params::Params;
use crate::store::{Resource, Stored, Tx};

/// A draft as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftRecord {
    /// `draft-…`, or what its maker calls it.
    pub id: String,
    /// Whose it is: the id of a key.
    pub user_id: String,
    /// How far it is.
    pub status: DraftStatus,
    /// What it says.
    pub fields: DraftFields,
}

impl Resource for DraftRecord {
    const KIND: &'static str = "draft";

    fn key(&self) -> &str {
        &self.id
    }
}

/// How far a draft is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DraftStatus {
    /// Somebody is at it.
    #[default]
    InProgress,
    /// It was deployed.
    Completed,
    /// It never will be.
    Abandoned,
}

/// What a draft says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DraftFields {
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    policies: Vec<String>,
    required_tool_names: Vec<String>,
    recommended_tool_names: Vec<String>,
    tool_mappings: BTreeMap<String, String>,
    tool_states: BTreeMap<String, String>,
    model_mappings: BTreeMap<String, ModelMapping>,
    agent_config: DraftAgent,
}

/// The model for a role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct ModelMapping {
    provider: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_budget_usd: Option<f64>,
}

/// The agent that a draft is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct DraftAgent {
    agent_name: String,
    system_prompt: String,
    use_custom_image: bool,
    custom_image: String,
    access_mode: DraftAccess,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_provider: Option<String>,
}

/// Who may ask an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DraftAccess {
    /// Whoever has a key.
    #[default]
    Open,
    /// Users of an identity provider.
    Authenticated,
}

/// How a change of a draft, or a new one, is described: it is read key by key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `create` and `patch` read")]
pub struct DraftChange {
    /// Of a new draft; else it gets one.
    id: Option<String>,
    /// Change it only if it is at this version.
    expected_version: Option<i64>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: DraftFields,
}

/// A draft as it is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Draft {
    id: String,
    namespace: &'static str,
    user_id: String,
    status: DraftStatus,
    /// One more with each change.
    version: i64,
    #[serde(flatten)]
    fields: DraftFields,
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

impl From<Stored<DraftRecord>> for Draft {
    fn from(stored: Stored<DraftRecord>) -> Draft {
        let Stored { value: DraftRecord { id, user_id, status, fields }, version, created_at, updated_at } = stored;
        Draft { id, namespace: "agent-system", user_id, status, version, fields, created_at, updated_at }
    }
}

/// Which drafts are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Which {
    /// `IN_PROGRESS` when nothing is said.
    status: Option<DraftStatus>,
    /// `0`: those of others too.
    mine: Option<u8>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
        .routes(routes!(complete))
        .routes(routes!(abandon))
        .routes(routes!(submit))
}

/// Drafts, oldest first: one's own in progress unless something else is said.
#[utoipa::path(get, path = "/deploy-drafts", tag = "drafts", params(Which),
    responses((status = 200, body = Vec<Draft>), (status = 400, body = Refusal)))]
async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Params(which): Params<Which>,
) -> Result<Json<Vec<Draft>>, ApiError> {
    let status = which.status.unwrap_or_default();
    let mut tx = app.store().read().await?;
    let drafts = tx.list::<DraftRecord>(&caller.workspace).await?.into_iter();
    let wanted = |draft: &Stored<DraftRecord>| {
        draft.value.status == status && (which.mine == Some(0) || draft.value.user_id == caller.key)
    };
    Ok(Json(drafts.filter(wanted).map(Draft::from).collect()))
}

/// Begins a draft. Its id may be given; else it gets one.
#[utoipa::path(post, path = "/deploy-drafts", tag = "drafts", request_body = DraftChange,
    responses((status = 201, body = Draft), (status = 400, body = Refusal), (status = 409, body = Refusal)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Body { value, .. }: Body<Map<String, Value>>,
) -> Result<(StatusCode, Json<Draft>), ApiError> {
    let id = match value.get("id").filter(|id| !id.is_null()) {
        Some(Value::String(id)) if is_id(id) => id.clone(),
        Some(_) => return Err(ApiError::field("an id is 1 to 128 letters, digits, hyphens and underscores", "/id")),
        None => app.world().id("draft"),
    };
    let fields = merged(DraftFields::default(), &value)?;
    let record = DraftRecord { id, user_id: caller.key.clone(), status: DraftStatus::InProgress, fields };
    let mut tx = app.store().begin().await?;
    let made = tx.create(&caller.workspace, &record, app.world().now()).await?;
    let made = made.ok_or_else(|| ApiError::Conflict(format!("there is a draft {:?} already", record.id)))?;
    app.note(&mut tx, &caller, "draft.create", format!("deploy-drafts/{}", record.id), None, Some(json(&record)))
        .await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// One draft.
#[utoipa::path(get, path = "/deploy-drafts/{id}", tag = "drafts", params(("id" = String, Path)),
    responses((status = 200, body = Draft), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<Draft>, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(Json(own(&mut tx, &caller, &id).await?.into()))
}

/// Changes what is said; the rest stays. With `expected_version`, only if nobody changed it since.
#[utoipa::path(patch, path = "/deploy-drafts/{id}", tag = "drafts", params(("id" = String, Path)),
    request_body = DraftChange,
    responses((status = 200, body = Draft), (status = 400, body = Refusal), (status = 404, body = Refusal),
        (status = 409, body = Refusal)))]
async fn patch(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Named(id): Named,
    Body { value, .. }: Body<Map<String, Value>>,
) -> Result<Json<Draft>, ApiError> {
    let expected = match value.get("expected_version") {
        None | Some(Value::Null) => None,
        Some(version) => Some(
            version
                .as_i64()
                .ok_or_else(|| ApiError::field("expected_version must be a whole number", "/expected_version"))?,
        ),
    };
    let mut tx = app.store().begin().await?;
    let before = own(&mut tx, &caller, &id).await?;
    in_progress(&before.value)?;
    let version = expected.unwrap_or(before.version);
    let record = DraftRecord { fields: merged(before.value.fields.clone(), &value)?, ..before.value.clone() };
    let stored = tx.update(&caller.workspace, &record, version, app.world().now()).await?;
    let stored = stored.ok_or_else(|| {
        let is = before.version;
        ApiError::Conflict(format!("the draft is at version {is}, not {version}; read it again and repeat the change"))
    })?;
    let (was, is) = (Some(json(&before.value)), Some(json(&record)));
    app.note(&mut tx, &caller, "draft.patch", format!("deploy-drafts/{id}"), was, is).await?;
    tx.commit().await?;
    Ok(Json(stored.into()))
}

/// Takes a draft away.
#[utoipa::path(delete, path = "/deploy-drafts/{id}", tag = "drafts", params(("id" = String, Path)),
    responses((status = 200, body = Deleted), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
async fn delete(State(app): State<App>, caller: Caller<Deploy>, Named(id): Named) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = own(&mut tx, &caller, &id).await?;
    tx.delete::<DraftRecord>(&caller.workspace, &id).await?;
    let was = Some(json(&before.value));
    app.note(&mut tx, &caller, "draft.delete", format!("deploy-drafts/{id}"), was, None).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// Says that a draft was deployed.
#[utoipa::path(post, path = "/deploy-drafts/{id}/complete", tag = "drafts", params(("id" = String, Path)),
    responses((status = 200, body = Draft), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
async fn complete(State(app): State<App>, caller: Caller<Deploy>, Named(id): Named) -> Result<Json<Draft>, ApiError> {
    end(&app, &caller, &id, DraftStatus::Completed).await
}

/// Says that a draft never will be deployed.
#[utoipa::path(post, path = "/deploy-drafts/{id}/abandon", tag = "drafts", params(("id" = String, Path)),
    responses((status = 200, body = Draft), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
async fn abandon(State(app): State<App>, caller: Caller<Deploy>, Named(id): Named) -> Result<Json<Draft>, ApiError> {
    end(&app, &caller, &id, DraftStatus::Abandoned).await
}

/// Source to be deployed later.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ArtifactRequest {
    /// `code`.
    source_type: Option<String>,
    /// File names and source texts.
    #[schema(required)]
    source_files: Option<BTreeMap<String, String>>,
}

/// Under what the source is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct Artifact {
    /// `art_…`.
    id: String,
    source_type: String,
    /// Paths of its files.
    files: Vec<String>,
}

/// Submits source to be deployed later, by its id.
#[utoipa::path(post, path = "/workflow-artifacts", tag = "drafts", request_body = ArtifactRequest,
    responses((status = 201, body = Artifact), (status = 400, body = Refusal)))]
async fn submit(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Body { value, .. }: Body<ArtifactRequest>,
) -> Result<(StatusCode, Json<Artifact>), ApiError> {
    let files = value.source_files.filter(|files| !files.is_empty());
    let files = files.ok_or_else(|| ApiError::field("source_files is required", "/source_files"))?;
    let id = app.world().id("art").replacen('-', "_", 1);
    let mut tx = app.store().begin().await?;
    tx.seal(&caller.workspace, SOURCE, &id, &files).await?;
    app.note(&mut tx, &caller, "artifact.create", format!("workflow-artifacts/{id}"), None, None).await?;
    tx.commit().await?;
    let source_type = value.source_type.unwrap_or_else(|| "code".into());
    Ok((StatusCode::CREATED, Json(Artifact { id, source_type, files: files.into_keys().collect() })))
}

/// What a draft and an artifact add to a request; what the request says itself stays.
pub async fn hydrate(tx: &mut Tx, who: &Identity, mut request: DeployRequest) -> Result<DeployRequest, ApiError> {
    if let Some(id) = &request.draft_id {
        let DraftFields {
            artifact_id, policies, required_tool_names, tool_mappings, model_mappings, agent_config, ..
        } = own(tx, who, id).await?.value.fields;
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        if request.name.is_none() {
            request.agent_name = request.agent_name.or(text(agent_config.agent_name));
        }
        request.system_prompt = request.system_prompt.or(text(agent_config.system_prompt));
        request.identity_provider = request.identity_provider.or(agent_config.identity_provider);
        if agent_config.use_custom_image && request.source_files.is_none() && request.files.is_none() {
            request.image = request.image.or(text(agent_config.custom_image));
        }
        request.artifact_id = request.artifact_id.or(artifact_id);
        let list = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        request.required_tools = request.required_tools.or(list(required_tool_names));
        request.policies = request.policies.or(list(policies));
        request.tool_url_mappings = request.tool_url_mappings.or(Some(tool_mappings).filter(|map| !map.is_empty()));
        if request.llm_configs.is_none() && request.llm_config.is_none() && !model_mappings.is_empty() {
            let config = |(role, mapping): (String, ModelMapping)| LlmConfig {
                role: Some(role),
                provider: Some(mapping.provider),
                model: Some(mapping.model),
                model_provider: None,
                monthly_budget_usd: mapping.monthly_budget_usd,
            };
            request.llm_configs = Some(model_mappings.into_iter().map(config).collect());
        }
    }
    let has_source = request.image.is_some() || request.source_files.is_some() || request.files.is_some();
    if let (Some(id), false) = (&request.artifact_id, has_source) {
        let files = tx.unseal(&who.workspace, SOURCE, id).await?;
        request.source_files = Some(files.ok_or_else(|| ApiError::NotFound(format!("artifact {id:?}").into()))?);
    }
    Ok(request)
}

/// Marks the draft that was deployed, in the transaction that deploys it.
pub async fn complete_with(tx: &mut Tx, who: &Identity, id: &str, now: i64) -> Result<(), ApiError> {
    let Stored { mut value, .. } = own(tx, who, id).await?;
    value.status = DraftStatus::Completed;
    tx.put(&who.workspace, &value, now).await?;
    Ok(())
}

/// Writes a draft whether or not it is there: what an action plan does.
pub async fn create_or_patch(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    id: Option<&str>,
    fields: &Map<String, Value>,
) -> Result<String, ApiError> {
    let id = id.map_or_else(|| app.world().id("draft"), str::to_string);
    let before = tx.get::<DraftRecord>(&who.workspace, &id).await?;
    let (old, user_id) = match before {
        Some(_) => {
            let draft = own(tx, who, &id).await?.value;
            in_progress(&draft)?;
            (draft.fields, draft.user_id)
        }
        None => (DraftFields::default(), who.key.clone()),
    };
    let fields = merged(old, fields)?;
    let record = DraftRecord { id: id.clone(), user_id, status: DraftStatus::InProgress, fields };
    tx.put(&who.workspace, &record, app.world().now()).await?;
    app.note(tx, who, "draft.patch", format!("deploy-drafts/{id}"), None, Some(json(&record))).await?;
    Ok(id)
}

async fn end(app: &App, who: &Identity, id: &str, status: DraftStatus) -> Result<Json<Draft>, ApiError> {
    let mut tx = app.store().begin().await?;
    let Stored { mut value, .. } = own(&mut tx, who, id).await?;
    in_progress(&value)?;
    value.status = status;
    let stored = tx.put(&who.workspace, &value, app.world().now()).await?;
    app.note(&mut tx, who, "draft.end", format!("deploy-drafts/{id}"), None, Some(json(&value))).await?;
    tx.commit().await?;
    Ok(Json(stored.into()))
}

/// The draft, if it is the caller's own or the caller is the operator.
async fn own(tx: &mut Tx, who: &Identity, id: &str) -> Result<Stored<DraftRecord>, ApiError> {
    let draft = tx.get::<DraftRecord>(&who.workspace, id).await?;
    let draft = draft.ok_or_else(|| ApiError::NotFound(format!("draft {id:?}").into()))?;
    match draft.value.user_id == who.key || who.is_operator {
        true => Ok(draft),
        false => Err(ApiError::Forbidden("this draft is somebody else's".into())),
    }
}

fn in_progress(draft: &DraftRecord) -> Result<(), ApiError> {
    match draft.status {
        DraftStatus::InProgress => Ok(()),
        DraftStatus::Completed => Err(ApiError::Conflict("the draft is COMPLETED".into())),
        DraftStatus::Abandoned => Err(ApiError::Conflict("the draft is ABANDONED".into())),
    }
}

/// The fields with those of `change` over them; objects are merged key by key.
fn merged(fields: DraftFields, change: &Map<String, Value>) -> Result<DraftFields, ApiError> {
    let mut whole = json(&fields);
    merge(&mut whole, &Value::Object(change.clone()));
    serde_path_to_error::deserialize(whole).map_err(|error| {
        let pointer: String = error.path().iter().map(|step| format!("/{step}")).collect();
        ApiError::field(error.inner().to_string(), pointer)
    })
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
