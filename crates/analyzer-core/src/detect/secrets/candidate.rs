//! From something shaped or named like a secret to a finding, or to nothing.

use std::ops::Range;

use super::checksum::{self, Proof};
use super::exposure::Exposures;
use super::formats::{Formats, When};
use super::meaning::{By, Meaning};
use super::names::{self, Kind};
use super::scan::{Hit, What, decoded_login};
use super::value::Value;
use super::{fold, judge, scan};
use crate::analysis::{Confidence, Severity};

/// A finding before it is merged with others.
#[derive(Clone)]
pub struct Candidate {
    /// In the file's text.
    pub span: Range<usize>,
    pub value: Value,
    pub kind: String,
    /// What it is called in a sentence.
    pub label: Option<String>,
    pub issuer: Option<usize>,
    pub format: Option<usize>,
    pub name: Option<String>,
    /// External hosts that it goes to.
    pub hosts: Vec<String>,
    pub severity: Severity,
    pub confidence: Confidence,
    pub reasons: Vec<&'static str>,
    /// How specific it is: of two at one place the higher stays.
    pub rank: u32,
    /// Bytes of the value that its format makes public.
    pub public: usize,
    /// Where others read it.
    pub exposed: Exposures,
    /// Little enough is unknown of it that it could be guessed.
    pub guessable: bool,
}

/// What is known of a place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    pub name: Option<&'a str>,
    pub kind: Option<Kind>,
    pub meaning: Option<Meaning>,
    /// Position among a call's arguments.
    pub position: Option<usize>,
    pub fallback: bool,
    /// In a comment or a docstring.
    pub remark: bool,
    /// Even so it is written as an assignment is.
    pub assigned: bool,
    /// External hosts that its use names.
    pub hosts: &'a [String],
    /// Where others read it.
    pub exposed: Exposures,
}

impl Around<'_> {
    fn issuer(&self) -> Option<usize> {
        self.meaning.map(|meaning| meaning.issuer)
    }
}

impl Candidate {
    fn goes_to(&mut self, host: &str) {
        let known = scan::is_local(host) || judge::template(host) || self.hosts.iter().any(|known| known == host);
        if !known {
            self.hosts.push(host.to_owned());
        }
    }
}

fn candidate(span: Range<usize>, value: &str, kind: &str, rank: u32, around: &Around) -> Candidate {
    let mut reasons = Vec::new();
    reasons.extend(around.fallback.then_some("fallback"));
    reasons.extend(around.remark.then_some("comment"));
    Candidate {
        span,
        value: Value::new(value),
        kind: kind.into(),
        label: None,
        issuer: None,
        format: None,
        name: around.name.map(str::to_owned),
        hosts: around.hosts.to_vec(),
        severity: Severity::High,
        confidence: Confidence::High,
        reasons,
        rank,
        public: 0,
        exposed: around.exposed,
        guessable: false,
    }
}

/// Judges what the pass found at a place.
pub fn of_hit(text: &str, hit: &Hit, around: &Around, formats: &Formats) -> Option<Candidate> {
    let value = &text[hit.span.clone()];
    let span = hit.span.clone();
    if formats.is_published(value) {
        return None;
    }
    match &hit.what {
        What::Format(format) => {
            // `owner/hf_…` without a digit is a name in a path.
            let digit = value.bytes().any(|b| b.is_ascii_digit());
            let in_path = !digit && hit.span.start > 0 && text.as_bytes()[hit.span.start - 1] == b'/';
            let shared = formats.key(*format).when == When::Shared;
            if in_path || shared && around.remark && documented(text, hit.span.start) {
                return None;
            }
            of_format(span, value, *format, around, formats)
        }
        What::Jwt => of_jwt(span, value, around, formats),
        What::Pem => {
            let mut found = candidate(span, value, "private_key", 900, around);
            found.reasons.push("format");
            let near = scan::floor(text, hit.span.start.saturating_sub(1500))..scan::floor(text, hit.span.end + 1500);
            let google = text[near].contains("service_account");
            found.issuer = google.then(|| formats.issuer_named("google-cloud")).flatten().or(around.issuer());
            Some(found)
        }
        What::Login { scheme, host } => {
            let (scheme, host) = (text[scheme.clone()].to_ascii_lowercase(), text[host.clone()].to_ascii_lowercase());
            let web = matches!(scheme.as_str(), "http" | "https" | "ftp" | "ws" | "wss" | "git" | "ssh");
            let kind = if web { "password" } else { "connection_string" };
            let mut found = candidate(span, value, kind, if web { 400 } else { 800 }, around);
            found.reasons.push("dsn");
            found.issuer =
                formats.issuer_of_host(&host).or_else(|| formats.issuer_of_scheme(&scheme)).or(around.issuer());
            found.public = scheme.len() + 3;
            found.goes_to(&host);
            if scan::is_local(&host) {
                (found.severity, found.confidence) = (Severity::Low, Confidence::Medium);
            }
            Some(found)
        }
        What::Query { name, host } => {
            let (name, host) = (&text[name.clone()], text[host.clone()].to_ascii_lowercase());
            let issuer = formats.issuer_of_host(&host);
            let kind = match name {
                "appid" | "app_key" | "sig" | "code" if issuer.is_some() => Kind::ApiKey,
                "key" => Kind::ApiKey,
                name => names::classify(&names::words(name))?,
            };
            let password = kind == Kind::Password && judge::chosen(value);
            if !password && !judge::machine_made(value) {
                return None;
            }
            let mut found = candidate(span, value, kind.as_type(), 350, around);
            found.reasons.push("query");
            found.name.get_or_insert_with(|| name.to_owned());
            found.issuer = issuer.or(around.issuer());
            found.goes_to(&host);
            (found.severity, found.confidence) = (Severity::High, Confidence::Medium);
            typed_by_issuer(&mut found, formats);
            Some(found)
        }
        What::Path { host } => {
            let mut found = candidate(span, value, "api_key", 400, around);
            found.reasons.push("path");
            found.issuer = formats.issuer_in_path(&text[host.clone()]);
            found.goes_to(&text[host.clone()]);
            typed_by_issuer(&mut found, formats);
            Some(found)
        }
        What::Bearer => {
            let mut found = candidate(span, value, "oauth_token", 250, around);
            found.reasons.push("header");
            found.issuer = around.issuer();
            found.confidence = if found.issuer.is_some() { Confidence::High } else { Confidence::Medium };
            typed_by_issuer(&mut found, formats);
            Some(found)
        }
        What::Password => {
            let mut found = candidate(span, value, "password", 240, around);
            found.reasons.push("flag");
            (found.guessable, found.confidence) = (!judge::machine_made(value), Confidence::Medium);
            Some(found)
        }
        What::Basic | What::Flag => {
            let login = if hit.what == What::Basic { decoded_login(value)? } else { value.to_owned() };
            let (user, password) = login.split_once(':')?;
            let kind = if password.is_empty() { "api_key" } else { "password" };
            let mut found = candidate(span, value, kind, 240, around);
            found.reasons.push(if hit.what == What::Basic { "header" } else { "flag" });
            found.issuer = around.issuer();
            found.guessable = !judge::machine_made(if password.is_empty() { user } else { password });
            found.confidence = Confidence::Medium;
            Some(found)
        }
    }
}

/// What a remark shows as an example, or sends to this machine.
fn documented(text: &str, at: usize) -> bool {
    let start = scan::floor(text, at.saturating_sub(160));
    let line = text[start..at].rsplit('\n').next().unwrap_or("").to_ascii_lowercase();
    let said = ["example", "e.g.", "for instance", "such as"].iter().any(|word| line.contains(word));
    let hosts = super::plain::nearby_hosts_of(text, at, |_| true);
    said || hosts.first().is_some_and(|host| scan::is_local(host) || host == "0.0.0.0")
}

/// A token that stands where the issuer takes credentials has the type of the issuer's credentials.
fn typed_by_issuer(found: &mut Candidate, formats: &Formats) {
    let Some(issuer) = found.issuer else { return };
    let fits = |format: &&usize| formats.formats[**format].shape.is(found.value.expose());
    if let Some(&format) = formats.of_issuer(issuer).iter().find(fits) {
        found.kind = formats.key(format).kind.clone();
        found.format = Some(format);
        found.reasons.push("format");
    }
}

fn of_format(span: Range<usize>, value: &str, format: usize, around: &Around, formats: &Formats) -> Option<Candidate> {
    let (entry, key) = (&formats.formats[format], formats.key(format));
    let public = entry.shape.public_prefix(value.as_bytes());
    let body = value.get(public..)?;
    let shown = ["EXAMPLE", "EXAMPLEKEY"].iter().any(|end| value.ends_with(end));
    // Chance makes a body that reads like a language now and then, but hardly one without digits.
    let reads = || body.bytes().filter(u8::is_ascii_digit).count() < 2 && judge::language(body);
    let unlikely = judge::invented(body) || judge::entropy(body) < key.entropy || reads() || judge::template(body);
    if shown || unlikely || worded(body) {
        return None;
    }
    // `sk-ecdsa-sha2-nistp256`: words, not a run of chance.
    let run = body.split(['-', '_']).map(str::len).max().unwrap_or(0);
    if key.when == When::Shared && run < 12 {
        return None;
    }
    if key.when == When::Shared && (body.bytes().filter(u8::is_ascii_digit).count() < 2 || judge::placeholder(body)) {
        return None;
    }
    // Two issuers chose one shape: the use decides.
    if around.meaning.is_some_and(|m| m.issuer != entry.issuer && m.by <= By::Name)
        && let Some(other) = of_issuer(span.clone(), value, &Around { kind: Some(Kind::ApiKey), ..*around }, formats)
        && formats.formats[other.format?].telling >= 6
    {
        return Some(Candidate { rank: 1000, ..other });
    }
    let mut found = candidate(span, value, &key.kind, 1000 + entry.telling as u32, around);
    found.reasons.insert(0, "format");
    (found.label, found.format, found.public) = (key.label.clone(), Some(format), public);
    found.severity = key.severity;
    match key.checksum.map(|kind| (kind, checksum::check(kind, value))) {
        None => {}
        Some((_, Proof::Valid)) => found.reasons.push("checksum"),
        Some((_, Proof::Structure)) => found.reasons.push("structure"),
        Some((checksum::Checksum::Crc32Base62 | checksum::Checksum::GitlabRoutable, Proof::Invalid)) => {
            found.reasons.push("checksum-mismatch");
            (found.severity, found.confidence) = (Severity::Medium, Confidence::Low);
        }
        Some((_, Proof::Invalid)) => return None,
    }
    if key.test.iter().any(|test| value.starts_with(test.as_str())) {
        found.reasons.push("test-mode");
        found.severity = Severity::Low;
    }
    found.issuer = Some(entry.issuer);
    if key.when == When::Shared {
        found.rank = 900;
        found.issuer = around.issuer();
        found.reasons.extend(around.meaning.map(|meaning| meaning.by.reason()));
        found.confidence = if found.issuer.is_some() { Confidence::High } else { Confidence::Medium };
    }
    Some(found)
}

/// `your-key-goes-here`: most parts are words.
fn worded(body: &str) -> bool {
    let parts: Vec<&str> = body.split(['-', '_', '.']).filter(|part| part.len() >= 3).collect();
    let words = parts.iter().filter(|part| part.bytes().all(|b| b.is_ascii_alphabetic()) && judge::language(part));
    parts.len() >= 3 && words.count() * 2 > parts.len()
}

fn of_jwt(span: Range<usize>, value: &str, around: &Around, formats: &Formats) -> Option<Candidate> {
    let (header, payload) = checksum::jwt(value)?;
    // Without a claim it says nothing about anybody: `{}`, `{"a": 1}`.
    if !payload.as_object().is_some_and(|claims| claims.keys().any(|claim| claim.len() >= 3)) {
        return None;
    }
    let says = |field: &str| payload.get(field).and_then(serde_json::Value::as_str).unwrap_or("");
    if says("role") == "anon" || says("sub") == "1234567890" || says("name") == "John Doe" {
        return None; // Supabase's public key; the token that every tutorial shows.
    }
    let mut found = candidate(span, value, "jwt", 700, around);
    found.reasons.extend(["format", "structure"]);
    found.issuer = around.issuer();
    if says("role") == "service_role" || says("iss") == "supabase" {
        found.issuer = formats.issuer_named("supabase");
    }
    (found.severity, found.confidence) = (Severity::High, Confidence::Medium);
    if found.issuer.is_some() {
        found.confidence = Confidence::High;
    }
    if header.get("alg").and_then(serde_json::Value::as_str) == Some("none") {
        (found.severity, found.confidence) = (Severity::Low, Confidence::Low);
    }
    Some(found)
}

/// Judges a value by the name it is given and the use it is put to.
pub fn of_name(span: Range<usize>, value: &str, around: &Around, formats: &Formats) -> Option<Candidate> {
    if !(4..=4096).contains(&value.len()) || judge::placeholder(value) || formats.is_public_id(value) {
        return None;
    }
    if formats.is_published(value) || value.contains("EXAMPLE") || around.name == Some(value) {
        return None;
    }
    // What is put away for comparison opens nothing; a signed token was judged by what it says.
    if judge::hashed(value) || checksum::jwt(value).is_some() {
        return None;
    }
    // `eW91ci1hcGkta2V5LWhlcmU=` is `your-api-key-here`.
    if value.len() >= 24 && fold::decoded(value).is_some_and(|hidden| judge::placeholder(hidden.trim())) {
        return None;
    }
    if let Some(found) = of_issuer(span.clone(), value, around, formats) {
        return Some(found);
    }
    let machine = judge::machine_made(value);
    // What a client takes its credential as is one, of whatever shape.
    let placed =
        around.meaning.is_some_and(|meaning| meaning.position.is_some() && meaning.position == around.position);
    let kind = around.kind.or((placed && machine).then_some(Kind::ApiKey))?;
    let means_use = around.meaning.is_some_and(|meaning| meaning.by <= By::Name);
    let words = || names::words(around.name.unwrap_or(""));
    // A sentence has words behind `password:`; an assignment in one has not.
    let typed = || judge::typed(value) && (!around.remark || around.assigned);
    let accepted = match kind {
        Kind::Password => machine || judge::chosen(value) || judge::scrambled(value) || typed(),
        Kind::ApiKey | Kind::Token | Kind::ClientSecret => {
            let secret = || words().iter().any(|word| matches!(word.as_str(), "secret" | "secrets"));
            machine
                || judge::scrambled(value)
                || judge::chosen(value) && (strong_choice(value) || secret() && judge::made_up(value))
                || value.len() >= if secret() { 8 } else { 14 } && typed()
        }
        Kind::PrivateKey => machine && value.len() >= 32,
        Kind::Webhook => {
            value.starts_with("https://") && value.rsplit(['/', '=']).next().is_some_and(judge::machine_made)
        }
        Kind::Connection => false, // An address with a password is found by its shape.
        Kind::Weak => machine && (means_use || words().iter().any(|w| w.starts_with("auth") || w.starts_with("cred"))),
    };
    // A UUID is an identifier unless its name insists.
    let identifier = judge::alphabet(value) == judge::Alphabet::Uuid
        && !matches!(kind, Kind::ApiKey | Kind::ClientSecret)
        && !means_use;
    if !accepted || identifier {
        return None;
    }
    let mut found = candidate(span, value, kind.as_type(), if means_use { 310 } else { 300 }, around);
    found.reasons.push("name");
    found.reasons.extend((judge::entropy(value) >= judge::DOCUMENTED_ENTROPY).then_some("entropy"));
    // What is only near says nothing of a value that has none of its issuer's shapes; a header has no name of its own,
    // and the address beside it is where it goes.
    let header = || words().iter().all(|w| HEADER.contains(&w.as_str()));
    let meaning = around.meaning.filter(|m| m.by <= By::Name || m.by == By::Beside && header());
    found.issuer = meaning.map(|meaning| meaning.issuer);
    found.reasons.extend(meaning.map(|m| m.by.reason()).filter(|reason| *reason != "name"));
    found.guessable = !machine;
    found.severity = if around.remark { Severity::Medium } else { Severity::High };
    found.confidence = match (machine, around.remark) {
        (true, false) if means_use => Confidence::High,
        (_, true) => Confidence::Low,
        (false, false) if !judge::chosen(value) => Confidence::Low,
        _ => Confidence::Medium,
    };
    Some(found)
}

/// Words of headers that carry anybody's credential.
const HEADER: &[&str] = &["x", "api", "key", "authorization", "auth", "token", "bearer", "access", "apikey", "oauth2"];

fn strong_choice(value: &str) -> bool {
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    let symbol = value.bytes().any(|b| !b.is_ascii_alphanumeric());
    value.len() >= 12 && has(u8::is_ascii_digit) && symbol && !judge::language(value) && !judge::wordy(value)
}

/// A format that only a use or a name makes one: 40 hexadecimal digits for Deepgram.
fn of_issuer(span: Range<usize>, value: &str, around: &Around, formats: &Formats) -> Option<Candidate> {
    let meaning = around.meaning?;
    // A client or an address that takes credentials of this very shape says what is handed to it without a word.
    let handed = meaning.by <= By::Client && around.position.is_some() && judge::machine_made(value);
    let placed = meaning.position.is_some() && meaning.position == around.position;
    let told = meaning.by == By::Name && judge::telling(value);
    let given = around.kind.is_some() || placed || told || handed && meaning.position.is_none();
    if !given || judge::invented(value) || judge::language(value) || around.kind == Some(Kind::Connection) {
        return None;
    }
    let words = names::words(around.name.unwrap_or(""));
    let format = formats.of_issuer(meaning.issuer).iter().copied().find(|&format| {
        let key = formats.key(format);
        let named = key.words.is_empty() || key.words.iter().any(|word| words.contains(word));
        named
            && key.when == When::Meant
            && formats.formats[format].shape.is(value)
            && judge::entropy(value) >= key.entropy
    })?;
    if meaning.by >= By::Beside && matches!(around.kind, Some(Kind::Weak | Kind::Password) | None) {
        return None;
    }
    let key = formats.key(format);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let meant = around.kind.is_some_and(|kind| kind != Kind::Weak) && meaning.by <= By::Name;
    if digits < 2 - usize::from(meant) && value.len() < 40 && judge::alphabet(value) != judge::Alphabet::Base64 {
        return None;
    }
    let mut found = candidate(span, value, &key.kind, 600, around);
    found.reasons.insert(0, meaning.by.reason());
    found.reasons.push("format");
    (found.label, found.issuer, found.format) = (key.label.clone(), Some(meaning.issuer), Some(format));
    found.severity = key.severity;
    found.confidence = if meaning.by >= By::Beside || around.remark { Confidence::Medium } else { Confidence::High };
    Some(found)
}

/// Judges what a base64 or hexadecimal value hides.
pub fn of_encoded(span: Range<usize>, value: &str, around: &Around, formats: &Formats) -> Option<Candidate> {
    let plain = fold::decoded(value)?;
    let inner = scan::scan(&plain, formats);
    let found = inner.hits.iter().filter_map(|hit| of_hit(&plain, hit, around, formats));
    let told = found.filter(|found| found.rank >= 400).max_by_key(|found| found.rank);
    // What it hides may be a credential by its name alone.
    let mut found = told.or_else(|| of_name(span.clone(), plain.trim(), around, formats))?;
    found.reasons.push("encoded");
    found.span = span;
    found.value = Value::new(value);
    found.public = 0;
    Some(found)
}
