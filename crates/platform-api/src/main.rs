//! The platform as a process: flags, the first key, the banner, signals.

use std::env;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ingestion_server::Ingestion;
use ingestion_server::enrichment::Client;
use ingestion_server::web::{Outbound, World, log, serve};
use platform_api::auth::first_key;
use platform_api::store::{SealingKeys, Store};
use platform_api::{App, Config};
use tracing::warn;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The platform for AI agents.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Where to listen [default: 127.0.0.1:8092]; port 0 takes a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where to keep data [default: a folder of its own under the user's data directory].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// A TOML file with settings that differ from the defaults.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "platform-api: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    let config = config(&flags)?;
    log::start(&config.log)?;
    let data_dir = match config.data_dir.as_os_str().is_empty() {
        true => user_data_dir().ok_or("no home directory; say where to keep data with --data-dir")?,
        false => config.data_dir.clone(),
    };
    let enricher = Client::from_config(&config.enrichment, variable)?;
    let preset = variable("PLATFORM_API_KEY");
    // The address first: whoever finds it taken has no key made in passing.
    let listener = serve::listen(config.listen).await?;
    let store = store(&config, &data_dir).await?;
    let world = World::Real;
    let fresh = first_key(&store, &world, preset.as_deref()).await?;

    let ingestion = Ingestion::new(&config.ingestion(), world.clone(), enricher);
    let outbound = Outbound::trusting().unwrap_or_else(|error| {
        warn!(%error, "this system has no certificates; only plain HTTP can be asked");
        Outbound::plain()
    });
    let app = App::new(config.clone(), store.clone(), world, ingestion.clone(), outbound);
    let banner = banner(listener.local_addr()?, &data_dir, fresh.as_ref().map(|key| key.expose()));
    let signals = serve::Signals::listen()?;
    io::stdout().write_all(banner.as_bytes())?;
    let jobs = tokio::spawn(platform_api::jobs::run(app.clone()));
    serve::serve_until_signal(listener, platform_api::router(&app), &config.http, signals, || ingestion.stop()).await;
    // Whatever it is at is in the store and will be taken up again.
    jobs.abort();
    store.close().await;
    Ok(())
}

/// PostgreSQL where `DATABASE_URL` says so, else a file in the data directory.
async fn store(config: &Config, data_dir: &Path) -> Result<Store, Box<dyn std::error::Error>> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(|error| format!("{}: {error}", data_dir.display()))?;
    let keys = match variable("PLATFORM_SEALING_KEY") {
        Some(text) => SealingKeys::parse("PLATFORM_SEALING_KEY", &text)?,
        None => SealingKeys::in_file(&data_dir.join("sealing-keys"))?,
    };
    match variable("DATABASE_URL").filter(|url| !url.is_empty()) {
        None => Ok(Store::sqlite(&data_dir.join("platform.db"), keys).await?),
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Ok(Store::postgres(&url, config.store.connections, keys).await?)
        }
        // The address may hold a password and is not repeated.
        Some(_) => Err("DATABASE_URL must begin with postgres:// (without it, data is kept in a SQLite file)".into()),
    }
}

fn config(flags: &Flags) -> Result<Config, Box<dyn std::error::Error>> {
    let mut settings = Config::settings();
    if let Some(path) = &flags.config {
        settings.file_at(path)?;
    }
    #[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
    settings.environment("PLATFORM", env::vars())?;
    if let Some(listen) = flags.listen {
        settings.set("--listen", "listen", &listen.to_string())?;
    }
    let mut config = Config::read(settings)?;
    if let Some(data_dir) = &flags.data_dir {
        config.data_dir = data_dir.clone();
    }
    Ok(config)
}

/// Where the address is, where the data is, and a line to paste that works.
fn banner(address: SocketAddr, data_dir: &Path, fresh: Option<&str>) -> String {
    // Listening everywhere is not an address to call.
    let host = match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let key = fresh.unwrap_or("$PLATFORM_API_KEY");
    let about = match fresh {
        Some(key) => format!(
            "The first API key, shown only this once (its hash is kept; PLATFORM_API_KEY in the environment presets \
             another on the first start):\n\n  {key}\n"
        ),
        None => "With an API key in PLATFORM_API_KEY:\n".to_string(),
    };
    format!(
        "platform-api listens on http://{address}, data in {}\n\n{about}\n  curl -s http://{host}:{port}/analyze -H \
         \"Authorization: Bearer {key}\" -d '{EXAMPLE}'\n\n",
        data_dir.display(),
        port = address.port(),
    )
}

/// A tiny agent, in JSON that survives single quotes of a shell.
const EXAMPLE: &str = r#"{"files": {"agent.py": "import os, requests\nrequests.post(os.environ[\"TOOL_ECHO_TOOL_URL\"] + \"/echo\")\n"}}"#;

/// `platform-api` in the folder that the system has for data of programs.
fn user_data_dir() -> Option<PathBuf> {
    let home = || variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let base = match cfg!(target_os = "macos") {
        true => home()?.join("Library/Application Support"),
        false => match variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(base) => base,
            None => home()?.join(".local/share"),
        },
    };
    Some(base.join("platform-api"))
}

#[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_is_the_readmes() {
        assert!(include_str!("../../../README.md").contains(&format!("-d '{EXAMPLE}'")), "{EXAMPLE}");
    }
}
