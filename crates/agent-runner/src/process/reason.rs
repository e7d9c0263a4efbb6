//! Reasons: what an agent wrote, as far as it says why it does not run. Pure.

use serde::Deserialize;

/// Why code was not loaded: what the runtime logs about it, and below it the interpreter's own error.
pub fn of_import(lines: &[String]) -> Option<String> {
    let at = lines.iter().rposition(|line| line.contains(FAILED_IMPORT))?;
    if let Some(error) = error_of(&lines[at + 1..]) {
        return Some(error);
    }
    let said = match serde_json::from_str::<Logged>(&lines[at]) {
        Ok(logged) => logged.error,
        Err(_) => lines[at].split(FAILED_IMPORT).nth(1).unwrap_or_default().trim_start_matches([':', ' ']).to_string(),
    };
    Some(said).filter(|said| !said.is_empty())
}

/// A line of a log whose lines are JSON objects, as the published runtime's are.
#[derive(Deserialize)]
struct Logged {
    #[serde(default)]
    error: String,
}

/// What both runtimes write where the agent's code does not load.
const FAILED_IMPORT: &str = "failed to import user module";

/// The last error that was written, else the last line that says anything.
pub fn of_lines(lines: &[String]) -> Option<String> {
    error_of(lines).or_else(|| lines.iter().rev().find(|line| !line.trim().is_empty()).cloned())
}

/// `ModuleNotFoundError: No module named 'stripe'`, `TypeError [ERR_X]: no`: a name that ends in what errors' names end
/// in, at the beginning of a line, which is how Python and Node end a traceback.
fn error_of(lines: &[String]) -> Option<String> {
    let is_error = |line: &&String| {
        let name: &str = line.split([':', ' ']).next().unwrap_or_default();
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '_');
        let ends = ["Error", "Exception", "Interrupt", "Exit"];
        plain && line.len() > name.len() && ends.iter().any(|end| name.ends_with(end))
    };
    lines.iter().rev().find(is_error).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_string).collect()
    }

    #[test]
    fn a_failed_import_is_told_by_the_error_under_it() {
        let said = lines(
            "2026-01-01 INFO starting\nERROR failed to import user module agent.py\nTraceback (most recent call last):\n  \
             File \"/app/agent.py\", line 1, in <module>\n    import stripe\nModuleNotFoundError: No module named 'stripe'\n\
             INFO serving on 8080",
        );
        assert_eq!(of_import(&said).as_deref(), Some("ModuleNotFoundError: No module named 'stripe'"));
        let short = lines("[x] failed to import user module: no such file");
        assert_eq!(of_import(&short).as_deref(), Some("no such file"));
        let json = lines(r#"{"level": "error", "msg": "failed to import user module", "error": "no module 'x'"}"#);
        assert_eq!(of_import(&json).as_deref(), Some("no module 'x'"));
        assert_eq!(of_import(&lines("all is well")), None);
    }

    #[test]
    fn an_end_is_told_by_the_last_error_or_the_last_words() {
        assert_eq!(of_lines(&lines("one\ntwo\n\n")).as_deref(), Some("two"));
        let node = lines(
            "file:///app/a.mjs:1\nthrow 1\nTypeError: x is not a function\n    at file:///app/a.mjs:1:1\n\nNode.js v20",
        );
        assert_eq!(of_lines(&node).as_deref(), Some("TypeError: x is not a function"));
        assert_eq!(of_lines(&[]), None);
    }
}
