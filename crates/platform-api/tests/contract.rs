//! The running binary, judged by others: a linter of descriptions, a tool that sends whatever the description allows and
//! forbids, and the published client.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const KEY: &str = "ra_live_a-key-for-the-judges";

struct Platform {
    child: Child,
    address: String,
}

impl Platform {
    fn start(name: &str) -> Platform {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
        command.env_clear().env("PLATFORM_API_KEY", KEY).env("PLATFORM_LIMITS_REQUESTS_PER_MINUTE", "0");
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
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

/// Where `cargo xtask test` puts the judges.
fn judge(path: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().join(path)
}

fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}

/// The versioned surface and runs and approvals at the root; the older prefixes lead to the same handlers. Not asked: that
/// whatever fits the schemas is accepted (names, addresses and what must be there together are checked by rules that no
/// schema says), nor the payments that are answered by 501, nor plans whose faults are the answer.
#[test]
#[ignore = "needs schemathesis; `cargo xtask test` installs it"]
fn what_the_description_says_is_what_the_binary_does() {
    let platform = Platform::start("schemathesis");
    let fixed = ["--max-examples", "4", "--seed", "1", "--no-color", "--phases", "examples,coverage,fuzzing"];
    let mut command = Command::new(judge("contract/bin/schemathesis"));
    command.arg("run").arg(format!("{}/openapi.json", platform.address)).args(fixed);
    command.args(["--exclude-checks", "positive_data_acceptance", "-H"]).arg(format!("Authorization: Bearer {KEY}"));
    command.args(["--include-path-regex", "^/(api/v1|runs|governance|callbacks)/?"]);
    command.args([
        "--exclude-path-regex",
        "^/api/v1/(billing/(setup|payment|subscribe|portal|publishable)|actions/validate)",
    ]);
    passes(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
}

/// Each method of the published client, as its users call it.
#[test]
#[ignore = "needs the published SDK; `cargo xtask test` installs it"]
fn every_method_of_the_published_client_is_answered() {
    let platform = Platform::start("sdk");
    let mut command = Command::new(judge("sdk/bin/python"));
    command.arg("-c").arg(include_str!("sdk.py")).arg(&platform.address).arg(KEY);
    passes(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
}

/// Chat, streams, tools, JSON, embeddings, responses and messages, from every format of callers to every one of providers.
#[test]
#[ignore = "needs OpenAI's and Anthropic's clients; `cargo xtask test` installs them"]
fn the_clients_of_openai_and_anthropic_reach_every_provider() {
    let platform = Platform::start("models");
    let mut command = Command::new(judge("models/bin/python"));
    command.arg("-c").arg(include_str!("models.py")).arg(&platform.address).arg(KEY);
    passes(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
}

#[test]
#[ignore = "needs a linter; `cargo xtask test` installs it"]
fn the_description_is_clean() {
    let platform = Platform::start("redocly");
    let mut command = Command::new(judge("judges/bin/node"));
    command.arg(judge("judges/node_modules/@redocly/cli/bin/cli.js")).arg("lint");
    command.arg(format!("{}/openapi.json", platform.address)).args([
        "--extends",
        "recommended",
        "--max-problems",
        "20",
    ]);
    command.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    passes(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
}
