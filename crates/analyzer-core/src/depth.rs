//! How deep a TOML text may nest, before anybody parses it: the parser limits values and keys each, not both together, and
//! a tree of thousands of levels is more than a stack holds.

/// Levels that no configuration has.
const DEEPEST: usize = 256;

/// Whether tables within tables, by brackets and by dots, could be deeper than anybody means: counted from above, strings
/// aside.
pub fn is_too_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Dots since the last key began, one entry for each bracket that is open.
    let (mut open, mut dots, mut sum) = (Vec::new(), 0_usize, 0_usize);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => at = end_of_string(bytes, at, quote),
            b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at) - 1,
            b'{' | b'[' => {
                open.push(dots);
                sum += dots + 1;
                dots = 0;
            }
            b'}' | b']' => {
                dots = open.pop().unwrap_or(0);
                sum = sum.saturating_sub(dots + 1);
            }
            b'.' => dots += 1,
            b',' | b'\n' => dots = 0,
            _ => {}
        }
        if sum + dots > DEEPEST {
            return true;
        }
        at += 1;
    }
    false
}

/// The last byte of the string that begins here.
fn end_of_string(bytes: &[u8], start: usize, quote: u8) -> usize {
    let width = if bytes[start..].starts_with(&[quote; 3]) { 3 } else { 1 };
    let mut at = start + width;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if width == 1 => return at - 1,
            byte if byte == quote && (width == 1 || bytes[at..].starts_with(&[quote; 3])) => return at + width - 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_brackets_count_together() {
        let nested = |tables: usize, dots: usize| {
            (0..tables).fold(String::from("1"), |value, _| format!("{{ {}b = {value} }}", "a.".repeat(dots)))
        };
        assert!(is_too_deep(&format!("x = {}", nested(79, 78))));
        assert!(is_too_deep(&format!("{}b = 1", "a.".repeat(300))));
        assert!(!is_too_deep(&format!("x = {}", nested(6, 6))));
        let plain = "[project]\nname = 'a'\nurls = [\"https://a.b.c/d.e\", \"[[[\"] # ...\n[tool.x.y]\nz = { a.b = \"\"\"{{\n\"\"\" }\n";
        assert!(!is_too_deep(&plain.repeat(500)));
        for broken in ["\"", "'''", "#", "\"\\", "]", "}}}", ""] {
            assert!(!is_too_deep(broken), "{broken}");
        }
    }
}
