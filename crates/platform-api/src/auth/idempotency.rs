//! Idempotency: a POST that carries `Idempotency-Key` has its effect once, however often it is sent.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use ingestion_server::web::ApiError;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::caller::Identity;
use crate::app::App;
use crate::identity::tokens;
use crate::store::{Known, Reply};

const HEADER: &str = "idempotency-key";

/// The longest key.
const LONGEST: usize = 255;

/// A claim that was not answered for so long never will be: whoever held it is gone.
const ABANDONED: i64 = 10 * 60_000;

/// How long an answer is kept for its repetition: a day. It may hold a key that was shown once, so no longer.
const KEPT: i64 = 24 * 60 * 60_000;

/// Forgets the answers that nobody will ask for again.
pub async fn forget_old(app: &App) -> Result<(), ApiError> {
    let before = app.world().now() - KEPT;
    if app.store().read().await?.has_replies_before(before).await? {
        let mut tx = app.store().begin().await?;
        tx.forget_replies(before).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Middleware, behind the door.
pub async fn once(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    let identity = request.extensions().get::<Identity>().cloned();
    let (Some(identity), Some(key)) = (identity, request.headers().get(HEADER)) else {
        return Ok(next.run(request).await);
    };
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let key = key.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.len())).ok_or_else(|| {
        ApiError::BadRequest(format!("Idempotency-Key must be 1 to {LONGEST} visible ASCII characters"))
    })?;
    // Another caller's key is another key.
    let key = format!("{}:{key}", identity.key);

    let (parts, body) = request.into_parts();
    let received = app.intake().receive(Request::from_parts(parts.clone(), body)).await?;
    let mut hash = Sha256::new();
    hash.update(parts.method.as_str());
    hash.update(parts.uri.to_string());
    hash.update(b"\n");
    // For another end user it is another request, whosever key it comes with.
    hash.update(tokens::carried(&parts.headers).unwrap_or_default());
    hash.update(b"\n");
    hash.update(&received.bytes);
    let print: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();

    let now = app.world().now();
    let workspace = identity.workspace.as_str();
    let mut tx = app.store().begin().await?;
    let known = tx.claim(workspace, &key, &print, now, now - ABANDONED).await?;
    tx.commit().await?;
    match known {
        Known::Mine => {}
        Known::Other => {
            let text = "this Idempotency-Key was used with another request; send a new key with a new request";
            return Err(ApiError::Unprocessable(text.into()));
        }
        Known::InProgress => {
            let text = "a request with this Idempotency-Key is still being answered; try again in a moment";
            return Err(ApiError::Conflict(text.into()));
        }
        Known::Answered(reply) => return Ok(replayed(reply)),
    }

    let response = next.run(Request::from_parts(parts, Body::from(received.bytes))).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|error| ApiError::Internal(error.into()))?.to_bytes();
    let reply = Reply {
        status: parts.status.as_u16(),
        content_type: parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .into(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let mut tx = app.store().begin().await?;
    match parts.status.is_server_error() {
        true => tx.unclaim(workspace, &key).await?,
        false => tx.answered(workspace, &key, &reply).await?,
    }
    tx.commit().await.unwrap_or_else(|error| warn!(%error, "an answer is not kept for its repetition"));
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replayed(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&reply.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}
