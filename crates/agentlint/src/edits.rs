//! Texts as an editor changes them: a range gets another text, or the whole does.

use lsp_types::{Position, TextDocumentContentChangeEvent};

/// The text after changes, each made in what the one before it left.
pub fn edited(text: &str, changes: Vec<TextDocumentContentChangeEvent>, bytes: bool) -> String {
    let mut text = text.to_owned();
    for change in changes {
        match change.range {
            Some(range) => {
                let (start, end) = (byte(&text, range.start, bytes), byte(&text, range.end, bytes));
                text.replace_range(start.min(end)..start.max(end), &change.text);
            }
            None => text = change.text,
        }
    }
    text
}

/// The byte of a position: what lies behind the end of its line is that end, what lies behind the last line is the end
/// of the text. Columns count bytes or UTF-16 units; one inside a character is where the character begins.
pub fn byte(text: &str, position: Position, bytes: bool) -> usize {
    let mut start = 0;
    for _ in 0..position.line {
        match line_end(&text[start..]) {
            (length, 0) => return start + length,
            (length, ends) => start += length + ends,
        }
    }
    let (length, _) = line_end(&text[start..]);
    let mut left = position.character as usize;
    for (at, c) in text[start..start + length].char_indices() {
        let width = if bytes { c.len_utf8() } else { c.len_utf16() };
        if left < width {
            return start + at;
        }
        left -= width;
    }
    start + length
}

/// Bytes of the first line, and of what ends it: the protocol's three kinds of line ends, or nothing.
fn line_end(text: &str) -> (usize, usize) {
    match text.find(['\n', '\r']) {
        Some(at) if text[at..].starts_with("\r\n") => (at, 2),
        Some(at) => (at, 1),
        None => (text.len(), 0),
    }
}

#[cfg(test)]
mod tests {
    use lsp_types::Range;
    use proptest::prelude::*;

    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn positions_count_units_and_stop_at_the_ends_of_lines() {
        let text = "a😀b\r\nü\rx\n";
        let cases = [
            (at(0, 0), 0, 0),
            (at(0, 1), 1, 1),
            (at(0, 2), 1, 1),
            (at(0, 3), 5, 1),
            (at(0, 5), 6, 5),
            (at(0, 99), 6, 6),
            (at(1, 0), 8, 8),
            (at(1, 1), 10, 8),
            (at(2, 0), 11, 11),
            (at(3, 0), 13, 13),
            (at(9, 9), 13, 13),
        ];
        for (position, units, bytes) in cases {
            assert_eq!((byte(text, position, false), byte(text, position, true)), (units, bytes), "{position:?}");
        }
    }

    #[test]
    fn changes_are_made_one_after_the_other() {
        let change =
            |range, text: &str| TextDocumentContentChangeEvent { range, range_length: None, text: text.into() };
        let range = |from, to| Some(Range { start: from, end: to });
        let changes = vec![
            change(None, "one\ntwo\n"),
            change(range(at(0, 3), at(1, 0)), " and "),
            change(range(at(0, 0), at(0, 3)), "1\n"),
            change(range(at(1, 5), at(1, 5)), "!"),
        ];
        assert_eq!(edited("old", changes, false), "1\n and !two\n");
    }

    /// The position of a byte, as an editor counts it.
    fn position(text: &str, at: usize, bytes: bool) -> Position {
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let units = if bytes { before[start..].len() } else { before[start..].encode_utf16().count() };
        self::at(before.matches('\n').count() as u32, units as u32)
    }

    proptest! {
        #[test]
        fn a_range_is_what_stands_between_two_places(
            text in "[aü😀\n]{0,40}", new in "[bé\n]{0,6}", bytes in any::<bool>(),
            one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
        ) {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let (one, other) = (*one.get(&places), *other.get(&places));
            let (from, to) = (one.min(other), one.max(other));
            let range = Range { start: position(&text, from, bytes), end: position(&text, to, bytes) };
            let change = TextDocumentContentChangeEvent { range: Some(range), range_length: None, text: new.clone() };
            prop_assert_eq!(edited(&text, vec![change], bytes), format!("{}{new}{}", &text[..from], &text[to..]));
        }

        #[test]
        fn no_position_panics(text in "(\\PC|\r|\n){0,20}", new in "\\PC{0,3}", range in any::<[u32; 4]>(), bytes in any::<bool>()) {
            let [a, b, c, d] = range.map(|n| n % 12);
            let range = Some(Range { start: at(a, b), end: at(c, d) });
            edited(&text, vec![TextDocumentContentChangeEvent { range, range_length: None, text: new }], bytes);
        }
    }
}
