//! Budget: what calls may cost and what they did. The worst case of a call is put aside before it is made, from money that
//! this process has taken from the store in blocks; what it really cost is settled afterwards and written with the next
//! round of jobs. So few calls wait for a commit, and replicas together never spend more than there is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ingestion_server::web::World;

use crate::store::{BudgetKey, SpendRow, Store, StoreError};

/// A block is this part of a budget, or one call's worst case where that is more.
const BLOCKS: i64 = 20;

/// Money that nobody asked for so long is given back.
const IDLE: Duration = Duration::from_secs(30);

/// For so long a process that found nothing left does not look again.
const EMPTY: Duration = Duration::from_millis(250);

/// What calls may cost and what they did. Cloning gives another handle on the same one.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Store,
    world: World,
    books: Arc<Mutex<Books>>,
    /// One at a time takes more: a thousand callers need no thousand blocks.
    taking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Books {
    accounts: HashMap<BudgetKey, Account>,
    /// What was spent and is not written yet.
    spent: HashMap<(String, i64), Vec<SpendRow>>,
    /// What was spent outside of any block.
    untaken: HashMap<BudgetKey, i64>,
}

#[derive(Debug, Default)]
struct Account {
    /// Taken from the store, and neither spent nor put aside.
    free: i64,
    /// Put aside for calls that are being made.
    aside: i64,
    used_at: Duration,
    empty_until: Duration,
}

/// Money in the hands of a call that asks for more of it; back with the others when dropped.
struct Held<'a> {
    ledger: &'a Ledger,
    key: &'a BudgetKey,
    amount: i64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.ledger.with(self.key, |account| account.free += self.amount);
    }
}

/// Money put aside for one call. Dropped without being settled, all of it counts as spent.
#[derive(Debug)]
#[must_use]
pub struct Reserved(Option<(BudgetKey, i64)>);

/// A budget has not enough left for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

impl Ledger {
    /// Over a store.
    pub fn new(store: Store, world: World) -> Ledger {
        Ledger { store, world, books: Arc::default(), taking: Arc::default() }
    }

    /// Puts the worst case of a call aside; without a budget nothing is.
    pub async fn reserve(
        &self,
        key: BudgetKey,
        budget: Option<i64>,
        worst: i64,
    ) -> Result<Result<Reserved, Exhausted>, StoreError> {
        let Some(budget) = budget else { return Ok(Ok(Reserved(None))) };
        if let Some(answer) = self.at_hand(&key, worst) {
            return Ok(answer);
        }
        let _one = self.taking.lock().await;
        if let Some(answer) = self.at_hand(&key, worst) {
            return Ok(answer);
        }
        // Others may not count on what this call counts on.
        let mut held =
            Held { ledger: self, key: &key, amount: self.with(&key, |account| std::mem::take(&mut account.free)) };
        let missing = worst - held.amount;
        let mut tx = self.store.begin().await?;
        let mut taken = 0;
        for amount in [missing.max(budget / BLOCKS), missing] {
            if tx.take_budget(&key, amount, budget).await? {
                taken = amount;
                break;
            }
        }
        tx.commit().await?;
        let now = self.world.elapsed();
        if taken == 0 {
            self.with(&key, |account| account.empty_until = now + EMPTY);
            return Ok(Err(Exhausted));
        }
        held.amount += taken - worst;
        self.with(&key, |account| {
            account.aside += worst;
            account.used_at = now;
        });
        drop(held);
        Ok(Ok(Reserved(Some((key, worst)))))
    }

    /// From what this process has; none when the store must be asked.
    fn at_hand(&self, key: &BudgetKey, worst: i64) -> Option<Result<Reserved, Exhausted>> {
        let now = self.world.elapsed();
        self.with(key, |account| {
            if account.free >= worst {
                account.free -= worst;
                account.aside += worst;
                account.used_at = now;
                return Some(Ok(Reserved(Some((key.clone(), worst)))));
            }
            (now < account.empty_until).then_some(Err(Exhausted))
        })
    }

    /// What a call really cost; what it did not need is free for the next.
    pub fn settle(&self, reserved: Reserved, workspace: &str, month: i64, call: SpendRow) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        match reserved.0 {
            Some((key, worst)) => {
                let account = books.accounts.entry(key).or_default();
                account.aside -= worst;
                account.free += worst - call.micro_usd;
            }
            None => {
                let (agent, model) = (call.agent.clone(), call.model.clone());
                let key = BudgetKey { workspace: workspace.into(), month, agent, model };
                *books.untaken.entry(key).or_default() += call.micro_usd;
            }
        }
        let rows = books.spent.entry((workspace.into(), month)).or_default();
        let is_same = |row: &&mut SpendRow| {
            (&row.agent, &row.role, &row.model_provider, &row.model)
                == (&call.agent, &call.role, &call.model_provider, &call.model)
        };
        match rows.iter_mut().find(is_same) {
            Some(row) => {
                row.input_tokens += call.input_tokens;
                row.output_tokens += call.output_tokens;
                row.micro_usd += call.micro_usd;
            }
            None => rows.push(call),
        }
    }

    /// Frees what was put aside for a call that was not made.
    pub fn release(&self, reserved: Reserved) {
        if let Some((key, worst)) = reserved.0 {
            self.with(&key, |account| {
                account.aside -= worst;
                account.free += worst;
            });
        }
    }

    /// Writes what was spent, and gives back what lies idle; all of it when the process ends.
    pub async fn write(&self, is_last: bool) -> Result<(), StoreError> {
        let now = self.world.elapsed();
        let (spent, untaken, idle) = {
            let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
            let mut idle = Vec::new();
            books.accounts.retain(|key, account| {
                let is_idle = account.aside == 0 && now.saturating_sub(account.used_at) >= IDLE;
                if is_idle || is_last || account.free < 0 {
                    idle.push((key.clone(), std::mem::take(&mut account.free)));
                }
                account.aside != 0 || !is_idle
            });
            idle.retain(|(_, free)| *free != 0);
            (std::mem::take(&mut books.spent), std::mem::take(&mut books.untaken), idle)
        };
        if spent.is_empty() && untaken.is_empty() && idle.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = self.store.begin().await?;
            for ((workspace, month), rows) in &spent {
                for row in rows {
                    tx.add_spend(workspace, *month, row).await?;
                }
            }
            for (key, free) in &idle {
                tx.give_back_budget(key, *free).await?;
            }
            for (key, spent) in &untaken {
                tx.give_back_budget(key, -spent).await?;
            }
            tx.commit().await
        };
        let result = written.await;
        if result.is_err() {
            self.put_back(spent, untaken, idle);
        }
        result
    }

    /// What could not be written is written with the next round.
    fn put_back(
        &self,
        spent: HashMap<(String, i64), Vec<SpendRow>>,
        untaken: HashMap<BudgetKey, i64>,
        idle: Vec<(BudgetKey, i64)>,
    ) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        for (month, rows) in spent {
            books.spent.entry(month).or_default().extend(rows);
        }
        for (key, amount) in untaken {
            *books.untaken.entry(key).or_default() += amount;
        }
        for (key, free) in idle {
            books.accounts.entry(key).or_default().free += free;
        }
    }

    fn with<T>(&self, key: &BudgetKey, act: impl FnOnce(&mut Account) -> T) -> T {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        match books.accounts.get_mut(key) {
            Some(account) => act(account),
            None => act(books.accounts.entry(key.clone()).or_default()),
        }
    }
}
