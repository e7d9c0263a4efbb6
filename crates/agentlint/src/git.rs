//! What git knows: changed lines, files of another commit.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;

/// Changed lines by path from the folder: since a reference, or staged.
pub fn changed(folder: &Path, since: Option<&str>) -> Result<BTreeMap<String, Vec<(u32, u32)>>, Error> {
    let mut args = vec!["diff", "--unified=0", "--no-color", "--no-ext-diff", "--relative", "--diff-filter=d"];
    match since {
        Some(reference) if reference.starts_with('-') => {
            return Err(Error::Usage(format!("{reference:?} is no git reference")));
        }
        Some(reference) => args.extend([reference, "--"]),
        None => args.push("--cached"),
    }
    let text = String::from_utf8_lossy(&run(folder, &args)?).into_owned();
    let mut changed: BTreeMap<String, Vec<(u32, u32)>> = BTreeMap::new();
    let mut path = String::new();
    for line in text.lines() {
        if let Some(own) = line.strip_prefix("+++ ") {
            path = own.trim_matches('"').trim_start_matches("b/").to_owned();
        } else if let Some(rest) = line.strip_prefix("@@ ")
            && let Some(new) = rest.split('+').nth(1).and_then(|rest| rest.split(' ').next())
        {
            let (start, count) = new.split_once(',').unwrap_or((new, "1"));
            if let (Ok(start), Ok(count)) = (start.parse::<u32>(), count.parse::<u32>())
                && count > 0
            {
                changed.entry(path.clone()).or_default().push((start, start + count - 1));
            }
        }
    }
    // A file that git does not have yet is new as a whole.
    if since.is_some() {
        let new = run(folder, &["ls-files", "--others", "--exclude-standard", "-z"])?;
        for path in String::from_utf8_lossy(&new).split('\0').filter(|path| !path.is_empty()) {
            changed.entry(path.to_owned()).or_default().push((1, u32::MAX));
        }
    }
    Ok(changed)
}

/// Where git keeps what it knows of a folder.
pub fn folder(folder: &Path) -> Result<PathBuf, Error> {
    let path = run(folder, &["rev-parse", "--absolute-git-dir"])?;
    Ok(String::from_utf8_lossy(&path).trim_end().into())
}

/// The text files of a commit, below the folder.
pub fn tree(folder: &Path, reference: &str) -> Result<BTreeMap<String, String>, Error> {
    if reference.starts_with('-') {
        return Err(Error::Usage(format!("{reference:?} is no git reference")));
    }
    let commit = run(folder, &["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")])
        .map_err(|_| Error::Usage(format!("{reference:?} is no folder, no lock and no git reference")))?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let list = run(folder, &["ls-tree", "-r", "-z", "-l", &commit])?;
    let mut wanted = Vec::new();
    for entry in String::from_utf8_lossy(&list).split('\0') {
        let Some((head, path)) = entry.split_once('\t') else { continue };
        let words: Vec<&str> = head.split_whitespace().collect();
        if let [_, "blob", id, size] = words[..]
            && size.parse::<u64>().is_ok_and(|size| size <= 1 << 20)
        {
            wanted.push((id.to_owned(), path.to_owned()));
        }
    }
    let mut child = Command::new("git")
        .args(["cat-file", "--batch"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::Git(error.to_string()))?;
    let asked: String = wanted.iter().map(|(id, _)| format!("{id}\n")).collect();
    let mut stdin = child.stdin.take().expect("it was piped");
    // The answers are read while the questions are written, or both would wait for each other.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(asked.as_bytes()));
        child.wait_with_output()
    });
    let bytes = output.map_err(|error| Error::Git(error.to_string()))?.stdout;
    let mut files = BTreeMap::new();
    let mut at = 0;
    for (_, path) in wanted {
        let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') else { break };
        let head = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        let Some(size) = head.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok()) else { break };
        let start = at + end + 1;
        let Some(body) = bytes.get(start..start + size) else { break };
        if !body.iter().take(8_192).any(|byte| *byte == 0) {
            files.insert(path, String::from_utf8_lossy(body).into_owned());
        }
        at = start + size + 1;
    }
    Ok(files)
}

fn run(folder: &Path, args: &[&str]) -> Result<Vec<u8>, Error> {
    // Without it `git diff` would write the index, which others may lock and `--watch` looks at.
    let output = Command::new("git").args(args).env("GIT_OPTIONAL_LOCKS", "0").current_dir(folder).output();
    let output = output.map_err(|error| Error::Git(format!("cannot be run: {error}")))?;
    if !output.status.success() {
        let is_repository = || {
            let inside = Command::new("git").args(["rev-parse", "--git-dir"]).current_dir(folder).output();
            inside.is_ok_and(|output| output.status.success())
        };
        if !is_repository() {
            return Err(Error::Git("this folder is in no repository, so that there is nothing to compare with".into()));
        }
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Git(message.lines().next().unwrap_or("failed").to_owned()));
    }
    Ok(output.stdout)
}
