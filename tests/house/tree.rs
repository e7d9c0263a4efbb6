//! The files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder`, as paths from the root, except what builds and tools leave behind.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if [".git", "target", "node_modules"].iter().any(|skipped| name == *skipped) {
                continue;
            }
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path().strip_prefix(root()).unwrap().to_path_buf()),
            }
        }
    }
    files.sort();
    files
}

/// Rust files below `folder`, with their text up to their own tests.
pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let rust = files(folder).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| {
        let text = text(&path).unwrap_or_default();
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_string();
        (path, text)
    })
    .collect()
}

/// A file's text, if it is one.
pub fn text(path: &Path) -> Option<String> {
    String::from_utf8(fs::read(root().join(path)).ok()?).ok()
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let homes = [["/ho", "me/"].concat(), ["/Us", "ers/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    let here = [format!("{}/", root().display())];
    for path in files("") {
        // What users submit may name their machines; knowledge and its examples are about such text.
        let about_users = path.starts_with("fixtures") || path.starts_with("crates/analyzer-core");
        let homes = if about_users { &[] } else { &homes[..] };
        let Some(text) = text(&path) else { continue };
        for (n, line) in text.lines().enumerate() {
            let found = homes.iter().chain(&here).find(|home| line.contains(home.as_str()));
            assert!(found.is_none(), "{}:{}: {}", path.display(), n + 1, line.trim());
        }
    }
}
