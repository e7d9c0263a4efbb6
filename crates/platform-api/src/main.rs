//! The platform as a process: flags, the first key, the banner, signals.

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ingestion_server::Ingestion;
use ingestion_server::enrichment::Client;
use ingestion_server::web::{World, log, serve};
use platform_api::Config;
use platform_api::keys::KeyRing;

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
    let ring = KeyRing::open(&data_dir, preset.as_deref())?;

    let ingestion = Ingestion::new(&config.ingestion(), World::Real, enricher);
    let app = platform_api::app(&ingestion, ring.keys);
    let banner = banner(listener.local_addr()?, &data_dir, ring.fresh.as_deref());
    let signals = serve::Signals::listen()?;
    io::stdout().write_all(banner.as_bytes())?;
    serve::serve_until_signal(listener, app, &config.http, signals, || ingestion.stop()).await;
    Ok(())
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
