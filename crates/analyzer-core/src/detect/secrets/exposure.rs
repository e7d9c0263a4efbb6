//! Where a credential goes that others read: a text for a model, what is printed or logged.

use super::context::Site;
use super::names;
use crate::analysis::Exposure;

/// Where a text at this place, or the variable that it is bound to, is shown.
pub fn of(site: &Site, used: &[Site]) -> Exposures {
    let mut shown = Exposures::default();
    for site in std::iter::once(site).chain(used) {
        shown.log |= site.callee.as_deref().is_some_and(is_log);
        shown.prompt |= site.name.iter().chain(&site.outer).any(|name| is_prompt(name));
    }
    shown
}

/// A set of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposures {
    log: bool,
    prompt: bool,
}

impl Exposures {
    /// Both sets together.
    pub fn with(self, other: Exposures) -> Exposures {
        Exposures { log: self.log || other.log, prompt: self.prompt || other.prompt }
    }

    /// In a stable order.
    pub fn list(self) -> Vec<Exposure> {
        let log = self.log.then_some(Exposure::Log);
        self.prompt.then_some(Exposure::Prompt).into_iter().chain(log).collect()
    }
}

/// `print`, `console.log`, `logger.info`.
fn is_log(callee: &str) -> bool {
    const LEVELS: &[&str] =
        &["debug", "info", "warn", "warning", "error", "critical", "exception", "log", "trace", "fatal"];
    let (rest, last) = callee.rsplit_once('.').unwrap_or(("", callee));
    let logger = rest.rsplit('.').next().unwrap_or("").trim_start_matches('_').to_ascii_lowercase();
    let named = logger == "console" || logger == "log" || logger.ends_with("logger") || logger == "logging";
    callee == "print" || named && LEVELS.contains(&last)
}

/// What a model is given to read: `SYSTEM_PROMPT`, `instructions=`, the `content` of a message.
fn is_prompt(name: &str) -> bool {
    let words = names::words(name);
    let Some(last) = words.last() else { return false };
    matches!(last.as_str(), "prompt" | "instructions" | "instruction" | "backstory")
        || words.len() == 1 && matches!(last.as_str(), "content" | "system")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_told_from_what_only_sounds_like_it() {
        for callee in ["print", "console.error", "self.logger.info", "logging.warning", "log.debug"] {
            assert!(is_log(callee), "{callee}");
        }
        for callee in ["math.log", "client.info", "dialog.error", "fingerprint", "catalog.warn"] {
            assert!(!is_log(callee), "{callee}");
        }
        for name in ["SYSTEM_PROMPT", "instructions", "content", "systemPrompt"] {
            assert!(is_prompt(name), "{name}");
        }
        for name in ["prompt_tokens", "contentType", "content_key", "promptId"] {
            assert!(!is_prompt(name), "{name}");
        }
    }
}
