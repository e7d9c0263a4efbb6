//! Events: what webhooks are told of. What is to be told is written in the transaction in which it becomes true, so that
//! nothing is told that did not happen, and nothing is forgotten that did.

use ingestion_server::web::ApiError;
use serde_json::{Map, Value, json};

use super::wire::WebhookRecord;
use crate::agents::{AgentStatus, Phase};
use crate::app::App;
use crate::store::{EventRow, OperationRow, StoreError, Tx, WebhookDeliveryRow, Workspace};
use crate::time::rfc3339;

/// Everything that there is.
pub const ALL: [&str; 16] = [
    "agent.invoked",
    "agent.completed",
    "agent.failed",
    "agent.timeout",
    "run.paused",
    "run.resumed",
    "run.completed",
    "run.failed",
    "operation.completed",
    "operation.failed",
    "operation.cancelled",
    "deployment.created",
    "deployment.updated",
    "deployment.deleted",
    "deployment.health_changed",
    "alert.triggered",
];

/// All of them, as subscribers spell it.
pub const EVERY: &str = "*";

/// What is told when somebody tries a webhook.
pub const TEST: &str = "webhook.test";

/// Events of runs, and what they are to webhooks.
const OF_RUNS: [(&str, &str); 8] = [
    ("INVOKE_REQUESTED", "agent.invoked"),
    ("INVOKE_COMPLETED", "agent.completed"),
    ("INVOKE_FAILED", "agent.failed"),
    ("APPROVAL_REQUIRED", "run.paused"),
    ("CONSENT_REQUIRED", "run.paused"),
    ("RESUMED", "run.resumed"),
    ("COMPLETED", "run.completed"),
    ("FAILED", "run.failed"),
];

/// What of an event's data is told. What an agent was asked, and what it said, whoever is told may fetch with a key.
const TOLD: [&str; 4] = ["action_id", "error", "status_code", "tool"];

/// Characters of a text of it.
const SAID: usize = 2_000;

/// Something that happened.
#[derive(Debug, Clone, Default)]
pub struct Happened {
    /// What.
    pub kind: &'static str,
    /// Its id, where what happened has one of its own.
    pub id: Option<String>,
    /// To which agent.
    pub agent: Option<String>,
    /// By which build it is made.
    pub deployment: Option<String>,
    /// More of it.
    pub data: Value,
}

impl Happened {
    /// As it is told; the same bytes however often.
    pub fn body(&self, id: &str, now: i64) -> String {
        let mut body =
            json!({"id": id, "type": self.kind, "created": rfc3339(now), "agent_id": self.agent, "data": self.data});
        if let Some(deployment) = &self.deployment {
            body["deployment_id"] = deployment.as_str().into();
        }
        body.to_string()
    }
}

/// Whoever wants to know of it is to be told, in the caller's transaction.
pub async fn happened(app: &App, tx: &mut Tx, workspace: Workspace<'_>, what: &Happened) -> Result<(), StoreError> {
    let webhooks = listening(tx, workspace, what.kind).await?;
    tell(app, tx, workspace, &webhooks, what).await
}

async fn listening(tx: &mut Tx, workspace: Workspace<'_>, kind: &str) -> Result<Vec<WebhookRecord>, StoreError> {
    let all = tx.list::<WebhookRecord>(workspace).await?;
    let wants =
        |webhook: &WebhookRecord| webhook.enabled && webhook.events.iter().any(|event| event == kind || event == EVERY);
    Ok(all.into_iter().map(|stored| stored.value).filter(wants).collect())
}

async fn tell(
    app: &App,
    tx: &mut Tx,
    workspace: Workspace<'_>,
    webhooks: &[WebhookRecord],
    what: &Happened,
) -> Result<(), StoreError> {
    let wants = |webhook: &&WebhookRecord| webhook.agent_id.is_none() || webhook.agent_id == what.agent;
    let mut wanting = webhooks.iter().filter(wants).peekable();
    if wanting.peek().is_none() {
        return Ok(());
    }
    let now = app.world().now();
    let id = what.id.clone().unwrap_or_else(|| app.world().uuid());
    let event_id = format!("evt_{}", id.replace('-', ""));
    let body = what.body(&event_id, now);
    for webhook in wanting {
        let row = row(app, workspace, &webhook.id, &event_id, what.kind, body.clone());
        tx.add_webhook_delivery(&row).await?;
    }
    Ok(())
}

/// One event for one webhook, due at once.
pub fn row(
    app: &App,
    workspace: Workspace<'_>,
    webhook: &str,
    event_id: &str,
    kind: &str,
    body: String,
) -> WebhookDeliveryRow {
    let now = app.world().now();
    WebhookDeliveryRow {
        id: format!("dlv_{}", app.world().uuid().replace('-', "")),
        workspace: workspace.into(),
        webhook_id: webhook.into(),
        event_id: event_id.into(),
        kind: kind.into(),
        body,
        status: "pending".into(),
        attempts: "[]".into(),
        due_at: now,
        created_at: now,
        ended_at: None,
    }
}

/// An event of a run was written.
pub async fn of_run(app: &App, tx: &mut Tx, workspace: Workspace<'_>, event: &EventRow) -> Result<(), ApiError> {
    let found = OF_RUNS.iter().find(|(own, _)| *own == event.kind);
    let Some((_, mut kind)) = found.copied() else { return Ok(()) };
    let said: Map<String, Value> =
        event.data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
    if kind == "agent.failed" && said.get("timed_out").is_some_and(|late| *late == true) {
        kind = "agent.timeout";
    }
    let webhooks = listening(tx, workspace, kind).await?;
    if webhooks.is_empty() {
        return Ok(());
    }
    let Some(run) = tx.run(workspace, &event.run_id).await? else { return Ok(()) };
    let mut data = json!({"run_id": event.run_id, "seq": event.seq, "occurred_at": rfc3339(event.created_at)});
    for name in TOLD {
        match said.get(name) {
            Some(Value::String(text)) => data[name] = text.chars().take(SAID).collect::<String>().into(),
            Some(Value::Number(number)) => data[name] = number.clone().into(),
            _ => {}
        }
    }
    let id = Some(event.id.clone());
    let what = Happened { kind, id, agent: Some(run.agent_id), data, ..Happened::default() };
    Ok(tell(app, tx, workspace, &webhooks, &what).await?)
}

/// An operation has ended.
pub async fn of_operation(app: &App, tx: &mut Tx, row: &OperationRow, status: &str) -> Result<(), StoreError> {
    let kind = match status {
        "success" => "operation.completed",
        "cancelled" => "operation.cancelled",
        _ => "operation.failed",
    };
    let data = json!({
        "operation_id": row.id,
        "status": status,
        "operation_type": row.kind,
        "check_url": crate::second::operations::check_url(&row.id),
    });
    // It ends once, so its own id is that of its end too.
    let id = Some(row.id.trim_start_matches("op_").to_string());
    let agent = Some(row.agent_id.clone());
    happened(app, tx, &row.workspace, &Happened { kind, id, agent, data, ..Happened::default() }).await
}

/// Somebody changed something; what happened to an agent is told.
pub async fn of_change(
    app: &App,
    tx: &mut Tx,
    workspace: Workspace<'_>,
    (action, resource): (&str, &str),
    (before, after): (&Option<Value>, &Option<Value>),
) -> Result<(), StoreError> {
    let kind = match action {
        "agent.deploy" if before.is_none() => "deployment.created",
        "agent.deploy" | "agent.configure" => "deployment.updated",
        "agent.delete" => "deployment.deleted",
        _ => return Ok(()),
    };
    let name = resource.trim_start_matches("agents/").to_string();
    let of = |field: &str| {
        let shown = after.as_ref().or(before.as_ref()).and_then(|shown| shown.get(field));
        shown.and_then(Value::as_str).map(str::to_string)
    };
    let data = json!({"name": name, "namespace": of("namespace")});
    let (agent, deployment) = (Some(name), of("build_id"));
    happened(app, tx, workspace, &Happened { kind, id: None, agent, deployment, data }).await
}

/// How an agent is doing has changed.
pub async fn of_health(
    app: &App,
    tx: &mut Tx,
    workspace: Workspace<'_>,
    agent: &crate::agents::AgentRecord,
    before: &AgentStatus,
) -> Result<(), StoreError> {
    if agent.status.phase == before.phase {
        return Ok(());
    }
    let word = |phase: Phase| match phase {
        Phase::Running => "healthy",
        Phase::Pending => "pending",
        Phase::Failed => "unhealthy",
    };
    let message: String = agent.status.message.chars().take(SAID).collect();
    let data = json!({"status": word(agent.status.phase), "previous": word(before.phase), "message": message});
    let (kind, name) = ("deployment.health_changed", Some(agent.name.clone()));
    let what = Happened { kind, id: None, agent: name, deployment: agent.build_id.clone(), data };
    happened(app, tx, workspace, &what).await
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn whatever_is_told_can_be_asked_for_and_is_documented() {
        for (_, kind) in OF_RUNS {
            assert!(ALL.contains(&kind), "{kind}");
        }
        assert!(!ALL.contains(&TEST));
        let description = crate::app::json(&crate::second::webhooks::wire::WebhookRequest::schema()).to_string();
        let handbook = include_str!("../../../../../docs/RUNNING.md");
        for kind in ALL {
            let kind = format!("`{kind}`");
            assert!(description.contains(&kind) && handbook.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn a_body_says_what_happened_to_whom() {
        let what = Happened {
            kind: "agent.completed",
            agent: Some("support".into()),
            data: json!({"run_id": "r"}),
            ..Happened::default()
        };
        let body: Value = serde_json::from_str(&what.body("evt_1", 1_771_841_730_000)).unwrap();
        let all = json!({"id": "evt_1", "type": "agent.completed", "created": "2026-02-23T10:15:30Z",
            "agent_id": "support", "data": {"run_id": "r"}});
        assert_eq!(body, all);
    }
}
