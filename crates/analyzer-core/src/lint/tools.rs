//! Tools: declared, described, named once.

use std::collections::BTreeMap;

use super::view::{Draft, Seen};
use crate::analysis::{Confidence, ToolKind};

pub fn undeclared(seen: &Seen, out: &mut Vec<Draft>) {
    let Some(tools) = &seen.declared.tools else { return };
    for tool in seen.analysis.tools.iter().filter(|tool| !tools.contains(&tool.name)) {
        let Some(place) = seen.line(&tool.file, tool.line) else { continue };
        let message = format!("tool `{}` is not among those that {} declares", tool.name, seen.declared.by);
        let help = "if the agent may use it, run `agentlint lock` and commit; else take it out";
        out.push(Draft::new(place, message, help).because(&tool.evidence).confidence(tool.confidence));
    }
}

pub fn undescribed(seen: &Seen, out: &mut Vec<Draft>) {
    for tool in &seen.analysis.tools {
        if tool.kind == ToolKind::Function && tool.description.as_deref().is_none_or(|text| text.trim().is_empty()) {
            let Some(place) = seen.line(&tool.file, tool.line) else { continue };
            let message = format!("tool `{}` has no description, so the model guesses when to call it", tool.name);
            let help = "say in a docstring or description what it does, when to use it and what it changes";
            out.push(Draft::new(place, message, help).confidence(Confidence::Medium));
        }
    }
}

pub fn twice(seen: &Seen, out: &mut Vec<Draft>) {
    let mut first: BTreeMap<&str, (&str, u32)> = BTreeMap::new();
    for tool in seen.analysis.tools.iter().filter(|tool| tool.kind == ToolKind::Function) {
        let here = (tool.file.as_str(), tool.line);
        let Some((file, line)) = first.get(tool.name.as_str()).copied() else {
            first.insert(&tool.name, here);
            continue;
        };
        // Two agents in two files may each have a tool of that name.
        if let Some(place) = seen.line(&tool.file, tool.line).filter(|_| file == tool.file) {
            let message =
                format!("tool `{}` is defined at line {line} too, and the model sees only one of them", tool.name);
            out.push(Draft::new(place, message, "give each tool a name of its own").confidence(Confidence::Medium));
        }
    }
}

/// A call that destroys something and that no declared policy asks about.
pub fn destructive(seen: &Seen, out: &mut Vec<Draft>) {
    for tool in seen.analysis.tools.iter().filter(|tool| tool.kind != ToolKind::Function) {
        for site in tool.call_sites.iter().filter(|site| site.method.as_deref() == Some("DELETE")) {
            let Some(place) = seen.line(&site.file, site.line) else { continue };
            let path = site.path.as_deref().unwrap_or("");
            let message = format!("the agent can delete {path} of `{}` without asking anybody", tool.name);
            let help = "let the policy for DELETE say `approval_required`";
            out.push(Draft::new(place, message, help).confidence(tool.confidence));
        }
    }
}
