//! The whole corpus of credentials: no output of any format, no message of the language server or the MCP server shows
//! eight characters of one beyond its public prefix, and masks have one length.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lsp_server::{Message, Notification, Request};
use serde_json::{Value, json};
use test_bench::secrets::{Sample, hidden, whole};

/// So many characters in a row are a part of a credential and no chance.
const WINDOW: usize = 8;

/// What must not be shown, each part with whose it is.
struct Watch(HashMap<[u8; WINDOW], usize>);

impl Watch {
    fn new(samples: &[Sample]) -> Watch {
        let mut parts = HashMap::new();
        for (index, sample) in samples.iter().enumerate() {
            for window in hidden(sample).as_bytes().windows(WINDOW) {
                parts.insert(window.try_into().expect("as long as a window"), index);
            }
        }
        Watch(parts)
    }

    /// Samples that a text shows, with the place.
    fn shown<'t>(&self, text: &'t str) -> BTreeMap<usize, &'t str> {
        let mut shown = BTreeMap::new();
        for (at, window) in text.as_bytes().windows(WINDOW).enumerate() {
            let Some(index) = <[u8; WINDOW]>::try_from(window).ok().and_then(|window| self.0.get(&window)) else {
                continue;
            };
            let from = (0..=at.saturating_sub(60)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let to = (at + 60..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            shown.entry(*index).or_insert(&text[from..to]);
        }
        shown
    }
}

/// What looks like a fingerprint: 32 digits of a hash.
fn is_print(word: &str) -> bool {
    word.len() == 32 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A text with its words, each with what follows it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    parts.map(|part| part.split_at(part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len()))
}

/// The corpus as a project on disk.
struct Project {
    root: PathBuf,
    samples: Vec<Sample>,
    watch: Watch,
}

impl Project {
    fn new(name: &str, seed: u64, times: usize) -> Project {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("agentlint-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join(".git")).unwrap();
        let samples = whole(seed, times);
        for sample in &samples {
            let path = root.join(&sample.file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &sample.text).unwrap();
        }
        let watch = Watch::new(&samples);
        Project { root, samples, watch }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
        command.args(args).current_dir(&self.root).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code < 2), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Fails for each text that shows a part of a credential, and names them all.
    fn assert_hidden(&self, texts: &[(String, String)]) {
        let mut failures = Vec::new();
        // Stars that files have themselves: `*** Variables ***` is how a table of one framework begins.
        let stars = |text: &str| text.split(|c| c != '*').map(str::len).filter(|len| *len > 2).collect::<Vec<_>>();
        let own: BTreeSet<usize> = self.samples.iter().flat_map(|sample| stars(&sample.text)).collect();
        let of_sample = |sample: &'_ Sample| {
            words(&sample.text).map(|(word, _)| word.to_string()).filter(|word| is_print(word)).collect::<Vec<_>>()
        };
        let known: HashSet<String> = self.samples.iter().flat_map(of_sample).collect();
        for (name, text) in texts {
            assert!(!text.is_empty(), "{name} says nothing");
            // A hash has eight digits in common with one of so many keys now and then.
            let without =
                |(word, rest)| if is_print(word) && !known.contains(word) { ["hash", rest] } else { [word, rest] };
            let text: &str = &words(text).flat_map(without).collect::<String>();
            for (index, place) in self.watch.shown(text) {
                let sample = &self.samples[index];
                failures.push(format!("{name}: {} in {}: …{}…", sample.kind, sample.context, place.escape_debug()));
            }
            for mask in stars(text).into_iter().filter(|mask| !own.contains(mask)) {
                assert_eq!(mask, 4, "{name}: masks have one length");
            }
        }
        assert!(failures.is_empty(), "{} are shown\n{}", failures.len(), failures.join("\n"));
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

const FORMATS: [&str; 11] =
    ["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit", "markdown", "html", "agent"];

const COMMANDS: [&[&str]; 12] = [
    &["inspect", "-o", "json"],
    &["inspect", "-o", "table"],
    &["inspect", "-o", "cyclonedx"],
    &["inspect", "-o", "mermaid"],
    &["inspect", "-o", "svg"],
    &["policy"],
    &["policy", "-o", "json"],
    &["lock", "-v"],
    &["diff", "agent.lock", ".", "-o", "json"],
    &["check", "--diff-fixes", "--unsafe-fixes", "-v"],
    &["baseline"],
    &["check", "--fix", "--unsafe-fixes", "-v"],
];

#[test]
fn no_output_shows_a_credential_of_the_corpus() {
    let project = Project::new("corpus", 20, 3);
    let files: Vec<String> = FORMATS.iter().map(|format| format!("{format}=.git/out.{format}")).collect();
    let mut args = vec!["check", "--pedantic", "--exit-zero", "-v"];
    files.iter().for_each(|file| args.extend(["-o", file.as_str()]));
    let mut texts = vec![("check -v".to_owned(), project.run(&args))];
    let written = |name: &str| std::fs::read_to_string(project.root.join(name)).unwrap();
    texts.extend(FORMATS.map(|format| (format.to_owned(), written(&format!(".git/out.{format}")))));
    for command in COMMANDS {
        texts.push((command.join(" "), project.run(command)));
    }
    texts.extend(["agent.lock", "agentlint-baseline.txt"].map(|file| (file.to_owned(), written(file))));
    // It was the whole corpus, and nearly all of it was seen.
    let report: Value = serde_json::from_str(&written(".git/out.json")).unwrap();
    let found = report["findings"].as_array().unwrap().iter();
    let files = found.filter(|finding| finding["code"].as_str().unwrap().starts_with("AL1"));
    let files: std::collections::BTreeSet<&str> = files.map(|finding| finding["file"].as_str().unwrap()).collect();
    assert!(files.len() * 100 > project.samples.len() * 95, "{} of {}", files.len(), project.samples.len());
    project.assert_hidden(&texts);
}

#[test]
fn no_message_of_the_language_server_shows_a_credential_of_the_corpus() {
    let project = Project::new("corpus-lsp", 21, 1);
    let mut server = project.command(&["lsp"]).stderr(Stdio::inherit()).spawn().unwrap();
    let (mut to, mut from) = (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()));
    let mut said = String::new();
    let ask = |to: &mut std::process::ChildStdin, id: i32, method: &str, params: Value| {
        Message::Request(Request::new(id.into(), method.to_owned(), params)).write(to).unwrap();
    };
    let tell = |to: &mut std::process::ChildStdin, method: &str, params: Value| {
        Message::Notification(Notification::new(method.to_owned(), params)).write(to).unwrap();
    };
    // The next message, which is written down with everything else.
    let mut hear = |said: &mut String| -> Value {
        let message = Message::read(&mut from).unwrap().expect("the server speaks");
        let text = serde_json::to_value(&message).unwrap();
        *said += &text.to_string();
        *said += "\n";
        text
    };
    let uri = |path: &str| format!("file://{}", project.root.canonicalize().unwrap().join(path).display());
    ask(&mut to, 0, "initialize", json!({"capabilities": {}, "rootUri": uri("")}));
    hear(&mut said);
    tell(&mut to, "initialized", json!({}));
    let mut diagnostics: Vec<(String, Value)> = Vec::new();
    let files: std::collections::BTreeSet<&str> = project.samples.iter().map(|sample| sample.file.as_str()).collect();
    // One file is open and edited, with a credential of its own.
    let open = project.samples.iter().find(|sample| sample.context == "py assignment").expect("a file of Python");
    let document = json!({"uri": uri(&open.file), "languageId": "python", "version": 1, "text": open.text});
    tell(&mut to, "textDocument/didOpen", json!({"textDocument": document}));
    let edited = [open.text.as_str(), "\n"].concat();
    let version = json!({"uri": uri(&open.file), "version": 2});
    tell(&mut to, "textDocument/didChange", json!({"textDocument": version, "contentChanges": [{"text": edited}]}));
    // Asked for last, so that everything before it has come.
    ask(
        &mut to,
        1,
        "textDocument/hover",
        json!({"textDocument": {"uri": uri(&open.file)}, "position": {"line": 0, "character": 0}}),
    );
    let mut answered = false;
    while !answered || diagnostics.len() * 100 < files.len() * 90 {
        let message = hear(&mut said);
        answered |= message["id"] == 1;
        if message["method"] == "textDocument/publishDiagnostics" {
            let uri = message["params"]["uri"].as_str().unwrap().to_owned();
            let found = message["params"]["diagnostics"].as_array().unwrap().clone();
            diagnostics.retain(|(known, _)| *known != uri);
            diagnostics.extend(found.into_iter().take(1).map(|found| (uri.clone(), found)));
        }
    }
    let mut waiting = 0;
    for (id, (uri, diagnostic)) in (2..).step_by(2).zip(&diagnostics) {
        let (range, document) = (&diagnostic["range"], json!({"uri": uri}));
        ask(&mut to, id, "textDocument/hover", json!({"textDocument": document, "position": range["start"]}));
        let context = json!({"diagnostics": [diagnostic]});
        ask(
            &mut to,
            id + 1,
            "textDocument/codeAction",
            json!({"textDocument": document, "range": range, "context": context}),
        );
        for _ in 0..2 {
            while hear(&mut said)["id"].is_null() {}
            waiting += 1;
        }
    }
    assert_eq!(waiting, 2 * diagnostics.len());
    // What it cannot read it does not quote.
    tell(&mut to, "textDocument/didChange", json!({"textDocument": open.text}));
    while hear(&mut said)["method"] != "window/logMessage" {}
    ask(&mut to, 1_000_000, "textDocument/hover", json!({"textDocument": open.text}));
    while hear(&mut said)["id"] != 1_000_000 {}
    ask(&mut to, 1_000_001, "shutdown", Value::Null);
    while hear(&mut said)["id"] != 1_000_001 {}
    tell(&mut to, "exit", Value::Null);
    assert!(server.wait().unwrap().success());
    assert!(said.contains("environment as") && said.contains("****"));
    project.assert_hidden(&[("lsp".into(), said)]);
}

#[test]
fn no_message_of_the_mcp_server_shows_a_credential_of_the_corpus() {
    let project = Project::new("corpus-mcp", 22, 1);
    let mut server = project.command(&["mcp"]).stderr(Stdio::piped()).spawn().unwrap();
    let (mut to, from) = (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()));
    let files: BTreeMap<&str, &str> =
        project.samples.iter().map(|sample| (sample.file.as_str(), sample.text.as_str())).collect();
    let open = &project.samples[0];
    let call = |id: u32, name: &str, arguments: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let client =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let messages = [
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        call(1, "analyze", json!({"files": &files})),
        call(2, "policy", json!({"files": &files, "agent": "a"})),
        // Wrong in ways that would tempt to quote.
        call(3, "analyze", json!({"files": {"agent.py": [&open.text]}})),
        call(4, "analyze", json!({"files": &open.text})),
        call(5, "policy", json!({"files": {"../agent.py": &open.text}})),
    ];
    let mut lines = from.lines().map(Result::unwrap);
    let mut said = String::new();
    for message in &messages {
        writeln!(to, "{message}").unwrap();
        if message["id"].is_number() {
            said += &lines.next().expect("an answer");
            said += "\n";
        }
    }
    drop(to);
    said.extend(lines);
    let output = server.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(
        said.contains("hardcoded-secret") && said.contains("****") && said.contains("leaves the project"),
        "{said}"
    );
    project.assert_hidden(&[
        ("mcp".into(), said),
        ("log".into(), String::from_utf8_lossy(&output.stderr).into_owned() + " "),
    ]);
}
