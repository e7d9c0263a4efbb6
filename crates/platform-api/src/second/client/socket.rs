//! Socket: an answer as it is made, over a WebSocket: one request, a status, data, a status or an error.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, State};
use axum::http::{HeaderMap, request::Parts};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry;
use super::wire::{Call, structured};
use crate::agents::invoke::{Asker, Way};
use crate::answer::Named;
use crate::app::App;
use crate::second::ask::Subject;
use crate::second::refused::Refused;
use crate::second::stream::{MOST, Piece, pieces};
use ingestion_server::web::ApiError;
use ingestion_server::web::body::json as read;

/// How long a caller may take for what they ask.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of what they ask.
const LONGEST: usize = 1 << 20;

/// A request that becomes a socket, or a 400 that says that it must.
struct Socket(WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Socket {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Socket, ApiError> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        upgrade.map(Socket).map_err(|error| ApiError::BadRequest(format!("this path is for WebSockets: {error}")))
    }
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(run_stream))
}

/// Runs an entry point, heard as it speaks: a WebSocket. A browser, which sends no headers, shows its key as `?token=`.
#[utoipa::path(get, path = "/agents/{id}/run-stream", tag = "second system",
    params(("id" = String, Path), ("token" = Option<String>, Query)),
    responses((status = 101, description = "From here on messages"), (status = 400, body = Object),
        (status = 404, body = Object)))]
async fn run_stream(
    State(app): State<App>,
    asker: Asker,
    Named(id): Named,
    headers: HeaderMap,
    Socket(upgrade): Socket,
) -> Result<Response, Refused> {
    let subject = Subject::of(&app, asker, &id, headers).await?;
    let upgrade = upgrade.max_message_size(LONGEST).max_frame_size(LONGEST);
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        if let Err(refused) = talk(&app, &subject, &mut socket).await {
            let body = refused.body();
            let last = json!({"type": "error", "error": body["message"], "code": body["code"]});
            let _ = say(&mut socket, last).await;
        }
        let _ = socket.send(Message::Close(None)).await;
    }))
}

async fn talk(app: &App, subject: &Subject, socket: &mut WebSocket) -> Result<(), Refused> {
    let asked = tokio::time::timeout(PATIENCE, async {
        loop {
            match socket.recv().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_bytes().to_vec()),
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes.to_vec()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return Err(ApiError::BadRequest("the socket closed before anything was asked".into())),
            }
        }
    });
    let asked = asked.await.map_err(|_| ApiError::SlowBody(PATIENCE.as_secs()))??;
    let call: Call = read(&asked)?;
    let entry = entry::of(app, &subject.who.workspace, &subject.agent.value).await?;
    entry.must_offer(&call, true)?;
    let (asked, _) = subject.begin(app, Way::Streamed, &call.question()?).await?;
    let run = asked.run().to_string();
    say(socket, json!({"type": "status", "status": "stream_started", "run_id": run})).await?;

    let response = asked.streamed().await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut size = 0;
    let mut asking = std::pin::pin!(pieces(response, &run, move |piece| {
        size += piece.weight();
        tell.send(piece).is_ok() && size <= MOST
    }));
    let mut ended = None;
    loop {
        tokio::select! {
            biased;
            piece = told.recv() => match piece {
                Some(Piece::Text(text)) => say(socket, json!({"type": "data", "content": structured(&text)})).await?,
                Some(Piece::Error(code, text)) => {
                    return Err(Refused::new(ApiError::BadGateway(text), code, json!({"run_id": run})));
                }
                None => break,
            },
            end = &mut asking, if ended.is_none() => {
                ended = Some(end);
                // Nothing is told any more; what was told is said before the end.
                told.close();
            }
            message = socket.recv() => {
                // A stream ends with its caller.
                if !matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_)))) {
                    return Ok(());
                }
            }
        }
    }
    ended.unwrap_or(Ok(()))?;
    say(socket, json!({"type": "status", "status": "stream_completed", "run_id": run})).await
}

async fn say(socket: &mut WebSocket, message: Value) -> Result<(), Refused> {
    let sent = socket.send(Message::Text(message.to_string().into())).await;
    sent.map_err(|_| ApiError::BadRequest("the socket closed".into()).into())
}
