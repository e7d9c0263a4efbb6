//! Any pack is taken or refused with its file and line, and what is taken can be used.
#![no_main]

use std::sync::Arc;

use analyzer_core::detect::secrets::Formats;
use analyzer_core::{Options, Pack, Sources, analyze, knowledge};
use fuzz::file;
use libfuzzer_sys::fuzz_target;

const NAMES: &[&str] = &[
    ".agentlint/providers/a.toml",
    ".agentlint/services/a.toml",
    ".agentlint/secrets/a.toml",
    ".agentlint/clients/a.toml",
    ".agentlint/frameworks/a.toml",
    ".agentlint/pack.toml",
];

fuzz_target!(|data: &[u8]| {
    let Some((name, text)) = file(data, NAMES) else { return };
    if let Err(error) = knowledge::parse(name, &text) {
        assert!(error.to_string().contains(name), "{error}");
    }
    if let Err(error) = Formats::read([(name, text.as_str())]) {
        assert!(error.line >= 1 && error.line <= text.lines().count() + 1, "{error}");
    }
    let Ok(pack) = Pack::read([(name, text.as_str())]) else { return };
    let agent = "from acme import Client\nclient = Client(api_key=\"x\")\nclient.run(\"https://api.acme.io\")\n";
    let sources = Sources::new([("agent.py", agent)]).expect("a clean path");
    let options = Options { packs: vec![Arc::new(pack)], ..Options::default() };
    let _ = analyze(&sources, &options);
});
