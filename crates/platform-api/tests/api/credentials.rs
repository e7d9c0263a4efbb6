//! Credentials of the platform's own: tokens by client credentials, signatures for AWS, and what their registration asks.

use std::time::Duration;

use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::authority::{Authority, Mood, SECRET};
use crate::quiet::Stage;
use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_token_is_fetched_once_for_all_and_renewed_before_its_end,
    replicas_share_a_token,
    a_token_that_the_tool_does_not_take_is_renewed_once,
    a_client_that_is_refused_in_a_header_comes_in_the_body,
    what_gives_no_token_is_said_and_tells_no_secret,
    a_tool_that_was_changed_or_taken_away_leaves_no_token,
    an_authorization_server_is_out_of_reach_where_its_tool_would_be,
    what_could_not_work_is_refused_when_it_is_registered,
    a_call_of_aws_arrives_signed,
);

async fn stage(platform: Platform, authority: &Authority) -> Stage {
    let stage = Stage::over(platform.app.store().clone(), |config| config.credentials.token_seconds = 1).await;
    stage.platform.post("/api/tools", authority.tool("calendar", false)).await.expect(201);
    stage.agent("helper", &["calendar"]).await;
    stage
}

async fn a_token_is_fetched_once_for_all_and_renewed_before_its_end(platform: Platform) {
    let authority = Authority::start().await;
    let stage = stage(platform, &authority).await;
    let calls = join_all((0..12).map(|_| stage.calls("helper", "calendar/events?limit=1", None))).await;
    for reply in calls {
        assert_eq!(reply.expect(200), json!({"for": "the platform"}));
    }
    assert_eq!(authority.fetched(), 1);
    let called = authority.inner().called.clone();
    assert!(called.iter().all(|(path, shown)| path == "/tool/events?limit=1" && shown == &called[0].1), "{called:?}");
    stage.platform.world.advance(Duration::from_secs(3539));
    stage.calls("helper", "calendar/events", None).await.expect(200);
    assert_eq!(authority.fetched(), 1);
    stage.platform.world.advance(Duration::from_secs(1));
    for reply in join_all((0..5).map(|_| stage.calls("helper", "calendar/events", None))).await {
        reply.expect(200);
    }
    assert_eq!(authority.fetched(), 2);
    // While it is good, nobody is stopped because the next one cannot be had.
    authority.inner().mood = Mood::Down;
    stage.platform.world.advance(Duration::from_secs(3590));
    stage.calls("helper", "calendar/events", None).await.expect(200);
    stage.platform.world.advance(Duration::from_secs(10));
    stage.calls("helper", "calendar/events", None).await.refused(502);
}

async fn replicas_share_a_token(platform: Platform) {
    let authority = Authority::start().await;
    let first = stage(platform, &authority).await;
    let second = Stage::over(first.platform.app.store().clone(), |_| {}).await;
    let (one, other) =
        tokio::join!(first.calls("helper", "calendar/a", None), second.calls("helper", "calendar/b", None));
    assert_eq!([one.expect(200), other.expect(200)], [json!({"for": "the platform"}), json!({"for": "the platform"})]);
    assert_eq!(authority.fetched(), 1);
}

async fn a_token_that_the_tool_does_not_take_is_renewed_once(platform: Platform) {
    let authority = Authority::start().await;
    authority.inner().lifetime = None;
    let stage = stage(platform, &authority).await;
    stage.calls("helper", "calendar/a", None).await.expect(200);
    stage.platform.world.advance(Duration::from_secs(1_000_000));
    stage.calls("helper", "calendar/a", None).await.expect(200);
    assert_eq!(authority.fetched(), 1, "nobody said that it ends");
    authority.revoke_access();
    for reply in join_all((0..5).map(|_| stage.calls("helper", "calendar/a", None))).await {
        reply.expect(200);
    }
    assert_eq!(authority.fetched(), 2);
    // A tool that takes none is heard, and the server is not asked again and again for one call.
    authority.inner().called.clear();
    authority.revoke_access();
    authority.inner().mood = Mood::Down;
    let reply = stage.calls("helper", "calendar/a", None).await;
    assert_eq!(reply.expect(401), json!({"error": "invalid_token"}), "what the tool says is the better answer");
    let called = authority.inner().called.len();
    assert_eq!([called, authority.fetched()], [1, 3]);
}

async fn a_client_that_is_refused_in_a_header_comes_in_the_body(platform: Platform) {
    let authority = Authority::start().await;
    authority.inner().lets_in = vec!["post"];
    let stage = stage(platform, &authority).await;
    stage.calls("helper", "calendar/a", None).await.expect(200);
    assert_eq!(authority.fetched(), 2);
    // Once it is known, it comes that way at once; or from the first time, where it was registered so.
    stage.platform.world.advance(Duration::from_secs(3600));
    stage.calls("helper", "calendar/a", None).await.expect(200);
    assert_eq!(authority.fetched(), 3);
    let mut tool = authority.tool("mail", false);
    tool["spec"]["connection"]["authentication"]["oauth2Config"]["tokenEndpointAuthMethod"] =
        json!("client_secret_post");
    stage.platform.delete("/api/tools/calendar").await.expect(200);
    stage.platform.post("/api/tools", tool).await.expect(201);
    stage.agent("mailer", &["mail"]).await;
    stage.calls("mailer", "mail/a", None).await.expect(200);
    assert_eq!(authority.fetched(), 4);
}

async fn what_gives_no_token_is_said_and_tells_no_secret(platform: Platform) {
    let authority = Authority::start().await;
    let stage = stage(platform, &authority).await;
    let asked = stage.asked("helper", "alice").await;
    for (mood, why) in [
        (Mood::Down, "its token endpoint answered 503 and no error of OAuth"),
        (Mood::Silent, "its token endpoint did not answer within 1 seconds"),
        (Mood::Huge, "its token endpoint answered more than 65536 bytes"),
        (Mood::Page, "its token endpoint answered something that is no JSON object"),
        (Mood::Elsewhere, "its token endpoint answered 302 and no error of OAuth"),
        (Mood::Talkative, "its authorization server says server_error: ******** client_credentials read write"),
    ] {
        authority.inner().mood = mood;
        let reply = stage.calls("helper", "calendar/a", Some(&asked)).await;
        let said = reply.refused(502);
        let expected = format!("no token for the tool \"calendar\": {why}");
        let sorted = |text: &str| {
            let mut words: Vec<_> = text.split(' ').map(str::to_string).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(&said), sorted(&expected), "{mood:?}");
    }
    // Who waited for somebody else's attempt does not make another: the server gets one request, not five.
    authority.inner().mood = Mood::Silent;
    let before = authority.fetched();
    for reply in join_all((0..5).map(|_| stage.calls("helper", "calendar/a", None))).await {
        reply.refused(502);
    }
    assert_eq!(authority.fetched(), before + 1);
    assert!(authority.inner().called.is_empty());
    authority.inner().mood = Mood::Strict;
    authority.inner().lets_in = vec![];
    let said = stage.calls("helper", "calendar/a", None).await.refused(502);
    assert!(said.ends_with("its authorization server says invalid_client: <b>invalid_client</b>"), "{said}");
    let mut kept = json!(stage.events(&asked).await).to_string();
    let mut tx = stage.platform.app.store().read().await.unwrap();
    kept += &format!(
        "{:?}{:?}",
        tx.changes("default", 100).await.unwrap(),
        tx.token("default", "calendar", "client").await
    );
    assert!(!kept.contains(SECRET) && !kept.contains("access-"), "{kept}");
}

async fn a_tool_that_was_changed_or_taken_away_leaves_no_token(platform: Platform) {
    let authority = Authority::start().await;
    let stage = stage(platform, &authority).await;
    stage.calls("helper", "calendar/a", None).await.expect(200);
    let mut elsewhere = authority.tool("calendar", false);
    elsewhere["spec"]["connection"]["baseUrl"] = json!(format!("{}/tool/v2", authority.url));
    stage.platform.post("/api/tools", elsewhere).await.expect(201);
    stage.agent("helper", &["calendar"]).await;
    stage.calls("helper", "calendar/a", None).await.expect(200);
    assert_eq!(authority.fetched(), 2, "what was fetched for another address is not shown there");
    let keyless = json!({"name": "calendar", "spec": authority.tool("calendar", false)["spec"],
        "credentials": {"client_id": "the-platform"}});
    stage.platform.post("/api/tools", keyless).await.expect(201);
    stage.agent("helper", &["calendar"]).await;
    let said = stage.calls("helper", "calendar/a", None).await.refused(502);
    assert_eq!(said, "the tool \"calendar\" asks for OAuth 2.0; register it with credentials.client_secret");

    stage.platform.post("/api/tools", authority.tool("calendar", false)).await.expect(201);
    stage.calls("helper", "calendar/a", None).await.expect(200);
    stage.platform.delete("/api/tools/calendar").await.expect(200);
    let mut tx = stage.platform.app.store().read().await.unwrap();
    let kept: Option<Value> = tx.unseal("default", "oauth_token", "calendar/client").await.unwrap();
    assert_eq!(kept, None);
}

async fn an_authorization_server_is_out_of_reach_where_its_tool_would_be(platform: Platform) {
    let authority = Authority::start().await;
    let stage = stage(platform, &authority).await;
    let mut outside = authority.tool("calendar", false);
    let connection = &mut outside["spec"]["connection"];
    connection["topology"] = json!("External");
    connection["baseUrl"] = json!("https://api.example.com");
    stage.platform.post("/api/tools", outside).await.expect(201);
    stage.agent("helper", &["calendar"]).await;
    let said = stage.calls("helper", "calendar/a", None).await.refused(502);
    assert!(said.ends_with("its token endpoint has an address that tools of its topology may not have"), "{said}");
    assert_eq!(authority.fetched(), 0);
}

async fn what_could_not_work_is_refused_when_it_is_registered(platform: Platform) {
    let refused = async |kind: &str, config: &str, value: Value| {
        let authentication = json!({"type": kind, config: value});
        let spec = json!({"connection": {"baseUrl": "https://api.example.com", "authentication": authentication}});
        platform.post("/api/tools", json!({"name": "t", "spec": spec})).await.refused(400)
    };
    for (config, why) in [
        (json!({"tokenUrl": "ftp://x"}), "oauth2Config.tokenUrl: \"ftp://x\" is not an http or https address"),
        (
            json!({"tokenUrl": "https://me:hush@x.io"}),
            "oauth2Config.tokenUrl: an address must not hold a user or a password",
        ),
        (json!({"authUrl": "http://login.example.com"}), "oauth2Config.authUrl must be https"),
        (json!({"tokenEndpointAuthMethod": "private_key_jwt"}), "oauth2Config.tokenEndpointAuthMethod must be"),
    ] {
        let said = refused("OAuth2", "oauth2Config", config).await;
        assert!(said.starts_with(why), "{said}");
    }
    let said = refused("AWSSignature", "awsConfig", json!({"region": "us-east-1"})).await;
    assert_eq!(said, "awsConfig.region and awsConfig.service are required with AWSSignature");
    // The flat dialects have no place for addresses; what is missing is said when it is needed.
    let flat = json!({"name": "t", "base_url": "https://api.example.com", "auth_type": "OAuth2"});
    platform.post("/api/tools", flat).await.expect(201);
}

/// HMAC-SHA256 as anybody would compute it.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn a_call_of_aws_arrives_signed(platform: Platform) {
    use axum::extract::Request;
    use std::sync::{Arc, Mutex};
    type Seen = Arc<Mutex<Vec<(String, axum::http::HeaderMap, Vec<u8>)>>>;
    let seen: Seen = Arc::default();
    let own = Arc::clone(&seen);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let routes = axum::Router::new().fallback(async move |request: Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
        own.lock().unwrap().push((parts.uri.to_string(), parts.headers, body));
        "{}"
    });
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let stage = Stage::over(platform.app.store().clone(), |_| {}).await;
    let credentials = json!({"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "hush/+key",
        "aws_session_token": "a-session"});
    let spec = json!({"connection": {"topology": "Internal", "baseUrl": format!("http://{host}"), "authentication": {
        "type": "AWSSignature", "awsConfig": {"region": "eu-central-1", "service": "dynamodb"}}}});
    let made = stage.platform.post("/api/tools", json!({"name": "table", "spec": spec, "credentials": credentials}));
    let made = made.await;
    let secret = &made.expect(201)["spec"]["connection"]["authentication"]["awsConfig"]["credentialsSecretRef"];
    assert_eq!(secret["name"], "table-credentials");
    assert!(!made.text().contains("hush"));
    stage.agent("keeper", &["table"]).await;
    stage.calls("keeper", "table/items?b=2&a=1%201", None).await.expect(200);

    let (path, headers, body) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(path, "/items?b=2&a=1%201");
    let header = |name: &str| headers[name].to_str().unwrap();
    let (time, day) = (header("x-amz-date"), &header("x-amz-date")[..8]);
    assert_eq!([time, header("x-amz-security-token")], ["20260223T101530Z", "a-session"]);
    let canonical = format!(
        "POST\n/items\na=1%201&b=2\nhost:{host}\nx-amz-date:{time}\nx-amz-security-token:a-session\n\n\
         host;x-amz-date;x-amz-security-token\n{}",
        hex(&Sha256::digest(&body))
    );
    let scope = format!("{day}/eu-central-1/dynamodb/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let parts = [day, "eu-central-1", "dynamodb", "aws4_request"];
    let key = parts.iter().fold(b"AWS4hush/+key".to_vec(), |key, part| hmac(&key, part));
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-date;x-amz-security-token, \
         Signature={}",
        hex(&hmac(&key, &text))
    );
    assert_eq!(header("authorization"), expected);
}
