//! Documents name files, settings and paths of the API; all of them exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tree::{files, root, text};

fn documents() -> Vec<(String, String)> {
    let is_document = |path: &Path| {
        let markdown = path.extension().is_some_and(|extension| extension == "md");
        markdown && (path.starts_with("docs") || path.components().count() == 1)
    };
    let paths = files("").into_iter().filter(|path| is_document(path));
    paths.map(|path| (path.display().to_string(), text(&path).unwrap())).collect()
}

/// What stands between backticks, outside of code blocks.
fn quoted(document: &str) -> BTreeSet<&str> {
    let mut words = BTreeSet::new();
    let mut in_block = false;
    for line in document.lines() {
        in_block ^= line.trim_start().starts_with("```");
        if !in_block {
            words.extend(line.split('`').skip(1).step_by(2));
        }
    }
    words
}

/// A path of the tree: it begins with a top-level entry and holds no placeholder.
fn names_a_file(word: &str) -> bool {
    let top = ["crates/", "docs/", "fixtures/", "tests/", "benches/", ".ci/", ".cargo/"];
    let placeholder = word.contains(['<', '>', '*', '{', ' ', '…']);
    !placeholder && (top.iter().any(|top| word.starts_with(top)) || ["Cargo.toml", "README.md"].contains(&word))
}

#[test]
fn files_that_documents_name_exist() {
    let documents = documents();
    assert!(
        ["README.md", "docs/ARCHITECTURE.md", "docs/ADDING.md", "docs/DECISIONS.md"]
            .iter()
            .all(|name| documents.iter().any(|(document, _)| document == name))
    );
    for (document, text) in &documents {
        for word in quoted(text).into_iter().filter(|word| names_a_file(word)) {
            assert!(root().join(word).exists(), "{document} names {word}");
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (document, text) in documents() {
        let folder = Path::new(&document).parent().unwrap().to_path_buf();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(root().join(&folder).join(path).exists(), "{document} links to {link}");
        }
    }
}

#[test]
fn every_module_of_the_servers_has_its_line_in_the_map() {
    let map = text("docs/ARCHITECTURE.md".as_ref()).unwrap();
    let servers =
        ["crates/agent-runner/src", "crates/ingestion-server/src", "crates/llm-gateway/src", "crates/platform-api/src"];
    for folder in servers.into_iter().chain(["crates/agentlint/src", "crates/xtask/src"]) {
        for file in files(folder) {
            let name = file.display().to_string();
            let plain = name.ends_with("/mod.rs") || name.ends_with("/lib.rs") || name.ends_with("/main.rs");
            assert!(plain || map.contains(&format!("`{name}`")), "docs/ARCHITECTURE.md has no line for `{name}`");
        }
    }
}
