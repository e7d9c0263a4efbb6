//! Identity: the providers whose tokens say for which end user an agent is called.

pub mod tokens;
mod wire;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use wire::{IdentityProvider, IdentityProviderRequest};

use crate::answer::{Deleted, Named};
use crate::app::{App, json};
use crate::auth::{Caller, Identity, Read, Write};
use crate::store::{Resource, Stored, Tx};

/// Where identity providers say they are when nobody says otherwise.
pub const NAMESPACE: &str = "default";

/// An identity provider as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProviderRecord {
    /// What it is called.
    pub name: String,
    /// Where it says it is.
    pub namespace: String,
    /// What its owner said.
    pub spec: IdentityProviderSpec,
}

impl Resource for IdentityProviderRecord {
    const KIND: &'static str = "identity_provider";

    fn key(&self) -> &str {
        &self.name
    }
}

/// Whose tokens are taken, and what is read in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProviderSpec {
    /// The host that users of the agent come through.
    pub host: String,
    /// Who issues the tokens.
    pub identity_provider: Issuer,
    /// The claim that names the user.
    #[serde(rename = "userIDClaim")]
    pub user_id_claim: String,
    /// Domains of the e-mail addresses that may come; empty for all.
    pub allowed_domains: Vec<String>,
}

/// Who issues tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// As tokens name it.
    pub issuer: String,
    /// Where its public keys are.
    pub jwks_uri: String,
    /// For whom tokens must be; empty for anybody.
    pub audiences: Vec<String>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, put)).routes(routes!(get, delete))
}

/// All identity providers, oldest first.
#[utoipa::path(get, path = "/identity-providers", tag = "identity providers",
    responses((status = 200, body = Vec<IdentityProvider>)))]
async fn list(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<IdentityProvider>>, ApiError> {
    let mut tx = app.store().read().await?;
    let providers = tx.list::<IdentityProviderRecord>(&caller.workspace).await?;
    Ok(Json(providers.into_iter().map(IdentityProvider::from).collect()))
}

/// Registers an identity provider, or changes the one of that name.
#[utoipa::path(post, path = "/identity-providers", tag = "identity providers", request_body = IdentityProviderRequest,
    responses((status = 201, body = IdentityProvider), (status = 400, body = crate::answer::Refusal)))]
async fn put(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<IdentityProviderRequest>,
) -> Result<(StatusCode, Json<IdentityProvider>), ApiError> {
    let record = value.read()?;
    let mut tx = app.store().begin().await?;
    let stored = save(&app, &mut tx, &caller, record).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// One identity provider.
#[utoipa::path(get, path = "/identity-providers/{name}", tag = "identity providers", params(("name" = String, Path)),
    responses((status = 200, body = IdentityProvider), (status = 404, body = crate::answer::Refusal)))]
async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(name): Named,
) -> Result<Json<IdentityProvider>, ApiError> {
    let mut tx = app.store().read().await?;
    let provider = tx.get::<IdentityProviderRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    Ok(Json(provider.into()))
}

/// Takes an identity provider away.
#[utoipa::path(delete, path = "/identity-providers/{name}", tag = "identity providers", params(("name" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = crate::answer::Refusal)))]
async fn delete(State(app): State<App>, caller: Caller<Write>, Named(name): Named) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = tx.get::<IdentityProviderRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    tx.delete::<IdentityProviderRecord>(&caller.workspace, &name).await?;
    let (resource, before) = (format!("identity-providers/{name}"), Some(json(&before.value)));
    app.note(&mut tx, &caller, "identity_provider.delete", resource, before, None).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// Writes an identity provider, in the caller's transaction.
pub async fn save(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    record: IdentityProviderRecord,
) -> Result<Stored<IdentityProviderRecord>, ApiError> {
    let before = tx.get::<IdentityProviderRecord>(&who.workspace, &record.name).await?;
    let stored = tx.put(&who.workspace, &record, app.world().now()).await?;
    let (before, after) = (before.map(|provider| json(&provider.value)), Some(json(&record)));
    app.note(tx, who, "identity_provider.put", format!("identity-providers/{}", record.name), before, after).await?;
    Ok(stored)
}

fn unknown(name: &str) -> ApiError {
    ApiError::NotFound(format!("identity provider {name:?}").into())
}
