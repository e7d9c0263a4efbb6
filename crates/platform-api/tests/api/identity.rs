//! Identity providers: registered, checked, taken away.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::keys::Issuer;
use crate::support::{KEY, Platform, Reply, on_both_engines};

on_both_engines!(an_identity_provider_comes_back_as_it_was_sent, an_identity_provider_must_be_usable,);

fn google() -> Value {
    json!({"name": "google-oidc", "spec": {
        "host": "portal.example.com",
        "identityProvider": {"issuer": "https://accounts.google.com",
            "jwksUri": "https://www.googleapis.com/oauth2/v3/certs", "audiences": ["portal"]},
        "userIDClaim": "email",
        "allowedDomains": ["example.com"]}})
}

async fn an_identity_provider_comes_back_as_it_was_sent(platform: Platform) {
    let put = platform.post("/api/identity-providers", google()).await.expect(201);
    assert_eq!(put["spec"], google()["spec"]);
    assert_eq!(put["namespace"], "default");
    assert_eq!(platform.get("/api/v1/identity-providers/google-oidc").await.expect(200), put);
    assert_eq!(platform.get("/api/v1/identity-providers").await.expect(200), json!([put]));
    let mut least = google();
    least["spec"].as_object_mut().unwrap().remove("allowedDomains");
    least["spec"]["identityProvider"].as_object_mut().unwrap().remove("audiences");
    let least = platform.post("/api/v1/identity-providers", least).await.expect(201);
    assert_eq!(least["spec"]["allowedDomains"], json!([]));
    assert_eq!(platform.delete("/api/identity-providers/google-oidc").await.expect(200), json!({"status": "deleted"}));
    let gone = platform.get("/api/identity-providers/google-oidc").await.refused(404);
    assert_eq!(gone, "identity provider \"google-oidc\" not found");
}

async fn an_identity_provider_must_be_usable(platform: Platform) {
    let pointers = async |change: fn(&mut Value)| {
        let mut body = google();
        change(&mut body["spec"]);
        let wrong = platform.post("/api/identity-providers", body).await.expect(400);
        let pointer = |error: &Value| error["pointer"].as_str().unwrap().trim_start_matches("/spec/").to_string();
        wrong["errors"].as_array().unwrap().iter().map(pointer).collect::<Vec<_>>()
    };
    assert_eq!(
        pointers(|spec| *spec = json!({})).await,
        ["host", "identityProvider/issuer", "identityProvider/jwksUri", "userIDClaim"]
    );
    let unsafe_keys =
        |spec: &mut Value| spec["identityProvider"]["jwksUri"] = json!("http://accounts.google.com/certs");
    assert_eq!(pointers(unsafe_keys).await, ["identityProvider/jwksUri"]);
    assert_eq!(pointers(|spec| spec["host"] = json!("https://portal.example.com/x")).await, ["host"]);
    assert_eq!(pointers(|spec| spec["allowedDomains"] = json!(["a.io", "@b.io"])).await, ["allowedDomains/1"]);
    let mut local = google();
    local["spec"]["identityProvider"]["jwksUri"] = json!("http://localhost:9000/certs");
    platform.post("/api/identity-providers", local).await.expect(201);
}

/// An agent behind an identity provider whose keys are where the test says. Nothing runs it: whoever is let in is told so.
async fn behind(issuer: &Issuer) -> Platform {
    let platform = Platform::on_sqlite().await;
    platform.post("/api/identity-providers", issuer.provider("id")).await.expect(201);
    for (name, provider) in [("guarded", json!("id")), ("plain", Value::Null)] {
        let files = json!({"agent.py": "def handler(request):\n    return 1\n"});
        let body = json!({"name": name, "files": files, "identity_provider": provider});
        platform.post("/api/deploy", body).await.expect(200);
    }
    platform
}

async fn asks(platform: &Platform, agent: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::post(format!("/api/v1/agents/{agent}/invoke"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    platform.send(request.body(Body::from("{}")).unwrap()).await
}

fn is_let_in(reply: &Reply) -> bool {
    match reply.status.as_u16() {
        502 => true,
        401 => false,
        other => panic!("{other}: {}", reply.text()),
    }
}

#[tokio::test]
async fn a_token_opens_the_agent_it_is_for_and_nothing_else() {
    let issuer = Issuer::start().await;
    let platform = behind(&issuer).await;
    let now = platform.world.now() / 1000;
    let good = format!("Bearer {}", issuer.token(json!({"exp": now + 60, "sub": "ada"})));
    let (key, key_beside) = (format!("Bearer {KEY}"), ("x-runagents-api-key", KEY));
    let token = ("authorization", good.as_str());
    assert!(is_let_in(&asks(&platform, "guarded", &[token]).await));
    assert!(is_let_in(&asks(&platform, "guarded", &[token, key_beside]).await));
    assert!(is_let_in(&asks(&platform, "guarded", &[("authorization", &key)]).await), "an operator's call");
    assert!(is_let_in(&asks(&platform, "plain", &[token, key_beside]).await), "the key is enough");
    // What it is not for, and what there is not, look the same to whoever has no key.
    assert!(!is_let_in(&asks(&platform, "plain", &[token]).await));
    assert!(!is_let_in(&asks(&platform, "missing", &[token]).await));
    assert!(!is_let_in(&asks(&platform, "guarded", &[]).await));
    for path in ["/api/v1/agents", "/runs", "/api/v1/agents/guarded", "/api/v1/agents/guarded/logs"] {
        let request = Request::get(path).header("authorization", &good).body(Body::empty()).unwrap();
        assert_eq!(platform.send(request).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn an_answer_is_never_repeated_to_another_end_user() {
    let issuer = Issuer::start().await;
    let platform = behind(&issuer).await;
    let end = platform.world.now() / 1000 + 60;
    let [ada, eve] = ["ada", "eve"].map(|user| format!("Bearer {}", issuer.token(json!({"exp": end, "sub": user}))));
    let asks = async |token: &str| {
        let headers = [("authorization", token), ("x-runagents-api-key", KEY), ("idempotency-key", "same")];
        let mut request = Request::post("/api/v1/starter-kit");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        platform.send(request.body(Body::from("{}")).unwrap()).await
    };
    assert_eq!(asks(&ada).await.status, 201);
    assert_eq!(asks(&ada).await.header("idempotent-replayed"), "true");
    assert_eq!(asks(&eve).await.status, 422);
}

#[tokio::test]
async fn a_token_that_is_not_the_providers_is_refused_even_beside_a_key() {
    let issuer = Issuer::start().await;
    let platform = behind(&issuer).await;
    let now = platform.world.now() / 1000;
    let claims = json!({"iss": issuer.name(), "exp": now + 60, "sub": "ada"});
    let other = Issuer::start().await;
    let part = |value: Value| BASE64.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(json!({"alg": "none"})), part(claims.clone()));
    let symmetric = Header { alg: Algorithm::HS256, kid: Some("first".into()), ..Header::default() };
    // Whoever takes the public key for a secret would believe this one.
    let symmetric = encode(&symmetric, &claims, &EncodingKey::from_secret(&issuer.public())).unwrap();
    let mut tampered = issuer.token(json!({"exp": now + 60, "sub": "ada"}));
    let from = tampered.find('.').unwrap() + 1;
    let to = tampered.rfind('.').unwrap();
    tampered.replace_range(from..to, &part(json!({"iss": issuer.name(), "exp": now + 60, "sub": "eve"})));
    for (what, token) in [
        ("expired", issuer.token(json!({"exp": now - 60, "sub": "ada"}))),
        ("without an end", issuer.token(json!({"sub": "ada"}))),
        ("without a user", issuer.token(json!({"exp": now + 60}))),
        ("of another issuer", issuer.token(json!({"exp": now + 60, "sub": "ada", "iss": "https://elsewhere.test"}))),
        ("signed by another", other.token(json!({"exp": now + 60, "sub": "ada", "iss": issuer.name()}))),
        ("with a secret", symmetric),
        ("changed", tampered),
    ] {
        let shown = format!("Bearer {token}");
        let reply = asks(&platform, "guarded", &[("authorization", &shown), ("x-runagents-api-key", KEY)]).await;
        assert!(!is_let_in(&reply), "{what}");
        assert!(!reply.text().contains(&token), "{what}");
    }
    // Without a signature it is no token at all, and without a key nobody comes in.
    assert!(!is_let_in(&asks(&platform, "guarded", &[("authorization", &format!("Bearer {unsigned}"))]).await));
}

#[tokio::test]
async fn keys_are_fetched_again_when_the_provider_changes_them_and_kept_when_it_is_away() {
    let issuer = Issuer::start().await;
    let platform = behind(&issuer).await;
    let asks = async |issuer: &Issuer| {
        let token = issuer.token(json!({"exp": platform.world.now() / 1000 + 60, "sub": "ada"}));
        is_let_in(&asks(&platform, "guarded", &[("authorization", &format!("Bearer {token}"))]).await)
    };
    assert!(asks(&issuer).await);
    assert!(asks(&issuer).await);
    assert_eq!(issuer.times_asked(), 1);
    let rotated = issuer.rotate("second");
    // Strangers' key ids do not make the platform ask more often.
    assert!(!asks(&rotated).await);
    assert_eq!(issuer.times_asked(), 1);
    platform.world.advance(Duration::from_secs(11));
    assert!(asks(&rotated).await);
    assert!(!asks(&issuer).await, "the key before is nobody's any more");
    issuer.go_away();
    platform.world.advance(Duration::from_secs(600));
    assert!(asks(&rotated).await);
}
