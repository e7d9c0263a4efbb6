//! The binary as its user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("agentlint-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        let folder = Folder(root);
        files.iter().for_each(|(path, text)| folder.write(path, text));
        // Nothing above it is asked: no configuration, no ignore file.
        std::fs::create_dir_all(folder.0.join(".git")).unwrap();
        folder
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).unwrap()
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.command(args, &[], None)
    }

    fn command(&self, args: &[&str], env: &[(&str, &str)], input: Option<&str>) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
        command.args(args).current_dir(&self.0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in [
            "CLAUDECODE",
            "CURSOR_AGENT",
            "GEMINI_CLI",
            "CODEX_SANDBOX",
            "AI_AGENT",
            "NO_COLOR",
            "FORCE_COLOR",
            "CLICOLOR_FORCE",
            "AGENTLINT_OUTPUT",
            "AGENTLINT_CONFIG",
        ] {
            command.env_remove(name);
        }
        command.envs(env.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, input.unwrap_or_default().as_bytes()).unwrap();
        drop(stdin);
        Ran::new(child.wait_with_output().unwrap())
    }

    fn git(&self, args: &[&str]) {
        let name = ["-c", "user.name=T", "-c", "user.email=t@t.t", "-c", "init.defaultBranch=main"];
        let done = Command::new("git").args(name).args(args).current_dir(&self.0).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn new(output: Output) -> Ran {
        Ran {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Names of the rules of a json output, in order.
    fn rules(&self) -> Vec<String> {
        let findings = self.json()["findings"].as_array().unwrap().clone();
        findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
    }
}

const CLEAN: &str = "import os\n\nprint(os.environ.get(\"HOME\", \"\"))\n";
const PLAIN: &str = "import requests\n\nrequests.get(\"http://api.northwind-crm.io/v1/contacts\", timeout=10)\n";
const TOKEN: &str = "5cac1b890a43b5d490833fd11716268e2a78b070";

fn with_secret() -> String {
    format!("CRM_TOKEN = \"{TOKEN}\"\n")
}

const ALL_FORMATS: [&str; 11] =
    ["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit", "markdown", "html", "agent"];

#[test]
fn exit_codes_are_the_same_for_every_format() {
    let clean = Folder::new("codes-clean", &[("agent.py", CLEAN)]);
    let bad = Folder::new("codes-bad", &[("agent.py", PLAIN)]);
    let empty = Folder::new("codes-empty", &[]);
    for format in ALL_FORMATS {
        for (folder, args, code) in [
            (&clean, &["check"][..], 0),
            (&bad, &["check"], 1),
            (&bad, &["check", "--exit-zero"], 0),
            (&bad, &["check", "--fail-on", "high"], 0),
            (&bad, &["check", "--fail-on", "never"], 0),
            (&bad, &["check", "--fail-on", "low"], 1),
            (&bad, &["check", "--min-confidence", "high"], 1),
            (&bad, &["check", "--ignore", "plain-http"], 0),
            (&clean, &["check", "nowhere.py"], 2),
            (&clean, &["check", "--select", "no-such-rule"], 2),
            (&clean, &["check", "--ignore", "all"], 2),
            (&clean, &["check", "--no-such-flag"], 2),
            (&clean, &["check", "--config", "fail-onn = \"low\""], 2),
            (&empty, &["check"], 3),
            (&clean, &["check", "--exclude", "*.py"], 3),
        ] {
            let args: Vec<&str> = args.iter().copied().chain(["-o", format]).collect();
            let ran = folder.run(&args);
            assert_eq!(ran.code, code, "{args:?}\n{}{}", ran.out, ran.err);
        }
    }
    assert_eq!(clean.run(&["check", "-o", "sarif=x/y/z.sarif"]).code, 2, "a file that cannot be written");
    assert_eq!(clean.run(&["check", "-o", "sraif"]).code, 2);
    assert_eq!(clean.run(&["lock", "--check"]).code, 2, "no lock");
    assert_eq!(clean.run(&["explain", "nothing"]).code, 2);
    assert_eq!(clean.run(&["--help"]).code, 0);
}

#[test]
fn colour_never_goes_into_a_pipe_unless_asked_for() {
    let folder = Folder::new("colour", &[("agent.py", PLAIN)]);
    let coloured = |args: &[&str], env: &[(&str, &str)]| folder.command(args, env, None).out.contains('\u{1b}');
    assert!(!coloured(&["check"], &[]));
    assert!(coloured(&["check", "--color", "always"], &[]));
    assert!(coloured(&["check"], &[("FORCE_COLOR", "1")]));
    assert!(coloured(&["check"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&["check"], &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
    assert!(!coloured(&["check", "--color", "never"], &[("FORCE_COLOR", "1")]));
    assert!(!coloured(&["check"], &[("FORCE_COLOR", "1"), ("NO_COLOR", "0")]), "whatever NO_COLOR says");
    assert!(!coloured(&["check"], &[("FORCE_COLOR", "0")]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_sees_colour_unless_it_is_dumb_or_asks_for_none() {
    let folder = Folder::new("terminal", &[("agent.py", PLAIN)]);
    let coloured = |env: &[(&str, &str)]| {
        let mut command = Command::new("script");
        let binary = format!("'{}' check --quiet", env!("CARGO_BIN_EXE_agentlint"));
        command.args(["--quiet", "--command", &binary, "/dev/null"]).current_dir(&folder.0).stdin(Stdio::null());
        for name in ["CLAUDECODE", "CURSOR_AGENT", "GEMINI_CLI", "CODEX_SANDBOX", "AI_AGENT", "NO_COLOR"] {
            command.env_remove(name);
        }
        let output = command.env("TERM", "xterm").envs(env.iter().copied()).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains("plain-http"), "{out}");
        out.contains('\u{1b}')
    };
    assert!(coloured(&[]));
    assert!(!coloured(&[("NO_COLOR", "1")]));
    assert!(!coloured(&[("TERM", "dumb")]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_written_is_a_failure_and_a_pipe_that_closed_is_none() {
    let folder = Folder::new("full", &[("agent.py", PLAIN)]);
    let with = |out: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
        let child = command.arg("check").current_dir(&folder.0).stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
        Ran::new(child.spawn().unwrap().wait_with_output().unwrap())
    };
    let full = with(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into());
    assert!(full.code == 2 && full.err.contains("cannot write standard output"), "{}", full.err);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(with(writer.into()).code, 1);
}

#[test]
fn several_outputs_are_written_in_one_run() {
    let folder = Folder::new("outputs", &[("agent.py", PLAIN)]);
    let ran = folder.run(&["check", "-o", "concise", "-o", "sarif=a.sarif", "-o", "json=b.json"]);
    assert_eq!(ran.out.lines().count(), 1 + ran.out.matches("AL504").count());
    assert!(
        ran.err.ends_with(" ms; 1 can be repaired by --unsafe-fixes\n") && ran.err.contains("1 medium"),
        "{}",
        ran.err
    );
    assert!(folder.read("a.sarif").contains("\"2.1.0\"") && folder.read("b.json").contains("report/v1"));
    assert!(folder.run(&["check", "-q", "-q"]).err.is_empty());
    let ran = folder.run(&["check", "-o", "concise", "-o", "sarif=a.sarif", "-o", "json=b.json"]);
    assert!(ran.err.contains(" in 1 file, "), "reports are no part of the project: {}", ran.err);
}

#[test]
fn services_that_know_a_repository_are_given_its_paths() {
    let folder = Folder::new("way", &[("agents/billing/agent.py", PLAIN)]);
    for (format, expected) in [
        ("github", "file=agents/billing/agent.py,line=3"),
        ("gitlab", "\"path\": \"agents/billing/agent.py\""),
        ("sarif", "\"uri\": \"agents/billing/agent.py\""),
        ("json", "\"file\": \"billing/agent.py\""),
        ("concise", "billing/agent.py:3:14"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
        command.args(["check", "-o", format, "--config", "ignore=[\"no-manifest\"]"]);
        let out = Ran::new(command.current_dir(folder.0.join("agents")).output().unwrap()).out;
        assert!(out.contains(expected), "{format}: {out}");
    }
}

#[test]
fn a_coding_assistant_gets_terse_output_unless_it_asks_for_another() {
    let folder = Folder::new("assistant", &[("agent.py", PLAIN)]);
    let assistant = folder.command(&["check"], &[("CLAUDECODE", "1")], None).out;
    assert!(
        assistant.contains("agent.py:3:14 medium plain-http ") && assistant.contains("\nhelp: use `https://`\n"),
        "{assistant}"
    );
    assert!(
        folder.command(&["check"], &[("CLAUDECODE", "1"), ("AI_AGENT", "0")], None).out.contains(" --> agent.py:3:14")
    );
    assert!(folder.command(&["check", "-o", "full"], &[("CLAUDECODE", "1")], None).out.contains(" --> agent.py:3:14"));
}

#[test]
fn configuration_is_the_closest_and_says_what_is_wrong_with_line_and_name() {
    let folder = Folder::new("config", &[("agent.py", PLAIN), ("agentlint.toml", "ignore = [\"plain-http\"]\n")]);
    assert_eq!(folder.run(&["check"]).code, 0);
    assert_eq!(folder.run(&["check", "--isolated"]).code, 1);
    folder.write("sub/agent.py", PLAIN);
    assert_eq!(folder.run(&["check", "sub"]).code, 0, "the folder above configures it");
    folder.write("sub/pyproject.toml", "[project]\nname = \"x\"\n\n[tool.agentlint]\nfail-on = \"high\"\n");
    assert_eq!(folder.run(&["check", "sub"]).code, 0);
    folder.write("sub/pyproject.toml", "[project]\nname = \"x\"\n\n[tool.agentlint]\nfail-no = \"high\"\n");
    let ran = folder.run(&["check", "sub"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("pyproject.toml:5: unknown field `fail-no`; did you mean `fail-on`?"), "{}", ran.err);
    folder.write("sub/pyproject.toml", "");
    folder.write("sub/package.json", "{\n  \"name\": \"x\",\n  \"agentlint\": { \"ignroe\": [] }\n}\n");
    let ran = folder.run(&["check", "sub"]);
    assert!(ran.err.contains("package.json:3: unknown field `ignroe`; did you mean `ignore`?"), "{}", ran.err);
    assert!(folder.run(&["check"]).err.contains("sub/package.json:3: unknown field `ignroe`"));
    folder.write("sub/package.json", "{}");
    folder.write("agentlint.toml", "[[policies]]\nname = \"p\"\nrules = [{ permission = \"allow\" }]\n");
    let ran = folder.run(&["check"]);
    assert!(ran.code == 2 && ran.err.contains("it would allow every call"), "{}", ran.err);
    folder.write("agentlint.toml", "ignore = [\"all\"]\n");
    let ran = folder.run(&["check"]);
    assert!(ran.code == 2 && ran.err.contains("no rule is left"), "{}", ran.err);
    folder.write("agentlint.toml", "[severity]\nplain-http = \"high\"\n");
    assert_eq!(folder.run(&["check", "--fail-on", "high"]).code, 1);
    assert_eq!(folder.run(&["check", "--config", "severity={plain-http=\"info\"}"]).code, 0);
    assert_eq!(folder.run(&["check", "--config", "fail-on=never"]).code, 0, "a word needs no quotes");
    assert_eq!(folder.command(&["check"], &[("AGENTLINT_CONFIG", "fail-on=never")], None).code, 0);
    for (config, expected) in [
        ("\nignore = [\"plain-htp\"]\n", "agentlint.toml:2: there is no rule `plain-htp`; did you mean `plain-http`?"),
        ("[severity]\nplain-htp = \"high\"\n", "agentlint.toml:2: there is no rule `plain-htp`"),
        ("fail-on = \"hihg\"\n", "agentlint.toml:1: unknown variant `hihg`; did you mean `high`?"),
        ("packs = [\"nowhere\"]\n", "pack nowhere: there is no folder"),
        ("packs = [\"sub\"]\n", "pack sub: no .toml file is in"),
        ("exclude = [\"a[.py\"]\n", "exclude \"a[.py\": unclosed character class"),
    ] {
        folder.write("agentlint.toml", config);
        folder.write("sub/pyproject.toml", "");
        std::fs::remove_file(folder.0.join("sub/pyproject.toml")).unwrap();
        let ran = folder.run(&["check"]);
        assert!(ran.code == 2 && ran.err.contains(expected), "{config}{}", ran.err);
    }
}

#[test]
fn each_file_has_the_rules_of_the_closest_configuration() {
    let folder = Folder::new(
        "nested",
        &[
            ("agent.py", PLAIN),
            ("sub/agent.py", PLAIN),
            ("sub/old/agent.py", PLAIN),
            ("sub/deep/agent.py", PLAIN),
            ("other/agent.py", PLAIN),
            ("agentlint.toml", "[severity]\nplain-http = \"low\"\n"),
            ("sub/agentlint.toml", "exclude = [\"old\"]\n[severity]\nplain-http = \"high\"\n"),
            ("sub/deep/package.json", "{\"agentlint\": {\"ignore\": [\"plain-http\"], \"agent\": \"deep\"}}"),
        ],
    );
    let found = |args: &[&str]| {
        let ran = folder.run(&[&["check", "-o", "json"], args].concat());
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
        let all = report["findings"].as_array().unwrap().iter();
        let of_rule = all.filter(|finding| finding["rule"] == "plain-http");
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        of_rule.map(|finding| (text(&finding["file"]), text(&finding["severity"]))).collect::<Vec<_>>()
    };
    let own = |found: &[(&str, &str)]| -> Vec<(String, String)> {
        found.iter().map(|(file, severity)| (file.to_string(), severity.to_string())).collect()
    };
    assert_eq!(found(&[]), own(&[("agent.py", "low"), ("other/agent.py", "low"), ("sub/agent.py", "high")]));
    // What the command line says counts for all of them.
    assert_eq!(found(&["--select", "credentials"]), []);
    let everywhere = found(&["--config", "severity={plain-http=\"info\"}"]);
    assert_eq!(everywhere.len(), 5);
    assert!(everywhere.iter().all(|(_, severity)| severity == "info"), "{everywhere:?}");
    let said = folder.run(&["check", "-v"]).err;
    assert!(said.contains("sub/ has its own configuration, which counts for the rules of its files\n"), "{said}");
    assert!(said.contains("what else it says counts where sub/deep/ itself is checked"), "{said}");
    // A comment about a rule that is not checked there is not unused there.
    let silenced = format!("# agentlint: ignore[plain-http] known\n{PLAIN}");
    folder.write("sub/deep/agent.py", &silenced);
    folder.write("other/agent.py", "# agentlint: ignore[plain-http] gone\nx = 1\n");
    let unused = folder.run(&["check", "-o", "concise"]).out;
    assert!(unused.contains("other/agent.py:1") && !unused.contains("sub/deep"), "{unused}");
}

#[test]
fn paths_of_a_configuration_are_those_from_its_own_folder() {
    let config = "exclude = [\"sub/legacy\"]\nbaseline = \"known.txt\"\npacks = [\"knowledge\"]\n";
    let pack = "[[secret]]\nid = \"x\"\n";
    let folder = Folder::new(
        "config-above",
        &[("sub/agent.py", CLEAN), ("sub/legacy/agent.py", PLAIN), ("agentlint.toml", config), ("known.txt", "")],
    );
    let ran = folder.run(&["check", "sub"]);
    assert!(ran.code == 2 && ran.err.contains("pack knowledge"), "{}", ran.err);
    folder.write("knowledge/x.toml", pack);
    assert!(folder.run(&["check", "sub"]).err.contains("pack knowledge: "), "a pack that is none");
    folder.write("agentlint.toml", &config.replace("packs = [\"knowledge\"]\n", ""));
    let ran = folder.run(&["check", "sub"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(folder.run(&["check", "sub", "--isolated"]).code, 1);
}

#[test]
fn several_paths_are_read_by_the_same_rules_as_one() {
    let folder =
        Folder::new("paths", &[("a/x.py", PLAIN), ("b/y.py", PLAIN), ("c/z.py", PLAIN), (".gitignore", "c/\n")]);
    let files = |args: &[&str]| {
        let ran = folder.run(&[&["check", "-o", "json", "--select", "plain-http"], args].concat());
        let findings = ran.json()["findings"].as_array().unwrap().clone();
        findings.iter().map(|finding| finding["file"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(files(&["."]), ["a/x.py", "b/y.py"]);
    assert_eq!(files(&["a", "b", "--exclude", "b/y.py"]), ["a/x.py"], "excluded in a folder that is named");
    assert_eq!(
        files(&["a", "b/y.py", "--exclude", "b/y.py"]),
        ["a/x.py", "b/y.py"],
        "but not where it is named itself"
    );
    assert_eq!(files(&["a", "c"]), ["a/x.py", "c/z.py"], "what is named is read");
    let whole = folder.0.join("b/y.py");
    assert_eq!(
        files(&["a/x.py", whole.to_str().unwrap()]),
        ["a/x.py", "b/y.py"],
        "hooks name files by their whole path"
    );
    for args in [&["check", "-", "a"][..], &["check", "-", "--staged"], &["check", "-", "--diff", "HEAD"]] {
        assert_eq!(folder.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn comments_silence_and_useless_ones_are_reported() {
    let silenced = "import requests\n\n# agentlint: ignore[plain-http] no TLS before May\nrequests.get(\"http://api.northwind-crm.io/v1\", timeout=10)\n";
    let folder = Folder::new("ignores", &[("agent.py", silenced)]);
    let ran = folder.run(&["check", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["summary"]["silenced"].as_u64()), (0, Some(1)), "{}", ran.out);
    assert_eq!(folder.run(&["check", "--no-ignores"]).code, 1);
    folder.write("agent.py", "print(1)  # agentlint: ignore[plain-http]\n");
    assert_eq!(folder.run(&["check", "-o", "json"]).rules(), ["unused-ignore"]);
    folder.write("agent.py", "print(\"agentlint: ignore[plain-http]\")\n");
    assert!(folder.run(&["check", "-o", "json"]).rules().is_empty(), "a text is no comment");
    for comment in ["gitleaks:allow", "pragma: allowlist secret", "agentlint: ignore[AL101]", "agentlint: ignore"] {
        folder.write("agent.py", &format!("CRM_TOKEN = \"{TOKEN}\"  # {comment}\n"));
        assert!(folder.run(&["check", "-o", "json"]).rules().is_empty(), "{comment}");
    }
    folder.write("agent.py", PLAIN);
    folder.run(&["check", "--add-ignores=legacy"]);
    assert!(
        folder.read("agent.py").contains("# agentlint: ignore[plain-http] legacy\nrequests.get"),
        "{}",
        folder.read("agent.py")
    );
    assert_eq!(folder.run(&["check"]).code, 0);
}

#[test]
fn a_baseline_survives_edits_and_says_what_is_gone() {
    let folder = Folder::new("baseline", &[("agent.py", PLAIN)]);
    folder.run(&["baseline"]);
    let with = ["check", "--baseline", "agentlint-baseline.txt", "-o", "json"];
    assert_eq!(folder.run(&with).code, 0);
    let lines: Vec<String> = folder.read("agentlint-baseline.txt").lines().skip(1).map(str::to_owned).collect();
    assert!(!lines.is_empty() && lines.windows(2).all(|pair| pair[0] < pair[1]), "{lines:?}");
    // Lines move, the call is reformatted, another name changes.
    folder.write("agent.py", "import requests\n\nOTHER = 1\n\n\nrequests.get(\n    'http://api.northwind-crm.io/v1/contacts',\n    timeout=10,\n)\n");
    assert_eq!(folder.run(&with).code, 0);
    // A second one is new.
    folder.write(
        "agent.py",
        &(PLAIN.to_owned() + "requests.get(\"http://api.northwind-crm.io/v1/contacts\", timeout=10)\n"),
    );
    let ran = folder.run(&with);
    assert_eq!((ran.code, ran.rules()), (1, vec!["plain-http".to_owned()]));
    folder.write("agent.py", CLEAN);
    let summary = folder.run(&with).json()["summary"].clone();
    assert!(summary["stale"].as_u64().unwrap() >= 1 && summary["baselined"] == 0, "{summary}");
    // Only what was looked for can be gone.
    folder.write("agent.py", PLAIN);
    folder.write("other.py", PLAIN);
    folder.run(&["baseline"]);
    for args in [&["--select", "plain-http"][..], &["agent.py"], &["--min-confidence", "high"]] {
        let ran = folder.run(&[&with[..], args].concat());
        assert_eq!((ran.code, ran.json()["summary"]["stale"].as_u64()), (0, Some(0)), "{args:?} {}", ran.out);
    }
    folder.write("agentlint-baseline.txt", "what is this\nx\n");
    assert!(folder.run(&with).err.contains(":2: no line of a baseline"));
}

#[test]
fn a_part_of_a_project_has_the_baseline_of_the_whole() {
    let folder = Folder::new("baseline-part", &[("sub/agent.py", PLAIN), ("requirements.txt", "requests==2.32.3\n")]);
    folder.run(&["baseline"]);
    assert!(folder.read("agentlint-baseline.txt").contains("\nsub/agent.py plain-http "));
    for path in [".", "sub", "sub/agent.py"] {
        let ran = folder.run(&["check", path, "--baseline", "agentlint-baseline.txt"]);
        assert!(
            ran.code == 0 && ran.err.contains("1 in the baseline") && !ran.err.contains("gone"),
            "{path} {}",
            ran.err
        );
    }
}

#[test]
fn only_changed_lines_are_reported_when_asked() {
    let folder = Folder::new("git", &[("agent.py", PLAIN)]);
    std::fs::remove_dir_all(folder.0.join(".git")).unwrap();
    folder.git(&["init", "-q"]);
    folder.git(&["add", "."]);
    folder.git(&["commit", "-qm", "one"]);
    assert_eq!(folder.run(&["check", "--diff", "HEAD", "-o", "json"]).rules(), Vec::<String>::new());
    folder.write(
        "agent.py",
        &(PLAIN.to_owned() + "requests.get(\"https://api.northwind-crm.io/v1\", verify=False, timeout=9)\n"),
    );
    assert_eq!(folder.run(&["check", "--diff", "HEAD", "-o", "json"]).rules(), ["tls-verification-off"]);
    assert!(folder.run(&["check", "--staged", "-o", "json"]).rules().is_empty());
    folder.git(&["add", "."]);
    assert_eq!(folder.run(&["check", "--staged", "-o", "json"]).rules(), ["tls-verification-off"]);
    folder.write("new.py", PLAIN);
    assert!(folder.run(&["check", "--diff", "HEAD", "-o", "json"]).rules().contains(&"plain-http".to_owned()));
    assert_eq!(folder.run(&["check", "--diff", "nothing"]).code, 2);
    assert_eq!(folder.run(&["check", "--diff=--output=x"]).code, 2);
    folder.write("bl.txt", "");
    folder.run(&["baseline", "--file", "bl.txt"]);
    let ran = folder.run(&["check", "--diff", "HEAD", "--baseline", "bl.txt"]);
    assert!(ran.code == 0 && !ran.err.contains("gone"), "what did not change is not gone: {}", ran.err);
    std::fs::remove_file(folder.0.join("bl.txt")).unwrap();
    assert_eq!(folder.run(&["diff", "HEAD", "."]).out, "+ GET api.northwind-crm.io/v1 (agent.py:4)\n");
    folder.write("agent.py", &(PLAIN.to_owned() + "requests.post(\"https://api.stripe.com/v1/refunds\", timeout=9)\n"));
    let gained = folder.run(&["diff", "HEAD"]).out;
    assert!(gained.contains("+ POST api.stripe.com/v1/refunds (agent.py:4)\n"), "{gained}");
}

#[test]
fn without_a_repository_there_is_nothing_to_compare_with() {
    let folder = Folder::new("no-git", &[("agent.py", PLAIN)]);
    let nowhere = ("GIT_CEILING_DIRECTORIES", folder.0.parent().unwrap().to_str().unwrap().to_owned());
    for args in [&["check", "--diff", "HEAD"][..], &["check", "--staged"]] {
        let ran = folder.command(args, &[(nowhere.0, nowhere.1.as_str())], None);
        assert!(ran.code == 2 && ran.err.contains("this folder is in no repository"), "{}", ran.err);
    }
}

#[test]
fn a_commit_is_compared_as_the_folder_is_read() {
    let folder = Folder::new("git-rules", &[("agent.py", CLEAN), ("legacy/agent.py", PLAIN), ("dist/agent.py", PLAIN)]);
    std::fs::remove_dir_all(folder.0.join(".git")).unwrap();
    folder.write("agentlint.toml", "exclude = [\"legacy\"]\n");
    folder.git(&["init", "-q"]);
    folder.git(&["add", "--force", "."]);
    folder.git(&["commit", "-qm", "one"]);
    let ran = folder.run(&["diff", "HEAD"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
}

#[test]
fn a_file_that_is_not_utf8_is_never_rewritten() {
    let folder = Folder::new("latin", &[]);
    let bytes = [b"# caf\xe9\n".as_slice(), with_secret().as_bytes()].concat();
    std::fs::write(folder.0.join("agent.py"), &bytes).unwrap();
    for args in [&["check", "--fix"][..], &["check", "--unsafe-fixes"], &["check", "--add-ignores=x"]] {
        let ran = folder.run(args);
        assert!(ran.err.contains("agent.py is not UTF-8 and stays as it is"), "{args:?} {}", ran.err);
        assert_eq!(std::fs::read(folder.0.join("agent.py")).unwrap(), bytes, "{args:?}");
    }
}

#[test]
fn repairs_leave_code_that_is_clean() {
    let folder =
        Folder::new("fix", &[("agent.py", &with_secret()), ("agent.js", &format!("const token = \"{TOKEN}\";\n"))]);
    let shown = folder.run(&["check", "--diff-fixes"]);
    assert!(
        shown.out.contains("+CRM_TOKEN = os.environ[\"CRM_TOKEN\"]") && !shown.out.contains(&TOKEN[..8]),
        "{}",
        shown.out
    );
    assert!(folder.read("agent.py").contains(TOKEN), "a look changes nothing");
    assert_eq!((shown.code, folder.run(&["check", "--diff-fixes", "--exit-zero"]).code), (1, 0));
    let ran = folder.run(&["check", "--fix", "-o", "json"]);
    assert!(!ran.rules().contains(&"hardcoded-secret".to_owned()), "{}", ran.out);
    assert_eq!(folder.read("agent.py"), "import os\nCRM_TOKEN = os.environ[\"CRM_TOKEN\"]\n");
    assert!(folder.read("agent.js").starts_with("const token = process.env."), "{}", folder.read("agent.js"));
    // What is left is said, also where a repair changed its line.
    let call = format!(
        "import requests\n\nrequests.get(\"http://api.northwind-crm.io/v1\", headers={{\"X-Api-Key\": \"{TOKEN}\"}})\n"
    );
    let folder = Folder::new("fix-line", &[("agent.py", &call)]);
    let ran = folder.run(&["check", "--fix", "-o", "json", "--ignore", "packages"]);
    assert_eq!((ran.code, ran.rules()), (1, ["request-without-timeout", "plain-http"].map(str::to_owned).to_vec()));
    let ran = folder.run(&["check", "--unsafe-fixes", "-o", "json", "--ignore", "packages"]);
    assert_eq!((ran.code, ran.rules().len()), (0, 0), "{}", folder.read("agent.py"));
    assert!(
        folder.read("agent.py").contains("requests.get(\"https://") && folder.read("agent.py").contains("timeout=30")
    );
    let folder = Folder::new(
        "fix-requirement",
        &[
            ("requirements.txt", "requests==2.32.3"),
            ("agent.py", "import requests\nimport stripe\n\nrequests.get\nstripe.Charge\n"),
        ],
    );
    folder.run(&["check", "--fix"]);
    assert_eq!(folder.read("requirements.txt"), "requests==2.32.3\nstripe\n");
}

#[test]
fn what_comes_from_standard_input_goes_back_repaired_and_no_file_is_touched() {
    let folder = Folder::new("stdin", &[("agent.py", CLEAN)]);
    let secret = with_secret();
    let fixed = "import os\nCRM_TOKEN = os.environ[\"CRM_TOKEN\"]\n";
    let ran = folder.command(&["check", "-", "--fix", "--isolated"], &[], Some(&secret));
    assert_eq!((ran.code, ran.out.as_str()), (0, fixed), "{}", ran.err);
    assert!(ran.err.starts_with("1 repaired\n"), "{}", ran.err);
    let both = secret.clone() + PLAIN;
    let ran = folder.command(&["check", "-", "--fix", "-o", "concise"], &[], Some(&both));
    assert!(ran.code == 1 && ran.out.contains("os.environ") && ran.err.contains("[plain-http]"), "{}", ran.err);
    let ran = folder.command(&["check", "-", "--add-ignores=legacy"], &[], Some(&secret));
    assert!(ran.out.starts_with("# agentlint: ignore[hardcoded-secret] legacy\nCRM_TOKEN = "), "{}", ran.out);
    assert_eq!(folder.read("agent.py"), CLEAN);
}

#[test]
fn ignored_environment_files_are_only_mentioned() {
    let env = format!("CRM_TOKEN={TOKEN}\n");
    let folder = Folder::new("env", &[(".env", &env), ("agent.py", CLEAN), (".gitignore", ".env\n")]);
    let ran = folder.run(&["check", "-o", "json"]);
    assert_eq!((ran.code, ran.rules()), (0, vec!["secret-in-env-file".to_owned()]), "{}", ran.out);
    folder.write(".gitignore", "");
    assert_eq!(folder.run(&["check"]).code, 1);
    folder.write(".gitignore", "generated/\n");
    folder.write(".env", "");
    folder.write("generated/agent.py", PLAIN);
    folder.write("node_modules/x/index.js", "fetch('http://api.northwind-crm.io')\n");
    assert_eq!(folder.run(&["check"]).code, 0);
    assert_eq!(folder.run(&["check", "--no-gitignore"]).code, 1);
    assert_eq!(folder.run(&["check", "generated/agent.py"]).code, 1, "what is named is read");
    assert_eq!(folder.run(&["check", "generated/agent.py", "--exclude", "generated", "--force-exclude"]).code, 3);
}

#[test]
fn one_file_is_read_from_standard_input() {
    let folder = Folder::new("stdin", &[]);
    let ran = folder.command(&["check", "-", "--stdin-filename", "src/agent.py", "-o", "json"], &[], Some(PLAIN));
    assert_eq!((ran.code, ran.json()["findings"][0]["file"].as_str()), (1, Some("src/agent.py")), "{}", ran.out);
}

#[test]
fn what_could_not_be_read_is_said_and_can_count() {
    let folder =
        Folder::new("coverage", &[("agent.py", "def f(:\n    pass\n"), ("data.py", &"x = 1\n".repeat(200_000))]);
    let ran = folder.run(&["check", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["coverage"]["complete"].as_bool()), (0, Some(false)));
    assert!(ran.err.contains("not everything could be read"), "{}", ran.err);
    assert_eq!(folder.run(&["check", "--fail-on-incomplete"]).code, 1);
    assert!(folder.run(&["check", "-v"]).err.contains("left out data.py: larger than 1024 KiB"));
}

#[test]
fn a_lock_says_what_the_agent_gains_and_loses() {
    let before = "import requests\n\nrequests.get(\"https://api.stripe.com/v1/charges\", timeout=10)\n";
    let folder = Folder::new("lock", &[("agent.py", before)]);
    folder.run(&["lock"]);
    assert_eq!(folder.run(&["lock", "--check"]).code, 0);
    let first = folder.read("agent.lock");
    assert!(first.contains("name = \"stripe-api\"") && first.contains("  \"GET /v1/charges\",\n"), "{first}");
    folder.run(&["lock"]);
    assert_eq!(folder.read("agent.lock"), first, "the same code, the same bytes");
    folder.write(
        "agent.py",
        &(before.replace("get", "head") + "requests.post(\"https://api.stripe.com/v1/refunds\", timeout=10)\n"),
    );
    let ran = folder.run(&["lock", "--check"]);
    let expected = "+ HEAD api.stripe.com/v1/charges (agent.py:3)\n+ POST api.stripe.com/v1/refunds (agent.py:4)\n- GET api.stripe.com/v1/charges\n";
    assert_eq!((ran.code, ran.out.as_str()), (1, expected));
    folder.write("agent.py", &(before.to_owned() + "requests.get(\"https://api.github.com/user\", timeout=10)\n"));
    let rules = folder.run(&["check", "-o", "json"]).rules();
    assert!(
        rules.contains(&"undeclared-tool".to_owned()) && rules.contains(&"undeclared-host".to_owned()),
        "{rules:?}"
    );
    folder.write("agent.lock", "version = 1\nhots = []\n");
    let ran = folder.run(&["check"]);
    assert!(ran.code == 2 && ran.err.contains("agent.lock:2:"), "{}", ran.err);
}

#[test]
fn models_that_take_each_others_place_are_said_so() {
    let with = |model: &str| {
        format!("from openai import OpenAI\n\nOpenAI().chat.completions.create(model=\"{model}\", messages=[])\n")
    };
    let folder = Folder::new("models", &[("a/agent.py", &with("gpt-4o")), ("b/agent.py", &with("o3"))]);
    let ran = folder.run(&["diff", "a", "b"]);
    assert_eq!(ran.out, "~ model openai/gpt-4o (chat) -> openai/o3 (chat)\n");
    assert!(folder.run(&["diff", "a", "b", "-o", "markdown"]).out.contains("```diff\n~ model"));
    assert_eq!(folder.run(&["diff", "nowhere", "b"]).code, 2);
}

#[test]
fn policies_have_their_lines() {
    let folder = Folder::new(
        "policy",
        &[(
            "agent.py",
            "import requests\n\n\ndef refund(id):\n    requests.post(f\"https://api.stripe.com/v1/charges/{id}/refund\", timeout=10)\n",
        )],
    );
    let text = folder.run(&["policy", "--agent", "billing"]).out;
    assert!(
        text.starts_with("billing-stripe-api-auto\n  allow POST https://api.stripe.com/v1/charges/*/refund\n"),
        "{text}"
    );
    assert!(text.contains("\n    agent.py:5 requests.post\n"), "{text}");
    let json = folder.run(&["policy", "-o", "json", "--base", "stripe-api=https://stripe.tools.internal/"]).json();
    assert_eq!(
        json["policies"][0]["rules"][0]["rule"]["resource"],
        "https://stripe.tools.internal/v1/charges/*/refund"
    );
}

#[test]
fn init_writes_once() {
    let folder = Folder::new("init", &[("agent.py", CLEAN)]);
    assert!(folder.run(&["init", "--ci"]).err.contains("wrote ./.github/workflows/agentlint.yml"));
    assert!(folder.run(&["init"]).err.contains("is there and stays as it is"));
    assert_eq!(folder.run(&["check"]).code, 0);
}

#[test]
fn help_pages_completions_and_schemas_are_as_reviewed() {
    let folder = Folder::new("help", &[]);
    let env = [("COLUMNS", "100")];
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, args) in [
            ("help", &["--help"][..]),
            ("help-short", &["-h"]),
            ("help-check", &["check", "--help"]),
            ("help-inspect", &["inspect", "--help"]),
            ("help-policy", &["policy", "--help"]),
            ("help-explain", &["explain", "--help"]),
            ("help-lock", &["lock", "--help"]),
            ("help-diff", &["diff", "--help"]),
            ("help-baseline", &["baseline", "--help"]),
            ("help-init", &["init", "--help"]),
            ("help-lsp", &["lsp", "--help"]),
            ("help-mcp", &["mcp", "--help"]),
            ("help-completions", &["completions", "--help"]),
            ("help-schema", &["schema", "--help"]),
            ("help-man", &["man", "--help"]),
            ("man", &["man"]),
            ("explain-list", &["explain"]),
            ("explain-unbounded-url", &["explain", "unbounded-url"]),
            ("schema-config", &["schema", "config"]),
            ("schema-report", &["schema", "report"]),
        ] {
            insta::assert_snapshot!(name, folder.command(args, &env, None).out);
        }
        assert_eq!(folder.run(&["man", "pages/man1"]).code, 0);
        insta::assert_snapshot!("man-check", folder.read("pages/man1/agentlint-check.1"));
    });
    let mut pages: Vec<_> = std::fs::read_dir(folder.0.join("pages/man1")).unwrap().collect::<Result<_, _>>().unwrap();
    pages.sort_by_key(std::fs::DirEntry::file_name);
    let commands = [
        "baseline",
        "check",
        "completions",
        "diff",
        "explain",
        "init",
        "inspect",
        "lock",
        "lsp",
        "man",
        "mcp",
        "policy",
        "schema",
    ];
    let expected = commands.iter().map(|name| format!("agentlint-{name}.1")).chain(["agentlint.1".to_owned()]);
    assert!(pages.iter().map(|page| page.file_name().into_string().unwrap()).eq(expected), "{pages:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(folder.run(&["completions", shell]).out.contains("agentlint"), "{shell}");
    }
}

#[test]
fn the_full_output_is_as_reviewed() {
    let folder = Folder::new(
        "full",
        &[(
            "agent.py",
            &(with_secret()
                + PLAIN
                + "\n\nclass Agent:\n    def call(self):\n        return requests.get(\n            \"https://api.northwind-crm.io/v1/contacts\",\n            verify=False,\n            timeout=10,\n        )\n"),
        )],
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("full", folder.run(&["check"]).out));
}
