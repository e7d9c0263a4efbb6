//! An identity provider in a test's hands: it signs tokens, and gives its public key to whoever asks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

/// An identity provider that listens. Its keys may change.
pub struct Issuer {
    address: SocketAddr,
    id: String,
    key: KeyPair,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    keys: Mutex<Value>,
    asked: AtomicUsize,
    is_away: AtomicBool,
}

impl Issuer {
    pub async fn start() -> Issuer {
        let shared: Arc<Shared> = Arc::default();
        let state = Arc::clone(&shared);
        let give = move || {
            let state = Arc::clone(&state);
            async move {
                state.asked.fetch_add(1, Ordering::Relaxed);
                match state.is_away.load(Ordering::Relaxed) {
                    true => Err(StatusCode::SERVICE_UNAVAILABLE),
                    false => Ok(Json(state.keys.lock().unwrap().clone())),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/keys", get(give));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Issuer::with(address, "first", shared)
    }

    fn with(address: SocketAddr, id: &str, shared: Arc<Shared>) -> Issuer {
        let issuer = Issuer { address, id: id.into(), key: KeyPair::generate().unwrap(), shared };
        let public = issuer.public();
        let [x, y] = [&public[1..33], &public[33..65]].map(|part| BASE64.encode(part));
        let key = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": x, "y": y});
        // One of a kind that nobody here knows lies beside it.
        *issuer.shared.keys.lock().unwrap() = json!({"keys": [{"kty": "new", "kid": "odd"}, key]});
        issuer
    }

    /// The same provider with another key, in place of the one before.
    pub fn rotate(&self, id: &str) -> Issuer {
        Issuer::with(self.address, id, Arc::clone(&self.shared))
    }

    /// From now on it has no answer.
    pub fn go_away(&self) {
        self.shared.is_away.store(true, Ordering::Relaxed);
    }

    pub fn times_asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }

    pub fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The public key, uncompressed.
    pub fn public(&self) -> Vec<u8> {
        self.key.der_bytes().to_vec()
    }

    /// As it is registered.
    pub fn provider(&self, name: &str) -> Value {
        let keys = format!("http://localhost:{}/keys", self.address.port());
        json!({"name": name, "spec": {"host": "portal.example.com", "userIDClaim": "sub",
            "identityProvider": {"issuer": self.name(), "jwksUri": keys}}})
    }

    /// A token with these claims, issued by it unless they say otherwise.
    pub fn token(&self, mut claims: Value) -> String {
        let name = self.name();
        claims.as_object_mut().unwrap().entry("iss").or_insert_with(|| name.into());
        let header = Header { alg: Algorithm::ES256, kid: Some(self.id.clone()), ..Header::default() };
        encode(&header, &claims, &EncodingKey::from_ec_der(&self.key.serialize_der())).unwrap()
    }
}
