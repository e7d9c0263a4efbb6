//! `cargo xtask show PATH`: the analysis of a file or folder, as JSON.

use std::path::PathBuf;

use analyzer_core::{Options, Sources, analyze};
use test_bench::labels;

use crate::run::{Done, give};

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// A file or a folder.
    path: PathBuf,
    /// Only this key of the answer: `tools`, `model_usages`, …
    #[arg(long)]
    key: Option<String>,
}

/// Prints the answer.
pub fn run(flags: &Flags) -> Done {
    let files = match flags.path.is_dir() {
        true => labels::sources(&flags.path)?,
        false => {
            let text =
                std::fs::read_to_string(&flags.path).map_err(|error| format!("{}: {error}", flags.path.display()))?;
            let name = flags.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            vec![(name, text)]
        }
    };
    let sources = Sources::new(files).map_err(|error| error.to_string())?;
    let analysis = serde_json::to_value(analyze(&sources, &Options::default())).map_err(|error| error.to_string())?;
    let shown = match &flags.key {
        Some(key) => analysis.get(key).cloned().ok_or_else(|| format!("the answer has no key {key:?}"))?,
        None => analysis,
    };
    give(&serde_json::to_string_pretty(&shown).map_err(|error| error.to_string())?)
}
