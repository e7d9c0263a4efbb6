//! Packages: the files that hand the binary on.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn all_packages_have_the_version_of_the_binary() {
    let version = env!("CARGO_PKG_VERSION");
    let python: toml::Table = toml::from_str(&read("pyproject.toml")).unwrap();
    assert_eq!(python["project"]["version"].as_str(), Some(version));
    let npm: serde_json::Value = serde_json::from_str(&read("packaging/npm/package.json")).unwrap();
    assert_eq!(npm["version"], version);
    for (name, own) in npm["optionalDependencies"].as_object().unwrap() {
        assert_eq!(own, version, "{name}");
    }
}

#[test]
fn what_hooks_and_the_action_call_is_there() {
    for file in [".pre-commit-hooks.yaml", "action.yml"] {
        for line in read(file).lines().filter_map(|line| line.split("agentlint ").nth(1)) {
            let line = line.replace(" $PATHS", "").replace("\"$FAIL_ON\"", "high").replace("\"sarif=$SARIF\"", "json");
            let words: Vec<&str> = line.split_whitespace().collect();
            if !["check", "lock"].contains(&words[0]) {
                continue;
            }
            let mut command = Command::new(env!("CARGO_BIN_EXE_agentlint"));
            let ran = command.args(&words).arg("--help").output().unwrap();
            assert!(ran.status.success(), "{file}: {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        }
    }
}

#[test]
#[ignore = "needs npm; `cargo xtask test` installs it"]
fn the_npm_packages_start_the_binary() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("node_modules/@agentlint")).unwrap();
    let node =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder").join("judges/bin/node");
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let asked = run(Command::new(&node).args(["-p", "process.platform + '-' + process.arch"])).1;
    let (os, cpu) = asked.trim().split_once('-').unwrap();
    let script = root().join("packaging/npm/platform.mjs");
    let made = run(Command::new(&node)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_agentlint"))
        .args([os, cpu])
        .arg(folder.join("node_modules/@agentlint")));
    assert_eq!(made.0, Some(0), "{}", made.1);
    std::fs::copy(root().join("packaging/npm/bin/agentlint.js"), folder.join("launch.js")).unwrap();
    let started = run(Command::new(&node).arg("launch.js").arg("--version").current_dir(&folder));
    assert_eq!(started, (Some(0), format!("agentlint {}\n", env!("CARGO_PKG_VERSION"))));
    let failed = run(Command::new(&node).args(["launch.js", "check", "nowhere"]).current_dir(&folder));
    assert_eq!(failed.0, Some(2), "{}", failed.1);
}
