//! Tokens: what an identity provider says of an end user, checked: who issued it, for whom, until when, and the signature
//! by the provider's public keys, which are fetched when they are needed and again when a token names one that is new.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, Request, header};
use bytes::Bytes;
use http_body_util::Full;
use ingestion_server::web::{ApiError, Outbound, Reach, World};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use tracing::warn;

use super::IdentityProviderSpec;

/// Keys are fetched again after so long, for those that are not valid any more.
const KEEP: Duration = Duration::from_secs(300);

/// A key that nobody knows is looked for no more often.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a provider is waited for, and bytes of its keys.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST: usize = 1 << 20;

/// Seconds that clocks may differ.
const LEEWAY: i64 = 30;

/// Providers whose keys are kept.
const PROVIDERS: usize = 1_000;

/// Algorithms with a private and a public key. With any other whoever knows the public key could sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Checks tokens, and keeps the keys that it needs for it.
#[derive(Debug)]
pub struct Tokens {
    outbound: Outbound,
    world: World,
    keys: Mutex<HashMap<String, Kept>>,
    /// One at a time fetches: a thousand callers need no thousand answers.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Kept {
    read_at: Duration,
    keys: Arc<JwkSet>,
}

/// Why a token is not taken. It says nothing that the token itself did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is not signed by a key of the provider, in a way that only its owner could.
    #[error("its signature is not the provider's")]
    Signature,
    /// It is no longer valid, or not yet, or says nothing of it.
    #[error("it is not valid now")]
    Time,
    /// Somebody else issued it.
    #[error("another issuer made it")]
    Issuer,
    /// It is for somebody else.
    #[error("it is for another audience")]
    Audience,
    /// It does not name its user.
    #[error("it does not name its user")]
    User,
    /// Its user is of a domain that may not come.
    #[error("users of this domain may not come")]
    Domain,
    /// The provider's keys cannot be had.
    #[error("the keys of its provider cannot be had now")]
    NoKeys,
}

/// The token that a request carries, if what it carries is one. A key of the platform is none.
pub fn carried(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    let token = token.trim();
    let is_one = scheme.eq_ignore_ascii_case("bearer") && token.split('.').count() == 3 && decode_header(token).is_ok();
    is_one.then_some(token)
}

impl Tokens {
    /// Over whatever reaches the providers.
    pub fn new(outbound: &Outbound, world: World) -> Tokens {
        // Who registers a provider may not ask a cloud for this machine's credentials in that way.
        let outbound = outbound.within(Reach::Inside);
        Tokens { outbound, world, keys: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The user whom a token of this provider names.
    pub async fn user(&self, provider: &IdentityProviderSpec, token: &str) -> Result<String, BadToken> {
        let header = decode_header(token).map_err(|_| BadToken::Signature)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(BadToken::Signature);
        }
        let key = self.key(&provider.identity_provider.jwks_uri, header.kid.as_deref()).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| BadToken::Signature)?;
        let mut validation = Validation::new(header.alg);
        // Times are compared below, by the platform's own clock.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        let token = decode::<Map<String, Value>>(token, &key, &validation).map_err(|_| BadToken::Signature)?;
        claims(provider, &token.claims, self.world.now() / 1000)
    }

    /// The key of that id; without an id the only one there is.
    async fn key(&self, uri: &str, id: Option<&str>) -> Result<Jwk, BadToken> {
        let of = |keys: &JwkSet| match id {
            Some(id) => keys.find(id).cloned(),
            None => keys.keys.first().filter(|_| keys.keys.len() == 1).cloned(),
        };
        let kept = self.kept(uri);
        if let Some(kept) = &kept
            && self.age(kept) < KEEP
            && let Some(key) = of(&kept.keys)
        {
            return Ok(key);
        }
        let _one = self.fetching.lock().await;
        let kept = self.kept(uri);
        if let Some(kept) = &kept
            && self.age(kept) < AGAIN
        {
            return of(&kept.keys).ok_or(BadToken::Signature);
        }
        let keys = match (self.fetch(uri).await, kept) {
            (Some(keys), _) => keys,
            // Keys that were good a moment ago are better than nobody being let in.
            (None, Some(kept)) => kept.keys,
            (None, None) => return Err(BadToken::NoKeys),
        };
        let mut all = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= PROVIDERS {
            all.clear();
        }
        all.insert(uri.to_string(), Kept { read_at: self.world.elapsed(), keys: Arc::clone(&keys) });
        of(&keys).ok_or(BadToken::Signature)
    }

    fn kept(&self, uri: &str) -> Option<Kept> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(uri).cloned()
    }

    fn age(&self, kept: &Kept) -> Duration {
        self.world.elapsed().saturating_sub(kept.read_at)
    }

    async fn fetch(&self, uri: &str) -> Option<Arc<JwkSet>> {
        let request = Request::get(uri).header("accept", "application/json").body(Full::<Bytes>::default()).ok()?;
        let keys = match self.outbound.send(request, PATIENCE, MOST).await {
            Ok(answer) if answer.status().is_success() => read(answer.body()),
            Ok(answer) => {
                warn!(uri, status = answer.status().as_u16(), "an identity provider did not give its keys");
                None
            }
            Err(error) => {
                warn!(uri, %error, "an identity provider did not give its keys");
                None
            }
        };
        keys.map(Arc::new)
    }
}

/// Keys of kinds that nobody here knows are left out; the others count.
fn read(body: &[u8]) -> Option<JwkSet> {
    let set: Value = serde_json::from_slice(body).ok()?;
    let keys = set.get("keys")?.as_array()?.iter().filter_map(|key| serde_json::from_value(key.clone()).ok());
    Some(JwkSet { keys: keys.collect() })
}

/// What a token whose signature is good says; `now` in seconds since 1970.
fn claims(provider: &IdentityProviderSpec, claims: &Map<String, Value>, now: i64) -> Result<String, BadToken> {
    let seconds = |name: &str| claims.get(name).and_then(|value| value.as_i64().or(value.as_f64().map(|s| s as i64)));
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if seconds("exp").is_none_or(|end| end.saturating_add(LEEWAY) <= now)
        || seconds("nbf").is_some_and(|begin| begin.saturating_sub(LEEWAY) > now)
    {
        return Err(BadToken::Time);
    }
    if text("iss") != Some(&provider.identity_provider.issuer) {
        return Err(BadToken::Issuer);
    }
    let ours = &provider.identity_provider.audiences;
    let is_ours = |audience: &Value| audience.as_str().is_some_and(|audience| ours.iter().any(|own| own == audience));
    let fits = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !ours.is_empty() && !fits {
        return Err(BadToken::Audience);
    }
    let user = match claims.get(&provider.user_id_claim) {
        Some(Value::String(user)) => user.trim().to_string(),
        Some(Value::Number(user)) => user.to_string(),
        _ => String::new(),
    };
    // It becomes the value of a header.
    if user.is_empty() || user.len() > 320 || user.chars().any(char::is_control) {
        return Err(BadToken::User);
    }
    if !provider.allowed_domains.is_empty() {
        let address = text("email").unwrap_or(&user);
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        let may = provider.allowed_domains.iter().any(|own| Some(own.to_ascii_lowercase()) == domain);
        if !may || claims.get("email_verified") == Some(&Value::Bool(false)) {
            return Err(BadToken::Domain);
        }
    }
    Ok(user)
}

impl From<BadToken> for ApiError {
    fn from(why: BadToken) -> ApiError {
        ApiError::BadIdentity(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn provider() -> IdentityProviderSpec {
        let spec = json!({"host": "portal.example.com", "userIDClaim": "sub", "allowedDomains": ["Example.com"],
            "identityProvider": {"issuer": "https://id.test", "jwksUri": "https://id.test/keys", "audiences": ["us"]}});
        serde_json::from_value(spec).unwrap()
    }

    fn said(change: Value) -> Result<String, BadToken> {
        let mut all = json!({"iss": "https://id.test", "aud": ["them", "us"], "exp": NOW + 60, "sub": "u-7",
            "email": "ada@example.com"});
        for (name, value) in change.as_object().unwrap() {
            all[name] = value.clone();
        }
        claims(&provider(), all.as_object().unwrap(), NOW)
    }

    #[test]
    fn a_token_counts_only_if_all_of_it_does() {
        assert_eq!(said(json!({})).as_deref(), Ok("u-7"));
        assert_eq!(said(json!({"aud": "us", "sub": 7, "exp": NOW - 29})).as_deref(), Ok("7"));
        for (change, why) in [
            (json!({"exp": NOW - 30}), BadToken::Time),
            (json!({"exp": null}), BadToken::Time),
            (json!({"nbf": NOW + 31}), BadToken::Time),
            (json!({"iss": "https://id.test/"}), BadToken::Issuer),
            (json!({"aud": "them"}), BadToken::Audience),
            (json!({"aud": null}), BadToken::Audience),
            (json!({"sub": ""}), BadToken::User),
            (json!({"sub": "a\r\nx-admin: 1"}), BadToken::User),
            (json!({"email": "ada@example.com.evil.test"}), BadToken::Domain),
            (json!({"email_verified": false}), BadToken::Domain),
        ] {
            assert_eq!(said(change.clone()), Err(why), "{change}");
        }
    }

    #[test]
    fn a_platforms_key_is_no_token() {
        let of = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            carried(&headers).map(str::to_string)
        };
        // {"alg":"RS256"}.{}.x
        assert!(of("Bearer eyJhbGciOiJSUzI1NiJ9.e30.eA").is_some());
        for value in ["Bearer ra_live_abc", "Bearer a.b.c", "Basic eyJhbGciOiJSUzI1NiJ9.e30.eA", "x"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
