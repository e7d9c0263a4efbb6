//! Own: what the platform itself asks a model, as one more caller of the gateway with a budget of its own.

use axum::http::HeaderMap;
use bytes::Bytes;
use http_body_util::BodyExt;
use ingestion_server::web::ApiError;
use llm_gateway::credentials::Credentials;
use llm_gateway::formats::CallerFormat;
use serde_json::Value;

use super::call::Wanted;
use super::{Gateway, Who};
use crate::config::AssistantConfig;
use crate::models::ProviderAuthType;

/// Whose calls these are in spend and budgets. No agent can have this name.
pub const PLATFORM: &str = "(platform)";

impl Gateway {
    /// What a chat completion is answered; none where the workspace has no provider for the model, or none that has what it
    /// must be shown, and where nothing may be spent.
    pub async fn ask_itself(
        &self,
        workspace: &str,
        config: &AssistantConfig,
        body: &Value,
    ) -> Result<Option<Bytes>, ApiError> {
        if config.model.is_empty() || config.monthly_budget_usd <= 0.0 {
            return Ok(None);
        }
        let known = self.registry().of(workspace).await?;
        let serving = known.providers.iter().filter(|provider| provider.spec.models.contains(&config.model));
        let is_ready = |credentials: &Option<Credentials>, kind: ProviderAuthType| match credentials {
            Some(Credentials::None) => kind == ProviderAuthType::None,
            Some(_) => true,
            None => false,
        };
        let mut ready = serving.filter(|provider| is_ready(&provider.credentials, provider.spec.auth.kind));
        let Some(provider) = ready.next() else { return Ok(None) };
        let who = Who {
            workspace: workspace.into(),
            agent: None,
            own_budget_usd: Some(config.monthly_budget_usd),
            pinned: Some(provider.name.clone()),
            invocation: None,
        };
        let (wanted, raw) = (Wanted::Reply(CallerFormat::Chat), Bytes::from(body.to_string()));
        let answer = self.answer(&who, wanted, &HeaderMap::new(), raw).await?;
        let body = answer.into_body().collect().await.map_err(|error| ApiError::Internal(error.into()))?;
        Ok(Some(body.to_bytes()))
    }
}
