//! What documents say of an answer, against the answer.

use std::collections::HashMap;

use serde_json::Value;

/// What is documented must be there exactly; more keys may be. `…` stands for any text that is not empty, as the first
/// of a list for what else is in it; `$NAME` for what only the platform can know: the same wherever it stands.
pub fn differs(expected: &Value, found: &Value, at: &str, known: &mut HashMap<String, String>) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match found.get(key) {
                Some(found) => differs(value, found, &at, known),
                None => Some(format!("{at} is missing")),
            }
        }),
        (Value::Array(expected), Value::Array(found)) if expected.first().is_some_and(|first| first == "…") => {
            let missing = expected[1..].iter().find(|expected| {
                let alike = |found: &&Value| differs(expected, found, at, &mut known.clone()).is_none();
                !found.iter().any(|found| alike(&found))
            });
            missing.map(|missing| format!("{at} does not hold {missing}"))
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = expected.iter().zip(found).enumerate();
            pairs.find_map(|(n, (expected, found))| differs(expected, found, &format!("{at}[{n}]"), known))
        }
        (Value::String(expected), Value::String(found)) if expected.starts_with('$') => {
            let before = known.entry(expected[1..].to_string()).or_insert_with(|| found.clone());
            (before != found).then(|| format!("{at} is {found:?}, before it was {before:?}"))
        }
        (Value::String(expected), Value::String(found)) => {
            let same = match expected.split_once('…') {
                Some((before, after)) => {
                    found.len() > before.len() + after.len() && found.starts_with(before) && found.ends_with(after)
                }
                None => expected == found,
            };
            (!same).then(|| format!("{at} is {found:?}, documented as {expected:?}"))
        }
        _ => (expected != found).then(|| format!("{at} is {found}, documented as {expected}")),
    }
}
