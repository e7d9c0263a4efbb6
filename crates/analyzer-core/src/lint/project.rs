//! The project: where it starts, and what it expects of its surroundings.

use super::view::{Draft, Seen};
use crate::analysis::Confidence;

pub fn ambiguous(seen: &Seen, out: &mut Vec<Draft>) {
    if seen.rivals.is_empty() {
        return;
    }
    let Some(place) = seen.line(&seen.analysis.entry_point, 1) else { return };
    let others = seen.rivals.iter().take(3).map(|rival| format!("`{rival}`")).collect::<Vec<_>>().join(", ");
    let message = format!("{others} could start the agent as well as `{}`", seen.analysis.entry_point);
    let help = "say which one: `CMD` in a Dockerfile, a script in pyproject.toml or package.json, or `entry_point` of the deploy";
    out.push(Draft::new(place, message, help).confidence(Confidence::Medium));
}

pub fn nothing_starts(seen: &Seen, out: &mut Vec<Draft>) {
    let code = seen.sources().files().iter().find(|file| file.language.is_python() || file.language.is_javascript());
    let Some(place) = code.and_then(|file| seen.line(&file.path, 1)).filter(|_| seen.analysis.entry_point.is_empty())
    else {
        return;
    };
    out.push(Draft::new(place, "no file starts the agent", "add a main guard, a handler or a start script"));
}

/// A variable that the code reads without fallback and the project's own list of variables does not name.
pub fn undocumented(seen: &Seen, out: &mut Vec<Draft>) {
    let is_list = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        [".env.example", ".env.sample", ".env.template", "env.example", "example.env"].contains(&name)
    };
    let lists: Vec<_> = seen.sources().files().iter().filter(|file| is_list(&file.path)).collect();
    let Some(first) = lists.first() else { return };
    let named = |name: &str| {
        lists.iter().any(|list| {
            list.text.lines().any(|line| {
                let line = line.trim_start_matches(['#', ' ', '\t']).trim_start_matches("export ");
                line.split('=').next().is_some_and(|own| own.trim() == name)
            })
        })
    };
    for variable in seen.analysis.env_vars.iter().filter(|variable| !variable.has_default && !named(&variable.name)) {
        let Some(place) = seen.line(&variable.file, variable.line) else { continue };
        let message = format!("the agent reads `{}`, which {} does not name", variable.name, first.path);
        out.push(Draft::new(
            place,
            message,
            format!("add `{}=` to {} with a word on what it is", variable.name, first.path),
        ));
    }
}

/// An address that leads back to the machine itself, where the agent's own variable is not set.
pub fn local_default(seen: &Seen, out: &mut Vec<Draft>) {
    for tool in &seen.analysis.tools {
        let Some(default) = tool.default_url.as_deref() else { continue };
        let host = default.split("://").last().unwrap_or(default);
        let local = ["localhost", "127.0.0.1", "0.0.0.0", "[::1]"];
        let is_local = local
            .iter()
            .any(|own| host.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
        let (Some(place), Some(variable)) = (seen.line(&tool.file, tool.line), &tool.detected_url_pattern) else {
            continue;
        };
        if is_local {
            let message = format!("without `{variable}` the agent calls its own machine for `{}`", tool.name);
            let help = "leave the fallback out, so that a missing setting is an error and not a wrong address";
            out.push(Draft::new(place, message, help).because(&tool.evidence).confidence(tool.confidence));
        }
    }
}
