//! Identity providers: registered, checked, taken away.

use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

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
