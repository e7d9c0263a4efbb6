//! The started binary in a test's hands.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The operator's key of every platform here: the documents' own.
pub const KEY: &str = "ra_live_abc123your-api-key-here";

/// A process that ends with this value.
pub struct Platform {
    /// The process.
    pub child: Child,
    /// `http://127.0.0.1:1234`.
    pub address: String,
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A folder that nothing is in yet.
pub fn folder(name: &str) -> PathBuf {
    let folder = place(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Platform {
    /// Over a store of its own, without a limit of requests and without a runner; `change` says what else is different.
    pub fn start(name: &str, change: impl FnOnce(&mut Command)) -> Platform {
        folder(name);
        Platform::again(name, change)
    }

    /// Over the store that an earlier one of the same name left.
    pub fn again(name: &str, change: impl FnOnce(&mut Command)) -> Platform {
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
        command.env_clear().env("PLATFORM_API_KEY", KEY).env("PLATFORM_LIMITS_REQUESTS_PER_MINUTE", "0");
        command.env("PLATFORM_RUNNER_KIND", "none");
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(place(name).join("data"));
        command.stderr(Stdio::null());
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_once("listens on ").unwrap().1.split_once(',').unwrap().0.to_string();
        Platform { child, address }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
