//! Credentials: what a tool is shown of whoever calls it. They are put into a call last, and no agent sees them.

mod api_key;
mod aws;
pub mod oauth;

use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use ingestion_server::web::ApiError;

use crate::app::App;
use crate::egress::forward;
use crate::running::invocation::Invocation;
use crate::running::recording::Key;
use crate::store::{Resource, StoreError, Tx, Workspace};
use crate::tools::{AuthType, Credentials, ToolRecord};

/// Whose call it is.
#[derive(Debug, Clone, Copy)]
pub struct Calling<'a> {
    /// Whose agent it is.
    pub workspace: &'a str,
    /// The agent.
    pub agent: &'a str,
    /// What the agent is being asked meanwhile.
    pub invocation: Option<&'a Invocation>,
    /// What the call is known by when it comes again.
    pub key: Option<&'a Key>,
}

/// Sends a call that may be made, with what the tool asks of its callers, and gives its answer on. Where a user has to
/// agree first, that is the answer.
pub async fn send(
    app: &App,
    calling: &Calling<'_>,
    tool: &ToolRecord,
    mut request: Request<Bytes>,
) -> Result<Response, ApiError> {
    let connection = &tool.spec.connection;
    match connection.authentication.kind {
        AuthType::None => {}
        AuthType::APIKey => {
            let config = connection.authentication.api_key_config.clone().unwrap_or_default();
            api_key::put(&tool.name, &config, &sealed(app, calling.workspace, tool).await?, &mut request)?;
        }
        AuthType::AWSSignature => {
            let config = connection.authentication.aws_config.clone().unwrap_or_default();
            let credentials = sealed(app, calling.workspace, tool).await?;
            aws::put(&tool.name, &config, &credentials, &mut request, app.world().now())?;
        }
        AuthType::OAuth2 => return oauth::send(app, calling, tool, request).await,
    }
    forward::send(app.egress().to(connection.topology), tool, request).await
}

/// What was registered with a tool.
async fn sealed(app: &App, workspace: &str, tool: &ToolRecord) -> Result<Credentials, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(tx.unseal(workspace, ToolRecord::KIND, &tool.name).await?.unwrap_or_default())
}

/// Takes away what was fetched for a tool.
pub async fn forget_tool(tx: &mut Tx, workspace: Workspace<'_>, tool: &str) -> Result<(), StoreError> {
    tx.forget_tokens(workspace, Some(tool), None).await
}

/// Takes away what was fetched for an agent that acts for nobody in particular.
pub async fn forget_agent(tx: &mut Tx, workspace: Workspace<'_>, agent: &str) -> Result<(), StoreError> {
    tx.forget_tokens(workspace, None, Some(&oauth::subject_of_agent(agent))).await
}
