//! Keys: those of one workspace, made, listed, renewed and taken away. A key is shown once, when it is made.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Deleted, Named};
use crate::app::{App, json};
use crate::auth::keys::{WORKSPACE, hash, last4};
use crate::auth::{Admin, Caller, Identity, Key, Scope};
use crate::names;
use crate::params::MaybeBody;
use crate::second::Tier;
use crate::store::KeyRow;

/// The header that the answer names for a key.
pub const HEADER: &str = "X-RunAgents-API-Key";

const DAY: i64 = 86_400_000;

/// The longest life of a key: ten years.
const MOST_DAYS: i64 = 3_653;

/// Characters of a key's name.
const LONGEST_NAME: usize = 100;

/// Groups of one key.
const MOST_GROUPS: usize = 100;

/// What a key may do when nobody says it: everything but manage keys and settings.
const USUAL: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Deploy, Scope::Approve];

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct KeyRequest {
    /// For people.
    #[schema(required)]
    name: Option<String>,
    /// Days until it opens nothing any more; absent: it does not expire.
    #[serde(rename = "expiresInDays")]
    expires_in_days: Option<i64>,
    /// What it may do: `read`, `write`, `deploy`, `approve`, `admin`; absent: all but `admin`.
    scopes: Option<Vec<String>>,
    /// Who shows it, where it is one person's: decisions are that user's.
    #[serde(default)]
    user: Option<String>,
    /// The groups of whoever shows it: policies may leave decisions to them.
    #[serde(default)]
    groups: Vec<String>,
    /// What it is worth below `/v1/agents`: `free`, `pro`, `team` or `enterprise`; the operator's to say.
    #[serde(default)]
    tier: Option<String>,
    /// Requests an hour there, in place of its tier's; 0 is no limit. The operator's to say.
    #[serde(default, rename = "requestsPerHour")]
    requests_per_hour: Option<i64>,
}

/// A key to be renewed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct RotationRequest {
    /// Days from now; absent: the end stays as it is.
    #[serde(rename = "expiresInDays")]
    expires_in_days: Option<i64>,
}

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    id: String,
    name: String,
    /// `ra_ws_`.
    prefix: String,
    /// What a person recognizes it by.
    last4: String,
    /// What it may do.
    scopes: Vec<&'static str>,
    /// Who shows it, where it is one person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The groups of whoever shows it.
    groups: Vec<String>,
    /// What it is worth below `/v1/agents`, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    /// Requests an hour there, where it has a limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_hour: Option<i64>,
    /// When it was made or renewed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// Within a minute.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<i64>,
    /// From then on it opens nothing.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<i64>,
}

/// A key that was made, this once with its secret.
#[derive(Serialize, ToSchema)]
pub struct FreshKey {
    key: ApiKey,
    /// Shown only now.
    token: String,
    /// The header to send it in.
    header: &'static str,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_keys, create_key)).routes(routes!(delete_key)).routes(routes!(rotate_key))
}

/// The workspace's keys, oldest first, without their secrets.
#[utoipa::path(get, path = "/auth/api-keys", tag = "account", responses((status = 200, body = Vec<ApiKey>)))]
async fn list_keys(State(app): State<App>, caller: Caller<Admin>) -> Result<Json<Vec<ApiKey>>, ApiError> {
    let mut tx = app.store().read().await?;
    let keys = tx.keys(Some(&caller.workspace)).await?;
    Ok(Json(keys.into_iter().map(ApiKey::from).collect()))
}

/// Makes a key for the workspace. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/auth/api-keys", tag = "account", request_body = KeyRequest,
    responses((status = 201, body = FreshKey), (status = 400, body = crate::answer::Refusal)))]
async fn create_key(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body { value, .. }: Body<KeyRequest>,
) -> Result<(StatusCode, Json<FreshKey>), ApiError> {
    let now = app.world().now();
    let (user, groups) = value.person()?;
    let (tier, hourly_limit) = value.worth(&caller)?;
    let (name, scopes, expires_at) = value.read(now)?;
    let key = Key::make(WORKSPACE);
    let row = key.row(app.world().id("key"), Some(&caller.workspace), &name, &scopes, now);
    let row = KeyRow { expires_at, person: user, person_groups: json(&groups).to_string(), tier, hourly_limit, ..row };
    let mut tx = app.store().begin().await?;
    tx.add_key(&row).await?;
    let (resource, after) = (format!("api-keys/{}", row.id), Some(json(&ApiKey::from(row.clone()))));
    app.note(&mut tx, &caller, "api_key.create", resource, None, after).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(FreshKey::new(row, &key))))
}

/// Takes a key away; from now on it opens nothing.
#[utoipa::path(delete, path = "/auth/api-keys/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = crate::answer::Refusal)))]
async fn delete_key(
    State(app): State<App>,
    caller: Caller<Admin>,
    Named(id): Named,
) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = find(tx.keys(Some(&caller.workspace)).await?, &id)?;
    tx.delete_key(&caller.workspace, &id).await?;
    let (resource, before) = (format!("api-keys/{id}"), Some(json(&ApiKey::from(before))));
    app.note(&mut tx, &caller, "api_key.delete", resource, before, None).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// Gives a key another secret; the old one opens nothing from now on.
#[utoipa::path(post, path = "/auth/api-keys/{id}/rotate", tag = "account", params(("id" = String, Path)),
    request_body = Option<RotationRequest>, responses((status = 200, body = FreshKey),
    (status = 400, body = crate::answer::Refusal), (status = 404, body = crate::answer::Refusal)))]
async fn rotate_key(
    State(app): State<App>,
    caller: Caller<Admin>,
    Named(id): Named,
    MaybeBody(request): MaybeBody<RotationRequest>,
) -> Result<Json<FreshKey>, ApiError> {
    let now = app.world().now();
    let wanted = end(request.expires_in_days, now)?;
    let mut tx = app.store().begin().await?;
    let before = find(tx.keys(Some(&caller.workspace)).await?, &id)?;
    let expires_at = wanted.or(before.expires_at);
    if expires_at.is_some_and(|end| end <= now) {
        let text = "this key has expired; say with expiresInDays how long it is to open again";
        return Err(ApiError::field(text, "/expiresInDays"));
    }
    let key = Key::make(WORKSPACE);
    let (hash, last4) = (hash(key.expose()), last4(key.expose()));
    let row = tx.replace_key(&caller.workspace, &id, &hash, &last4, now, expires_at).await?;
    let row = row.ok_or_else(|| unknown(&id))?;
    let (before, after) = (Some(json(&ApiKey::from(before))), Some(json(&ApiKey::from(row.clone()))));
    app.note(&mut tx, &caller, "api_key.rotate", format!("api-keys/{id}"), before, after).await?;
    tx.commit().await?;
    Ok(Json(FreshKey::new(row, &key)))
}

impl KeyRequest {
    /// Who shows it, and their groups.
    fn person(&self) -> Result<(Option<String>, Vec<String>), ApiError> {
        if self.groups.len() > MOST_GROUPS {
            return Err(ApiError::field(format!("groups must be at most {MOST_GROUPS}"), "/groups"));
        }
        let user = self.user.as_deref().map(|user| names::person(user, "/user")).transpose()?;
        let mut groups = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let group = names::person(group, &format!("/groups/{index}"))?;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok((user, groups))
    }

    /// Tier and limit. Nobody gives themselves more.
    fn worth(&self, caller: &Identity) -> Result<(Option<String>, Option<i64>), ApiError> {
        if (self.tier.is_some() || self.requests_per_hour.is_some()) && !caller.is_operator {
            let text = "tier and requestsPerHour are said by the operator's key alone";
            return Err(ApiError::Forbidden(text.into()));
        }
        if self.tier.as_deref().is_some_and(|tier| Tier::named(tier).is_none()) {
            return Err(ApiError::field("tier must be free, pro, team or enterprise", "/tier"));
        }
        if self.requests_per_hour.is_some_and(|limit| limit < 0) {
            return Err(ApiError::field("requestsPerHour must be 0 or more; 0 is no limit", "/requestsPerHour"));
        }
        Ok((self.tier.clone(), self.requests_per_hour))
    }

    /// Name, scopes, end.
    fn read(self, now: i64) -> Result<(String, Vec<Scope>, Option<i64>), ApiError> {
        let name = self.name.map(|name| name.trim().to_string()).unwrap_or_default();
        if name.is_empty() {
            return Err(ApiError::field("name is required", "/name"));
        }
        if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(ApiError::field(
                format!("name must be one line of at most {LONGEST_NAME} characters"),
                "/name",
            ));
        }
        let mut scopes = Vec::new();
        match self.scopes {
            None => scopes.extend(USUAL),
            Some(names) if names.is_empty() => {
                return Err(ApiError::field("a key without scopes opens nothing", "/scopes"));
            }
            Some(names) => {
                for (index, name) in names.iter().enumerate() {
                    let shown: String = name.chars().take(40).collect();
                    let text = format!("{shown:?} is no scope; there are read, write, deploy, approve and admin");
                    let scope = Scope::named(name).ok_or_else(|| ApiError::field(text, format!("/scopes/{index}")))?;
                    if !scopes.contains(&scope) {
                        scopes.push(scope);
                    }
                }
            }
        }
        Ok((name, scopes, end(self.expires_in_days, now)?))
    }
}

fn end(days: Option<i64>, now: i64) -> Result<Option<i64>, ApiError> {
    match days {
        None => Ok(None),
        Some(days) if (1..=MOST_DAYS).contains(&days) => Ok(Some(now + days * DAY)),
        Some(_) => {
            let text = format!("expiresInDays must be from 1 to {MOST_DAYS}");
            Err(ApiError::field(text, "/expiresInDays"))
        }
    }
}

impl From<KeyRow> for ApiKey {
    fn from(row: KeyRow) -> ApiKey {
        let KeyRow { id, name, prefix, last4, scopes, created_at, last_used_at, expires_at, tier, .. } = row;
        let scopes = Scope::split(&scopes).into_iter().map(Scope::name).collect();
        let groups = serde_json::from_str(&row.person_groups).unwrap_or_default();
        let requests_per_hour = row.hourly_limit;
        let user = row.person;
        ApiKey {
            id,
            name,
            prefix,
            last4,
            scopes,
            user,
            groups,
            tier,
            requests_per_hour,
            created_at,
            last_used_at,
            expires_at,
        }
    }
}

impl FreshKey {
    fn new(row: KeyRow, key: &Key) -> FreshKey {
        FreshKey { key: row.into(), token: key.expose().into(), header: HEADER }
    }
}

fn find(keys: Vec<KeyRow>, id: &str) -> Result<KeyRow, ApiError> {
    keys.into_iter().find(|key| key.id == id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    let shown: String = id.chars().take(80).collect();
    ApiError::NotFound(format!("API key {shown:?}").into())
}
