//! Run: other programs, shown before they start, with a failure that names them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong, in a sentence.
pub type Done = Result<(), String>;

/// Runs a command and waits for it.
pub fn watch(command: &mut Command) -> Done {
    let line = line(command);
    say(&line);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("`{line}` did not start: {error}")),
    }
}

/// Whether a command can be run at all.
pub fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate lies two folders below the root")
}

/// Where builds go.
pub fn target() -> PathBuf {
    variable("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A line for the person who watches.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "xtask: {line}");
}

/// What was asked for, on standard output: to be read by other programs.
pub fn give(text: &str) -> Done {
    writeln!(std::io::stdout(), "{text}").map_err(|error| format!("standard output: {error}"))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[expect(clippy::disallowed_methods, reason = "chores are told by cargo, through the environment, where things are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
