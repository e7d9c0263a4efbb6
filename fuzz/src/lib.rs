//! What the targets share: how bytes become files.

use analyzer_core::Sources;

/// The first byte chooses among names, the rest is the text.
pub fn file<'n>(data: &[u8], names: &[&'n str]) -> Option<(&'n str, String)> {
    let (choice, text) = data.split_first()?;
    Some((names[usize::from(*choice) % names.len()], String::from_utf8_lossy(text).into_owned()))
}

/// One submitted file; none when the text is refused.
pub fn one(name: &str, text: &str) -> Option<Sources> {
    Sources::new([(name, text)]).ok()
}
