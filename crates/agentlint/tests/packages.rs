//! Packages: the files that hand the binary and the Python module on, each built, installed and run as its user does.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Where `cargo xtask test` puts what it installs and builds.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder")
}

fn judge(name: &str) -> PathBuf {
    target().join("judges/bin").join(name)
}

/// An empty folder of its own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The exit code and what was said.
fn run(command: &mut Command) -> (Option<i32>, String) {
    for name in ["CLAUDECODE", "CURSOR_AGENT", "GEMINI_CLI", "CODEX_SANDBOX", "AI_AGENT"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

fn must(command: &mut Command) -> String {
    let (code, said) = run(command);
    assert_eq!(code, Some(0), "{command:?}: {said}");
    said
}

/// The search path with the judges first.
#[expect(clippy::disallowed_methods, reason = "what the tests need beside the judges is where the system has it")]
fn search_path() -> std::ffi::OsString {
    let system = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(judge("")).chain(std::env::split_paths(&system))).unwrap()
}

/// The wheel whose name begins so.
fn wheel(name: &str) -> PathBuf {
    let folder = target().join("wheels");
    let wheels = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut own = wheels.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(name));
    own.next().unwrap_or_else(|| panic!("no wheel {name} in {}", folder.display()))
}

/// A new environment with the wheels in it, and nothing from elsewhere.
fn environment(name: &str, wheels: &[PathBuf]) -> PathBuf {
    let folder = folder(name);
    must(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&folder));
    must(pip(&folder).args(["install", "--quiet", "--no-index"]).args(wheels));
    folder
}

fn pip(environment: &Path) -> Command {
    let mut command = Command::new(judge("python"));
    command.args(["-m", "pip", "--disable-pip-version-check", "--python"]).arg(environment.join("bin/python"));
    command
}

#[test]
fn all_packages_have_the_version_of_the_binary() {
    let version = env!("CARGO_PKG_VERSION");
    for file in ["pyproject.toml", "crates/analyzer-python/pyproject.toml"] {
        let python: toml::Table = toml::from_str(&read(file)).unwrap();
        assert_eq!(python["project"]["version"].as_str(), Some(version), "{file}");
    }
    let npm: serde_json::Value = serde_json::from_str(&read("packaging/npm/package.json")).unwrap();
    assert_eq!(npm["version"], version);
    for (name, own) in npm["optionalDependencies"].as_object().unwrap() {
        assert_eq!(own, version, "{name}");
    }
}

#[test]
#[ignore = "needs wheels; `cargo xtask test` builds them"]
fn the_wheel_brings_the_binary() {
    let environment = environment("wheel-binary", &[wheel("agentlint_cli-")]);
    let binary = environment.join("bin/agentlint");
    assert_eq!(must(Command::new(&binary).arg("--version")), format!("agentlint {}\n", env!("CARGO_PKG_VERSION")));
    let project = folder("wheel-binary-project");
    std::fs::create_dir(project.join(".git")).unwrap();
    std::fs::write(project.join("agent.py"), "eval(input())\n").unwrap();
    let (code, said) = run(Command::new(&binary).args(["check", "-o", "concise"]).current_dir(&project));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" in 1 file, "), "{said}");
    must(pip(&environment).args(["uninstall", "--yes", "agentlint-cli"]));
    assert!(!binary.exists());
}

#[test]
#[ignore = "needs wheels; `cargo xtask test` builds them"]
fn the_python_module_answers_refuses_and_shares_the_interpreter() {
    let environment = environment("wheel-module", &[wheel("agentlint_analyzer-"), wheel("agentlint_cli-")]);
    let tests = root().join("crates/analyzer-python/tests");
    let said =
        must(Command::new(environment.join("bin/python")).args(["-m", "unittest", "test_module"]).current_dir(&tests));
    assert!(said.contains("\nOK\n"), "{said}");
}

#[test]
#[ignore = "needs wheels and type checkers; `cargo xtask test` installs them"]
fn the_python_modules_types_are_true() {
    let environment = environment("wheel-types", &[wheel("agentlint_analyzer-")]);
    let python = environment.join("bin/python");
    let tests = root().join("crates/analyzer-python/tests");
    let packages = must(Command::new(&python).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]));
    let mut checked = Command::new(judge("python"));
    let said = must(checked.arg(tests.join("check_types.py")).env("PYTHONPATH", packages.trim()));
    assert!(said.contains("answers have their types"), "{said}");
    let mypy = |file: &Path| {
        let mut mypy = Command::new(judge("mypy"));
        mypy.args(["--strict", "--python-executable"]).arg(&python).arg("--cache-dir").arg(environment.join("mypy"));
        run(mypy.arg(file))
    };
    let (code, said) = mypy(&tests.join("test_module.py"));
    assert_eq!(code, Some(0), "{said}");
    // The checker sees the types: a wrong key, a wrong argument.
    let wrong = environment.join("wrong.py");
    std::fs::write(&wrong, "from agentlint_analyzer import analyze\n\nanalyze({})[\"toolz\"]\nanalyze(3)\n").unwrap();
    let (code, said) = mypy(&wrong);
    assert!(code == Some(1) && said.contains("Found 2 errors"), "{said}");
}

#[test]
#[ignore = "needs validators and wheels; `cargo xtask test` installs them"]
fn the_github_action_is_valid_and_its_steps_run() {
    let action = root().join("action.yml");
    must(Command::new(judge("check-jsonschema")).args(["--builtin-schema", "vendor.github-actions"]).arg(&action));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/action.py");
    let scratch = folder("action");
    let mut steps = Command::new(judge("python"));
    let said = must(steps.arg(script).arg(&action).arg(wheel("agentlint_cli-")).env("SCRATCH", &scratch));
    assert_eq!(said, "ran\n");
}

#[test]
#[ignore = "needs validators; `cargo xtask test` installs them"]
fn what_init_writes_is_valid() {
    let project = folder("init");
    must(Command::new(env!("CARGO_BIN_EXE_agentlint")).args(["init", "--ci"]).current_dir(&project));
    let workflow = project.join(".github/workflows/agentlint.yml");
    must(Command::new(judge("check-jsonschema")).args(["--builtin-schema", "vendor.github-workflows"]).arg(workflow));
    must(Command::new(judge("pre-commit")).arg("validate-config").arg(project.join(".pre-commit-config.yaml")));
}

/// A repository with what lies in this folder, as it will be committed; the same files give the same commit.
fn repository(place: &Path) -> String {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(listed).current_dir(root()).output().unwrap();
    let _ = std::fs::remove_dir_all(place);
    for path in String::from_utf8(output.stdout).unwrap().split_terminator('\0') {
        // What was deleted and not yet committed is listed too.
        if !root().join(path).is_file() {
            continue;
        }
        std::fs::create_dir_all(place.join(path).parent().unwrap()).unwrap();
        std::fs::copy(root().join(path), place.join(path)).unwrap();
    }
    git(place, &["init", "--quiet"]);
    git(place, &["add", "--all", "--force"]);
    git(place, &["commit", "--quiet", "--message", "all"]);
    git(place, &["rev-parse", "HEAD"]).trim().to_owned()
}

fn git(folder: &Path, args: &[&str]) -> String {
    must(&mut git_command(folder, args))
}

fn git_command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=T", "-c", "user.email=t@t.t", "-c", "init.defaultBranch=main"]);
    for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        command.env(name, "2026-01-01T00:00:00Z");
    }
    command.args(args).current_dir(folder);
    command
}

#[test]
#[ignore = "needs pre-commit; `cargo xtask test` installs it"]
fn a_commit_with_a_finding_is_refused_by_the_hook() {
    must(Command::new(judge("pre-commit")).arg("validate-manifest").arg(root().join(".pre-commit-hooks.yaml")));
    // What pre-commit builds of the same files is kept from run to run.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hooks");
    let (hooks, home) = (place.join("repository"), place.join("home"));
    let revision = repository(&hooks);
    if std::fs::read_to_string(place.join("revision")).ok().as_ref() != Some(&revision) {
        let _ = std::fs::remove_dir_all(&home);
    }
    let project = folder("hook-project");
    git(&project, &["init", "--quiet"]);
    std::fs::write(
        project.join(".pre-commit-config.yaml"),
        format!(
            "repos:\n  - repo: {}\n    rev: {revision}\n    hooks:\n      - id: agentlint\n      - id: agentlint-lock\n",
            hooks.display()
        ),
    )
    .unwrap();
    let with_hooks = |command: &mut Command| {
        // As tests are built, from what tests have built.
        command.env("MATURIN_PEP517_ARGS", "--profile dev").env("CARGO_TARGET_DIR", target());
        run(command.env("PRE_COMMIT_HOME", &home).env("PATH", search_path()))
    };
    let (code, said) = with_hooks(Command::new(judge("pre-commit")).args(["install"]).current_dir(&project));
    assert_eq!(code, Some(0), "{said}");
    let commit = |name: &str| {
        git(&project, &["add", "--all"]);
        with_hooks(&mut git_command(&project, &["commit", "--message", name]))
    };
    let plain = "import requests\n\nrequests.get(\"http://api.northwind-crm.io/v1\", timeout=9)\n";
    std::fs::write(project.join("agent.py"), plain).unwrap();
    std::fs::write(project.join("agent.lock"), "version = 1\n").unwrap();
    let (code, said) = commit("plain");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("plain-http") && said.contains("+ GET api.northwind-crm.io/v1 (agent.py:3)"), "{said}");
    std::fs::write(place.join("revision"), &revision).unwrap();
    // Repaired and locked it goes through; what concerns no agent asks nobody.
    std::fs::write(project.join("agent.py"), plain.replace("http:", "https:")).unwrap();
    let lock = Command::new(env!("CARGO_BIN_EXE_agentlint")).arg("lock").current_dir(&project).output().unwrap();
    assert!(lock.status.success());
    let (code, said) = commit("clean");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.matches("Passed").count() == 2, "{said}");
    std::fs::write(project.join("notes.txt"), "http://api.northwind-crm.io\n").unwrap();
    let (code, said) = commit("notes");
    assert!(code == Some(0) && said.matches("Skipped").count() == 2, "{said}");
}

#[test]
#[ignore = "needs npm; `cargo xtask test` installs it"]
fn the_npm_packages_are_packed_installed_and_start_the_binary() {
    let folder = folder("npm");
    let npm = |program: &str, args: &[&str], place: &Path| {
        let mut command = Command::new(judge(program));
        run(command.args(args).current_dir(place).env("PATH", search_path()).env("npm_config_update_notifier", "false"))
    };
    let asked = npm("node", &["-p", "process.platform + ' ' + process.arch"], &folder).1;
    let (os, cpu) = asked.trim().split_once(' ').unwrap();
    let script = root().join("packaging/npm/platform.mjs");
    let script = script.to_str().unwrap();
    let (code, said) = npm("node", &[script, env!("CARGO_BIN_EXE_agentlint"), os, cpu, "platforms"], &folder);
    assert_eq!(code, Some(0), "{said}");
    std::fs::create_dir(folder.join("packed")).unwrap();
    let own = format!("./platforms/{os}-{cpu}");
    let launcher = root().join("packaging/npm");
    let pack = ["pack", "--silent", "--pack-destination", "packed", &own, launcher.to_str().unwrap()];
    let (code, said) = npm("npm", &pack, &folder);
    assert_eq!(code, Some(0), "{said}");
    let user = folder.join("user");
    std::fs::create_dir(&user).unwrap();
    std::fs::write(user.join("package.json"), "{}").unwrap();
    let packed = |name: &str| format!("../packed/{name}-{}.tgz", env!("CARGO_PKG_VERSION"));
    let (platform, launcher) = (packed(&format!("agentlint-cli-{os}-{cpu}")), packed("agentlint-cli"));
    let install = ["install", "--offline", "--no-audit", "--no-fund", &platform, &launcher];
    let (code, said) = npm("npm", &install, &user);
    assert_eq!(code, Some(0), "{said}");
    let started = npm("npx", &["--offline", "agentlint", "--version"], &user);
    assert_eq!(started, (Some(0), format!("agentlint {}\n", env!("CARGO_PKG_VERSION"))));
    let failed = npm("npx", &["--offline", "agentlint", "check", "nowhere"], &user);
    assert_eq!(failed.0, Some(2), "{}", failed.1);
    // Without the package of this platform it says so.
    std::fs::remove_dir_all(user.join(format!("node_modules/agentlint-cli-{os}-{cpu}"))).unwrap();
    let lost = npm("npx", &["--offline", "agentlint", "--version"], &user);
    assert!(lost.0 == Some(2) && lost.1.contains("there is no package"), "{}", lost.1);
}
