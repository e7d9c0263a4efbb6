//! Wire: connectors as they are sent and answered. Secrets go in and never come back.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use utoipa::ToSchema;

use super::members::Members;
use super::{ConnectorRecord, ConnectorType, Secrets, SlackMode, TIMEOUTS};
use crate::store::Stored;

/// What is shown of a secret.
const MASK: &str = "********";

/// Headers that are settings of the connector and are not sent as they are.
pub mod header {
    /// A bot's token, for channels of Slack.
    pub const SLACK_BOT_TOKEN: &str = "x-slack-bot-token";
    /// What Slack signs with.
    pub const SLACK_SIGNING_SECRET: &str = "x-slack-signing-secret";
    /// The key of a service of PagerDuty.
    pub const PAGERDUTY_ROUTING_KEY: &str = "x-pagerduty-routing-key";
    /// The key of a project of Jira.
    pub const JIRA_PROJECT: &str = "x-jira-project";
    /// What kind of issue is made there.
    pub const JIRA_ISSUE_TYPE: &str = "x-jira-issue-type";
    /// What webhooks are signed with, in both directions.
    pub const SIGNING_SECRET: &str = "x-runagents-signing-secret";

    /// All of them.
    pub const ALL: [&str; 6] =
        [SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET, PAGERDUTY_ROUTING_KEY, JIRA_PROJECT, JIRA_ISSUE_TYPE, SIGNING_SECRET];

    /// Those whose values are nobody's secret.
    pub const PLAIN: [&str; 5] = ["accept", "content-type", "user-agent", JIRA_PROJECT, JIRA_ISSUE_TYPE];
}

/// A connector, or what is to change of one, as it is sent.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConnectorRequest {
    /// What its owner calls it.
    name: Option<String>,
    /// `webhook`, `slack`, `teams`, `jira` or `pagerduty`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// An address, or a channel of Slack.
    endpoint: Option<String>,
    /// Settings and credentials; other headers are sent along.
    headers: Option<BTreeMap<String, String>>,
    /// It is used, unless this is false.
    enabled: Option<bool>,
    /// How long it is waited for, 1 to 120 seconds.
    timeout_seconds: Option<u32>,
    /// `compat` or `strict`.
    slack_security_mode: Option<String>,
    /// Who of those who decide here is of which group: users as the connector calls them, `*` for whoever it asks.
    group_members: Option<Members>,
}

/// A connector as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Connector {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    name: String,
    /// What is at the other end.
    #[serde(rename = "type")]
    kind: ConnectorType,
    /// Where that is.
    endpoint: String,
    /// Settings and headers; secrets are masked.
    headers: BTreeMap<String, String>,
    /// It is used.
    enabled: bool,
    /// How long it is waited for.
    timeout_seconds: u32,
    /// Whether Slack must sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    slack_security_mode: Option<SlackMode>,
    /// Who of those who decide there is of which group.
    group_members: Members,
    /// When it was made.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

/// A connector that was made just now.
#[derive(Serialize, ToSchema)]
pub struct Created {
    #[serde(flatten)]
    pub(super) connector: Connector,
    /// What its messages are signed with and its decisions are to be signed with; shown only here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signing_secret: Option<String>,
}

impl From<Stored<ConnectorRecord>> for Connector {
    fn from(stored: Stored<ConnectorRecord>) -> Connector {
        let Stored { value, created_at, updated_at, .. } = stored;
        Connector {
            id: value.id,
            name: value.name,
            kind: value.kind,
            endpoint: value.endpoint,
            headers: value.headers,
            enabled: value.enabled,
            timeout_seconds: value.timeout_seconds,
            slack_security_mode: value.slack_security_mode,
            group_members: value.group_members,
            created_at,
            updated_at,
        }
    }
}

/// A connector that can be used: what is shown of it, and what is sealed.
pub struct Settled {
    /// What is shown.
    pub record: ConnectorRecord,
    /// What is sealed.
    pub secrets: Secrets,
}

impl ConnectorRequest {
    /// What is at the other end.
    pub fn kind(&self) -> Result<ConnectorType, ApiError> {
        kind_named(self.kind.as_deref().unwrap_or_default())
    }

    /// Where that is, as it may be shown.
    pub fn endpoint(&self) -> Result<String, ApiError> {
        let endpoint = self.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
        let endpoint = endpoint.ok_or_else(|| ApiError::field("endpoint is required", "/endpoint"))?;
        Ok(shown_endpoint(self.kind()?, endpoint))
    }

    /// A new connector, which is waited for so long if nothing else is said.
    pub fn settle(self, id: String, timeout: u32) -> Result<Settled, ApiError> {
        if self.name.as_deref().is_none_or(str::is_empty) {
            return Err(ApiError::field("name is required", "/name"));
        }
        self.settle_unnamed(id, timeout)
    }

    /// The same for one that is only tried.
    pub fn settle_unnamed(self, id: String, timeout: u32) -> Result<Settled, ApiError> {
        if self.endpoint.as_deref().is_none_or(str::is_empty) {
            return Err(ApiError::field("endpoint is required", "/endpoint"));
        }
        let blank = ConnectorRecord {
            id,
            name: String::new(),
            kind: ConnectorType::Webhook,
            endpoint: String::new(),
            headers: BTreeMap::new(),
            enabled: true,
            timeout_seconds: timeout,
            slack_security_mode: None,
            group_members: Members::default(),
        };
        self.over(blank, Secrets::default())
    }

    /// What is sent, over what was.
    pub fn over(self, mut record: ConnectorRecord, mut secrets: Secrets) -> Result<Settled, ApiError> {
        match self.name {
            Some(name) if name.is_empty() => return Err(ApiError::field("name is required", "/name")),
            Some(name) => record.name = name,
            None => {}
        }
        if let Some(kind) = &self.kind {
            record.kind = kind_named(kind)?;
        }
        if let Some(endpoint) = self.endpoint.filter(|endpoint| *endpoint != record.endpoint) {
            secrets.endpoint = endpoint.trim().into();
        }
        if let Some(headers) = self.headers {
            secrets.headers = read_headers(headers, &secrets.headers)?;
        }
        if let Some(members) = self.group_members {
            record.group_members = members.checked("/group_members")?;
        }
        record.enabled = self.enabled.unwrap_or(record.enabled);
        record.timeout_seconds = timeout(self.timeout_seconds.unwrap_or(record.timeout_seconds), "timeout_seconds")?;
        record.slack_security_mode = match (record.kind, self.slack_security_mode.as_deref()) {
            (ConnectorType::Slack, None | Some("")) => Some(record.slack_security_mode.unwrap_or_default()),
            (_, None | Some("")) => None,
            (_, Some("compat")) => Some(SlackMode::Compat),
            (_, Some("strict")) => Some(SlackMode::Strict),
            (_, Some(_)) => {
                return Err(ApiError::field("slack_security_mode must be compat or strict", "/slack_security_mode"));
            }
        };
        check_endpoint(record.kind, &secrets.endpoint)?;
        check_credentials(&record, &secrets)?;
        record.endpoint = shown_endpoint(record.kind, &secrets.endpoint);
        record.headers = secrets.headers.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect();
        Ok(Settled { record, secrets })
    }
}

impl Settled {
    /// Makes what a webhook is signed with, if its owner brought nothing.
    pub fn give_signing_secret(&mut self) -> Option<String> {
        if self.record.kind != ConnectorType::Webhook || self.secrets.header(header::SIGNING_SECRET).is_some() {
            return None;
        }
        let secret = fresh_secret();
        self.secrets.headers.insert(header::SIGNING_SECRET.into(), secret.clone());
        self.record.headers.insert(header::SIGNING_SECRET.into(), MASK.into());
        Some(secret)
    }
}

impl Secrets {
    /// Where the connector is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A setting, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// What is sent along.
    pub fn sent(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_setting = |name: &str| header::ALL.iter().any(|own| own.eq_ignore_ascii_case(name));
        let sent = self.headers.iter().filter(move |(name, _)| !is_setting(name));
        sent.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What a webhook is signed with whose owner brought nothing, as Standard Webhooks write it.
pub fn fresh_secret() -> String {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("the operating system has random numbers");
    format!("whsec_{}", BASE64_STANDARD.encode(random))
}

/// A time to wait, within its bounds.
pub fn timeout(seconds: u32, field: &str) -> Result<u32, ApiError> {
    let (least, most) = TIMEOUTS;
    match (least..=most).contains(&seconds) {
        true => Ok(seconds),
        false => Err(ApiError::field(format!("{field} must be between {least} and {most}"), format!("/{field}"))),
    }
}

/// Whether an endpoint of Slack is a channel and not an address.
pub fn is_channel(endpoint: &str) -> bool {
    !endpoint.contains("://")
}

fn kind_named(name: &str) -> Result<ConnectorType, ApiError> {
    Ok(match name {
        "" | "webhook" => ConnectorType::Webhook,
        "slack" => ConnectorType::Slack,
        "teams" => ConnectorType::Teams,
        "jira" => ConnectorType::Jira,
        "pagerduty" => ConnectorType::PagerDuty,
        _ => return Err(ApiError::field("type must be one of webhook, slack, teams, jira, pagerduty", "/type")),
    })
}

/// Headers that can be sent; a masked value is the one that was.
fn read_headers(
    headers: BTreeMap<String, String>,
    before: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut read = BTreeMap::new();
    for (name, value) in headers {
        let known = before.iter().find(|(own, _)| own.eq_ignore_ascii_case(&name)).map(|(_, value)| value.clone());
        let value = if value == MASK { known.unwrap_or(value) } else { value };
        if HeaderName::try_from(name.as_str()).is_err() || HeaderValue::from_str(&value).is_err() {
            let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
            return Err(ApiError::field("headers must be names and values that HTTP can send", pointer));
        }
        read.insert(name, value);
    }
    Ok(read)
}

fn check_endpoint(kind: ConnectorType, endpoint: &str) -> Result<(), ApiError> {
    let refuse = |text: &str| Err(ApiError::field(text, "/endpoint"));
    if kind == ConnectorType::Slack && is_channel(endpoint) {
        let sound = !endpoint.is_empty() && endpoint.bytes().all(|byte| byte.is_ascii_graphic());
        return if sound { Ok(()) } else { refuse("endpoint must be a channel of Slack or the address of a hook") };
    }
    sound_address(endpoint).map(drop).or_else(|text| refuse(&format!("endpoint {text}")))
}

/// An address to which something that may be secret can be sent, or why not.
pub fn sound_address(address: &str) -> Result<Url, &'static str> {
    let Ok(url) = Url::parse(address) else { return Err("must be an https address") };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold credentials; send them in headers");
    }
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if here => Ok(url),
        _ => Err("must be an https address (plain http only on this machine)"),
    }
}

fn check_credentials(record: &ConnectorRecord, secrets: &Secrets) -> Result<(), ApiError> {
    let lacks = |name: &str| secrets.header(name).is_none();
    let strict = record.slack_security_mode == Some(SlackMode::Strict);
    let channel = is_channel(&secrets.endpoint);
    let missing = match record.kind {
        ConnectorType::Slack if channel && lacks(header::SLACK_BOT_TOKEN) => {
            "a channel of Slack needs an X-Slack-Bot-Token header"
        }
        ConnectorType::Slack if strict && lacks(header::SLACK_SIGNING_SECRET) => {
            "strict Slack security needs an X-Slack-Signing-Secret header"
        }
        ConnectorType::PagerDuty if lacks(header::PAGERDUTY_ROUTING_KEY) => {
            "PagerDuty needs a routing key in an X-PagerDuty-Routing-Key header"
        }
        ConnectorType::Jira if lacks(header::JIRA_PROJECT) => {
            "Jira needs the key of a project in an X-Jira-Project header"
        }
        _ => return Ok(()),
    };
    Err(ApiError::field(missing, "/headers"))
}

/// A value, unless it may be a secret.
fn shown(name: &str, value: &str) -> String {
    let plain = header::PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(name));
    if plain { value.into() } else { MASK.into() }
}

/// The address of a webhook, without what may be secret of it: its query, and parts of its path that nobody would make up.
pub fn shown_address(address: &str) -> String {
    let shown = shown_endpoint(ConnectorType::Webhook, address);
    let part = |(n, part): (usize, &'_ str)| {
        let has = |is: fn(&u8) -> bool| part.bytes().any(|byte| is(&byte));
        let is_made = n > 2 && part.len() >= 16 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
        if is_made { MASK.to_string() } else { part.to_string() }
    };
    shown.split('/').enumerate().map(part).collect::<Vec<_>>().join("/")
}

/// An endpoint, without what makes the address of a hook a credential.
fn shown_endpoint(kind: ConnectorType, endpoint: &str) -> String {
    let is_hook = matches!(kind, ConnectorType::Slack | ConnectorType::Teams) && endpoint.contains("://");
    let (path, query) = match endpoint.split_once('?') {
        Some((path, _)) => (path, format!("?{MASK}")),
        None => (endpoint, String::new()),
    };
    match path.rsplit_once('/') {
        Some((rest, segment)) if is_hook && !segment.is_empty() => format!("{rest}/{MASK}{query}"),
        _ => format!("{path}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nobody_would_make_up_in_an_address_is_not_shown() {
        for (address, shown) in [
            ("https://your-app.com/webhooks/run-agent", "https://your-app.com/webhooks/run-agent"),
            ("https://a1b2c3d4e5f6a7b8c9.example/x", "https://a1b2c3d4e5f6a7b8c9.example/x"),
            ("https://chat.example/api/webhooks/1/aB3dE5gH7jK9mN1pQ", "https://chat.example/api/webhooks/1/********"),
            ("https://x.example/hook?key=1", "https://x.example/hook?********"),
        ] {
            assert_eq!(shown_address(address), shown);
        }
    }

    fn request(json: serde_json::Value) -> ConnectorRequest {
        serde_json::from_value(json).unwrap()
    }

    fn settle(json: serde_json::Value) -> Result<Settled, ApiError> {
        request(json).settle("ac_1".into(), 10)
    }

    fn refusal(json: serde_json::Value) -> String {
        settle(json).err().unwrap().to_string()
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_is_missing() {
        let hook = "https://a.io/hook";
        assert_eq!(refusal(json!({"endpoint": hook})), "name is required");
        assert_eq!(refusal(json!({"name": "a"})), "endpoint is required");
        assert!(refusal(json!({"name": "a", "endpoint": hook, "type": "email"})).starts_with("type must be one of"));
        assert!(refusal(json!({"name": "a", "endpoint": "http://a.io/hook"})).contains("https"));
        assert!(refusal(json!({"name": "a", "endpoint": "https://u:p@a.io"})).contains("credentials"));
        for seconds in [0, 121] {
            let body = json!({"name": "a", "endpoint": hook, "timeout_seconds": seconds});
            assert_eq!(refusal(body), "timeout_seconds must be between 1 and 120");
        }
        let strict = json!({"name": "a", "endpoint": hook, "type": "slack", "slack_security_mode": "strict"});
        assert!(refusal(strict).contains("X-Slack-Signing-Secret"));
        assert!(refusal(json!({"name": "a", "endpoint": "C01", "type": "slack"})).contains("X-Slack-Bot-Token"));
        assert!(refusal(json!({"name": "a", "endpoint": hook, "type": "pagerduty"})).contains("routing key"));
        assert!(refusal(json!({"name": "a", "endpoint": hook, "type": "jira"})).contains("X-Jira-Project"));
        for here in ["http://127.0.0.1:9/hook", "http://localhost/hook", "http://[::1]/hook"] {
            assert!(settle(json!({"name": "a", "endpoint": here})).is_ok());
        }
    }

    #[test]
    fn the_address_of_a_hook_is_shown_without_its_secret() {
        use ConnectorType::*;
        let slack = "https://hooks.slack.com/services/T0/B0/a-secret-of-the-tests";
        for (kind, endpoint, shown) in [
            (Slack, slack, "https://hooks.slack.com/services/T0/B0/********"),
            (Slack, "C0123456789", "C0123456789"),
            (Webhook, "https://a.io/hook", "https://a.io/hook"),
            (Webhook, "https://a.io/hook?token=x", "https://a.io/hook?********"),
            (Teams, "https://a.io/workflows/1/invoke?sig=x", "https://a.io/workflows/1/********?********"),
        ] {
            assert_eq!(shown_endpoint(kind, endpoint), shown);
        }
    }

    #[test]
    fn what_comes_back_masked_stays_what_it_is() {
        let body = json!({"name": "a", "type": "slack", "endpoint": "https://hooks.slack.com/services/T0/B0/hush",
            "headers": {"X-Slack-Signing-Secret": "hush too", "Accept": "application/json"}});
        let Settled { record, secrets } = settle(body).ok().unwrap();
        assert_eq!(record.headers["X-Slack-Signing-Secret"], MASK);
        assert_eq!(record.headers["Accept"], "application/json");
        let back = json!({"endpoint": record.endpoint, "headers": record.headers, "enabled": false});
        let again = request(back).over(record, secrets).ok().unwrap();
        assert_eq!(again.secrets.endpoint(), "https://hooks.slack.com/services/T0/B0/hush");
        assert_eq!(again.secrets.header(header::SLACK_SIGNING_SECRET), Some("hush too"));
        assert!(!again.record.enabled);
    }
}
