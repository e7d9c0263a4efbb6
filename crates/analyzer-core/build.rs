//! Lists `knowledge/**/*.toml` for `include_str!`, so that a new entry is a new file and nothing else.
//!
//! The same entries as JSON, without their examples: reading TOML took every process 10 ms to begin with.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script everything in its environment")]

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new("knowledge");
    println!("cargo::rerun-if-changed=knowledge");
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    let (mut entries, mut issuers) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|file| !file.starts_with("knowledge/packages")) {
        let name = file.to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file).expect("the file is there");
        let mut entry: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        ["example", "finds", "passes"].iter().for_each(|examples| drop(entry.remove(*examples)));
        match file.starts_with("knowledge/secrets") {
            true => issuers.push(entry),
            false => entries.push((name, entry)),
        }
    }
    let folder = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let write = |name: &str, json: Result<String, serde_json::Error>| {
        let json = json.expect("TOML's values are JSON's");
        fs::write(folder.join(name), json).expect("the output folder is writable");
    };
    write("knowledge_entries.json", serde_json::to_string(&entries));
    write("knowledge_issuers.json", serde_json::to_string(&issuers));
    // The folder is that of the compilation: two clones may share what was built.
    let mut out = String::from("&[\n");
    for file in files {
        let name = file.to_string_lossy().replace('\\', "/");
        let path = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?})", format!("/{name}"));
        out.push_str(&format!("    ({name:?}, include_str!({path})),\n"));
    }
    out.push_str("]\n");
    fs::write(folder.join("knowledge_files.rs"), out).expect("the output folder is writable");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("the folder exists").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
}
