//! OAuth 2.0: tokens that stand for the platform, or for a user who agreed. A tool whose users agree somewhere names that
//! address; any other is called with the platform's own token.

mod callback;
mod consent;
mod endpoint;
mod pages;
mod state;
mod tokens;

use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use ingestion_server::web::ApiError;
use serde_json::json;
use sha2::{Digest, Sha256};

pub use callback::{PATH, routes};
pub use consent::{expire_due, redirect_uri};

use super::{Calling, sealed};
use crate::app::App;
use crate::egress::forward;
use crate::tools::{Credentials, OAuth2Config, ToolRecord, Topology};
use endpoint::ClientAuth;

/// A tool's registration with its authorization server.
#[derive(Clone)]
struct Client {
    workspace: String,
    tool: String,
    topology: Topology,
    config: OAuth2Config,
    id: String,
    secret: Option<String>,
    /// What a token was fetched for: what changes it makes older tokens nobody's.
    binding: String,
}

/// The subject of tokens that stand for the platform.
const PLATFORM: &str = "client";

/// The subject of tokens that stand for a user.
fn subject_of_user(user: &str) -> String {
    format!("user/{user}")
}

/// The subject of tokens that an agent has where it acts for nobody in particular.
pub fn subject_of_agent(agent: &str) -> String {
    format!("agent/{agent}")
}

impl Client {
    /// Of a tool and what was registered with it, or what is missing.
    fn of(workspace: &str, tool: &ToolRecord, credentials: Credentials) -> Result<Client, ApiError> {
        let name = &tool.name;
        let config = tool.spec.connection.authentication.oauth2_config.clone().unwrap_or_default();
        let missing =
            |what: &str| ApiError::BadGateway(format!("the tool {name:?} asks for OAuth 2.0; register it with {what}"));
        if config.token_url.is_empty() {
            return Err(missing("tokenUrl in spec.connection.authentication.oauth2Config"));
        }
        let id = credentials.client_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("credentials.client_id"))?;
        let secret = credentials.client_secret.filter(|secret| !secret.is_empty());
        if secret.is_none() && config.auth_url.is_empty() {
            return Err(missing("credentials.client_secret"));
        }
        let base = &tool.spec.connection.base_url;
        let about = json!([config.auth_url, config.token_url, config.scopes, id, base]).to_string();
        let binding = Sha256::digest(about).iter().map(|byte| format!("{byte:02x}")).collect();
        let topology = tool.spec.connection.topology;
        let tool = name.clone();
        Ok(Client { workspace: workspace.into(), tool, topology, config, id, secret, binding })
    }

    /// Users agree somewhere.
    fn is_for_users(&self) -> bool {
        !self.config.auth_url.is_empty()
    }

    /// How it was registered to say who it is, if that was said.
    fn registered_auth(&self) -> Option<ClientAuth> {
        match &self.secret {
            None => Some(ClientAuth::None),
            Some(_) => self.config.token_endpoint_auth_method.as_deref().and_then(ClientAuth::named),
        }
    }

    /// A text of others without what only this client knows.
    fn hidden_in(&self, text: &str, more: &[&str]) -> String {
        let secrets = self.secret.iter().map(String::as_str).chain(more.iter().copied());
        secrets
            .filter(|secret| !secret.is_empty())
            .fold(text.to_string(), |text, secret| text.replace(secret, "********"))
    }
}

/// Sends a call with a token; once more with a new one where the tool does not take the first.
pub async fn send(
    app: &App,
    calling: &Calling<'_>,
    tool: &ToolRecord,
    request: Request<Bytes>,
) -> Result<Response, ApiError> {
    let client = Client::of(calling.workspace, tool, sealed(app, calling.workspace, tool).await?)?;
    let subject = match client.is_for_users() {
        true => subject(app, calling).await?,
        false => PLATFORM.into(),
    };
    let Some(token) = tokens::get(app, &client, &subject, None).await? else {
        return consent::ask(app, calling, &client, &subject).await;
    };
    let outbound = app.egress().to(client.topology);
    let answer = forward::send(outbound, tool, with_token(request.clone(), tool, &token)?).await?;
    if answer.status() != StatusCode::UNAUTHORIZED {
        return Ok(answer);
    }
    match tokens::get(app, &client, &subject, Some(&token)).await {
        Ok(Some(newer)) => forward::send(outbound, tool, with_token(request, tool, &newer)?).await,
        Ok(None) => consent::ask(app, calling, &client, &subject).await,
        // What the tool itself said is the better answer.
        Err(_) => Ok(answer),
    }
}

/// For whom a call is made: the user whom a token vouches for, else the run's; without a run, the agent itself.
async fn subject(app: &App, calling: &Calling<'_>) -> Result<String, ApiError> {
    let Some(invocation) = calling.invocation else { return Ok(subject_of_agent(calling.agent)) };
    if let Some(user) = &invocation.user {
        return Ok(subject_of_user(user));
    }
    let mut tx = app.store().read().await?;
    let run = tx.run(calling.workspace, &invocation.run).await?;
    Ok(run.map_or_else(|| subject_of_agent(calling.agent), |run| subject_of_user(&run.user_id)))
}

fn with_token(mut request: Request<Bytes>, tool: &ToolRecord, token: &str) -> Result<Request<Bytes>, ApiError> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| ApiError::BadGateway(format!("the token for the tool {:?} cannot be sent", tool.name)))?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(request)
}

/// 32 bytes from the operating system, as they may stand in an address.
fn random() -> String {
    use base64::Engine as _;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
