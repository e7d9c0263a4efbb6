//! A started platform with its runner, and whoever asks it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::Full;
use ingestion_server::web::Outbound;
use serde_json::{Value, json};

use crate::binary::{KEY, Platform};
use crate::model::{self, Model};
use crate::runner::with_runner;

/// Patience, not a measurement: what is waited for comes much sooner.
const LONG: Duration = Duration::from_secs(240);

/// A platform, and a model that it may ask.
pub struct Host {
    pub platform: Platform,
    pub model: Model,
    http: Outbound,
}

/// What came back.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Host {
    pub async fn start(name: &str) -> Host {
        Host::start_with(name, &[]).await
    }

    /// With these variables in the platform's environment.
    pub async fn start_with(name: &str, variables: &[(&str, &str)]) -> Host {
        let platform = Platform::start(name, |command| {
            with_runner(command);
            command.envs(variables.iter().copied());
        });
        let host = Host::over(platform, Model::start().await);
        host.post("/api/starter-kit", json!({})).await.expect(200);
        host.register_model().await;
        host
    }

    /// The same platform after its end.
    pub async fn again(self, name: &str) -> Host {
        let Host { platform, model, .. } = self;
        drop(platform);
        let host = Host::over(Platform::again(name, with_runner), model);
        host.register_model().await;
        host
    }

    /// One that is started already.
    pub fn over(platform: Platform, model: Model) -> Host {
        Host { platform, model, http: Outbound::plain() }
    }

    async fn register_model(&self) {
        let endpoint = format!("http://{}", self.model.address);
        for (name, provider, models) in
            [("playground-llm", "openai", &["gpt-4o-mini"][..]), ("claude", "anthropic", &["claude-sonnet-4-5"][..])]
        {
            let auth = match provider {
                "anthropic" => json!({"type": "APIKey",
                    "apiKeyConfig": {"in": "Header", "name": "x-api-key", "valuePrefix": ""}}),
                _ => json!({"type": "APIKey"}),
            };
            let spec = json!({"provider": provider, "endpoint": endpoint, "models": models, "auth": auth});
            let body = json!({"name": name, "spec": spec, "credentials": {"api_key": model::KEY}});
            self.post("/api/model-providers", body).await.expect(201);
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, &[], Some(body)).await
    }

    /// With the operator's key.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        let key = format!("Bearer {KEY}");
        let headers: Vec<(&str, &str)> = [("authorization", key.as_str())].iter().chain(headers).copied().collect();
        self.ask(method, path, &headers, body).await
    }

    /// With these headers alone.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        self.send(method, path, headers, body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    /// With a body of any kind.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Reply {
        let body = Bytes::from(body);
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.platform.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let answer = self.http.send(request, LONG, 64 << 20).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8_lossy(&body).into_owned();
        Reply { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Deploys files, in the quickstart's words, with whatever else the request says.
    pub async fn deploy(&self, name: &str, files: &[(&str, &str)], more: Value) -> Reply {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let mut body = json!({"name": name, "files": files});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.post("/api/deploy", body).await
    }

    /// Says that calls of this method below an address need a person's yes, when an agent makes them.
    pub async fn ask_first(&self, agent: &str, method: &str, resource: &str) {
        let rule = json!({"permission": "approval_required", "operations": [method], "resource": resource});
        self.post("/api/v1/policies", json!({"name": "ask-first", "spec": {"policies": [rule]}})).await.expect(201);
        let subjects = json!([{"kind": "ServiceAccount", "name": agent}]);
        let binding = json!({"name": "ask", "policy": "ask-first", "subjects": subjects});
        self.post("/api/v1/policy-bindings", binding).await.expect(201);
    }

    /// Waits until a run has a status.
    pub async fn until_run(&self, run: &str, status: &str) {
        let wait = async {
            loop {
                let now = self.get(&format!("/runs/{run}")).await.expect(200)["status"].clone();
                if now == status {
                    return;
                }
                assert!(now == "RUNNING" || now == "PAUSED_APPROVAL", "{now}: {:#?}", self.events(run).await);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(LONG, wait).await.is_err() {
            panic!("{run} is not {status}: {:#?}", self.events(run).await);
        }
    }

    /// Waits until an agent is in a phase; its message then.
    pub async fn until(&self, agent: &str, phase: &str) -> String {
        let wait = async {
            loop {
                let status = self.get(&format!("/api/v1/agents/{agent}")).await.expect(200)["status"].clone();
                if status["phase"] == phase {
                    return status["message"].as_str().unwrap().to_string();
                }
                assert!(phase == "Failed" || status["phase"] != "Failed", "{status}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        match tokio::time::timeout(LONG, wait).await {
            Ok(message) => message,
            Err(_) => panic!("{}\n{}", self.get(&format!("/api/v1/agents/{agent}")).await.text, self.logs(agent).await),
        }
    }

    pub async fn logs(&self, agent: &str) -> String {
        self.get(&format!("/api/v1/agents/{agent}/logs")).await.text
    }

    pub async fn invoke(&self, agent: &str, message: &str) -> Reply {
        self.post(&format!("/api/v1/agents/{agent}/invoke"), json!({"message": message})).await
    }

    /// The types of a run's events, in order.
    pub async fn events(&self, run: &str) -> Vec<Value> {
        self.get(&format!("/runs/{run}/events")).await.expect(200).as_array().unwrap().clone()
    }
}
