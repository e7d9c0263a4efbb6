//! Action: one change of a plan, read from its parameters and carried out by what the change's own path calls.

use ingestion_server::web::{ApiError, body};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::auth::{Identity, Scope};
use crate::deploy::wire::DeployRequest;
use crate::deploy::{self, drafts, starter_kit};
use crate::models::{self, ModelProvider, ModelProviderRequest, ProviderCredentials, ProviderRecord};
use crate::policies::{self, PolicyRecord, PolicyRequest};
use crate::store::Tx;
use crate::tools::{self, Credentials, Tool, ToolRecord, ToolRequest};

/// A change that can be carried out.
pub enum Action {
    /// `tool.upsert`.
    Tool(Box<ToolRecord>, Option<Credentials>),
    /// `model_provider.upsert`.
    ModelProvider(Box<ProviderRecord>, Option<ProviderCredentials>),
    /// `policy.upsert`.
    Policy(PolicyRecord),
    /// `deploy_draft.create_or_patch`.
    Draft(Option<String>, Map<String, Value>),
    /// `deploy.execute`.
    Deploy(Box<DeployRequest>),
    /// `starter_kit.seed`.
    StarterKit,
}

/// What came of a change.
pub struct Done {
    /// What was changed.
    pub resource_ref: String,
    /// As its own path answers it.
    pub output: Value,
}

const KINDS: &str = "tool.upsert, model_provider.upsert, policy.upsert, deploy_draft.create_or_patch, deploy.execute \
     and starter_kit.seed";

/// Where the resource of a change is, as far as its parameters say.
pub fn resource_ref(kind: &str, params: &Value) -> String {
    let named = |place: &str, field: &str| match params[field].as_str() {
        Some(name) => format!("{place}/{name}"),
        None => place.to_string(),
    };
    match kind {
        "tool.upsert" => named("/tools", "name"),
        "model_provider.upsert" => named("/model-providers", "name"),
        "policy.upsert" => named("/policies", "name"),
        "deploy_draft.create_or_patch" => named("/deploy-drafts", "id"),
        "deploy.execute" => named("/agents", "agent_name"),
        "starter_kit.seed" => "/starter-kit".into(),
        _ => String::new(),
    }
}

impl Action {
    /// What the parameters say, or everything that is wrong with them.
    pub fn read(kind: &str, params: Value, who: &Identity) -> Result<Action, Vec<String>> {
        let deploys = who.scopes.contains(&Scope::Deploy) || who.scopes.contains(&Scope::Admin);
        let lacks = || vec!["this API key lacks the scope `deploy`".to_string()];
        match kind {
            "tool.upsert" => {
                let (tool, credentials) = request::<ToolRequest>(params)?.read().map_err(texts)?;
                Ok(Action::Tool(Box::new(tool), credentials))
            }
            "model_provider.upsert" => {
                let (provider, credentials) = request::<ModelProviderRequest>(params)?.read().map_err(texts)?;
                Ok(Action::ModelProvider(Box::new(provider), credentials))
            }
            "policy.upsert" => request::<PolicyRequest>(params)?.read(None).map(Action::Policy).map_err(texts),
            "deploy_draft.create_or_patch" | "deploy.execute" | "starter_kit.seed" if !deploys => Err(lacks()),
            "deploy_draft.create_or_patch" => draft(params),
            "deploy.execute" => deployment(params),
            "starter_kit.seed" => Ok(Action::StarterKit),
            "" => Err(vec![format!("type is required; there are {KINDS}")]),
            _ => {
                let shown: String = kind.chars().take(80).collect();
                Err(vec![format!("type {shown:?} is none; there are {KINDS}")])
            }
        }
    }

    /// A deploy waits for its build, and cannot hold a transaction meanwhile.
    pub fn brings_its_own_transaction(&self) -> bool {
        matches!(self, Action::Deploy(_) | Action::StarterKit)
    }

    /// In the caller's transaction.
    pub async fn carry_out(self, app: &App, tx: &mut Tx, who: &Identity) -> Result<Done, ApiError> {
        match self {
            Action::Tool(record, credentials) => {
                let tool = Tool::from(tools::save(app, tx, who, *record, credentials).await?);
                Ok(Done { resource_ref: format!("/tools/{}", tool.name), output: json!(tool) })
            }
            Action::ModelProvider(record, credentials) => {
                let provider = ModelProvider::from(models::save(app, tx, who, *record, credentials).await?);
                Ok(Done { resource_ref: format!("/model-providers/{}", provider.name), output: json!(provider) })
            }
            Action::Policy(record) => {
                let name = record.name.clone();
                policies::save(app, tx, who, record).await?;
                let policies = policies::all(tx, &who.workspace).await?;
                let policy = policies.into_iter().find(|policy| policy.name == name);
                Ok(Done { resource_ref: format!("/policies/{name}"), output: json!(policy) })
            }
            Action::Draft(id, fields) => {
                let id = drafts::create_or_patch(app, tx, who, id.as_deref(), &fields).await?;
                Ok(Done { resource_ref: format!("/deploy-drafts/{id}"), output: json!({"id": id}) })
            }
            Action::Deploy(_) | Action::StarterKit => self.carry_out_alone(app, who).await,
        }
    }

    /// In transactions of its own.
    pub async fn carry_out_alone(self, app: &App, who: &Identity) -> Result<Done, ApiError> {
        match self {
            Action::Deploy(request) => {
                let deployed = deploy::execute(app, who, *request).await?;
                let output = json!({
                    "agent": deployed.agent.name,
                    "namespace": deployed.agent.namespace,
                    "status": if deployed.is_new { "created" } else { "updated" },
                    "tools_created": deployed.tools_created,
                    "policies_created": deployed.policies_created,
                });
                Ok(Done { resource_ref: format!("/agents/{}", deployed.agent.name), output })
            }
            Action::StarterKit => {
                starter_kit::make(app, who).await?;
                Ok(Done { resource_ref: "/starter-kit".into(), output: json!({"status": "ok"}) })
            }
            Action::Tool(..) | Action::ModelProvider(..) | Action::Policy(_) | Action::Draft(..) => {
                let mut tx = app.store().begin().await?;
                let done = Box::pin(self.carry_out(app, &mut tx, who)).await?;
                tx.commit().await?;
                Ok(done)
            }
        }
    }
}

/// `{id?, fields}`, or the fields beside the id.
fn draft(params: Value) -> Result<Action, Vec<String>> {
    let Value::Object(mut params) = params else { return Err(vec!["params must be a JSON object".into()]) };
    let id = match params.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if !id.is_empty() && id.len() <= 128 => Some(id),
        Some(_) => return Err(vec!["/id: it must be a text of 1 to 128 bytes".into()]),
    };
    let fields = match params.remove("fields") {
        None => params,
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(vec!["/fields: it must be a JSON object".into()]),
    };
    Ok(Action::Draft(id, fields))
}

/// What only the deploy itself can check, such as a draft that an earlier action makes, is left to it.
fn deployment(params: Value) -> Result<Action, Vec<String>> {
    let mut errors = Vec::new();
    let has = |field: &str| !matches!(&params[field], Value::Null) && params[field] != "";
    if !has("agent_name") {
        errors.push("agent_name is required".to_string());
    }
    if !["draft_id", "artifact_id", "image", "source_files"].into_iter().any(has) {
        errors.push("one of draft_id, artifact_id, image and source_files is required".to_string());
    }
    match errors.is_empty() {
        true => request::<DeployRequest>(params).map(|request| Action::Deploy(Box::new(request))),
        false => Err(errors),
    }
}

/// The parameters as the path of the resource reads its body.
fn request<T: DeserializeOwned>(params: Value) -> Result<T, Vec<String>> {
    body::json(params.to_string().as_bytes()).map_err(|error| match error {
        ApiError::BadRequest(text) => vec![text.replace("the request body", "params")],
        error => texts(error),
    })
}

fn texts(error: ApiError) -> Vec<String> {
    match error {
        ApiError::Invalid { errors, .. } => {
            errors.into_iter().map(|error| format!("{}: {}", error.pointer, error.message)).collect()
        }
        error => vec![error.to_string()],
    }
}
