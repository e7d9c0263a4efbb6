//! Known: what a workspace has registered, ready to be asked.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::http::HeaderName;
use ingestion_server::web::{ApiError, World};
use llm_gateway::credentials::Credentials;
use llm_gateway::provider::{PROVIDERS, Row};
use llm_gateway::sigv4::Signer;
use url::Url;

use super::tokens;
use crate::agents::AgentRecord;
use crate::kept::Kept;
use crate::models::{ProviderAuthType, ProviderCredentials, ProviderRecord, ProviderSpec};
use crate::store::{Resource, Store, StoreError};

/// A registered provider, ready to be asked.
#[derive(Debug)]
pub struct Provider {
    /// What the operator called it.
    pub name: String,
    /// What the operator said of it.
    pub spec: ProviderSpec,
    /// Where it is.
    pub endpoint: Url,
    /// What is known of its kind.
    pub row: &'static Row,
    /// What it is shown; none where the way is not offered.
    pub credentials: Option<Credentials>,
}

/// What a workspace has registered.
#[derive(Debug, Default)]
pub struct Known {
    /// Newest first.
    pub providers: Vec<Arc<Provider>>,
    agents: HashMap<String, Arc<AgentRecord>>,
}

impl Known {
    /// The agent of that name.
    pub fn agent(&self, name: &str) -> Option<&Arc<AgentRecord>> {
        self.agents.get(name)
    }
}

/// Keeps what was read last. Cloning gives another handle on the same one.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Store,
    workspaces: Arc<Kept<String, Arc<Known>>>,
    tokens: Arc<Kept<(String, String), String>>,
}

impl Registry {
    /// Over a store.
    pub fn new(store: Store, world: World) -> Registry {
        let workspaces = Arc::new(Kept::new(store.clone(), world.clone()));
        let tokens = Arc::new(Kept::new(store.clone(), world));
        Registry { store, workspaces, tokens }
    }

    /// What a workspace has registered.
    pub async fn of(&self, workspace: &str) -> Result<Arc<Known>, StoreError> {
        if let Some(known) = self.workspaces.get(workspace) {
            return Ok(known);
        }
        let read = self.workspaces.moment();
        let mut tx = self.store.read().await?;
        let mut known = Known::default();
        for stored in tx.list::<ProviderRecord>(workspace).await? {
            let ProviderRecord { name, spec, .. } = stored.value;
            let sealed: Option<ProviderCredentials> = tx.unseal(workspace, ProviderRecord::KIND, &name).await?;
            let Ok(endpoint) = spec.endpoint.parse::<Url>() else { continue };
            let Some(row) = PROVIDERS.find(spec.provider.name(), &endpoint) else { continue };
            let credentials = shown(&spec, sealed.unwrap_or_default());
            known.providers.push(Arc::new(Provider { name, spec, endpoint, row, credentials }));
        }
        known.providers.reverse();
        for stored in tx.list::<AgentRecord>(workspace).await? {
            known.agents.insert(stored.value.name.clone(), Arc::new(stored.value));
        }
        let known = Arc::new(known);
        self.workspaces.put(workspace.to_string(), read, Arc::clone(&known));
        Ok(known)
    }

    /// The workspace of an agent that shows its token.
    pub async fn workspace_of(&self, agent: &str, token: &str) -> Result<String, ApiError> {
        let key = (agent.to_string(), token.to_string());
        if let Some(workspace) = self.tokens.get(&key) {
            return Ok(workspace);
        }
        let read = self.tokens.moment();
        let mut tx = self.store.read().await?;
        let workspace = tokens::workspace_of(&mut tx, agent, token).await?;
        self.tokens.put(key, read, workspace.clone());
        Ok(workspace)
    }
}

/// What a provider is shown, as its operator said; nothing where nothing is kept for it.
fn shown(spec: &ProviderSpec, sealed: ProviderCredentials) -> Option<Credentials> {
    match spec.auth.kind {
        ProviderAuthType::None => Some(Credentials::None),
        ProviderAuthType::APIKey => {
            let config = spec.auth.api_key_config.clone().unwrap_or_default();
            let Some(key) = sealed.api_key else { return Some(Credentials::None) };
            if config.place.eq_ignore_ascii_case("query") {
                return Some(Credentials::Query(config.name, key));
            }
            let name = HeaderName::from_str(&config.name).ok()?;
            Some(Credentials::Header(name, format!("{}{key}", config.value_prefix)))
        }
        ProviderAuthType::AWSSignature => Some(Credentials::Aws(Signer {
            region: spec.auth.aws_config.clone().unwrap_or_default().region,
            service: "bedrock".into(),
            access_key_id: sealed.aws_access_key_id?,
            secret_access_key: sealed.aws_secret_access_key?,
            session_token: sealed.aws_session_token,
        })),
        ProviderAuthType::OAuth2 => None,
    }
}
