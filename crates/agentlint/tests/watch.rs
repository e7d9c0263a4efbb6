//! `check --watch` as its user sees it: a report, an edit, the next report, Ctrl-C.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const CLEAN: &str = "print(1)\n";
const PLAIN: &str = "import requests\n\nrequests.get(\"http://api.northwind-crm.io/v1/contacts\", timeout=10)\n";
/// Nothing takes this long; whatever waits for it has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// A folder that is watched, and what is said of it, line by line.
struct Watched {
    folder: PathBuf,
    child: Child,
    lines: Receiver<String>,
}

impl Watched {
    fn new(name: &str, args: &[&str], files: &[(&str, &str)]) -> Watched {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("watch-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        // Nothing above it is asked.
        std::fs::create_dir_all(folder.join(".git")).unwrap();
        for (path, text) in files {
            write(&folder, path, text);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
        command.args(["check", "--watch", "-o", "concise"]).args(args).current_dir(&folder);
        // Both in one pipe, in the order in which they are said.
        let (said, out) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap();
        drop(command);
        let (to, lines) = channel();
        let read = move || BufReader::new(said).lines().map_while(Result::ok).try_for_each(|line| to.send(line));
        std::thread::Builder::new().spawn(read).unwrap();
        Watched { folder, child, lines }
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.folder, path, text);
    }

    /// Waits for a line with this text: all lines until there.
    fn until(&self, text: &str) -> String {
        let mut said = String::new();
        while !said.lines().next_back().is_some_and(|line| line.contains(text)) {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no {text:?} in {said}"));
            said.push_str(&line);
            said.push('\n');
        }
        said
    }

    /// Ctrl-C, and the exit code.
    fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn an_edit_is_reported_under_the_name_of_its_file_and_the_last_report_decides_the_exit_code() {
    let watched = Watched::new("edit", &[], &[("agent.py", CLEAN)]);
    watched.until("watching; Ctrl-C ends");
    watched.until("no findings in 1 file");
    watched.write("agent.py", PLAIN);
    watched.until("agent.py changed");
    let said = watched.until("(1 medium");
    assert!(said.contains("agent.py:3:14: AL201 medium[plain-http]") && !said.contains('\u{1b}'), "{said}");
    assert_eq!(watched.interrupt(), Some(1));

    let watched = Watched::new("clean", &[], &[("agent.py", PLAIN)]);
    watched.until("(1 medium");
    watched.write("agent.py", CLEAN);
    watched.until("no findings in 1 file");
    assert_eq!(watched.interrupt(), Some(0));
}

#[test]
fn files_come_and_go_also_in_folders_that_were_not_there() {
    let watched = Watched::new("gone", &[], &[("agent.py", CLEAN)]);
    watched.until("no findings in 1 file");
    watched.write("tools/deep/http.py", PLAIN);
    watched.until("tools/deep/http.py is new");
    watched.until("(1 medium");
    std::fs::remove_dir_all(watched.folder.join("tools")).unwrap();
    watched.until("tools/deep/http.py is gone");
    watched.until("no findings in 1 file");
    // A folder that comes back is another one.
    watched.write("tools/deep/http.py", CLEAN);
    watched.until("no findings in 2 files");
    watched.write("tools/deep/http.py", PLAIN);
    watched.until("tools/deep/http.py changed");
    watched.until("(1 medium");
    std::fs::remove_file(watched.folder.join("agent.py")).unwrap();
    std::fs::remove_dir_all(watched.folder.join("tools")).unwrap();
    watched.until("error: no input files");
    watched.write("agent.py", PLAIN);
    watched.until("(1 medium");
    assert_eq!(watched.interrupt(), Some(1));
}

#[test]
fn what_is_configured_counts_at_once_and_a_mistake_in_it_ends_nothing() {
    let watched = Watched::new("config", &[], &[("sub/agent.py", PLAIN)]);
    watched.until("(1 medium");
    watched.write("agentlint.toml", "ignore = [\"plain-http\"]\n");
    watched.until("agentlint.toml is new");
    watched.until("(1 info");
    watched.write("agentlint.toml", "ignroe = []\n");
    watched.until("agentlint.toml:1: unknown field `ignroe`; did you mean `ignore`?");
    watched.write("agentlint.toml", "fail-on = \"never\"\n");
    watched.until("(1 medium");
    assert_eq!(watched.interrupt(), Some(0));
}

#[test]
fn a_lock_a_pack_and_a_baseline_count_at_once() {
    let files = [("agent.py", PLAIN), ("agentlint.toml", "baseline = \"known.txt\"\n"), ("known.txt", "")];
    let watched = Watched::new("lock", &[], &files);
    watched.until("(1 medium");
    watched.write("agent.lock", "version = 1\nhosts = []\npackages = []\nsecrets = []\n");
    watched.until("undeclared-host");
    std::fs::remove_file(watched.folder.join("agent.lock")).unwrap();
    watched.until("(1 medium, 1 info");
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
    let done = command.args(["baseline", "--file", "known.txt"]).current_dir(&watched.folder).output().unwrap();
    assert!(done.status.success());
    watched.until("in the baseline");
    assert_eq!(watched.interrupt(), Some(0));
}

#[test]
fn its_own_report_is_no_change_and_neither_is_a_file_written_as_it_was() {
    let watched = Watched::new("own", &["-o", "json=report.json"], &[("agent.py", PLAIN)]);
    watched.until("(1 medium");
    // Nothing new stands in it: the next report is that of the second edit.
    watched.write("agent.py", PLAIN);
    watched.write("notes/agent.py", CLEAN);
    let said = watched.until("(1 medium");
    assert!(said.starts_with("notes/agent.py is new\n"), "{said}");
    assert!(std::fs::read_to_string(watched.folder.join("report.json")).unwrap().contains("\"files\": "));
    assert_eq!(watched.interrupt(), Some(1));
}
