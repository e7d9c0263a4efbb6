//! Check: would a connector work? Said for each thing that it needs, and with 200 whatever the answer is.

use axum::Json;
use axum::extract::State;
use ingestion_server::web::{ApiError, Body};
use serde::Serialize;
use utoipa::ToSchema;

use super::deliver::try_out;
use super::wire::ConnectorRequest;
use super::{ConnectorType, defaults_of};
use crate::answer::Refusal;
use crate::app::App;
use crate::auth::{Admin, Caller};

/// Whether a connector would work.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestResult {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    /// What is at the other end.
    connector_type: ConnectorType,
    /// Where that is.
    endpoint: String,
    /// Each thing that it needs.
    checks: Vec<Check>,
}

/// One thing that a connector needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    /// `config`, `credentials` or `connectivity`.
    id: &'static str,
    /// For people.
    label: &'static str,
    /// `passed`, `failed` or `skipped`.
    status: &'static str,
    /// Why.
    message: String,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

/// Tries a connector that need not be kept: with a message that says it is a test where one can be sent, else with a
/// question that changes nothing.
#[utoipa::path(post, path = "/approval-connectors/test", tag = "approval connectors",
    request_body = ConnectorRequest,
    responses((status = 200, body = TestResult), (status = 400, body = Refusal)))]
pub async fn test(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body { value, .. }: Body<ConnectorRequest>,
) -> Result<Json<TestResult>, ApiError> {
    let mut tx = app.store().read().await?;
    let defaults = defaults_of(&mut tx, &caller.workspace).await?;
    drop(tx);
    let (kind, endpoint) = (value.kind()?, value.endpoint()?);
    let mut checks = vec![check("config", "Configuration"), check("credentials", "Credentials")];
    checks.push(check("connectivity", "Connectivity"));
    let settled = match value.settle_unnamed("test".into(), defaults.default_timeout_seconds) {
        Ok(settled) => settled,
        Err(ApiError::Invalid { text, errors }) => {
            // What is wrong with headers is wrong with credentials, which are looked at last.
            let of_headers = errors.iter().any(|error| error.pointer.starts_with("/headers"));
            if of_headers {
                checks[0].pass("Connector configuration is valid");
            }
            checks[usize::from(of_headers)].fail(text);
            return Ok(Json(TestResult { status: "unhealthy", connector_type: kind, endpoint, checks }));
        }
        Err(other) => return Err(other),
    };
    checks[0].pass("Connector configuration is valid");
    checks[1].pass("Required credentials are present");
    let (result, duration) = try_out(&app, &settled.record, &settled.secrets).await;
    let status = match result {
        Ok(()) => {
            checks[2].pass("Connector endpoint accepted the test request");
            "healthy"
        }
        Err(problem) => {
            checks[2].fail(problem);
            "unhealthy"
        }
    };
    checks[2].duration_ms = Some(duration);
    Ok(Json(TestResult { status, connector_type: kind, endpoint: settled.record.endpoint, checks }))
}

fn check(id: &'static str, label: &'static str) -> Check {
    Check {
        id,
        label,
        status: "skipped",
        message: "Not tried, since something else is wrong".into(),
        duration_ms: None,
    }
}

impl Check {
    fn pass(&mut self, message: &str) {
        (self.status, self.message) = ("passed", message.into());
    }

    fn fail(&mut self, message: String) {
        (self.status, self.message) = ("failed", message);
    }
}
