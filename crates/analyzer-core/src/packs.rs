//! Packs: what a project or a caller knows beyond the embedded knowledge, by the same schema and the same loader.
//!
//! A [`Pack`] is checked when it is read, so whoever holds one holds a valid one. Packs come from callers
//! ([`crate::Options::packs`]) and from the submitted files themselves ([`FOLDER`]); the latter may be hostile, so
//! everything in a pack is bounded.

use std::sync::Arc;

use regex::RegexSet;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::analysis::{Note, Secret, Severity};
use crate::detect::secrets::{self, Formats};
use crate::knowledge::index::Folder;
use crate::knowledge::schema::Entry;
use crate::knowledge::{self, Knowledge, KnowledgeError};
use crate::sources::Sources;

/// Where a project's own pack lies among its files.
pub const FOLDER: &str = ".agentlint/";

/// The file of a pack that holds its settings; every other one holds an entry.
const SETTINGS: &str = "pack.toml";

/// Files of a pack.
const MOST_FILES: usize = 200;
/// Bytes of one file.
const MOST_BYTES: usize = 64 << 10;
/// Symbols, hosts, prefixes, names and patterns of all files: each may be asked for at every call of the code.
const MOST_RULES: usize = 2_000;
/// Bytes of one value: findings repeat it.
const LONGEST_VALUE: usize = 256;

/// Knowledge and settings of a project or a caller.
#[derive(Debug, Clone, Default)]
pub struct Pack {
    entries: Vec<(Folder, Entry)>,
    /// Path and text of the issuers of credentials.
    secrets: Vec<(String, String)>,
    settings: Settings,
    excluded: Option<RegexSet>,
    rules: usize,
    digest: [u8; 32],
}

/// `pack.toml`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Files that are not analyzed: `tests/**`, `*.generated.ts`.
    exclude: Vec<String>,
    severity: Severities,
}

/// How bad a secret is, by its type, whatever the format says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Severities {
    api_key: Option<Severity>,
    oauth_token: Option<Severity>,
    private_key: Option<Severity>,
    password: Option<Severity>,
    connection_string: Option<Severity>,
    jwt: Option<Severity>,
    webhook_url: Option<Severity>,
    client_secret: Option<Severity>,
}

/// One file of a pack, read.
enum Part {
    Settings(Settings, Option<RegexSet>),
    Secrets,
    Entry(Folder, Box<Entry>),
}

impl Pack {
    /// A pack from its files, paths relative to its folder: `crm.toml`, `secrets/acme.toml`, `pack.toml`.
    pub fn read<P: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (P, T)>) -> Result<Pack, KnowledgeError> {
        let mut pack = Pack::default();
        for (path, text) in files {
            pack.add(path.as_ref(), text.as_ref())?;
        }
        Ok(pack)
    }

    /// The pack among the submitted files; a file of it that is refused is left out and noted.
    pub fn of_project(sources: &Sources) -> (Pack, Vec<Note>) {
        let (mut pack, mut notes) = (Pack::default(), Vec::new());
        let files = sources.files().iter().filter(|file| is_part(&file.path));
        for (count, file) in files.enumerate() {
            let refused = match count < MOST_FILES {
                true => pack.add(&file.path, &file.text).err().map(|error| (error.line, error.message)),
                false => Some((0, format!("a pack has at most {MOST_FILES} files"))),
            };
            notes.extend(refused.map(|(line, message)| Note {
                file: file.path.to_string(),
                line: line as u32,
                code: "pack".into(),
                message: format!("{message}; this file of the pack is not used"),
            }));
        }
        (pack, notes)
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.digest == [0; 32]
    }

    /// Equal for equal packs.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn add(&mut self, path: &str, text: &str) -> Result<(), KnowledgeError> {
        let at_top = |message: String| KnowledgeError { file: path.into(), line: 1, message };
        if text.len() > MOST_BYTES {
            return Err(at_top(format!("a file of a pack has at most {MOST_BYTES} bytes")));
        }
        let (part, rules) = read(path, text)?;
        if self.rules + rules > MOST_RULES {
            return Err(at_top(format!("a pack has at most {MOST_RULES} symbols, hosts, names and patterns")));
        }
        match part {
            Part::Settings(settings, excluded) => (self.settings, self.excluded) = (settings, excluded),
            Part::Secrets => self.secrets.push((path.into(), text.into())),
            Part::Entry(folder, entry) => self.entries.push((folder, *entry)),
        }
        self.rules += rules;
        let mut hash = Sha256::new_with_prefix(self.digest);
        for part in [path, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        self.digest = hash.finalize().into();
        Ok(())
    }
}

fn is_part(path: &str) -> bool {
    path.starts_with(FOLDER) && path.ends_with(".toml")
}

/// What a file of a pack holds, and how many rules.
fn read(path: &str, text: &str) -> Result<(Part, usize), KnowledgeError> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = folders.rsplit('/').next().unwrap_or("");
    short(path, text)?;
    if name == SETTINGS {
        let settings: Settings = knowledge::read(path, text)?;
        let patterns = settings.exclude.iter().map(|glob| regex_of(glob));
        let excluded = match settings.exclude.is_empty() {
            true => None,
            false => Some(RegexSet::new(patterns).map_err(|_| {
                knowledge::refuse(path, text, "exclude", "the patterns of `exclude` are too large together".into())
            })?),
        };
        let rules = settings.exclude.len();
        return Ok((Part::Settings(settings, excluded), rules));
    }
    if folder == "secrets" {
        let issuer = secrets::parse(path, text).map_err(|error| KnowledgeError {
            file: error.file,
            line: error.line,
            message: error.message,
        })?;
        let lists = [&issuer.env, &issuer.words, &issuer.schemes, &issuer.hosts, &issuer.clients, &issuer.public];
        let rules = lists.iter().map(|list| list.len()).sum::<usize>() + issuer.key.len();
        return Ok((Part::Secrets, rules));
    }
    let entry = knowledge::parse(path, text)?;
    let folder = match folder {
        "providers" => Folder::Provider,
        "services" => Folder::Service,
        "clients" => Folder::Client,
        "frameworks" => Folder::Framework,
        "language" => Folder::Other,
        _ => kind_of(&entry),
    };
    let rules = rules_of(&entry);
    Ok((Part::Entry(folder, Box::new(entry)), rules))
}

/// What an entry is about that lies in no folder.
fn kind_of(entry: &Entry) -> Folder {
    if !entry.python_packages.is_empty() || !entry.npm_packages.is_empty() {
        Folder::Framework
    } else if !entry.model.is_empty() || !entry.models.is_empty() || !entry.prefixes.is_empty() {
        Folder::Provider
    } else if !entry.request.is_empty() {
        Folder::Client
    } else {
        Folder::Service
    }
}

fn rules_of(entry: &Entry) -> usize {
    let names = [&entry.hosts, &entry.env, &entry.prefixes, &entry.models, &entry.python_packages, &entry.npm_packages];
    let mut rules = names.iter().map(|list| list.len()).sum::<usize>() + entry.schema.len() + entry.requirement.len();
    macro_rules! symbols {
        ($($field:ident),*) => {$(
            rules += entry.$field.iter().map(|rule| rule.python.len() + rule.js.len()).sum::<usize>();
        )*};
    }
    symbols!(model, client, request, service, function, mcp, prompt, handler, env_read, passthrough, apply);
    rules
}

/// Refuses values that no finding should have to repeat. Examples are code and may be long.
fn short(path: &str, text: &str) -> Result<(), KnowledgeError> {
    let table: toml::Table = knowledge::read(path, text)?;
    let is_code = |key: &str| matches!(key, "example" | "finds" | "passes");
    let mut left: Vec<&toml::Value> = table.iter().filter(|(key, _)| !is_code(key)).map(|(_, value)| value).collect();
    while let Some(value) = left.pop() {
        match value {
            toml::Value::String(value) if value.len() > LONGEST_VALUE => {
                let first = value.lines().next().unwrap_or(value);
                let message = format!("a value has at most {LONGEST_VALUE} bytes");
                return Err(knowledge::refuse(path, text, first, message));
            }
            toml::Value::Array(values) => left.extend(values),
            toml::Value::Table(table) => left.extend(table.values()),
            _ => {}
        }
    }
    Ok(())
}

/// `*` is any part of a name, `**` any number of folders, a pattern without `/` a file or folder of that name anywhere.
fn regex_of(glob: &str) -> String {
    let anywhere = !glob.trim_end_matches('/').contains('/');
    let glob = glob.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
    let mut regex = String::from(if anywhere { "^(?:.*/)?" } else { "^" });
    let mut rest = glob;
    while let Some(next) = rest.chars().next() {
        let (taken, text) = match rest {
            _ if rest.starts_with("**/") => (3, "(?:.*/)?".to_owned()),
            _ if rest.starts_with("**") => (2, ".*".to_owned()),
            _ if next == '*' => (1, "[^/]*".to_owned()),
            _ if next == '?' => (1, "[^/]".to_owned()),
            _ => (next.len_utf8(), regex::escape(next.encode_utf8(&mut [0; 4]))),
        };
        regex.push_str(&text);
        rest = &rest[taken..];
    }
    regex + "(?:/.*)?$"
}

/// All packs that count for one analysis, over the embedded knowledge.
#[derive(Debug)]
pub struct Applied<'a> {
    packs: Vec<&'a Pack>,
    /// The knowledge with the packs' entries above it.
    pub knowledge: Arc<Knowledge>,
}

impl<'a> Applied<'a> {
    /// The packs over `knowledge`, the stronger ones later.
    pub fn new(knowledge: &Arc<Knowledge>, packs: impl IntoIterator<Item = &'a Pack>) -> Applied<'a> {
        let packs: Vec<&Pack> = packs.into_iter().filter(|pack| !pack.is_empty()).collect();
        let layer = |below: Arc<Knowledge>, pack: &&Pack| match pack.entries.is_empty() {
            true => below,
            false => Arc::new(below.with(pack.entries.iter().cloned())),
        };
        let knowledge = packs.iter().fold(Arc::clone(knowledge), layer);
        Applied { packs, knowledge }
    }

    /// A pack takes this file out of the analysis; packs themselves stay.
    pub fn excludes(&self, path: &str) -> bool {
        let excluded = |pack: &&Pack| pack.excluded.as_ref().is_some_and(|set| set.is_match(path));
        !is_part(path) && self.packs.iter().any(excluded)
    }

    /// Some pack may take files out.
    pub fn has_exclusions(&self) -> bool {
        self.packs.iter().any(|pack| pack.excluded.is_some())
    }

    /// Formats of credentials with the packs' own; none when they have none.
    pub fn formats(&self) -> Option<Formats> {
        let own = self.packs.iter().rev().flat_map(|pack| &pack.secrets);
        let mut files: Vec<(&str, &str)> = own.map(|(path, text)| (path.as_str(), text.as_str())).collect();
        if files.is_empty() {
            return None;
        }
        for (path, text) in secrets::embedded() {
            files.push((path, text));
        }
        Some(Formats::read(files).expect("each file was read before"))
    }

    /// Severities as the packs want them.
    pub fn judge(&self, secrets: &mut [Secret]) {
        for secret in secrets {
            let wanted = self.packs.iter().rev().find_map(|pack| pack.settings.severity.of(&secret.kind));
            secret.severity = wanted.unwrap_or(secret.severity);
        }
    }
}

impl Severities {
    fn of(&self, kind: &str) -> Option<Severity> {
        match kind {
            "api_key" => self.api_key,
            "oauth_token" => self.oauth_token,
            "private_key" => self.private_key,
            "password" => self.password,
            "connection_string" => self.connection_string,
            "jwt" => self.jwt,
            "webhook_url" => self.webhook_url,
            "client_secret" => self.client_secret,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str, text: &str) -> String {
        Pack::read([(path, text)]).unwrap_err().to_string()
    }

    const HEAD: &str = "id = \"crm\"\nname = \"CRM\"\nsource = \"s\"\n";

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let misspelt = refusal("crm.toml", &format!("{HEAD}[[service]]\npyton = [\"our_sdk.CRM\"]\n"));
        assert!(misspelt.starts_with("crm.toml:5: unknown field `pyton`"), "{misspelt}");
        let host = refusal("crm.toml", &format!("{HEAD}hosts = [\n\"https://crm\"]\n"));
        assert_eq!(host, "crm.toml:5: host \"https://crm\" must be bare and lower case");
        let named = refusal("other.toml", HEAD);
        assert_eq!(named, "other.toml:1: id \"crm\" must be the file's name \"other\"");
        let setting = refusal("pack.toml", "exclude = []\n[severity]\npasword = \"low\"\n");
        assert!(setting.starts_with("pack.toml:3: unknown field `pasword`"), "{setting}");
        let severity = refusal("pack.toml", "[severity]\npassword = \"none\"\n");
        assert!(severity.starts_with("pack.toml:2: unknown variant `none`"), "{severity}");
        let shape = "id = \"a\"\nname = \"A\"\nsource = \"s\"\n[[key]]\nshape = 'a['\n";
        assert_eq!(refusal("secrets/a.toml", shape), "secrets/a.toml:5: shape \"a[\": an unclosed class");
        assert!(refusal("x.toml", "a = [").starts_with("x.toml:1: "));
    }

    #[test]
    fn packs_are_bounded() {
        let symbols: Vec<String> = (0..2_001).map(|n| format!("\"a.b{n}\"")).collect();
        let many = refusal("crm.toml", &format!("{HEAD}[[service]]\npython = [{}]\n", symbols.join(",")));
        assert_eq!(many, "crm.toml:1: a pack has at most 2000 symbols, hosts, names and patterns");
        let long = refusal("crm.toml", &format!("{HEAD}tool = \"{}\"\n", "x".repeat(257)));
        assert_eq!(long, "crm.toml:4: a value has at most 256 bytes");
        let large = refusal("crm.toml", &"#".repeat(MOST_BYTES + 1));
        assert_eq!(large, "crm.toml:1: a file of a pack has at most 65536 bytes");
        let deep = format!("a = {}", "[".repeat(60_000));
        assert!(refusal("crm.toml", &deep).starts_with("crm.toml:1: "));
    }

    #[test]
    fn patterns_take_files_out() {
        let is_out = |glob: &str, path: &str| regex::Regex::new(&regex_of(glob)).unwrap().is_match(path);
        for (glob, path) in [
            ("tests/**", "tests/a/b.py"),
            ("tests", "tests/a.py"),
            ("tests/", "src/tests/a.py"),
            ("*.gen.ts", "src/api.gen.ts"),
            ("src/*/x.py", "src/a/x.py"),
            ("**/evals/*.py", "evals/a.py"),
            ("/src/a.py", "src/a.py"),
        ] {
            assert!(is_out(glob, path), "{glob} {path}");
        }
        for (glob, path) in [("tests/**", "src/tests.py"), ("src/*.py", "src/a/x.py"), ("a.py", "xa.py")] {
            assert!(!is_out(glob, path), "{glob} {path}");
        }
    }
}
