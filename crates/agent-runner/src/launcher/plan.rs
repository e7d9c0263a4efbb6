//! The plan: all that a sandbox is made from, decided by the runner.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Isolation, Limits};

/// One sandbox and the process in it. Its environment may be secret: it travels in an unnamed file, never as arguments.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// How it is kept apart.
    pub isolation: Isolation,
    /// Whom the process becomes, where the runner is root.
    pub user: Option<u32>,
    /// An empty folder, where the sandbox's own root is mounted.
    pub root: PathBuf,
    /// What of the host is visible, read-only, and where; the first wins over what lies below it later.
    pub shown: Vec<(PathBuf, PathBuf)>,
    /// Folders of the host that stay empty, wherever they would be shown.
    pub hidden: Vec<PathBuf>,
    /// Symbolic links.
    pub links: Vec<(PathBuf, String)>,
    /// Small files of its own.
    pub texts: Vec<(PathBuf, String)>,
    /// Where the process may write: in a sandbox with a root of its own these are made and lost with it.
    pub writable: Vec<PathBuf>,
    /// Ports at which the gateway listens.
    pub listen: Vec<u16>,
    /// The port of the agent itself.
    pub port: u16,
    /// Ports that the process may connect to, where the network is the host's.
    pub connect: Vec<u16>,
    /// What it may use up.
    pub limits: Limits,
    /// Whether memory must be limited for each process, since nobody counts it over all of them.
    pub limit_memory: bool,
    /// The same of the number of processes.
    pub limit_processes: bool,
    /// What is run, by its full path.
    pub command: Vec<String>,
    /// Where.
    pub folder: PathBuf,
    /// With which variables.
    pub environment: BTreeMap<String, String>,
}
