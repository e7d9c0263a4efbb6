//! Entry: what of an agent's code can be asked, and by which tags. The runtime serves one handler, which the analysis finds
//! by the runtime's own order; it is asked at once, or heard as it speaks.

use std::collections::BTreeMap;

use ingestion_server::web::ApiError;
use serde_json::{Value, json};

use super::wire::Call;
use crate::agents::{AgentRecord, SOURCE};
use crate::analyses::Analyses;
use crate::app::App;
use crate::second::refused::Refused;

/// What ends the tags of streams.
const STREAM: &str = "_stream";

/// The tag of an agent that is the platform's own loop.
const LOOP: &str = "agent";

/// Names in the order in which the runtime looks for them.
const ORDER: [&str; 7] = ["handler", "agent", "chain", "executor", "graph", "crew", "main"];

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    file: String,
    name: String,
}

/// The entry point of an agent.
pub async fn of(app: &App, workspace: &str, agent: &AgentRecord) -> Result<Entry, ApiError> {
    let mut tx = app.store().read().await?;
    let files: Option<BTreeMap<String, String>> = tx.unseal(workspace, SOURCE, &agent.name).await?;
    drop(tx);
    let nothing = Entry { file: agent.entry_point.clone(), name: LOOP.into() };
    let Some(files) = files else { return Ok(nothing) };
    let analysis = app.ingestion().analyze(files, &Analyses::of(app, workspace)).await?;
    let own = analysis.handlers.iter().filter(|handler| handler.file == agent.entry_point);
    let found = own.filter_map(|handler| Some((ORDER.iter().position(|name| *name == handler.name)?, handler)));
    let first = found.min_by_key(|(place, _)| *place);
    Ok(first.map_or(nothing, |(_, handler)| Entry { file: handler.file.clone(), name: handler.name.clone() }))
}

impl Entry {
    fn stream(&self) -> String {
        format!("{}{STREAM}", self.name)
    }

    /// As they are listed.
    pub fn shown(&self) -> Value {
        let one = |tag: String| json!({"file": self.file, "module": self.name, "tag": tag});
        json!([one(self.name.clone()), one(self.stream())])
    }

    /// An error unless the tag is offered in this way.
    pub fn must_offer(&self, call: &Call, streams: bool) -> Result<(), Refused> {
        let (whole, stream) = (self.name.clone(), self.stream());
        let tag = call.entrypoint_tag.as_deref().ok_or_else(|| Refused::missing("entrypoint_tag"))?;
        let (wanted, other) = if streams { (&stream, &whole) } else { (&whole, &stream) };
        if tag == wanted {
            return Ok(());
        }
        if tag == other {
            let what = if streams {
                "one that ends in _stream; others are answered by run"
            } else {
                "one that does not end in _stream; streams are heard by run-stream"
            };
            return Err(Refused::wrong("entrypoint_tag", what));
        }
        let shown: String = tag.chars().take(80).collect();
        let text = format!("Entrypoint '{shown}' not found; this agent has '{whole}' and '{stream}'");
        Err(Refused::new(ApiError::Missing(text), "ENTRYPOINT_NOT_FOUND", json!({"field": "entrypoint_tag"})))
    }
}
