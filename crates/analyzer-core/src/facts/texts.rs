//! The texts of one file's literals: most stand in its source as they are.

use std::borrow::Cow;
use std::sync::Arc;

/// The text of a literal: a place in the source, or among the texts that were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// Places from [`MADE`] on are among the texts that were made.
    start: u32,
    len: u32,
}

impl Text {
    /// Bytes of it.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// It has none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Where the texts that were made begin; no source is that long.
const MADE: u32 = 1 << 31;

/// All texts of one file.
#[derive(Debug, Default)]
pub(super) struct Texts {
    source: Arc<str>,
    /// Texts that the source does not have: decoded, or put together.
    made: String,
}

impl Texts {
    pub(super) fn of(source: Arc<str>) -> Texts {
        Texts { source, made: String::new() }
    }

    pub(super) fn get(&self, text: Text) -> &str {
        let (within, start) = match text.start.checked_sub(MADE) {
            Some(start) => (self.made.as_str(), start as usize),
            None => (&*self.source, text.start as usize),
        };
        &within[start..start + text.len()]
    }

    pub(super) fn keep(&mut self, text: Cow<str>) -> Text {
        let len = text.len() as u32;
        let place = (text.as_ptr() as usize).checked_sub(self.source.as_ptr() as usize);
        if let Some(start) = place.filter(|start| start + text.len() <= self.source.len() && *start < MADE as usize) {
            return Text { start: start as u32, len };
        }
        let start = MADE + self.made.len() as u32;
        self.made.push_str(&text);
        Text { start, len }
    }

    pub(super) fn shrink(&mut self) {
        self.made = String::from(self.made.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_where_it_stands_or_among_those_that_were_made() {
        let source: Arc<str> = "x = 'abc'".into();
        let mut texts = Texts::of(source.clone());
        let stands = texts.keep(Cow::Borrowed(&source[5..8]));
        let all = [stands, texts.keep(Cow::Borrowed("elsewhere")), texts.keep(Cow::Owned("made".into()))];
        assert_eq!(all.map(|text| texts.get(text)), ["abc", "elsewhere", "made"]);
        assert_eq!((stands.start, texts.made.as_str()), (5, "elsewheremade"));
    }
}
