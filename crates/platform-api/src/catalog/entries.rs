//! Entries: the agents of the catalog, embedded, each a folder with its manifest and its sources; older versions of it are
//! whole folders of the same kind below its `versions`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The manifest's name among the files of an entry.
const MANIFEST: &str = "agent.toml";

/// Path below `catalog/`, and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog_files.rs"));

/// The folder of older versions in the folder of an entry.
const OLDER: &str = "versions/";

/// All entries, by id.
pub static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let manifests = FILES.iter().filter_map(|(path, _)| path.strip_suffix("/agent.toml"));
    manifests.filter(|folder| !folder.contains('/')).map(Entry::new).collect()
});

/// One agent of the catalog.
#[derive(Debug)]
pub struct Entry {
    /// The name of its folder.
    pub id: &'static str,
    /// Its versions, newest first.
    pub editions: Vec<Edition>,
}

/// One version of an agent, whole.
#[derive(Debug)]
pub struct Edition {
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
#[derive(Debug, PartialEq, Eq, Deserialize)]
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
    fn new(id: &'static str) -> Entry {
        let latest = Edition::new(id);
        let older = latest.manifest.versions[1..].iter().map(|version| format!("{id}/{OLDER}{}", version.version));
        let older: Vec<_> = older.map(|folder| Edition::new(&folder)).collect();
        Entry { id, editions: std::iter::once(latest).chain(older).collect() }
    }

    /// The version that one gets.
    pub fn latest(&self) -> &Edition {
        &self.editions[0]
    }

    /// The version of that number.
    pub fn edition(&self, version: &str) -> Option<&Edition> {
        self.editions.iter().find(|edition| edition.version() == version)
    }
}

impl Edition {
    /// What is in a folder, older versions aside.
    fn new(folder: &str) -> Edition {
        let own = |path: &&'static str| path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        let files = FILES.iter().filter_map(|(path, text)| Some((own(path)?, *text)));
        let mut files: BTreeMap<_, _> = files.filter(|(path, _)| !path.starts_with(OLDER)).collect();
        let text = files.remove(MANIFEST).unwrap_or_else(|| panic!("catalog/{folder}/{MANIFEST} is missing"));
        let manifest = toml::from_str(text).unwrap_or_else(|error| panic!("catalog/{folder}/{MANIFEST}: {error}"));
        Edition { manifest, files }
    }

    /// Its number.
    pub fn version(&self) -> &str {
        &self.manifest.versions[0].version
    }
}

#[cfg(test)]
mod tests {
    use analyzer_core::analysis::ToolKind;
    use analyzer_core::{Options, Sources, analyze};

    use super::*;
    use crate::names::is_name;

    /// Every version of every agent.
    fn all() -> impl Iterator<Item = (&'static str, &'static Edition)> {
        ENTRIES.iter().flat_map(|entry| entry.editions.iter().map(|edition| (entry.id, edition)))
    }

    #[test]
    fn the_analyzer_finds_in_each_agent_what_its_manifest_says() {
        assert!(ENTRIES.len() >= 5);
        for (id, Edition { manifest, files }) in all() {
            let analysis = analyze(&Sources::new(files.clone()).unwrap(), &Options::default());
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
        for (id, Edition { manifest, files }) in all() {
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
    #[test]
    fn an_older_version_is_the_one_that_its_successors_name() {
        assert!(ENTRIES.iter().filter(|entry| entry.editions.len() > 1).count() >= 2);
        for Entry { id, editions } in ENTRIES.iter() {
            for pair in editions.windows(2) {
                let (newer, older) = (&pair[0].manifest.versions, &pair[1].manifest.versions);
                assert_eq!(newer[1..], older[..], "{id}");
                assert_ne!(pair[0].files, pair[1].files, "{id}");
            }
        }
        let folders = FILES.iter().filter(|(path, _)| path.ends_with("/agent.toml"));
        assert_eq!(folders.count(), all().count(), "a folder of a version that no manifest names");
    }
}
