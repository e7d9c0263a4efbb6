//! Enrichment: what a model may add to an analysis. Optional, off by default, marked, and never in place of a finding.

pub mod client;

use std::collections::HashSet;

use analyzer_core::analysis::{Analysis, Confidence, Note, Prompt, Step, Tool, ToolKind};
use analyzer_core::{Language, Options, Sources};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use client::{Client, TASK, question, read};

/// What marks a suggestion.
pub const SOURCE: &str = "llm";

/// Tools that one suggestion may add.
const MOST_TOOLS: usize = 20;
/// Characters of a tool's description.
const LONGEST_DESCRIPTION: usize = 300;
/// Bytes of a suggested prompt.
const LONGEST_PROMPT: usize = 16 << 10;

/// Who can suggest: a model behind an endpoint, or a test's own.
pub trait Enricher: Send + Sync {
    /// What the model says about the agent, for whoever is named.
    fn suggest<'a>(
        &'a self,
        whose: &'a str,
        excerpt: &'a Excerpt,
    ) -> BoxFuture<'a, Result<Suggestion, EnrichmentError>>;

    /// Bytes of source text that it is shown.
    fn source_bytes(&self) -> usize;
}

/// What a model is shown: source text without credentials, and what is known already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// Names of the tools that were found.
    pub known_tools: Vec<String>,
    /// A system prompt was found.
    pub has_prompt: bool,
    /// The program's files, the entry point first.
    pub files: Vec<Shown>,
}

/// A file as a model is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Path as submitted.
    pub path: String,
    /// Text without credentials, cut at the limit.
    pub text: String,
}

/// What a model answers: JSON of this shape and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    /// A system prompt for the agent; empty for none.
    #[serde(default)]
    pub system_prompt: String,
    /// Tools that the analyzer did not see.
    #[serde(default)]
    pub tools: Vec<SuggestedTool>,
}

/// A tool that a model sees.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuggestedTool {
    /// Its name.
    pub name: String,
    /// File that it was seen in.
    pub file: String,
    /// Line there.
    pub line: u32,
    /// What it does.
    #[serde(default)]
    pub description: String,
}

/// Why there is no suggestion. The text goes into the answer's note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrichmentError {
    /// No answer in time.
    #[error("the model did not answer within the time that enrichment has")]
    Slow,
    /// No connection, or one that broke.
    #[error("the model's endpoint could not be reached")]
    Unreachable,
    /// Another status than 200.
    #[error("the model's endpoint answered with status {0}")]
    Status(u16),
    /// More than anyone would read.
    #[error("the model's answer was larger than {0} bytes")]
    TooLarge(usize),
    /// There is nobody to ask.
    #[error("no model provider with credentials serves the model that is to be asked")]
    NoModel,
    /// Whoever asks for us did not.
    #[error("the model was not asked or did not answer: {0}")]
    Refused(String),
    /// Not what was asked for.
    #[error("the model's answer was not the JSON that it was asked for")]
    NotUnderstood,
}

impl Excerpt {
    /// Of the program's files, as many bytes as `limit` allows. Nothing of it is a credential.
    pub fn new(sources: &Sources, analysis: &Analysis, options: &Options, limit: usize) -> Excerpt {
        let redacted = analyzer_core::redacted(sources, options);
        let mut files: Vec<_> = redacted.files().iter().filter(|file| file.language != Language::Text).collect();
        files.sort_by_key(|file| (*file.path != *analysis.entry_point, file.path.clone()));
        let mut left = limit;
        let mut shown = Vec::new();
        for file in files {
            let end = file.text.floor_char_boundary(left.min(file.text.len()));
            if end > 0 {
                shown.push(Shown { path: file.path.to_string(), text: file.text[..end].to_owned() });
            }
            left -= end;
        }
        Excerpt {
            known_tools: analysis.tools.iter().map(|tool| tool.name.clone()).collect(),
            has_prompt: !analysis.system_prompt_suggestion.is_empty(),
            files: shown,
        }
    }

    fn has_line(&self, path: &str, line: u32) -> bool {
        self.files.iter().any(|file| file.path == path && (1..=file.text.lines().count()).contains(&(line as usize)))
    }
}

/// The analysis with what the suggestion may add. Findings stay as they are.
pub fn merge(mut analysis: Analysis, suggestion: Suggestion, excerpt: &Excerpt) -> Analysis {
    let mut known: HashSet<String> = analysis.tools.iter().map(|tool| plain(&tool.name)).collect();
    let evidence = |what: &str, file: &str, line| vec![Step { what: what.into(), file: file.into(), line }];
    for tool in suggestion.tools.into_iter().take(MOST_TOOLS) {
        if !is_name(&tool.name) || !excerpt.has_line(&tool.file, tool.line) || !known.insert(plain(&tool.name)) {
            continue;
        }
        let description: String =
            tool.description.chars().filter(|c| !c.is_control()).take(LONGEST_DESCRIPTION).collect();
        analysis.tools.push(Tool {
            evidence: evidence("suggested by a model", &tool.file, tool.line),
            name: tool.name,
            // The one kind that needs no address, credentials or policy: a guess must not ask for them.
            kind: ToolKind::Function,
            file: tool.file,
            line: tool.line,
            base_url: None,
            detected_url_pattern: None,
            default_url: None,
            service: None,
            description: Some(description).filter(|text| !text.is_empty()),
            source: Some(SOURCE.into()),
            confidence: Confidence::Low,
            call_sites: Vec::new(),
        });
    }
    analysis.tools.sort_by(|a, b| (&a.file, a.line, &a.name, a.kind).cmp(&(&b.file, b.line, &b.name, b.kind)));
    let prompt = suggestion.system_prompt.trim();
    if analysis.system_prompt_suggestion.is_empty() && !prompt.is_empty() && prompt.len() <= LONGEST_PROMPT {
        analysis.system_prompt_suggestion = prompt.to_owned();
        analysis.prompts.insert(
            0,
            Prompt {
                text: prompt.to_owned(),
                file: String::new(),
                line: 0,
                used_by: String::new(),
                source: Some(SOURCE.into()),
                evidence: evidence("suggested by a model", "", 0),
            },
        );
    }
    analysis
}

/// The analysis as it was, with the reason why nothing was added.
pub fn without(mut analysis: Analysis, error: &EnrichmentError) -> Analysis {
    let message = format!("{error}; the findings of the analyzer are complete without it");
    analysis.notes.push(Note { file: String::new(), line: 0, code: "enrichment".into(), message });
    analysis.notes.sort();
    analysis
}

/// Two names of one tool: `get_weather`, `Get-Weather`, `getWeather`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str =
        "import requests\n\ndef get_weather(city):\n    return requests.get('https://api.weather.io/now')\n";

    fn analyzed() -> (Analysis, Excerpt) {
        let sources = Sources::new([("agent.py", AGENT)]).unwrap();
        let analysis = analyzer_core::analyze(&sources, &Options::default());
        let excerpt = Excerpt::new(&sources, &analysis, &Options::default(), 10_000);
        (analysis, excerpt)
    }

    fn tool(name: &str, file: &str, line: u32) -> SuggestedTool {
        SuggestedTool { name: name.into(), file: file.into(), line, description: "It\u{7} helps.".into() }
    }

    fn names(analysis: &Analysis) -> Vec<(&str, bool)> {
        analysis.tools.iter().map(|tool| (tool.name.as_str(), tool.source.is_some())).collect()
    }

    #[test]
    fn a_suggestion_adds_and_never_replaces() {
        let (analysis, excerpt) = analyzed();
        let found = analysis.tools[0].clone();
        let tools = vec![tool("Weather_API", "agent.py", 1), tool("get_weather", "agent.py", 3)];
        let enriched = merge(analysis, Suggestion { tools, ..Suggestion::default() }, &excerpt);
        assert_eq!(names(&enriched), [("get_weather", true), ("weather-api", false)]);
        assert_eq!(enriched.tools[1], found);
        assert_eq!(enriched.tools[0].description.as_deref(), Some("It helps."));
        assert_eq!(enriched.tools[0].confidence, Confidence::Low);
    }

    #[test]
    fn what_cannot_be_is_dropped() {
        let (analysis, excerpt) = analyzed();
        let before = analysis.clone();
        let tools = vec![
            tool("no such file", "agent.py", 1),
            tool("elsewhere", "other.py", 1),
            tool("too_far", "agent.py", 5),
            tool("nowhere", "agent.py", 0),
            tool("", "agent.py", 1),
            tool(&"x".repeat(65), "agent.py", 1),
        ];
        let system_prompt = "x".repeat(LONGEST_PROMPT + 1);
        assert_eq!(merge(analysis, Suggestion { tools, system_prompt }, &excerpt), before);
    }

    #[test]
    fn many_tools_are_a_few() {
        let (analysis, excerpt) = analyzed();
        let tools = (0..1_000).map(|n| tool(&format!("tool_{n}"), "agent.py", 1)).collect();
        let enriched = merge(analysis, Suggestion { tools, ..Suggestion::default() }, &excerpt);
        assert_eq!(enriched.tools.len(), 1 + MOST_TOOLS);
    }

    #[test]
    fn a_prompt_is_suggested_only_where_the_code_has_none() {
        let suggestion = || Suggestion { system_prompt: " Be kind.\n".into(), ..Suggestion::default() };
        let (mut analysis, excerpt) = analyzed();
        let enriched = merge(analysis.clone(), suggestion(), &excerpt);
        assert_eq!(enriched.system_prompt_suggestion, "Be kind.");
        assert_eq!(enriched.prompts[0].source.as_deref(), Some(SOURCE));
        analysis.system_prompt_suggestion = "You sell bicycles.".into();
        assert_eq!(merge(analysis.clone(), suggestion(), &excerpt), analysis);
    }

    #[test]
    fn an_excerpt_begins_with_the_entry_point_and_ends_at_the_limit() {
        let sources = Sources::new([("a.py", "x = 'é'\n"), ("main.py", "print(1)\n"), ("notes.md", "text")]).unwrap();
        let analysis = Analysis { entry_point: "main.py".into(), ..Analysis::default() };
        let of = |limit| {
            let files = Excerpt::new(&sources, &analysis, &Options::default(), limit).files;
            files.into_iter().map(|file| (file.path, file.text)).collect::<Vec<_>>()
        };
        let main = ("main.py".to_owned(), "print(1)\n".to_owned());
        assert_eq!(of(100), [main.clone(), ("a.py".into(), "x = 'é'\n".into())]);
        assert_eq!(of(15), [main, ("a.py".into(), "x = '".into())]);
    }

    #[test]
    fn a_credential_is_masked_in_every_file_and_files_that_hide_one_are_left_out() {
        let key = ["gsk", "_4fTq8Zr2Lw6Xn1Vb9Ks3Hj7Pd5Mc0Ya4fTq8Zr2Lw6Xn1Vb9Ks3"].concat();
        let password = "q9Zt4vLm2XwP7rKd";
        let agent = format!("import os\nGROQ_API_KEY = '{key}'\nprint('{password}')\n");
        let settings = format!("DB_PASSWORD={password}\n");
        let parts = format!("A = '{}'\nB = '{}'\ngroq_api_key = A + B\n", &key[..20], &key[20..]);
        let sources = Sources::new([("agent.py", &*agent), (".env", &settings), ("parts.py", &parts)]).unwrap();
        let analysis = analyzer_core::analyze(&sources, &Options::default());
        let excerpt = Excerpt::new(&sources, &analysis, &Options::default(), 10_000);
        let text = serde_json::to_string(&excerpt).unwrap();
        assert!(excerpt.files[0].text.starts_with("import os\nGROQ_API_KEY = '"), "{text}");
        for secret in [&key, password, &key[20..], &key[4..20]] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
