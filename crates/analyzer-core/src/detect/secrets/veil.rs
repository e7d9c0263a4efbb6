//! What a reader outside is not shown although nothing was found in it: a value beside a name that speaks of secrets.

use std::borrow::Cow;
use std::ops::Range;

use super::formats::Formats;
use super::names::{self, Kind};
use super::{judge, plain, scan, value};
use crate::sources::Language;

/// Texts behind one name that are looked at, and bytes in which they stand.
const BEHIND: usize = 8;
const REACH: usize = 2048;

/// The text with what its names call secret masked, whatever was judged of it. Words, and names of variables, stay.
pub fn cover<'t>(text: &'t str, language: Language, formats: &Formats) -> Cow<'t, str> {
    let cues = scan::scan(text, formats).names;
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut done = 0;
    for &cue in &cues {
        let Some(name) = (cue >= done).then(|| plain::name_around(text, cue)).flatten() else { continue };
        done = name.end;
        let Some(shortest) = shortest(&text[name.clone()], formats) else { continue };
        spans.extend(literals(text, name.end).filter(|span| hides(&text[span.clone()], shortest)));
    }
    // Without a tree, values stand without quotes too.
    let pairs = if language == Language::Text { plain::pairs(text, &cues) } else { Vec::new() };
    for pair in pairs {
        let shortest = shortest(&text[pair.name], formats);
        spans.extend(Some(pair.value).filter(|span| shortest.is_some_and(|s| hides(&text[span.clone()], s))));
    }
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for span in spans.into_iter().filter(|span| !text[span.clone()].contains(value::MASK)) {
        if span.start >= at {
            out.push_str(&text[at..span.start]);
            out.push_str(value::MASK);
            at = span.end;
        }
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// The shortest value that a name hides; none of a name that speaks of no secret.
fn shortest(name: &str, formats: &Formats) -> Option<usize> {
    let hashed = || names::words(name).iter().any(|word| matches!(word.as_str(), "password" | "passwd" | "pwd"));
    match formats.kind_of(name) {
        Some(Kind::Weak) => Some(16),
        Some(_) => Some(6),
        // `generate_password_hash("…")`
        None => hashed().then_some(6),
    }
}

/// Texts in quotes behind a name, on its line, up to what has a name of its own.
fn literals(text: &str, name: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let line = text[name..scan::floor(text, name + REACH)].split('\n').next().unwrap_or("");
    let mut at = line.len() - line.strip_prefix(['"', '\'', '`']).unwrap_or(line).len();
    let next = move || {
        let open = at + line[at..].find(['"', '\'', '`'])?;
        let between = &line[at..open];
        // Behind a comma only what opens a text may stand.
        let another = between.rsplit_once(',').is_some_and(|(_, last)| last.contains(['=', ':']));
        let quote = line[open..].chars().next()?;
        let length = line[open + 1..].find(quote)?;
        let close = open + 1 + length;
        at = close + 1;
        let is_key = line[at..].trim_start().starts_with(':');
        (!another && !between.contains(';') && !is_key).then_some(name + open + 1..name + close)
    };
    std::iter::from_fn(next).take(BEHIND)
}

/// It could be a value: no word, no sentence, no name of a variable, nothing that stands for a value.
fn hides(value: &str, shortest: usize) -> bool {
    let has_digit = || value.bytes().any(|b| b.is_ascii_digit());
    let is_odd = || has_digit() || value.bytes().any(|b| b"!#$%&*^=~".contains(&b));
    value.len() >= shortest
        && !value.contains([' ', '\n'])
        && !value.starts_with(['/', '.'])
        && !value.contains("://")
        && !names::is_shouted(value)
        && !judge::placeholder(value)
        && (is_odd() || judge::typed(value) || judge::scrambled(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(text: &str, language: Language) -> String {
        cover(text, language, Formats::builtin()).into_owned()
    }

    #[test]
    fn a_value_beside_a_name_of_secrets_is_covered_whatever_it_is() {
        for (text, shown) in [
            ("{\"Subscription-Key\": \"Lantern7-Lantern-Velvet\"}", "{\"Subscription-Key\": \"****\"}"),
            (
                "users = {1: generate_password_hash(\"wq8\" + \"zk41mmv\")}",
                "users = {1: generate_password_hash(\"wq8\" + \"****\")}",
            ),
            ("api_key = read(\"CRM_KEY_2\") or 'x1y2z3w4'", "api_key = read(\"CRM_KEY_2\") or '****'"),
        ] {
            assert_eq!(covered(text, Language::Python), shown);
        }
        assert_eq!(covered("password: zk41mmv\n", Language::Text), "password: ****\n");
    }

    #[test]
    fn what_has_a_name_of_its_own_and_what_is_a_word_are_shown() {
        for text in [
            "client = OpenAI(api_key=KEY, model=\"gpt-4o\")",
            "client = OpenAI({apiKey: KEY, model: 'gpt-4o'})",
            "api_key = os.environ[\"OPENAI_API_KEY\"]",
            "{\"api_key\": key, \"model\": \"gpt-4o-mini\"}",
            "max_tokens = 4096",
            "password = \"your-password-1\"",
            "print(\"the token of 2 users is late\")",
        ] {
            assert_eq!(covered(text, Language::Python), text);
        }
    }
}
