//! Observed: the calls of tools that agents made in their runs, or tried to make, the same ones counted together.

use std::collections::BTreeMap;

use ingestion_server::web::ApiError;
use serde::Deserialize;

use crate::store::Tx;

/// Calls that are looked at, the newest first.
const MOST: i64 = 100_000;

/// Milliseconds of a day.
pub const DAY: i64 = 86_400_000;

/// The same call, however often it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// By which agent.
    pub agent: String,
    /// Its method.
    pub method: String,
    /// Its address, without its query.
    pub url: String,
    /// The tool that it was for, if there was one.
    pub tool: Option<String>,
    /// How often.
    pub calls: u64,
    /// How often it was refused.
    pub refused: u64,
    /// When it was made last.
    pub last_at: i64,
}

/// What a call's event says of it.
#[derive(Debug, Deserialize)]
struct Said {
    tool_method: String,
    tool_url: Option<String>,
    tool: Option<String>,
    decision: Option<String>,
}

/// Calls of one agent, or of all, since then; and whether those are all.
pub async fn calls(
    tx: &mut Tx,
    workspace: &str,
    agent: Option<&str>,
    since: i64,
) -> Result<(Vec<Observed>, bool), ApiError> {
    let rows = tx.tool_calls(workspace, agent, since, MOST).await?;
    let is_all = (rows.len() as i64) < MOST;
    let mut observed: BTreeMap<(String, String, String), Observed> = BTreeMap::new();
    for (agent, data, at) in rows {
        // What an agent itself writes down under this name may look otherwise.
        let Some(said) = data.and_then(|data| serde_json::from_str::<Said>(&data).ok()) else { continue };
        let Some(url) = said.tool_url else { continue };
        let key = (agent.clone(), said.tool_method.clone(), url.clone());
        let (method, tool) = (said.tool_method, said.tool);
        let one = observed.entry(key).or_insert_with(|| Observed {
            agent,
            method,
            url,
            tool,
            calls: 0,
            refused: 0,
            last_at: at,
        });
        one.calls += 1;
        one.refused += u64::from(said.decision.as_deref() == Some("denied"));
        one.last_at = one.last_at.max(at);
    }
    Ok((observed.into_values().collect(), is_all))
}
