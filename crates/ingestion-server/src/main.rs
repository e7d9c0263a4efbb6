//! The analyzer as a server of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ingestion_server::config::DEFAULTS;
use ingestion_server::enrichment::Client;
use ingestion_server::web::keys::SHORTEST;
use ingestion_server::web::{Keys, Settings, World, log, serve};
use ingestion_server::{Config, Ingestion};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The analyzer of AI agents over HTTP.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Where to listen, such as 127.0.0.1:8092; port 0 takes a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// A TOML file with settings that differ from the defaults.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "ingestion-server: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    let config = config(&flags)?;
    #[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
    let keys = door(config.listen, std::env::var("INGESTION_API_KEY").ok().as_deref())?;
    log::start(&config.log, None)?;

    #[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
    let enricher = Client::from_config(&config.enrichment, |name| std::env::var(name).ok())?;
    let ingestion = Ingestion::new(&config, World::Real, enricher);
    let listener = serve::listen(config.listen).await?;
    let signals = serve::Signals::listen()?;
    writeln!(std::io::stdout(), "ingestion-server listens on http://{}", listener.local_addr()?)?;
    let app = ingestion.alone(keys);
    serve::serve_until_signal(listener, app, &config.http, None, signals, || ingestion.stop()).await;
    Ok(())
}

fn config(flags: &Flags) -> Result<Config, Box<dyn std::error::Error>> {
    let mut settings = Settings::defaults(&[DEFAULTS]);
    if let Some(path) = &flags.config {
        settings.file_at(path)?;
    }
    #[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
    settings.environment("INGESTION", std::env::vars())?;
    if let Some(listen) = flags.listen {
        settings.set("--listen", "listen", &listen.to_string())?;
    }
    Ok(Config::read(settings)?)
}

/// Without a key only this machine may come.
fn door(listen: SocketAddr, key: Option<&str>) -> Result<Option<Keys>, String> {
    match key.map(str::trim) {
        Some(key) if key.chars().count() >= SHORTEST => Ok(Some(Keys::new([Keys::hash(key)]))),
        Some(_) => Err(format!("INGESTION_API_KEY is shorter than {SHORTEST} characters")),
        None if listen.ip().is_loopback() => Ok(None),
        None => Err(format!("{listen} is not loopback; set INGESTION_API_KEY to serve other machines")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_a_key() {
        let door = |listen: &str, key| door(listen.parse().unwrap(), key);
        assert!(door("127.0.0.1:1", None).unwrap().is_none());
        assert!(door("[::1]:1", None).unwrap().is_none());
        assert!(door("0.0.0.0:1", None).unwrap_err().contains("set INGESTION_API_KEY"));
        assert!(door("0.0.0.0:1", Some("sixteen-letters!")).unwrap().is_some());
        assert!(door("127.0.0.1:1", Some("short")).unwrap_err().contains("shorter than 16"));
    }
}
