//! End users reach an agent with a token of its identity provider, and the agent is told who they are by nobody else.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::keys::Issuer;
use crate::support::Host;

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn an_agent_learns_from_a_token_alone_who_asks() {
    let host = Host::start("running-identity").await;
    let issuer = Issuer::start().await;
    host.post("/api/identity-providers", issuer.provider("id")).await.expect(201);
    let code = "def handler(request):\n    return str(request.get('user_id'))\n";
    host.deploy("guarded", &[("agent.py", code)], json!({"identity_provider": "id"})).await.expect(200);
    host.until("guarded", "Running").await;

    let path = "/api/agents/default/guarded/invoke";
    let body = json!({"message": "who am I?"});
    #[expect(clippy::disallowed_methods, reason = "a token is valid by the platform's clock, which is the real one")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = format!("Bearer {}", issuer.token(json!({"exp": now + 600, "sub": "ada@example.com"})));
    let forged = ("x-end-user-id", "root");
    let reply = host.ask("POST", path, &[("authorization", &token), forged], Some(body.clone())).await;
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    assert_eq!(reply.expect(200)["response"], "ada@example.com");
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["user_id"], "ada@example.com");

    // Another user's run is not theirs to go on with.
    let others = host.post("/runs", json!({"agent_id": "guarded", "user_id": "grace@example.com"})).await.expect(201);
    let others = others["id"].as_str().unwrap();
    let headers = [("authorization", token.as_str()), ("x-run-id", others)];
    let reply = host.ask("POST", path, &headers, Some(body.clone())).await;
    assert_eq!(reply.expect(200)["response"], "ada@example.com");
    assert_ne!(reply.headers["x-run-id"], others);

    // An operator's call names nobody, whatever it says.
    let reply = host.call("POST", path, &[forged], Some(body.clone())).await;
    assert!(["None", ""].contains(&reply.expect(200)["response"].as_str().unwrap()), "{}", reply.text);
    let nobody = host.ask("POST", path, &[], Some(body)).await;
    nobody.expect(401);
}
