//! Tools: programs of the host that builds need, found on the `PATH` they are given, and run so that what they say is
//! heard line by line.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::{BuildError, Log};
use crate::Environment;
use crate::lines::Lines;

/// The first program of this name on the `PATH`.
pub fn find(name: &str, tools: &Environment) -> Option<PathBuf> {
    let path = tools.0.get("PATH")?;
    path.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// What a program answers on its standard output.
pub async fn ask(program: &Path, arguments: &[&str], tools: &Environment) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&tools.0).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_string()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_string())),
    }
}

/// Runs a step of a build to its end. Its words go to the log; if it fails, they are the reason.
pub async fn run(command: &mut Command, time: Duration, log: Log<'_>) -> Result<(), BuildError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let host = |error: io::Error| BuildError::Host(format!("{program}: {error}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    let mut child = command.spawn().map_err(host)?;
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(BuildError::Host(format!("{program}: it cannot be heard")));
    };
    let said = std::sync::Mutex::new(Vec::<String>::new());
    let listen = async {
        let (mut out, mut err) = (Lines::of(out), Lines::of(err));
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let some = tokio::select! {
                some = out.next(), if out_open => { out_open = some.is_some(); some }
                some = err.next(), if err_open => { err_open = some.is_some(); some }
            };
            for line in some.into_iter().flatten().filter(|line| !line.trim().is_empty()) {
                log(&line);
                let mut said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                // The last words say most.
                if said.len() == REMEMBERED {
                    said.remove(0);
                }
                said.push(line);
            }
        }
        child.wait().await
    };
    let status = tokio::time::timeout(time, listen)
        .await
        .map_err(|_| BuildError::Failed(format!("it took longer than {} s", time.as_secs())))?
        .map_err(host)?;
    if status.success() {
        return Ok(());
    }
    let said = said.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).join("\n");
    Err(BuildError::Failed(if said.is_empty() { format!("{program} ended with {status}") } else { said }))
}

/// Lines of a tool that make the reason of its failure.
const REMEMBERED: usize = 40;
