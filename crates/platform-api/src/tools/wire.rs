//! Wire: the four spellings in which tools are sent, and the one in which they are answered, which holds them all.

use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AccessMode, ApiKeyConfig, AuthType, Authentication, Capability, Connection, Credentials, Governance, NAMESPACE,
    OAuth2Config, SecretRef, ToolAwsConfig, ToolRecord, ToolSpec, ToolStatus, Topology,
};
use crate::names;
use crate::store::Stored;

/// A tool as it is sent: with its settings in `spec`, or beside the name.
#[derive(Deserialize, ToSchema)]
pub struct ToolRequest {
    /// What it is called.
    #[schema(required)]
    name: Option<String>,
    /// Its settings.
    spec: Option<ToolSettings>,
    /// Kept sealed, never given back.
    credentials: Option<Credentials>,
    /// Its settings, where there is no `spec`.
    #[serde(flatten)]
    flat: ToolSettings,
}

/// The union of what the published clients and documents send.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct ToolSettings {
    description: Option<String>,
    connection: Option<ConnectionSettings>,
    governance: Option<Governance>,
    capabilities: Option<Vec<Capability>>,
    #[serde(alias = "risk_tags")]
    risk_tags: Option<Vec<String>>,
    #[serde(flatten)]
    direct: ConnectionSettings,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct ConnectionSettings {
    topology: Option<Topology>,
    #[serde(alias = "base_url", alias = "baseURL")]
    base_url: Option<String>,
    port: Option<u16>,
    scheme: Option<String>,
    authentication: Option<AuthenticationSettings>,
    auth: Option<AuthenticationSettings>,
    #[serde(alias = "auth_type")]
    auth_type: Option<String>,
    #[serde(alias = "access_mode")]
    access_mode: Option<AccessMode>,
    #[schema(value_type = Option<Object>)]
    tls: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct AuthenticationSettings {
    #[serde(rename = "type")]
    kind: Option<String>,
    api_key_config: Option<ApiKeyConfig>,
    oauth2_config: Option<OAuth2Config>,
    aws_config: Option<ToolAwsConfig>,
    #[serde(alias = "auth_url")]
    auth_url: Option<String>,
    #[serde(alias = "token_url")]
    token_url: Option<String>,
    scopes: Option<Vec<String>>,
    #[serde(alias = "credentials_secret")]
    credentials_secret: Option<String>,
}

/// A tool as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Tool {
    /// What it is called.
    pub name: String,
    /// `agent-system`.
    namespace: &'static str,
    /// What its owner said.
    spec: AnsweredSpec,
    /// What was seen of it.
    status: ToolStatus,
    /// The same as in `spec.connection`.
    base_url: String,
    /// The same as in `spec.connection`.
    topology: Topology,
    /// The same as in `spec.governance`.
    access_mode: AccessMode,
    /// The same as in `spec.connection`.
    auth: AuthType,
    /// When it was registered.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

/// The spec, with what a published client looks for at its top.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct AnsweredSpec {
    #[serde(flatten)]
    spec: ToolSpec,
    topology: Topology,
    #[serde(rename = "accessMode")]
    access_mode: AccessMode,
}

impl From<Stored<ToolRecord>> for Tool {
    fn from(stored: Stored<ToolRecord>) -> Tool {
        let Stored { value: ToolRecord { name, spec, status }, created_at, updated_at, .. } = stored;
        let (topology, access_mode) = (spec.connection.topology, spec.governance.access_control.mode);
        Tool {
            name,
            namespace: NAMESPACE,
            base_url: spec.connection.base_url.clone(),
            topology,
            access_mode,
            auth: spec.connection.authentication.kind,
            spec: AnsweredSpec { spec, topology, access_mode },
            status,
            created_at,
            updated_at,
        }
    }
}

impl ToolRequest {
    /// As the flat spelling has it.
    pub fn flat(
        name: Option<String>,
        base_url: Option<String>,
        description: Option<String>,
        auth_type: Option<String>,
        port: Option<u16>,
        scheme: Option<String>,
    ) -> ToolRequest {
        let direct = ConnectionSettings { base_url, auth_type, port, scheme, ..ConnectionSettings::default() };
        let flat = ToolSettings { description, direct, ..ToolSettings::default() };
        ToolRequest { name, spec: None, credentials: None, flat }
    }

    /// What is to be kept, and what is to be sealed.
    pub fn read(self) -> Result<(ToolRecord, Option<Credentials>), ApiError> {
        let ToolRequest { name, spec, credentials, flat } = self;
        let (settings, at) = match spec {
            Some(spec) => (spec, "/spec"),
            None => (flat, ""),
        };
        let name = name.filter(|name| !name.is_empty());
        let connection = settings.connection.clone().unwrap_or_default();
        let base_url = connection.base_url.clone().or(settings.direct.base_url.clone()).filter(|url| !url.is_empty());
        let (Some(name), Some(base_url)) = (name, base_url) else {
            return Err(ApiError::BadRequest("tool name and base_url are required".into()));
        };
        let name = names::name(&name, "/name")?;
        let place = if settings.connection.is_some() { "/connection/baseUrl" } else { "/base_url" };
        if let Err(error) = names::address(&base_url, &format!("{at}{place}")) {
            return Err(ApiError::Invalid { text: error.message.clone(), errors: vec![error] });
        }
        let spec = settings.read(base_url, &name, credentials.is_some())?;
        Ok((ToolRecord { name, spec, status: ToolStatus::default() }, credentials))
    }
}

impl ToolSettings {
    fn read(self, base_url: String, name: &str, has_credentials: bool) -> Result<ToolSpec, ApiError> {
        let ToolSettings { description, connection, governance, capabilities, risk_tags, direct } = self;
        let connection = connection.unwrap_or_default();
        let plain = base_url.starts_with("http://");
        let default_port = if plain { 80 } else { 443 };
        let scheme = connection.scheme.or(direct.scheme);
        let mut governance = governance.unwrap_or_default();
        if let Some(mode) = direct.access_mode.or(connection.access_mode) {
            governance.access_control.mode = mode;
        }
        let auth = connection.authentication.or(connection.auth).or(direct.authentication).or(direct.auth);
        let kind = connection.auth_type.or(direct.auth_type);
        let topology = connection.topology.or(direct.topology).unwrap_or_default();
        let authentication = auth.unwrap_or_default().read(kind, name, has_credentials)?;
        check(&authentication, topology)?;
        Ok(ToolSpec {
            description: description.unwrap_or_default(),
            connection: Connection {
                topology,
                base_url,
                port: connection.port.or(direct.port).unwrap_or(default_port),
                scheme: scheme.unwrap_or_else(|| if plain { "HTTP" } else { "HTTPS" }.into()).to_ascii_uppercase(),
                authentication,
                tls: connection.tls.or(direct.tls),
            },
            governance,
            capabilities: capabilities.unwrap_or_default(),
            risk_tags: risk_tags.unwrap_or_default(),
        })
    }
}

impl AuthenticationSettings {
    fn read(self, kind: Option<String>, name: &str, has_credentials: bool) -> Result<Authentication, ApiError> {
        let kind = match self.kind.or(kind) {
            Some(kind) => auth_type(&kind)?,
            None => AuthType::None,
        };
        let secret = || {
            has_credentials
                .then(|| SecretRef { name: format!("{name}-credentials"), namespace: Some(NAMESPACE.into()) })
        };
        let api_key_config = self.api_key_config;
        let mut authentication = Authentication { kind, api_key_config, oauth2_config: None, aws_config: None };
        match kind {
            AuthType::None => {}
            AuthType::APIKey => {
                let config = authentication.api_key_config.get_or_insert_default();
                config.secret_ref = config.secret_ref.take().or_else(secret);
            }
            AuthType::OAuth2 => {
                let mut config = self.oauth2_config.unwrap_or_default();
                let or =
                    |kept: String, sent: Option<String>| if kept.is_empty() { sent.unwrap_or_default() } else { kept };
                config.auth_url = or(config.auth_url, self.auth_url);
                config.token_url = or(config.token_url, self.token_url);
                if config.scopes.is_empty() {
                    config.scopes = self.scopes.unwrap_or_default();
                }
                let named = self.credentials_secret.map(|name| SecretRef { name, namespace: None });
                config.credentials_secret_ref = config.credentials_secret_ref.or(named).or_else(secret);
                authentication.oauth2_config = Some(config);
            }
            AuthType::AWSSignature => {
                let mut config = self.aws_config.unwrap_or_default();
                config.credentials_secret_ref = config.credentials_secret_ref.take().or_else(secret);
                authentication.aws_config = Some(config);
            }
        }
        Ok(authentication)
    }
}

/// What would only be found out when an agent calls.
fn check(authentication: &Authentication, topology: Topology) -> Result<(), ApiError> {
    if let Some(config) = &authentication.aws_config
        && (config.region.is_empty() || config.service.is_empty())
    {
        return Err(ApiError::BadRequest(
            "awsConfig.region and awsConfig.service are required with AWSSignature".into(),
        ));
    }
    let Some(config) = &authentication.oauth2_config else { return Ok(()) };
    for (name, url) in [("authUrl", &config.auth_url), ("tokenUrl", &config.token_url)] {
        if url.is_empty() {
            continue;
        }
        names::address(url, "")
            .map_err(|error| ApiError::BadRequest(format!("oauth2Config.{name}: {}", error.message)))?;
        if topology == Topology::External && !names::is_safe(url) {
            return Err(ApiError::BadRequest(format!(
                "oauth2Config.{name} must be https: whoever listens on the way could use what is sent there"
            )));
        }
    }
    match config.token_endpoint_auth_method.as_deref() {
        None | Some("client_secret_basic" | "client_secret_post" | "none") => Ok(()),
        Some(_) => Err(ApiError::BadRequest(
            "oauth2Config.tokenEndpointAuthMethod must be client_secret_basic, client_secret_post or none".into(),
        )),
    }
}

/// In any case and spelling that the documents have.
pub fn auth_type(text: &str) -> Result<AuthType, ApiError> {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "none" | "" => Ok(AuthType::None),
        "apikey" => Ok(AuthType::APIKey),
        "oauth2" | "oauth" => Ok(AuthType::OAuth2),
        "awssignature" => Ok(AuthType::AWSSignature),
        _ => {
            let shown: String = text.chars().take(40).collect();
            Err(ApiError::BadRequest(format!(
                "{shown:?} is no authentication type; use None, APIKey, OAuth2 or AWSSignature"
            )))
        }
    }
}
