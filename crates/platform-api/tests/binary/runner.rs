//! What a started platform needs to run agents.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's target folder, where `cargo xtask test` installs what tests need.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

/// Lets a platform run agents, with the tools of whoever runs the test.
pub fn with_runner(command: &mut Command) {
    #[expect(clippy::disallowed_methods, reason = "the tools of a test are those of who runs it")]
    let of = |name: &str| std::env::var(name).ok();
    let names = [
        "HOME",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "PIP_CERT",
        "PIP_INDEX_URL",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "NPM_CONFIG_REGISTRY",
        "npm_config_registry",
    ];
    for name in names {
        if let Some(value) = of(name) {
            command.env(name, value);
        }
    }
    let path = of("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", target().join("uv/bin").display()));
    command.env("PLATFORM_RUNNER_KIND", "process");
}
