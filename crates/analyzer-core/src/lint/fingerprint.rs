//! Fingerprints of findings: the same after lines moved, code was reformatted or other names changed.

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

use super::Finding;

/// Of the rule, the file, the symbol around the place, and what stands there but for its layout. The snippet is redacted,
/// so that nothing can be learnt from the hash.
pub(super) fn of(rule: &str, file: &str, symbol: &str, snippet: &str) -> String {
    let mut hash = Sha256::new();
    for part in [rule, file, symbol, &normal(snippet)] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Without space, with one kind of quote, without commas before a bracket closes.
fn normal(snippet: &str) -> String {
    let mut out = String::new();
    for c in snippet.chars().filter(|c| !c.is_whitespace()) {
        if matches!(c, ')' | ']' | '}') && out.ends_with(',') {
            out.pop();
        }
        out.push(if matches!(c, '\'' | '`') { '"' } else { c });
    }
    out
}

/// Numbers those that are otherwise the same, in order of their places.
pub(super) fn number(findings: &mut [Finding]) {
    let mut seen: FxHashMap<String, usize> = FxHashMap::default();
    for finding in findings {
        let count = seen.entry(finding.fingerprint.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            finding.fingerprint = format!("{}-{count}", finding.fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_no_part_of_a_fingerprint() {
        let plain = of("r", "a.py", "f", "get('https://a.io', verify=False)");
        assert_eq!(plain, of("r", "a.py", "f", "get(\n    \"https://a.io\",\n    verify=False,\n)"));
        assert_ne!(plain, of("r", "a.py", "g", "get('https://a.io', verify=False)"));
        assert_ne!(plain, of("r", "a.py", "f", "get('https://b.io', verify=False)"));
    }
}
