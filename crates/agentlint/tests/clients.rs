//! Real clients of the language server and the MCP server, over standard input and output.

use std::path::{Path, PathBuf};
use std::process::Command;

const PLAIN: &str = "import requests\n\nrequests.get(\"http://api.northwind-crm.io/v1\", timeout=9)\n";

/// Runs a client's script with the binary and a project; what it prints last.
fn session(name: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("agentlint-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join(".git")).unwrap();
    std::fs::write(folder.join("agent.py"), PLAIN).unwrap();
    std::fs::write(folder.join("requirements.txt"), "requests==2.32.3\n").unwrap();
    // Where `cargo xtask test` puts it, beside the build.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let mut command = Command::new(target.join("judges/bin/python"));
    let output = command.arg(script).arg(env!("CARGO_BIN_EXE_agentlint")).arg(&folder).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs an LSP client; `cargo xtask test` installs it"]
fn an_editor_sees_findings_reasons_and_repairs() {
    assert_eq!(session("lsp_client.py"), "served\n");
}

#[test]
#[ignore = "needs an MCP client; `cargo xtask test` installs it"]
fn an_assistant_analyzes_explains_and_asks_for_policies() {
    assert_eq!(session("mcp_client.py"), "served\n");
}
