//! The analyzer as a server of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ingestion_server::config::DEFAULTS;
use ingestion_server::web::keys::{KeyHash, SHORTEST};
use ingestion_server::web::{Keys, Settings, World, log, serve};
use ingestion_server::{Config, Ingestion};

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
    let key = key()?;
    if key.is_none() && !config.listen.ip().is_loopback() {
        let problem = format!("{} is not loopback; set INGESTION_API_KEY to serve other machines", config.listen);
        return Err(problem.into());
    }
    log::start(&config.log)?;

    let ingestion = Ingestion::new(&config, World::Real);
    let listener = serve::listen(config.listen).await?;
    let signals = serve::Signals::listen()?;
    writeln!(std::io::stdout(), "ingestion-server listens on http://{}", listener.local_addr()?)?;
    let app = ingestion.alone(key.map(|key| Keys::new([key])));
    serve::serve_until_signal(listener, app, &config.http, signals, || ingestion.stop()).await;
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

fn key() -> Result<Option<KeyHash>, String> {
    #[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
    match std::env::var("INGESTION_API_KEY") {
        Ok(key) if key.trim().chars().count() >= SHORTEST => Ok(Some(Keys::hash(key.trim()))),
        Ok(_) => Err(format!("INGESTION_API_KEY is shorter than {SHORTEST} characters")),
        Err(_) => Ok(None),
    }
}
