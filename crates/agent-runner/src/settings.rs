//! Settings: what the caller says once. Nothing here reads the environment or the clock by itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::Isolation;

/// How artifacts are built on this host: `ProcessBuilder::new(settings)`.
#[derive(Debug, Clone)]
pub struct BuilderSettings {
    /// The folder that builder and runner share, private to the platform.
    pub data: PathBuf,
    /// Variables that the tools may see: `PATH`, `HOME`, proxies, indexes. The platform's secrets are not for them.
    pub tools: crate::Environment,
    /// How many builds run at the same time; others wait.
    pub at_once: usize,
    /// How long one may take.
    pub time: Duration,
    /// Whether packages may run code of their own while they are installed: source distributions of PyPI, install
    /// scripts of npm. That code would run as the platform does.
    pub run_package_code: bool,
}

/// How agents run on this host: `ProcessRunner::new(settings)` gives the runner and the `mpsc::Receiver<Arrival>` of
/// what its agents dial.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// The folder that builder and runner share, private to the platform.
    pub data: PathBuf,
    /// The program that becomes a sandbox, mostly the platform's own binary, and the arguments that make it call
    /// `launcher::main`.
    pub launcher: (PathBuf, Vec<OsString>),
    /// The weakest isolation that is acceptable: with `Netns` nothing starts on a host that gives less.
    pub at_least: Isolation,
    /// The strongest that is used, even if the host gives more.
    pub at_most: Isolation,
    /// Milliseconds since 1970, for lines of logs.
    pub clock: fn() -> i64,
    /// How long a version may take until it is ready.
    pub ready_within: Duration,
    /// How long requests under way get when a new version takes over.
    pub drain: Duration,
    /// Bytes of logs that are kept for each agent.
    pub log_bytes: u64,
}

impl BuilderSettings {
    /// What suits most hosts, over a data folder and with what the tools may see.
    pub fn new(data: impl Into<PathBuf>, tools: BTreeMap<String, String>) -> BuilderSettings {
        BuilderSettings {
            data: data.into(),
            tools: crate::Environment(tools),
            at_once: 2,
            time: Duration::from_secs(600),
            run_package_code: false,
        }
    }
}

impl RunnerSettings {
    /// What suits most hosts.
    pub fn new(data: impl Into<PathBuf>, launcher: (PathBuf, Vec<OsString>), clock: fn() -> i64) -> RunnerSettings {
        RunnerSettings {
            data: data.into(),
            launcher,
            at_least: Isolation::Advisory,
            at_most: Isolation::Netns,
            clock,
            ready_within: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            log_bytes: 8 << 20,
        }
    }
}
