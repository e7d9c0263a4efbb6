//! Models: known, declared, within a budget, one and the same tomorrow.

use super::view::{Draft, Seen};
use crate::analysis::{Confidence, ModelUsage, Role};

fn direct<'s>(seen: &'s Seen) -> impl Iterator<Item = (&'s ModelUsage, super::view::Place)> {
    let usages = seen.analysis.model_usages.iter().filter(|usage| usage.role != Role::Default);
    usages.filter_map(|usage| Some((usage, seen.line(&usage.file, usage.line)?)))
}

pub fn unknown(seen: &Seen, out: &mut Vec<Draft>) {
    for (usage, place) in direct(seen).filter(|(usage, _)| usage.model.is_none()) {
        let message = format!("which model `{}` uses is decided where nobody sees it, so it has no budget", usage.call);
        let help = "name the model, or give the variable that does a default";
        out.push(Draft::new(place, message, help).because(&usage.evidence).confidence(Confidence::Medium));
    }
}

pub fn floating(seen: &Seen, out: &mut Vec<Draft>) {
    for (usage, place) in direct(seen) {
        let Some(model) = usage.model.as_deref() else { continue };
        if model == "latest" || model.ends_with("-latest") || model.ends_with(":latest") {
            let message = format!("`{model}` is another model whenever its vendor says so");
            out.push(
                Draft::new(place, message, "name a dated version, and change it on purpose").because(&usage.evidence),
            );
        }
    }
}

pub fn undeclared(seen: &Seen, out: &mut Vec<Draft>) {
    let Some(models) = &seen.declared.models else { return };
    for (usage, place) in direct(seen) {
        let Some(model) = usage.model.as_deref() else { continue };
        let name = format!("{}/{model}", usage.provider);
        if !models.contains_key(&name) {
            let message = format!("model `{name}` is not among those that {} declares", seen.declared.by);
            let help = "if the agent may use it, run `agentlint lock` and commit";
            out.push(Draft::new(place, message, help).because(&usage.evidence).confidence(usage.confidence));
        }
    }
}

pub fn without_budget(seen: &Seen, out: &mut Vec<Draft>) {
    let Some(models) = &seen.declared.models else { return };
    // Only a project that sets budgets means to have one for each.
    if models.values().all(Option::is_none) {
        return;
    }
    for (usage, place) in direct(seen) {
        let name = format!("{}/{}", usage.provider, usage.model.as_deref().unwrap_or_default());
        if matches!(models.get(&name), Some(None)) {
            let message = format!("model `{name}` has no budget, while others have");
            let help = format!("set `monthly_budget_usd` of `[models.\"{name}\"]` in agentlint.toml");
            out.push(Draft::new(place, message, help).because(&usage.evidence));
        }
    }
}
