//! The platform as a process: flags, the first key, the banner, signals; and the sandbox that it becomes for an agent.

mod host;

use std::env;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent_runner::Isolation;
use clap::{Args, Parser, Subcommand};
use ingestion_server::web::{Outbound, Settings, Traces, World, log, serve, tls};
use platform_api::auth::first_key;
use platform_api::store::backup::{restore, unused};
use platform_api::store::verify::Anchor;
use platform_api::store::{SealingKeys, Store};
use platform_api::{App, Config};
use tracing::warn;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The platform for AI agents.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Flags {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen [default: 127.0.0.1:8092]; port 0 takes a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    place: Place,
    /// Speak TLS with the certificates in this PEM file, the server's own first.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Print the settings that would be in force, as TOML, and end.
    #[arg(long)]
    print_config: bool,
}

#[derive(Debug, Args)]
struct Place {
    /// Where to keep data [default: a folder of its own under the user's data directory].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// A TOML file with settings that differ from the defaults.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write all data into one new file, while the platform may be running. The sealing key is not in it.
    Backup {
        #[command(flatten)]
        place: Place,
        /// The file to be made.
        file: PathBuf,
    },
    /// Put the data of a backup in place, while the platform is not running.
    Restore {
        #[command(flatten)]
        place: Place,
        /// The file that `backup` made.
        file: PathBuf,
        /// Even if there is data already, which is lost.
        #[arg(long)]
        replace: bool,
    },
    /// Look whether the record of changes, runs and events is as it was written, while the platform may be running.
    Verify {
        #[command(flatten)]
        place: Place,
        /// An anchor that this command printed earlier: the record must still have that place.
        #[arg(long = "anchor", value_name = "WORKSPACE:CHAIN:NUMBER:LINK", value_parser = anchor)]
        anchors: Vec<(String, Anchor)>,
    },
    /// Make a new key for what is sealed, and seal everything anew with it, while the platform is not running.
    RotateSealingKey {
        #[command(flatten)]
        place: Place,
    },
}

fn main() -> ExitCode {
    // A process that has threads cannot become a sandbox, so this comes before anything else.
    if host::is_sandbox() {
        return agent_runner::launcher::main();
    }
    let flags = Flags::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(flags)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "platform-api: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    let said = |text: String| writeln!(io::stdout(), "{text}");
    match flags.command {
        None => serve(flags.serve).await,
        Some(Command::Backup { place, file }) => {
            let (config, data_dir) = settled(&place, None)?;
            there_is_data(&data_dir)?;
            store(&config, &data_dir).await?.backup(&file).await?;
            said(format!(
                "all data is in {}; keep {} apart from it",
                file.display(),
                data_dir.join(SEALING_KEYS).display()
            ))?;
            Ok(())
        }
        Some(Command::Restore { place, file, replace }) => {
            let (config, data_dir) = settled(&place, None)?;
            private(&data_dir)?;
            restore(&file, &data_dir.join(DATABASE), replace).await?;
            // Whether it can be opened with the key that is here is better known now than at the next start.
            store(&config, &data_dir).await?.close().await;
            said(format!("the data of {} is in {}", file.display(), data_dir.display()))?;
            Ok(())
        }
        Some(Command::Verify { place, anchors }) => {
            let (config, data_dir) = settled(&place, None)?;
            there_is_data(&data_dir)?;
            let store = store(&config, &data_dir).await?;
            let mut faulty = 0;
            let mut workspaces = store.recorded_workspaces().await?;
            workspaces.extend(anchors.iter().map(|(of, _)| of.clone()));
            workspaces.sort_unstable();
            workspaces.dedup();
            for workspace in workspaces {
                let own = anchors.iter().filter(|(of, _)| *of == workspace).map(|(_, anchor)| anchor.clone());
                let found = store.verify(&workspace, 0, &own.collect::<Vec<_>>()).await?;
                faulty += found.faulty;
                found.faults.iter().try_for_each(|fault| said(format!("{workspace}: {fault}")))?;
                said(format!(
                    "{workspace}: {} changes, {} ended runs and {} events are as they were written; {} runs were \
                     removed for their age",
                    found.changes, found.runs, found.events, found.removed
                ))?;
                found.anchors().iter().try_for_each(|anchor| said(format!("  anchor {workspace}:{anchor}")))?;
            }
            store.close().await;
            match faulty {
                0 => Ok(()),
                1 => Err("the record is not as it was written: 1 fault".into()),
                count => Err(format!("the record is not as it was written: {count} faults").into()),
            }
        }
        Some(Command::RotateSealingKey { place }) => {
            let (config, data_dir) = settled(&place, None)?;
            if variable("PLATFORM_SEALING_KEY").is_some() {
                return Err(
                    "PLATFORM_SEALING_KEY is set: put a new key before the old one there, restart every replica, and \
                            unset the variable here to rotate a key file"
                        .into(),
                );
            }
            let database = data_dir.join(DATABASE);
            if variable("DATABASE_URL").is_none_or(|url| url.is_empty()) && database.exists() {
                // Whoever runs meanwhile would go on sealing with a key that is gone then.
                unused(&database).await?;
            }
            let file = data_dir.join(SEALING_KEYS);
            let keys = SealingKeys::in_file(&file)?.renewed();
            // Both first: whatever happens in between, all of it can be opened.
            keys.write(&file)?;
            let store = store(&config, &data_dir).await?;
            let count = store.reseal().await?;
            store.close().await;
            keys.newest().write(&file)?;
            said(format!("{count} secrets are sealed with a new key"))?;
            Ok(())
        }
    }
}

/// A workspace, and a place that one of its chains once had.
fn anchor(text: &str) -> Result<(String, Anchor), String> {
    let (workspace, place) = text.split_once(':').unwrap_or_default();
    Ok((workspace.into(), place.parse()?))
}

async fn serve(flags: Serve) -> Result<(), Box<dyn std::error::Error>> {
    if flags.print_config {
        let mut settings = layers(&flags.place)?;
        if let Some(listen) = flags.listen {
            settings.set("--listen", "listen", &listen.to_string())?;
        }
        Config::read(settings.clone())?;
        io::stdout().write_all(settings.text().as_bytes())?;
        return Ok(());
    }
    let (config, data_dir) = settled(&flags.place, flags.listen)?;
    let trusting = Outbound::trusting();
    let outbound = trusting.as_ref().map_or_else(|_| Outbound::plain(), Outbound::clone);
    let collector = match config.traces.endpoint.as_str() {
        "" => variable("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_default(),
        endpoint => endpoint.to_string(),
    };
    let traces = Traces::start(&collector, "platform-api", outbound.clone())?;
    log::start(&config.log, traces.as_ref())?;
    if let Err(error) = trusting {
        warn!(%error, "this system has no certificates; only plain HTTP can be asked");
    }
    let preset = variable("PLATFORM_API_KEY");
    let tls = match (&flags.tls_cert, &flags.tls_key) {
        (Some(certificates), Some(key)) => Some(tls::acceptor(certificates, key)?),
        _ => None,
    };
    // The address first: whoever finds it taken has no key made in passing.
    let listener = serve::listen(config.listen).await?;
    let address = listener.local_addr()?;
    if tls.is_none() && !address.ip().is_loopback() {
        warn!(%address, "plain HTTP on an address that others reach: keys can be read on the way; use --tls-cert and --tls-key, or a proxy");
    }
    let store = store(&config, &data_dir).await?;
    let world = World::Real;
    let fresh = first_key(&store, &world, preset.as_deref()).await?;

    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut config = config;
    config.listen = address;
    if config.public_url.is_empty() {
        config.public_url = format!("{scheme}://{address}");
    }
    let (running, arrivals) = host::running(&config, &data_dir, &world).await?.unzip();
    let isolation = running.as_ref().map(|running| running.isolation());
    let app = App::new(config.clone(), store.clone(), world, outbound, running);
    platform_api::running::recover(&app).await?;
    let banner = banner(scheme, address, &data_dir, isolation, fresh.as_ref().map(|key| key.expose()));
    let signals = serve::Signals::listen()?;
    io::stdout().write_all(banner.as_bytes())?;
    let mut jobs = vec![tokio::spawn(platform_api::jobs::run(app.clone()))];
    if let Some(arrivals) = arrivals {
        jobs.push(tokio::spawn(platform_api::running::arrivals::serve(app.clone(), arrivals)));
        jobs.push(tokio::spawn(platform_api::running::keep_up(app.clone())));
    }
    let router = platform_api::router(&app);
    serve::serve_until_signal(listener, router, &config.http, tls, signals, || app.ingestion().stop()).await;
    if let Some(running) = app.running() {
        running.stop().await;
    }
    // Whatever they are at is in the store and will be taken up again.
    jobs.iter().for_each(|job| job.abort());
    if let Err(error) = app.gateway().ledger().write(true).await {
        warn!(%error, "what models cost last is not written");
    }
    store.close().await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    Ok(())
}

/// The file that holds everything.
const DATABASE: &str = "platform.db";

/// The file that holds the keys of what is sealed in it.
const SEALING_KEYS: &str = "sealing-keys";

/// The settings in force, and where data is.
fn settled(place: &Place, listen: Option<SocketAddr>) -> Result<(Config, PathBuf), Box<dyn std::error::Error>> {
    let mut settings = layers(place)?;
    if let Some(listen) = listen {
        settings.set("--listen", "listen", &listen.to_string())?;
    }
    let config = Config::read(settings)?;
    let said = place.data_dir.clone().unwrap_or_else(|| config.data_dir.clone());
    let data_dir = match said.as_os_str().is_empty() {
        true => user_data_dir().ok_or("no home directory; say where to keep data with --data-dir")?,
        false => said,
    };
    Ok((config, data_dir))
}

/// A folder that is named by mistake holds nothing, which is no answer to a question about data.
fn there_is_data(data_dir: &Path) -> Result<(), String> {
    let is_elsewhere = variable("DATABASE_URL").is_some_and(|url| !url.is_empty());
    match is_elsewhere || data_dir.join(DATABASE).exists() {
        true => Ok(()),
        false => Err(format!("there is no data in {}; name its folder with --data-dir", data_dir.display())),
    }
}

/// PostgreSQL where `DATABASE_URL` says so, else a file in the data directory.
async fn store(config: &Config, data_dir: &Path) -> Result<Store, Box<dyn std::error::Error>> {
    private(data_dir)?;
    let keys = match variable("PLATFORM_SEALING_KEY") {
        Some(text) => SealingKeys::parse("PLATFORM_SEALING_KEY", &text)?,
        None => SealingKeys::in_file(&data_dir.join(SEALING_KEYS))?,
    };
    match variable("DATABASE_URL").filter(|url| !url.is_empty()) {
        None => Ok(Store::sqlite(&data_dir.join(DATABASE), keys).await?),
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Ok(Store::postgres(&url, config.store.connections, keys).await?)
        }
        // The address may hold a password and is not repeated.
        Some(_) => Err("DATABASE_URL must begin with postgres:// (without it, data is kept in a SQLite file)".into()),
    }
}

/// A folder for its owner alone, made if need be.
fn private(folder: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| format!("{}: {error}", folder.display()))
}

/// Defaults, the user's file, the environment.
fn layers(place: &Place) -> Result<Settings, Box<dyn std::error::Error>> {
    let mut settings = Config::settings();
    if let Some(path) = &place.config {
        settings.file_at(path)?;
    }
    #[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
    settings.environment("PLATFORM", env::vars())?;
    Ok(settings)
}

/// Where the address is, where the data is, and a line to paste that works.
fn banner(
    scheme: &str,
    address: SocketAddr,
    data_dir: &Path,
    isolation: Option<Isolation>,
    fresh: Option<&str>,
) -> String {
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
    let agents = match isolation {
        Some(isolation) => format!("Agents run on this host, kept apart by {isolation}."),
        None => "Nothing runs agents here (runner.kind is \"none\").".to_string(),
    };
    format!(
        "platform-api listens on {scheme}://{address}, data in {}\n\n{agents}\n\n{about}\n  curl -s {scheme}://{host}:{port}/analyze -H \
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
