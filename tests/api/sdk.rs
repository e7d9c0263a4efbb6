//! The published client against a running server.

use std::path::PathBuf;

use ingestion_server::web::Keys;
use tokio::process::Command;

use crate::app::App;
use crate::network::Server;

const KEY: &str = "ra_live_0123456789abcdef0123456789abcdef";

/// What a user of the SDK writes.
const SCRIPT: &str = r#"
import sys
from runagents import Client
from runagents.client import APIError

endpoint, key = sys.argv[1:]
result = Client(endpoint=endpoint, api_key=key).analyze({"agent.py": "import requests\n"})
assert result.id.startswith("analysis-"), result
assert result.entry_point == "agent.py", result
assert result.detected_requirements == ["requests"], result
for attempt, status in [(Client(endpoint=endpoint, api_key=key), 400), (Client(endpoint=endpoint, api_key="no"), 401)]:
    try:
        attempt.analyze({})
    except APIError as error:
        assert error.status == status and isinstance(error.detail["error"], str), error
    else:
        raise AssertionError("no error")
print("analyzed", result.id)
"#;

#[tokio::test]
#[ignore = "needs the published SDK; `cargo xtask test` installs it"]
async fn the_published_sdk_analyzes() {
    let app = App::new();
    let server = Server::start(app.ingestion.alone(Some(Keys::new([Keys::hash(KEY)])))).await;
    let endpoint = format!("http://{}", server.address);
    let output = Command::new(python()).args(["-c", SCRIPT, &endpoint, KEY]).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.starts_with("analyzed analysis-"), "{out}{err}");
    server.stop().await;
}

/// In the folder where `cargo xtask test` puts it, beside the build.
fn python() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    target.join("sdk/bin/python")
}
