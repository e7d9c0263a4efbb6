//! Usage: what was asked, what models were told and said, what runs came of it, and what each key asked. All of it is
//! counted in the store.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json};
use ingestion_server::web::ApiError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::TokensUsed;
use super::envelope::{FailureEnvelope, Success, success};
use super::pages::{Listed, Page, PageQuery};
use super::refused::Refused;
use super::tiers::{HOUR, KeyTier};
use crate::app::App;
use crate::auth::{Caller, Read, Scope};
use crate::config::TiersConfig;
use crate::params::Pairs;
use crate::store::{KeyRow, Tx};
use crate::time::{month_of, rfc3339};

const DAY: i64 = 24 * HOUR;

/// What was used in a month.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct UsageReport {
    /// The month: `2026-02`, in UTC.
    period: String,
    /// Its first millisecond.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    period_start: i64,
    /// The next month's.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    period_end: i64,
    /// Requests on this surface.
    requests: UsageRequests,
    /// Of models.
    tokens: TokensUsed,
    /// What models cost, estimated.
    estimated_usd: f64,
    /// Of all agents.
    runs: UsageRuns,
    /// The same of each agent that did something.
    agents: Vec<UsageOfAgent>,
}

/// Requests on this surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageRequests {
    /// Of the caller's key, in this hour.
    used: i64,
    /// What the key may ask in an hour; null: there is no limit.
    limit: Option<i64>,
    /// What is left of that.
    remaining: Option<i64>,
    /// When the next hour begins.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    resets_at: i64,
    /// Of all keys of the workspace, in the month.
    total: i64,
}

/// Runs that began in the month, by how they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageRuns {
    /// All of them.
    total: i64,
    /// Ended well.
    completed: i64,
    /// Ended badly.
    failed: i64,
    /// Not ended.
    open: i64,
}

/// What one agent used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct UsageOfAgent {
    /// Which.
    agent_id: String,
    /// What models it asked.
    tokens: TokensUsed,
    /// What they cost, estimated.
    estimated_usd: f64,
    /// What it was asked.
    runs: UsageRuns,
}

/// What a key asked on this surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyUsage {
    /// Its id.
    key_id: String,
    /// What its maker calls it.
    name: String,
    /// How it begins.
    prefix: String,
    /// How it ends.
    last4: String,
    /// What it is worth.
    tier: &'static str,
    /// Requests of an hour; null: there is no limit.
    limit: Option<i64>,
    /// Requests of this hour.
    used: i64,
    /// What is left of it.
    remaining: Option<i64>,
    /// When the next hour begins.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    resets_at: i64,
    /// Requests since midnight in UTC.
    today: i64,
    /// Requests of this month.
    this_month: i64,
    /// Within a minute.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<i64>,
}

impl UsageRuns {
    fn add(&mut self, status: &str, count: i64) {
        self.total += count;
        match status {
            "COMPLETED" => self.completed += count,
            "FAILED" => self.failed += count,
            _ => self.open += count,
        }
    }
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(usage)).routes(routes!(keys))
}

/// What the workspace used in a month: this one, or with `period` the one before.
#[utoipa::path(get, path = "/usage", tag = "second system",
    params(("period" = Option<String>, Query, description = "This month or the one before, as `2026-02`.")),
    responses((status = 200, body = Success<UsageReport>), (status = 400, body = FailureEnvelope)))]
async fn usage(
    State(app): State<App>,
    caller: Caller<Read>,
    Extension(tier): Extension<KeyTier>,
    query: Pairs,
) -> Result<Json<Success<UsageReport>>, Refused> {
    let now = app.world().now();
    let (period_start, period_end) = period(query.get("period"), now)?;
    // What this process counted and has not written yet.
    app.gateway().ledger().write(false).await?;
    let mut tx = app.store().read().await?;
    let used = tx.used_in_hour(&caller.key, now / HOUR).await?;
    let limit = tier.limit(&app.config().tiers);
    let total = requests(&mut tx, &caller.workspace, period_start, period_end).await?;
    let mut agents: BTreeMap<String, UsageOfAgent> = BTreeMap::new();
    for row in tx.spend(&caller.workspace, period_start).await? {
        let agent = agents.entry(row.agent.clone()).or_default();
        agent.tokens.prompt_tokens += row.input_tokens;
        agent.tokens.completion_tokens += row.output_tokens;
        agent.tokens.total_tokens += row.input_tokens + row.output_tokens;
        agent.estimated_usd += dollars(row.micro_usd);
    }
    for (agent, status, count) in tx.runs_by_status(&caller.workspace, None, period_start, period_end).await? {
        agents.entry(agent).or_default().runs.add(&status, count);
    }
    let mut report = UsageReport {
        period: month(period_start),
        period_start,
        period_end,
        requests: UsageRequests {
            used,
            limit,
            remaining: limit.map(|limit| (limit - used).max(0)),
            resets_at: next_hour(now),
            total,
        },
        tokens: TokensUsed::default(),
        estimated_usd: 0.0,
        runs: UsageRuns::default(),
        agents: Vec::new(),
    };
    for (agent_id, agent) in agents {
        report.tokens.prompt_tokens += agent.tokens.prompt_tokens;
        report.tokens.completion_tokens += agent.tokens.completion_tokens;
        report.tokens.total_tokens += agent.tokens.total_tokens;
        report.estimated_usd += agent.estimated_usd;
        report.runs.total += agent.runs.total;
        report.runs.completed += agent.runs.completed;
        report.runs.failed += agent.runs.failed;
        report.runs.open += agent.runs.open;
        report.agents.push(UsageOfAgent { agent_id, ..agent });
    }
    Ok(success(report))
}

/// What each key of the workspace asked on this surface, for whoever may administrate; for others, what theirs asked.
#[utoipa::path(get, path = "/keys/usage", tag = "second system", params(PageQuery),
    responses((status = 200, body = Listed<KeyUsage>), (status = 400, body = FailureEnvelope)))]
async fn keys(State(app): State<App>, caller: Caller<Read>, query: Pairs) -> Result<Json<Listed<KeyUsage>>, Refused> {
    let page = Page::of(&query)?;
    let now = app.world().now();
    let mut tx = app.store().read().await?;
    let sees_all = caller.must(Scope::Admin).is_ok();
    let mut keys = tx.keys(Some(&caller.workspace)).await?;
    if caller.is_operator {
        keys.extend(tx.keys(None).await?);
    }
    keys.retain(|key| sees_all || key.id == caller.key);
    let (month, hour) = (month_of(now), now / HOUR);
    let mut since = async |from: i64| -> Result<BTreeMap<String, i64>, ApiError> {
        Ok(tx.used_by_keys(&caller.workspace, from, hour + 1).await?.into_iter().collect())
    };
    let (this_hour, today) = (since(hour).await?, since(now / DAY * DAY / HOUR).await?);
    let this_month = since(month.0 / HOUR).await?;
    let of = |counted: &BTreeMap<String, i64>, key: &str| counted.get(key).copied().unwrap_or_default();
    let shown = keys.into_iter().map(|key| {
        let counts = [&this_hour, &today, &this_month].map(|counted| of(counted, &key.id));
        key_usage(key, counts, &app.config().tiers, now)
    });
    Ok(page.cut(shown.collect()))
}

fn key_usage(key: KeyRow, [used, today, this_month]: [i64; 3], config: &TiersConfig, now: i64) -> KeyUsage {
    let tier = KeyTier { tier: key.tier, hourly_limit: key.hourly_limit };
    let limit = tier.limit(config);
    KeyUsage {
        tier: tier.tier(config).name(),
        limit,
        used,
        remaining: limit.map(|limit| (limit - used).max(0)),
        resets_at: next_hour(now),
        today,
        this_month,
        key_id: key.id,
        name: key.name,
        prefix: key.prefix,
        last4: key.last4,
        last_used_at: key.last_used_at,
    }
}

/// Requests of all keys of a workspace within a time.
pub async fn requests(tx: &mut Tx, workspace: &str, from: i64, until: i64) -> Result<i64, ApiError> {
    let by_keys = tx.used_by_keys(workspace, from / HOUR, until / HOUR).await?;
    Ok(by_keys.iter().map(|(_, used)| used).sum())
}

/// From millionths.
pub fn dollars(micro_usd: i64) -> f64 {
    micro_usd as f64 / 1e6
}

fn next_hour(now: i64) -> i64 {
    (now / HOUR + 1) * HOUR
}

fn month(start: i64) -> String {
    rfc3339(start).chars().take(7).collect()
}

/// The month that is asked for; hours are kept for no others.
fn period(asked: Option<&str>, now: i64) -> Result<(i64, i64), Refused> {
    let this = month_of(now);
    let before = month_of(this.0 - 1);
    let Some(asked) = asked else { return Ok(this) };
    let found = [this, before].into_iter().find(|(start, _)| month(*start) == asked);
    found.ok_or_else(|| Refused::wrong("period", &format!("{} or {}", month(this.0), month(before.0))))
}
