//! Any manifest is read, alone and beside another.
#![no_main]

use analyzer_core::Sources;
use analyzer_core::manifest::Manifests;
use fuzz::file;
use libfuzzer_sys::fuzz_target;

const NAMES: &[&str] = &[
    "requirements.txt", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "environment.yml", "package.json",
    "package-lock.json", "pnpm-workspace.yaml", "tsconfig.json", "jsconfig.json", "deno.json", "Dockerfile",
    "docker-compose.yml", "Procfile", "langgraph.json", "uv.lock", "poetry.lock", "vercel.json", "serverless.yml",
];

fuzz_target!(|data: &[u8]| {
    let Some((name, text)) = file(data, NAMES) else { return };
    let other = NAMES[text.len() % NAMES.len()];
    let beside = format!("sub/{other}");
    let Ok(sources) = Sources::new([(name, text.as_str()), (beside.as_str(), text.as_str())]) else { return };
    let manifests = Manifests::read(&sources);
    let _ = (manifests.python_declared("openai", "a.py"), manifests.npm_declared("openai", "sub/a.ts"));
});
