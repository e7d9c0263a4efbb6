//! The one pass: every literal that begins a credential or names one, and what stands around it.
//!
//! An automaton walks the bytes once. At each literal it meets, a reader bounded in length looks at that place only, so
//! the cost is the text's length and the number of literals in it, whatever the text is.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checksum;
use super::formats::{Cue, Formats};
use super::shape::{Anchor, Flat, starts_word};
use super::{fold, judge};

/// Something that is shaped like a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub span: Range<usize>,
    pub what: What,
}

/// What it is shaped like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A format, by its index.
    Format(usize),
    /// A JSON web token.
    Jwt,
    /// A private key in PEM.
    Pem,
    /// An address with a password in it: the scheme, the host.
    Login { scheme: Range<usize>, host: Range<usize> },
    /// A parameter of an address: its name, the host.
    Query { name: Range<usize>, host: Range<usize> },
    /// A part of the path of an address at a host that takes its credential there.
    Path { host: Range<usize> },
    /// Behind `Bearer` or `Token`.
    Bearer,
    /// Behind `Basic`: base64 of a name and a password.
    Basic,
    /// `name:password` for a command.
    Flag,
    /// What a command takes as a password: `sshpass -p …`.
    Password,
}

/// What one pass found.
#[derive(Debug, Default)]
pub struct Scan {
    pub hits: Vec<Hit>,
    /// Where words stand that names of secrets have.
    pub names: Vec<usize>,
    /// Identifiers that are public by design.
    pub public: Vec<Range<usize>>,
}

/// Bytes that a reader looks at behind its literal.
const REACH: usize = 600;
/// A PEM block is longer than other credentials.
const PEM_REACH: usize = 12_000;

/// Scans a text.
pub fn scan(text: &str, formats: &Formats) -> Scan {
    let bytes = text.as_bytes();
    let mut scan = Scan::default();
    for found in formats.automaton.find_overlapping_iter(bytes) {
        for cue in &formats.cues[found.pattern().as_usize()] {
            let at = found.start();
            match cue {
                Cue::Name => scan.names.push(at),
                Cue::Format { format, flat, anchor } => {
                    let span = around(&formats.formats[*format].shape.flats[*flat], anchor, bytes, at);
                    scan.hits.extend(span.map(|span| Hit { span, what: What::Format(*format) }));
                }
                Cue::Public { shape, flat, anchor } => {
                    scan.public.extend(around(&formats.public[*shape].flats[*flat], anchor, bytes, at));
                }
                Cue::Scheme => address(text, at, formats, &mut scan.hits),
                Cue::Presented => presented(text, at, found.end(), &mut scan.hits),
                Cue::Login => flag(text, found.end(), &mut scan.hits),
                Cue::Password => option(text, at, found.end(), &mut scan.hits),
                Cue::Jwt => jwt(text, at, &mut scan.hits),
                Cue::Pem => pem(text, at, &mut scan.hits),
            }
        }
    }
    scan.hits.sort_by_key(|hit| (hit.span.start, hit.span.end));
    scan.hits.dedup();
    scan
}

/// The token around its anchor, the longest that there is.
fn around(flat: &Flat, anchor: &Anchor, text: &[u8], at: usize) -> Option<Range<usize>> {
    let (fewest, most) = anchor.before;
    (fewest..=most.min(at)).rev().find_map(|before| {
        let start = at.checked_sub(before)?;
        Some(start..flat.match_at(text, start)?)
    })
}

/// Where the word ends that begins at `at`.
fn word_end(text: &str, at: usize, stop: &[u8]) -> usize {
    let bytes = &text.as_bytes()[at..(at + REACH).min(text.len())];
    let length = bytes.iter().position(|b| *b <= b' ' || *b >= 127 || stop.contains(b)).unwrap_or(bytes.len());
    at + length
}

/// `scheme://user:password@host/…?api_key=…`.
fn address(text: &str, at: usize, formats: &Formats, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let scheme_char = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
    let back = bytes[at.saturating_sub(32)..at].iter().rev().take_while(|b| scheme_char(b)).count();
    let scheme = at - back..at;
    let start = at + 3;
    // What nobody knows may stand in its query: `?city=` + city + `&key=…`.
    let mut end = word_end(text, start, b"\"'`<>\\|");
    while end > start && end < start + REACH && text[end..].starts_with(fold::HOLE) {
        end = word_end(text, end + 1, b"\"'`<>\\|");
    }
    let rest = &text[start..end];
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold a slash, though it should not: then the `@` stands behind it.
    let login = rest[..authority_end].rfind('@').or_else(|| {
        let colon = rest[..authority_end].find(':')?;
        let port = rest[colon + 1..authority_end].bytes().all(|b| b.is_ascii_digit());
        if port { None } else { rest[..rest.find(['?', '#']).unwrap_or(rest.len())].rfind('@') }
    });
    let host_start = login.map_or(0, |login| login + 1);
    let host_len = rest[host_start..].find(['/', '?', '#', ',']).unwrap_or(rest.len() - host_start);
    let host_port = &rest[host_start..host_start + host_len];
    let host_name = host_port.rsplit_once(':').map_or(host_port, |(host, _)| host);
    let host = start + host_start..start + host_start + host_name.len();
    if let Some(login) = login
        && back > 0
        && let Some((user, password)) = rest[..login].split_once(':')
        && real_password(user, password, host_name)
        && !(is_local(host_name)
            && judge::language(password)
            && password.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        && !is_reserved(host_name)
        && !judge::template(host_name)
        && !host_name.is_empty()
    {
        let end = text[start..end].find(fold::HOLE).map_or(end, |hole| start + hole);
        let span = scheme.start..end - trailing(&text[scheme.start..end]);
        hits.push(Hit { span, what: What::Login { scheme: scheme.clone(), host: host.clone() } });
    }
    let path_start = host_start + host_len;
    let path = rest[path_start..].split(['?', '#']).next().unwrap_or("");
    in_path(&text[host.clone()], path, start + path_start, formats, hits);
    let Some(query) = rest.find('?') else { return };
    let mut offset = start + query + 1;
    for parameter in rest[query + 1..].split('&') {
        if let Some((name, value)) = parameter.split_once('=') {
            let value_at = offset + name.len() + 1;
            let value = value.split(['#', ',', ')', ';']).next().unwrap_or(value);
            let span = value_at..value_at + value.len();
            let name = offset..offset + name.len();
            hits.push(Hit { span, what: What::Query { name, host: host.clone() } });
        }
        offset += parameter.len() + 1;
    }
}

/// `https://eth-mainnet.g.alchemy.com/v2/…`
fn in_path(host: &str, path: &str, at: usize, formats: &Formats, hits: &mut Vec<Hit>) {
    let is_long =
        |part: &&str| part.len() >= 20 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let Some(part) = path.split('/').find(is_long) else { return };
    if formats.issuer_in_path(host).is_some() && judge::machine_made(part) {
        let from = at + (part.as_ptr() as usize - path.as_ptr() as usize);
        let host = at - host.len()..at;
        hits.push(Hit { span: from..from + part.len(), what: What::Path { host } });
    }
}

/// A host of this machine, or one that only its own network knows.
pub fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0" | "[::1]") || !host.contains('.')
}

/// A host that a provider gave to one of its customers: `cluster.ab12c.mongodb.net`.
fn is_public(host: &str) -> bool {
    host.split('.').count() >= 4
        && host.split('.').any(|part| part.bytes().any(|b| b.is_ascii_digit()))
        && !is_reserved(host)
}

/// Names that are kept for documentation and open nothing (RFC 2606).
fn is_reserved(host: &str) -> bool {
    let end = host.rsplit('.').next().unwrap_or("");
    let two = host.rsplit('.').nth(1).unwrap_or("");
    matches!(end, "example" | "test" | "invalid") || two == "example" && matches!(end, "com" | "org" | "net")
}

/// Punctuation that ends the sentence and not the address.
fn trailing(text: &str) -> usize {
    text.len() - text.trim_end_matches([')', ']', '}', ',', ';', '.', ':']).len()
}

/// A password that opens something at a host, and is not there to be replaced.
fn real_password(user: &str, password: &str, host: &str) -> bool {
    const STAND_INS: &[&str] = &[
        "password",
        "pass",
        "passwd",
        "pw",
        "pwd",
        "secret",
        "postgres",
        "root",
        "admin",
        "user",
        "guest",
        "test",
        "mysql",
        "redis",
        "changeme",
        "token",
        "mypassword",
        "neo4j",
        "rabbitmq",
        "minioadmin",
        "example",
        "key",
        "app",
        "dev",
        "docker",
        "x",
        "xxx",
        "foo",
        "bar",
        "pat",
        "pass123",
        "password123",
        "db_password",
        "dbpassword",
    ];
    let lower = password.to_ascii_lowercase();
    let everyday = judge::stand_in(&lower) && lower.bytes().all(|b| b.is_ascii_alphanumeric());
    let shouted = password.contains('_') && password.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    password.len() >= 4
        && !lower.contains("%20")
        && !judge::leet(&lower)
        && !everyday
        && !STAND_INS.contains(&lower.as_str())
        // On a host of the world the name may be the password; on this machine and in documents it stands for one.
        && (!lower.eq_ignore_ascii_case(user) || is_public(host) && !STAND_INS.contains(&user.to_ascii_lowercase().as_str()))
        && !judge::template(password)
        && !judge::placeholder(password)
        && !shouted
        && !password.contains(['{', '}', '$', '[', ']', '(', ' '])
        && !password.contains("**")
        && !(user.contains(['{', '$', '<']) && judge::language(password))
        && !password.bytes().all(|b| b == b'.')
}

/// `Bearer …`, `Basic …`.
fn presented(text: &str, scheme: usize, at: usize, hits: &mut Vec<Hit>) {
    let basic = text[scheme..at].eq_ignore_ascii_case("basic ");
    let end = word_end(text, at, b"\"'`<>\\,;)}");
    let token = &text[at..end];
    if token.ends_with("..") {
        return; // Cut off: nobody can use it.
    }
    let token = token.trim_end_matches(['.', ':']);
    let span = at..at + token.len();
    if basic {
        if let Some(login) = decoded_login(token)
            && let Some((user, password)) = login.split_once(':')
            && !judge::placeholder(password)
            && (password.len() >= 4 || password.is_empty() && judge::machine_made(user))
        {
            hits.push(Hit { span, what: What::Basic });
        }
    } else if judge::machine_made(token) && !token.contains('(') {
        hits.push(Hit { span, what: What::Bearer });
    }
}

/// What a Basic header holds.
pub fn decoded_login(token: &str) -> Option<String> {
    let plain = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    plain.bytes().all(|b| (b' '..127).contains(&b)).then_some(plain)
}

/// `curl -u name:password`.
fn flag(text: &str, at: usize, hits: &mut Vec<Hit>) {
    let line_start = text[..at].rfind('\n').map_or(0, |i| i + 1).max(floor(text, at.saturating_sub(REACH)));
    if !text[line_start..at].contains("curl") && !text[line_start..at].trim_start().starts_with('-') {
        return;
    }
    let quote = text.as_bytes().get(at).copied().filter(|b| b"\"'".contains(b));
    let start = at + usize::from(quote.is_some());
    let end = word_end(text, start.min(text.len()), b"\"'`<>\\");
    let Some((user, password)) = text[start..end].split_once(':') else { return };
    let secret = judge::machine_made(user) && password.is_empty() || real_password(user, password, "");
    if secret && !judge::template(user) {
        hits.push(Hit { span: start..end, what: What::Flag });
    }
}

/// `name:password`, as a whole text.
pub fn login(text: &str) -> Option<Hit> {
    let (user, password) = text.split_once(':')?;
    let secret = judge::machine_made(user) && password.is_empty() || real_password(user, password, "");
    (secret && !text.contains([' ', '/'])).then_some(Hit { span: 0..text.len(), what: What::Flag })
}

/// Commands, and the flag behind which they take a password.
const TAKE_PASSWORDS: &[(&str, &str)] = &[
    ("sshpass", "p"),
    ("ConvertTo", "SecureString"),
    ("docker login", "p"),
    ("podman login", "p"),
    ("helm registry login", "p"),
    ("oc login", "p"),
    ("cf login", "p"),
    ("az login", "p"),
    ("mongosh", "p"),
    ("mongodump", "p"),
    ("mongorestore", "p"),
    ("redis-cli", "a"),
];

/// `sshpass -p password`.
fn option(text: &str, cue: usize, at: usize, hits: &mut Vec<Hit>) {
    let line_start = text[..cue].rfind('\n').map_or(0, |i| i + 1).max(floor(text, cue.saturating_sub(REACH)));
    let flag = text[cue..at].trim_matches([' ', '-']);
    let command = &text[line_start..cue];
    if !TAKE_PASSWORDS.iter().any(|(taker, by)| *by == flag && command.contains(taker)) {
        return;
    }
    let quote = text.as_bytes().get(at).copied().filter(|b| b"\"'".contains(b));
    let start = at + usize::from(quote.is_some());
    let end = word_end(text, start.min(text.len()), b"\"'`<>\\");
    let password = &text[start..end];
    let typed = quote.is_some() && (judge::typed(password) || judge::scrambled(password));
    if (judge::chosen(password) || judge::machine_made(password) || typed) && !judge::placeholder(password) {
        hits.push(Hit { span: start..end, what: What::Password });
    }
}

/// The boundary of a character at or before `at`.
pub fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

fn jwt(text: &str, at: usize, hits: &mut Vec<Hit>) {
    if !starts_word(text.as_bytes(), at) {
        return;
    }
    let bytes = &text.as_bytes()[at..(at + 4096).min(text.len())];
    let word = |b: &u8| b.is_ascii_alphanumeric() || b"-_.=".contains(b);
    let length = bytes.iter().position(|b| !word(b)).unwrap_or(bytes.len());
    let token = text[at..at + length].trim_end_matches(['.', '-', '=']);
    let signed = token.split('.').count() == 3 && token.rsplit('.').next().is_some_and(|part| part.len() >= 20);
    if signed && checksum::jwt(token).is_some() {
        hits.push(Hit { span: at..at + token.len(), what: What::Jwt });
    }
}

fn pem(text: &str, at: usize, hits: &mut Vec<Hit>) {
    let end = floor(text, at + PEM_REACH);
    let block = &text[at..end];
    let title = &block["-----BEGIN".len()..];
    let Some(title_len) = title.find("-----").filter(|length| *length < 40) else { return };
    const TITLES: &[&str] = &["", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "PGP ", "ANY ", "SSH2 ENCRYPTED "];
    let whose = title[..title_len].trim_start().strip_suffix("PRIVATE KEY BLOCK");
    let whose = whose.or_else(|| title[..title_len].trim_start().strip_suffix("PRIVATE KEY"));
    if !whose.is_some_and(|whose| TITLES.contains(&whose)) {
        return;
    }
    let body_start = "-----BEGIN".len() + title_len + 5;
    // The next dashes end the block, or begin another: bounded work however many there are.
    let dashes = block[body_start..].find("-----").map(|i| i + body_start);
    let closing = dashes.filter(|at| block[*at..].starts_with("-----END"));
    let body = &block[body_start..dashes.unwrap_or(block.len())];
    let run = body.replace("\\n", " ").replace("\\r", " ");
    let key: usize = run
        .split(|c: char| c.is_whitespace() || "\"'`+,\\#".contains(c))
        .filter(|line| line.len() >= 16 && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)))
        .filter(|line| !judge::invented(line))
        .map(str::len)
        .sum();
    let elided = body.contains("...") || body.contains('…') || run.to_ascii_lowercase().contains("your");
    if key >= 40 && !elided {
        let end = closing.and_then(|i| block[i + 8..].find("-----").map(|j| i + 8 + j + 5)).unwrap_or(body_start);
        hits.push(Hit { span: at..at + end.max(body_start), what: What::Pem });
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain path: every format at every place.
    fn plain(text: &str, formats: &Formats) -> Vec<(Range<usize>, usize)> {
        let mut found = Vec::new();
        for (index, format) in formats.formats.iter().enumerate() {
            if formats.key(index).when == super::super::formats::When::Meant {
                continue;
            }
            for flat in &format.shape.flats {
                found.extend((0..text.len()).filter_map(|at| Some((at..flat.match_at(text.as_bytes(), at)?, index))));
            }
        }
        found.sort_by_key(|(span, index)| (span.start, span.end, *index));
        found.dedup();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_one_pass_finds_what_the_plain_path_finds(seed in any::<u64>(), noise in "[ -~é\n]{0,40}") {
            let formats = Formats::builtin();
            let mut rng = super::super::corpus::Rng(seed);
            let mut text = noise.clone();
            for _ in 0..4 {
                let format = &formats.formats[rng.below(formats.formats.len())];
                text.push_str(&super::super::corpus::token(&format.shape, &mut rng));
                text.push_str(["", " ", "\"", "-x", "\n"][rng.below(5)]);
                text.push_str(&noise);
            }
            let mut fast: Vec<(Range<usize>, usize)> = scan(&text, formats)
                .hits
                .into_iter()
                .filter_map(|hit| match hit.what { What::Format(index) => Some((hit.span, index)), _ => None })
                .collect();
            fast.sort_by_key(|(span, index)| (span.start, span.end, *index));
            let plain = plain(&text, formats);
            for hit in &fast {
                prop_assert!(plain.contains(hit), "only fast: {hit:?} in {text:?}");
            }
            // Around one anchor the fast path takes the longest token only.
            for (span, index) in &plain {
                let covered = fast.iter().any(|(s, i)| i == index && s.start <= span.start && s.end >= span.end);
                prop_assert!(covered, "only plain: {span:?} {} in {text:?}", formats.formats[*index].issuer);
            }
        }
    }
}
