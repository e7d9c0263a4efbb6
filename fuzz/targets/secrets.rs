//! Any text gives findings that lie within it, in order, the same twice; and what is masked shows none of them.
#![no_main]

use std::sync::Arc;

use analyzer_core::detect::secrets::{Formats, detect, mask};
use analyzer_core::facts::FileFacts;
use analyzer_core::lang;
use fuzz::{file, one};
use libfuzzer_sys::fuzz_target;

const NAMES: &[&str] = &[
    "a.py", "a.ts", ".env", "a.yaml", "a.json", "a.toml", "Dockerfile", "a.ipynb", "a.md", "a.sh", "a.tf", "a.ini",
    "a.properties", "mcp.json", "a.js", "a.xml",
];

fuzz_target!(|data: &[u8]| {
    let Some((name, text)) = file(data, NAMES) else { return };
    let Some(sources) = one(name, &text) else { return };
    let formats = Formats::builtin();
    let source = &sources.files()[0];
    let mut bytes_alone = FileFacts::default();
    bytes_alone.over_budget = true;
    let Ok(facts) = lang::read(source, None) else { return };
    for facts in [facts, bytes_alone] {
        let facts = [Arc::new(facts)];
        let found = detect(&sources, &facts, formats, b"key");
        let again = detect(&sources, &facts, formats, b"key");
        assert_eq!(format!("{found:?}"), format!("{again:?}"));
        let places: Vec<(u32, u32)> = found.iter().map(|secret| (secret.line, secret.column)).collect();
        assert!(places.is_sorted(), "{places:?}");
        let lines = source.text.lines().count().max(1) as u32;
        assert!(places.iter().all(|(line, column)| (1..=lines).contains(line) && *column >= 1), "{places:?}");
    }
    let masked = mask(&source.text, formats);
    assert!(masked.len() <= source.text.len() * 6 + 64);
});
