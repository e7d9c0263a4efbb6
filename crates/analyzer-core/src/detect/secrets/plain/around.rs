//! What stands around a place in a text: the mappings, the call, the hosts near it, the name before it.

use std::ops::Range;

use super::super::scan::floor;
use super::{NAME, VALUE, columns};

pub fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t', '-']).len()
}

/// Lines that a place stands below by indentation, nearest first, without their own.
pub fn enclosing_lines(text: &str, at: usize) -> impl Iterator<Item = &str> {
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let mut deepest = indent(text[start..].lines().next().unwrap_or(""));
    text[..start].lines().rev().take(60).filter_map(move |line| {
        let trimmed = line.trim();
        if trimmed.is_empty() || indent(line) >= deepest {
            return None;
        }
        deepest = indent(line);
        Some(trimmed)
    })
}

/// What stands beside a place under keys such as `provider`: in its mapping and in those around it, the nearest first.
pub fn whose(text: &str, at: usize) -> Vec<String> {
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let line = text[start..].lines().next().unwrap_or("");
    // One line holds the whole mapping: `{"provider": "groq", "apiKey": "…"}`.
    let open = text[start..at].rfind('{').map_or(start, |open| start + open);
    let close = text[at..start + line.len()].find('}').map_or(start + line.len(), |close| at + close);
    let entry = |part: &str| {
        let (key, value) = part.trim().trim_start_matches(['-', ' ', '{']).split_once([':', '='])?;
        let plain = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        let (key, value) = (plain(key), plain(value.trim_end_matches([',', '}'])));
        let provider = match key.as_str() {
            "model" | "model_id" | "model_name" => value.split_once('/')?.0.to_owned(),
            "id" => value.split_once(':')?.0.to_owned(), // `id: groq:chat:model`
            "provider" | "service" | "vendor" | "platform" | "model_provider" | "llm_provider" | "name" | "type" => {
                value
            }
            _ => return None,
        };
        (2..=40).contains(&provider.len()).then_some(provider)
    };
    let mut found: Vec<String> = text[open..close].split(',').filter_map(entry).collect();
    found.extend(columns::row(text, start, at));
    let mut own = indent(line);
    let above = text[..start].lines().rev().take(24).take_while(|line| !line.trim().is_empty());
    for line in above {
        if indent(line) > own {
            continue;
        }
        found.extend(entry(line));
        // An item of a list or a mapping begins here: what stands further up with it is another's.
        if line.trim_start().starts_with(['-', '{']) && indent(line) == own {
            own = own.saturating_sub(1);
        }
        own = own.min(indent(line));
    }
    let below = text[(start + line.len()).min(text.len())..].lines().skip(1).take(12);
    let below = below.take_while(|next| indent(next) >= indent(line) && !next.trim_start().starts_with(['-', '}']));
    found.extend(below.filter_map(entry));
    found
}

/// The name of the field of a form that a place belongs to: `<input name="api_key" defaultValue=`.
pub fn field(text: &str, at: usize) -> Option<&str> {
    let start = floor(text, at.saturating_sub(NAME * 4));
    let tag = &text[start..at];
    let tag = &tag[tag.rfind('<').filter(|open| !tag[*open..].contains('>'))?..];
    let name =
        [" name=\"", " id=\""].iter().find_map(|attribute| Some(&tag[tag.find(attribute)? + attribute.len()..]))?;
    name.split('"').next()
}

/// Below a key that says its values are encrypted: Kubernetes' sealed secrets.
pub fn is_sealed(text: &str, at: usize) -> bool {
    enclosing(text, at).iter().any(|key| matches!(key.as_str(), "encryptedData" | "encrypted_data"))
}

/// The call that a place stands in, on its line: `# client = Groq(api_key=`.
pub fn called(text: &str, at: usize) -> Option<&str> {
    let start = floor(text, at.saturating_sub(VALUE / 8));
    let line = text[start..at].rsplit('\n').next()?;
    let open = line.rfind('(').filter(|open| !line[*open..].contains(')'))?;
    let path = &line[..open];
    let from = path.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "_.".contains(c)).len();
    (from < path.len()).then_some(&path[from..])
}

/// Keys of the enclosing mappings, nearest first, by indentation.
pub fn enclosing(text: &str, at: usize) -> Vec<String> {
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let mut keys = Vec::new();
    for trimmed in enclosing_lines(text, at) {
        if keys.len() == 4 {
            break;
        }
        let key = trimmed
            .trim_start_matches(['-', '"', '\'', '[', ' '])
            .split([':', '"', '\'', ']', '='])
            .next()
            .unwrap_or("");
        if !key.is_empty() && key.len() <= NAME {
            keys.push(key.to_owned());
        }
    }
    // The heading of a section: `[openai]`.
    let section = text[..start].lines().rev().take(60).find(|line| line.starts_with('['));
    keys.extend(section.map(|line| line.trim_matches(['[', ']', ' ']).to_owned()));
    keys
}

/// External hosts of addresses within a few lines, the nearest first.
pub fn nearby_hosts(text: &str, at: usize) -> Vec<String> {
    nearby_hosts_of(text, at, |host| host.contains('.'))
}

/// Hosts that a line near it names by a word: `Host  api.acme.io`.
pub fn told_hosts(text: &str, at: usize) -> Vec<String> {
    let start = floor(text, at.saturating_sub(VALUE / 4));
    let before = text[start..at].lines().rev().skip(1).take(8).take_while(|line| !line.starts_with('['));
    let host = |line: &str| {
        let mut words = line.split([' ', '\t', '=', ':', '"', ',']).filter(|word| !word.is_empty());
        let named = words.next().is_some_and(|word| matches!(word.to_ascii_lowercase().as_str(), "host" | "hostname"));
        words.next().filter(|host| named && is_host(host)).map(str::to_owned)
    };
    before.filter_map(host).collect()
}

/// Hosts of addresses within a few lines that fulfil a condition, the nearest first.
pub fn nearby_hosts_of(text: &str, at: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let start = text[..at].rmatch_indices('\n').nth(8).map_or(0, |(i, _)| i).max(floor(text, at.saturating_sub(1500)));
    let end = text[at..].match_indices('\n').nth(8).map_or(text.len(), |(i, _)| at + i).min(floor(text, at + 1500));
    let window = &text[start..end];
    let mut found: Vec<(usize, String)> = window
        .match_indices("://")
        .map(|(i, _)| ((start + i).abs_diff(at), host_of(&window[i + 3..])))
        .filter(|(_, host)| wanted(host))
        .collect();
    found.sort();
    found.into_iter().map(|(_, host)| host).collect()
}

/// The name right before a value that nothing takes: a comparison, an attribute of markup.
pub fn name_before(text: &str, value: usize) -> Option<Range<usize>> {
    let start = floor(text, value.saturating_sub(NAME + 8));
    let before = text[start..value].trim_end_matches([' ', '{', '(']);
    let name = ["!==", "===", "!=", "==", "="].iter().find_map(|operator| before.strip_suffix(operator))?.trim_end();
    let part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let from = name.trim_end_matches(part).len();
    (from < name.len() && from > 0).then_some(start + from..start + name.len())
}

/// Whether a text can be a host without a scheme.
pub fn is_host(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let (inner, end) = text.rsplit_once('.').unwrap_or(("", ""));
    (4..=80).contains(&text.len()) && text.bytes().all(known) && !inner.is_empty() && (2..=6).contains(&end.len())
}

/// The host at the beginning of what follows `://`.
pub fn host_of(rest: &str) -> String {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-.:@_%".contains(c))).unwrap_or(rest.len());
    let authority = rest[..end].rsplit('@').next().unwrap_or("");
    authority.split(':').next().unwrap_or("").to_ascii_lowercase()
}
