//! The documents' commands as their readers paste them: `fixtures/api/curl` holds them to the letter, with what the
//! documents say comes back. Real `curl` sends them over TLS to the started binary, and takes it for the documents' host.

mod binary;
#[path = "api/documented.rs"]
mod documented;
#[path = "binary/runner.rs"]
mod runner;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use binary::{KEY, Platform, folder};
use documented::differs;
use runner::with_runner;
use serde_json::Value;

/// The documents' hosts.
const HOSTS: [&str; 2] = ["api.runagents.io", "api.run-agent.ai"];

/// A platform that speaks TLS, and the settings with which curl finds it and trusts it.
struct Documented {
    _platform: Platform,
    home: PathBuf,
}

impl Documented {
    fn start(name: &str) -> Documented {
        let home = folder(&format!("{name}-home"));
        let made = rcgen::generate_simple_self_signed(HOSTS.map(String::from)).unwrap();
        let (certificate, key) = (home.join("certificate.pem"), home.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let platform = Platform::start(name, |command| {
            with_runner(command);
            command.arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key);
        });
        let address = platform.address.strip_prefix("https://").unwrap();
        let mut settings =
            format!("cacert = {certificate:?}\nwrite-out = \"%{{stderr}}%{{http_code}}\\n\"\nno-progress-meter\n");
        for host in HOSTS {
            settings.push_str(&format!("connect-to = \"{host}:443:{}\"\n", address));
        }
        std::fs::write(home.join(".curlrc"), settings).unwrap();
        Documented { _platform: platform, home }
    }

    /// What a shell makes of a text.
    fn run(&self, text: &str) -> Output {
        let mut bash = Command::new("bash");
        bash.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("CURL_HOME", &self.home);
        bash.env("RUNAGENTS_API_KEY", KEY);
        bash.arg("-c").arg(text).output().unwrap()
    }
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/api/curl");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Commands, each with the status and the answer that follow it, between remarks.
fn exchanges(text: &str) -> Vec<(String, &str, Value)> {
    let mut exchanges = Vec::new();
    let mut rest = text;
    while let Some((ask, answer)) = rest.split_once("\n--- ") {
        let command: Vec<_> = ask.lines().skip_while(|line| line.starts_with('#') || line.is_empty()).collect();
        let (status, after) = answer.split_once('\n').unwrap();
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<Value>();
        let reply = values.next().unwrap().unwrap();
        rest = &after[values.byte_offset()..];
        exchanges.push((command.join("\n"), status.trim(), reply));
    }
    assert!(rest.trim().is_empty() && !exchanges.is_empty(), "{rest}");
    exchanges
}

fn are_answered_as_documented(name: &str) {
    let documented = Documented::start(&format!("curl-{name}"));
    // What the documents call something, and what it is called here.
    let mut known = HashMap::from([("YOUR_API_KEY".to_string(), KEY.to_string())]);
    for (command, status, reply) in exchanges(&fixture(&format!("{name}.txt"))) {
        let command = known.iter().fold(command, |command, (name, own): (&String, &String)| command.replace(name, own));
        let output = documented.run(&command);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && err.trim() == status, "{command}\n{err}{out}");
        let found: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{command}\n{error}: {out}"));
        if let Some(problem) = differs(&reply, &found, "", &mut known) {
            panic!("{command}\n{problem}\n{found:#}");
        }
    }
}

#[test]
#[ignore = "needs curl and jq; `cargo xtask test` installs them"]
fn the_quickstarts_commands_are_answered_as_documented() {
    are_answered_as_documented("quickstart");
}

#[test]
#[ignore = "needs curl and jq; `cargo xtask test` installs them"]
fn the_deploy_apis_commands_are_answered_as_documented() {
    are_answered_as_documented("deploy");
}

#[test]
#[ignore = "needs curl and jq; `cargo xtask test` installs them"]
fn the_agents_apis_commands_are_answered_as_documented() {
    are_answered_as_documented("agents");
}

#[test]
#[ignore = "needs curl and jq; `cargo xtask test` installs them"]
fn the_quickstarts_whole_script_runs_to_its_end() {
    let output = Documented::start("curl-script").run(&fixture("quickstart.sh"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}{out}");
    assert_eq!(err.lines().collect::<Vec<_>>(), ["200"; 4], "{out}");
    assert!(out.contains("\"hello-world-echo-tool-auto\"") && out.ends_with("Done.\n"), "{out}");
}

#[test]
#[ignore = "needs curl and jq; `cargo xtask test` installs them"]
fn the_second_systems_commands_are_answered_as_documented() {
    are_answered_as_documented("second");
}

/// The first block of shell below the README's heading of the quickstart, to the letter.
#[test]
#[ignore = "needs curl and uv; `cargo xtask test` installs them"]
fn the_readmes_quickstart_does_what_it_says() {
    let readme = include_str!("../../../README.md");
    let (_, below) = readme.split_once("## From code to an agent").unwrap();
    let block = below.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let platform = Platform::start("curl-readme", with_runner);
    let block = block.replace("http://127.0.0.1:8092", &platform.address).replace("$PLATFORM_API_KEY", KEY);
    let output =
        Command::new("bash").env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").arg("-c").arg(block).output();
    let output = output.unwrap();
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let answers: Vec<Value> = answers.collect::<Result<_, _>>().unwrap();
    let [_, deployed, _, invoked, runs] = &answers[..] else { panic!("{answers:#?}") };
    assert_eq!(deployed["policies_created"], serde_json::json!(["hello-world-echo-tool-auto"]));
    assert_eq!(invoked["response"], "hello", "{invoked}");
    assert_eq!(runs[0]["state"], "COMPLETED");
}
