//! Budget: how much of a month's money is taken, so that all replicas together never spend more than there is. What a
//! process took and did not give back, because it ended in between, stays taken.

use super::{StoreError, Tx, on};

/// Whose money: one model of one agent, in the month that begins with a millisecond.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BudgetKey {
    /// The workspace.
    pub workspace: String,
    /// The month.
    pub month: i64,
    /// The agent.
    pub agent: String,
    /// The model.
    pub model: String,
}

impl Tx {
    /// Takes some millionths of a dollar if so many are left of `budget`; were they?
    pub async fn take_budget(&mut self, key: &BudgetKey, micro_usd: i64, budget: i64) -> Result<bool, StoreError> {
        // What was spent before anybody set a budget is taken too.
        const FIRST: &str = "insert into budget (workspace, month, agent, model, taken) \
             select $1, $2, $3, $4, cast(coalesce(sum(micro_usd), 0) as bigint) from spend \
             where workspace = $1 and month = $2 and agent = $3 and model = $4 \
             on conflict (workspace, month, agent, model) do nothing";
        const TAKE: &str = "update budget set taken = taken + $5 where workspace = $1 and month = $2 and agent = $3 \
             and model = $4 and taken + $5 <= $6";
        let BudgetKey { workspace, month, agent, model } = key;
        on!(self, db => sqlx::query(FIRST)
            .bind(workspace).bind(month).bind(agent).bind(model).execute(db).await.map(drop))?;
        let taken = on!(self, db => sqlx::query(TAKE)
            .bind(workspace).bind(month).bind(agent).bind(model).bind(micro_usd).bind(budget)
            .execute(db).await.map(|done| done.rows_affected()))?;
        Ok(taken > 0)
    }

    /// Gives back what was taken and not spent; a negative amount was spent without having been taken.
    pub async fn give_back_budget(&mut self, key: &BudgetKey, micro_usd: i64) -> Result<(), StoreError> {
        const SQL: &str = "update budget set taken = taken - $5 \
             where workspace = $1 and month = $2 and agent = $3 and model = $4";
        on!(self, db => sqlx::query(SQL)
            .bind(&key.workspace).bind(key.month).bind(&key.agent).bind(&key.model).bind(micro_usd)
            .execute(db).await.map(drop))?;
        Ok(())
    }
}
