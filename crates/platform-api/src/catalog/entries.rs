//! Entries: the agents of the catalog, embedded, each a folder with its manifest and its sources.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The manifest's name among the files of an entry.
const MANIFEST: &str = "agent.toml";

/// Path below `catalog/`, and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog_files.rs"));

/// All entries, by id.
pub static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let manifests = FILES.iter().filter_map(|(path, text)| Some((path.strip_suffix("/agent.toml")?, text)));
    manifests.map(|(id, text)| Entry::new(id, text)).collect()
});

/// One agent of the catalog.
#[derive(Debug)]
pub struct Entry {
    /// The name of its folder.
    pub id: &'static str,
    /// What its manifest says.
    pub manifest: Manifest,
    /// Its sources by path.
    pub files: BTreeMap<&'static str, &'static str>,
}

/// What `agent.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// For people.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Some more.
    pub description: String,
    /// One word.
    pub category: String,
    /// More words.
    pub tags: Vec<String>,
    /// `simple`, `intermediate` or `advanced`.
    pub complexity: String,
    /// What makes it easy to govern.
    pub governance_traits: Vec<String>,
    /// Services that it needs.
    pub required_integrations: Vec<String>,
    /// Where it starts.
    pub entry_point: String,
    /// The model that it is made for.
    pub default_model: String,
    /// What the analyzer finds: `chat gpt-4o-mini`.
    pub models: Vec<String>,
    /// What a deploy is filled in with.
    pub template: Template,
    /// Newest first.
    #[serde(rename = "version")]
    pub versions: Vec<Version>,
}

/// What a deploy is filled in with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The agent's name.
    pub agent_name: String,
    /// Its system prompt.
    pub system_prompt: String,
    /// Tools that it calls.
    pub required_tools: Vec<String>,
    /// Tools that it can do without.
    #[serde(default)]
    pub recommended_tools: Vec<String>,
}

/// A version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// As semantic versioning counts.
    pub version: String,
    /// RFC 3339.
    pub published_at: String,
    /// One line.
    pub summary: String,
    /// What changed.
    pub changelog: String,
}

impl Entry {
    fn new(id: &'static str, text: &str) -> Entry {
        let manifest = toml::from_str(text).unwrap_or_else(|error| panic!("catalog/{id}/{MANIFEST}: {error}"));
        let own = |path: &&'static str| path.strip_prefix(id).and_then(|rest| rest.strip_prefix('/'));
        let files = FILES.iter().filter_map(|(path, text)| Some((own(path)?, *text)));
        Entry { id, manifest, files: files.filter(|(path, _)| *path != MANIFEST).collect() }
    }

    /// The version that one gets.
    pub fn latest(&self) -> &Version {
        &self.manifest.versions[0]
    }
}

#[cfg(test)]
mod tests {
    use analyzer_core::analysis::ToolKind;
    use analyzer_core::{Options, Sources, analyze};

    use super::*;
    use crate::names::is_name;

    #[test]
    fn the_analyzer_finds_in_each_agent_what_its_manifest_says() {
        assert!(ENTRIES.len() >= 5);
        for entry in ENTRIES.iter() {
            let (id, manifest) = (entry.id, &entry.manifest);
            let analysis = analyze(&Sources::new(entry.files.clone()).unwrap(), &Options::default());
            assert_eq!(analysis.entry_point, manifest.entry_point, "{id}");
            let mut tools: Vec<_> = analysis
                .tools
                .iter()
                .filter(|tool| tool.kind != ToolKind::Function)
                .map(|tool| tool.name.clone())
                .collect();
            tools.sort();
            tools.dedup();
            let mut required = manifest.template.required_tools.clone();
            required.sort();
            assert_eq!(tools, required, "{id}");
            let mut models: Vec<_> = analysis
                .model_usages
                .iter()
                .map(|usage| {
                    let role = format!("{:?}", usage.role).to_lowercase().replace("default", "chat");
                    format!("{role} {}", usage.model.as_deref().unwrap_or("?"))
                })
                .collect();
            models.sort();
            models.dedup();
            assert_eq!(models, manifest.models, "{id}");
            assert!(analysis.secrets.is_empty() && analysis.notes.is_empty(), "{id}: {:?}", analysis.notes);
            let prompt = &manifest.template.system_prompt;
            assert_eq!(&analysis.system_prompt_suggestion, prompt, "{id}");
        }
    }

    #[test]
    fn manifests_are_sound() {
        for entry in ENTRIES.iter() {
            let Entry { id, manifest, files } = entry;
            assert!(is_name(id) && is_name(&manifest.template.agent_name), "{id}");
            assert!(files.contains_key(manifest.entry_point.as_str()), "{id}");
            assert!(manifest.models.iter().any(|model| model.ends_with(&manifest.default_model)), "{id}");
            assert!(["simple", "intermediate", "advanced"].contains(&manifest.complexity.as_str()), "{id}");
            let mut numbers: Vec<Vec<u64>> = Vec::new();
            for version in &manifest.versions {
                numbers.push(version.version.split('.').map(|part| part.parse().unwrap()).collect());
                assert!(version.published_at.parse::<jiff::Timestamp>().is_ok(), "{id}");
            }
            assert!(!numbers.is_empty() && numbers.is_sorted_by(|a, b| a > b), "{id}: newest first");
        }
    }
}
