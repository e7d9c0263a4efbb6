//! What cannot be known from the code, said aloud, with what it would need.

use super::models::Usage;
use crate::analysis::Note;
use crate::resolve::url::Address;
use crate::sites::Context;

/// A note for each model and each address that is decided when the program runs.
pub fn notes(cx: &Context, models: &[Usage]) -> Vec<Note> {
    let mut notes = Vec::new();
    for found in models.iter().filter(|found| found.usage.model.is_none()) {
        let usage = &found.usage;
        let message = format!(
            "the model of `{}` is decided at run time: a literal, a constant or a variable with a default would say it",
            usage.call
        );
        notes.push(Note { file: usage.file.clone(), line: usage.line, code: "unknown-model".into(), message });
    }
    for outbound in cx.outbound() {
        let Some(part) = undecided(&outbound.address) else { continue };
        let message = format!(
            "the host that `{}` reaches is decided at run time by `{part}`: a literal or a variable of the environment would say it",
            outbound.call
        );
        let (file, line) = (cx.project.path(outbound.url_at.file).to_owned(), cx.project.line(outbound.url_at));
        notes.push(Note { file, line, code: "unknown-host".into(), message });
    }
    notes.sort();
    notes.dedup();
    notes
}

/// The part of a host that nothing decides.
fn undecided(address: &Address) -> Option<&str> {
    if address.env.is_some() {
        return None;
    }
    let (_, rest) = address.host.split_once('{')?;
    rest.split('}').next()
}
