//! Node: packages by npm beside our own runner, and TypeScript made into JavaScript by esbuild when it is built.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::process::{ProcessBuilder, Wanted};
use super::{BuildError, Log, tools};
use crate::folders::EnvironmentNotes;
use crate::{Digest, Source};

/// What serves an agent's code.
const RUNNER: &str = include_str!("runner.mjs");

/// What makes JavaScript of TypeScript.
const ESBUILD: &str = "esbuild@0.25.10";

/// Where a bundle finds what it has as a CommonJS module.
const BANNER: &str = "import { createRequire as __require } from 'node:module'; \
                      import { fileURLToPath as __path } from 'node:url'; \
                      const require = __require(import.meta.url); const __filename = __path(import.meta.url); \
                      const __dirname = __path(new URL('.', import.meta.url));";

/// The environment for a source.
pub async fn wanted(builder: &ProcessBuilder, source: &Source) -> Result<Wanted, BuildError> {
    let node = program(builder, "node")?;
    let host = |error: std::io::Error| BuildError::Host(format!("node: {error}"));
    let version = tools::ask(&node, &["--version"], &builder.settings.tools).await.map_err(host)?;
    let node = node.canonicalize().map_err(host)?;
    let needs = node.parent().and_then(Path::parent).map(Path::to_path_buf).into_iter().collect();
    let mut parts = vec!["node", node.to_str().unwrap_or_default(), &version, RUNNER];
    for name in MANIFESTS {
        parts.extend(source.files().get(name).map(String::as_str));
    }
    parts.extend(source.requirements().iter().map(String::as_str));
    let digest = Digest::of(parts.into_iter().map(str::as_bytes));
    Ok(Wanted { digest, notes: EnvironmentNotes { interpreter: node, needs } })
}

/// Files that say which packages are needed.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// Makes it.
pub async fn install(builder: &ProcessBuilder, source: &Source, folder: &Path, log: Log<'_>) -> Result<(), BuildError> {
    std::fs::write(folder.join("runner.mjs"), RUNNER)?;
    std::fs::create_dir(folder.join("node_modules"))?;
    let manifest = source.files().contains_key(MANIFESTS[0]) && source.requirements().is_empty();
    if !manifest && source.requirements().is_empty() {
        return Ok(());
    }
    if manifest {
        for name in MANIFESTS {
            source.files().get(name).map_or(Ok(()), |text| std::fs::write(folder.join(name), text))?;
        }
    }
    let mut install = npm(builder, folder)?;
    if !manifest {
        install.arg("--").args(source.requirements());
    }
    tools::run(&mut install, builder.settings.time, log).await
}

fn npm(builder: &ProcessBuilder, folder: &Path) -> Result<Command, BuildError> {
    let mut install = Command::new(program(builder, "npm")?);
    install.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--omit=dev",
        "--prefer-offline",
        "--loglevel=error",
        "--prefix",
    ]);
    install.arg(folder).arg("--cache").arg(builder.folders.all("cache").join("npm"));
    if !builder.settings.run_package_code {
        install.arg("--ignore-scripts");
    }
    install.env_clear().envs(&builder.settings.tools.0).current_dir(folder);
    Ok(install)
}

/// The file that is run for an entry point.
pub fn compiled(entry_point: &str) -> String {
    match is_typescript(entry_point) {
        true => format!("{entry_point}.mjs"),
        false => entry_point.to_string(),
    }
}

fn is_typescript(path: &str) -> bool {
    [".ts", ".tsx", ".mts", ".cts"].iter().any(|end| path.ends_with(end))
}

/// Bundles an entry point in TypeScript with the agent's other files; packages stay where they are.
pub async fn compile(builder: &ProcessBuilder, source: &Source, app: &Path, log: Log<'_>) -> Result<(), BuildError> {
    let Some(entry_point) = source.entry_point().filter(|path| is_typescript(path)) else { return Ok(()) };
    let mut bundle = Command::new(esbuild(builder, log).await?);
    bundle.args(["--bundle", "--packages=external", "--platform=node", "--format=esm", "--target=node20"]);
    bundle.args(["--log-level=warning", "--sourcemap=inline"]).arg(format!("--banner:js={BANNER}"));
    bundle.arg(format!("--outfile={}", compiled(entry_point))).arg(format!("./{entry_point}"));
    bundle.env_clear().envs(&builder.settings.tools.0).current_dir(app);
    tools::run(&mut bundle, builder.settings.time, log).await
}

async fn esbuild(builder: &ProcessBuilder, log: Log<'_>) -> Result<PathBuf, BuildError> {
    let place = builder.folders.all("cache").join(ESBUILD);
    let program = place.join("node_modules/.bin/esbuild");
    if !program.is_file() {
        let aside = builder.aside()?;
        let mut install = npm(builder, &aside.path)?;
        tools::run(install.arg(ESBUILD), builder.settings.time, log).await.map_err(|error| {
            BuildError::Host(format!("esbuild, which TypeScript needs, cannot be installed: {error}"))
        })?;
        aside.keep(&place)?;
    }
    Ok(program)
}

fn program(builder: &ProcessBuilder, name: &str) -> Result<PathBuf, BuildError> {
    let missing = || BuildError::Host(format!("there is no {name} on the PATH; install Node 20 or later"));
    tools::find(name, &builder.settings.tools).ok_or_else(missing)
}
