//! Assistant: what the platform itself asks a model: which rules a text means, what an analysis may miss. It is asked by
//! the gateway as agents ask theirs: a model provider of the workspace, with its credentials, within a budget, counted in
//! the workspace's spend. Who asked for what is in the audit log.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ingestion_server::enrichment::{Enricher, EnrichmentError, Excerpt, Suggestion, TASK, question, read};
use ingestion_server::web::{ApiError, World};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::warn;

use crate::config::{AssistantConfig, Config};
use crate::gateway::Gateway;
use crate::store::{Change, Store};

/// What asks models for the platform itself. Cloning gives another handle on the same one.
#[derive(Debug, Clone)]
pub struct Assistant {
    gateway: Gateway,
    store: Store,
    world: World,
    config: AssistantConfig,
    source_bytes: usize,
}

/// On whose behalf, and what for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// The workspace whose provider is asked.
    pub workspace: &'a str,
    /// The key of whoever wants to know, or `platform`.
    pub actor: &'a str,
    /// What for.
    pub what: &'static str,
}

impl Assistant {
    /// Over the gateway.
    pub fn new(gateway: Gateway, store: Store, world: World, config: &Config) -> Assistant {
        let source_bytes = config.enrichment.source_bytes;
        Assistant { gateway, store, world, config: config.assistant.clone(), source_bytes }
    }

    /// What the model answers to a task about some data: one JSON object of the asked shape.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        purpose: Purpose<'_>,
        task: &str,
        shown: &impl Serialize,
    ) -> Result<T, EnrichmentError> {
        let body = question(&self.config.model, task, shown);
        let patience = Duration::from_secs(self.config.timeout_seconds);
        let asked = self.gateway.ask_itself(purpose.workspace, &self.config, &body);
        let answered = match tokio::time::timeout(patience, asked).await {
            Ok(Ok(Some(answer))) => read(&answer),
            Ok(Ok(None)) => return Err(EnrichmentError::NoModel),
            Ok(Err(ApiError::Internal(error))) => {
                warn!(%error, "the platform's own question was not asked");
                Err(EnrichmentError::Refused("the platform could not ask".into()))
            }
            Ok(Err(refusal)) => Err(EnrichmentError::Refused(refusal.to_string())),
            Err(_) => Err(EnrichmentError::Slow),
        };
        let outcome = answered.as_ref().err().map_or_else(|| "answered".into(), ToString::to_string);
        self.note(purpose, outcome).await;
        answered
    }

    /// Writes down who had a model asked.
    async fn note(&self, Purpose { workspace, actor, what }: Purpose<'_>, outcome: String) {
        let change = Change {
            id: self.world.uuid(),
            at: self.world.now(),
            actor: actor.into(),
            action: "model.ask".into(),
            resource: format!("models/{}", self.config.model),
            before: None,
            after: Some(json!({"for": what, "outcome": outcome})),
        };
        let written = async {
            let mut tx = self.store.begin().await?;
            tx.note(workspace, change);
            tx.commit().await
        };
        if let Err(error) = written.await {
            warn!(%error, "that a model was asked is not written down");
        }
    }
}

impl Enricher for Assistant {
    fn suggest<'a>(
        &'a self,
        whose: &'a str,
        excerpt: &'a Excerpt,
    ) -> BoxFuture<'a, Result<Suggestion, EnrichmentError>> {
        let purpose = Purpose { workspace: whose, actor: "platform", what: "enrichment" };
        self.ask(purpose, TASK, excerpt).boxed()
    }

    fn source_bytes(&self) -> usize {
        self.source_bytes
    }
}
