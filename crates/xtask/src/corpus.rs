//! `cargo xtask corpus`: real packages at pinned versions, for measuring and for the parsing budget.
//!
//! They come through the ordinary clients, so whatever index or mirror those are set to is asked. Nothing of a package
//! is run: wheels are unpacked without building, tarballs without scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_bench::corpus;

use crate::run::{Done, say, target, watch};

/// About 50 MB of Python, half of it of agents, models and their clients.
const PYTHON: &[&str] = &[
    "anthropic==0.42.0",
    "celery==5.4.0",
    "crewai==0.95.0",
    "django==5.1.4",
    "fastapi==0.115.6",
    "haystack-ai==2.9.0",
    "httpx==0.28.1",
    "langchain==0.3.14",
    "langchain-community==0.3.14",
    "langchain-core==0.3.29",
    "litellm==1.58.0",
    "llama-index-core==0.12.10",
    "mcp==1.2.0",
    "networkx==3.4.2",
    "openai==1.59.6",
    "pytest==8.3.4",
    "requests==2.32.3",
    "rich==13.9.4",
    "scrapy==2.12.0",
    "smolagents==1.4.1",
    "streamlit==1.41.1",
    "twisted==24.11.0",
];

/// About 25 MB of JavaScript and TypeScript.
const NPM: &[&str] = &[
    "@anthropic-ai/sdk@0.33.1",
    "@langchain/community@0.3.24",
    "@langchain/core@0.3.29",
    "@modelcontextprotocol/sdk@1.2.0",
    "ai@4.0.33",
    "axios@1.7.9",
    "express@4.21.2",
    "hono@4.6.16",
    "langchain@0.3.10",
    "lodash@4.17.21",
    "mongodb@6.12.0",
    "openai@4.78.1",
    "rxjs@7.8.1",
    "zod@3.24.1",
];

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub struct Flags {}

/// Fetches what is missing, then says how much there is.
pub fn run(_: &Flags) -> Done {
    let folder = corpus::folder(target());
    for package in PYTHON {
        unless_there(&folder.join("python").join(package), |into| {
            let fixed = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"];
            watch(
                Command::new("python3").args(fixed).args(["--only-binary", ":all:", "--target"]).arg(into).arg(package),
            )
        })?;
    }
    for package in NPM {
        unless_there(&folder.join("npm").join(package.replace('/', "+")), |into| {
            std::fs::create_dir_all(into).map_err(|error| error.to_string())?;
            let pack = ["pack", "--silent", "--ignore-scripts", "--pack-destination"];
            watch(Command::new("npm").args(pack).arg(into).arg(package))?;
            let tarball = only_file(into)?;
            watch(Command::new("tar").arg("-xzf").arg(&tarball).arg("-C").arg(into))?;
            std::fs::remove_file(tarball).map_err(|error| error.to_string())
        })?;
    }
    for part in corpus::PARTS {
        let files = corpus::load(&folder, part)?;
        let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
        say(&format!("{part}: {} files, {:.1} MB", files.len(), bytes as f64 / 1e6));
    }
    Ok(())
}

/// A package is fetched beside its place and then moved there, so that what is there is whole.
fn unless_there(place: &Path, fetch: impl FnOnce(&Path) -> Done) -> Done {
    if place.is_dir() {
        return Ok(());
    }
    let mut unfinished = place.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    if unfinished.is_dir() {
        std::fs::remove_dir_all(&unfinished).map_err(|error| error.to_string())?;
    }
    fetch(&unfinished)?;
    std::fs::rename(&unfinished, place).map_err(|error| format!("{}: {error}", place.display()))
}

fn only_file(folder: &Path) -> Result<PathBuf, String> {
    let mut files = std::fs::read_dir(folder).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    files.find(|path| path.is_file()).ok_or_else(|| format!("nothing was packed into {}", folder.display()))
}
