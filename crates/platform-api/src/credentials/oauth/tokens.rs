//! Tokens: fetched before they are needed, kept sealed in the store, shared by all replicas. However many calls need the
//! same one at once, one of them fetches it, and goes on to the end if its caller leaves: a token that was renewed and not
//! kept would be lost.

use std::time::Duration;

use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::endpoint::{self, ClientAuth, Given};
use super::{Client, PLATFORM, random};
use crate::app::App;
use crate::store::credentials::TOKEN;
use crate::store::{Resource, StoreError, TokenRow, Tx};
use crate::tools::{Credentials, ToolRecord};

/// Milliseconds before its end at which a token is renewed, or half its life where that is less.
const AHEAD: i64 = 60_000;

/// How often is looked whether somebody else has brought it.
const PACE: Duration = Duration::from_millis(50);

/// After so long somebody who fetches is taken for dead: longer than the two requests that it may take.
fn lease(app: &App) -> Duration {
    Duration::from_secs(2 * app.config().credentials.token_seconds + 10)
}

/// A token as it is sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token {
    /// What it was fetched for.
    binding: String,
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    given_at: i64,
    /// Nobody knows where there is none.
    #[serde(default)]
    expires_at: Option<i64>,
    auth: ClientAuth,
}

impl Token {
    /// As it was given. A server that renews a token may keep what it is renewed with.
    pub fn new(client: &Client, given: Given, before: Option<&Token>, now: i64) -> Token {
        Token {
            binding: client.binding.clone(),
            access_token: given.access_token,
            refresh_token: given.refresh_token.or_else(|| before.and_then(|token| token.refresh_token.clone())),
            given_at: now,
            expires_at: given.lifetime.map(|lifetime| now.saturating_add(lifetime)),
            auth: given.auth,
        }
    }

    /// It can still be shown.
    fn is_good(&self, now: i64) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// And needs no new one yet.
    fn is_fresh(&self, now: i64) -> bool {
        self.expires_at.is_none_or(|end| now < end - AHEAD.min((end - self.given_at) / 2))
    }
}

/// What to do about a token.
enum Next {
    Use(String),
    /// Its user has to agree.
    Agree,
    Fetch(Option<Token>),
}

/// What is sealed, seen at a time; `refused` is what the tool did not take.
fn next(client: &Client, kept: Option<Token>, refused: Option<&str>, now: i64) -> Next {
    let kept = kept.filter(|token| token.binding == client.binding);
    let Some(token) = kept else {
        return if client.is_for_users() { Next::Agree } else { Next::Fetch(None) };
    };
    let is_taken = refused != Some(token.access_token.as_str());
    if is_taken && token.is_fresh(now) {
        return Next::Use(token.access_token);
    }
    match client.is_for_users() && token.refresh_token.is_none() {
        true if is_taken && token.is_good(now) => Next::Use(token.access_token),
        true => Next::Agree,
        false => Next::Fetch(Some(token)),
    }
}

/// A token that can be shown; none where the user has to agree first. `refused` is one that the tool did not take.
pub async fn get(app: &App, client: &Client, subject: &str, refused: Option<&str>) -> Result<Option<String>, ApiError> {
    let got = tokio::time::timeout(2 * lease(app), wait(app, client, subject, refused)).await;
    got.unwrap_or_else(|_| Err(failed(client, "somebody has been fetching it for too long; try again")))
}

async fn wait(app: &App, client: &Client, subject: &str, refused: Option<&str>) -> Result<Option<String>, ApiError> {
    let mut failures = None;
    loop {
        let now = app.world().now();
        let mut tx = app.store().read().await?;
        let (kept, row) = look(&mut tx, client, subject).await?;
        drop(tx);
        let fetch = match next(client, kept, refused, now) {
            Next::Use(token) => return Ok(Some(token)),
            Next::Agree => return Ok(None),
            Next::Fetch(_) => row.leased_until <= now,
        };
        // Who waited for somebody does not try what they could not do.
        if *failures.get_or_insert(row.failures) < row.failures {
            return Err(failed(client, &row.failure));
        }
        if fetch && let Some(got) = take(app, client, subject, refused).await? {
            return got;
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn look(tx: &mut Tx, client: &Client, subject: &str) -> Result<(Option<Token>, TokenRow), StoreError> {
    let kept = tx.unseal(&client.workspace, TOKEN, &place(client, subject)).await?;
    Ok((kept, tx.token(&client.workspace, &client.tool, subject).await?))
}

fn place(client: &Client, subject: &str) -> String {
    format!("{}/{subject}", client.tool)
}

/// Fetches it, unless somebody else does.
async fn take(
    app: &App,
    client: &Client,
    subject: &str,
    refused: Option<&str>,
) -> Result<Option<Result<Option<String>, ApiError>>, ApiError> {
    let (until, lease, now) = (lease(app).as_millis() as i64, random(), app.world().now());
    let mut tx = app.store().begin().await?;
    if !tx.lease_token(&client.workspace, &client.tool, subject, &lease, (now, now + until)).await? {
        return Ok(None);
    }
    // Somebody may have brought it between our look and our turn.
    let (kept, _) = look(&mut tx, client, subject).await?;
    let before = match next(client, kept, refused, now) {
        Next::Fetch(before) => before,
        // Without a commit, nobody ever had the turn.
        Next::Use(token) => return Ok(Some(Ok(Some(token)))),
        Next::Agree => return Ok(Some(Ok(None))),
    };
    tx.commit().await?;
    let is_taken = before.as_ref().is_some_and(|token| refused != Some(token.access_token.as_str()));
    let fetching = fetch(app.clone(), client.clone(), subject.to_string(), lease, before, is_taken);
    let fetched = tokio::spawn(fetching).await;
    Ok(Some(fetched.unwrap_or_else(|error| Err(ApiError::Internal(error.into())))))
}

async fn fetch(
    app: App,
    client: Client,
    subject: String,
    lease: String,
    before: Option<Token>,
    is_taken: bool,
) -> Result<Option<String>, ApiError> {
    let scopes = client.config.scopes.join(" ");
    let mut grant = match before.as_ref().and_then(|token| token.refresh_token.as_deref()) {
        Some(refresh) if client.is_for_users() => vec![("grant_type", "refresh_token"), ("refresh_token", refresh)],
        _ => vec![("grant_type", "client_credentials")],
    };
    if !client.is_for_users() && !scopes.is_empty() {
        grant.push(("scope", &scopes));
    }
    let answer = endpoint::ask(&app, &client, &grant, before.as_ref().map(|token| token.auth)).await;
    let now = app.world().now();
    let mut tx = app.store().begin().await?;
    let failure = answer.as_ref().err().map(ToString::to_string);
    let is_ours = tx.release_token(&client.workspace, &client.tool, &subject, &lease, failure.as_deref()).await?;
    match answer {
        Ok(given) => {
            let token = Token::new(&client, given, before.as_ref(), now);
            let shown = token.access_token.clone();
            // The tool may have been changed or taken away meanwhile; then this token is nobody's.
            if is_ours && is_registered(&mut tx, &client).await? {
                tx.seal(&client.workspace, TOKEN, &place(&client, &subject), &token).await?;
            }
            tx.commit().await?;
            info!(tool = client.tool, for_user = subject != PLATFORM, "a token was fetched");
            Ok(Some(shown))
        }
        Err(error) => {
            let is_over = client.is_for_users() && error.is_over();
            if is_over && is_ours {
                tx.forget_sealed(&client.workspace, TOKEN, &place(&client, &subject)).await?;
            }
            tx.commit().await?;
            warn!(tool = client.tool, error = %error, "no token was fetched");
            match before {
                _ if is_over => Ok(None),
                // It is good for a moment more.
                Some(token) if is_taken && token.is_good(now) => Ok(Some(token.access_token)),
                _ => Err(failed(&client, &error.to_string())),
            }
        }
    }
}

/// The tool is what it was when the client was made.
pub async fn is_registered(tx: &mut Tx, client: &Client) -> Result<bool, ApiError> {
    Ok(registered(tx, &client.workspace, &client.tool).await?.is_ok_and(|now| now.binding == client.binding))
}

/// A tool's client as it is now, or why it has none.
pub async fn registered(tx: &mut Tx, workspace: &str, tool: &str) -> Result<Result<Client, ApiError>, ApiError> {
    let Some(tool) = tx.get::<ToolRecord>(workspace, tool).await? else {
        return Ok(Err(ApiError::NotFound(format!("tool {tool:?}").into())));
    };
    let credentials: Option<Credentials> = tx.unseal(workspace, ToolRecord::KIND, &tool.value.name).await?;
    Ok(Client::of(workspace, &tool.value, credentials.unwrap_or_default()))
}

/// Keeps what a user's agreement gave.
pub async fn keep(tx: &mut Tx, client: &Client, subject: &str, given: Given, now: i64) -> Result<(), ApiError> {
    let token = Token::new(client, given, None, now);
    tx.note_token(&client.workspace, &client.tool, subject).await?;
    Ok(tx.seal(&client.workspace, TOKEN, &place(client, subject), &token).await?)
}

fn failed(client: &Client, why: &str) -> ApiError {
    ApiError::BadGateway(format!("no token for the tool {:?}: {why}", client.tool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_its_end_and_is_good_until_then() {
        let of = |lifetime: Option<i64>| Token {
            binding: String::new(),
            access_token: "t".into(),
            refresh_token: None,
            given_at: 1_000,
            expires_at: lifetime.map(|lifetime| 1_000 + lifetime),
            auth: ClientAuth::Basic,
        };
        let hour = of(Some(3_600_000));
        assert!(hour.is_fresh(1_000 + 3_539_999) && !hour.is_fresh(1_000 + 3_540_000));
        assert!(hour.is_good(1_000 + 3_599_999) && !hour.is_good(1_000 + 3_600_000));
        let short = of(Some(20_000));
        assert!(short.is_fresh(10_999) && !short.is_fresh(11_000));
        assert!(of(None).is_fresh(i64::MAX));
    }
}
