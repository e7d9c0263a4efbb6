//! Messages: what each kind of connector is sent, as its own API wants it, and what of the answer means that it arrived.

use axum::http::{HeaderName, HeaderValue, Method, Request, Response, header};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use super::signature::Scheme;
use super::wire::{header as setting, is_channel};
use super::{ConnectorRecord, ConnectorType, Secrets};
use crate::app::json as plain;
use crate::approvals::{AccessRequest, ApprovalStatus};
use crate::config::Config;
use crate::store::ApprovalRow;
use crate::time::rfc3339;

/// The address of PagerDuty's events below an endpoint that names only its host.
const PAGERDUTY_EVENTS: &str = "/v2/enqueue";

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Somebody has to decide.
    Request(&'a ApprovalRow),
    /// Nobody has to any more: how it ended, and what the other end calls the message that it was told by.
    Ended(&'a ApprovalRow, &'a Value),
    /// Somebody tries whether the connector works. Nobody is woken.
    Test,
}

/// A message for one connector.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Where the platform and Slack are.
    pub config: &'a Config,
    /// To whom.
    pub connector: &'a ConnectorRecord,
    /// With what.
    pub secrets: &'a Secrets,
    /// About what.
    pub subject: Subject<'a>,
    /// When.
    pub now: i64,
}

impl Message<'_> {
    /// As HTTP carries it.
    pub fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        match self.connector.kind {
            ConnectorType::Webhook => self.webhook(),
            ConnectorType::Slack => self.slack(),
            ConnectorType::Teams => self.post(self.endpoint(), &self.card(), &[]),
            ConnectorType::Jira => self.jira(),
            ConnectorType::PagerDuty => self.pagerduty(),
        }
    }

    /// Whether an answer means that the message arrived, or why it does not.
    pub fn arrived(&self, response: &Response<Bytes>) -> Result<(), String> {
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        if self.connector.kind != ConnectorType::Slack || !is_channel(self.endpoint()) {
            return Ok(());
        }
        // Slack's Web API answers 200 whatever happened.
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        match (answer["ok"].as_bool(), answer["error"].as_str()) {
            (Some(true), _) => Ok(()),
            (_, Some(error)) => Err(format!("Slack says {error}").chars().take(200).collect()),
            (_, None) => Err("Slack's answer was not understood".into()),
        }
    }

    /// What the other end calls the message, where it can be changed later.
    pub fn reference(&self, response: &Response<Bytes>) -> Value {
        let names: &[&str] = match self.connector.kind {
            ConnectorType::Slack if is_channel(self.endpoint()) => &["channel", "ts"],
            ConnectorType::Jira => &["key"],
            _ => return Value::Null,
        };
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        names.iter().filter_map(|name| Some((name.to_string(), answer.get(name)?.clone()))).collect()
    }

    fn webhook(&self) -> Result<Request<Full<Bytes>>, String> {
        let body = match self.subject {
            Subject::Test => json!({"type": "approval.test", "created_at": rfc3339(self.now)}),
            Subject::Request(row) => json!({
                "type": "approval.requested",
                "created_at": rfc3339(self.now),
                "request": plain(&AccessRequest::from(row.clone())),
                "callback_url": self.callback(),
            }),
            Subject::Ended(row, _) => json!({
                "type": format!("approval.{}", outcome(row)),
                "created_at": rfc3339(self.now),
                "request": plain(&AccessRequest::from(row.clone())),
            }),
        };
        let body = body.to_string();
        let seconds = (self.now / 1000).to_string();
        let (time, signature) = Scheme::Ours.headers();
        let delivery = match self.subject {
            Subject::Ended(row, _) => format!("{}-{}", row.id, outcome(row)),
            _ => self.id(),
        };
        let mut more = vec![("x-runagents-delivery", delivery)];
        if let Some(secret) = self.secrets.header(setting::SIGNING_SECRET) {
            more.push((signature, Scheme::Ours.sign(secret, &seconds, body.as_bytes())));
            more.push((time, seconds));
        }
        self.send(Method::POST, self.endpoint(), body, &more)
    }

    fn slack(&self) -> Result<Request<Full<Bytes>>, String> {
        let channel = is_channel(self.endpoint());
        let api = self.config.approvals.slack_api.trim_end_matches('/');
        let token = self.secrets.header(setting::SLACK_BOT_TOKEN).map(|token| format!("Bearer {token}"));
        let more: Vec<_> = token.filter(|_| channel).map(|token| ("authorization", token)).into_iter().collect();
        let mut body = json!({"text": self.title(), "blocks": self.blocks()});
        match (channel, self.subject) {
            (true, Subject::Test) => self.post(&format!("{api}/auth.test"), &json!({}), &more),
            (true, Subject::Request(_)) => {
                body["channel"] = self.endpoint().into();
                self.post(&format!("{api}/chat.postMessage"), &body, &more)
            }
            (true, Subject::Ended(_, reference)) => {
                body["channel"] = self.endpoint().into();
                // Without what Slack calls the message, another one follows.
                let (Some(channel), Some(ts)) = (reference["channel"].as_str(), reference["ts"].as_str()) else {
                    return self.post(&format!("{api}/chat.postMessage"), &body, &more);
                };
                (body["channel"], body["ts"]) = (channel.into(), ts.into());
                self.post(&format!("{api}/chat.update"), &body, &more)
            }
            (false, _) => self.post(self.endpoint(), &body, &more),
        }
    }

    fn jira(&self) -> Result<Request<Full<Bytes>>, String> {
        let site = self.endpoint().trim_end_matches('/').trim_end_matches("/rest/api/3/issue");
        let project = self.secrets.header(setting::JIRA_PROJECT).unwrap_or_default();
        if let Subject::Test = self.subject {
            let key: String = url::form_urlencoded::byte_serialize(project.as_bytes()).collect();
            return self.send(Method::GET, &format!("{site}/rest/api/3/project/{key}"), String::new(), &[]);
        }
        let paragraph = |text: String| json!({"type": "paragraph", "content": [{"type": "text", "text": text}]});
        let paragraphs: Vec<_> =
            self.facts().into_iter().map(|(name, text)| paragraph(format!("{name}: {text}"))).collect();
        if let Subject::Ended(_, reference) = self.subject {
            let key = reference["key"].as_str().ok_or("Jira did not say which issue this is about")?;
            let key: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            let said = [vec![paragraph(self.title())], paragraphs].concat();
            let body = json!({"body": {"type": "doc", "version": 1, "content": said}});
            return self.post(&format!("{site}/rest/api/3/issue/{key}/comment"), &body, &[]);
        }
        let body = json!({"fields": {
            "project": {"key": project},
            "issuetype": {"name": self.secrets.header(setting::JIRA_ISSUE_TYPE).unwrap_or("Task")},
            "summary": self.title().chars().take(250).collect::<String>(),
            "description": {"type": "doc", "version": 1, "content": paragraphs},
            "labels": ["runagents-approval"],
        }});
        self.post(&format!("{site}/rest/api/3/issue"), &body, &[])
    }

    fn pagerduty(&self) -> Result<Request<Full<Bytes>>, String> {
        let endpoint = self.endpoint().trim_end_matches('/');
        let url = match endpoint.ends_with(PAGERDUTY_EVENTS) {
            true => endpoint.to_string(),
            false => format!("{endpoint}{PAGERDUTY_EVENTS}"),
        };
        let key = self.secrets.header(setting::PAGERDUTY_ROUTING_KEY);
        let mut body = json!({"routing_key": key, "dedup_key": self.id(), "event_action": "resolve"});
        if let Subject::Request(row) = self.subject {
            let details: serde_json::Map<_, _> =
                self.facts().into_iter().map(|(name, text)| (name.to_string(), text.into())).collect();
            body["event_action"] = "trigger".into();
            body["client"] = "Platform API".into();
            body["client_url"] = self.link().into();
            body["payload"] = json!({
                "summary": self.title().chars().take(1024).collect::<String>(),
                "source": row.agent_id.as_deref().unwrap_or(&row.subject),
                "severity": "warning",
                "timestamp": rfc3339(row.created_at),
                "component": row.tool_id,
                "custom_details": details,
            });
        }
        self.post(&url, &body, &[])
    }

    /// An adaptive card, as hooks of Teams take it.
    fn card(&self) -> Value {
        let facts: Vec<_> =
            self.facts().into_iter().map(|(name, text)| json!({"title": name, "value": text})).collect();
        let mut card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": self.title()},
                {"type": "FactSet", "facts": facts},
            ],
        });
        if !matches!(self.subject, Subject::Test) {
            card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open", "url": self.link()}]);
        }
        let attachment = json!({"contentType": "application/vnd.microsoft.card.adaptive", "content": card});
        json!({"type": "message", "attachments": [attachment]})
    }

    /// Text and, where Slack's answer could be checked, buttons.
    fn blocks(&self) -> Value {
        let text =
            |kind: &str, text: String| json!({"type": kind, "text": text.chars().take(2900).collect::<String>()});
        let title = json!({"type": "section", "text": text("mrkdwn", format!("*{}*", escaped(&self.title())))});
        let mut blocks = vec![title];
        let facts: Vec<_> = self.facts().iter().map(|(name, value)| format!("*{name}*: {}", escaped(value))).collect();
        if !facts.is_empty() {
            blocks.push(json!({"type": "section", "text": text("mrkdwn", facts.join("\n"))}));
        }
        if matches!(self.subject, Subject::Request(_)) && self.secrets.header(setting::SLACK_SIGNING_SECRET).is_some() {
            let button = |action: &str, label: &str, style: &str| {
                json!({"type": "button", "action_id": action, "style": style, "value": self.id(),
                    "text": {"type": "plain_text", "text": label}})
            };
            let buttons = [button("approve", "Approve", "primary"), button("reject", "Reject", "danger")];
            blocks.push(json!({"type": "actions", "elements": buttons}));
        }
        blocks.into()
    }

    fn title(&self) -> String {
        match self.subject {
            Subject::Test => "A test of this approval connector".into(),
            Subject::Request(row) => {
                let who = row.agent_id.as_deref().unwrap_or(&row.subject);
                format!("{who} asks for approval to use {}", row.tool_id)
            }
            Subject::Ended(row, _) => {
                let who = row.agent_id.as_deref().unwrap_or(&row.subject);
                format!("{}: {who} asked for approval to use {}", outcome(row).to_uppercase(), row.tool_id)
            }
        }
    }

    /// What whoever decides has to know, in the order in which they ask.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let (row, ended) = match self.subject {
            Subject::Request(row) => (row, None),
            Subject::Ended(row, _) => (row, Some(row)),
            Subject::Test => return Vec::new(),
        };
        let call = match (&row.tool_method, &row.tool_url) {
            (Some(method), Some(url)) => Some(format!("{method} {url}")),
            (None, Some(one)) | (Some(one), None) => Some(one.clone()),
            (None, None) => None,
        };
        let facts = [
            ("Request", Some(row.id.clone())),
            ("For", Some(row.subject.clone())),
            ("Agent", row.agent_id.clone()),
            ("Tool", Some(row.tool_id.clone())),
            ("Capability", row.capability.clone()),
            ("Call", call),
            ("Payload", row.payload_hash.clone()),
            ("Run", row.run_id.clone()),
            ("Decided by", ended.and_then(|row| row.approver_id.clone())),
            ("Reason", ended.and_then(|row| row.reason.clone())),
            ("For how long", Some(row.duration.clone())),
            ("Decide until", row.expires_at.filter(|_| ended.is_none()).map(rfc3339)),
            ("Details", Some(self.link())),
        ];
        facts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }

    fn id(&self) -> String {
        match self.subject {
            Subject::Request(row) | Subject::Ended(row, _) => row.id.clone(),
            Subject::Test => "test".into(),
        }
    }

    fn endpoint(&self) -> &str {
        self.secrets.endpoint()
    }

    fn link(&self) -> String {
        format!("{}/governance/requests/{}", self.config.public_url(), self.id())
    }

    /// Where the connector may send its decision.
    fn callback(&self) -> String {
        format!("{}/callbacks/approvals/{}", self.config.public_url(), self.connector.id)
    }

    fn post(&self, url: &str, body: &Value, more: &[(&str, String)]) -> Result<Request<Full<Bytes>>, String> {
        self.send(Method::POST, url, body.to_string(), more)
    }

    /// With the headers that the connector's owner wants, then ours.
    fn send(
        &self,
        method: Method,
        url: &str,
        body: String,
        more: &[(&str, String)],
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().map_err(|_| "its endpoint is not an address".to_string())?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("platform-api"));
        let more = more.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in self.secrets.sent().chain(more) {
            let bad = || format!("its header {name} cannot be sent");
            let name = HeaderName::try_from(name).map_err(|_| bad())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        Ok(request)
    }
}

/// How a request ended. A grant whose time is over was a yes.
pub fn outcome(row: &ApprovalRow) -> &'static str {
    match row.status {
        ApprovalStatus::Rejected => "rejected",
        _ if row.scope.is_some() => "approved",
        _ => "expired",
    }
}

/// Slack's three characters that are not text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
