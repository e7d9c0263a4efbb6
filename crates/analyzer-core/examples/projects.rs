//! Analyzes each folder that is named, one after the other, on one thread: what `.ci/instructions` counts the
//! instructions of, and what `cargo xtask memcheck` watches the memory of.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyzer_core::{Options, Sources, analyze, threads};

fn main() -> ExitCode {
    threads(1);
    let options = Options::default();
    let mut read = 0;
    for folder in std::env::args().skip(1) {
        let folder = Path::new(&folder);
        let files = below(folder).into_iter().filter_map(|path| {
            let bytes = std::fs::read(&path).ok()?;
            let name = path.strip_prefix(folder).ok()?.to_string_lossy().into_owned();
            Some((name, String::from_utf8_lossy(&bytes).into_owned()))
        });
        let Ok(sources) = Sources::new(files) else { continue };
        read += analyze(&sources, &options).stats.parsed;
    }
    // Who parsed nothing has measured nothing.
    if read > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}
