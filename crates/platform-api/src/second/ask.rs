//! Ask: a question for an agent, put to it by the way that all surfaces share, and its answer as this surface has it.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::agents::version;
use super::refused::Refused;
use crate::agents::AgentRecord;
use crate::agents::asked::{Asked, not_running};
use crate::agents::invoke::{Asker, Way, prepare};
use crate::app::App;
use crate::auth::Identity;
use crate::store::Stored;

/// Names the run to go on with.
const RUN: HeaderName = HeaderName::from_static("x-run-id");

/// Characters of what an agent says about its failure.
const SAID: usize = 2_000;

/// A question, as it was sent and checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What the agent is asked.
    query: String,
    /// What is handed on to it.
    parameters: Map<String, Value>,
    /// What it is a part of.
    session_id: Option<String>,
    /// What else it is handed.
    #[serde(default)]
    more: Map<String, Value>,
}

/// Tokens of models, of all calls that an agent made for one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokensUsed {
    /// Of what models were told.
    pub prompt_tokens: i64,
    /// Of what they said.
    pub completion_tokens: i64,
    /// Both.
    pub total_tokens: i64,
}

/// Who asks which agent.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The agent, as it is now.
    pub agent: Stored<AgentRecord>,
    /// Who asks.
    pub who: Identity,
    /// For whom, where an identity provider vouches for them.
    pub user: Option<String>,
    /// What the agent is sent beside a body, and the run to go on with.
    pub headers: HeaderMap,
}

/// What an agent answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it said; a text, mostly.
    pub result: Value,
    /// What it waits for, where somebody must decide first.
    waits: Option<Value>,
    run: String,
    version: String,
    /// How long it took.
    pub took: Duration,
    /// What models were told and said.
    pub usage: TokensUsed,
}

impl Question {
    /// Reads one out of a body; `at` is what its fields are called before their names.
    pub fn read(body: &Value, at: &str) -> Result<Question, Refused> {
        let name = |field: &str| format!("{at}{field}");
        if !body.is_object() {
            return Err(Refused::mistyped(at.trim_end_matches('.'), "an object with a query"));
        }
        let query = match &body["query"] {
            Value::Null => return Err(Refused::missing(&name("query"))),
            Value::String(query) if query.trim().is_empty() => return Err(Refused::missing(&name("query"))),
            Value::String(query) => query.clone(),
            _ => return Err(Refused::mistyped(&name("query"), "a string")),
        };
        let session_id = match &body["session_id"] {
            Value::Null => None,
            Value::String(id) => Some(id.clone()),
            _ => return Err(Refused::mistyped(&name("session_id"), "a string")),
        };
        let parameters = match &body["parameters"] {
            Value::Null => Map::new(),
            Value::Object(parameters) => parameters.clone(),
            _ => return Err(Refused::mistyped(&name("parameters"), "an object")),
        };
        let of = |field: &str| name(&format!("parameters.{field}"));
        match parameters.get("temperature") {
            None | Some(Value::Null) => {}
            Some(Value::Number(number)) if number.as_f64().is_some_and(|it| (0.0..=2.0).contains(&it)) => {}
            Some(Value::Number(_)) => return Err(Refused::wrong(&of("temperature"), "from 0 to 2")),
            Some(_) => return Err(Refused::mistyped(&of("temperature"), "a number from 0 to 2")),
        }
        match parameters.get("max_tokens") {
            None | Some(Value::Null) => {}
            Some(number) if number.as_i64().is_some_and(|it| it >= 1) => {}
            Some(Value::Number(_)) => return Err(Refused::wrong(&of("max_tokens"), "a whole number of at least 1")),
            Some(_) => return Err(Refused::mistyped(&of("max_tokens"), "a whole number of at least 1")),
        }
        if parameters.get("context").is_some_and(|context| !context.is_object() && !context.is_null()) {
            return Err(Refused::mistyped(&of("context"), "an object"));
        }
        Ok(Question { query, parameters, session_id, more: Map::new() })
    }

    /// A text, and what else the agent is handed.
    pub fn with(query: String, more: Map<String, Value>) -> Question {
        Question { query, parameters: Map::new(), session_id: None, more }
    }

    /// What it is a part of.
    pub fn session(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// As agents are asked, with the words of both systems beside each other.
    pub fn body(&self) -> Bytes {
        let mut body = Value::Object(self.more.clone());
        body["message"] = self.query.as_str().into();
        body["query"] = self.query.as_str().into();
        body["parameters"] = self.parameters.clone().into();
        if let Some(session) = &self.session_id {
            body["session_id"] = session.as_str().into();
            body["conversation_id"] = session.as_str().into();
        }
        body.to_string().into()
    }
}

impl Subject {
    /// Finds the agent, and who asks it.
    pub async fn of(app: &App, asker: Asker, id: &str, headers: HeaderMap) -> Result<Subject, Refused> {
        let (agent, who, user) = asker.settle(app, None, id, &headers).await?;
        Ok(Subject { agent, who, user, headers: own(headers.get(RUN)) })
    }

    /// The same for a request that was kept.
    pub fn again(agent: Stored<AgentRecord>, who: Identity, user: Option<String>, run: Option<&str>) -> Subject {
        let run = run.and_then(|run| HeaderValue::from_str(run).ok());
        Subject { agent, who, user, headers: own(run.as_ref()) }
    }

    /// The run to go on with.
    pub fn run(&self) -> Option<&str> {
        self.headers.get(RUN).and_then(|run| run.to_str().ok())
    }

    /// That nobody here can ask it.
    pub fn not_running(&self) -> ApiError {
        not_running(&self.agent)
    }

    /// Begins to ask; the number of the event with which it began in its run comes with it.
    pub async fn begin(&self, app: &App, way: Way, question: &Question) -> Result<(Asked, i64), ApiError> {
        prepare(app, &self.who, &self.agent, self.user.clone(), way, &self.headers, &question.body()).await
    }

    /// Asks, until it is answered or what this gives is dropped.
    pub async fn ask(&self, app: &App, question: &Question) -> Result<Answer, Refused> {
        let began = app.world().elapsed();
        let (asked, since) = self.begin(app, Way::Whole, question).await?;
        let run = asked.run().to_string();
        let response = asked.whole().await?;
        self.answer(app, run, since, began, response).await
    }

    /// What an answer says.
    pub async fn answer(
        &self,
        app: &App,
        run: String,
        since: i64,
        began: Duration,
        response: Response,
    ) -> Result<Answer, Refused> {
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(|error| ApiError::Internal(error.into()))?.to_bytes();
        let took = app.world().elapsed().saturating_sub(began);
        let said = match serde_json::from_slice::<Value>(&bytes) {
            Ok(said) => said,
            Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        if !status.is_success() {
            return Err(failed(status, &said, &run));
        }
        let usage = used(app, &run, since).await?;
        let waits = ["approval_required", "consent_required"].into_iter().find_map(|name| said.get(name)).cloned();
        let result = said.get("response").cloned().unwrap_or(said);
        Ok(Answer { result, waits, run, version: version(&self.agent), took, usage })
    }
}

impl Answer {
    /// The seed's `data`.
    pub fn data(&self, request_id: &str) -> Value {
        let mut data = json!({"result": self.result, "metadata": self.metadata(request_id)});
        if let Some(waits) = &self.waits {
            data["approval_required"] = waits.clone();
        }
        data
    }

    /// Both spellings of the whole answer: the seed's `data`, and beside it what the reference page shows.
    pub fn body(&self, request_id: &str) -> Value {
        json!({
            "status": "success",
            "data": self.data(request_id),
            "result": self.result,
            "usage": self.usage,
            "metadata": self.metadata(request_id),
        })
    }

    fn metadata(&self, request_id: &str) -> Value {
        json!({
            "execution_time": seconds(self.took),
            "tokens_used": self.usage.total_tokens,
            "agent_version": self.version,
            "request_id": request_id,
            "run_id": self.run,
        })
    }
}

/// What the agent is sent is our own, whatever the caller's body was.
fn own(run: Option<&HeaderValue>) -> HeaderMap {
    let mut own = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    if let Some(run) = run {
        own.insert(RUN, run.clone());
    }
    own
}

/// Seconds with two digits behind the point, as the document has them.
pub fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 100.0).round() / 100.0
}

/// What models were told and said in a run after one of its events.
pub async fn used(app: &App, run: &str, since: i64) -> Result<TokensUsed, ApiError> {
    let mut tx = app.store().read().await?;
    let mut used = TokensUsed::default();
    for event in tx.events(run, since, i64::MAX).await? {
        let data = event.data.filter(|_| event.kind == "LLM_CALL");
        let Some(data) = data.and_then(|data| serde_json::from_str::<Value>(&data).ok()) else { continue };
        used.prompt_tokens += data["input_tokens"].as_i64().unwrap_or_default();
        used.completion_tokens += data["output_tokens"].as_i64().unwrap_or_default();
    }
    used.total_tokens = used.prompt_tokens + used.completion_tokens;
    Ok(used)
}

/// An agent that answered that it failed.
pub fn failed(status: StatusCode, said: &Value, run: &str) -> Refused {
    let said = ["error", "message"].into_iter().find_map(|name| said.get(name)).unwrap_or(said);
    let said = said.as_str().map_or_else(|| said.to_string(), str::to_string);
    let said: String = said.chars().take(SAID).collect();
    let status = status.as_u16();
    let text = format!("the agent answered {status}: {said}");
    Refused::failed(text, json!({"agent_status": status, "run_id": run}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: Value) -> Value {
        Question::read(&body, "").unwrap_err().body()
    }

    #[test]
    fn a_question_says_what_is_wrong_with_it() {
        assert_eq!(told(json!({"query": " "}))["details"], json!({"field": "query", "reason": "missing"}));
        assert_eq!(told(json!({"query": 1}))["code"], "INVALID_FIELD_TYPE");
        for (name, value, code) in [
            ("temperature", json!(2.1), "INVALID_INPUT"),
            ("temperature", json!("hot"), "INVALID_FIELD_TYPE"),
            ("max_tokens", json!(0), "INVALID_INPUT"),
            ("max_tokens", json!(1.5), "INVALID_INPUT"),
            ("context", json!([]), "INVALID_FIELD_TYPE"),
        ] {
            let told = told(json!({"query": "q", "parameters": {name: value}}));
            assert_eq!(
                (&told["code"], &told["details"]["field"]),
                (&json!(code), &json!(format!("parameters.{name}")))
            );
        }
        let told = Question::read(&json!("q"), "batch.1.").unwrap_err().body();
        assert_eq!(told["details"]["field"], "batch.1");
    }

    #[test]
    fn what_an_agent_is_asked_holds_everything_that_was_sent() {
        let sent = json!({"query": "q", "parameters": {"temperature": 0.7, "own": [1]}, "session_id": "s"});
        let body: Value = serde_json::from_slice(&Question::read(&sent, "").unwrap().body()).unwrap();
        let all = json!({"message": "q", "query": "q", "parameters": sent["parameters"], "session_id": "s",
            "conversation_id": "s"});
        assert_eq!(body, all);
    }
}
