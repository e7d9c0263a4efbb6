//! App: what every handler may reach.

use std::sync::Arc;

use axum::extract::FromRef;
use ingestion_server::Ingestion;
use ingestion_server::enrichment::Enricher;
use ingestion_server::web::{ApiError, Intake, Outbound, World};
use serde::Serialize;
use serde_json::Value;

use crate::assistant::Assistant;
use crate::auth::Identity;
use crate::config::Config;
use crate::egress::Egress;
use crate::gateway::Gateway;
use crate::identity::tokens::Tokens;
use crate::running::Running;
use crate::second::{Operations, Webhooks, alerts, webhooks};
use crate::store::{Change, Store, StoreError, Tx};

/// The platform. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    store: Store,
    world: World,
    ingestion: Ingestion,
    outbound: Outbound,
    gateway: Gateway,
    assistant: Assistant,
    egress: Egress,
    tokens: Tokens,
    running: Option<Running>,
    operations: Operations,
    webhooks: Webhooks,
    watch: alerts::Watch,
    verifying: tokio::sync::Mutex<()>,
}

impl App {
    /// Over a store, with the analyzer, and with what runs agents, if anything does.
    pub fn new(config: Config, store: Store, world: World, outbound: Outbound, running: Option<Running>) -> App {
        let gateway = Gateway::new(&config.gateway, store.clone(), world.clone());
        let assistant = Assistant::new(gateway.clone(), store.clone(), world.clone(), &config);
        let enricher = config.enrichment.enabled.then(|| Arc::new(assistant.clone()) as Arc<dyn Enricher>);
        let analyzer = Arc::new(analyzer_core::analyze);
        let ingestion = Ingestion::with(&config.ingestion(), world.clone(), analyzer, enricher);
        let egress = Egress::new(&outbound, store.clone(), world.clone());
        let tokens = Tokens::new(&outbound, world.clone());
        let operations = Operations::default();
        let webhooks = Webhooks::new(&outbound, &config.webhooks);
        let inner = Inner {
            config,
            store,
            world,
            ingestion,
            outbound,
            gateway,
            assistant,
            egress,
            tokens,
            running,
            operations,
            webhooks,
            watch: alerts::Watch::default(),
            verifying: tokio::sync::Mutex::default(),
        };
        App { inner: Arc::new(inner) }
    }

    /// What was configured.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// What must not be forgotten.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Clock and ids.
    pub fn world(&self) -> &World {
        &self.inner.world
    }

    /// The analyzer behind its cache and queue.
    pub fn ingestion(&self) -> &Ingestion {
        &self.inner.ingestion
    }

    /// For whomever we ask ourselves.
    pub fn outbound(&self) -> &Outbound {
        &self.inner.outbound
    }

    /// For agents that ask models.
    pub fn gateway(&self) -> &Gateway {
        &self.inner.gateway
    }

    /// For what the platform itself asks models.
    pub fn assistant(&self) -> &Assistant {
        &self.inner.assistant
    }

    /// For agents that call tools.
    pub fn egress(&self) -> &Egress {
        &self.inner.egress
    }

    /// For end users of agents.
    pub fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// What runs agents here, if anything does.
    pub fn running(&self) -> Option<&Running> {
        self.inner.running.as_ref()
    }

    /// What is answered later and is under way here.
    pub fn operations(&self) -> &Operations {
        &self.inner.operations
    }

    /// For webhooks that are told what agents do.
    pub fn webhooks(&self) -> &Webhooks {
        &self.inner.webhooks
    }

    /// When this process looked for alerts last.
    pub fn watch(&self) -> &alerts::Watch {
        &self.inner.watch
    }

    /// Held by whoever verifies the record.
    pub fn verifying(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.verifying
    }

    /// Something was committed that a build or an agent may be waiting for.
    pub fn wake(&self) {
        if let Some(running) = self.running() {
            running.wake();
        }
    }

    /// Limits of request bodies.
    pub fn intake(&self) -> &Intake {
        self.inner.ingestion.intake()
    }

    /// Writes down who changes what, in the transaction that changes it, and for whom it is to be told. Nothing secret may be in `before` and `after`.
    pub async fn note(
        &self,
        tx: &mut Tx,
        who: &Identity,
        action: &str,
        resource: String,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), StoreError> {
        webhooks::events::of_change(self, tx, &who.workspace, (action, &resource), (&before, &after)).await?;
        let (id, at) = (self.world().uuid(), self.world().now());
        let change = Change { id, at, actor: who.key.clone(), action: action.into(), resource, before, after };
        tx.note(&who.workspace, change);
        Ok(())
    }
}

/// Plain data as JSON.
pub fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain data is always JSON")
}

impl FromRef<App> for Intake {
    fn from_ref(app: &App) -> Intake {
        app.intake().clone()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        ApiError::Internal(error.into())
    }
}
