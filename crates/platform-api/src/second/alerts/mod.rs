//! Alerts: somebody wants to know when more is used than they thought. Each is looked at again and again, and told once for
//! each period in which its threshold is reached, as the event `alert.triggered` of webhooks.

mod watch;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use watch::{Watch, due};

use super::envelope::{FailureEnvelope, Success, success};
use super::pages::{Listed, Page, PageQuery};
use super::refused::Refused;
use super::tiers::HOUR;
use super::usage::{dollars, requests};
use crate::agents;
use crate::answer::Named;
use crate::app::{App, json as plain};
use crate::auth::{Caller, Identity, Read, Write};
use crate::params::Pairs;
use crate::store::{Resource, Stored, Tx};
use crate::time::month_of;

/// Alerts of one workspace.
const MOST: usize = 100;

/// Characters of a name.
const LONGEST: usize = 200;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertMetric {
    /// Requests on this surface, of all keys.
    Requests,
    /// Runs that began.
    Runs,
    /// Those of them that failed.
    FailedRuns,
    /// Tokens of models.
    Tokens,
    /// What models cost, in dollars.
    CostUsd,
}

/// In which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertPeriod {
    /// Since the hour began.
    Hour,
    /// Since midnight in UTC.
    Day,
    /// Since the month began in UTC.
    Month,
}

/// When a threshold was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    period_start: i64,
    at: i64,
    value: f64,
}

/// An alert as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    id: String,
    name: String,
    metric: AlertMetric,
    period: AlertPeriod,
    threshold: f64,
    agent_id: Option<String>,
    enabled: bool,
    fired: Option<Fired>,
}

impl Resource for AlertRecord {
    const KIND: &'static str = "usage_alert";

    fn key(&self) -> &str {
        &self.id
    }
}

/// An alert, or what is to change of one, as it is sent.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct AlertRequest {
    /// For people.
    name: Option<String>,
    /// What is looked at: `requests`, `runs`, `failed_runs`, `tokens` or `cost_usd`.
    metric: Option<String>,
    /// In which time: `hour`, `day` or `month`, which it is where nothing is said. `tokens` and `cost_usd` are counted by
    /// month.
    period: Option<String>,
    /// From which value on somebody is told; more than 0.
    threshold: Option<f64>,
    /// Of which agent alone; absent or empty: of all. Requests are not counted by agent.
    agent_id: Option<String>,
    /// It is looked at, unless this is false.
    enabled: Option<bool>,
}

/// An alert as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Alert {
    /// Its id.
    id: String,
    /// For people.
    name: String,
    /// What is looked at.
    metric: AlertMetric,
    /// In which time.
    period: AlertPeriod,
    /// From which value on somebody is told.
    threshold: f64,
    /// Of which agent alone; null for all.
    agent_id: Option<String>,
    /// It is looked at.
    enabled: bool,
    /// `ok`, or `triggered` where the threshold was reached in this period.
    status: &'static str,
    /// What it is now.
    value: f64,
    /// When the threshold was reached last.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_triggered_at: Option<i64>,
    /// What it was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_triggered_value: Option<f64>,
    /// When it was made.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
}

impl AlertPeriod {
    /// The time of this kind in which `now` is.
    fn around(self, now: i64) -> (i64, i64) {
        let of = |length: i64| (now / length * length, (now / length + 1) * length);
        match self {
            AlertPeriod::Hour => of(HOUR),
            AlertPeriod::Day => of(24 * HOUR),
            AlertPeriod::Month => month_of(now),
        }
    }
}

impl AlertRecord {
    /// What it looks at, as it is.
    async fn value(&self, tx: &mut Tx, workspace: &str, now: i64) -> Result<f64, ApiError> {
        let (from, until) = self.period.around(now);
        let agent = self.agent_id.as_deref();
        Ok(match self.metric {
            AlertMetric::Requests => requests(tx, workspace, from, until).await? as f64,
            AlertMetric::Runs | AlertMetric::FailedRuns => {
                let rows = tx.runs_by_status(workspace, agent, from, until).await?;
                let counts = |status: &str| self.metric == AlertMetric::Runs || status == "FAILED";
                rows.iter().filter(|(_, status, _)| counts(status)).map(|(_, _, count)| count).sum::<i64>() as f64
            }
            AlertMetric::Tokens | AlertMetric::CostUsd => {
                let rows = tx.spend(workspace, from).await?;
                let own = rows.iter().filter(|row| agent.is_none_or(|agent| row.agent == agent));
                match self.metric {
                    AlertMetric::Tokens => own.map(|row| row.input_tokens + row.output_tokens).sum::<i64>() as f64,
                    _ => dollars(own.map(|row| row.micro_usd).sum()),
                }
            }
        })
    }

    /// Whether it was told in the period that begins then, or in a later one.
    fn has_fired_since(&self, start: i64) -> bool {
        self.fired.as_ref().is_some_and(|fired| fired.period_start >= start)
    }
}

impl AlertRequest {
    fn settle(self, id: String) -> Result<AlertRecord, Refused> {
        let metric = named::<AlertMetric>(self.metric.as_deref(), "metric", METRICS)?;
        let metric = metric.ok_or_else(|| Refused::missing("metric"))?;
        let threshold = self.threshold.ok_or_else(|| Refused::missing("threshold"))?;
        let (name, agent_id) = (String::new(), None);
        let period = AlertPeriod::Month;
        let blank = AlertRecord { id, name, metric, period, threshold, agent_id, enabled: true, fired: None };
        self.over(blank)
    }

    fn over(self, mut record: AlertRecord) -> Result<AlertRecord, Refused> {
        let before = record.clone();
        if let Some(name) = self.name {
            if name.chars().count() > LONGEST {
                return Err(Refused::wrong("name", &format!("at most {LONGEST} characters")));
            }
            record.name = name;
        }
        if let Some(metric) = named(self.metric.as_deref(), "metric", METRICS)? {
            record.metric = metric;
        }
        if let Some(period) = named(self.period.as_deref(), "period", PERIODS)? {
            record.period = period;
        }
        record.threshold = self.threshold.unwrap_or(record.threshold);
        if let Some(agent) = self.agent_id {
            record.agent_id = (!agent.is_empty()).then_some(agent);
        }
        record.enabled = self.enabled.unwrap_or(record.enabled);
        if !(record.threshold.is_finite() && record.threshold > 0.0) {
            return Err(Refused::wrong("threshold", "more than 0"));
        }
        let by_month = matches!(record.metric, AlertMetric::Tokens | AlertMetric::CostUsd);
        if by_month && record.period != AlertPeriod::Month {
            return Err(Refused::wrong("period", "month: tokens and cost_usd are counted by month"));
        }
        if record.metric == AlertMetric::Requests && record.agent_id.is_some() {
            return Err(Refused::wrong("agent_id", "absent: requests are not counted by agent"));
        }
        let of = |alert: &AlertRecord| (alert.metric, alert.period, alert.threshold, alert.agent_id.clone());
        if of(&before) != of(&record) {
            record.fired = None;
        }
        Ok(record)
    }
}

const METRICS: &str = "requests, runs, failed_runs, tokens or cost_usd";

const PERIODS: &str = "hour, day or month";

fn named<T: for<'a> Deserialize<'a>>(name: Option<&str>, field: &str, all: &str) -> Result<Option<T>, Refused> {
    let Some(name) = name else { return Ok(None) };
    serde_json::from_value(Value::from(name)).map(Some).map_err(|_| Refused::wrong(field, all))
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// All alerts, oldest first, a page at a time, each with what it is now.
#[utoipa::path(get, path = "/alerts", tag = "second system", params(PageQuery),
    responses((status = 200, body = Listed<Alert>), (status = 400, body = FailureEnvelope)))]
async fn list(State(app): State<App>, caller: Caller<Read>, query: Pairs) -> Result<Json<Listed<Alert>>, Refused> {
    let page = Page::of(&query)?;
    let mut tx = app.store().read().await?;
    let mut alerts = Vec::new();
    for stored in tx.list::<AlertRecord>(&caller.workspace).await? {
        alerts.push(shown(&app, &mut tx, &caller.workspace, stored).await?);
    }
    Ok(page.cut(alerts))
}

/// A new alert. It is told once in each period in which its threshold is reached, to webhooks of `alert.triggered`.
#[utoipa::path(post, path = "/alerts", tag = "second system", request_body = AlertRequest,
    responses((status = 201, body = Success<Alert>), (status = 400, body = FailureEnvelope),
        (status = 404, body = FailureEnvelope), (status = 409, body = FailureEnvelope)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<AlertRequest>,
) -> Result<(StatusCode, Json<Success<Alert>>), Refused> {
    let record = value.settle(app.world().id("alert").replacen('-', "_", 1))?;
    let mut tx = app.store().begin().await?;
    if tx.list::<AlertRecord>(&caller.workspace).await?.len() >= MOST {
        return Err(ApiError::Conflict(format!("there are {MOST} alerts already; delete one first")).into());
    }
    let alert = save(&app, &mut tx, &caller, record, None).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, success(alert)))
}

/// One alert, with what it is now.
#[utoipa::path(get, path = "/alerts/{id}", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Success<Alert>), (status = 404, body = FailureEnvelope)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<Success<Alert>>, Refused> {
    let mut tx = app.store().read().await?;
    let stored = find(&mut tx, &caller, &id).await?;
    Ok(success(shown(&app, &mut tx, &caller.workspace, stored).await?))
}

/// Changes what is sent of an alert; the rest stays. One that looks at something else, or from elsewhere on, is told anew.
#[utoipa::path(patch, path = "/alerts/{id}", tag = "second system", params(("id" = String, Path)),
    request_body = AlertRequest,
    responses((status = 200, body = Success<Alert>), (status = 400, body = FailureEnvelope),
        (status = 404, body = FailureEnvelope)))]
async fn update(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(id): Named,
    Body { value, .. }: Body<AlertRequest>,
) -> Result<Json<Success<Alert>>, Refused> {
    let mut tx = app.store().begin().await?;
    let before = find(&mut tx, &caller, &id).await?.value;
    let record = value.over(before.clone())?;
    let alert = save(&app, &mut tx, &caller, record, Some(before)).await?;
    tx.commit().await?;
    Ok(success(alert))
}

/// Takes an alert away.
#[utoipa::path(delete, path = "/alerts/{id}", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = FailureEnvelope)))]
async fn delete(State(app): State<App>, caller: Caller<Write>, Named(id): Named) -> Result<Json<Value>, Refused> {
    let mut tx = app.store().begin().await?;
    let before = find(&mut tx, &caller, &id).await?.value;
    tx.delete::<AlertRecord>(&caller.workspace, &id).await?;
    app.note(&mut tx, &caller, "alert.delete", format!("alerts/{id}"), Some(plain(&before)), None).await?;
    tx.commit().await?;
    Ok(Json(json!({"status": "success", "data": {"id": id, "deleted": true}})))
}

async fn find(tx: &mut Tx, who: &Identity, id: &str) -> Result<Stored<AlertRecord>, Refused> {
    let found = tx.get::<AlertRecord>(&who.workspace, id).await?;
    found.ok_or_else(|| Refused::unknown("ALERT_NOT_FOUND", "alert", id))
}

async fn save(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    record: AlertRecord,
    before: Option<AlertRecord>,
) -> Result<Alert, Refused> {
    // One that is gone meanwhile does not keep anybody from changing the rest.
    if let Some(agent) = &record.agent_id
        && before.as_ref().is_none_or(|before| before.agent_id.as_ref() != Some(agent))
    {
        agents::find(tx, who, None, agent).await?;
    }
    let stored = tx.put(&who.workspace, &record, app.world().now()).await?;
    let before = before.map(|record| plain(&record));
    app.note(tx, who, "alert.put", format!("alerts/{}", record.id), before, Some(plain(&record))).await?;
    shown(app, tx, &who.workspace, stored).await
}

async fn shown(app: &App, tx: &mut Tx, workspace: &str, stored: Stored<AlertRecord>) -> Result<Alert, Refused> {
    let Stored { value: alert, created_at, .. } = stored;
    let now = app.world().now();
    let value = alert.value(tx, workspace, now).await?;
    let (start, _) = alert.period.around(now);
    let status = if alert.has_fired_since(start) { "triggered" } else { "ok" };
    let AlertRecord { id, name, metric, period, threshold, agent_id, enabled, fired } = alert;
    let (last_triggered_at, last_triggered_value) = fired.map(|fired| (fired.at, fired.value)).unzip();
    Ok(Alert {
        id,
        name,
        metric,
        period,
        threshold,
        agent_id,
        enabled,
        status,
        value,
        last_triggered_at,
        last_triggered_value,
        created_at,
    })
}
