//! Provider: whom to ask and how, as data. A row says which format a provider speaks, at which paths, and what its models
//! cost; its hosts and how it is shown a credential stand in the analyzer's knowledge of it and nowhere else.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use url::Url;

use crate::formats::{CallerFormat, ProviderFormat, Quirks};
use crate::framing::Framing;
use crate::meter::Price;

/// A provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Equal to the file's name, and to that of the analyzer's entry.
    pub id: String,
    /// Public page that the facts come from.
    pub source: String,
    /// What operators call it, or whoever's format it speaks.
    pub provider: String,
    /// It may be anywhere: the row for addresses that no other one knows.
    #[serde(default)]
    anywhere: bool,
    /// It costs nothing.
    #[serde(default)]
    free: bool,
    /// Where the prices were read.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers and the tests"))]
    price_source: Option<String>,
    /// Dollars for a million tokens, by model.
    #[serde(default)]
    prices: Vec<ModelPrice>,
    /// Models that cost what they cost elsewhere.
    #[serde(default)]
    prices_of: Vec<PricesOf>,
    /// What it answers.
    serves: Vec<Serves>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))]
    example: Vec<Example>,
    /// From the analyzer's knowledge.
    #[serde(skip)]
    hosts: Vec<String>,
    /// From there, too.
    #[serde(skip)]
    auth: Option<Auth>,
}

/// What some models answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serves {
    /// Which; `*` stands for anything.
    #[serde(default = "anything")]
    models: String,
    /// In which format.
    pub format: ProviderFormat,
    /// How streams are cut.
    #[serde(default)]
    framing: FramingName,
    /// Where, with `{model}` for the model.
    chat: String,
    /// Where streams are asked for, if elsewhere.
    stream: Option<String>,
    embeddings: Option<String>,
    /// Requests in OpenAI's newer format, as they are.
    responses: Option<String>,
    count_tokens: Option<String>,
    /// Headers that every request needs.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers of the caller that go on where both speak the same.
    #[serde(default)]
    pub forwards: Vec<String>,
    #[serde(default = "max_tokens")]
    max_tokens_field: String,
    /// Streams end with usage whether or not anybody asks.
    #[serde(default)]
    always_counts: bool,
}

/// How a provider is shown a credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "style", rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A header of its own.
    Header {
        /// The header.
        name: String,
    },
    /// A parameter of the query.
    Query {
        /// The parameter.
        name: String,
    },
    /// Another way, or none.
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FramingName {
    #[default]
    Sse,
    Lines,
    EventStream,
}

#[derive(Debug, Clone, Deserialize)]
struct ModelPrice {
    model: String,
    #[serde(flatten)]
    price: Price,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PricesOf {
    models: String,
    r#as: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))]
struct Example {
    endpoint: String,
    model: String,
    asks: Asks,
    url: String,
}

/// What a provider can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    /// A reply.
    Chat,
    /// A reply, piece by piece.
    Stream,
    /// Vectors.
    Embeddings,
    /// A reply in OpenAI's newer format.
    Responses,
    /// How many tokens a request has.
    CountTokens,
}

fn anything() -> String {
    "*".into()
}

fn max_tokens() -> String {
    "max_tokens".into()
}

/// Each row with the analyzer's entry of the same name.
macro_rules! rows {
    ($($id:literal),* $(,)?) => {
        &[$((
            $id,
            include_str!(concat!("../providers/", $id, ".toml")),
            include_str!(concat!("../../analyzer-core/knowledge/providers/", $id, ".toml")),
        )),*]
    };
}

const ROWS: &[(&str, &str, &str)] = rows![
    "anthropic",
    "azure",
    "bedrock",
    "cerebras",
    "deepseek",
    "fireworks",
    "google",
    "groq",
    "mistral",
    "moonshot",
    "ollama",
    "openai",
    "openrouter",
    "perplexity",
    "together",
    "xai",
];

/// Nobody's in particular, so the analyzer has no entry for it.
const COMPATIBLE: &str = include_str!("../providers/openai-compatible.toml");

/// All rows.
pub static PROVIDERS: LazyLock<Providers> =
    LazyLock::new(|| Providers::read().unwrap_or_else(|error| panic!("{error}; a test reads all rows")));

/// Every provider that is known.
#[derive(Debug)]
pub struct Providers(Vec<Row>);

/// What of the analyzer's entry counts here.
#[derive(Debug, Deserialize)]
struct Known {
    #[serde(default)]
    hosts: Vec<String>,
    auth: Option<Auth>,
}

impl Providers {
    fn read() -> Result<Providers, String> {
        let mut rows = Vec::new();
        for (id, row, known) in ROWS {
            let mut row: Row = toml::from_str(row).map_err(|error| format!("providers/{id}.toml: {error}"))?;
            let known: Known = toml::from_str(known).map_err(|error| format!("knowledge of {id}: {error}"))?;
            (row.hosts, row.auth) = (known.hosts, known.auth);
            rows.push(row);
        }
        rows.push(toml::from_str(COMPATIBLE).map_err(|error| format!("providers/openai-compatible.toml: {error}"))?);
        Ok(Providers(rows))
    }

    /// The row for an operator's provider at an address: whose host it is, else who is called so.
    pub fn find(&self, provider: &str, endpoint: &Url) -> Option<&Row> {
        let mut called = self.0.iter().filter(|row| row.provider == provider);
        let at_home = called.clone().find(|row| row.hosts.iter().any(|host| is_at(endpoint, host)));
        at_home.or_else(|| called.clone().find(|row| row.anywhere)).or_else(|| called.next())
    }

    /// How whoever is called so is shown a credential.
    pub fn auth(&self, provider: &str) -> Option<&Auth> {
        let mut called = self.0.iter().filter(|row| row.provider == provider);
        let own = called.clone().find(|row| row.id == provider);
        own.or_else(|| called.next())?.auth.as_ref()
    }

    fn named(&self, id: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.id == id)
    }
}

impl Row {
    /// What answers for a model.
    pub fn serving(&self, model: &str) -> Option<&Serves> {
        self.serves.iter().find(|serves| matches(&serves.models, model))
    }

    /// What a model costs, where somebody says.
    pub fn price(&self, model: &str) -> Option<Price> {
        if self.free {
            return Some(Price::default());
        }
        let undated = without_date(model);
        let own = [Some(model), undated].into_iter().flatten().find_map(|model| best(&self.prices, model));
        own.or_else(|| {
            let elsewhere = self.prices_of.iter().find(|prices| matches(&prices.models, model))?;
            let row = PROVIDERS.named(&elsewhere.r#as)?;
            // `us.anthropic.claude-…` is `claude-…` at home.
            let marker = elsewhere.models.trim_matches('*');
            let inner =
                if marker.is_empty() { model } else { model.split_once(marker).map_or(model, |(_, rest)| rest) };
            row.price(inner)
        })
    }

    /// What the dearest model costs that anybody says something of.
    pub fn dearest(&self) -> Price {
        let elsewhere = self.prices_of.iter().filter_map(|prices| PROVIDERS.named(&prices.r#as));
        let all = std::iter::once(self).chain(elsewhere).flat_map(|row| &row.prices);
        let dearest = all.map(|known| known.price).max_by(|a, b| a.output.total_cmp(&b.output));
        dearest.unwrap_or_default()
    }
}

impl Serves {
    /// The address for what is asked of a model; none where this is not offered.
    pub fn url(&self, endpoint: &Url, asks: Asks, model: &str) -> Option<Url> {
        let template = match asks {
            Asks::Chat => &self.chat,
            Asks::Stream => self.stream.as_ref().unwrap_or(&self.chat),
            Asks::Embeddings => self.embeddings.as_ref()?,
            Asks::Responses => self.responses.as_ref()?,
            Asks::CountTokens => self.count_tokens.as_ref()?,
        };
        let (path, query) =
            template.split_once('?').map_or((template.as_str(), None), |(path, query)| (path, Some(query)));
        let wanted: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut segments: Vec<String> =
            endpoint.path().split('/').filter(|segment| !segment.is_empty()).map(str::to_string).collect();
        // What the endpoint ends with and the path begins with stands there once.
        let shared = (0..=wanted.len().min(segments.len()))
            .rev()
            .find(|count| segments[segments.len() - count..].iter().zip(&wanted).all(|(own, wanted)| own == wanted));
        let mut rest = &wanted[shared.unwrap_or_default()..];
        // An endpoint of another version keeps it.
        if shared == Some(0)
            && wanted.first().is_some_and(|first| is_version(first))
            && segments.iter().any(|own| is_version(own))
        {
            rest = &rest[1..];
        }
        segments.extend(rest.iter().map(|segment| segment.replace("{model}", &encoded(model))));
        let mut url = endpoint.clone();
        url.set_path(&segments.join("/"));
        if let Some(query) = query {
            url.set_query(Some(query));
        }
        Some(url)
    }

    /// How its streams are cut.
    pub fn framing(&self) -> Framing {
        match self.framing {
            FramingName::Sse => Framing::Sse,
            FramingName::Lines => Framing::Lines,
            FramingName::EventStream => Framing::EventStream,
        }
    }

    /// How it differs from its format.
    pub fn quirks(&self) -> Quirks {
        Quirks {
            max_tokens_field: self.max_tokens_field.clone(),
            most_output: MOST_OUTPUT,
            asks_for_usage: !self.always_counts,
        }
    }

    /// Both say the same, so that requests and answers pass as they are.
    pub fn passes(&self, caller: CallerFormat) -> bool {
        self.format.is(caller) || caller == CallerFormat::Responses && self.responses.is_some()
    }

    /// There is an address for that.
    pub fn offers(&self, asks: Asks) -> bool {
        match asks {
            Asks::Chat | Asks::Stream => true,
            Asks::Embeddings => self.embeddings.is_some(),
            Asks::Responses => self.responses.is_some(),
            Asks::CountTokens => self.count_tokens.is_some(),
        }
    }
}

/// The longest reply of whoever names none, where the format wants one and budgets must know.
pub const MOST_OUTPUT: u64 = 4_096;

/// Bytes of a path's segment that need no encoding.
fn encoded(model: &str) -> String {
    let mut out = String::with_capacity(model.len());
    for byte in model.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

/// The longest pattern says most.
fn best(prices: &[ModelPrice], model: &str) -> Option<Price> {
    let known = prices.iter().filter(|known| matches(&known.model, model));
    known.max_by_key(|known| (!known.model.contains('*'), known.model.len())).map(|known| known.price)
}

/// `gpt-4o-2024-08-06` costs what `gpt-4o` does where nobody says otherwise.
fn without_date(model: &str) -> Option<&str> {
    let (name, date) = model.split_at_checked(model.len().checked_sub("-2024-08-06".len())?)?;
    let is_date = date.bytes().enumerate().all(|(at, byte)| match at {
        0 | 5 | 8 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_date.then_some(name)
}

/// `api.openai.com`, `*.openai.azure.com`, `localhost:11434`, `host/path`.
fn is_at(endpoint: &Url, known: &str) -> bool {
    let (place, path) = known.split_once('/').map_or((known, ""), |(place, path)| (place, path));
    let host = endpoint.host_str().unwrap_or_default();
    let with_port = format!("{host}:{}", endpoint.port_or_known_default().unwrap_or_default());
    let here = match place.strip_prefix('*') {
        Some(end) => host.ends_with(end),
        None => place == host || place == with_port,
    };
    here && endpoint.path().trim_start_matches('/').starts_with(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_sends_to_the_addresses_of_its_examples() {
        let providers = Providers::read().unwrap();
        for row in &providers.0 {
            assert!(!row.example.is_empty(), "{}: no example", row.id);
            for example in &row.example {
                let endpoint: Url = example.endpoint.parse().unwrap();
                let found = providers.find(&row.provider, &endpoint).unwrap();
                assert_eq!(found.id, row.id, "{} belongs to another row", example.endpoint);
                let serves = row.serving(&example.model).unwrap_or_else(|| panic!("{}: {}", row.id, example.model));
                let url = serves.url(&endpoint, example.asks, &example.model).unwrap();
                assert_eq!(url.as_str(), example.url, "{}", row.id);
            }
            for asks in [Asks::Chat, Asks::Embeddings, Asks::Responses, Asks::CountTokens] {
                let offered = row.serves.iter().any(|serves| serves.offers(asks));
                let shown = row.example.iter().any(|example| example.asks == asks);
                assert_eq!(offered, shown, "{}: {asks:?} needs an example", row.id);
            }
        }
    }

    #[test]
    fn every_file_is_a_row_with_a_source() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/providers");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap().replace(".toml", ""))
            .collect();
        files.sort();
        let providers = Providers::read().unwrap();
        let mut rows: Vec<&str> = providers.0.iter().map(|row| row.id.as_str()).collect();
        rows.sort_unstable();
        assert_eq!(files, rows);
        for row in &providers.0 {
            assert!(row.source.starts_with("https://"), "{}", row.id);
            assert_eq!(row.price_source.is_some(), !row.prices.is_empty(), "{}: where are the prices from?", row.id);
            assert!(row.prices.iter().all(|known| known.price.input > 0.0), "{}", row.id);
        }
    }

    #[test]
    fn models_cost_what_the_nearest_name_says() {
        let row = |provider: &str, endpoint: &str| PROVIDERS.find(provider, &endpoint.parse().unwrap()).unwrap();
        let openai = row("openai", "https://api.openai.com");
        assert_eq!(openai.price("gpt-4o-mini").unwrap().output, 0.6);
        assert_eq!(openai.price("gpt-4o-2024-08-06"), openai.price("gpt-4o"));
        assert_eq!(openai.price("mine"), None);
        assert_eq!(row("openai", "http://127.0.0.1:1").price("gpt-4o"), openai.price("gpt-4o"));
        assert_eq!(row("azure", "https://x.openai.azure.com").price("gpt-4o"), openai.price("gpt-4o"));
        let anthropic = row("anthropic", "https://api.anthropic.com");
        assert_eq!(anthropic.price("claude-opus-4-5-20251101").unwrap().output, 25.0);
        let bedrock = row("bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com");
        let haiku = bedrock.price("eu.anthropic.claude-3-5-haiku-20241022-v1:0");
        assert_eq!(haiku, anthropic.price("claude-3-5-haiku-latest"));
        assert_eq!(row("ollama", "http://10.0.0.1:11434").price("llama3.2"), Some(Price::default()));
        assert!(bedrock.dearest().output >= 75.0);
    }

    #[test]
    fn an_operators_provider_is_known_by_its_host_then_by_its_name() {
        let id = |provider: &str, endpoint: &str| {
            PROVIDERS.find(provider, &endpoint.parse().unwrap()).map(|row| row.id.as_str())
        };
        assert_eq!(id("openai", "https://api.groq.com/openai/v1"), Some("groq"));
        assert_eq!(id("openai", "https://models.acme.io/v1"), Some("openai-compatible"));
        assert_eq!(id("anthropic", "https://proxy.acme.io"), Some("anthropic"));
        assert_eq!(id("gemini", "http://127.0.0.1:1"), Some("google"));
        assert_eq!(id("nobody", "http://127.0.0.1:1"), None);
        assert_eq!(PROVIDERS.auth("openai"), Some(&Auth::Bearer));
        assert_eq!(PROVIDERS.auth("gemini"), Some(&Auth::Header { name: "x-goog-api-key".into() }));
    }
}
