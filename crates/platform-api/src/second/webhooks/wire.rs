//! Wire: webhooks as they are sent and answered. A secret is shown once, when it is made.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ingestion_server::web::Reach;
use serde::{Deserialize, Serialize};
use url::Host;
use utoipa::ToSchema;

use super::events::{ALL, EVERY};
use crate::approvals::connectors::{fresh_secret, shown_address, sound_address};
use crate::second::refused::Refused;
use crate::store::{Resource, Stored, WebhookDeliveryRow};

/// Characters of a secret.
const SECRETS: std::ops::RangeInclusive<usize> = 16..=256;

/// Characters of an address, and of a description.
const LONGEST: usize = 2_000;

/// What begins a secret whose rest is Base64, by Standard Webhooks.
const PREFIX: &str = "whsec_";

/// A webhook as it is kept. Its whole address and its secret are sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRecord {
    /// Its id.
    pub id: String,
    /// Where it is, as it may be shown.
    pub url: String,
    /// What it is told of.
    pub events: Vec<String>,
    /// Of which agent alone; none for all.
    pub agent_id: Option<String>,
    /// What it is for.
    pub description: String,
    /// It is told.
    pub enabled: bool,
}

impl Resource for WebhookRecord {
    const KIND: &'static str = "webhook";

    fn key(&self) -> &str {
        &self.id
    }
}

/// What is sealed of a webhook.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Sealed {
    /// Where it is: a part of it may be a credential.
    pub url: String,
    /// What it is signed with.
    pub secret: String,
}

/// A webhook, or what is to change of one, as it is sent.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct WebhookRequest {
    /// Where it is: an https address.
    pub url: Option<String>,
    /// What it is told of: `agent.invoked`, `agent.completed`, `agent.failed`, `agent.timeout`, `run.paused`, `run.resumed`,
    /// `run.completed`, `run.failed`, `operation.completed`, `operation.failed`, `operation.cancelled`,
    /// `deployment.created`, `deployment.updated`, `deployment.deleted`, `deployment.health_changed`, `alert.triggered`; or
    /// `*`.
    pub events: Option<Vec<String>>,
    /// Of which agent alone; absent or empty: of all.
    pub agent_id: Option<String>,
    /// What it is signed with, 16 to 256 characters; one is made where none is sent.
    pub secret: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// It is told, unless this is false.
    pub enabled: Option<bool>,
}

/// A webhook as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    id: String,
    /// Where it is; what may be secret of it is masked.
    url: String,
    /// What it is told of.
    events: Vec<String>,
    /// Of which agent alone; null for all.
    agent_id: Option<String>,
    /// What it is for.
    description: String,
    /// It is told.
    enabled: bool,
    /// When it was made.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

/// A webhook that was made or changed just now.
#[derive(Serialize, ToSchema)]
pub struct FreshWebhook {
    #[serde(flatten)]
    webhook: Webhook,
    /// What it is signed with, where that was made just now; shown only in this answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// One attempt to tell a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookAttempt {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// What was answered; 0 when nobody answered.
    pub status_code: u16,
    /// After how long.
    pub duration_ms: u64,
    /// Why it does not count; null where it does.
    pub error: Option<String>,
}

/// What a webhook is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookDelivery {
    /// Its id; in the header `X-RunAgent-Delivery`.
    id: String,
    /// Of which event: `id` of the body and the header `webhook-id`, the same however often it is told.
    event_id: String,
    /// What happened.
    #[serde(rename = "type")]
    kind: String,
    /// `pending`, `delivered`, `failed`, or `skipped` where the webhook was disabled meanwhile.
    status: String,
    /// Each attempt of which the end is known.
    attempts: Vec<WebhookAttempt>,
    /// What is sent.
    #[schema(value_type = Object)]
    body: serde_json::Value,
    /// When it happened.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it is tried next.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<i64>,
    /// When it was clear how it ended.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<i64>,
}

impl From<Stored<WebhookRecord>> for Webhook {
    fn from(Stored { value, created_at, updated_at, .. }: Stored<WebhookRecord>) -> Webhook {
        let WebhookRecord { id, url, events, agent_id, description, enabled } = value;
        Webhook { id, url, events, agent_id, description, enabled, created_at, updated_at }
    }
}

impl FreshWebhook {
    /// With its secret, where that was made for it.
    pub fn new(stored: Stored<WebhookRecord>, secret: Option<String>) -> FreshWebhook {
        FreshWebhook { webhook: stored.into(), secret }
    }
}

impl From<WebhookDeliveryRow> for WebhookDelivery {
    fn from(row: WebhookDeliveryRow) -> WebhookDelivery {
        let is_pending = row.status == "pending";
        WebhookDelivery {
            attempts: serde_json::from_str(&row.attempts).unwrap_or_default(),
            body: serde_json::from_str(&row.body).unwrap_or_default(),
            next_attempt_at: is_pending.then_some(row.due_at),
            completed_at: row.ended_at,
            id: row.id,
            event_id: row.event_id,
            kind: row.kind,
            status: row.status,
            created_at: row.created_at,
        }
    }
}

impl WebhookRequest {
    /// A new webhook, with the secret that was made for it.
    pub fn settle(self, id: String, reach: Reach) -> Result<(WebhookRecord, Sealed, Option<String>), Refused> {
        for (field, is_there) in [("url", self.url.is_some()), ("events", self.events.is_some())] {
            if !is_there {
                return Err(Refused::missing(field));
            }
        }
        let made = self.secret.is_none().then(fresh_secret);
        let blank = WebhookRecord { id, enabled: true, ..WebhookRecord::default() };
        let sealed = Sealed { secret: made.clone().unwrap_or_default(), ..Sealed::default() };
        let (record, sealed) = self.over(blank, sealed, reach)?;
        Ok((record, sealed, made))
    }

    /// What is sent, over what was.
    pub fn over(
        self,
        mut record: WebhookRecord,
        mut sealed: Sealed,
        reach: Reach,
    ) -> Result<(WebhookRecord, Sealed), Refused> {
        // What comes back as it was shown stays what it is.
        if let Some(url) = self.url.filter(|url| url.is_empty() || *url != record.url) {
            check_url(&url, reach)?;
            record.url = shown_address(&url);
            sealed.url = url;
        }
        if let Some(events) = self.events {
            record.events = check_events(events)?;
        }
        if let Some(agent) = self.agent_id {
            record.agent_id = (!agent.is_empty()).then_some(agent);
        }
        if let Some(secret) = self.secret {
            check_secret(&secret)?;
            sealed.secret = secret;
        }
        if let Some(description) = self.description {
            if description.chars().count() > LONGEST {
                return Err(Refused::wrong("description", &format!("at most {LONGEST} characters")));
            }
            record.description = description;
        }
        record.enabled = self.enabled.unwrap_or(record.enabled);
        Ok((record, sealed))
    }
}

impl Sealed {
    /// The key by which Standard Webhooks sign: the bytes that a secret of theirs stands for, else its text.
    pub fn standard_key(&self) -> Vec<u8> {
        let encoded = self.secret.strip_prefix(PREFIX);
        encoded.and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_else(|| self.secret.clone().into_bytes())
    }
}

fn check_url(address: &str, reach: Reach) -> Result<(), Refused> {
    if address.chars().count() > LONGEST {
        return Err(Refused::wrong("url", &format!("at most {LONGEST} characters")));
    }
    let url = sound_address(address).map_err(|text| {
        Refused::wrong("url", text.strip_prefix("must be ").or(text.strip_prefix("must ")).unwrap_or(text))
    })?;
    // What a name resolves to is looked at with each delivery.
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        Some(Host::Domain("localhost")) => Some(IpAddr::from([127, 0, 0, 1])),
        _ => None,
    };
    match address.is_none_or(|address| reach.allows(address)) {
        true => Ok(()),
        false => Err(Refused::wrong("url", "an address of the public network")),
    }
}

fn check_events(mut events: Vec<String>) -> Result<Vec<String>, Refused> {
    let known = |event: &String| event == EVERY || ALL.contains(&event.as_str());
    if events.is_empty() || !events.iter().all(known) {
        return Err(Refused::wrong("events", &format!("a list of some of {}, or {EVERY}", ALL.join(", "))));
    }
    events.sort();
    events.dedup();
    Ok(events)
}

fn check_secret(secret: &str) -> Result<(), Refused> {
    let is_sound = SECRETS.contains(&secret.chars().count()) && !secret.chars().any(char::is_control);
    let is_encoded = secret.strip_prefix(PREFIX).is_none_or(|text| BASE64_STANDARD.decode(text).is_ok());
    match is_sound && is_encoded {
        true => Ok(()),
        false => {
            let (least, most) = (SECRETS.start(), SECRETS.end());
            Err(Refused::wrong("secret", &format!("{least} to {most} characters, behind {PREFIX} in Base64")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settle(body: serde_json::Value, reach: Reach) -> Result<WebhookRecord, String> {
        let request: WebhookRequest = serde_json::from_value(body).unwrap();
        let settled = request.settle("wh_1".into(), reach);
        settled.map(|(record, ..)| record).map_err(|refused| refused.body()["message"].as_str().unwrap().to_string())
    }

    #[test]
    fn what_cannot_be_told_safely_is_refused() {
        let of = |url: &str, reach| settle(json!({"url": url, "events": ["*"]}), reach);
        for url in ["http://a.io/hook", "ftp://a.io", "a.io", "https://u:p@a.io/", ""] {
            assert!(of(url, Reach::Inside).unwrap_err().starts_with("url must "), "{url}");
        }
        let inside = [
            "https://127.0.0.1/",
            "https://[::1]/",
            "http://localhost:1/",
            "https://10.0.0.1/",
            "https://[::ffff:10.0.0.1]/",
        ];
        for url in inside {
            assert_eq!(of(url, Reach::Outside).unwrap_err(), "url must be an address of the public network", "{url}");
            assert!(of(url, Reach::Inside).is_ok(), "{url}");
        }
        assert!(of("https://169.254.169.254/latest", Reach::Inside).is_err());
        assert!(of("https://a.io/hook", Reach::Outside).is_ok());
        assert_eq!(of("https://a.io/hook?key=hush", Reach::Outside).unwrap().url, "https://a.io/hook?********");
        let events = |events| settle(json!({"url": "https://a.io", "events": events}), Reach::Outside);
        assert!(events(json!([])).unwrap_err().starts_with("events must be a list of some of agent.invoked"));
        assert!(events(json!(["agent.slept"])).is_err());
        assert_eq!(settle(json!({"events": ["*"]}), Reach::Outside).unwrap_err(), "Url parameter is required");
        for secret in ["short", "whsec_no base 64 at all", "a\nline that is long enough"] {
            let body = json!({"url": "https://a.io", "events": ["*"], "secret": secret});
            assert!(settle(body, Reach::Outside).unwrap_err().starts_with("secret must be 16 to 256"), "{secret}");
        }
    }

    #[test]
    fn a_secret_of_standard_webhooks_stands_for_bytes() {
        let of = |secret: &str| Sealed { secret: secret.into(), ..Sealed::default() }.standard_key();
        assert_eq!(of("whsec_AAEC"), [0, 1, 2]);
        assert_eq!(of("a secret of one's own"), b"a secret of one's own");
        assert_eq!(of(&fresh_secret()).len(), 32);
    }
}
