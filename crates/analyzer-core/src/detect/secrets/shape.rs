//! The shape of a token: literals and bounded classes of characters, written like the simple part of a regex.
//!
//! `gsk_[A-Za-z0-9]{52}`, `sk-(proj|admin)-[\w-]{74}T3BlbkFJ[\w-]{74}(==)?`. Alternatives are multiplied out when the
//! shape is read, so that matching is one loop over runs, and a test can write tokens of any shape.

/// A set of ASCII characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Class(u128);

impl Class {
    pub fn has(self, byte: u8) -> bool {
        byte < 128 && self.0 >> byte & 1 == 1
    }

    fn add(&mut self, from: u8, to: u8) {
        (from..=to.min(127)).for_each(|byte| self.0 |= 1 << byte);
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'd' => self.add(b'0', b'9'),
            b'w' => [(b'a', b'z'), (b'A', b'Z'), (b'0', b'9'), (b'_', b'_')].iter().for_each(|&(a, z)| self.add(a, z)),
            other => self.add(other, other),
        }
    }
}

/// One run of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Literal(Vec<u8>),
    Run(Class, usize, usize),
}

/// One alternative of a shape: its runs in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flat(pub Vec<Piece>);

/// A shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub flats: Vec<Flat>,
}

/// Where a literal stands in a token, so that finding it finds the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub literal: Vec<u8>,
    /// Fewest and most bytes before it.
    pub before: (usize, usize),
}

/// No token is longer.
const LONGEST: usize = 2048;
/// Attempts at one place: shapes with several open runs could otherwise be made to search for long.
const STEPS: usize = 4096;

impl Shape {
    /// Reads a shape, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Shape, String> {
        let bytes = text.as_bytes();
        let mut at = 0;
        let flats = sequence(bytes, &mut at, 0)?;
        if at < bytes.len() {
            return Err(format!("unexpected {:?} at {at}", bytes[at] as char));
        }
        let flats: Vec<Flat> = flats.into_iter().map(joined).collect();
        match flats.len() {
            0 | 65.. => Err("between 1 and 64 alternatives".into()),
            _ => Ok(Shape { flats }),
        }
    }

    /// The token that begins at `at`, by its end.
    pub fn match_at(&self, text: &[u8], at: usize) -> Option<usize> {
        self.flats.iter().filter_map(|flat| flat.match_at(text, at)).max()
    }

    /// The whole text is one token.
    pub fn is(&self, text: &str) -> bool {
        self.match_at(text.as_bytes(), 0) == Some(text.len())
    }

    /// The literal that every token begins with: what a preview may show.
    pub fn public_prefix(&self, token: &[u8]) -> usize {
        let prefix = |flat: &Flat| match flat.0.first() {
            Some(Piece::Literal(literal)) if token.starts_with(literal) => literal.len(),
            _ => 0,
        };
        self.flats.iter().filter(|flat| flat.match_at(token, 0).is_some()).map(prefix).max().unwrap_or(0)
    }
}

impl Flat {
    /// The token that begins at `at`, by its end; neither cut out of a longer word nor cut short.
    pub fn match_at(&self, text: &[u8], at: usize) -> Option<usize> {
        let mut steps = STEPS;
        starts_word(text, at).then(|| self.rest(0, text, at, &mut steps)).flatten()
    }

    fn rest(&self, index: usize, text: &[u8], at: usize, steps: &mut usize) -> Option<usize> {
        *steps = steps.checked_sub(1)?;
        match self.0.get(index) {
            None => ends_word(&self.0, text, at).then_some(at),
            Some(Piece::Literal(literal)) => {
                text[at..].starts_with(literal).then(|| self.rest(index + 1, text, at + literal.len(), steps)).flatten()
            }
            Some(&Piece::Run(class, min, max)) => {
                let run = text[at..].iter().take(max).take_while(|byte| class.has(**byte)).count();
                let shortest = if index + 1 == self.0.len() { min.max(run) } else { min };
                (shortest..=run).rev().find_map(|length| self.rest(index + 1, text, at + length, steps))
            }
        }
    }

    /// The best literal to search for; none when there is no telling one.
    pub fn anchor(&self) -> Option<Anchor> {
        let mut before = (0, 0);
        let mut best: Option<Anchor> = None;
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => {
                    let enough = literal.len() >= 2 && before.1 - before.0 <= 16 && before.1 <= 128;
                    let leading = before.1 == 0;
                    let better = best.as_ref().is_none_or(|b| b.before.1 > 0 && b.literal.len() < literal.len());
                    if enough && better || leading && literal.len() >= 2 {
                        best = Some(Anchor { literal: literal.clone(), before });
                    }
                    before = (before.0 + literal.len(), before.1 + literal.len());
                }
                Piece::Run(_, min, max) => before = (before.0 + min, (before.1 + max).min(LONGEST)),
            }
        }
        best
    }

    /// Bytes that are the same in every token.
    pub fn literal_len(&self) -> usize {
        self.0.iter().map(|piece| if let Piece::Literal(l) = piece { l.len() } else { 0 }).sum()
    }
}

/// A token does not begin in the middle of a word; an escape such as `\n` in front of it is none.
pub fn starts_word(text: &[u8], at: usize) -> bool {
    let Some(&before) = at.checked_sub(1).and_then(|i| text.get(i)) else { return true };
    let escaped = at >= 2 && text[at - 2] == b'\\' && b"nrt".contains(&before);
    let percent = at >= 3 && text[at - 3] == b'%' && text[at - 2..at].iter().all(u8::is_ascii_hexdigit);
    !(before.is_ascii_alphanumeric() || before == b'_') || escaped || percent
}

fn ends_word(pieces: &[Piece], text: &[u8], at: usize) -> bool {
    let Some(&next) = text.get(at) else { return true };
    let in_run = matches!(pieces.last(), Some(Piece::Run(class, ..)) if class.has(next));
    !(next.is_ascii_alphanumeric() || next == b'_' || in_run)
}

fn sequence(bytes: &[u8], at: &mut usize, depth: usize) -> Result<Vec<Vec<Piece>>, String> {
    let mut done: Vec<Vec<Piece>> = Vec::new();
    let mut open: Vec<Vec<Piece>> = vec![Vec::new()];
    while let Some(&byte) = bytes.get(*at) {
        *at += 1;
        let mut choices: Vec<Vec<Piece>> = match byte {
            b')' if depth > 0 => {
                *at -= 1;
                break;
            }
            b'|' => {
                done.append(&mut open);
                open = vec![Vec::new()];
                continue;
            }
            b'(' if depth < 4 => {
                let inner = sequence(bytes, at, depth + 1)?;
                if bytes.get(*at) != Some(&b')') {
                    return Err("an unclosed group".into());
                }
                *at += 1;
                inner
            }
            b'[' => {
                let class = class(bytes, at)?;
                vec![vec![Piece::Run(class, 1, 1)]]
            }
            b'\\' => {
                let escaped = *bytes.get(*at).ok_or("a backslash at the end")?;
                *at += 1;
                match escaped {
                    b'd' | b'w' => {
                        let mut class = Class::default();
                        class.escape(escaped);
                        vec![vec![Piece::Run(class, 1, 1)]]
                    }
                    other => vec![vec![Piece::Literal(vec![other])]],
                }
            }
            b'*' | b'+' | b'^' | b'$' | b']' | b'}' | b'(' | b')' | b'.' | b'?' | b'{' => {
                return Err(format!("{:?} needs a backslash", byte as char));
            }
            literal => vec![vec![Piece::Literal(vec![literal])]],
        };
        match bytes.get(*at) {
            Some(b'{') => {
                let (min, max) = bounds(bytes, at)?;
                for choice in &mut choices {
                    match choice.as_mut_slice() {
                        [Piece::Run(_, low, high)] => (*low, *high) = (min, max),
                        _ => return Err("only a class can be repeated".into()),
                    }
                }
            }
            Some(b'?') => {
                *at += 1;
                choices.push(Vec::new());
            }
            _ => {}
        }
        open = open.iter().flat_map(|left| choices.iter().map(|right| [left.as_slice(), right].concat())).collect();
        if open.len() > 64 {
            return Err("too many alternatives".into());
        }
    }
    done.append(&mut open);
    Ok(done)
}

fn class(bytes: &[u8], at: &mut usize) -> Result<Class, String> {
    let mut class = Class::default();
    loop {
        let byte = *bytes.get(*at).ok_or("an unclosed class")?;
        *at += 1;
        match byte {
            b']' => return Ok(class),
            b'\\' => {
                class.escape(*bytes.get(*at).ok_or("an unclosed class")?);
                *at += 1;
            }
            from => match (bytes.get(*at), bytes.get(*at + 1)) {
                (Some(b'-'), Some(&to)) if to != b']' => {
                    class.add(from, to);
                    *at += 2;
                }
                _ => class.add(from, from),
            },
        }
    }
}

fn bounds(bytes: &[u8], at: &mut usize) -> Result<(usize, usize), String> {
    let end = bytes[*at..].iter().position(|b| *b == b'}').ok_or("an unclosed count")? + *at;
    let text = std::str::from_utf8(&bytes[*at + 1..end]).map_err(|_| "a count of digits")?;
    *at = end + 1;
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text:?} is no count"));
    let (min, max) = match text.split_once(',') {
        None => (number(text)?, number(text)?),
        Some((min, "")) => (number(min)?, LONGEST),
        Some((min, max)) => (number(min)?, number(max)?),
    };
    if min > max || max > LONGEST { Err(format!("{{{text}}} is no range up to {LONGEST}")) } else { Ok((min, max)) }
}

/// Adjacent literals become one.
fn joined(pieces: Vec<Piece>) -> Flat {
    let mut flat: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (flat.last_mut(), piece) {
            (Some(Piece::Literal(left)), Piece::Literal(right)) => left.extend(right),
            (_, piece) => flat.push(piece),
        }
    }
    Flat(flat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_neither_cut_out_of_a_word_nor_cut_short() {
        let shape = Shape::parse("ab-[0-9a-f]{4}").unwrap();
        assert_eq!(shape.match_at(b"ab-12ef", 0), Some(7));
        assert_eq!(shape.match_at(b"xab-12ef", 1), None);
        assert_eq!(shape.match_at(b"ab-12ef0", 0), None);
        assert_eq!(shape.match_at(br"\nab-12ef", 2), Some(9));
    }

    #[test]
    fn what_stands_before_the_literal_is_counted() {
        let flat = &Shape::parse(r"[0-9]{8,10}:AA[\w-]{33}").unwrap().flats[0];
        assert_eq!(flat.anchor(), Some(Anchor { literal: b":AA".to_vec(), before: (8, 10) }));
        assert_eq!(Shape::parse("[0-9a-f]{32}").unwrap().flats[0].anchor(), None);
    }

    #[test]
    fn mistakes_are_named() {
        for bad in ["a.b", "[a", "a{3}", "(a", "[a]{3,1}", "[a]{9999}", "a+"] {
            assert!(Shape::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_shape_means_what_the_regex_of_the_same_spelling_means(text in "(k-)?[ab1_-]{0,6}(k-)?[ab1]{0,6}(=)?[ab. ]{0,3}") {
            for shape in [r"k-[a-b]{2,4}1?[ab]{1,3}", r"k-(aa|b1)[\w]{2}(=)?", r"[ab]{1,2}k-[a-b1]{2,}"] {
                let ours = Shape::parse(shape).unwrap();
                let regex = regex::Regex::new(&format!("^(?:{shape})$")).unwrap();
                for (at, _) in text.char_indices().filter(|(at, _)| starts_word(text.as_bytes(), *at)) {
                    let Some(end) = ours.match_at(text.as_bytes(), at) else { continue };
                    prop_assert!(regex.is_match(&text[at..end]), "{shape} {text:?} {at}..{end}");
                }
                if regex.is_match(&text) {
                    prop_assert!(ours.is(&text), "{shape} {text:?}");
                }
            }
        }
    }
}
