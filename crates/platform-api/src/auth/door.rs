//! Door: the layer through which every request comes. It finds the key, the workspace and what is left of the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ingestion_server::web::keys::is_local;
use ingestion_server::web::{ApiError, World};

use super::Limits;
use super::caller::{Identity, Scope};
use super::keys;
use crate::credentials::oauth;
use crate::identity::tokens;
use crate::kept::Kept;
use crate::names;
use crate::second::KeyTier;
use crate::store::{KeyRow, Store};

/// The workspace of whoever names none.
pub const DEFAULT_WORKSPACE: &str = "default";

/// Paths that anyone may ask; whoever comes back from an authorization server shows a state that we signed.
const OPEN: [&str; 5] = ["/healthz", "/readyz", "/openapi.json", "/docs", oauth::PATH];

/// Paths below which anyone may ask: pages about the API, what agents call without a key, where nothing is anybody's
/// own, and decisions that come from connectors, each checked by its own signature. Agents show a secret in the path.
const OPEN_BELOW: [&str; 4] = ["/docs/", "/builtin/", "/callbacks/", "/agents-gateway/"];

/// The same resources of a workspace that the path names.
const WORKSPACES: &str = "/api/v1/workspaces/";

/// How often it is written down that a key is used, in milliseconds.
const MINUTE: i64 = 60_000;

/// What the door needs.
#[derive(Clone)]
pub struct Door {
    /// Knows the keys.
    pub store: Store,
    /// Clock.
    pub world: World,
    /// How often a key may ask.
    pub limits: Limits,
    /// Who came lately, by the hash of their key.
    keys: Arc<Kept<String, Arc<Seen>>>,
}

/// A key that was shown lately.
struct Seen {
    row: KeyRow,
    /// When that was written down last.
    used_at: AtomicI64,
}

/// The workspace that the path named, before it was taken out of it.
#[derive(Debug, Clone)]
struct Named(String);

/// Somebody came without a key and with a token, which nobody has looked at yet.
#[derive(Debug, Clone)]
pub struct ByToken {
    /// The workspace of the agent that they ask.
    pub workspace: String,
}

/// Whether a path asks an agent.
fn is_invoke(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        &parts[..],
        ["", "api", "agents", _, _, "invoke"]
            | ["", "api", "agents", _, _, "invoke", "stream"]
            | ["", "api", "v1", "agents", _, "invoke"]
            | ["", "api", "v1", "agents", _, "invoke", "stream"]
    )
}

/// Middleware: who comes, and may they come in?
pub async fn open(State(door): State<Door>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let path = request.uri().path();
    if OPEN.contains(&path)
        || OPEN_BELOW.iter().any(|below| path.starts_with(below))
        || path == "/metrics" && is_local(&request)
    {
        return Ok(next.run(request).await);
    }
    let now = door.world.now();
    let token = token_in(request.uri());
    let Some(key) = door.find(request.headers(), token.as_deref(), now).await? else {
        // An end user of an agent has a token of their identity provider, which opens nothing but that agent.
        if !is_invoke(path) || tokens::carried(request.headers()).is_none() {
            return Err(ApiError::Unauthorized);
        }
        let named = request.extensions_mut().remove::<Named>().map(|named| named.0);
        request.extensions_mut().insert(ByToken { workspace: named.unwrap_or_else(|| DEFAULT_WORKSPACE.into()) });
        return Ok(next.run(request).await);
    };
    let allowance = door.limits.take(&key.row.id).await?;
    if !allowance.granted {
        let (limit, seconds) = (allowance.limit as u64, allowance.reset as u64);
        return Ok(with_limits(ApiError::RateLimited { limit, seconds }.into_response(), &allowance));
    }
    let named = request.extensions_mut().remove::<Named>().map(|named| named.0);
    let workspace = match (&key.row.workspace, named) {
        (None, named) => named.unwrap_or_else(|| DEFAULT_WORKSPACE.into()),
        (Some(own), None) => own.clone(),
        (Some(own), Some(named)) if *own == named => named,
        (Some(_), Some(named)) => {
            return Err(ApiError::Forbidden(format!("this API key does not open the workspace {named:?}")));
        }
    };
    let KeyRow { id, person, .. } = &key.row;
    let tier = KeyTier { tier: key.row.tier.clone(), hourly_limit: key.row.hourly_limit };
    let identity = Identity {
        workspace,
        is_operator: key.row.workspace.is_none(),
        scopes: Scope::split(&key.row.scopes),
        groups: serde_json::from_str(&key.row.person_groups).unwrap_or_default(),
        name: person.clone().unwrap_or_else(|| id.clone()),
        user: person.clone(),
        key: id.clone(),
    };
    request.extensions_mut().insert(identity);
    request.extensions_mut().insert(tier);
    Ok(with_limits(next.run(request).await, &allowance))
}

impl Door {
    /// Over a store.
    pub fn new(store: Store, world: World, limits: Limits) -> Door {
        let keys = Arc::new(Kept::new(store.clone(), world.clone()));
        Door { store, world, limits, keys }
    }

    async fn find(&self, headers: &HeaderMap, token: Option<&str>, now: i64) -> Result<Option<Arc<Seen>>, ApiError> {
        let mut has_expired = false;
        for shown in keys_in(headers).chain(token.map(str::as_bytes)) {
            if std::str::from_utf8(shown).is_ok_and(|key| !keys::is_sound(key)) {
                continue;
            }
            let Some(key) = self.known(keys::hash(shown)).await? else { continue };
            if key.row.expires_at.is_some_and(|end| end <= now) {
                has_expired = true;
                continue;
            }
            if now - key.used_at.load(Ordering::Relaxed) >= MINUTE {
                let mut tx = self.store.begin().await?;
                tx.use_key(&key.row.id, now).await?;
                tx.commit().await?;
                key.used_at.store(now, Ordering::Relaxed);
            }
            return Ok(Some(key));
        }
        if has_expired { Err(ApiError::ExpiredKey) } else { Ok(None) }
    }

    /// The key with that hash.
    async fn known(&self, hash: String) -> Result<Option<Arc<Seen>>, ApiError> {
        if let Some(key) = self.keys.get(&hash) {
            return Ok(Some(key));
        }
        let read = self.keys.moment();
        let Some(row) = self.store.read().await?.key_by_hash(&hash).await? else { return Ok(None) };
        let key = Arc::new(Seen { used_at: row.last_used_at.unwrap_or(i64::MIN / 2).into(), row });
        self.keys.put(hash, read, Arc::clone(&key));
        Ok(Some(key))
    }
}

/// Any of three headers may carry the key, the last one because Anthropic's clients know no other; it may be any bytes
/// that a header can hold. Only hashes are compared, and those by the store: how long that takes says nothing about a key.
fn keys_in(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked("bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    let plain = ["x-runagents-api-key", "x-api-key"].into_iter().flat_map(|name| headers.get_all(name));
    let plain = plain.map(|value| value.as_bytes());
    plain.chain(bearer).map(|key| key.trim_ascii())
}

/// Browsers send no headers with a WebSocket; there alone the address may carry a key, which no log has.
fn token_in(uri: &Uri) -> Option<String> {
    let is_socket = uri.path().starts_with("/api/v1/agents/") && uri.path().ends_with("/run-stream");
    let query = uri.query().filter(|_| is_socket)?;
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    found.map(|(_, token)| token.into_owned())
}

/// The pair of headers that the IETF's draft names `RateLimit`.
fn with_limits(mut response: Response, allowance: &super::limits::Allowance) -> Response {
    if allowance.limit > 0 {
        let policy = format!("\"key\";q={};w=60", allowance.limit);
        let rest = format!("\"key\";r={};t={}", allowance.remaining, allowance.reset);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", rest)] {
            response.headers_mut().insert(name, HeaderValue::from_str(&value).expect("digits and quotes"));
        }
    }
    response
}

/// `/api/v1/workspaces/{workspace}/tools` is `/api/v1/tools` of that workspace. To be done before a route is chosen.
pub fn take_workspace(mut request: Request) -> Request {
    let path = request.uri().path();
    let Some((name, rest)) = path.strip_prefix(WORKSPACES).and_then(|rest| rest.split_once('/')) else {
        return request;
    };
    // What no workspace can be called stays in the path, where no route answers it.
    if !names::is_name(name) {
        return request;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let (name, inner) = (name.to_string(), format!("/api/v1/{rest}{query}"));
    if let Ok(uri) = inner.parse::<Uri>() {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Named(name));
    }
    request
}
