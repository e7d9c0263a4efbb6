//! What the language server makes of what happens around an open file: configuration, other programs, wrong messages.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use lsp_server::{Message, Notification, Request};
use serde_json::{Value, json};

const PLAIN: &str = "import requests\n\nrequests.get(\"http://api.northwind-crm.io/v1\", timeout=9)\n";

struct Editor {
    folder: PathBuf,
    server: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Editor {
    fn open(name: &str, files: &[(&str, &str)]) -> Editor {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lsp-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join(".git")).unwrap();
        let folder = folder.canonicalize().unwrap();
        for (path, text) in files {
            std::fs::write(folder.join(path), text).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
        command.arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let (to, from) = (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()));
        let mut editor = Editor { folder, server, to, from };
        let watches = json!({"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": true}}});
        let params = json!({"capabilities": watches, "rootUri": editor.uri("")});
        Message::Request(Request::new(0.into(), "initialize".to_owned(), params)).write(&mut editor.to).unwrap();
        editor.until(|message| message["id"] == 0);
        editor.tell("initialized", json!({}));
        editor
    }

    fn uri(&self, path: &str) -> String {
        format!("file://{}", self.folder.join(path).display())
    }

    fn tell(&mut self, method: &str, params: Value) {
        Message::Notification(Notification::new(method.to_owned(), params)).write(&mut self.to).unwrap();
    }

    fn write(&mut self, path: &str, text: &str) {
        std::fs::write(self.folder.join(path), text).unwrap();
        let changes = json!([{"uri": self.uri(path), "type": 2}]);
        self.tell("workspace/didChangeWatchedFiles", json!({ "changes": changes }));
    }

    /// Messages until the one that is waited for; a server that says nothing more fails the test when it ends.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = Message::read(&mut self.from).unwrap().expect("the server speaks");
            let message = serde_json::to_value(message).unwrap();
            if wanted(&message) {
                return message;
            }
        }
    }

    fn until_rules(&mut self, path: &str, rules: &[&str]) {
        let uri = self.uri(path);
        self.until(|message| {
            let params = &message["params"];
            let found = params["diagnostics"].as_array().into_iter().flatten().map(|found| &found["code"]);
            params["uri"] == uri.as_str() && found.eq(rules)
        });
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const FILES: [(&str, &str); 2] = [("agent.py", PLAIN), ("requirements.txt", "requests==2.32.3\n")];

#[test]
fn a_configuration_counts_when_it_is_written_and_a_mistake_in_it_is_told() {
    let mut editor = Editor::open("config", &FILES);
    let asked = editor.until(|message| message["method"] == "client/registerCapability");
    assert_eq!(asked["params"]["registrations"][0]["method"], "workspace/didChangeWatchedFiles");
    editor.until_rules("agent.py", &["plain-http"]);
    editor.write("agentlint.toml", "ignore = [\"plain-http\"]\n");
    editor.until_rules("agent.py", &[]);
    editor.write("agentlint.toml", "ignroe = []\n");
    let told = editor.until(|message| message["method"] == "window/showMessage");
    assert!(told["params"]["message"].as_str().unwrap().contains("did you mean `ignore`?"), "{told}");
    std::fs::remove_file(editor.folder.join("agentlint.toml")).unwrap();
    editor.write("agent.lock", "version = 1\nhosts = []\npackages = [\"requests\"]\nsecrets = []\n");
    editor.until_rules("agent.py", &["undeclared-host", "undeclared-tool", "plain-http"]);
}

#[test]
fn a_server_that_starts_with_a_wrong_configuration_says_so_and_serves() {
    let wrong = [FILES[0], FILES[1], ("agentlint.toml", "ignroe = []\n")];
    let mut editor = Editor::open("wrong", &wrong);
    let told = editor.until(|message| message["method"] == "window/showMessage");
    assert!(told["params"]["message"].as_str().unwrap().contains("agentlint.toml:1"), "{told}");
    editor.until_rules("agent.py", &["plain-http"]);
}

#[test]
fn what_is_known_or_not_sure_enough_is_not_underlined() {
    let files = [FILES[0], FILES[1], ("agentlint.toml", "baseline = \"known.txt\"\n"), ("known.txt", "")];
    let mut editor = Editor::open("known", &files);
    editor.until_rules("agent.py", &["plain-http"]);
    let mut baseline = Command::new(env!("CARGO_BIN_EXE_agentlint"));
    assert!(baseline.args(["baseline", "--file", "known.txt"]).current_dir(&editor.folder).status().unwrap().success());
    let known = std::fs::read_to_string(editor.folder.join("known.txt")).unwrap();
    editor.write("known.txt", &known);
    editor.until_rules("agent.py", &[]);
}

#[test]
fn files_that_others_write_are_read_unless_the_editor_has_them_open() {
    let mut editor = Editor::open("others", &FILES);
    editor.until_rules("agent.py", &["plain-http"]);
    editor.write("other.py", PLAIN);
    editor.until_rules("other.py", &["plain-http"]);
    let document = json!({"uri": editor.uri("agent.py"), "languageId": "python", "version": 1, "text": "print(1)\n"});
    editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
    editor.until_rules("agent.py", &[]);
    // What the disk has of it does not matter while it is open.
    editor.write("agent.py", PLAIN);
    editor.write("third.py", PLAIN);
    editor.until_rules("third.py", &["plain-http"]);
    let document = json!({"uri": editor.uri("agent.py")});
    editor.tell("textDocument/didClose", json!({ "textDocument": document }));
    editor.until_rules("agent.py", &["plain-http"]);
}

#[test]
fn a_notification_that_cannot_be_read_is_in_the_log_and_quotes_nothing() {
    let mut editor = Editor::open("unread", &FILES);
    let secret = "5cac1b890a43b5d490833fd11716268e2a78b070";
    for method in ["textDocument/didOpen", "textDocument/didChange", "textDocument/didClose", "textDocument/didSave"] {
        editor.tell(method, json!({ "textDocument": secret }));
        let told = editor.until(|message| message["method"] == "window/logMessage");
        let text = told["params"]["message"].as_str().unwrap();
        assert!(text.contains(method) && !text.contains(&secret[..8]), "{text}");
    }
    let unknown = json!({"uri": editor.uri("nowhere.py"), "version": 2});
    editor.tell("textDocument/didChange", json!({"textDocument": unknown, "contentChanges": [{"text": secret}]}));
    let told = editor.until(|message| message["method"] == "window/logMessage");
    assert!(told["params"]["message"].as_str().unwrap().contains("not opened"), "{told}");
}
