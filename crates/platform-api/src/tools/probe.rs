//! Probe: is anybody there?

use std::time::Duration;

use axum::http::{Request, Uri};
use bytes::Bytes;
use http_body_util::Full;
use ingestion_server::web::outbound::OutboundError;
use ingestion_server::web::{ApiError, Reach};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ToolPhase, ToolStatus, Topology};
use crate::app::App;
use crate::time::rfc3339;

/// Bytes of an answer, of which nothing is used.
const MOST: usize = 1 << 20;

/// What is to be asked.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ProbeRequest {
    /// An http or https address.
    #[schema(required)]
    url: Option<String>,
    /// `Internal` for an address in the operator's own network; absent: it is outside.
    topology: Option<Topology>,
}

impl ProbeRequest {
    /// The address, or what is wrong with it.
    pub fn address(self) -> Result<(Uri, Topology), ApiError> {
        let topology = self.topology.unwrap_or_default();
        let url = self.url.ok_or_else(|| ApiError::field("url is required", "/url"))?;
        let address: Option<Uri> = url.parse().ok();
        let is_ours = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        let address = address.filter(is_ours);
        let address = address.ok_or_else(|| ApiError::field("url must be an http or https address", "/url"))?;
        Ok((address, topology))
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Probe {
    /// Somebody answered, and not with an error of their own.
    pub reachable: bool,
    /// With this status; 0 when nobody answered.
    pub status_code: u16,
    /// After so long.
    pub latency_ms: u64,
    /// Why nobody answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Probe {
    /// As the tool's status says it.
    pub fn status(&self, now: i64) -> ToolStatus {
        ToolStatus {
            phase: if self.reachable { ToolPhase::Available } else { ToolPhase::Unreachable },
            message: self.message.clone(),
            last_probe_time: Some(rfc3339(now)),
            probe_latency_ms: Some(self.latency_ms),
        }
    }
}

/// Asks by GET. Whoever may register tools may not look around in the operator's network, nor ask a cloud for the
/// machine's credentials, by whatever name.
pub async fn ask(app: &App, address: Uri, topology: Topology, patience: Duration) -> Probe {
    let reach = match topology {
        Topology::External => Reach::Outside,
        Topology::Internal => Reach::Inside,
    };
    let began = app.world().elapsed();
    let request = Request::get(address).header("user-agent", "platform-api").body(Full::<Bytes>::default());
    let request = request.expect("an address was read from a text");
    let answer = app.outbound().within(reach).send(request, patience, MOST).await;
    let latency_ms = app.world().elapsed().saturating_sub(began).as_millis() as u64;
    match answer {
        Ok(response) => {
            let (status, reachable) = (response.status(), !response.status().is_server_error());
            let message = if reachable { String::new() } else { format!("it answered {}", status.as_u16()) };
            Probe { reachable, status_code: status.as_u16(), latency_ms, message }
        }
        Err(error) => {
            let message = match (error, topology) {
                (OutboundError::OutOfReach, Topology::External) => {
                    "this address is not outside; a tool of the operator's own network has the topology Internal".into()
                }
                (error, _) => error.to_string(),
            };
            Probe { reachable: false, status_code: 0, latency_ms, message }
        }
    }
}
