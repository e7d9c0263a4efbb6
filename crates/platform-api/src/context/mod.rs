//! Context: everything that a workspace has, in one answer, for assistants that plan changes to it.

use axum::Json;
use axum::extract::State;
use ingestion_server::web::ApiError;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::agents::{Agent, AgentRecord};
use crate::app::App;
use crate::approvals::AccessRequest;
use crate::approvals::connectors::{Connector, ConnectorRecord};
use crate::auth::{Caller, Read};
use crate::deploy::drafts::{Draft, DraftRecord, DraftStatus};
use crate::identity::{IdentityProvider, IdentityProviderRecord};
use crate::models::{ModelProvider, ProviderRecord};
use crate::policies;
use crate::time::rfc3339;
use crate::tools::{Tool, ToolRecord};

/// Everything that a workspace has.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ContextExport {
    #[schema(format = DateTime)]
    generated_at: String,
    /// The workspace.
    namespace: String,
    /// The id of the key that asked.
    user_id: String,
    /// Lists by kind, each as its own path answers it.
    #[schema(value_type = Object)]
    resources: Map<String, Value>,
    /// How many of each kind: `tools_count`.
    #[schema(value_type = Object)]
    meta: Map<String, Value>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(export))
}

/// Everything that the workspace has, as of one moment. Nothing secret is in it.
#[utoipa::path(get, path = "/context/export", tag = "plans", responses((status = 200, body = ContextExport)))]
async fn export(State(app): State<App>, caller: Caller<Read>) -> Result<Json<ContextExport>, ApiError> {
    let workspace = caller.workspace.as_str();
    let mut tx = app.store().read().await?;
    let agents: Vec<Agent> = tx.list::<AgentRecord>(workspace).await?.into_iter().map(Agent::from).collect();
    let tools: Vec<Tool> = tx.list::<ToolRecord>(workspace).await?.into_iter().map(Tool::from).collect();
    let models = tx.list::<ProviderRecord>(workspace).await?;
    let models: Vec<ModelProvider> = models.into_iter().map(ModelProvider::from).collect();
    let identities = tx.list::<IdentityProviderRecord>(workspace).await?;
    let identities: Vec<IdentityProvider> = identities.into_iter().map(IdentityProvider::from).collect();
    let policies = policies::all(&mut tx, workspace).await?;
    let drafts = tx.list::<DraftRecord>(workspace).await?.into_iter();
    let is_own = |draft: &DraftRecord| draft.status == DraftStatus::InProgress && draft.user_id == caller.key;
    let drafts: Vec<Draft> = drafts.filter(|draft| is_own(&draft.value)).map(Draft::from).collect();
    let connectors: Vec<Connector> =
        tx.list::<ConnectorRecord>(workspace).await?.into_iter().map(Connector::from).collect();
    let approvals: Vec<AccessRequest> =
        tx.approvals(workspace, None).await?.into_iter().map(AccessRequest::from).collect();

    let resources = json!({
        "agents": agents,
        "tools": tools,
        "model_providers": models,
        "policies": policies,
        "identity_providers": identities,
        "approval_connectors": connectors,
        "approvals": approvals,
        "deploy_drafts": drafts,
    });
    let Value::Object(resources) = resources else { unreachable!("it is written as an object") };
    let count = |(kind, list): (&String, &Value)| (format!("{kind}_count"), json!(list.as_array().map_or(0, Vec::len)));
    Ok(Json(ContextExport {
        generated_at: rfc3339(app.world().now()),
        namespace: caller.workspace.clone(),
        user_id: caller.key.clone(),
        meta: resources.iter().map(count).collect(),
        resources,
    }))
}
