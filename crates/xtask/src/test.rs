//! `cargo xtask test`: what the tests need, then all of them.

use std::process::Command;

use crate::run::{Done, cargo, target, watch, works};

/// The published client that one test runs against our server.
const SDK: &str = "runagents==1.4.2";

/// The test runner, where it is missing.
const NEXTEST: &str = "cargo-nextest@0.9.143";

/// Arguments after `--` go to the test runner: `cargo xtask test -- analyze`.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// For the test runner.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Set-up, tests, documentation examples.
pub fn run(flags: &Flags) -> Done {
    sdk()?;
    nextest()?;
    // Ignored tests are those that need the set-up above.
    let fixed = ["nextest", "run", "--workspace", "--run-ignored", "all", "--no-fail-fast"];
    watch(cargo().args(fixed).args(&flags.rest))?;
    if flags.rest.is_empty() {
        watch(cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    }
    Ok(())
}

/// In a virtual environment beside the build.
fn sdk() -> Done {
    let folder = target().join("sdk");
    let python = folder.join("bin/python");
    let check = format!("import importlib.metadata as m; assert 'runagents==' + m.version('runagents') == '{SDK}'");
    if works(Command::new(&python).args(["-c", &check])) {
        return Ok(());
    }
    watch(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    watch(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK]))
}

fn nextest() -> Done {
    match works(cargo().args(["nextest", "--version"])) {
        true => Ok(()),
        false => watch(cargo().args(["install", "--locked", NEXTEST])),
    }
}
