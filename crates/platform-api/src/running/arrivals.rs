//! Arrivals: what agents dial, answered. The connection itself says whose it is; a request on it is for the agent's
//! gateway, or for the world outside, which it reaches only through here.

use std::convert::Infallible;
use std::time::Duration;

use agent_runner::{Arrival, Stream};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Uri, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use ingestion_server::web::ApiError;
use tokio::sync::mpsc;
use tower::ServiceExt;
use tracing::debug;

use super::workspace_and_agent;
use crate::app::App;
use crate::{egress, gateway};

/// How long an agent may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which agent a request came from, known by its connection.
#[derive(Debug, Clone)]
pub struct From {
    /// Whose agent it is.
    pub workspace: String,
    /// The agent.
    pub agent: String,
}

/// A request for the world outside.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Its address, as the agent wrote it.
    pub url: String,
}

/// Answers, for as long as agents run.
pub async fn serve(app: App, mut arrivals: mpsc::Receiver<Arrival>) {
    let routes = gateway::of_connections().merge(egress::routes()).with_state(app.clone());
    let router = app.ingestion().surround(routes, |router| router);
    while let Some(arrival) = arrivals.recv().await {
        let router = router.clone();
        tokio::spawn(async move { talk(router, arrival).await });
    }
}

/// Answers the requests of one connection.
async fn talk(router: Router, arrival: Arrival) {
    let Arrival { agent, port, server_name, gateway, stream } = arrival;
    let (workspace, agent) = workspace_and_agent(&agent);
    let from = From { workspace: workspace.into(), agent: agent.into() };
    let scheme = if matches!(stream, Stream::Tls(_)) { "https" } else { "http" };
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(from.clone());
        // A proxy's request names the whole address; a name that was dialed counts for more than what is written.
        let is_for_gateway = gateway && request.uri().authority().is_none();
        let outside = (!is_for_gateway).then(|| address(&request, scheme, server_name.as_deref(), port)).flatten();
        let router = router.clone();
        async move {
            let response = match (is_for_gateway, outside) {
                (true, _) => router.oneshot(request).await,
                (false, Some(url)) => {
                    request.extensions_mut().insert(Outside { url });
                    *request.uri_mut() = Uri::from_static(egress::PATH);
                    router.oneshot(request).await
                }
                (false, None) => {
                    use axum::response::IntoResponse;
                    Ok(ApiError::BadRequest("this request does not say which host it is for".into()).into_response())
                }
            };
            response.map_err(|never: Infallible| never)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, agent, "a connection of an agent ended");
    }
}

/// The address that a request for the world is for.
fn address(request: &Request<Body>, scheme: &str, dialed: Option<&str>, port: u16) -> Option<String> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let (Some(scheme), Some(authority), None) = (request.uri().scheme_str(), request.uri().authority(), dialed) {
        return Some(format!("{scheme}://{authority}{path}"));
    }
    let default = if scheme == "https" { 443 } else { 80 };
    let port = if port == default { String::new() } else { format!(":{port}") };
    if let Some(name) = dialed {
        return Some(format!("{scheme}://{name}{port}{path}"));
    }
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    Some(format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_dialed_counts_for_more_than_the_one_that_is_written() {
        let request = |uri: &str, host: &str| Request::get(uri).header("host", host).body(Body::empty()).unwrap();
        let forged = request("/v1/charges?a=1", "api.open.test");
        let of = |request, scheme, dialed, port| address(request, scheme, dialed, port).unwrap();
        assert_eq!(of(&forged, "https", Some("api.stripe.com"), 443), "https://api.stripe.com/v1/charges?a=1");
        assert_eq!(of(&forged, "https", Some("api.stripe.com"), 8443), "https://api.stripe.com:8443/v1/charges?a=1");
        assert_eq!(of(&forged, "http", None, 80), "http://api.open.test/v1/charges?a=1");
        let proxied = request("http://api.open.test:81/x", "other.test");
        assert_eq!(of(&proxied, "http", None, 8099), "http://api.open.test:81/x");
    }
}
