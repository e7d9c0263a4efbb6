//! Agents that nobody starts: tests call for them what they would call themselves.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use platform_api::gateway::tokens;
use platform_api::running::Running;
use platform_api::running::invocation::{Entered, Invocation};
use platform_api::running::resume::Question;
use platform_api::{Config, store::Store};
use serde_json::{Value, json};

use crate::staged::Staged;
use crate::support::{Platform, Reply};

/// A platform whose agents are played by the test.
pub struct Stage {
    pub platform: Platform,
    running: Running,
}

/// A run in which an agent is being asked.
pub struct Asked {
    pub run: String,
    _entered: Entered,
}

impl Stage {
    pub async fn over(store: Store, change: impl FnOnce(&mut Config)) -> Stage {
        let config = Config::default();
        let staged = Arc::new(Staged(None));
        let running = Running::new("here".into(), PathBuf::new(), staged.clone(), staged, config.builds, config.runner);
        Stage { platform: Platform::beside(store, Some(running.clone()), change).await, running }
    }

    /// An agent that may do anything with these tools.
    pub async fn agent(&self, name: &str, tools: &[&str]) {
        let body = json!({"agent_name": name, "image": "registry.example/x:1", "required_tools": tools});
        self.platform.post("/api/deploy", body).await.expect(201);
    }

    /// The agent is asked for a user, in a new run.
    pub async fn asked(&self, agent: &str, user: &str) -> Asked {
        let run = self.platform.post("/runs", json!({"agent_id": agent, "user_id": user})).await.expect(201);
        self.asked_again(agent, run["id"].as_str().unwrap())
    }

    /// The same for a user whom an identity provider vouches for.
    pub async fn asked_for(&self, agent: &str, user: &str) -> Asked {
        let run = self.platform.post("/runs", json!({"agent_id": agent, "user_id": user})).await.expect(201);
        self.enter(agent, run["id"].as_str().unwrap(), Some(user))
    }

    /// The same in a run that goes on.
    pub fn asked_again(&self, agent: &str, run: &str) -> Asked {
        self.enter(agent, run, None)
    }

    fn enter(&self, agent: &str, run: &str, user: Option<&str>) -> Asked {
        let mut invocation = Invocation::new("default", agent, run, run, Question::default());
        invocation.user = user.map(str::to_string);
        Asked { run: run.into(), _entered: self.running.enter(invocation) }
    }

    /// What the agent asks of a tool, in a run or in none.
    pub async fn calls(&self, agent: &str, path: &str, asked: Option<&Asked>) -> Reply {
        let mut tx = self.platform.app.store().begin().await.unwrap();
        let token = tokens::issue(&mut tx, "default", agent).await.unwrap();
        tx.commit().await.unwrap();
        let mut request = Request::post(format!("{}/{agent}/{token}/tools/{path}", tokens::PREFIX));
        request = request.header("authorization", "Bearer whatever the agent has");
        if let Some(asked) = asked {
            request = request.header("x-run-id", &asked.run);
        }
        self.platform.send(request.body(Body::from("{}")).unwrap()).await
    }

    pub async fn status(&self, asked: &Asked) -> Value {
        self.platform.get(&format!("/runs/{}", asked.run)).await.expect(200)["status"].clone()
    }

    pub async fn events(&self, asked: &Asked) -> Vec<Value> {
        self.platform.get(&format!("/runs/{}/events", asked.run)).await.expect(200).as_array().unwrap().clone()
    }
}
