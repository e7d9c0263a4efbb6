//! Call: one request for a model, from whoever may ask to whoever answers, and what it cost.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ingestion_server::web::{ApiError, FieldError, World};
use llm_gateway::conversation::{BadPrompt, Usage};
use llm_gateway::exchange::{Embedding, Exchange};
use llm_gateway::formats::{CallerFormat, Given, Shaped, failed};
use llm_gateway::forward::{Refused, Target};
use llm_gateway::meter::{Price, estimated, most_tokens};
use llm_gateway::provider::{Asks, MOST_OUTPUT, Serves};
use llm_gateway::relay::{Relay, Tally};
use serde_json::{Value, json};

use super::budget::{Exhausted, Ledger, Reserved};
use super::known::Provider;
use super::{Gateway, Who};
use crate::running::invocation::Invocation;
use crate::store::{BudgetKey, SpendRow};
use crate::time::month_of;

/// How much of an answer's time was the gateway's own, in microseconds.
const OVERHEAD: HeaderName = HeaderName::from_static("x-gateway-overhead-us");

/// What is wanted of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A reply, in the caller's format.
    Reply(CallerFormat),
    /// Vectors.
    Embeddings,
    /// How many tokens a request in Anthropic's format has.
    Count,
}

/// One way to get what is wanted.
struct Candidate {
    provider: Arc<Provider>,
    target: Target,
    read: Read,
    price: Price,
}

/// How an answer is read.
enum Read {
    Reply(Box<Exchange>),
    Vectors(Embedding),
    /// As it is.
    Same,
}

/// Whoever was sent something pays: dropped before the answer's end, what was read of the prompt at least.
struct Bill {
    ledger: Ledger,
    open: Option<(Reserved, SpendRow)>,
    workspace: String,
    month: i64,
    price: Price,
    /// Tokens of the prompt, for providers that count none.
    prompt: u64,
    was_sent: bool,
    /// In which run it is made, and by what clock.
    invocation: Option<Arc<Invocation>>,
    world: World,
    began: Duration,
}

impl Bill {
    fn settle(&mut self, mut usage: Usage, written: u64) {
        let Some((reserved, mut row)) = self.open.take() else { return };
        if !self.was_sent {
            self.ledger.release(reserved);
            return;
        }
        if usage.input == 0 {
            usage.input = self.prompt;
        }
        if usage.output == 0 {
            usage.output = estimated(written);
        }
        (row.input_tokens, row.output_tokens) = (usage.input as i64, usage.output as i64);
        row.micro_usd = self.price.of(&usage);
        if let Some(invocation) = &self.invocation {
            let took = self.world.elapsed().saturating_sub(self.began);
            let data = json!({
                "model": row.model,
                "provider": row.provider,
                "model_provider": row.model_provider,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
                "estimated_cost_usd": row.micro_usd as f64 / 1e6,
                "latency_ms": took.as_millis() as u64,
            });
            if let Value::Object(data) = data {
                invocation.note(self.world.now(), "LLM_CALL", None, data);
            }
        }
        self.ledger.settle(reserved, &self.workspace, self.month, row);
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.settle(Usage::default(), 0);
    }
}

impl Gateway {
    /// The answer to a request whose body is given as it came.
    pub(super) async fn answer(
        &self,
        who: &Who,
        wanted: Wanted,
        headers: &HeaderMap,
        raw: Bytes,
    ) -> Result<Response, ApiError> {
        let began = self.world().elapsed();
        let body: Value = serde_json::from_slice(&raw)
            .map_err(|error| ApiError::BadRequest(format!("the body is not valid JSON: {error}")))?;
        if !body.is_object() {
            return Err(ApiError::BadRequest("the body must be a JSON object".into()));
        }
        let shaped = match wanted {
            Wanted::Reply(caller) => caller.shaped(&body),
            Wanted::Embeddings | Wanted::Count => CallerFormat::Chat.shaped(&body),
        };
        let model = shaped.model.clone().filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| ApiError::field("model is required", "/model"))?;
        let providers = self.providers(who, &model).await?;
        let candidates = self.candidates(&providers, wanted, &model, headers, &body, &raw)?;
        if candidates.is_empty() {
            let tokens = estimated(most_tokens(&body));
            return Ok(json_answer(json!({"input_tokens": tokens}).to_string().into()));
        }
        // Others are asked only where this one fails.
        if let Some(first) = candidates.first() {
            self.within_rate(who, &first.provider).await?;
        }
        let mut bill = self.bill(who, wanted, &model, &shaped, &candidates, &body).await?;
        let targets: Vec<Target> = candidates.iter().map(|candidate| candidate.target.clone()).collect();
        bill.was_sent = true;
        let answer = match self.forwarder().ask(&targets).await {
            Ok(answer) => answer,
            Err(refused) => {
                bill.was_sent = refused.may_cost;
                return Err(refusal(refused));
            }
        };
        let Candidate { provider, read, price, .. } =
            candidates.into_iter().nth(answer.target).expect("it was one of these");
        bill.price = price;
        if let Some((_, row)) = &mut bill.open {
            row.model_provider.clone_from(&provider.name);
            row.provider = provider.spec.provider.name().into();
        }
        let mut waited = answer.waited;
        if let (true, Read::Reply(exchange)) = (shaped.stream, &read) {
            let silence = self.forwarder().patience().silence;
            let at_end = Box::new(move |tally: Tally| bill.settle(tally.usage, tally.written));
            let relay = Relay::new(answer.response.into_body(), exchange.stream(), silence, at_end);
            let mut response = Response::new(Body::new(relay));
            let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            return Ok(self.timed(response, began, waited));
        }
        let reading = self.world().elapsed();
        let whole = self.forwarder().whole(answer.response).await;
        waited += self.world().elapsed().saturating_sub(reading);
        let read = whole.and_then(|bytes| match &read {
            Read::Reply(exchange) => exchange.reply(bytes),
            Read::Vectors(embedding) => embedding.reply(bytes),
            Read::Same => Ok((bytes, Usage::default())),
        });
        let (bytes, usage) = read.map_err(|failure| ApiError::BadGateway(failed(&failure)))?;
        let written = if usage.output == 0 && wanted != Wanted::Embeddings { bytes.len() as u64 } else { 0 };
        bill.settle(usage, written);
        Ok(self.timed(json_answer(bytes), began, waited))
    }

    /// Those that serve a model: whom the agent was given it with, then the newest.
    async fn providers(&self, who: &Who, model: &str) -> Result<Vec<Arc<Provider>>, ApiError> {
        let known = self.registry().of(&who.workspace).await?;
        let serves = |provider: &&Arc<Provider>| provider.spec.models.iter().any(|own| own == model);
        let mut providers: Vec<Arc<Provider>> = known.providers.iter().filter(serves).cloned().collect();
        if let Some(pinned) = &who.pinned {
            providers.retain(|provider| provider.name == *pinned);
        }
        if let Some(own) = who.model(model).and_then(|own| own.model_provider.as_ref()) {
            providers.sort_by_key(|provider| provider.name != *own);
        }
        match providers.is_empty() {
            true => Err(ApiError::Missing(format!("no provider found for model {model:?}"))),
            false => Ok(providers),
        }
    }

    /// What each provider would be sent. A request that none has words for is the caller's mistake.
    fn candidates(
        &self,
        providers: &[Arc<Provider>],
        wanted: Wanted,
        model: &str,
        headers: &HeaderMap,
        body: &Value,
        raw: &Bytes,
    ) -> Result<Vec<Candidate>, ApiError> {
        let (mut candidates, mut refused) = (Vec::new(), None);
        for provider in providers {
            let Some(serves) = provider.row.serving(model) else {
                let text = format!("the models of {} that are asked for by {model:?} are not offered", provider.name);
                refused = refused.or(Some(ApiError::NotImplemented(text)));
                continue;
            };
            let Some(credentials) = provider.credentials.clone() else {
                let text = format!("model provider {:?} has no credentials that can be sent", provider.name);
                refused = refused.or(Some(ApiError::BadGateway(text)));
                continue;
            };
            let planned = match wanted {
                Wanted::Reply(caller) => {
                    let begun = Exchange::begin(caller, serves, body, raw, self.given());
                    begun.map(|(exchange, out)| (Read::Reply(Box::new(exchange)), out.asks, out.body, out.is_same))
                }
                Wanted::Embeddings => Embedding::begin(serves, body, raw)
                    .map(|(embedding, body)| (Read::Vectors(embedding), Asks::Embeddings, body, false)),
                Wanted::Count if serves.offers(Asks::CountTokens) => {
                    Ok((Read::Same, Asks::CountTokens, raw.clone(), true))
                }
                Wanted::Count => continue,
            };
            let (read, asks, body, is_same) = match planned {
                Ok(planned) => planned,
                Err(bad) => {
                    refused = refused.or(Some(bad_prompt(bad)));
                    continue;
                }
            };
            let Some(url) = serves.url(&provider.endpoint, asks, model) else { continue };
            let headers = sent_headers(serves, is_same.then_some(headers));
            // Who has no price of their own is counted as the dearest, so that budgets hold.
            let price = provider.row.price(model);
            let name = format!("{}/{}", provider.endpoint, provider.name);
            candidates.push(Candidate {
                target: Target { provider: name, url, headers, body, credentials },
                provider: Arc::clone(provider),
                read,
                price: price.unwrap_or_else(|| provider.row.dearest()),
            });
        }
        match (candidates.is_empty(), refused) {
            (true, Some(refused)) => Err(refused),
            _ => Ok(candidates),
        }
    }

    /// A provider's own limit, kept by all replicas together.
    async fn within_rate(&self, who: &Who, provider: &Provider) -> Result<(), ApiError> {
        let Some(limit) = provider.spec.rate_limit else { return Ok(()) };
        let key = format!("model_provider:{}/{}", who.workspace, provider.name);
        let allowance = self.limits().take_of(&key, i64::from(limit.requests_per_minute)).await?;
        match allowance.granted {
            true => Ok(()),
            false => Err(ApiError::RateLimited { limit: allowance.limit as u64, seconds: allowance.reset as u64 }),
        }
    }

    /// Puts the worst case aside where there is a budget.
    async fn bill(
        &self,
        who: &Who,
        wanted: Wanted,
        model: &str,
        shaped: &Shaped,
        candidates: &[Candidate],
        body: &Value,
    ) -> Result<Bill, ApiError> {
        let (month, _) = month_of(self.world().now());
        let (agent, namespace) = who.names();
        let own = who.model(model);
        let most = most_tokens(body);
        let most_output = match wanted {
            Wanted::Reply(_) => shaped.max_tokens.unwrap_or(MOST_OUTPUT),
            Wanted::Embeddings | Wanted::Count => 0,
        };
        let worst = |candidate: &Candidate| match wanted {
            Wanted::Count => 0,
            _ => candidate.price.worst(most, most_output, shaped.answers.max(1)),
        };
        let worst = candidates.iter().map(worst).max().unwrap_or_default();
        let budget = who.budget(model).map(|dollars| (dollars * 1e6) as i64);
        let key = BudgetKey { workspace: who.workspace.clone(), month, agent: agent.clone(), model: model.into() };
        let reserved = self.ledger().reserve(key, budget, worst).await?.map_err(|Exhausted| {
            ApiError::Forbidden(format!("the monthly budget of agent {agent:?} for model {model:?} is used up"))
        })?;
        let row = SpendRow {
            role: own.map_or_else(String::new, |own| own.role.clone()),
            model: model.into(),
            agent,
            namespace,
            ..SpendRow::default()
        };
        let price = candidates.first().map(|candidate| candidate.price).unwrap_or_default();
        Ok(Bill {
            ledger: self.ledger().clone(),
            open: (wanted != Wanted::Count).then_some((reserved, row)),
            workspace: who.workspace.clone(),
            month,
            price,
            prompt: estimated(most),
            was_sent: false,
            invocation: who.invocation.clone(),
            world: self.world().clone(),
            began: self.world().elapsed(),
        })
    }

    fn given(&self) -> Given {
        let id = self.world().uuid().replace('-', "");
        Given { id, created: self.world().now() / 1000 }
    }

    fn timed(&self, mut response: Response, began: Duration, waited: Duration) -> Response {
        let own = self.world().elapsed().saturating_sub(began).saturating_sub(waited);
        response.headers_mut().insert(OVERHEAD, HeaderValue::from(own.as_micros() as u64));
        response
    }
}

fn sent_headers(serves: &Serves, caller: Option<&HeaderMap>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &serves.headers {
        let (name, value) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()));
        headers.insert(name.expect("a row's header"), value.expect("a row's header"));
    }
    for name in serves.forwards.iter().filter_map(|name| HeaderName::try_from(name.as_str()).ok()) {
        if let Some(value) = caller.and_then(|caller| caller.get(&name)) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

fn json_answer(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
}

fn bad_prompt(bad: BadPrompt) -> ApiError {
    ApiError::Invalid { errors: vec![FieldError::new(bad.pointer, bad.message.clone())], text: bad.message }
}

/// 502 for whatever a provider does; that it has no time now is worth knowing.
fn refusal(refused: Refused) -> ApiError {
    let text = failed(&refused.failure);
    match StatusCode::from_u16(refused.failure.status) {
        Ok(StatusCode::TOO_MANY_REQUESTS) => ApiError::ProviderBusy { text, seconds: refused.retry_after.unwrap_or(1) },
        _ => ApiError::BadGateway(text),
    }
}
