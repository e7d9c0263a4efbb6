//! Any text in any language gives facts whose places lie within it.
#![no_main]

use analyzer_core::lang;
use fuzz::{file, one};
use libfuzzer_sys::fuzz_target;

const NAMES: &[&str] =
    &["a.py", "a.js", "a.ts", "a.tsx", "a.jsx", "a.json", "a.yaml", "a.ipynb", "a.md", "Dockerfile", ".env", "a.toml"];

fuzz_target!(|data: &[u8]| {
    let Some((name, text)) = file(data, NAMES) else { return };
    let Some(sources) = one(name, &text) else { return };
    let source = &sources.files()[0];
    let Ok(facts) = lang::read(source, None) else { return };
    let longest = facts.code.as_deref().map_or(source.text.len(), |code| code.len().max(source.text.len()));
    for expr in &facts.exprs {
        assert!(expr.start <= expr.end && expr.end as usize <= longest, "{}..{} of {longest}", expr.start, expr.end);
    }
});
