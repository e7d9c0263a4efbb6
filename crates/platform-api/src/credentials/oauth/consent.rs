//! Consent: a call for which a user has to agree first. The run waits for them, as it waits for an approval, and goes on
//! or ends with what they decide.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::state::Key;
use super::{Client, random};
use crate::app::App;
use crate::auth::Identity;
use crate::credentials::Calling;
use crate::running::recording::Waiting;
use crate::running::resume;
use crate::runs::events::{NewEvent, append};
use crate::runs::{self, ActionStatus, RunStatus, actions};
use crate::store::credentials::CONSENT;
use crate::store::{ActionRow, ConsentRow, RunRow, Tx};

/// How many that are over are settled in one go.
const BATCH: i64 = 100;

/// What every authorization's address says by itself.
const OURS: [&str; 7] =
    ["response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"];

/// What a user must bring back, as it is sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Way {
    /// Which of the addresses that were made; those before it are dead.
    pub nonce: String,
    /// What proves to the authorization server that whoever brings the code is who sent the user.
    pub verifier: String,
    /// What the user was asked for.
    pub binding: String,
}

impl Way {
    /// A new one.
    pub fn new(client: &Client) -> Way {
        Way { nonce: random(), verifier: random(), binding: client.binding.clone() }
    }
}

/// Asks the user of a call to agree, once however often it is called: the documented refusal, with the address where they
/// do. The run waits.
pub async fn ask(app: &App, calling: &Calling<'_>, client: &Client, subject: &str) -> Result<Response, ApiError> {
    if let Some(invocation) = calling.invocation {
        // What happened before stands before it, and this has not happened.
        if let Some(key) = calling.key {
            invocation.recording.not_made(key);
        }
        invocation.recording.keep();
        invocation.write(app, async |_, _| Ok(())).await?;
    }
    let run_id = calling.invocation.map_or("", |invocation| invocation.run.as_str());
    let now = app.world().now();
    let mut tx = app.store().begin().await?;
    let run = match run_id {
        "" => None,
        id => tx.lock_run(calling.workspace, id).await?,
    };
    let fresh = ConsentRow {
        id: app.world().uuid(),
        workspace: calling.workspace.into(),
        tool: client.tool.clone(),
        subject: subject.into(),
        agent: calling.agent.into(),
        run_id: run_id.into(),
        action_id: None,
        expires_at: now + app.config().credentials.consent_millis(),
    };
    let mut row = match tx.add_consent(&fresh).await? {
        true => fresh,
        false => {
            let pending = tx.consent_for(calling.workspace, &client.tool, subject, run_id).await?;
            let gone = || ApiError::Conflict("the user decided at this moment; call again".into());
            let pending = tx.lock_consent(&pending.ok_or_else(gone)?.id).await?.ok_or_else(gone)?;
            // Over and not settled yet: from now on it is a new one.
            let is_over = pending.expires_at <= now;
            ConsentRow { expires_at: if is_over { fresh.expires_at } else { pending.expires_at }, ..pending }
        }
    };
    let kept: Option<Way> = tx.unseal(calling.workspace, CONSENT, &row.id).await?;
    let way = match kept.filter(|way| way.binding == client.binding) {
        Some(way) => way,
        None => {
            let way = Way::new(client);
            tx.seal(calling.workspace, CONSENT, &row.id, &way).await?;
            way
        }
    };
    let url = address(app, &mut tx, client, &row, &way).await?;
    if let Some(run) = run.filter(|run| run.status == RunStatus::Running) {
        let before = match &row.action_id {
            Some(action) => tx.action(&run.id, action).await?.filter(|action| action.status == ActionStatus::Blocked),
            None => None,
        };
        row.action_id = Some(pause(app, &mut tx, &run, before, client, &url).await?);
    }
    tx.set_consent(&row.id, row.action_id.as_deref(), row.expires_at).await?;
    let resume = row.action_id.as_ref().unwrap_or(&row.id);
    let body = json!({
        "error": "CONSENT_REQUIRED",
        "code": "CONSENT_REQUIRED",
        "authorization_url": url,
        "resume_id": resume,
        "action_id": row.action_id,
        "tool": client.tool,
        "message": format!("{} is called for its user only after they agreed at authorization_url", client.tool),
    });
    let mut waiting = None;
    if let (Some(invocation), Some(key), Some(action)) = (calling.invocation, calling.key, &row.action_id) {
        let at = Waiting { key: key.clone(), told: body.clone() };
        resume::pause(&mut tx, invocation, action, &at).await?;
        waiting = Some((invocation, at));
    }
    tx.commit().await?;
    if let Some((invocation, at)) = waiting {
        invocation.recording.pause(at);
    }
    Ok((StatusCode::FORBIDDEN, Json(body)).into_response())
}

/// A locked run waits for its user, by an action that it may be waiting by already.
async fn pause(
    app: &App,
    tx: &mut Tx,
    run: &RunRow,
    action: Option<ActionRow>,
    client: &Client,
    url: &str,
) -> Result<String, ApiError> {
    let (who, now) = (Identity::platform(&client.workspace), app.world().now());
    let action = match action {
        Some(action) => action.id,
        None => {
            let action = ActionRow {
                id: app.world().uuid(),
                run_id: run.id.clone(),
                tool_id: client.tool.clone(),
                capability: None,
                payload_hash: None,
                status: ActionStatus::Blocked,
                created_at: now,
                updated_at: now,
            };
            tx.add_action(&action).await?;
            action.id
        }
    };
    runs::change(app, tx, &who, run, RunStatus::PausedConsent, Some(&action)).await?;
    // A runtime may lose the refusal itself; whoever looks at the run finds the address here.
    let data = [
        ("action_id", action.as_str()),
        ("resume_id", &action),
        ("tool_id", &client.tool),
        ("tool", &client.tool),
        ("authorization_url", url),
    ];
    let data = data.into_iter().map(|(name, text)| (name.to_string(), Value::from(text))).collect();
    append(app, tx, &who, &run.id, NewEvent { kind: "CONSENT_REQUIRED", data, ..NewEvent::default() }).await?;
    Ok(action)
}

/// Where the user agrees.
pub async fn address(app: &App, tx: &mut Tx, client: &Client, row: &ConsentRow, way: &Way) -> Result<String, ApiError> {
    let state = Key::of(tx).await?.sign(row, &way.nonce);
    let config = &client.config;
    let bad = |_| ApiError::BadGateway(format!("the authUrl of the tool {:?} is not an address", client.tool));
    let mut url: Url = config.auth_url.parse().map_err(bad)?;
    let others: Vec<(String, String)> = url.query_pairs().map(|(name, value)| (name.into(), value.into())).collect();
    let others = others.into_iter().chain(config.auth_params.clone());
    let others: Vec<_> = others.filter(|(name, _)| !OURS.contains(&name.as_str())).collect();
    let scopes = config.scopes.join(" ");
    let challenge = BASE64.encode(Sha256::digest(&way.verifier));
    let redirect = redirect_uri(app);
    let ours = [
        ("response_type", "code"),
        ("client_id", &client.id),
        ("redirect_uri", &redirect),
        ("scope", &scopes),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let ours = ours.into_iter().filter(|(_, value)| !value.is_empty());
    url.query_pairs_mut().clear().extend_pairs(others).extend_pairs(ours);
    Ok(url.into())
}

/// Where the user comes back to.
pub fn redirect_uri(app: &App) -> String {
    format!("{}{}", app.config().public_url(), super::PATH)
}

/// The user agreed: nobody is asked any more, and the run goes on if this is what it waited for. Run and consent are
/// locked.
pub async fn agreed(app: &App, tx: &mut Tx, row: &ConsentRow) -> Result<(), ApiError> {
    tx.drop_consent(&row.workspace, &row.id).await?;
    let (who, run) = (user(row), tx.run(&row.workspace, &row.run_id).await?);
    let change = json!({"tool": row.tool, "subject": row.subject, "agent": row.agent});
    app.note(tx, &who, "consent.give", format!("tools/{}", row.tool), None, Some(change)).await?;
    let (Some(run), Some(action)) = (run, &row.action_id) else { return Ok(()) };
    if let Some(action) = tx.action(&run.id, action).await?.filter(|action| action.status == ActionStatus::Blocked) {
        let about = said("the user agreed");
        actions::release(app, tx, &who, &run, &action, about).await?;
    }
    Ok(())
}

/// The user did not agree: the run that waited for them ends. Run and consent are locked.
pub async fn refused(app: &App, tx: &mut Tx, row: &ConsentRow, event: &'static str, why: &str) -> Result<(), ApiError> {
    tx.drop_consent(&row.workspace, &row.id).await?;
    let (Some(run), Some(action)) = (tx.run(&row.workspace, &row.run_id).await?, &row.action_id) else {
        return Ok(());
    };
    if let Some(action) = tx.action(&run.id, action).await?.filter(|action| action.status == ActionStatus::Blocked) {
        actions::refuse(app, tx, &user(row), &run, &action, event, said(why)).await?;
    }
    Ok(())
}

/// Ends what nobody came back from in time.
pub async fn expire_due(app: &App) -> Result<(), ApiError> {
    let mut tx = app.store().read().await?;
    let due = tx.due_consents(app.world().now(), BATCH).await?;
    drop(tx);
    for row in due {
        let mut tx = app.store().begin().await?;
        if !row.run_id.is_empty() {
            tx.lock_run(&row.workspace, &row.run_id).await?;
        }
        let locked = tx.lock_consent(&row.id).await?.filter(|row| row.expires_at <= app.world().now());
        if let Some(row) = locked {
            refused(app, &mut tx, &row, "FAILED", "the user did not agree in time").await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// Who decided.
fn user(row: &ConsentRow) -> Identity {
    let name = row.subject.split_once('/').map_or(row.subject.as_str(), |(_, name)| name);
    Identity { key: "consent".into(), name: name.into(), user: Some(name.into()), ..Identity::platform(&row.workspace) }
}

fn said(text: &str) -> Map<String, Value> {
    Map::from_iter([("message".to_string(), Value::from(text))])
}
