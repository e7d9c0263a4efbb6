//! Enrichment by a model: the real client against an endpoint in this process that answers what the test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ingestion_server::enrichment::{Client, Enricher};
use ingestion_server::web::World;
use ingestion_server::{Config, Ingestion};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::app::{App, Reply, files};

const AGENT: &str = "import requests\n\ndef handle(city):\n    return requests.get('https://api.weather.io/now')\n";

/// A model's endpoint that says what it is told to and remembers what it was sent.
#[derive(Clone, Default)]
struct Stub {
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    says: Arc<Mutex<Says>>,
}

#[derive(Clone, Default)]
enum Says {
    Content(String),
    Body(StatusCode, String),
    #[default]
    Nothing,
}

impl Stub {
    fn new(says: Says) -> Stub {
        let stub = Stub::default();
        stub.say(says);
        stub
    }

    fn suggesting(suggestion: Value) -> Stub {
        Stub::new(Says::Content(suggestion.to_string()))
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn received(&self) -> Vec<(HeaderMap, String)> {
        self.received.lock().unwrap().clone()
    }

    /// A server that enriches by asking this stub.
    async fn app(&self) -> App {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        app(&format!("http://{address}/v1/chat/completions"))
    }
}

async fn answer(State(stub): State<Stub>, headers: HeaderMap, body: String) -> Response {
    stub.received.lock().unwrap().push((headers, body));
    let says = stub.says.lock().unwrap().clone();
    match says {
        Says::Content(content) => json!({"choices": [{"message": {"content": content}}]}).to_string().into_response(),
        Says::Body(status, body) => (status, body).into_response(),
        Says::Nothing => std::future::pending().await,
    }
}

fn app(endpoint: &str) -> App {
    let mut config = Config::default();
    config.enrichment.enabled = true;
    config.enrichment.endpoint = endpoint.into();
    let client = Client::from_config(&config.enrichment, |_| Some("key-of-the-test".into())).unwrap();
    let enricher = client.map(|client| Arc::new(client) as Arc<dyn Enricher>);
    let world = World::staged();
    let ingestion = Ingestion::with(&config, world.clone(), Arc::new(analyzer_core::analyze), enricher);
    App { router: ingestion.alone(None), world, ingestion }
}

fn notes(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 201);
    let json = reply.json();
    let notes = json["notes"].as_array().unwrap().iter().filter(|note| note["code"] == "enrichment");
    notes.map(|note| note["message"].as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_suggestion_is_added_marked_and_kept() {
    let stub = Stub::suggesting(json!({
        "system_prompt": "You tell the weather.",
        "tools": [
            {"name": "weather_api", "file": "agent.py", "line": 4, "description": "Found already."},
            {"name": "forecast", "file": "agent.py", "line": 3, "description": "Tells the weather of a city."},
        ],
    }));
    let app = stub.app().await;
    let reply = app.analyze(AGENT).await;
    assert_eq!(notes(&reply), [""; 0]);
    let analysis = reply.json();
    assert_eq!(analysis["system_prompt_suggestion"], "You tell the weather.");
    let tools = analysis["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 2);
    assert_eq!(tools[0]["name"], "forecast");
    assert_eq!((&tools[0]["source"], &tools[0]["kind"]), (&json!("llm"), &json!("function")));
    assert_eq!((&tools[1]["name"], tools[1].get("source")), (&json!("weather-api"), None));

    let again = app.analyze(AGENT).await;
    let by_id = app.get(&format!("/analysis/{}", analysis["id"].as_str().unwrap())).await;
    assert_eq!((&again.body, &by_id.body), (&reply.body, &reply.body));
    assert_eq!(stub.received().len(), 1);
}

#[tokio::test]
async fn the_endpoint_is_asked_as_it_is_configured() {
    let stub = Stub::suggesting(json!({}));
    stub.app().await.analyze(AGENT).await;
    let (headers, body) = stub.received().remove(0);
    assert_eq!(headers["authorization"], "Bearer key-of-the-test");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["model"], "gpt-4o-mini");
    let shown: Value = serde_json::from_str(body["messages"][1]["content"].as_str().unwrap()).unwrap();
    assert_eq!(shown["files"], json!([{"path": "agent.py", "text": AGENT}]));
    assert_eq!(shown["known_tools"], json!(["weather-api"]));
}

#[tokio::test]
async fn what_the_endpoint_does_wrong_is_a_note_and_the_findings_stay() {
    let rest = "; the findings of the analyzer are complete without it";
    let not_json = "the model's answer was not the JSON that it was asked for";
    let cases = [
        (Says::Body(StatusCode::INTERNAL_SERVER_ERROR, "oops".into()), "the model's endpoint answered with status 500"),
        (Says::Body(StatusCode::TOO_MANY_REQUESTS, String::new()), "the model's endpoint answered with status 429"),
        (Says::Body(StatusCode::OK, "<html>".into()), not_json),
        (Says::Body(StatusCode::OK, "x".repeat(300_000)), "the model's answer was larger than 262144 bytes"),
        (Says::Content("I would rather talk.".into()), not_json),
        (Says::Content(r#"{"tools": [], "secrets": []}"#.into()), not_json),
    ];
    for (says, said) in cases {
        let reply = Stub::new(says).app().await.analyze(AGENT).await;
        assert_eq!(notes(&reply), [format!("{said}{rest}")]);
        assert_eq!(reply.json()["tools"][0]["name"], "weather-api");
        assert_eq!(reply.json()["system_prompt_suggestion"], "");
    }
    let nobody = app("http://127.0.0.1:1/v1/chat/completions").analyze(AGENT).await;
    assert_eq!(notes(&nobody), [format!("the model's endpoint could not be reached{rest}")]);
}

// The clock is paused and jumps when all wait.
#[tokio::test(start_paused = true)]
async fn a_model_that_says_nothing_is_not_waited_for() {
    let reply = Stub::new(Says::Nothing).app().await.analyze(AGENT).await;
    assert!(notes(&reply)[0].starts_with("the model did not answer within the time that enrichment has; "));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let reply = Stub::new(Says::Body(StatusCode::TEMPORARY_REDIRECT, String::new())).app().await.analyze(AGENT).await;
    assert!(notes(&reply)[0].starts_with("the model's endpoint answered with status 307; "));
}

#[tokio::test]
async fn after_a_failure_the_same_files_are_tried_again_in_a_while() {
    let stub = Stub::new(Says::Body(StatusCode::BAD_GATEWAY, String::new()));
    let app = stub.app().await;
    let failed = app.analyze(AGENT).await;
    let id = failed.json()["id"].as_str().unwrap().to_string();
    stub.say(Says::Content(r#"{"system_prompt": "You tell the weather."}"#.into()));
    // At once nothing would be different: the failed one is given.
    assert_eq!(app.analyze(AGENT).await.body, failed.body);
    assert_eq!(app.get(&format!("/analysis/{id}")).await.body, failed.body);
    app.world.advance(Duration::from_secs(30));
    assert_eq!(app.get(&format!("/analysis/{id}")).await.body, failed.body);
    let enriched = app.analyze(AGENT).await;
    assert_eq!(enriched.json()["system_prompt_suggestion"], "You tell the weather.");
    assert_eq!(app.get(&format!("/analysis/{id}")).await.body, enriched.body);
    assert_eq!(stub.received().len(), 2);
}

/// Text in the shape of a private key, of noise.
fn pem() -> String {
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut noise = 7u64;
    let mut line = || -> String {
        let mut next = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(BASE64[(noise >> 58) as usize])
        };
        (0..64).map(|_| next()).collect::<String>() + "\n"
    };
    let body: String = (0..24).map(|_| line()).collect();
    ["-----BEGIN RSA ", "PRIVATE KEY-----\nMIIE", &body[4..], "-----END RSA ", "PRIVATE KEY-----"].concat()
}

#[tokio::test]
async fn no_secret_leaves_the_house() {
    let key = ["gsk", "_4fTq8Zr2Lw6Xn1Vb9Ks3Hj7Pd5Mc0Ya4fTq8Zr2Lw6Xn1Vb9Ks3"].concat();
    let password = "q9Zt4vLm2XwP7rKd";
    let pem = pem();
    let inside = pem.lines().nth(5).unwrap();
    let agent = format!(
        "import groq\nclient = groq.Groq(api_key=\"{key}\")\nPEM = \"\"\"{pem}\"\"\"\n# Old: {key}\n\
         def login():\n    return connect('postgres://app:{password}@db.acme.io/app')\n"
    );
    let env = format!("DB_PASSWORD={password}\nGROQ_API_KEY={key}\n");
    let other = format!("def reset():\n    return ['{password}']\n");
    let stub = Stub::suggesting(json!({}));
    let body = files([("agent.py", &*agent), (".env", &env), ("other.py", &other)]);
    let reply = stub.app().await.post("/analyze", body).await;
    assert!(reply.json()["secrets"].as_array().unwrap().len() > 2);
    let (_, sent) = stub.received().remove(0);
    assert!(sent.contains("import groq") && sent.contains("def reset()"), "{sent}");
    for secret in [&key, password, inside, &key[10..30]] {
        assert!(!sent.contains(secret), "{secret} in {sent}");
    }
}

#[tokio::test]
async fn nothing_is_asked_by_default() {
    let config = Config::default();
    assert!(!config.enrichment.enabled);
    assert!(Client::from_config(&config.enrichment, |_| Some("key".into())).unwrap().is_none());
}
