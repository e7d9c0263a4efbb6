//! Nothing is allowed that a plain reading of the rules denies. Two servers read each path: one to the letter of the
//! standard, one that undoes whatever is encoded; a second evaluator, naive and of its own, decides for each.
#![no_main]

use analyzer_core::policy::{Call, Outcome, Permission, Policy, Rule, Rules, Target};
use libfuzzer_sys::fuzz_target;

/// A star that is a wildcard, among the bytes of a path.
const STAR: u16 = 0x100;

/// A path in its segments, each byte by byte.
type Segments = Vec<Vec<u16>>;

fn undone(bytes: &[u16]) -> Vec<u16> {
    let digit = |at: usize| bytes.get(at).and_then(|b| u8::try_from(*b).ok()).and_then(|b| char::from(b).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (0x25, Some(high), Some(low)) => {
                out.push((high * 16 + low) as u16);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn split(path: &[u16]) -> Segments {
    path.split(|byte| *byte == u16::from(b'/')).map(<[u16]>::to_vec).collect()
}

fn is(segment: &[u16], text: &str) -> bool {
    segment.iter().copied().eq(text.bytes().map(u16::from))
}

/// To the letter: split, then undone once, then dots.
fn strict(path: &[u16]) -> Segments {
    let mut out: Segments = Vec::new();
    let segments = split(path);
    let last = segments.len() - 1;
    for (at, segment) in segments.iter().skip(1).enumerate().map(|(at, segment)| (at + 1, undone(segment))) {
        // A slash that was encoded is a letter of its segment.
        let letter = |byte: u16| if byte == u16::from(b'/') { 0x200 + byte } else { byte };
        let segment: Vec<u16> = segment.into_iter().map(letter).collect();
        let is_dots = is(&segment, ".") || is(&segment, "..");
        if is(&segment, "..") {
            out.pop();
        }
        match (is_dots, at == last) {
            (false, _) => out.push(segment),
            (true, true) => out.push(Vec::new()),
            (true, false) => {}
        }
    }
    out
}

/// Undone until nothing changes, then split at either slash; empty segments count for nothing.
fn lenient(path: &[u16]) -> Segments {
    let mut path = path.to_vec();
    for _ in 0..4 {
        path = undone(&path);
    }
    for byte in &mut path {
        if *byte == u16::from(b'\\') {
            *byte = u16::from(b'/');
        }
    }
    let mut out: Segments = Vec::new();
    for segment in split(&path).into_iter().filter(|segment| !segment.is_empty()) {
        match (is(&segment, "."), is(&segment, "..")) {
            (true, _) => {}
            (_, true) => drop(out.pop()),
            _ => out.push(segment),
        }
    }
    out
}

/// All the places that the pattern may have come to, one of its letters after the other.
fn matches(pattern: &[u16], text: &[u16], is_open: bool) -> bool {
    let slash = u16::from(b'/');
    let mut places = vec![false; text.len() + 1];
    places[0] = true;
    for (at, letter) in pattern.iter().enumerate() {
        if *letter == STAR && is_open && at + 1 == pattern.len() {
            return places.contains(&true);
        }
        let mut next = vec![false; text.len() + 1];
        for place in 0..text.len() {
            let may_go_on = if *letter == STAR { text[place] != slash } else { text[place] == *letter };
            let comes_here = places[place] || (*letter == STAR && next[place]);
            next[place + 1] |= may_go_on && comes_here;
        }
        places = next;
    }
    places[text.len()]
}

fn joined(segments: &Segments) -> Vec<u16> {
    segments.iter().flat_map(|segment| std::iter::once(u16::from(b'/')).chain(segment.iter().copied())).collect()
}

fn path_of(url: &str) -> Option<Vec<u16>> {
    let rest = url.strip_prefix("https://h.io")?;
    let path = rest.split(['?', '#']).next()?;
    // To the standard of addresses a backslash that is not encoded is a slash.
    path.starts_with('/').then(|| path.replace('\\', "/").bytes().map(u16::from).collect())
}

/// Where servers may differ in more than these two do, nothing is compared here.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.%\\-_*".contains(&b))
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines().take(9);
    let Some(path) = lines.next().filter(|path| is_plain(path) && !path.contains('*')) else { return };
    let url = format!("https://h.io/{path}");
    let rule = |line: &str| {
        let (kind, path) = line.split_at_checked(1)?;
        let permission = match kind {
            "a" => Permission::Allow,
            "d" => Permission::Deny,
            "q" => Permission::ApprovalRequired,
            _ => return None,
        };
        is_plain(path).then(|| Rule::new(permission, format!("https://h.io/{path}")))
    };
    let rules: Vec<Rule> = lines.filter_map(rule).collect();
    let Ok(compiled) = Rules::new(&[Policy { name: "p".into(), rules: rules.clone() }]) else { return };
    let Ok(target) = Target::parse(&url) else { return };
    if compiled.decide(&Call::new("GET", &target)).outcome != Outcome::Allowed {
        return;
    }
    // What is sent on is what was compared.
    let Some(sent) = path_of(target.url()) else { return };
    let readers: [fn(&[u16]) -> Segments; 2] = [strict, lenient];
    for read in readers {
        let path = joined(&read(&sent));
        let path = if path.is_empty() { vec![u16::from(b'/')] } else { path };
        let covers = |rule: &Rule| {
            let Some(own) = rule.resource.as_deref().and_then(path_of) else { return false };
            let star = |byte: u16| if byte == u16::from(b'*') { STAR } else { byte };
            // A base and a path put together leave two slashes in front; of a pattern they are one.
            let slashes = own.iter().take_while(|byte| **byte == u16::from(b'/')).count();
            let own: Vec<u16> = own[slashes - 1..].iter().copied().map(star).collect();
            let is_open = own.last() == Some(&STAR);
            // Two at the end are as one.
            let more = own.iter().rev().take_while(|byte| **byte == STAR).count().saturating_sub(1);
            let own = &own[..own.len() - more];
            let own = joined(&read(own));
            let own = if own.is_empty() { vec![u16::from(b'/')] } else { own };
            matches(&own, &path, is_open && own.last() == Some(&STAR))
        };
        let mut decided: Vec<Permission> =
            rules.iter().filter(|rule| covers(rule)).map(|rule| rule.permission).collect();
        decided.sort();
        assert_eq!(decided.pop(), Some(Permission::Allow), "{url} under {rules:?}");
    }
});
