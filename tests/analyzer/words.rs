//! An analysis in the words of examples and snippets.

use analyzer_core::Analysis;

/// A finding in words, and where it stands.
pub struct Said {
    /// `model openai gpt-4o chat`, `tool crm env`, `host api.acme.io`, `secret api_key openai`.
    pub words: String,
    /// File and line; none for what has no single place.
    pub place: Option<(String, u32)>,
}

/// Everything that examples and snippets can speak of.
pub fn said(analysis: &Analysis) -> Vec<Said> {
    let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_ascii_lowercase();
    let mut all = Vec::new();
    let mut say = |words: String, place: Option<(&str, u32)>| {
        all.push(Said { words, place: place.map(|(file, line)| (file.to_owned(), line)) });
    };
    for usage in &analysis.model_usages {
        let model = usage.model.as_deref().unwrap_or("?");
        say(format!("model {} {model} {}", usage.provider, word(&usage.role)), Some((&usage.file, usage.line)));
        for other in &usage.alternatives {
            say(format!("or {} {other}", usage.provider), Some((&usage.file, usage.line)));
        }
    }
    for tool in &analysis.tools {
        say(format!("tool {} {}", tool.name, word(&tool.kind)), Some((&tool.file, tool.line)));
        for site in &tool.call_sites {
            if let (Some(method), Some(path)) = (&site.method, &site.path) {
                say(format!("call {method} {path}"), Some((&site.file, site.line)));
            }
        }
    }
    for secret in &analysis.secrets {
        let provider = secret.provider.as_deref().unwrap_or("?");
        say(format!("secret {} {provider}", secret.kind), Some((&secret.file, secret.line)));
    }
    analysis.outbound_destinations.iter().for_each(|host| say(format!("host {host}"), None));
    analysis
        .prompts
        .iter()
        .for_each(|prompt| say(format!("prompt {}", prompt.text), Some((&prompt.file, prompt.line))));
    analysis.frameworks.iter().for_each(|framework| say(format!("framework {}", framework.name), None));
    analysis.detected_requirements.iter().for_each(|specifier| say(format!("requirement {specifier}"), None));
    analysis.optional_requirements.iter().for_each(|specifier| say(format!("optional {specifier}"), None));
    analysis.env_vars.iter().for_each(|env| say(format!("env {}", env.name), Some((&env.file, env.line))));
    analysis.notes.iter().for_each(|note| say(format!("note {}", note.code), Some((&note.file, note.line))));
    say(format!("entry {}", analysis.entry_point), None);
    all
}

/// Kinds of finding of which every one must be expected.
pub fn is_complete_kind(words: &str) -> bool {
    ["model ", "tool ", "host ", "secret "].iter().any(|kind| words.starts_with(kind))
}
