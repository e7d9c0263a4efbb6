//! Packages: which distribution an import asks for, by tables that are searched where they lie.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use rustc_hash::FxHashSet;
use serde::Deserialize;

use crate::facts::{Call, ExprKind, FileFacts, Function, Import};

/// A sorted table: key, tab, value, one a line; and where its lines begin, once somebody asks.
struct Table(&'static str, LazyLock<Vec<u32>>);

macro_rules! table {
    ($file:literal) => {
        Table(include_str!($file), LazyLock::new(|| lines_of(include_str!($file))))
    };
}

static TOP: Table = table!("../knowledge/packages/python-import-map.tsv");
static DOTTED: Table = table!("../knowledge/packages/python-import-map-dotted.tsv");
const RULES: &str = include_str!("../knowledge/packages/python-import-rules.tsv");

impl Table {
    /// Binary search over the text itself: hardly a start-up cost, whatever the size of the table.
    fn get(&self, key: &str) -> Option<&'static str> {
        let text = self.0.as_bytes();
        // The tab behind a line's key is less than whatever a longer key has there.
        let compare = |&start: &u32| {
            let line = &text[start as usize..];
            let begin = &line[..key.len().min(line.len())];
            begin.cmp(key.as_bytes()).then_with(|| line.get(key.len()).copied().unwrap_or(b'\t').cmp(&b'\t'))
        };
        let at = self.1.binary_search_by(compare).ok()?;
        self.0.get(self.1[at] as usize + key.len() + 1..)?.lines().next()
    }
}

/// Where the lines of a table begin.
fn lines_of(table: &str) -> Vec<u32> {
    let after = table.match_indices('\n').map(|(at, _)| at as u32 + 1);
    std::iter::once(0).chain(after).filter(|&start| (start as usize) < table.len()).collect()
}

/// The file was put there by a package manager: it is no part of what somebody wrote and submitted.
pub fn is_installed(path: &str) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').any(|folder| FOLDERS.installed.contains(folder))
}

/// The file tests something rather than doing the agent's work: its path says so, and what is in it.
pub fn is_test(path: &str, facts: &FileFacts) -> bool {
    let tests = &FOLDERS.tests;
    let imports = |import: &Import| tests.packages.iter().any(|package| *package == *import.module);
    let is_named = |function: &Function| {
        let name = function.name.map(|sym| facts.name(sym));
        name.is_some_and(|name| tests.functions.iter().any(|prefix| name.starts_with(prefix.as_str())))
    };
    let runs = |call: &Call| match *facts.kind(call.callee) {
        ExprKind::Name(sym) => tests.calls.iter().any(|name| name == facts.name(sym)),
        _ => false,
    };
    is_test_path(path)
        && (facts.imports.iter().any(imports) || facts.functions.iter().any(is_named) || facts.calls.iter().any(runs))
}

/// The path says that the file tests something.
pub fn is_test_path(path: &str) -> bool {
    let tests = &FOLDERS.tests;
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    folders.split('/').any(|folder| tests.folders.contains(folder))
        || tests.files.contains(stem)
        || tests.prefixes.iter().any(|prefix| stem.starts_with(prefix.as_str()))
        || tests.suffixes.iter().any(|suffix| stem.ends_with(suffix.as_str()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Folders {
    installed: FxHashSet<String>,
    tests: Tests,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tests {
    folders: FxHashSet<String>,
    files: FxHashSet<String>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    packages: Vec<String>,
    calls: Vec<String>,
    functions: Vec<String>,
}

static FOLDERS: LazyLock<Folders> = LazyLock::new(|| {
    toml::from_str(include_str!("../knowledge/packages/folders.toml")).expect("a test reads every embedded list")
});

/// The distribution that provides a Python module, if the tables know: the longest known prefix of the dotted name,
/// then the naming rules of its namespace, then its top-level module. `item` is what is imported from the module.
pub fn distribution(module: &str, item: Option<&str>) -> Option<Cow<'static, str>> {
    let mut parts: Vec<&str> = module.split('.').take(8).collect();
    // `from google.cloud import storage` names a module; a class would only mislead the rules.
    parts.extend(item.filter(|item| !item.contains(|c: char| c.is_ascii_uppercase())));
    let mut known = None;
    // Most imports are of no namespace that several distributions share.
    let shared = parts.first().is_some_and(|root| is_shared_namespace(root));
    for length in (2..=parts.len()).rev().take_while(|_| shared) {
        if let Some(name) = DOTTED.get(&parts[..length].join(".")) {
            known = Some((length, Cow::Borrowed(name)));
            break;
        }
    }
    let ruled = RULES.lines().filter(|_| shared).filter_map(|line| {
        let (pattern, template) = line.split_once('\t')?;
        let fixed = pattern.split('.').take_while(|part| !matches!(*part, "{}" | "*")).count();
        Some((fixed, pattern.split('.').count(), fill(pattern, template, &parts)?))
    });
    let ruled = ruled.max_by_key(|(fixed, length, _)| (*fixed, *length));
    match (known, ruled) {
        (Some((length, _)), Some((fixed, _, name))) if fixed >= length => Some(Cow::Owned(name)),
        (Some((_, name)), _) => Some(name),
        (None, Some((_, _, name))) => Some(Cow::Owned(name)),
        (None, None) => TOP.get(parts.first()?).map(Cow::Borrowed),
    }
}

/// Several distributions share the name: `google` is no package behind `google.oauth2`.
pub fn is_shared_namespace(root: &str) -> bool {
    NAMESPACES.contains(root)
}

/// `azure.mgmt.{}` over `azure.mgmt.compute` fills `azure-mgmt-{}`.
fn fill(pattern: &str, template: &str, parts: &[&str]) -> Option<String> {
    let first = pattern.split('.').next()?;
    if Some(&first) != parts.first() {
        return None;
    }
    let mut name = template.to_owned();
    let mut given = parts.iter();
    for expected in pattern.split('.') {
        let part = given.next()?;
        match expected {
            "*" => {}
            "{}" => name = name.replacen("{}", &normalize(unversioned(part)), 1),
            fixed if fixed == *part => {}
            _ => return None,
        }
    }
    Some(name)
}

/// `speech_v1p1beta1` is a version of `speech`.
fn unversioned(part: &str) -> &str {
    match part.rsplit_once("_v") {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => name,
        _ => part,
    }
}

/// Names of Python distributions are equal when this is (PEP 503).
pub fn normalize(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// Whether the tables know the top-level module.
pub fn is_known_python(root: &str) -> bool {
    TOP.get(root).is_some() || NAMESPACES.contains(root)
}

static NAMESPACES: LazyLock<FxHashSet<&str>> =
    LazyLock::new(|| DOTTED.0.lines().chain(RULES.lines()).filter_map(|line| line.split('.').next()).collect());

/// Part of the standard library of some supported version.
pub fn is_python_stdlib(root: &str) -> bool {
    LISTS.python_stdlib.contains(root)
}

/// What a JavaScript runtime brings itself: `fs`, `fs/promises`, `node:test`, `cloudflare:workers`.
pub fn is_javascript_builtin(specifier: &str) -> bool {
    let root = specifier.split('/').next().unwrap_or(specifier);
    LISTS.node.schemes.iter().any(|scheme| specifier.starts_with(scheme))
        || LISTS.node.modules.contains(root)
        || LISTS.node.runtimes.contains(specifier)
}

/// How an undeclared package is written by the documents: `openai>=1.0`.
pub fn documented_specifier(name: &str) -> Option<&'static str> {
    LISTS.specifiers.pypi.get(name).map(String::as_str)
}

/// Other distributions that provide the same import.
pub fn alternatives(name: &str) -> &'static [String] {
    LISTS.alternatives.pypi.get(name).map_or(&[], Vec::as_slice)
}

/// Packages that come with a declared one on purpose: `crewai[tools]` brings `crewai-tools`.
pub fn covered_by(name: &str, extras: &[String]) -> impl Iterator<Item = &'static str> {
    let with_extras = extras.iter().map(|extra| format!("{name}[{extra}]"));
    let keys: Vec<String> = std::iter::once(name.to_owned()).chain(with_extras).collect();
    keys.into_iter().filter_map(|key| LISTS.alternatives.covers.get(&key)).flatten().map(String::as_str)
}

/// Works without being imported: a server, a linter, a driver.
pub fn is_python_tool(name: &str) -> bool {
    LISTS.tools.pypi.iter().any(|pattern| is_like(pattern, name))
}

/// Works without being imported: a bundler, a linter, types.
pub fn is_npm_tool(name: &str) -> bool {
    LISTS.tools.npm.iter().any(|pattern| is_like(pattern, name))
}

/// Whether a group or file of a manifest serves development.
pub fn is_dev_group(name: &str) -> bool {
    name.split(['-', '_', '.', '/']).any(|word| LISTS.tools.dev_groups.contains(word))
}

/// Whether projects commonly name their own modules so.
pub fn is_own_module_name(root: &str) -> bool {
    LISTS.tools.own_modules.contains(root)
}

fn is_like(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (_, Some(start)) => name.starts_with(start),
        _ => pattern == name,
    }
}

struct Lists {
    python_stdlib: FxHashSet<String>,
    node: Node,
    specifiers: Specifiers,
    alternatives: Alternatives,
    tools: Tools,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PythonStdlib {
    always: Vec<String>,
    added: BTreeMap<String, Vec<String>>,
    removed: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    modules: FxHashSet<String>,
    schemes: Vec<String>,
    runtimes: FxHashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Specifiers {
    pypi: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alternatives {
    pypi: BTreeMap<String, Vec<String>>,
    covers: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tools {
    pypi: Vec<String>,
    npm: Vec<String>,
    dev_groups: FxHashSet<String>,
    own_modules: FxHashSet<String>,
}

macro_rules! list {
    ($file:literal) => {
        toml::from_str(include_str!(concat!("../knowledge/packages/", $file)))
            .expect("a test reads every embedded list")
    };
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let stdlib: PythonStdlib = list!("python-stdlib.toml");
    let versions = stdlib.added.into_values().chain(stdlib.removed.into_values());
    Lists {
        python_stdlib: stdlib.always.into_iter().chain(versions.flatten()).collect(),
        node: list!("node-builtins.toml"),
        specifiers: list!("specifiers.toml"),
        alternatives: list!("alternatives.toml"),
        tools: list!("tools.toml"),
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_folder_and_name() {
        for path in
            ["tests/a.py", "src/__tests__/a.ts", "a/test_x.py", "a/x_test.py", "x.test.ts", "x.spec.js", "conftest.py"]
        {
            assert!(is_test_path(path), "{path}");
        }
        for path in ["latest.py", "src/contest.ts", "testimonials/a.py", "attest_x.py"] {
            assert!(!is_test_path(path), "{path}");
        }
    }

    #[test]
    fn every_line_of_a_table_is_found_again() {
        for table in [&TOP, &DOTTED] {
            for line in table.0.lines() {
                let (key, value) = line.split_once('\t').expect("a tab");
                assert_eq!(table.get(key), Some(value), "{key}: the table is sorted by bytes, without doubles");
                assert_eq!(normalize(value), value, "{key}: distributions are written in their normal form");
            }
            assert_eq!(table.get(""), None);
            assert_eq!(table.get("\u{10ffff}"), None);
            assert_eq!(table.get("zzzzzzzz.unknown"), None);
        }
    }

    #[test]
    fn the_longest_name_decides() {
        for (module, item, expected) in [
            ("PIL.Image", None, "pillow"),
            ("google.cloud", Some("storage"), "google-cloud-storage"),
            ("google.cloud.speech_v1p1beta1", None, "google-cloud-speech"),
            ("google", Some("genai"), "google-genai"),
            ("google.adk.agents", Some("LlmAgent"), "google-adk"),
            ("google.generativeai", None, "google-generativeai"),
            ("google.api_core.exceptions", None, "google-api-core"),
            ("azure.identity.aio", None, "azure-identity"),
            ("azure.ai.projects", None, "azure-ai-projects"),
            ("azure.storage.blob", Some("BlobServiceClient"), "azure-storage-blob"),
            ("azure.mgmt.compute.models", None, "azure-mgmt-compute"),
            ("azure.core.credentials", None, "azure-core"),
            ("opentelemetry", Some("trace"), "opentelemetry-api"),
            ("opentelemetry.sdk.trace.export", None, "opentelemetry-sdk"),
            ("opentelemetry.instrumentation.flask", None, "opentelemetry-instrumentation-flask"),
            ("opentelemetry.exporter.otlp.proto.http.trace_exporter", None, "opentelemetry-exporter-otlp-proto-http"),
            ("llama_index.core.agent", None, "llama-index-core"),
            ("llama_index.llms.openai_like", None, "llama-index-llms-openai-like"),
            ("llama_index", Some("VectorStoreIndex"), "llama-index"),
            ("haystack_integrations.components.generators.google_genai", None, "google-genai-haystack"),
            ("haystack_integrations.tools.mcp", None, "mcp-haystack"),
            ("langgraph.checkpoint.memory", None, "langgraph"),
            ("langgraph.checkpoint.sqlite.aio", None, "langgraph-checkpoint-sqlite"),
            ("langchain_community.tools", None, "langchain-community"),
            ("agents", Some("Agent"), "openai-agents"),
            ("airflow.providers.amazon", None, "apache-airflow-providers-amazon"),
        ] {
            assert_eq!(distribution(module, item).as_deref(), Some(expected), "{module} {item:?}");
        }
        assert_eq!(distribution("no_such_module_at_all", None), None);
    }

    #[test]
    fn standard_libraries_are_never_packages() {
        for root in ["os", "tomllib", "distutils", "imp", "asynchat", "compression", "annotationlib", "__future__"] {
            assert!(is_python_stdlib(root), "{root}");
        }
        for specifier in ["fs", "fs/promises", "node:test", "cloudflare:workers", "bun:sqlite", "bun"] {
            assert!(is_javascript_builtin(specifier), "{specifier}");
        }
        assert!(!is_javascript_builtin("fs-extra"));
    }

    #[test]
    fn documented_pins_are_kept() {
        assert_eq!(documented_specifier("openai"), Some("openai>=1.0"));
        assert_eq!(documented_specifier("fastapi"), Some("fastapi[standard]"));
        assert_eq!(documented_specifier("flask"), None);
    }

    #[test]
    fn families_of_tools_are_named_by_pattern() {
        assert!(is_python_tool("pytest-asyncio") && is_python_tool("pandas-stubs") && !is_python_tool("pandas"));
        assert!(is_npm_tool("@types/node") && !is_npm_tool("openai"));
        assert!(is_dev_group("requirements-dev") && !is_dev_group("requirements"));
    }
}
