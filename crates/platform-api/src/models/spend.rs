//! Spend: what the models of each agent cost this month, and how far that is from what they may.

use axum::Json;
use axum::extract::State;
use ingestion_server::web::ApiError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::agents::AgentRecord;
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::gateway::PLATFORM;
use crate::store::{SpendRow, StoreError, Tx};
use crate::time::{month_of, rfc3339};

/// From this share of a budget on, somebody is to be told.
const NEAR: f64 = 0.8;

/// Rows of the list of what costs most.
const TOP: usize = 20;

/// What all models cost this month.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelSpend {
    /// All together.
    summary: SpendSummary,
    /// Those near their budget or beyond it.
    warnings: Vec<ModelSpendItem>,
    /// Those that cost most, the dearest first.
    top_models: Vec<ModelSpendItem>,
}

/// What all models cost together.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SpendSummary {
    total_estimated_spend_usd: f64,
    total_budget_usd: f64,
    /// Of the models that have a budget.
    remaining_budget_usd: f64,
    budgeted_model_count: usize,
    near_budget_count: usize,
    blocked_count: usize,
    /// Of the models that have none.
    uncapped_spend_usd: f64,
    #[schema(format = DateTime)]
    period_start: String,
    #[schema(format = DateTime)]
    period_end: String,
}

/// What one model of one agent costs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelSpendItem {
    agent_name: String,
    agent_namespace: String,
    /// For people.
    label: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    role: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    model_provider: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    provider: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_budget_usd: Option<f64>,
    estimated_spend_usd: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_budget_usd: Option<f64>,
    #[schema(format = DateTime)]
    period_start: String,
    #[schema(format = DateTime)]
    period_end: String,
    status: SpendStatus,
}

/// How far a model is from its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum SpendStatus {
    /// Far enough.
    Active,
    /// Four fifths are gone.
    #[serde(rename = "Near budget")]
    NearBudget,
    /// Nothing is left.
    #[serde(rename = "Budget reached")]
    BudgetReached,
    /// It has none.
    Uncapped,
}

/// One model of one agent, with what it may cost a month.
#[derive(Debug, Clone, PartialEq)]
pub struct Budgeted {
    /// What was counted; without a cent for a model that was not asked yet.
    pub row: SpendRow,
    /// What it may cost a month.
    pub budget_usd: Option<f64>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What the models of each agent cost this month, estimated.
#[utoipa::path(get, path = "/model-spend", tag = "model providers", responses((status = 200, body = ModelSpend)))]
async fn show(State(app): State<App>, caller: Caller<Read>) -> Result<Json<ModelSpend>, ApiError> {
    app.gateway().ledger().write(false).await?;
    let period = month_of(app.world().now());
    let mut tx = app.store().read().await?;
    let rows = tx.spend(&caller.workspace, period.0).await?;
    let agents = tx.list::<AgentRecord>(&caller.workspace).await?;
    let agents: Vec<AgentRecord> = agents.into_iter().map(|agent| agent.value).collect();
    let mut rows = with_budgets(rows, &agents);
    for own in rows.iter_mut().filter(|row| row.row.agent == PLATFORM) {
        own.budget_usd = Some(app.config().assistant.monthly_budget_usd);
    }
    Ok(Json(summarize(rows, period)))
}

/// What the models of one agent cost in the month of `now`, those that were not asked included.
pub async fn of_agent(
    tx: &mut Tx,
    workspace: &str,
    agent: &AgentRecord,
    now: i64,
) -> Result<Vec<ModelSpendItem>, StoreError> {
    let period = month_of(now);
    let rows = tx.spend(workspace, period.0).await?.into_iter().filter(|row| row.agent == agent.name).collect();
    let rows = with_budgets(rows, std::slice::from_ref(agent));
    Ok(rows.into_iter().map(|row| item(row, period)).collect())
}

/// What was counted, by the models of the agents and under their budgets. A budget is for one model of one agent, in
/// whatever role.
fn with_budgets(rows: Vec<SpendRow>, agents: &[AgentRecord]) -> Vec<Budgeted> {
    let mut budgeted: Vec<Budgeted> = Vec::new();
    for agent in agents {
        for model in &agent.models {
            let row = SpendRow {
                agent: agent.name.clone(),
                namespace: agent.namespace.clone(),
                role: model.role.clone(),
                model_provider: model.model_provider.clone().unwrap_or_default(),
                provider: model.provider.clone().unwrap_or_default(),
                model: model.model.clone(),
                ..SpendRow::default()
            };
            let of_one = |own: &Budgeted| own.row.agent == row.agent && own.row.model == row.model;
            match budgeted.iter().position(of_one) {
                None => budgeted.push(Budgeted { row, budget_usd: model.monthly_budget_usd }),
                Some(index) => {
                    let budget_usd = &mut budgeted[index].budget_usd;
                    *budget_usd = budget_usd.or(model.monthly_budget_usd);
                }
            }
        }
    }
    for row in rows {
        let of_one = |own: &&mut Budgeted| own.row.agent == row.agent && own.row.model == row.model;
        match budgeted.iter_mut().find(of_one) {
            Some(own) => {
                own.row.input_tokens += row.input_tokens;
                own.row.output_tokens += row.output_tokens;
                own.row.micro_usd += row.micro_usd;
            }
            None => budgeted.push(Budgeted { row, budget_usd: None }),
        }
    }
    budgeted
}

/// The page of a month, from its first to the next month's first millisecond.
pub fn summarize(rows: Vec<Budgeted>, (start, end): (i64, i64)) -> ModelSpend {
    let counts = |row: &Budgeted| row.budget_usd.is_some() || row.row.micro_usd > 0;
    let rows = rows.into_iter().filter(counts);
    let mut items: Vec<ModelSpendItem> = rows.map(|row| item(row, (start, end))).collect();
    items.sort_by(|a, b| {
        let by_cost = b.estimated_spend_usd.total_cmp(&a.estimated_spend_usd);
        by_cost.then_with(|| (&a.agent_name, &a.model).cmp(&(&b.agent_name, &b.model)))
    });
    let sum = |amount: fn(&ModelSpendItem) -> f64| items.iter().map(amount).sum::<f64>();
    let count = |status: SpendStatus| items.iter().filter(|item| item.status == status).count();
    let summary = SpendSummary {
        total_estimated_spend_usd: sum(|item| item.estimated_spend_usd),
        total_budget_usd: sum(|item| item.monthly_budget_usd.unwrap_or_default()),
        remaining_budget_usd: sum(|item| item.remaining_budget_usd.unwrap_or_default()),
        budgeted_model_count: items.iter().filter(|item| item.monthly_budget_usd.is_some()).count(),
        near_budget_count: count(SpendStatus::NearBudget),
        blocked_count: count(SpendStatus::BudgetReached),
        uncapped_spend_usd: sum(|item| match item.monthly_budget_usd {
            Some(_) => 0.0,
            None => item.estimated_spend_usd,
        }),
        period_start: rfc3339(start),
        period_end: rfc3339(end),
    };
    let is_warning =
        |item: &&ModelSpendItem| matches!(item.status, SpendStatus::NearBudget | SpendStatus::BudgetReached);
    let warnings = items.iter().filter(is_warning).cloned().collect();
    items.truncate(TOP);
    ModelSpend { summary, warnings, top_models: items }
}

fn item(Budgeted { row, budget_usd }: Budgeted, (start, end): (i64, i64)) -> ModelSpendItem {
    let spent = row.micro_usd as f64 / 1e6;
    let status = match budget_usd {
        None => SpendStatus::Uncapped,
        Some(budget) if spent >= budget => SpendStatus::BudgetReached,
        Some(budget) if spent >= budget * NEAR => SpendStatus::NearBudget,
        Some(_) => SpendStatus::Active,
    };
    ModelSpendItem {
        label: if row.role.is_empty() { row.model.clone() } else { format!("{} ({})", row.model, row.role) },
        agent_name: row.agent,
        agent_namespace: row.namespace,
        role: row.role,
        model_provider: row.model_provider,
        provider: row.provider,
        model: row.model,
        monthly_budget_usd: budget_usd,
        estimated_spend_usd: spent,
        remaining_budget_usd: budget_usd.map(|budget| (budget - spent).max(0.0)),
        period_start: rfc3339(start),
        period_end: rfc3339(end),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, micro_usd: i64, budget_usd: Option<f64>) -> Budgeted {
        let row = SpendRow { agent: "billing".into(), model: model.into(), micro_usd, ..SpendRow::default() };
        Budgeted { row, budget_usd }
    }

    #[test]
    fn a_model_is_as_far_from_its_budget_as_it_says() {
        let rows = vec![
            row("a", 1_000_000, Some(10.0)),
            row("b", 8_000_000, Some(10.0)),
            row("c", 12_500_000, Some(10.0)),
            row("d", 500_000, None),
        ];
        let page = summarize(rows, (0, 1));
        use SpendStatus::*;
        let said: Vec<_> = page.top_models.iter().map(|item| (item.model.as_str(), item.status)).collect();
        assert_eq!(said, [("c", BudgetReached), ("b", NearBudget), ("a", Active), ("d", Uncapped)]);
        assert_eq!(page.warnings.len(), 2);
        let SpendSummary { near_budget_count, blocked_count, budgeted_model_count, .. } = page.summary;
        assert_eq!((near_budget_count, blocked_count, budgeted_model_count), (1, 1, 3));
        assert_eq!((page.summary.total_estimated_spend_usd, page.summary.uncapped_spend_usd), (22.0, 0.5));
        assert_eq!((page.summary.total_budget_usd, page.summary.remaining_budget_usd), (30.0, 11.0));
    }
}
