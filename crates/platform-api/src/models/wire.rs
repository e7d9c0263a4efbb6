//! Wire: model providers as they are sent, with their settings in `spec` or beside the name, and as they are answered.

use ingestion_server::web::{ApiError, FieldError};
use llm_gateway::provider::{Auth, PROVIDERS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Api, AwsConfig, NAMESPACE, ProviderAuth, ProviderAuthType, ProviderCredentials, ProviderRecord, ProviderSpec,
    ProviderStatus, RateLimit,
};
use crate::names;
use crate::store::Stored;
use crate::tools::{ApiKeyConfig, OAuth2Config, SecretRef};

/// A model provider as it is sent.
#[derive(Deserialize, ToSchema)]
pub struct ModelProviderRequest {
    /// What it is called.
    #[schema(required)]
    name: Option<String>,
    /// Its settings.
    spec: Option<ProviderSettings>,
    /// Kept sealed, never given back.
    credentials: Option<ProviderCredentials>,
    /// Its settings, where there is no `spec`.
    #[serde(flatten)]
    flat: ProviderSettings,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct ProviderSettings {
    provider: Option<String>,
    endpoint: Option<String>,
    models: Option<Vec<String>>,
    auth: Option<ProviderAuthSettings>,
    #[serde(alias = "auth_type")]
    auth_type: Option<String>,
    #[serde(alias = "rate_limit")]
    rate_limit: Option<RateLimit>,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct ProviderAuthSettings {
    #[serde(rename = "type")]
    kind: Option<String>,
    api_key_config: Option<ApiKeyConfig>,
    aws_config: Option<AwsConfig>,
    oauth2_config: Option<OAuth2Config>,
}

/// A model provider as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelProvider {
    /// What it is called.
    pub name: String,
    /// `agent-system`.
    namespace: &'static str,
    /// What its owner said.
    spec: ProviderSpec,
    /// What was seen of it.
    status: ProviderStatus,
    /// The same as in `spec`.
    provider: Api,
    /// The same as in `spec`.
    endpoint: String,
    /// The same as in `spec`.
    models: Vec<String>,
    /// When it was registered.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

impl From<Stored<ProviderRecord>> for ModelProvider {
    fn from(stored: Stored<ProviderRecord>) -> ModelProvider {
        let Stored { value: ProviderRecord { name, spec, status }, created_at, updated_at, .. } = stored;
        let (provider, endpoint, models) = (spec.provider, spec.endpoint.clone(), spec.models.clone());
        ModelProvider { name, namespace: NAMESPACE, spec, status, provider, endpoint, models, created_at, updated_at }
    }
}

impl ModelProviderRequest {
    /// What is to be kept, and what is to be sealed.
    pub fn read(self) -> Result<(ProviderRecord, Option<ProviderCredentials>), ApiError> {
        let ModelProviderRequest { name, spec, credentials, flat } = self;
        let (settings, at) = match spec {
            Some(spec) => (spec, "/spec"),
            None => (flat, ""),
        };
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ApiError::field("model provider name is required", "/name"))?;
        let name = names::name(&name, "/name")?;
        let spec = settings.read(&name, at, credentials.is_some()).map_err(|errors| ApiError::Invalid {
            text: errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; "),
            errors,
        })?;
        Ok((ProviderRecord { name, spec, status: ProviderStatus::default() }, credentials))
    }
}

impl ProviderSettings {
    /// The spec, or everything that is wrong with it.
    fn read(self, name: &str, at: &str, has_credentials: bool) -> Result<ProviderSpec, Vec<FieldError>> {
        let ProviderSettings { provider, endpoint, models, auth, auth_type, rate_limit } = self;
        let mut errors = Vec::new();
        let mut refuse = |field: &str, message: String| errors.push(FieldError::new(format!("{at}/{field}"), message));

        let api = match &provider {
            Some(text) => api(text),
            None => None,
        };
        match (&provider, api) {
            (_, Some(_)) => {}
            (None, None) => refuse("provider", format!("provider is required: {APIS}")),
            (Some(text), None) => {
                let shown: String = text.chars().take(40).collect();
                refuse("provider", format!("{shown:?} is no provider that this platform can ask: {APIS}"));
            }
        }
        let endpoint = endpoint.unwrap_or_default();
        match endpoint.as_str() {
            "" => refuse("endpoint", "endpoint is required".into()),
            _ => {
                if let Err(error) = names::address(&endpoint, "") {
                    refuse("endpoint", error.message);
                }
            }
        }
        let models = models.unwrap_or_default();
        if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
            refuse("models", "models must name at least one model".into());
        }
        let auth = auth.unwrap_or_default();
        let kind = match (auth.kind.as_ref().or(auth_type.as_ref()), api) {
            (Some(text), _) => auth_kind(text),
            (None, Some(Api::Bedrock)) => Some(ProviderAuthType::AWSSignature),
            (None, Some(Api::Ollama)) if !has_credentials => Some(ProviderAuthType::None),
            (None, _) => Some(ProviderAuthType::APIKey),
        };
        if kind.is_none() {
            refuse("auth/type", "auth.type must be APIKey, AWSSignature, OAuth2 or None".into());
        }
        let needs_region = kind == Some(ProviderAuthType::AWSSignature);
        if needs_region && auth.aws_config.as_ref().is_none_or(|config| config.region.is_empty()) {
            refuse("auth/awsConfig/region", "auth.awsConfig.region is required with AWSSignature".into());
        }
        if rate_limit.is_some_and(|limit| limit.requests_per_minute == 0) {
            refuse("rateLimit/requestsPerMinute", "rateLimit.requestsPerMinute must be 1 or more".into());
        }
        match (api, kind, errors.is_empty()) {
            (Some(provider), Some(kind), true) => {
                let auth = auth.read(kind, provider, name, has_credentials);
                Ok(ProviderSpec { provider, endpoint, models, auth, rate_limit })
            }
            _ => Err(errors),
        }
    }
}

impl ProviderAuthSettings {
    fn read(self, kind: ProviderAuthType, api: Api, name: &str, has_credentials: bool) -> ProviderAuth {
        let secret = || {
            has_credentials
                .then(|| SecretRef { name: format!("{name}-credentials"), namespace: Some(NAMESPACE.into()) })
        };
        let mut auth = ProviderAuth { kind, api_key_config: None, aws_config: None, oauth2_config: None };
        match kind {
            ProviderAuthType::None => {}
            ProviderAuthType::APIKey => {
                let mut config = self.api_key_config.unwrap_or_else(|| usual_place(api));
                config.secret_ref = config.secret_ref.or_else(secret);
                auth.api_key_config = Some(config);
            }
            ProviderAuthType::AWSSignature => {
                let mut config = self.aws_config.unwrap_or_default();
                config.credentials_secret_ref = config.credentials_secret_ref.or_else(secret);
                auth.aws_config = Some(config);
            }
            ProviderAuthType::OAuth2 => {
                let mut config = self.oauth2_config.unwrap_or_default();
                config.credentials_secret_ref = config.credentials_secret_ref.or_else(secret);
                auth.oauth2_config = Some(config);
            }
        }
        auth
    }
}

const APIS: &str = "write openai (also for whoever speaks its API), anthropic, bedrock, ollama, gemini or azure";

fn api(text: &str) -> Option<Api> {
    match text.to_ascii_lowercase().as_str() {
        "openai" => Some(Api::OpenAI),
        "anthropic" => Some(Api::Anthropic),
        "bedrock" => Some(Api::Bedrock),
        "ollama" => Some(Api::Ollama),
        "gemini" | "google" => Some(Api::Gemini),
        "azure" => Some(Api::Azure),
        _ => None,
    }
}

/// In any case and spelling that the documents have.
fn auth_kind(text: &str) -> Option<ProviderAuthType> {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "none" | "" => Some(ProviderAuthType::None),
        "apikey" => Some(ProviderAuthType::APIKey),
        "awssignature" => Some(ProviderAuthType::AWSSignature),
        "oauth2" | "oauth" => Some(ProviderAuthType::OAuth2),
        _ => None,
    }
}

/// Where an API has its key when nobody says otherwise.
fn usual_place(api: Api) -> ApiKeyConfig {
    match PROVIDERS.auth(api.name()) {
        Some(Auth::Header { name }) => {
            ApiKeyConfig { name: name.clone(), value_prefix: String::new(), ..ApiKeyConfig::default() }
        }
        Some(Auth::Query { name }) => {
            let (place, value_prefix) = ("Query".into(), String::new());
            ApiKeyConfig { place, name: name.clone(), value_prefix, ..ApiKeyConfig::default() }
        }
        Some(Auth::Bearer | Auth::Other) | None => ApiKeyConfig::default(),
    }
}
