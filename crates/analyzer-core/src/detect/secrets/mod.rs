//! Credentials in the submitted text: where they are, whose they are, what should carry them instead. Never the value.

mod candidate;
mod checksum;
mod code;
mod context;
#[cfg(test)]
mod corpus;
mod elsewhere;
mod exposure;
mod fold;
mod formats;
mod judge;
mod links;
mod meaning;
mod names;
mod notebook;
mod plain;
mod scan;
mod shape;
mod text;
mod torn;
mod value;
mod veil;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::analysis::{Confidence, Exposure, Secret};
use crate::facts::FileFacts;
use crate::memo::{self, Asked, Memo, On};
use crate::sources::{Language, Source, Sources};
use candidate::Candidate;
pub use formats::{FormatError, Formats};
pub(crate) use formats::{embedded, parse};
pub use links::link;
pub(crate) use value::MASK;

/// Findings of one file; a file with more holds data, not configuration.
const MOST: usize = 500;

/// Every credential, by file and place. `key` keys the fingerprints; a committed salt stands in for an empty one.
pub fn detect(sources: &Sources, facts: &[Arc<FileFacts>], formats: &Formats, key: &[u8]) -> Vec<Secret> {
    Found::new(sources, facts, formats).report(sources, facts, formats, key)
}

/// What was found in each file, and what follows from it. It is never shown.
pub(crate) struct Found<'m> {
    /// By file, as each file says.
    files: Vec<Arc<Vec<Candidate>>>,
    /// All values, to be masked wherever they stand.
    values: Arc<Values>,
    memo: Option<&'m Memo>,
}

/// Texts in which no credential stands: those of the analysis before, and those that were asked for in this one.
#[derive(Default)]
pub(crate) struct Clean {
    before: FxHashSet<String>,
    now: FxHashSet<String>,
}

impl Clean {
    /// Whether a text is known to be clean.
    pub(crate) fn is_clean(&mut self, text: &str) -> bool {
        if self.now.contains(text) {
            return true;
        }
        let known = self.before.take(text);
        let is_clean = known.is_some();
        self.now.extend(known);
        is_clean
    }

    /// A text is found to be clean.
    pub(crate) fn add(&mut self, text: &str) {
        self.now.insert(text.to_owned());
    }
}

/// Hides the credentials that were found.
pub(crate) struct Hiding(Arc<Values>);

impl Hiding {
    /// A sentence in which none of them stands where it quotes the code between backticks.
    pub(crate) fn hide(&self, sentence: String) -> String {
        // What cannot be looked for could stand anywhere.
        let Some(values) = &self.0.everywhere else { return value::MASK.to_owned() };
        let holds = |quoted: &str| values.find_iter(quoted).any(|hit| hit.len() >= SHORTEST);
        // One that holds a backtick itself is in no part of its own.
        if values.find_iter(&sentence).any(|hit| hit.len() >= SHORTEST && sentence[hit.range()].contains('`')) {
            return value::MASK.to_owned();
        }
        if !sentence.split('`').skip(1).step_by(2).any(holds) {
            return sentence;
        }
        let part = |(index, part)| if index % 2 == 1 && holds(part) { value::MASK } else { part };
        sentence.split('`').enumerate().map(part).collect::<Vec<_>>().join("`")
    }
}

/// All values.
struct Values {
    /// In order.
    all: Vec<value::Value>,
    everywhere: Option<aho_corasick::AhoCorasick>,
    masks: Vec<&'static str>,
}

/// Shorter values are words that stand elsewhere too.
const SHORTEST: usize = 8;

impl Values {
    fn new(values: &std::collections::BTreeSet<&str>) -> Values {
        let longest = aho_corasick::MatchKind::LeftmostLongest;
        let everywhere = aho_corasick::AhoCorasick::builder().match_kind(longest).build(values).ok();
        let all = values.iter().map(|value| value::Value::new(value)).collect();
        Values { all, masks: vec![value::MASK; values.len()], everywhere }
    }

    fn are(&self, values: &std::collections::BTreeSet<&str>) -> bool {
        self.all.iter().map(value::Value::expose).eq(values.iter().copied())
    }
}

impl<'m> Found<'m> {
    /// Reads all files.
    pub(crate) fn new(sources: &Sources, facts: &[Arc<FileFacts>], formats: &Formats) -> Found<'m> {
        Found::with_memo(sources, facts, formats, None)
    }

    /// The same with what earlier analyses answered.
    pub(crate) fn with_memo(
        sources: &Sources,
        facts: &[Arc<FileFacts>],
        formats: &Formats,
        memo: Option<&'m Memo>,
    ) -> Found<'m> {
        let of = (sources, facts, formats);
        let files = memo::each(memo, sources.files().len(), Asked::Secrets, &of, |(sources, facts, formats), file| {
            let nothing = Arc::new(FileFacts::default());
            of_file(&sources.files()[file], facts.get(file).unwrap_or(&nothing), formats)
        });
        let values = files.iter().flat_map(|of_file| of_file.iter()).map(|candidate| candidate.value.expose());
        let values: std::collections::BTreeSet<&str> = values.filter(|value| !value.is_empty()).collect();
        let known = memo.and_then(|memo| memo.last::<Arc<Values>>(On::Secrets));
        let values = known.filter(|known| known.are(&values)).unwrap_or_else(|| Arc::new(Values::new(&values)));
        if let Some(memo) = memo {
            let differs = |before: &Arc<Values>, now: &Arc<Values>| match Arc::ptr_eq(before, now) {
                true => Vec::new(),
                false => vec![0],
            };
            memo.compare(On::Secrets, values.clone(), differs);
        }
        Found { files, values, memo }
    }

    /// Texts that the analysis before this one found to be clean, of the same values.
    pub(crate) fn clean_texts(&self) -> Clean {
        let known = self.memo.and_then(|memo| memo.take::<(Arc<Values>, Clean)>(On::Clean));
        known.filter(|(values, _)| Arc::ptr_eq(values, &self.values)).map(|(_, clean)| clean).unwrap_or_default()
    }

    /// Keeps what was found to be clean for the next analysis.
    pub(crate) fn keep_clean(&self, mut clean: Clean) {
        if let Some(memo) = self.memo {
            clean.before = std::mem::take(&mut clean.now);
            memo.keep(On::Clean, (self.values.clone(), clean));
        }
    }

    /// The findings.
    pub(crate) fn report(
        self,
        sources: &Sources,
        facts: &[Arc<FileFacts>],
        formats: &Formats,
        key: &[u8],
    ) -> Vec<Secret> {
        let own = |of_file: Arc<Vec<Candidate>>| Arc::try_unwrap(of_file).unwrap_or_else(|kept| (*kept).clone());
        let mut found: Vec<Vec<Candidate>> = self.files.into_iter().map(own).collect();
        elsewhere::follow(&mut found, facts, formats);
        agree(&mut found, formats);
        let mut secrets = Vec::new();
        for (source, candidates) in sources.files().iter().zip(found) {
            let mut lines = Lines::new(&source.text);
            secrets.extend(candidates.into_iter().map(|found| report(source, found, &mut lines, formats, key)));
        }
        secrets
    }

    /// A text in which no value that was found anywhere stands, nor what is a credential by itself.
    pub(crate) fn mask(&self, text: &str, formats: &Formats) -> Option<String> {
        let mut clean = Cow::Borrowed(text);
        let Some(values) = &self.values.everywhere else {
            // What cannot be looked for could stand anywhere.
            return Some(value::MASK.to_owned());
        };
        let (mut out, mut at) = (String::new(), 0);
        for hit in values.find_iter(text).filter(|hit| hit.len() >= SHORTEST) {
            out.push_str(&text[at..hit.start()]);
            out.push_str(value::MASK);
            at = hit.end();
        }
        if at > 0 {
            clean = Cow::Owned(out + &text[at..]);
        }
        match (mask(&clean, formats), &clean) {
            (Cow::Owned(masked), _) => Some(masked),
            (Cow::Borrowed(_), Cow::Owned(clean)) => Some(clean.clone()),
            _ => None,
        }
    }

    /// What hides them in sentences.
    pub(crate) fn hiding(&self) -> Hiding {
        Hiding(Arc::clone(&self.values))
    }

    /// The same files for a reader outside: every credential that is found in one is masked in all of them, and what
    /// stands beside a name that speaks of secrets in any. A file of
    /// data, one with more credentials than are listed, and one that puts a credential together of parts are emptied.
    pub(crate) fn redact(&self, sources: &Sources, formats: &Formats) -> Sources {
        let of = (self, sources, formats);
        let clean =
            memo::each(self.memo, sources.files().len(), Asked::Redacted, &of, |(found, sources, formats), file| {
                found.clean(&sources.files()[file], file, formats)
            });
        sources.rewritten(|file, _| (*clean[file]).clone())
    }

    fn clean(&self, source: &Source, file: usize, formats: &Formats) -> Arc<str> {
        memo::note(On::Secrets, 0);
        let found = &self.files[file];
        let whole = |candidate: &Candidate| {
            let own = source.text.get(candidate.span.clone());
            own.is_some_and(|text| text.contains(candidate.value.expose())) && !candidate.reasons.contains(&torn::PART)
        };
        let is_safe = found.len() < MOST && found.iter().all(whole) && !is_generated(&source.path, &source.text);
        let Values { everywhere, masks, .. } = &*self.values;
        match everywhere {
            Some(values) if is_safe => {
                let masked = values.replace_all(&source.text, masks);
                veil::cover(&mask(&masked, formats), source.language, formats).into()
            }
            _ => "".into(),
        }
    }
}

/// The text with every credential in it masked: for prompts and evidence that are shown.
pub fn mask<'t>(text: &'t str, formats: &Formats) -> Cow<'t, str> {
    let found = merge(text::read(text, false, formats));
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    // What is a secret at one place is one at every other, also where nothing there says so.
    let mut spans: Vec<(Range<usize>, usize)> = Vec::new();
    for (index, candidate) in found.iter().enumerate() {
        let again = text.match_indices(candidate.value.expose()).map(|(at, value)| (at..at + value.len(), index));
        spans.push((candidate.span.clone(), index));
        spans.extend(again.take(MOST));
    }
    spans.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, index) in spans {
        if span.start >= at {
            out.push_str(&text[at..span.start]);
            out.push_str(&found[index].value.preview(found[index].public));
        }
        at = at.max(span.end);
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// Whether a name says that what it stands for is a credential.
pub fn speaks_of_credential(name: &str) -> bool {
    Formats::builtin().carries_secret(name)
}

/// The same files for a reader outside.
pub fn redact(sources: &Sources, facts: &[Arc<FileFacts>], formats: &Formats) -> Sources {
    Found::new(sources, facts, formats).redact(sources, formats)
}

fn of_file(source: &Source, facts: &FileFacts, formats: &Formats) -> Vec<Candidate> {
    let mut found = match source.language {
        Language::Text => text::read(&source.text, is_prose(&source.path), formats),
        Language::Notebook => notebook::read(&source.text, facts, formats),
        _ => code::read(&source.text, facts, formats),
    };
    if is_generated(&source.path, &source.text) {
        // Hashes by the thousand: only what says itself what it is.
        found.retain(|candidate| candidate.rank >= 400);
    }
    let mut found = merge(found);
    found.truncate(MOST);
    torn::mark(facts, &source.text, &mut found);
    two_parts(&mut found, formats);
    found
}

fn is_prose(path: &str) -> bool {
    [".md", ".rst", ".txt", ".mdx", ".adoc", ".html"].iter().any(|end| path.ends_with(end))
}

/// The shortest mean line of a file that nobody wrote.
const LINE: usize = 401;

/// Lock files, source maps, minified code, tables of data.
fn is_generated(path: &str, text: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    const NAMES: &[&str] = &[
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "poetry.lock",
        "uv.lock",
        "cargo.lock",
        "pipfile.lock",
        "composer.lock",
        "go.sum",
        "bun.lock",
        "npm-shrinkwrap.json",
        "gemfile.lock",
        "pdm.lock",
        "deno.lock",
        "record",
        "tokenizer.json",
        "vocab.json",
    ];
    const ENDS: &[&str] = &[
        ".lock", ".map", ".svg", ".css", ".min.js", ".csv", ".tsv", ".jsonl", ".geojson", ".po", ".pot", ".xlf",
        ".snap",
    ];
    NAMES.contains(&name.as_str())
        || ENDS.iter().any(|end| name.ends_with(end))
        || !name.ends_with(".ipynb")
            && !name.ends_with(".json")
            && text.len() > 4096
            && (text.lines().take(3).any(|line| line.len() > 3000) || text.lines().nth(text.len() / LINE).is_none())
}

/// One finding for one place: of those that overlap the most specific stays, and learns what the others knew.
fn merge(mut found: Vec<Candidate>) -> Vec<Candidate> {
    found.sort_by(|a, b| {
        let size = |c: &Candidate| c.span.len();
        b.rank
            .cmp(&a.rank)
            .then(b.issuer.is_some().cmp(&a.issuer.is_some()))
            .then(b.name.is_some().cmp(&a.name.is_some()))
            .then(size(a).cmp(&size(b)))
            .then(a.span.start.cmp(&b.span.start))
    });
    let mut kept: Vec<Candidate> = Vec::new();
    let mut by_start: std::collections::BTreeMap<usize, usize> = std::collections::BTreeMap::new();
    for candidate in found {
        // Kept spans never overlap, so only the neighbours can.
        let before = by_start.range(..candidate.span.end).next_back().map(|(_, index)| *index);
        match before.filter(|index| overlap(&kept[*index].span, &candidate.span)) {
            Some(index) => {
                let stays = &mut kept[index];
                stays.name = stays.name.take().or(candidate.name);
                if stays.rank < 1000 {
                    stays.issuer = stays.issuer.or(candidate.issuer);
                }
                let more = candidate.hosts.into_iter().filter(|host| !stays.hosts.contains(host)).collect::<Vec<_>>();
                stays.hosts.extend(more);
                stays.exposed = stays.exposed.with(candidate.exposed);
            }
            None => {
                by_start.insert(candidate.span.start, kept.len());
                kept.push(candidate);
            }
        }
    }
    kept.sort_by_key(|candidate| (candidate.span.start, candidate.span.end));
    kept
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Two credentials of one issuer in one file that are not of one kind: each makes the other surer.
fn two_parts(found: &mut [Candidate], formats: &Formats) {
    let parts: Vec<(Option<usize>, Option<usize>)> = found.iter().map(|c| (c.issuer, c.format)).collect();
    for (index, candidate) in found.iter_mut().enumerate() {
        let Some(issuer) = candidate.issuer.filter(|_| formats.issuers.len() > 1) else { continue };
        let other = parts.iter().enumerate().any(|(i, (by, format))| {
            i != index
                && *by == Some(issuer)
                && format.is_some()
                && candidate.format.is_some()
                && *format != candidate.format
        });
        if other && !candidate.reasons.contains(&"checksum-mismatch") {
            candidate.reasons.push("pair");
            candidate.confidence = Confidence::High;
        }
    }
}

/// One value is one credential wherever it stands: the place that says most about it speaks for all.
fn agree(found: &mut [Vec<Candidate>], formats: &Formats) {
    /// How much is known; issuer, type, format.
    type Known = (u32, Option<usize>, String, Option<usize>);
    let mut best: FxHashMap<[u8; 16], Known> = FxHashMap::default();
    let digest = |candidate: &Candidate| -> [u8; 16] {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(candidate.value.expose().as_bytes());
        hash[..16].try_into().expect("a SHA-256 has 32 bytes")
    };
    for candidate in found.iter().flatten() {
        let known = candidate.rank * 2 + u32::from(candidate.issuer.is_some());
        let entry = best.entry(digest(candidate)).or_insert((0, None, String::new(), None));
        if known > entry.0 {
            *entry = (known, candidate.issuer, candidate.kind.clone(), candidate.format);
        }
    }
    for candidate in found.iter_mut().flatten() {
        let (_, issuer, kind, format) = &best[&digest(candidate)];
        if candidate.kind != *kind || candidate.issuer != *issuer {
            (candidate.issuer, candidate.format) = (*issuer, *format);
            candidate.kind.clone_from(kind);
            candidate.label = format.and_then(|format| formats.key(format).label.clone());
        }
    }
}

fn report(source: &Source, found: Candidate, lines: &mut Lines, formats: &Formats, key: &[u8]) -> Secret {
    let (line, column) = lines.place(found.span.start);
    let issuer = found.issuer.map(|issuer| &formats.issuers[issuer]);
    let provider = issuer.map(|issuer| issuer.opens.clone().unwrap_or_else(|| issuer.id.clone()));
    let suggested_env = suggested_env(&found, formats);
    let rule = format!("{}/{}", provider.as_deref().unwrap_or("generic"), found.kind);
    let place = format!("{}/{}", source.path, found.name.as_deref().unwrap_or(""));
    let fingerprint = found.value.fingerprint(key, &rule, found.guessable, &place);
    let what = found.label.clone().unwrap_or_else(|| label(&found.kind).to_owned());
    let whose = issuer.map(|issuer| format!("{} ", issuer.name)).unwrap_or_default();
    let revoke = issuer.and_then(|issuer| issuer.revoke.as_deref());
    let revoke = revoke.map_or_else(|| "revoke it".to_owned(), |page| format!("revoke it at {page}"));
    let hedge = if found.confidence == Confidence::Low { "Possible " } else { "" };
    let shown: Vec<&str> = found.exposed.list().into_iter().map(Exposure::as_phrase).collect();
    let shown = if shown.is_empty() { String::new() } else { format!(", shown in {}", shown.join(" and ")) };
    let description = format!("{hedge}{whose}{what} in the source{shown}; move it to {suggested_env} and {revoke}.");
    let mut reasons: Vec<String> = found.reasons.iter().map(|reason| (*reason).to_owned()).collect();
    let mut seen = rustc_hash::FxHashSet::default();
    reasons.retain(|reason| seen.insert(reason.clone()));
    // A name is shown as written, and a name can be a credential by mistake.
    let name = found.name.as_deref().filter(|name| name.len() <= 120 && !name.contains(found.value.expose()));
    Secret {
        kind: found.kind,
        provider,
        file: source.path.to_string(),
        line,
        column,
        severity: found.severity,
        description,
        preview: found.value.preview(found.public),
        fingerprint,
        name: name.map(|name| mask(name, formats).into_owned()),
        suggested_env: Some(suggested_env),
        env_read: false,
        hosts: found.hosts,
        exposed_in: found.exposed.list(),
        opens: Vec::new(),
        confidence: found.confidence,
        reasons,
    }
}

fn label(kind: &str) -> &'static str {
    match kind {
        "oauth_token" => "access token",
        "private_key" => "private key",
        "password" => "password",
        "connection_string" => "connection string with a password",
        "jwt" => "signed token",
        "webhook_url" => "webhook address",
        "client_secret" => "client secret",
        _ => "API key",
    }
}

/// The environment variable that should carry it: the one that the code reads, the issuer's own, one by its name.
fn suggested_env(found: &Candidate, formats: &Formats) -> String {
    let shouted = |name: &str| names::words(name).join("_").to_ascii_uppercase();
    let is_env = |name: &&str| {
        name.len() <= 60
            && name.contains('_')
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let name = found.name.as_deref();
    if let Some(name) = name.filter(is_env) {
        return name.to_owned();
    }
    let own = found.format.and_then(|format| formats.key(format).env.clone());
    let of_issuer = || found.issuer.and_then(|issuer| formats.issuers[issuer].env.first().cloned());
    if let Some(env) = own.or_else(of_issuer) {
        return env;
    }
    let header =
        |name: &&str| !matches!(name.to_ascii_lowercase().as_str(), "authorization" | "auth" | "value" | "default");
    match name
        .filter(header)
        .map(shouted)
        .filter(|name| (3..=40).contains(&name.len()) && name.is_ascii() && name.contains('_'))
    {
        Some(name) => name,
        None => match found.kind.as_str() {
            "connection_string" => "DATABASE_URL",
            "private_key" => "PRIVATE_KEY",
            "password" => "PASSWORD",
            "webhook_url" => "WEBHOOK_URL",
            "oauth_token" | "jwt" => "ACCESS_TOKEN",
            "client_secret" => "CLIENT_SECRET",
            _ => "API_KEY",
        }
        .to_owned(),
    }
}

/// Lines and columns of ascending places.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    start: usize,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Lines<'t> {
        Lines { text, at: 0, line: 1, start: 0 }
    }

    fn place(&mut self, at: usize) -> (u32, u32) {
        let at = scan::floor(self.text, at);
        if at < self.at {
            *self = Lines::new(self.text);
        }
        for (index, _) in self.text[self.at..at].match_indices('\n') {
            self.line += 1;
            self.start = self.at + index + 1;
        }
        self.at = at;
        (self.line, self.text[self.start..at].chars().count() as u32 + 1)
    }
}

#[cfg(test)]
mod tests;
