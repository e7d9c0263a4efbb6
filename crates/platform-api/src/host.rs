//! Host: what this machine gives to those that run agents on it.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_runner::{Arrival, BuilderSettings, ProcessBuilder, ProcessRunner, RunnerSettings};
use ingestion_server::web::World;
use platform_api::Config;
use platform_api::config::RunnerKind;
use platform_api::running::Running;
use tokio::sync::mpsc;
use tracing::{info, warn};

/// With this alone as its argument, the platform becomes the sandbox of an agent.
const SANDBOX: &str = "sandbox-of-an-agent";

/// Variables of its environment that the tools of builds may see: where programs, caches, indexes and certificates are.
/// Everything else, the platform's own secrets above all, is not for them.
const TOOLS: [&str; 24] = [
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "NPM_CONFIG_USERCONFIG",
];

/// Whether this process was started to become a sandbox.
pub fn is_sandbox() -> bool {
    let mut arguments = env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == SANDBOX) && arguments.next().is_none()
}

/// Builder and runner of this host, and what its agents will dial; nothing where nothing is to run.
pub async fn running(
    config: &Config,
    data_dir: &Path,
    world: &World,
) -> Result<Option<(Running, mpsc::Receiver<Arrival>)>, Box<dyn std::error::Error>> {
    if config.runner.kind == RunnerKind::None {
        return Ok(None);
    }
    let data = data_dir.join("agents");
    let mut building = BuilderSettings::new(&data, tools());
    building.at_once = config.builds.at_once;
    building.time = Duration::from_secs(config.builds.seconds);
    building.run_package_code = config.builds.run_package_code;

    let launcher = (env::current_exe()?, vec![OsString::from(SANDBOX)]);
    let mut settings = RunnerSettings::new(&data, launcher, || World::Real.now());
    (settings.at_least, settings.at_most) = (config.runner.at_least, config.runner.at_most);
    settings.ready_within = Duration::from_secs(config.runner.ready_seconds);
    settings.drain = Duration::from_secs(config.runner.drain_seconds);
    let (runner, arrivals) = ProcessRunner::new(settings).await?;
    let builder = ProcessBuilder::new(building)?;
    let host = runner.host();
    info!(isolation = %host.isolation, "agents run on this host");
    for note in &host.notes {
        warn!("{note}");
    }
    let (builds, runs) = (config.builds.clone(), config.runner.clone());
    let running = Running::new(world.id("replica"), data, Arc::new(builder), Arc::new(runner), builds, runs);
    Ok(Some((running, arrivals)))
}

fn tools() -> BTreeMap<String, String> {
    #[expect(clippy::disallowed_methods, reason = "the rim reads the environment")]
    let all = env::vars_os();
    let known = all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    known.filter(|(name, _)| TOOLS.contains(&name.as_str())).collect()
}
