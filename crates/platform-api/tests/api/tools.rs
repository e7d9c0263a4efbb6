//! Tools: four spellings in, one out, credentials never back.

use serde_json::json;

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    every_spelling_of_a_tool_is_understood,
    what_lacks_a_name_or_an_address_is_refused_in_the_documents_words,
    credentials_are_kept_and_never_given_back,
    a_tool_that_is_gone_is_gone_for_both_surfaces,
    a_probe_tells_who_is_there,
    a_probe_does_not_look_around_inside,
);

async fn every_spelling_of_a_tool_is_understood(platform: Platform) {
    let url = "https://api.stripe.com";
    let spellings = [
        json!({"name": "documents", "spec": {"connection": {"baseUrl": url, "authentication": {"type": "APIKey"}}}}),
        json!({"name": "flat", "base_url": url, "auth_type": "APIKey", "description": "d"}),
        json!({"name": "file", "description": "d", "connection": {"baseUrl": url, "authentication": {"type": "APIKey"}},
            "governance": {"accessControl": {"mode": "Restricted"}}, "riskTags": ["financial"]}),
        json!({"name": "consent", "baseUrl": url, "auth": {"type": "apikey"}}),
        json!({"name": "guide", "spec": {"authType": "ApiKey", "connection": {"baseUrl": url}}}),
    ];
    for spelling in spellings {
        let tool = platform.post("/api/tools", spelling.clone()).await.expect(201);
        assert_eq!(tool["spec"]["connection"]["baseUrl"], url, "{spelling}");
        assert_eq!(tool["spec"]["connection"]["authentication"]["type"], "APIKey", "{spelling}");
        assert_eq!(tool["spec"]["connection"]["port"], 443);
        assert_eq!(tool["status"]["phase"], "Pending");
        assert_eq!(tool["namespace"], "agent-system");
        assert_eq!(tool["base_url"], url);
    }
    let file = platform.get("/api/v1/tools/file").await.expect(200);
    assert_eq!(file["spec"]["governance"]["accessControl"]["mode"], "Restricted");
    assert_eq!([&file["access_mode"], &file["spec"]["accessMode"]], ["Restricted", "Restricted"]);
    assert_eq!(file["spec"]["riskTags"], json!(["financial"]));
    assert_eq!(platform.get("/api/v1/tools").await.expect(200).as_array().unwrap().len(), 5);
}

async fn what_lacks_a_name_or_an_address_is_refused_in_the_documents_words(platform: Platform) {
    for body in
        [json!({}), json!({"name": "a"}), json!({"base_url": "https://a.io"}), json!({"name": "", "base_url": "x"})]
    {
        let refusal = platform.post("/api/tools", body).await.refused(400);
        assert_eq!(refusal, "tool name and base_url are required");
    }
    let wrong = platform.post("/api/tools", json!({"name": "a", "base_url": "stripe"})).await.expect(400);
    assert_eq!(
        wrong["errors"],
        json!([{"pointer": "/base_url", "message": "\"stripe\" is not an http or https address"}])
    );
    let wrong =
        platform.post("/api/tools", json!({"name": "a", "spec": {"connection": {"port": "x"}}})).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/spec/connection/port", "{wrong}");
    assert_eq!(platform.get("/api/tools/none").await.refused(404), "tool \"none\" not found");
}

async fn credentials_are_kept_and_never_given_back(platform: Platform) {
    let secret = "sk_a-secret-of-the-tests";
    let body = json!({"name": "stripe", "base_url": "https://api.stripe.com", "auth_type": "APIKey",
        "credentials": {"api_key": secret}});
    let put = platform.post("/api/tools", body).await;
    let reference = &put.expect(201)["spec"]["connection"]["authentication"]["apiKeyConfig"]["secretRef"]["name"];
    assert_eq!(reference, "stripe-credentials");
    let answers = [put, platform.get("/api/tools").await, platform.get("/api/v1/tools/stripe").await];
    assert!(answers.iter().all(|answer| !answer.text().contains(secret)));

    let mut tx = platform.app.store().read().await.unwrap();
    let kept: Option<serde_json::Value> = tx.unseal("default", "tool", "stripe").await.unwrap();
    assert_eq!(kept.unwrap()["api_key"], secret);
}

async fn a_tool_that_is_gone_is_gone_for_both_surfaces(platform: Platform) {
    platform.post("/api/v1/tools", json!({"name": "a", "base_url": "https://a.io"})).await.expect(201);
    assert_eq!(platform.delete("/api/tools/a").await.expect(200), json!({"status": "deleted"}));
    platform.get("/api/v1/tools/a").await.refused(404);
    assert_eq!(platform.delete("/api/v1/tools/a").await.refused(404), "tool \"a\" not found");
    assert_eq!(platform.call("PATCH", "/api/v1/tools/a", None).await.refused(405), "this path does not answer PATCH");
    assert_eq!(platform.get("/api/v1/nothing").await.refused(404), "path not found");
}

async fn a_probe_tells_who_is_there(platform: Platform) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let closed = axum::Router::new().fallback(async || axum::http::StatusCode::UNAUTHORIZED);
    tokio::spawn(async move { axum::serve(listener, closed).await });
    let probe = platform
        .post("/api/tools/probe", json!({"url": format!("http://{address}"), "topology": "Internal"}))
        .await
        .expect(200);
    assert_eq!([&probe["reachable"], &probe["status_code"]], [&json!(true), &json!(401)]);
    let probe = platform
        .post("/api/tools/probe", json!({"url": "http://127.0.0.1:1", "topology": "Internal"}))
        .await
        .expect(200);
    assert_eq!([&probe["reachable"], &probe["message"]], [&json!(false), &json!("no connection")]);
    assert_eq!(platform.post("/api/tools/probe", json!({})).await.refused(400), "url is required");

    let tool = json!({"name": "here", "base_url": format!("http://{address}"), "topology": "Internal"});
    platform.post("/api/tools", tool).await.expect(201);
    platform.post("/api/tools/here/test", json!({})).await.expect(200);
    assert_eq!(platform.get("/api/tools/here").await.expect(200)["status"]["phase"], "Available");
}

async fn a_probe_does_not_look_around_inside(platform: Platform) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = seen.clone();
    let inside = axum::Router::new().fallback(async move || {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        "inside"
    });
    tokio::spawn(async move { axum::serve(listener, inside).await });
    let probe = async |url: String, topology: &str| {
        let probe = platform.post("/api/tools/probe", json!({"url": url, "topology": topology})).await.expect(200);
        assert_eq!([&probe["reachable"], &probe["status_code"]], [&json!(false), &json!(0)], "{url}");
        probe["message"].as_str().unwrap().to_string()
    };
    // A name is as good as the address that it stands for, however that is spelt.
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "127.1"] {
        let message = probe(format!("http://{host}:{port}"), "External").await;
        assert!(message.starts_with("this address is not outside"), "{host}: {message}");
    }
    for host in ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "0.0.0.0", "2852039166"] {
        assert_eq!(probe(format!("http://{host}/latest/meta-data"), "Internal").await, "this address may not be asked");
    }
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 0);
    let wrong = json!({"url": "http://a.io", "topology": "Sideways"});
    assert_eq!(platform.post("/api/tools/probe", wrong).await.expect(400)["errors"][0]["pointer"], "/topology");

    // So does a tool's own test.
    for (name, topology, phase) in [("out", "External", "Unreachable"), ("in", "Internal", "Available")] {
        let tool = json!({"name": name, "base_url": format!("http://localhost:{port}"), "topology": topology});
        platform.post("/api/tools", tool).await.expect(201);
        platform.post(&format!("/api/tools/{name}/test"), json!({})).await.expect(200);
        assert_eq!(platform.get(&format!("/api/tools/{name}")).await.expect(200)["status"]["phase"], phase);
    }
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 1);
}
