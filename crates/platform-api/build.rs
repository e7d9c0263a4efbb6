//! Lists `catalog/<id>/**` for `include_str!`, so that another agent is another folder and nothing else.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script everything in its environment")]

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let mut files = Vec::new();
    collect(Path::new("catalog"), &mut files);
    files.sort();
    let base = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let mut out = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix("catalog").expect("it was found there").to_string_lossy().replace('\\', "/");
        out.push_str(&format!("    ({name:?}, include_str!({:?})),\n", format!("{base}/catalog/{name}")));
    }
    out.push_str("]\n");
    fs::write(folder.join("catalog_files.rs"), out).expect("the output folder is writable");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("the folder exists").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
