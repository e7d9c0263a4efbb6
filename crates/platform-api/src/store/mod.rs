//! Store: what the platform must not forget, in one SQLite file or in PostgreSQL, by one SQL text.
//!
//! It decides nothing and invents nothing: ids and times are given. Whatever belongs together is written in one
//! transaction.

mod analyses;
mod approvals;
mod audit;
pub mod backup;
mod budget;
mod chain;
pub mod credentials;
pub mod documents;
mod hours;
mod idempotency;
mod keys;
mod operations;
mod resuming;
mod runs;
mod sealed;
mod spend;
mod told;
mod usage;
pub mod verify;
mod webhooks;
mod working;

use std::borrow::Cow;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ingestion_server::web::traces::TARGET;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool, Transaction};
use tracing::{Span, info_span};

pub use analyses::Room;
pub use approvals::{ApprovalRow, DeliveryRow, Verdict};
pub use audit::Change;
pub use budget::BudgetKey;
use chain::ChainKey;
pub use chain::{CHANGES, Head, RUNS};
pub use credentials::{ConsentRow, TokenRow};
pub use documents::{Resource, Stored};
pub use idempotency::{Known, Reply};
pub use keys::KeyRow;
pub use operations::OperationRow;
pub use resuming::ResumptionRow;
pub use runs::{ActionRow, EventRow, RunRow};
pub use sealed::{Sealer, SealingError, SealingKeys};
pub use spend::SpendRow;
pub use told::ToldRow;
pub use webhooks::WebhookDeliveryRow;

/// Each migration in the order of its number; none is ever changed.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("migrations/0001_first.sql")),
    (2, "running", include_str!("migrations/0002_running.sql")),
    (3, "resuming", include_str!("migrations/0003_resuming.sql")),
    (4, "credentials", include_str!("migrations/0004_credentials.sql")),
    (5, "told", include_str!("migrations/0005_told.sql")),
    (6, "second", include_str!("migrations/0006_second.sql")),
    (8, "webhooks", include_str!("migrations/0008_webhooks.sql")),
    (9, "chain", include_str!("migrations/0009_chain.sql")),
];

/// How long a writer waits for another, and a request for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A workspace's name, checked at the door.
pub type Workspace<'a> = &'a str;

/// The store. Cloning gives another handle on the same one.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    sealer: Sealer,
    chain: ChainKey,
    changes: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
enum Pool {
    /// SQLite has one writer at a time; whoever waits for it waits in our queue and not in a loop.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction. Dropped without [`Tx::commit`], it never was.
#[derive(Debug)]
pub struct Tx {
    engine: Engine,
    sealer: Sealer,
    chain: ChainKey,
    /// What is to be written down of it at its end, by workspace: whoever writes into a chain holds up everybody else who
    /// does.
    noted: Vec<(String, Change)>,
    changes: Arc<AtomicU64>,
    /// Something was changed that others keep in memory.
    has_changed: bool,
    /// From the wait for a connection until it is over.
    _span: Span,
}

/// One of the two engines, inside a transaction.
#[derive(Debug)]
pub(crate) enum Engine {
    /// SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

/// One expression for both engines: `on!(tx, db => sqlx::query(SQL).execute(db).await)`.
macro_rules! on {
    ($tx:expr, $db:ident => $body:expr) => {
        match &mut $tx.engine {
            $crate::store::Engine::Sqlite(transaction) => {
                let $db = &mut **transaction;
                $body
            }
            $crate::store::Engine::Postgres(transaction) => {
                let $db = &mut **transaction;
                $body
            }
        }
    };
}
pub(crate) use on;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine said so.
    #[error("store: {0}")]
    Engine(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("store: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A document is not what its kind says.
    #[error("store: {kind} {name:?} cannot be read: {cause}")]
    Document {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        cause: serde_json::Error,
    },
    /// What is sealed cannot be opened.
    #[error(transparent)]
    Sealing(#[from] SealingError),
}

impl Store {
    /// The store in a file, which is made if need be.
    pub async fn sqlite(path: &Path, keys: SealingKeys) -> Result<Store, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged write survives a power failure too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
        let write = pool(1).connect_with(options.clone()).await?;
        migrator().run(&write).await?;
        let read = pool(4).connect_with(options).await?;
        Store::over(Pool::Sqlite { write, read }, keys).await
    }

    /// The store in a PostgreSQL database, which many replicas may share.
    pub async fn postgres(url: &str, connections: u32, keys: SealingKeys) -> Result<Store, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("platform-api");
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options).await?;
        migrator().run(&pool).await?;
        Store::over(Pool::Postgres(pool), keys).await
    }

    /// To change something.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let span = info_span!(target: TARGET, "store.write", otel.kind = "client");
        let engine = match &self.pool {
            // Without `immediate` two writers could both read first and then fail at the lock.
            Pool::Sqlite { write, .. } => Engine::Sqlite(write.begin_with("begin immediate").await?),
            Pool::Postgres(pool) => Engine::Postgres(pool.begin().await?),
        };
        Ok(self.tx(engine, span))
    }

    /// To read one state of everything. What is written here would be lost.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        let span = info_span!(target: TARGET, "store.read", otel.kind = "client");
        let engine = match &self.pool {
            Pool::Sqlite { read, .. } => Engine::Sqlite(read.begin().await?),
            Pool::Postgres(pool) => {
                Engine::Postgres(pool.begin_with("begin isolation level repeatable read, read only").await?)
            }
        };
        Ok(self.tx(engine, span))
    }

    /// A number that is another one whenever this process has changed a document or something sealed. What was read
    /// before it changed may be old; what other replicas change, it does not tell.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Can it answer at all?
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut tx = self.read().await?;
        on!(tx, db => sqlx::query("select value from meta where name = 'sealing'").fetch_optional(db).await.map(drop))?;
        Ok(())
    }

    /// Waits until every connection is given back, and closes them.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    fn tx(&self, engine: Engine, span: Span) -> Tx {
        Tx {
            engine,
            sealer: self.sealer.clone(),
            chain: self.chain.clone(),
            noted: Vec::new(),
            changes: Arc::clone(&self.changes),
            has_changed: false,
            _span: span,
        }
    }

    /// Refuses a store that was sealed with keys that this process does not have.
    async fn over(pool: Pool, keys: SealingKeys) -> Result<Store, StoreError> {
        const MINE: &str = "insert into meta (name, value) values ('sealing', $1) on conflict (name) do nothing";
        const THEIRS: &str = "select value from meta where name = 'sealing'";
        let (sealer, chain) = (Sealer::new(keys), ChainKey::random());
        let mut store = Store { pool, sealer, chain, changes: Arc::default() };
        let mut tx = store.begin().await?;
        on!(tx, db => sqlx::query(MINE).bind(store.sealer.current()).execute(db).await.map(drop))?;
        let kept: String = on!(tx, db => sqlx::query_scalar(THEIRS).fetch_one(db).await)?;
        store.sealer.knows(&kept)?;
        let own = store.chain.encode();
        let chain = tx.seal_once("", "chain", "key", own.clone()).await?;
        if chain == own {
            // From now on whatever has no link was not written by this platform.
            tx.link_all().await?;
        }
        store.chain = ChainKey::decode(&chain).ok_or_else(|| SealingError::Broken("the chains' key".into()))?;
        tx.commit().await?;
        Ok(store)
    }
}

impl Tx {
    /// Waits for whoever else did this, and lets nobody else until the end: for what happens once in a store's life.
    pub async fn lock_store(&mut self) -> Result<(), StoreError> {
        const SQL: &str = "update meta set value = value where name = 'sealing'";
        on!(self, db => sqlx::query(SQL).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Makes everything since [`Store::begin`] true at once.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.write_noted().await?;
        match self.engine {
            Engine::Sqlite(transaction) => transaction.commit().await?,
            Engine::Postgres(transaction) => transaction.commit().await?,
        }
        if self.has_changed {
            self.changes.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }
}

fn migrator() -> Migrator {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator { migrations: MIGRATIONS.iter().map(migration).collect(), ..Migrator::DEFAULT }
}

/// A schema for a test's own tables.
#[doc(hidden)]
pub async fn create_schema(url: &str, name: &str) -> Result<(), StoreError> {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    let statement = format!("create schema {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await?;
    pool.close().await;
    Ok(())
}
