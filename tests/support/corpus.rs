//! The real corpus: what `cargo xtask corpus` fetched, for whoever measures.

use std::path::{Path, PathBuf};

use crate::labels;

/// Its parts, one folder each.
pub const PARTS: [&str; 2] = ["python", "npm"];

/// Source files of one part by path, in the order of the paths; nothing when it is not there. What other versions of
/// this list left behind does not make it grow without end.
///
/// Bundles are left out: nobody submits them, and their lines are their files.
pub fn load(folder: &Path, part: &str) -> Result<Vec<(String, String)>, String> {
    let (extensions, limit): (&[&str], usize) = match part {
        "python" => (&["py"], 60_000_000),
        _ => (&["js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts"], 30_000_000),
    };
    let folder = folder.join(part);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = labels::sources(&folder)?;
    files.retain(|(path, text)| {
        let extension = path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension));
        let lines = text.lines().count().max(1);
        extension && !path.contains(".min.") && text.len() / lines < 400
    });
    let mut bytes = 0;
    files.retain(|(_, text)| {
        bytes += text.len();
        bytes <= limit
    });
    Ok(files)
}

/// Where it lies: beside the build.
pub fn folder(target: PathBuf) -> PathBuf {
    target.join("corpus")
}
