//! The issuers of credentials, read from `knowledge/secrets/` and compiled once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use super::checksum::Checksum;
use super::names;
use super::shape::{Anchor, Flat, Shape};
use crate::analysis::Severity;

/// One file: who issues credentials, what they look like, what they open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Equal to the file's name without `.toml`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Public page that the facts come from.
    #[cfg_attr(not(test), expect(dead_code, reason = "for people, and for the tests of the entries"))]
    pub source: String,
    /// Provider or service that its credentials open; `id` when absent.
    pub opens: Option<String>,
    /// Page where a credential is revoked.
    pub revoke: Option<String>,
    /// Environment variables that carry its credential, the usual one first.
    #[serde(default)]
    pub env: Vec<String>,
    /// Words in the names of variables that mean this issuer: `groq`, `hugging_face`.
    #[serde(default)]
    pub words: Vec<String>,
    /// Schemes of its connection strings: `postgres`, `mongodb+srv`.
    #[serde(default)]
    pub schemes: Vec<String>,
    /// Hosts that its credentials are sent to; `*.` in front for any subdomain.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Of those whose addresses hold the credential in their path.
    #[serde(default)]
    pub in_path: Vec<String>,
    /// Classes and functions that take its credential: `Groq` alone when the name tells, `twilio.rest.Client` when
    /// the module must be imported too, `#1` behind for a credential at that position.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Its clients take the credential of whoever the model's name begins with: `model="groq/…"`.
    #[serde(default)]
    pub routes: bool,
    /// What the public says of addresses with its schemes, by the names in [`CHECKED_WITH`].
    #[serde(default)]
    pub checked: Vec<String>,
    /// Formats.
    #[serde(default)]
    pub key: Vec<Key>,
    /// Shapes of identifiers that are public by design.
    #[serde(default)]
    pub public: Vec<String>,
    /// SHA-256 of values that its documentation shows as examples.
    #[serde(default)]
    pub published: Vec<String>,
    /// Text by file extension in which exactly one secret of this issuer is found once `{key}`, `{key1}`, … is
    /// replaced by a token made from the first, second, … shape.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for people, and for the tests of the entries"))]
    pub finds: BTreeMap<String, Vec<String>>,
    /// Text by file extension in which nothing is found.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for people, and for the tests of the entries"))]
    pub passes: BTreeMap<String, Vec<String>>,
}

/// One format of credential.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// `api_key`, `oauth_token`, `private_key`, `password`, `connection_string`, `jwt`, `webhook_url`, `client_secret`.
    #[serde(rename = "type", default = "api_key")]
    pub kind: String,
    /// What people call it, for the description; "API key" when absent.
    pub label: Option<String>,
    /// See [`super::shape`].
    pub shape: String,
    /// What of the public it was compared with, by the names in [`CHECKED_WITH`].
    #[serde(default)]
    pub checked: Vec<String>,
    /// When it is reported.
    #[serde(default)]
    pub when: When,
    /// High when absent.
    #[serde(default = "high")]
    pub severity: Severity,
    /// How it can be checked.
    pub checksum: Option<Checksum>,
    /// Fewest bits of entropy per character.
    #[serde(default = "low_entropy")]
    pub entropy: f32,
    /// Beginnings of test-mode keys, whose severity is low.
    #[serde(default)]
    pub test: Vec<String>,
    /// Words that the name must hold, when the issuer has several credentials of one shape.
    #[serde(default)]
    pub words: Vec<String>,
    /// Environment variable, when it is not the issuer's first.
    pub env: Option<String>,
}

/// What shapes are compared with: the issuer's documentation, rules of scanners, and tokens that their users published.
pub const CHECKED_WITH: &[&str] =
    &["docs", "gitleaks", "betterleaks", "kingfisher", "titus", "noseyparker", "trufflehog", "credsweeper", "usage"];

/// What a format needs beside its shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Nothing: the shape says it all.
    #[default]
    Shape,
    /// A credential wherever it stands, but other issuers use the shape too: the use decides whose it is.
    Shared,
    /// The use or the name must mean the issuer.
    Meant,
}

fn api_key() -> String {
    "api_key".into()
}

fn high() -> Severity {
    Severity::High
}

fn low_entropy() -> f32 {
    2.5
}

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct FormatError {
    /// Path of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A format, compiled.
#[derive(Debug)]
pub struct Format {
    pub issuer: usize,
    pub key: usize,
    pub shape: Shape,
    /// Fixed characters of its shape: the more, the surer.
    pub telling: usize,
}

/// What an occurrence of a literal asks for.
#[derive(Debug, Clone)]
pub enum Cue {
    /// Try this alternative of this format around the anchor.
    Format { format: usize, flat: usize, anchor: Anchor },
    /// A public identifier may stand here.
    Public { shape: usize, flat: usize, anchor: Anchor },
    /// Structures that have a reader of their own.
    Scheme,
    /// `Bearer`, `Basic`, `Token` before a credential.
    Presented,
    /// `curl -u name:password`.
    Login,
    /// The flag of a command that takes a password.
    Password,
    /// Base64 of `{"`.
    Jwt,
    /// `-----BEGIN`.
    Pem,
    /// A word that names of secrets have.
    Name,
}

/// All formats, and the one automaton that finds their beginnings.
#[derive(Debug)]
pub struct Formats {
    pub(super) issuers: Vec<Issuer>,
    pub(super) formats: Vec<Format>,
    pub(super) public: Vec<Shape>,
    pub(super) cues: Vec<Vec<Cue>>,
    pub(super) automaton: AhoCorasick,
    by_env: FxHashMap<String, usize>,
    by_word: FxHashMap<String, usize>,
    by_host: FxHashMap<String, usize>,
    by_path: FxHashMap<String, usize>,
    by_scheme: FxHashMap<String, usize>,
    by_client: FxHashMap<String, Vec<Client>>,
    of_issuer: Vec<Vec<usize>>,
    published: FxHashSet<String>,
}

/// A class or function that takes a credential.
#[derive(Debug, Clone)]
struct Client {
    module: Option<String>,
    position: Option<usize>,
    issuer: usize,
}

/// Embedded files of this folder.
const FOLDER: &str = "knowledge/secrets/";

impl Formats {
    /// The embedded formats, compiled once.
    pub fn builtin() -> &'static Formats {
        static BUILTIN: LazyLock<Formats> = LazyLock::new(|| Formats::new(issuers()));
        &BUILTIN
    }

    /// Formats from files.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Formats, FormatError> {
        let issuers = files.into_iter().map(|(path, text)| parse(path, text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Formats::new(issuers))
    }

    fn new(issuers: Vec<Issuer>) -> Formats {
        let mut cues: BTreeMap<Vec<u8>, Vec<Cue>> = BTreeMap::new();
        let (mut formats, mut public) = (Vec::new(), Vec::new());
        let mut of_issuer = vec![Vec::new(); issuers.len()];
        let [mut by_env, mut by_word, mut by_host] = [FxHashMap::default(), FxHashMap::default(), FxHashMap::default()];
        let [mut by_scheme, mut by_path] = [FxHashMap::default(), FxHashMap::default()];
        let mut by_client: FxHashMap<String, Vec<Client>> = FxHashMap::default();
        let mut published = FxHashSet::default();
        for (issuer, entry) in issuers.iter().enumerate() {
            for (key, format) in entry.key.iter().enumerate() {
                let shape = Shape::parse(&format.shape).expect("checked by `parse`");
                let index = formats.len();
                of_issuer[issuer].push(index);
                for (flat, anchor) in anchors(&shape).filter(|_| format.when != When::Meant) {
                    cues.entry(anchor.literal.clone()).or_default().push(Cue::Format { format: index, flat, anchor });
                }
                let telling = shape.flats.iter().map(Flat::literal_len).min().unwrap_or(0);
                formats.push(Format { issuer, key, shape, telling });
            }
            for text in &entry.public {
                let shape = Shape::parse(text).expect("checked by `parse`");
                for (flat, anchor) in anchors(&shape) {
                    let cue = Cue::Public { shape: public.len(), flat, anchor: anchor.clone() };
                    cues.entry(anchor.literal).or_default().push(cue);
                }
                public.push(shape);
            }
            entry.env.iter().chain(entry.key.iter().filter_map(|k| k.env.as_ref())).for_each(|env| {
                by_env.entry(env.clone()).or_insert(issuer);
            });
            entry.words.iter().for_each(|word| {
                by_word.entry(word.clone()).or_insert(issuer);
            });
            entry.hosts.iter().for_each(|host| {
                by_host.entry(host.clone()).or_insert(issuer);
            });
            by_path.extend(entry.in_path.iter().map(|host| (host.clone(), issuer)));
            by_scheme.extend(entry.schemes.iter().map(|scheme| (scheme.clone(), issuer)));
            for client in &entry.clients {
                let (path, position) = match client.split_once('#') {
                    Some((path, position)) => (path, position.parse().ok()),
                    None => (client.as_str(), None),
                };
                let (module, name) = match path.rsplit_once('.') {
                    Some((module, name)) => (Some(module.to_owned()), name),
                    None => (None, path),
                };
                by_client.entry(name.to_owned()).or_default().push(Client { module, position, issuer });
            }
            published.extend(entry.published.iter().cloned());
        }
        let mut cue = |literal: &str, cue: Cue| cues.entry(literal.as_bytes().to_vec()).or_default().push(cue);
        cue("://", Cue::Scheme);
        cue("eyJ", Cue::Jwt);
        cue("-----BEGIN", Cue::Pem);
        cue(" -u ", Cue::Login);
        cue("--user ", Cue::Login);
        cue(" -p ", Cue::Password);
        cue(" -a ", Cue::Password);
        cue("-SecureString ", Cue::Password);
        for word in ["Bearer ", "bearer ", "Basic ", "basic ", "Token "] {
            cue(word, Cue::Presented);
        }
        // A documented variable is a name even when no word of it says so: `WOLFRAM_ALPHA_APPID`.
        let envs = issuers.iter().flat_map(|issuer| &issuer.env);
        for env in envs.filter(|env| !names::CUES.iter().any(|cue| env.contains(&cue.to_ascii_uppercase()))) {
            cue(env, Cue::Name);
        }
        cue("Pass", Cue::Name); // `smtpPass`
        cue("]assword", Cue::Name); // `[Pp]assword:`
        for word in names::CUES {
            let (head, tail) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            let mut spellings = vec![word.to_string(), word.to_ascii_uppercase(), head.to_ascii_uppercase() + tail];
            spellings.dedup();
            spellings.iter().for_each(|spelling| cue(spelling, Cue::Name));
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA)) // The smaller kinds are half as fast.
            .match_kind(MatchKind::Standard)
            .build(cues.keys())
            .expect("a few hundred short literals");
        let cues = cues.into_values().collect();
        Formats {
            issuers,
            formats,
            public,
            cues,
            automaton,
            by_env,
            by_word,
            by_host,
            by_path,
            by_scheme,
            by_client,
            of_issuer,
            published,
        }
    }

    pub(super) fn key(&self, format: usize) -> &Key {
        let format = &self.formats[format];
        &self.issuers[format.issuer].key[format.key]
    }

    /// Formats of an issuer, in the order of its file.
    pub(super) fn of_issuer(&self, issuer: usize) -> &[usize] {
        &self.of_issuer[issuer]
    }

    pub(super) fn issuer_named(&self, id: &str) -> Option<usize> {
        self.issuers.iter().position(|issuer| issuer.id == id)
    }

    /// The issuer whose credentials open this provider or service.
    pub(super) fn issuer_opening(&self, id: &str) -> Option<usize> {
        self.issuers.iter().position(|issuer| issuer.opens.as_deref().unwrap_or(&issuer.id) == id)
    }

    /// A variable of this name carries a credential, not an address or a model.
    pub(super) fn carries_secret(&self, name: &str) -> bool {
        self.by_env.contains_key(name) || names::classify(&names::words(name)).is_some()
    }

    /// What a name says of its value; a documented variable carries a credential whatever its words say.
    pub(super) fn kind_of(&self, name: &str) -> Option<names::Kind> {
        names::classify(&names::words(name)).or_else(|| self.issuer_of_env(name).map(|_| names::Kind::Weak))
    }

    /// The issuer whose documented variable this is, in any spelling: `wandbApiKey`, `WANDB_API_KEY`.
    pub(super) fn issuer_of_env(&self, name: &str) -> Option<usize> {
        let known = self.by_env.get(name).copied();
        known.or_else(|| self.by_env.get(&names::words(name).join("_").to_ascii_uppercase()).copied())
    }

    /// The issuer that the words of a name mean; of several the longest word wins, then the last.
    pub(super) fn issuer_of_words(&self, words: &[String]) -> Option<usize> {
        for length in (1..=3).rev() {
            for group in words.windows(length).rev() {
                let known = self.by_word.get(&group.join("_")).or_else(|| self.by_word.get(&group.concat()));
                if let Some(&issuer) = known {
                    return Some(issuer);
                }
            }
        }
        None
    }

    pub(super) fn issuer_of_host(&self, host: &str) -> Option<usize> {
        of_host(&self.by_host, host)
    }

    /// The issuer whose addresses at this host hold a credential in their path.
    pub(super) fn issuer_in_path(&self, host: &str) -> Option<usize> {
        of_host(&self.by_path, host)
    }

    /// The issuer of connection strings of a scheme; `postgresql+asyncpg` is `postgresql`.
    pub(super) fn issuer_of_scheme(&self, scheme: &str) -> Option<usize> {
        let plain = scheme.split('+').next().unwrap_or(scheme);
        self.by_scheme.get(scheme).or_else(|| self.by_scheme.get(plain)).copied()
    }

    /// The issuer of a class or function, by its dotted path and the modules that the file imports; with the
    /// position of the credential.
    pub(super) fn issuer_of_client(&self, path: &str, imports: &[&str]) -> Option<(usize, Option<usize>)> {
        let name = path.rsplit('.').next()?;
        self.by_client.get(name)?.iter().find_map(|client| {
            let given = match &client.module {
                None => true,
                Some(module) => {
                    let root = module.split('.').next().unwrap_or(module);
                    let known = |path: &str| path.split(['.', '/']).next() == Some(root) || path == module;
                    imports.iter().any(|import| known(import) || *import == module) || known(path)
                }
            };
            given.then_some((client.issuer, client.position))
        })
    }

    /// Its documentation shows this very value.
    pub(super) fn is_published(&self, value: &str) -> bool {
        use sha2::Digest;
        let digest: String = sha2::Sha256::digest(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        self.published.contains(&digest)
    }

    pub(super) fn is_public_id(&self, value: &str) -> bool {
        self.public.iter().any(|shape| shape.is(value))
    }
}

/// What is known of a host, or of any below one that it is below.
fn of_host(known: &FxHashMap<String, usize>, host: &str) -> Option<usize> {
    if let Some(&issuer) = known.get(host) {
        return Some(issuer);
    }
    let mut rest = host;
    while let Some((_, parent)) = rest.split_once('.') {
        if let Some(&issuer) = known.get(&format!("*.{parent}")) {
            return Some(issuer);
        }
        rest = parent;
    }
    None
}

fn anchors(shape: &Shape) -> impl Iterator<Item = (usize, Anchor)> + '_ {
    shape.flats.iter().enumerate().filter_map(|(index, flat)| Some((index, flat.anchor()?)))
}

/// Path and text of the embedded files of formats.
pub fn embedded() -> impl Iterator<Item = (&'static str, &'static str)> {
    crate::knowledge::FILES.iter().copied().filter(|(path, _)| path.starts_with(FOLDER))
}

/// The embedded issuers, without their examples.
fn issuers() -> Vec<Issuer> {
    let issuers = serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/knowledge_issuers.json")));
    issuers.unwrap_or_else(|error| panic!("embedded formats are checked by tests: {error}"))
}

/// Reads one file.
pub fn parse(path: &str, text: &str) -> Result<Issuer, FormatError> {
    let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let refuse = |line, message: String| FormatError { file: path.into(), line, message };
    if crate::depth::is_too_deep(text) {
        return Err(refuse(1, "tables within tables without end".into()));
    }
    let issuer: Issuer = toml::from_str(text)
        .map_err(|error| refuse(line_of(error.span().map_or(0, |span| span.start)), error.message().into()))?;
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".toml");
    if issuer.id != stem {
        return Err(refuse(1, format!("id {:?} must be the file's name {stem:?}", issuer.id)));
    }
    let checked = issuer.key.iter().flat_map(|key| &key.checked).chain(&issuer.checked);
    if let Some(name) = checked.into_iter().find(|name| !CHECKED_WITH.contains(&name.as_str())) {
        let line = text.find(&format!("'{name}'")).map_or(1, line_of);
        return Err(refuse(line, format!("nothing is checked with {name:?}")));
    }
    for shape in issuer.key.iter().map(|key| &key.shape).chain(&issuer.public) {
        let line = text.find(shape.as_str()).map_or(1, line_of);
        let parsed = Shape::parse(shape).map_err(|message| refuse(line, format!("shape {shape:?}: {message}")))?;
        let meant = issuer.key.iter().any(|key| key.shape == *shape && key.when == When::Meant);
        if !meant && !parsed.flats.iter().all(|flat| flat.anchor().is_some()) {
            return Err(refuse(
                line,
                format!("shape {shape:?} has no fixed part to find it by: say `when = \"meant\"`"),
            ));
        }
    }
    Ok(issuer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_is_what_the_files_say() {
        let without_examples = |(path, text)| {
            let issuer = parse(path, text).unwrap_or_else(|error| panic!("{error}"));
            Issuer { finds: BTreeMap::new(), passes: BTreeMap::new(), ..issuer }
        };
        let read: Vec<Issuer> = embedded().map(without_examples).collect();
        assert_eq!(format!("{:?}", issuers()), format!("{read:?}"));
    }
}
