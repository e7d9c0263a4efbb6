//! Decisions: how a request comes to be, and how it ends: approved, rejected, or with its time.

use ingestion_server::web::ApiError;
use serde_json::{Map, Value, json};

use super::connectors::deliver;
use super::{ApprovalStatus, CreateAccessRequest, Deciders, Decision, Rejection, Scope, routing, unknown};
use crate::app::{App, json as plain};
use crate::auth::Identity;
use crate::runs::{self, ActionStatus, actions};
use crate::store::{ActionRow, ApprovalRow, RunRow, Tx, Verdict, Workspace};
use crate::time;

/// How long a grant holds where nobody says otherwise.
const DEFAULT_DURATION: &str = "4h";

/// How many ended requests are settled in one go.
const BATCH: i64 = 100;

/// Asks for approval, in the caller's transaction: the request, and whether it is new. With a run, an action is blocked
/// and the run waits. Connectors are told once the transaction is true.
pub async fn ask(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    request: CreateAccessRequest,
) -> Result<(ApprovalRow, bool), ApiError> {
    let request = tidy(request)?;
    let (Some(subject), Some(tool_id)) = (request.subject.clone(), request.tool_id.clone()) else {
        return Err(ApiError::BadRequest("subject and tool_id are required".into()));
    };
    let workspace = who.workspace.as_str();
    let run = match &request.run_id {
        Some(id) => Some(tx.lock_run(workspace, id).await?.ok_or_else(|| runs::unknown(id))?),
        None => None,
    };
    let payload = request.payload_hash.as_ref().filter(|_| request.by_payload);
    let pending_key = json!([workspace, subject, tool_id, request.run_id, payload]).to_string();
    if let Some(pending) = tx.pending_approval(&pending_key).await? {
        return Ok((pending, false));
    }

    let agent_id = request.agent_id.clone().or_else(|| run.as_ref().map(|run| run.agent_id.clone()));
    let (rule, tool) = routing::route(tx, workspace, agent_id.as_deref(), &request, app.world().now()).await?;
    let of_rule = rule.as_ref().map(|rule| rule.default_duration.clone());
    let of_tool = tool.as_ref().and_then(|tool| tool.spec.governance.approval.as_ref());
    let of_tool = of_tool.map(|approval| approval.default_duration.clone());
    let stated = [request.duration.clone(), of_rule, of_tool];
    let duration = stated.into_iter().flatten().find(|text| time::duration(text).is_some());

    let id = app.world().id("req");
    let action = match &run {
        Some(run) => Some(block(app, tx, who, run, &request, &id).await?),
        None => None,
    };
    let now = app.world().now();
    let delivery = deliver::plan(tx, workspace, &id, rule.as_ref(), now).await?;
    let row = ApprovalRow {
        id,
        workspace: workspace.into(),
        subject,
        agent_id,
        tool_id,
        run_id: request.run_id,
        action_id: action.map(|action| action.id),
        capability: request.capability,
        payload_hash: request.payload_hash,
        tool_method: request.tool_method,
        tool_url: request.tool_url,
        status: ApprovalStatus::Pending,
        duration: duration.unwrap_or_else(|| DEFAULT_DURATION.into()),
        scope: None,
        approver_id: None,
        reason: None,
        pending_key: Some(pending_key.clone()),
        created_at: now,
        updated_at: now,
        expires_at: Some(now + app.config().approvals.undecided_millis()),
        used_at: None,
        told: delivery.as_ref().map_or_else(|| "[]".into(), |delivery| delivery.connectors.clone()),
        deciders: plain(&Deciders::of(rule.as_ref(), tool.as_ref())).to_string(),
    };
    if !tx.add_approval(&row).await? {
        // Somebody asked the same a moment ago. Were there a run, they would have waited for its lock.
        let pending = tx.pending_approval(&pending_key).await?;
        let text = "the same request was made and decided at this moment; ask again";
        return pending.map(|pending| (pending, false)).ok_or_else(|| ApiError::Conflict(text.into()));
    }
    if let Some(delivery) = delivery {
        tx.add_delivery(&delivery).await?;
    }
    let after = json!({"subject": row.subject, "tool_id": row.tool_id, "status": row.status});
    app.note(tx, who, "approval.create", resource(&row), None, Some(after)).await?;
    Ok((row, true))
}

/// Who may decide on an action of a run that nobody made a request for.
pub async fn deciders_of(
    app: &App,
    tx: &mut Tx,
    workspace: Workspace<'_>,
    run: &RunRow,
    action: &ActionRow,
) -> Result<Deciders, ApiError> {
    let request = CreateAccessRequest {
        subject: Some(run.user_id.clone()),
        tool_id: Some(action.tool_id.clone()),
        capability: action.capability.clone(),
        ..CreateAccessRequest::default()
    };
    let (rule, tool) = routing::route(tx, workspace, Some(&run.agent_id), &request, app.world().now()).await?;
    Ok(Deciders::of(rule.as_ref(), tool.as_ref()))
}

/// A request that is to be decided, locked together with its run.
pub async fn find(tx: &mut Tx, workspace: Workspace<'_>, id: &str) -> Result<ApprovalRow, ApiError> {
    let seen = tx.approval(workspace, id).await?.ok_or_else(unknown)?;
    if let Some(run) = &seen.run_id {
        tx.lock_run(workspace, run).await?;
    }
    tx.lock_approval(workspace, id).await?.ok_or_else(unknown)
}

/// Grants a locked request; the run that waited for it goes on.
pub async fn approve(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    request: ApprovalRow,
    decision: Decision,
) -> Result<ApprovalRow, ApiError> {
    decidable(app, &request, ApprovalStatus::Approved)?;
    Deciders::read(&request).admit(who)?;
    let scope = match decision.scope.as_deref().filter(|scope| !scope.is_empty()) {
        Some(name) => Scope::named(name).ok_or_else(|| {
            ApiError::field(format!("scope must be one of {}", Scope::ALL.map(Scope::name).join(", ")), "/scope")
        })?,
        None if request.action_id.is_some() => Scope::Once,
        None => Scope::AgentUserTtl,
    };
    if scope == Scope::Run && request.run_id.is_none() {
        return Err(ApiError::field("scope run is for requests with a run_id", "/scope"));
    }
    let duration = decision.duration.filter(|text| !text.is_empty()).unwrap_or_else(|| request.duration.clone());
    let millis = time::duration(&duration).ok_or_else(bad_duration)?;
    let now = app.world().now();
    let verdict = Verdict {
        status: ApprovalStatus::Approved,
        scope: Some(scope),
        duration: &duration,
        expires_at: Some(now + millis),
        approver: &who.name,
        reason: decision.reason.as_deref().filter(|text| !text.is_empty()),
    };
    let granted = tx.decide_approval(&request.id, &verdict, now).await?;
    decided(app, tx, who, &request, &granted).await?;
    if let Some((run, action)) = waiting(tx, &request).await? {
        actions::release(app, tx, who, &run, &action, about(&granted)).await?;
    }
    Ok(granted)
}

/// Refuses a locked request, and fails the run that waited for it.
pub async fn reject(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    request: ApprovalRow,
    rejection: Rejection,
) -> Result<ApprovalRow, ApiError> {
    decidable(app, &request, ApprovalStatus::Rejected)?;
    Deciders::read(&request).admit(who)?;
    let verdict = Verdict {
        status: ApprovalStatus::Rejected,
        scope: None,
        duration: &request.duration,
        expires_at: None,
        approver: &who.name,
        reason: rejection.reason.as_deref().filter(|text| !text.is_empty()),
    };
    let rejected = tx.decide_approval(&request.id, &verdict, app.world().now()).await?;
    decided(app, tx, who, &request, &rejected).await?;
    if let Some((run, action)) = waiting(tx, &request).await? {
        actions::refuse(app, tx, who, &run, &action, "REJECTED", about(&rejected)).await?;
    }
    Ok(rejected)
}

/// Ends whatever should have ended by now. Whoever reads asks this first, so that it does not matter when the job that
/// does the same came by last.
pub async fn expire_due(app: &App) -> Result<(), ApiError> {
    loop {
        let now = app.world().now();
        let mut tx = app.store().read().await?;
        let due = tx.due_approvals(now, BATCH).await?;
        drop(tx);
        for request in &due {
            let reason = (request.status == ApprovalStatus::Pending).then_some("nobody decided in time");
            let mut tx = app.store().begin().await?;
            expire_now(app, &mut tx, request, reason).await?;
            tx.commit().await?;
        }
        if (due.len() as i64) < BATCH {
            return Ok(());
        }
    }
}

/// Ends a request or a grant as it was seen, unless it is another by now. What waited for a decision fails; what was
/// approved and not done may not be done any more.
pub async fn expire_now(app: &App, tx: &mut Tx, request: &ApprovalRow, reason: Option<&str>) -> Result<(), ApiError> {
    let who = Identity::platform(&request.workspace);
    if let Some(run) = &request.run_id {
        tx.lock_run(&request.workspace, run).await?;
    }
    let now = app.world().now();
    if !tx.expire_approval(&request.id, request.status, reason, now).await? {
        return Ok(());
    }
    let expired = ApprovalRow {
        status: ApprovalStatus::Expired,
        reason: request.reason.clone().or_else(|| reason.map(Into::into)),
        ..request.clone()
    };
    decided(app, tx, &who, request, &expired).await?;
    let Some((run, action)) = held(tx, request).await? else { return Ok(()) };
    match action.status {
        ActionStatus::Blocked => {
            actions::refuse(app, tx, &who, &run, &action, "FAILED", about(&expired)).await?;
        }
        ActionStatus::Approved => {
            tx.set_action(&action.id, ActionStatus::Expired, now).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Without empty texts, which say as little as none; with a duration that is one.
fn tidy(mut request: CreateAccessRequest) -> Result<CreateAccessRequest, ApiError> {
    for text in [
        &mut request.subject,
        &mut request.tool_id,
        &mut request.agent_id,
        &mut request.duration,
        &mut request.run_id,
        &mut request.capability,
        &mut request.payload_hash,
        &mut request.tool_method,
        &mut request.tool_url,
    ] {
        text.take_if(|text| text.is_empty());
    }
    match request.duration.as_deref().is_none_or(|text| time::duration(text).is_some()) {
        true => Ok(request),
        false => Err(bad_duration()),
    }
}

fn bad_duration() -> ApiError {
    ApiError::field("duration must be a count and a unit up to 366d, such as 30m, 4h or 1d", "/duration")
}

async fn block(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    run: &RunRow,
    request: &CreateAccessRequest,
    id: &str,
) -> Result<ActionRow, ApiError> {
    let mut about = Map::new();
    about.insert("request_id".into(), id.into());
    for (name, text) in [("tool_method", &request.tool_method), ("tool_url", &request.tool_url)] {
        if let Some(text) = text {
            about.insert(name.into(), text.clone().into());
        }
    }
    let action = actions::CreateAction {
        tool_id: request.tool_id.clone(),
        capability: request.capability.clone(),
        payload_hash: request.payload_hash.clone(),
    };
    actions::block(app, tx, who, run, action, about).await
}

fn decidable(app: &App, request: &ApprovalRow, to: ApprovalStatus) -> Result<(), ApiError> {
    let in_time = request.expires_at.is_none_or(|end| end > app.world().now());
    match request.status.go(to) {
        Some(_) if in_time => Ok(()),
        _ => Err(ApiError::Conflict("request is not pending".into())),
    }
}

async fn decided(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    before: &ApprovalRow,
    after: &ApprovalRow,
) -> Result<(), ApiError> {
    let action = match after.status {
        ApprovalStatus::Approved => "approval.approve",
        ApprovalStatus::Rejected => "approval.reject",
        ApprovalStatus::Expired | ApprovalStatus::Pending => "approval.expire",
    };
    let shown = |row: &ApprovalRow| Some(json!({"status": row.status, "scope": row.scope, "reason": row.reason}));
    Ok(app.note(tx, who, action, resource(after), shown(before), shown(after)).await?)
}

/// The run and the action of a request.
async fn held(tx: &mut Tx, request: &ApprovalRow) -> Result<Option<(RunRow, ActionRow)>, ApiError> {
    let (Some(run_id), Some(action_id)) = (&request.run_id, &request.action_id) else { return Ok(None) };
    let run = tx.run(&request.workspace, run_id).await?;
    Ok(run.zip(tx.action(run_id, action_id).await?))
}

/// The same, where the action still waits.
async fn waiting(tx: &mut Tx, request: &ApprovalRow) -> Result<Option<(RunRow, ActionRow)>, ApiError> {
    Ok(held(tx, request).await?.filter(|(_, action)| action.status == ActionStatus::Blocked))
}

/// What timelines show of a decision.
fn about(request: &ApprovalRow) -> Map<String, Value> {
    let mut about = Map::new();
    about.insert("request_id".into(), request.id.clone().into());
    for (name, text) in [("approver_id", &request.approver_id), ("scope", &request.scope), ("message", &request.reason)]
    {
        if let Some(text) = text {
            about.insert(name.into(), text.clone().into());
        }
    }
    about
}

fn resource(request: &ApprovalRow) -> String {
    format!("approvals/{}", request.id)
}
