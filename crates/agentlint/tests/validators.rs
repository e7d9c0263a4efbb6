//! What independent validators say of the outputs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `cargo xtask test` puts them, beside the build.
fn judges() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder").join("judges")
}

/// Inputs of all agents.
fn agents() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/agents");
    let mut agents: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|case| case.path().join("input"))
        .filter(|case| case.is_dir())
        .collect();
    agents.sort();
    assert!(agents.len() > 50);
    agents
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn agentlint(agent: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_agentlint")).args(args).current_dir(agent).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{}: {output:?}", agent.display());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs the validators; `cargo xtask test` installs them"]
fn sarif_is_valid_by_its_schema_and_the_rules_of_code_scanning() {
    let folder = folder("sarif");
    for (index, agent) in agents().iter().enumerate() {
        let text = agentlint(agent, &["check", "--pedantic", "--isolated", "-o", "sarif"]);
        std::fs::write(folder.join(format!("{index}.sarif")), text).unwrap();
    }
    let validate = |pattern: &Path| {
        let tool = judges().join("node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool");
        let mut command = Command::new(tool);
        command.arg("validate").arg(pattern).args(["--rule-kind", "Sarif;Ghas"]);
        let output = command.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let said = validate(&folder.join("*.sarif"));
    assert!(said.contains("files scanned"), "{said}");
    assert!(!said.contains(" error ") && !said.contains("exception"), "{said}");
    // The judge sees what is wrong: a result of a rule that is nowhere described, at line 0.
    let broken =
        std::fs::read_to_string(folder.join("0.sarif")).unwrap().replacen("\"startLine\": ", "\"startLine\": -", 1);
    std::fs::write(folder.join("broken.txt.sarif"), broken).unwrap();
    assert!(validate(&folder.join("broken.txt.sarif")).contains(" error "));
}

const VALIDATE: &str = r"
import glob, json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_6)
files = glob.glob(sys.argv[1] + '/*.json')
for file in files:
    text = open(file).read()
    error = validator.validate_str(text)
    assert error is None, (file, error)
bom = json.loads(text)
bom['components'] = [{'type': 'robot', 'name': 'x'}]
assert validator.validate_str(json.dumps(bom)) is not None
print(len(files), 'valid')
";

#[test]
#[ignore = "needs the validators; `cargo xtask test` installs them"]
fn the_bill_of_materials_is_valid_by_its_schema() {
    let folder = folder("cyclonedx");
    let agents = agents();
    for (index, agent) in agents.iter().enumerate() {
        std::fs::write(folder.join(format!("{index}.json")), agentlint(agent, &["inspect", "-o", "cyclonedx"]))
            .unwrap();
    }
    let output = Command::new(judges().join("bin/python")).args(["-c", VALIDATE]).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.trim(), format!("{} valid", agents.len()));
}
