//! Comments that ask for silence: `# agentlint: ignore[rule] reason`, on the line or on one of its own above.
//!
//! For credentials the comments of other tools count too, which people have already: `gitleaks:allow`,
//! `pragma: allowlist secret`.

use std::collections::BTreeMap;

use super::rules::find;
use super::view::{Draft, Place, Seen};
use super::{Finding, LintOptions, Severity, repairs};
use crate::sources::Language;

const OURS: &str = "agentlint: ignore";
const OTHERS: [&str; 2] = ["gitleaks:allow", "pragma: allowlist secret"];

struct Ignore {
    place: Place,
    /// Lines that it speaks of.
    line: u32,
    /// Names or codes; empty for all.
    rules: Vec<String>,
    of_others: bool,
    used: bool,
}

/// Takes out what comments silence, reports those that silence nothing, and says how many were taken out.
pub(super) fn silence(seen: &Seen, lint: &LintOptions, findings: &mut Vec<Finding>) -> usize {
    let mut ignores: BTreeMap<(String, u32), Vec<Ignore>> = BTreeMap::new();
    for (file, source, _) in seen.files().filter(|(_, source, _)| may_speak(&source.text)) {
        for ignore in read(seen, file) {
            ignores.entry((source.path.to_string(), ignore.line)).or_default().push(ignore);
        }
    }
    let before = findings.len();
    findings.retain(|finding| {
        let mut silenced = false;
        for line in finding.line..=finding.end_line.min(finding.line + 20) {
            for ignore in ignores.get_mut(&(finding.file.clone(), line)).into_iter().flatten() {
                let speaks = match ignore.of_others {
                    true => find(finding.rule).is_some_and(|rule| rule.group() == "credentials"),
                    false => {
                        ignore.rules.is_empty()
                            || ignore
                                .rules
                                .iter()
                                .any(|name| name == finding.rule || name.eq_ignore_ascii_case(finding.code))
                    }
                };
                ignore.used |= speaks;
                silenced |= speaks;
            }
        }
        !silenced
    });
    let silenced = before - findings.len();
    if let Some(rule) = find("unused-ignore").filter(|rule| lint.is_active(rule)) {
        for ((path, _), ignore) in
            ignores.into_iter().flat_map(|(at, own)| own.into_iter().map(move |one| (at.clone(), one)))
        {
            let rules = lint.rules_of(&path);
            if ignore.used || ignore.of_others || !rules.is_active(rule) {
                continue;
            }
            let unknown = ignore.rules.iter().find(|name| find(name).is_none());
            // A comment about a rule that is not checked today may be needed tomorrow.
            let idle = |name: &String| find(name).is_some_and(|rule| !rules.is_active(rule));
            if unknown.is_none() && ignore.rules.iter().any(idle) {
                continue;
            }
            let message = match unknown {
                // What is longer than any name is none, and may be anything.
                Some(name) if name.len() > LONGEST => "there is no rule of such a long name to ignore".to_owned(),
                Some(name) => format!("there is no rule `{name}` to ignore"),
                None => "this comment silences nothing".to_owned(),
            };
            let fix = match unknown {
                // A slip of the pen: who wrote it meant another rule.
                Some(_) => None,
                None => repairs::without_comment(seen, &ignore.place),
            };
            let draft = Draft::new(ignore.place, message, "take it out").severity(Severity::Low).fix(fix);
            findings.push(seen.finding(rule, rules.severity(rule), draft));
        }
        findings.sort_by(|a, b| (&a.file, a.line, a.column, a.code).cmp(&(&b.file, b.line, b.column, b.code)));
    }
    silenced
}

/// Bytes of a name that somebody may have meant for a rule's.
const LONGEST: usize = 40;

fn may_speak(text: &str) -> bool {
    text.contains(OURS) || OTHERS.iter().any(|other| text.contains(other))
}

fn read(seen: &Seen, file: usize) -> Vec<Ignore> {
    let (text, facts, source) = (seen.text(file), seen.facts(file), seen.cx.project.source(file));
    let in_code = seen.cx.project.language(file) != Language::Text && facts.code.is_none();
    let mut ignores = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let others = OTHERS.iter().find_map(|other| line.find(other).map(|at| (at, true)));
        let found = line.find(OURS).map(|at| (at, false)).or(others);
        if let Some((at, of_others)) = found {
            // In code only a comment counts, and not a string that quotes one.
            let place = start + at;
            let comment = facts.comments.iter().find(|c| (c.start as usize..c.end as usize).contains(&place));
            let counts = !in_code || facts.over_budget || comment.is_some();
            // A text of JSON that quotes a comment is none; a report of ours is full of them.
            let quoted = source.path.ends_with(".json") && !of_others && !line[..at].trim_end().ends_with(['/', '*']);
            let counts = counts && !quoted;
            let rules = match of_others {
                true => Some(Vec::new()),
                false => names(&line[at + OURS.len()..]),
            };
            if let (true, Some(rules)) = (counts, rules) {
                let before = line[..at].trim();
                let alone = before.is_empty() || before.chars().all(|c| "#/*-;<!".contains(c));
                let own = index as u32 + 1;
                let begin = start + line.find(|c: char| !c.is_whitespace()).unwrap_or(0);
                let from = if alone {
                    begin
                } else {
                    place - (before.len() - before.trim_end_matches(['#', '/', '*', ' ']).len()).min(at)
                };
                let end = start + line.trim_end().len();
                ignores.push(Ignore {
                    place: Place { file, span: from.min(end)..end },
                    line: if alone { next_line(text, own) } else { own },
                    rules,
                    of_others,
                    used: false,
                });
            }
        }
        start += line.len();
    }
    ignores
}

/// `[a, b] reason`; none when the brackets do not close.
fn names(after: &str) -> Option<Vec<String>> {
    match after.strip_prefix('[') {
        Some(rest) => {
            let (list, _) = rest.split_once(']')?;
            Some(list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
        }
        None => Some(Vec::new()),
    }
}

/// The next line that is not another comment of ours.
fn next_line(text: &str, own: u32) -> u32 {
    let mut line = own + 1;
    while text
        .lines()
        .nth(line as usize - 1)
        .is_some_and(|next| next.contains(OURS) && next.trim_start().starts_with(['#', '/']))
    {
        line += 1;
    }
    line
}

/// What a comment begins with in a file of this name.
pub fn comment_sign(path: &str) -> &'static str {
    sign_of(Language::of(path, ""))
}

fn sign_of(language: Language) -> &'static str {
    if language.is_javascript() { "//" } else { "#" }
}

/// The text with a comment above each of these lines that silences the named rules.
pub fn add_ignores(text: &str, language: Language, at: &BTreeMap<u32, Vec<&str>>, reason: &str) -> String {
    let sign = sign_of(language);
    let mut out = String::with_capacity(text.len() + at.len() * 60);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if let Some(rules) = at.get(&(index as u32 + 1)) {
            let space = &line[..line.len() - line.trim_start().len()];
            // A file's first line may begin with the mark of its encoding.
            let (mark, line) = line.split_at(line.len() - line.trim_start_matches('\u{feff}').len());
            out.push_str(mark);
            out.push_str(format!("{space}{sign} {OURS}[{}] {reason}", rules.join(", ")).trim_end());
            out.push_str(super::fix::line_end(text));
            out.push_str(line);
            continue;
        }
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_begins_as_the_language_wants() {
        for (path, sign) in [
            ("a.py", "#"),
            ("a.ipynb", "#"),
            ("a.yaml", "#"),
            ("a.mts", "//"),
            ("a.tsx", "//"),
            ("a.svelte", "//"),
            ("b/a.vue", "//"),
        ] {
            assert_eq!(comment_sign(path), sign, "{path}");
        }
    }
}
