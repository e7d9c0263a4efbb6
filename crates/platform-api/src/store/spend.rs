//! Spend: what models cost, by month, agent and model, counted without races.

use super::{StoreError, Tx, Workspace, on};

/// What one model of one agent cost in one month.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct SpendRow {
    /// The agent.
    pub agent: String,
    /// The agent's namespace.
    pub namespace: String,
    /// What the agent uses the model for.
    pub role: String,
    /// The name of the provider's resource.
    pub model_provider: String,
    /// Whose API it speaks.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Tokens that were sent.
    pub input_tokens: i64,
    /// Tokens that came back.
    pub output_tokens: i64,
    /// What they cost, in millionths of a dollar.
    pub micro_usd: i64,
}

impl Tx {
    /// Adds one call to what is counted in a month, which is named by its first millisecond.
    pub async fn add_spend(&mut self, workspace: Workspace<'_>, month: i64, call: &SpendRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into spend (workspace, month, agent, namespace, role, model_provider, provider, model, \
             input_tokens, output_tokens, micro_usd) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             on conflict (workspace, month, agent, role, model_provider, model) do update \
             set input_tokens = spend.input_tokens + excluded.input_tokens, \
             output_tokens = spend.output_tokens + excluded.output_tokens, \
             micro_usd = spend.micro_usd + excluded.micro_usd";
        on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(month).bind(&call.agent).bind(&call.namespace).bind(&call.role)
            .bind(&call.model_provider).bind(&call.provider).bind(&call.model)
            .bind(call.input_tokens).bind(call.output_tokens).bind(call.micro_usd)
            .execute(db).await.map(drop))?;
        Ok(())
    }

    /// What was counted in a month.
    pub async fn spend(&mut self, workspace: Workspace<'_>, month: i64) -> Result<Vec<SpendRow>, StoreError> {
        const SQL: &str = "select agent, namespace, role, model_provider, provider, model, input_tokens, \
             output_tokens, micro_usd from spend where workspace = $1 and month = $2 \
             order by agent, role, model_provider, model";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(month).fetch_all(db).await)?)
    }
}
