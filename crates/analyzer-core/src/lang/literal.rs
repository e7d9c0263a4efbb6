//! What a string literal says: prefixes, quotes and escapes.

use std::borrow::Cow;

/// Decodes a Python string literal without interpolation, prefix and quotes included.
pub fn python(literal: &str) -> Cow<'_, str> {
    let quote_at = literal.find(['"', '\'']).unwrap_or(literal.len());
    let (prefix, rest) = literal.split_at(quote_at);
    let raw = prefix.contains(['r', 'R']);
    let body = unquote(rest);
    if raw { Cow::Borrowed(body) } else { escapes(body, true) }
}

/// Decodes a JavaScript string literal, quotes included.
pub fn javascript(literal: &str) -> Cow<'_, str> {
    escapes(unquote(literal), false)
}

/// The text between the quotes, also of a literal that is not closed.
fn unquote(literal: &str) -> &str {
    for quote in ["\"\"\"", "'''", "\"", "'", "`"] {
        if let Some(body) = literal.strip_prefix(quote) {
            return body.strip_suffix(quote).unwrap_or(body);
        }
    }
    literal
}

/// Resolves backslash escapes; unknown ones stay as they are in Python and lose the backslash in JavaScript.
pub fn escapes(body: &str, python: bool) -> Cow<'_, str> {
    if !body.contains('\\') {
        return Cow::Borrowed(body);
    }
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        rest = &rest[c.len_utf8()..];
        match c {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            '0' if !rest.starts_with(|d: char| d.is_digit(8)) => out.push('\0'),
            '\n' => {}
            '\r' => rest = rest.strip_prefix('\n').unwrap_or(rest),
            '\\' | '\'' | '"' | '`' => out.push(c),
            'x' => code_point(&mut rest, 2, &mut out),
            'u' if rest.starts_with('{') => {
                let digits = rest.find('}').map(|end| (end, &rest[1..end]));
                let code = digits.and_then(|(_, hex)| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
                out.push(code.unwrap_or('\u{fffd}'));
                rest = digits.map_or(rest, |(end, _)| &rest[end + 1..]);
            }
            'u' => code_point(&mut rest, 4, &mut out),
            'U' if python => code_point(&mut rest, 8, &mut out),
            c if python => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn code_point(rest: &mut &str, digits: usize, out: &mut String) {
    let hex: String = rest.chars().take(digits).take_while(char::is_ascii_hexdigit).collect();
    *rest = &rest[hex.len()..];
    out.push(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_quotes_are_not_part_of_the_text() {
        assert_eq!(&*python("'a'"), "a");
        assert_eq!(&*python("rb\"\"\"a\\n\"\"\""), "a\\n");
        assert_eq!(&*python("'\\x41\\u0042\\d\\\n'"), "AB\\d");
        assert_eq!(&*javascript("'\\u{1F600}\\d'"), "\u{1F600}d");
    }

    #[test]
    fn broken_literals_still_say_something() {
        assert_eq!(&*python("\"abc"), "abc");
        assert_eq!(&*python("'\\x'"), "\u{fffd}");
        assert_eq!(&*javascript("'\\u{'"), "\u{fffd}{");
        assert_eq!(&*javascript("'a\\"), "a\\");
    }
}
