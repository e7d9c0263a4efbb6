//! Wire: identity providers as they are sent, with their settings in `spec` or beside the name, and as they are answered.

use ingestion_server::web::{ApiError, FieldError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{IdentityProviderRecord, IdentityProviderSpec, Issuer, NAMESPACE};
use crate::names;
use crate::store::Stored;

/// An identity provider as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IdentityProviderRequest {
    /// What it is called.
    #[schema(required)]
    name: Option<String>,
    /// Where it says it is; `default` when absent.
    namespace: Option<String>,
    /// Its settings.
    spec: Option<IdentityProviderSettings>,
    /// Its settings, where there is no `spec`.
    #[serde(flatten)]
    flat: IdentityProviderSettings,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct IdentityProviderSettings {
    host: Option<String>,
    identity_provider: Option<IssuerSettings>,
    #[serde(rename = "userIDClaim", alias = "userIdClaim", alias = "user_id_claim")]
    user_id_claim: Option<String>,
    #[serde(alias = "allowed_domains")]
    allowed_domains: Option<Vec<String>>,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
struct IssuerSettings {
    issuer: Option<String>,
    #[serde(alias = "jwks_uri", alias = "jwksURI")]
    jwks_uri: Option<String>,
    audiences: Option<Vec<String>>,
}

/// An identity provider as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IdentityProvider {
    /// What it is called.
    pub name: String,
    /// Where it says it is.
    namespace: String,
    /// What its owner said.
    spec: IdentityProviderSpec,
    /// When it was registered.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

impl From<Stored<IdentityProviderRecord>> for IdentityProvider {
    fn from(stored: Stored<IdentityProviderRecord>) -> IdentityProvider {
        let Stored { value: IdentityProviderRecord { name, namespace, spec }, created_at, updated_at, .. } = stored;
        IdentityProvider { name, namespace, spec, created_at, updated_at }
    }
}

impl IdentityProviderRequest {
    /// What is to be kept, or everything that is wrong.
    pub fn read(self) -> Result<IdentityProviderRecord, ApiError> {
        let IdentityProviderRequest { name, namespace, spec, flat } = self;
        let (settings, at) = match spec {
            Some(spec) => (spec, "/spec"),
            None => (flat, ""),
        };
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ApiError::field("identity provider name is required", "/name"))?;
        let name = names::name(&name, "/name")?;
        let namespace = match namespace.filter(|namespace| !namespace.is_empty()) {
            Some(namespace) => names::name(&namespace, "/namespace")?,
            None => NAMESPACE.into(),
        };
        let spec = settings.read(at).map_err(|errors| ApiError::Invalid {
            text: errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; "),
            errors,
        })?;
        Ok(IdentityProviderRecord { name, namespace, spec })
    }
}

impl IdentityProviderSettings {
    fn read(self, at: &str) -> Result<IdentityProviderSpec, Vec<FieldError>> {
        let IdentityProviderSettings { host, identity_provider, user_id_claim, allowed_domains } = self;
        let IssuerSettings { issuer, jwks_uri, audiences } = identity_provider.unwrap_or_default();
        let mut errors = Vec::new();
        let mut required = |value: Option<String>, field: &str| {
            let value = value.map(|value| value.trim().to_string()).unwrap_or_default();
            if value.is_empty() {
                let name = field.replace('/', ".");
                errors.push(FieldError::new(format!("{at}/{field}"), format!("{name} is required")));
            }
            value
        };
        let host = required(host, "host");
        let issuer = required(issuer, "identityProvider/issuer");
        let jwks_uri = required(jwks_uri, "identityProvider/jwksUri");
        let user_id_claim = required(user_id_claim, "userIDClaim");

        let is_host = |text: &str| !text.contains(|c: char| c.is_whitespace() || "/?#@".contains(c));
        if !is_host(&host) {
            let text = "host is the name that users come through, without scheme and path: app.example.com";
            errors.push(FieldError::new(format!("{at}/host"), text));
        }
        // An issuer is compared as a text, and some are no addresses; where the keys are, we must be able to ask.
        if !jwks_uri.is_empty() {
            let pointer = format!("{at}/identityProvider/jwksUri");
            errors.extend(names::address(&jwks_uri, &pointer).err());
            if !names::is_safe(&jwks_uri) {
                let text = "jwksUri must be https: whoever can change the keys on their way can be anybody";
                errors.push(FieldError::new(pointer, text));
            }
        }
        let allowed_domains: Vec<String> = allowed_domains.unwrap_or_default();
        for (index, domain) in allowed_domains.iter().enumerate() {
            if domain.is_empty() || !is_host(domain) || domain.contains('*') {
                let text = "a domain is written as it stands in e-mail addresses after the @: example.com";
                errors.push(FieldError::new(format!("{at}/allowedDomains/{index}"), text));
            }
        }
        match errors.is_empty() {
            true => {
                let audiences = audiences.unwrap_or_default();
                let identity_provider = Issuer { issuer, jwks_uri, audiences };
                Ok(IdentityProviderSpec { host, identity_provider, user_id_claim, allowed_domains })
            }
            false => Err(errors),
        }
    }
}
