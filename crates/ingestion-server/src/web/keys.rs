//! Keys: who may come. Only hashes are kept, so whoever reads our memory or disk has no key.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::serve::Peer;

/// SHA-256 of a key.
pub type KeyHash = [u8; 32];

/// The keys that open this server.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<HashSet<KeyHash>>);

/// Paths that anyone may ask.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The fewest characters of a key.
pub const SHORTEST: usize = 16;

impl Keys {
    /// The keys with these hashes.
    pub fn new(hashes: impl IntoIterator<Item = KeyHash>) -> Keys {
        Keys(Arc::new(hashes.into_iter().collect()))
    }

    /// The hash under which a key is known.
    pub fn hash(key: impl AsRef<[u8]>) -> KeyHash {
        Sha256::digest(key).into()
    }

    /// Either header may carry the key, which may be any bytes that a header can hold.
    fn open(&self, headers: &HeaderMap) -> bool {
        let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
            let (scheme, key) = value.as_bytes().split_at_checked("bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
        });
        let plain = headers.get_all("x-runagents-api-key").iter().map(|value| value.as_bytes());
        bearer.chain(plain).any(|key| self.0.contains(&Keys::hash(key.trim_ascii())))
    }
}

/// Middleware: every path but health needs a key; metrics are also for collectors on this machine.
pub async fn require_key(State(keys): State<Keys>, request: Request, next: Next) -> Result<Response, ApiError> {
    let path = request.uri().path();
    let free = OPEN.contains(&path) || (path == "/metrics" && is_local(&request));
    match free || keys.open(request.headers()) {
        true => Ok(next.run(request).await),
        false => Err(ApiError::Unauthorized),
    }
}

/// Comes it from this machine? A proxy here speaks for callers who are not.
pub fn is_local(request: &Request) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let local = request.extensions().get::<Peer>().is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    local && !forwarded.iter().any(|name| request.headers().contains_key(*name))
}
