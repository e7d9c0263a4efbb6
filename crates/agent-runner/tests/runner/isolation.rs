//! What an agent can reach, and what it cannot.

use agent_runner::{Isolation, Limits};
use serde_json::json;

use crate::support::Host;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn an_agent_reaches_its_gateway_and_nothing_else() {
    let host = Host::new("netns", Isolation::Netns).await;
    let agent = host.obedient("default.one", &[], Limits::default()).await;
    let seen =
        host.run(&agent, "import os; result = [os.environ['GIVEN'], os.getcwd(), sorted(os.listdir('/'))]").await;
    println!("{seen}");
    let called = host
        .run(
            &agent,
            "import urllib.request, json\n\
             result = [json.load(urllib.request.urlopen(url)) for url in ['https://api.stripe.com/v1/charges', \
             'http://example.com/', 'http://127.0.0.1:8099/llm', 'http://db.internal:9000/x']]",
        )
        .await;
    let known: Vec<_> = called
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!([one["name"], one["port"], one["gateway"], one["tls"]]))
        .collect();
    assert_eq!(
        known,
        [
            json!(["api.stripe.com", 443, false, true]),
            json!(["example.com", 80, false, false]),
            json!([null, 8099, true, false]),
            json!(["db.internal", 9000, false, false]),
        ]
    );
}
