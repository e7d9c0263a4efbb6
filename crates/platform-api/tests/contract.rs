//! The running binary, judged by others: a linter of descriptions, a tool that sends whatever the description allows and
//! forbids, and the published client.

mod binary;

use std::path::PathBuf;
use std::process::Command;

use binary::{KEY, Platform};

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

/// The versioned surface, runs and approvals at the root, and the second system's.
const SURFACES: &str = "^/(api/v1|runs|governance|callbacks|v1/(agents|operations|usage|alerts|keys|webhooks))/?";

/// All of these; the older prefixes lead to the same handlers. Not asked: that whatever fits the schemas is accepted (names,
/// addresses and what must be there together are checked by rules that no schema says), nor the payments that are answered by
/// 501, nor plans whose faults are the answer.
#[test]
#[ignore = "needs schemathesis; `cargo xtask test` installs it"]
fn what_the_description_says_is_what_the_binary_does() {
    let platform = Platform::start("schemathesis", |command| {
        command.env("PLATFORM_TIERS_PRO", "0");
    });
    let fixed = ["--max-examples", "4", "--seed", "1", "--no-color", "--phases", "examples,coverage,fuzzing"];
    let mut command = Command::new(judge("contract/bin/schemathesis"));
    command.arg("run").arg(format!("{}/openapi.json", platform.address)).args(fixed);
    command.args(["--exclude-checks", "positive_data_acceptance", "-H"]).arg(format!("Authorization: Bearer {KEY}"));
    command.args(["--include-path-regex", SURFACES]);
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
    let platform = Platform::start("sdk", |_| {});
    let mut command = Command::new(judge("sdk/bin/python"));
    command.arg("-c").arg(include_str!("sdk.py")).arg(&platform.address).arg(KEY);
    passes(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
}

/// Chat, streams, tools, JSON, embeddings, responses and messages, from every format of callers to every one of providers.
#[test]
#[ignore = "needs OpenAI's and Anthropic's clients; `cargo xtask test` installs them"]
fn the_clients_of_openai_and_anthropic_reach_every_provider() {
    let platform = Platform::start("models", |_| {});
    let mut command = Command::new(judge("models/bin/python"));
    command.arg("-c").arg(include_str!("models.py")).arg(&platform.address).arg(KEY);
    passes(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
}

/// Each tool that the client's MCP server offers, called by a client of that protocol.
#[test]
#[ignore = "needs the published SDK and its protocol; `cargo xtask test` installs them"]
fn every_tool_of_the_published_mcp_server_is_answered() {
    let platform = Platform::start("mcp", |_| {});
    let mut command = Command::new(judge("sdk/bin/python"));
    command.arg("-c").arg(include_str!("mcp.py")).arg(&platform.address).arg(KEY).arg(env!("CARGO_TARGET_TMPDIR"));
    passes(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
}

#[test]
#[ignore = "needs a linter; `cargo xtask test` installs it"]
fn the_description_is_clean() {
    let platform = Platform::start("redocly", |_| {});
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
