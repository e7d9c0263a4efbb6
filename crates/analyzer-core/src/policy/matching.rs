//! Which addresses a pattern covers.
//!
//! Servers do not agree on what a path says: `%2F` is a slash to some, `//` one slash to others. So every path is read
//! twice, as literally and as generously as servers do, and whoever compares knows both readings: a call is allowed only
//! if both are, and refused if either is.

use url::Url;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not absolute.
    #[error("resource {0:?} is no address; write scheme, host and path: https://api.example.com/v1/*")]
    NotAnAddress(String),
    /// A wildcard before the path.
    #[error("resource {0:?} has a `*` in its host; name each host, so that no other can be meant")]
    WildcardHost(String),
    /// A user or password.
    #[error("a resource has no user and no password")]
    Credentials,
}

/// Why an address cannot be compared, and is therefore refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not absolute.
    #[error("the address is not absolute")]
    NotAnAddress,
    /// A user or password.
    #[error("the address holds a user or a password")]
    Credentials,
}

/// Where an address leads: scheme, host and port, or a variable whose address is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Known {
        scheme: String,
        host: String,
        port: Option<u16>,
    },
    /// `${CRM_URL}`: covers nothing but itself until it is replaced by an address.
    Variable(String),
}

/// The address of one call, in the form in which it is compared and must be sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) origin: Origin,
    /// As literally, and as generously as a server may read it.
    pub(super) readings: [String; 2],
    /// Both readings are one.
    pub(super) is_plain: bool,
    url: String,
}

impl Target {
    /// The host that it leads to; none as long as that is a variable's to say.
    pub fn host(&self) -> Option<&str> {
        match &self.origin {
            Origin::Known { host, .. } => Some(host),
            Origin::Variable(_) => None,
        }
    }

    /// Reads an address; `${NAME}/path` is one whose beginning is not known yet.
    pub fn parse(address: &str) -> Result<Target, TargetError> {
        if let Some((variable, path)) = variable(address) {
            let path = format!("/{}", cut(path).trim_start_matches('/'));
            let readings = [literal(&path), generous(&path)];
            let url = format!("${{{variable}}}{path}");
            return Ok(Target::new(Origin::Variable(variable.into()), readings, url));
        }
        let url = Url::parse(address).map_err(|_| TargetError::NotAnAddress)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let origin = origin(&url).ok_or(TargetError::NotAnAddress)?;
        let readings = [literal(url.path()), generous(url.path())];
        Ok(Target::new(origin, readings, url.into()))
    }

    fn new(origin: Origin, readings: [String; 2], url: String) -> Target {
        let is_plain = readings[0] == readings[1];
        Target { origin, readings, is_plain, url }
    }

    /// The address to send on: what was compared and nothing else.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// An address with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub(super) origin: Origin,
    /// The path in both readings, split at its wildcards.
    readings: [Path; 2],
    /// Both readings are one.
    is_plain: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    /// Text between wildcards: `/v1/charges/`, `/refund`.
    parts: Vec<String>,
    /// The last wildcard ends the pattern, and stands for whatever follows.
    open: bool,
}

/// Stands for a `*` while a path is normalised; no path that is compared holds it, since they are percent-encoded.
const STAR: char = '\u{f8ff}';

impl Pattern {
    /// Reads a pattern.
    pub fn parse(resource: &str) -> Result<Pattern, PatternError> {
        let fault = || PatternError::NotAnAddress(resource.chars().take(200).collect());
        if let Some((variable, path)) = variable(resource) {
            return Ok(Pattern::new(Origin::Variable(variable.into()), paths(path)));
        }
        let (scheme, rest) = resource.split_once("://").ok_or_else(fault)?;
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // `https://api.acme.io*` means the whole host, and never `api.acme.io.evil.io`.
        let (authority, path) = match (authority.strip_suffix('*'), path) {
            (Some(authority), "") => (authority, "/*"),
            _ => (authority, path),
        };
        if authority.contains('@') {
            return Err(PatternError::Credentials);
        }
        if authority.contains('*') {
            return Err(PatternError::WildcardHost(resource.chars().take(200).collect()));
        }
        let url = Url::parse(&format!("{scheme}://{authority}/")).map_err(|_| fault())?;
        Ok(Pattern::new(origin(&url).ok_or_else(fault)?, paths(path)))
    }

    fn new(origin: Origin, readings: [Path; 2]) -> Pattern {
        let is_plain = readings[0] == readings[1];
        Pattern { origin, readings, is_plain }
    }

    /// How each address that it covers begins, in one of its readings.
    pub(super) fn heads(&self) -> [&str; 2] {
        [0, 1].map(|reading| self.readings[reading].parts.first().map_or("", String::as_str))
    }

    /// Whether it covers an address: in both readings, and in any.
    pub fn covers(&self, target: &Target) -> Coverage {
        if self.origin != target.origin {
            return Coverage { both: false, any: false };
        }
        self.covers_path(target)
    }

    /// The same for an address of its own host.
    pub(super) fn covers_path(&self, target: &Target) -> Coverage {
        let covers = |i: usize| self.readings[i].covers(&target.readings[i]);
        let literal = covers(0);
        let generous = if self.is_plain && target.is_plain { literal } else { covers(1) };
        Coverage { both: literal && generous, any: literal || generous }
    }
}

/// How far a pattern covers an address that can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// However it is read: enough to allow.
    pub both: bool,
    /// In one of the readings: enough to refuse.
    pub any: bool,
}

impl Path {
    /// Of a path in one reading; a wildcard is open only where the pattern itself ends with it.
    fn new(path: &str, open: bool) -> Path {
        let fixed = if open { path.trim_end_matches(STAR) } else { path };
        Path { parts: fixed.split(STAR).map(str::to_owned).collect(), open }
    }

    /// Linear for what people write: each wildcard takes as little as it can within its segment, and only the last
    /// fixed part must reach the end.
    fn covers(&self, path: &str) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return false };
        let Some(left) = path.strip_prefix(first.as_str()) else { return false };
        within(left, rest, self.open)
    }
}

/// The parts after a wildcard that cannot cross a slash. Tries every place where the next part may begin; two wildcards
/// of one segment are tried against each other, and segments bound how far.
fn within(path: &str, parts: &[String], open: bool) -> bool {
    let Some((next, rest)) = parts.split_first() else { return open || path.is_empty() };
    let segment = path.find('/').unwrap_or(path.len());
    // Nothing begins between the mark of a byte that is no text and the byte.
    let is_place = |at: usize| path.is_char_boundary(at) && !path[..at].ends_with(BYTE);
    let begins = |at: &usize| is_place(*at) && path[*at..].starts_with(next.as_str());
    // A wildcard stands for at least one character.
    let mut places = (1..=segment).filter(begins);
    // Where the next part leaves the segment, it can only begin at one place.
    match next.contains('/') {
        true => places.any(|at| within(&path[at + next.len()..], rest, open)),
        false if rest.is_empty() && !open => places.any(|at| at + next.len() == path.len()),
        false => places.next().is_some_and(|at| within(&path[at + next.len()..], rest, open)),
    }
}

fn origin(url: &Url) -> Option<Origin> {
    let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then(|| Origin::Known { scheme: url.scheme().into(), host, port: url.port_or_known_default() })
}

/// `${CRM_URL}/accounts` in its two parts.
fn variable(address: &str) -> Option<(&str, &str)> {
    let (name, path) = address.strip_prefix("${")?.split_once('}')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let is_path = path.is_empty() || path.starts_with(['/', '?', '#']);
    (is_name && is_path).then_some((name, path))
}

fn cut(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or("")
}

/// A pattern's path in both readings.
fn paths(path: &str) -> [Path; 2] {
    let path = format!("/{}", cut(path).trim_start_matches(['/', '\\']));
    let starred: String = path.chars().map(|c| if c == '*' { STAR } else { c }).collect();
    let open = starred.ends_with(STAR);
    [literal(&starred), generous(&starred)].map(|reading| Path::new(&reading, open && reading.ends_with(STAR)))
}

/// A path as a strict server reads it: percent-encoding undone once, but for a slash, which stays part of its segment;
/// dots resolved.
fn literal(path: &str) -> String {
    let decoded = decode(&path.replace('\\', "/"), true);
    resolve(decoded.split('/').skip(1), false)
}

/// How often chains of proxies and servers undo percent-encoding.
const ROUNDS: usize = 4;

/// A path as a lenient server reads it: everything undone, again and again, spellings that only old decoders accept
/// included; backslashes, empty segments, a last slash and parameters of segments count for nothing, and what comes out as a
/// query or a fragment ends the path.
fn generous(path: &str) -> String {
    let mut path = path.to_owned();
    for _ in 0..ROUNDS {
        path = decode(&path, false);
    }
    let path = path.replace(['\\', '\u{ff0f}', '\u{ff3c}'], "/").replace('\u{ff0e}', ".");
    resolve(cut(&path).split('/').filter(|segment| !segment.is_empty()), true)
}

fn resolve<'p>(segments: impl Iterator<Item = &'p str>, lenient: bool) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut segments = segments.peekable();
    while let Some(segment) = segments.next() {
        let bare = if lenient { segment.split(';').next().unwrap_or(segment) } else { segment };
        let last = segments.peek().is_none();
        match bare {
            "." => {}
            ".." => drop(out.pop()),
            _ => {
                out.push(bare);
                continue;
            }
        }
        // What dots end with is a folder.
        if last && !lenient {
            out.push("");
        }
    }
    format!("/{}", out.join("/"))
}

/// Stands before a byte that is no text, so that two different paths are never one text.
const BYTE: char = '\u{f8fe}';

/// Undoes percent-encoding once. What is to be read strictly keeps an encoded slash or backslash as it is; else two bytes
/// that stand for one of ASCII, which no encoder writes and old decoders take, are that one.
fn decode(text: &str, is_strict: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                match (high * 16 + low) as u8 {
                    byte @ (b'/' | b'\\') if is_strict => out.extend(format!("%{byte:02X}").bytes()),
                    byte => out.push(byte),
                }
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    if !is_strict {
        shorten(&mut out);
    }
    let mut decoded = String::with_capacity(out.len());
    for chunk in out.utf8_chunks() {
        decoded.push_str(chunk.valid());
        for byte in chunk.invalid() {
            decoded.extend([BYTE, char::from(*byte)]);
        }
    }
    decoded
}

/// `C0 AE` is a dot, said with one byte too many.
fn shorten(bytes: &mut Vec<u8>) {
    let mut kept = 0;
    let mut at = 0;
    while at < bytes.len() {
        let (byte, read) = match (bytes[at], bytes.get(at + 1)) {
            (first @ (0xc0 | 0xc1), Some(second @ 0x80..=0xbf)) => ((first & 1) << 6 | (second & 0x3f), 2),
            (byte, _) => (byte, 1),
        };
        bytes[kept] = byte;
        kept += 1;
        at += read;
    }
    bytes.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, address: &str) -> bool {
        Pattern::parse(pattern).unwrap().covers(&Target::parse(address).unwrap()).both
    }

    #[test]
    fn a_pattern_is_exact_but_for_its_wildcards() {
        let host = "https://api.acme.io";
        for (pattern, path, expected) in [
            ("/v1/charges", "/v1/charges", true),
            ("/v1/charges", "/v1/charges?limit=3", true),
            ("/v1/charges", "/v1/charges/ch_1", false),
            ("/v1/charges", "/v1/Charges", false),
            ("/v1/charges*", "/v1/charges", true),
            ("/v1/charges*", "/v1/charges/ch_1/refund", true),
            ("/v1/charges/*", "/v1/charges", false),
            ("/v1/charges/*", "/v1/charges/ch_1", true),
            ("/v1/charges/*/refund", "/v1/charges/ch_1/refund", true),
            // A byte that is no text is one, for wildcards too.
            ("/****ban", "/..%c4ban", false),
            ("/***ban", "/..%c4ban", true),
            ("/*%C3%84", "/%c4", false),
            ("/v1/charges/*/refund", "/v1/charges/a/b/refund", false),
            ("/v1/charges/*/refund", "/v1/charges//refund", false),
            ("/v1/charges/*/refund", "/v1/charges/ch_1/refund/x", false),
            ("/f/report-*.json", "/f/report-1.json", true),
            ("/f/report-*.json", "/f/report-1.json.exe", false),
            ("/f/report-*.json", "/f/report-a/b.json", false),
            ("/f/*-*-x", "/f/a-b-c-x", true),
            ("/*/b*", "/a/bc", true),
            ("", "/", true),
            ("*", "/anything/at/all", true),
            ("/", "/x", false),
        ] {
            assert_eq!(covers(&format!("{host}{pattern}"), &format!("{host}{path}")), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn scheme_host_and_port_are_exact() {
        let pattern = "https://api.acme.io/*";
        assert!(covers(pattern, "https://API.acme.io.:443/x"));
        for other in [
            "http://api.acme.io/x",
            "https://acme.io/x",
            "https://api.acme.io.evil.io/x",
            "https://api.acme.io:8443/x",
            "wss://api.acme.io/x",
        ] {
            assert!(!covers(pattern, other), "{other}");
            assert!(!covers("https://api.acme.io*", other), "{other}");
        }
        assert!(Target::parse("https://api.acme.io@evil.io/").is_err());
        assert!(Pattern::parse("https://*.acme.io/").is_err());
        assert!(Pattern::parse("api.acme.io/v1").is_err());
    }

    #[test]
    fn a_path_that_servers_read_differently_is_covered_only_in_both_readings() {
        let allowed = "https://a.io/v1/public/*";
        for sneaky in [
            "/v1/public/../admin",
            "/v1/public/%2e%2e/admin",
            "/v1/public/..%2fadmin",
            "/v1/public/..%5cadmin",
            "/v1/public/%252e%252e%252fadmin",
            "/v1/public/..;x=1/admin",
            "/v1/public\\..\\admin",
            "/v1//public/x",
            "/v1/public/%ff/..%2f..%2fadmin",
            "/v1/public/%c0%ae%c0%ae/admin",
            "/v1/public/..%c0%af..%c0%afadmin",
            "/v1/public/%ef%bc%8e%ef%bc%8e/admin",
            "/v1/public/..%ef%bc%8fadmin",
            "/v1/public/%25c0%25ae%25c0%25ae/admin",
            "/v1/%3f/public/x",
        ] {
            assert!(!covers(allowed, &format!("https://a.io{sneaky}")), "{sneaky}");
        }
        // A wildcard before a last slash stands for one segment, also where the slash counts for nothing.
        assert!(covers("https://a.io/v1/*/", "https://a.io/v1/x/"));
        assert!(!covers("https://a.io/v1/*/", "https://a.io/v1/x%2Fadmin/"));
        let refused = Pattern::parse("https://a.io/v1/admin").unwrap();
        for sneaky in ["/v1/admin;x=1", "/v1/admin%3Fx", "/v1/%61dmin", "/v1/x/../admin", "/v1/admin/", "//v1/admin"] {
            assert!(refused.covers(&Target::parse(&format!("https://a.io{sneaky}")).unwrap()).any, "{sneaky}");
        }
        let refused = Pattern::parse("https://a.io/v1/charges/*/refund").unwrap();
        let coverage = refused.covers(&Target::parse("https://a.io/v1/charges/ch_1%2Frefund").unwrap());
        assert_eq!(coverage, Coverage { both: false, any: true });
        let coverage = refused.covers(&Target::parse("https://a.io/v1/charges/ch_1/refund/").unwrap());
        assert_eq!(coverage, Coverage { both: false, any: true });
    }

    #[test]
    fn encoded_and_plain_are_one_path() {
        assert!(covers("https://a.io/v1/a b", "https://a.io/v1/a%20b"));
        assert!(covers("https://a.io/v1/a%20b", "https://a.io/v1/a b"));
        assert!(covers("https://a.io/caf%C3%A9/*", "https://a.io/café/x"));
        assert!(!covers("https://a.io/%ff", "https://a.io/%fe"));
        // A star that is meant is encoded.
        assert!(covers("https://a.io/v1/%2A", "https://a.io/v1/*"));
        assert!(!covers("https://a.io/v1/%2A", "https://a.io/v1/x"));
    }

    #[test]
    fn an_unknown_beginning_covers_only_itself() {
        assert!(covers("${CRM_URL}/accounts/*", "${CRM_URL}/accounts/7"));
        assert!(!covers("${CRM_URL}/accounts/*", "${ERP_URL}/accounts/7"));
        assert!(!covers("${CRM_URL}/*", "https://crm.acme.io/accounts"));
    }

    #[test]
    fn what_was_compared_is_what_is_sent() {
        let target = Target::parse("https://A.io/v1/x/../y?q=1").unwrap();
        assert_eq!(target.url(), "https://a.io/v1/y?q=1");
    }
}
