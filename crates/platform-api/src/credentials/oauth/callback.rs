//! Callback: a user comes back from an authorization server. Nobody shows a key here: the signed state says what they were
//! asked, and is good once.

use axum::extract::{RawQuery, State as FromApp};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ingestion_server::web::ApiError;
use tracing::{info, warn};
use url::form_urlencoded;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::consent::{self, Way};
use super::endpoint::{self, line};
use super::pages::Page;
use super::state::{Key, State};
use super::{Client, tokens};
use crate::app::App;
use crate::store::credentials::CONSENT;
use crate::store::{ConsentRow, Tx};

/// Where users come back to.
pub const PATH: &str = "/oauth/callback";

/// Characters of what an authorization server says.
const SAID: usize = 300;

/// What a user brings.
#[derive(Default)]
struct Brought {
    state: String,
    code: String,
    error: String,
    about: String,
}

/// A consent whose user came back, and with what they came.
struct Found {
    row: ConsentRow,
    client: Client,
    way: Way,
}

/// The operation, at the root.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(come_back))
}

/// A user comes back from the authorization server of a tool, which says whether they agreed. The answer is a page for
/// them.
#[utoipa::path(get, path = "/oauth/callback", tag = "tools", security(()),
    params(("state" = Option<String>, Query, description = "As it stood in the authorization's address."),
        ("code" = Option<String>, Query, description = "What tokens are fetched with."),
        ("error" = Option<String>, Query, description = "Why there is no code."),
        ("error_description" = Option<String>, Query, description = "The same for people.")),
    responses((status = 200, description = "What the user decided counts", body = String,
            content_type = "text/html"),
        (status = 400, description = "The address is not one of ours, used or too old, or brings no code",
            body = String, content_type = "text/html"),
        (status = 502, description = "The authorization server gave no token; the page says why", body = String,
            content_type = "text/html")))]
async fn come_back(FromApp(app): FromApp<App>, RawQuery(query): RawQuery) -> Response {
    let brought = read(query.as_deref().unwrap_or_default());
    match answer(&app, &brought).await {
        Ok(page) => page.into_response(),
        Err(error) => {
            warn!(%error, "a user who came back from an authorization server could not be answered");
            let said = "Nothing was changed. Please open the address from which you came here again in a moment.";
            Page::new(error.status(), "This did not work", &[said.into()]).into_response()
        }
    }
}

fn read(query: &str) -> Brought {
    let mut brought = Brought::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "state" => &mut brought.state,
            "code" => &mut brought.code,
            "error" => &mut brought.error,
            "error_description" => &mut brought.about,
            _ => continue,
        };
        // What comes twice is not what an authorization server writes; the first counts.
        if place.is_empty() {
            *place = value.into_owned();
        }
    }
    brought
}

async fn answer(app: &App, brought: &Brought) -> Result<Page, ApiError> {
    let mut tx = app.store().begin().await?;
    let key = Key::of(&mut tx).await?;
    tx.commit().await?;
    let Some(state) = key.verify(&brought.state) else {
        let said = "This address was not made by this platform, or something of it is missing.";
        return Ok(Page::new(StatusCode::BAD_REQUEST, "This link is not valid", &[said.into()]));
    };
    if state.expires_at <= app.world().now() {
        return Ok(over("It was made too long ago."));
    }
    // From here on this state is used up, whatever comes of it.
    let Some(found) = take(app, &key, &state).await? else {
        return Ok(over("It was used already, or the request that it belongs to has ended."));
    };
    let Found { row, client, .. } = &found;
    if brought.error == "access_denied" {
        let mut tx = app.store().begin().await?;
        if let Some(row) = lock(&mut tx, row).await? {
            consent::refused(app, &mut tx, &row, "REJECTED", "the user did not agree").await?;
        }
        tx.commit().await?;
        let said = format!("{} will not use {} for you. You can close this window.", row.agent, row.tool);
        return Ok(Page::new(StatusCode::OK, "You did not agree", &[said]));
    }
    if brought.code.is_empty() || !brought.error.is_empty() {
        let why = match brought.error.as_str() {
            "" => "the address has no code in it".to_string(),
            error => line(&format!("{error} {}", brought.about), SAID),
        };
        return again(app, found, StatusCode::BAD_REQUEST, format!("The authorization server says: {why}")).await;
    }
    let redirect = consent::redirect_uri(app);
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", brought.code.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("code_verifier", found.way.verifier.as_str()),
    ];
    let given = match endpoint::ask(app, client, &grant, None).await {
        Ok(given) => given,
        Err(error) => {
            warn!(tool = client.tool, %error, "a user's agreement gave no token");
            return again(app, found, StatusCode::BAD_GATEWAY, format!("No token was given: {error}.")).await;
        }
    };
    let mut tx = app.store().begin().await?;
    let is_pending = lock(&mut tx, row).await?;
    if !tokens::is_registered(&mut tx, client).await? {
        return Ok(over("The tool was changed or taken away meanwhile."));
    }
    tokens::keep(&mut tx, client, &row.subject, given, app.world().now()).await?;
    if let Some(row) = is_pending {
        consent::agreed(app, &mut tx, &row).await?;
    }
    tx.commit().await?;
    others(app, row).await?;
    app.wake();
    info!(tool = client.tool, agent = row.agent, "a user agreed");
    let said = format!("{} may now use {} for you. You can close this window; the agent goes on.", row.agent, row.tool);
    Ok(Page::new(StatusCode::OK, "Thank you", &[said]))
}

/// The consent that a state belongs to. Its address is dead from now on: a new one is made, for whoever has to try again.
async fn take(app: &App, key: &Key, state: &State) -> Result<Option<Found>, ApiError> {
    let mut tx = app.store().begin().await?;
    let Some(row) = tx.lock_consent(&state.id).await? else { return Ok(None) };
    let Some(way) = tx.unseal::<Way>(&row.workspace, CONSENT, &row.id).await? else { return Ok(None) };
    let client = tokens::registered(&mut tx, &row.workspace, &row.tool).await?;
    let Some(client) = client.ok().filter(|client| client.binding == way.binding) else { return Ok(None) };
    if !key.belongs(state, &row, &way.nonce) || row.expires_at <= app.world().now() {
        return Ok(None);
    }
    tx.seal(&row.workspace, CONSENT, &row.id, &Way::new(&client)).await?;
    tx.commit().await?;
    Ok(Some(Found { row, client, way }))
}

/// What the same user was asked in other runs is answered too.
async fn others(app: &App, row: &ConsentRow) -> Result<(), ApiError> {
    let mut tx = app.store().read().await?;
    let pending = tx.consents_of(&row.workspace, &row.tool, &row.subject).await?;
    drop(tx);
    for other in pending {
        let mut tx = app.store().begin().await?;
        if let Some(other) = lock(&mut tx, &other).await? {
            consent::agreed(app, &mut tx, &other).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Locks the run, then the consent, if it is there still.
async fn lock(tx: &mut Tx, row: &ConsentRow) -> Result<Option<ConsentRow>, ApiError> {
    if !row.run_id.is_empty() {
        tx.lock_run(&row.workspace, &row.run_id).await?;
    }
    Ok(tx.lock_consent(&row.id).await?)
}

/// It did not work, and may be tried again as long as the consent is asked for.
async fn again(app: &App, found: Found, status: StatusCode, why: String) -> Result<Page, ApiError> {
    let Found { row, client, .. } = found;
    let mut tx = app.store().begin().await?;
    let mut page = Page::new(status, "This did not work", &[why]);
    if let Some(way) = tx.unseal::<Way>(&row.workspace, CONSENT, &row.id).await? {
        page.said.push("The agent waits. You can try again.".into());
        page.link = Some((consent::address(app, &mut tx, &client, &row, &way).await?, "Try again"));
    }
    tx.commit().await?;
    Ok(page)
}

fn over(why: &str) -> Page {
    let said = [why.to_string(), "Ask the agent again; it gives you a new link.".to_string()];
    Page::new(StatusCode::BAD_REQUEST, "This link is over", &said)
}
