//! Index: the patterns of one host that may cover a path, found without asking each of them.

use super::matching::{Pattern, Target};

/// Rules by how their patterns begin. Every text that a path begins with stands, in order, at or before the path itself,
/// and is a beginning of whatever stands between: so those that begin a path are found by one search and then upwards.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    heads: Vec<Head>,
}

#[derive(Debug, Clone)]
struct Head {
    text: String,
    /// The longest other head that this one begins with.
    above: Option<u32>,
    rules: Vec<u32>,
}

impl Index {
    /// Of patterns and the numbers of their rules.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = (&'p Pattern, u32)>) -> Index {
        let mut texts: Vec<(&str, u32)> =
            patterns.flat_map(|(pattern, rule)| pattern.heads().map(|head| (head, rule))).collect();
        texts.sort_unstable();
        texts.dedup();
        let mut heads: Vec<Head> = Vec::new();
        // Heads that the one at hand may begin with, the longest last.
        let mut open: Vec<u32> = Vec::new();
        for (text, rule) in texts {
            if let Some(last) = heads.last_mut()
                && last.text == text
            {
                last.rules.push(rule);
                continue;
            }
            while open.last().is_some_and(|at| !text.starts_with(&heads[*at as usize].text)) {
                open.pop();
            }
            let above = open.last().copied();
            open.push(heads.len() as u32);
            heads.push(Head { text: text.to_owned(), above, rules: vec![rule] });
        }
        Index { heads }
    }

    /// The rules whose patterns begin as the address does, in one of its readings; some of them perhaps twice.
    pub(super) fn candidates<'i>(&'i self, target: &'i Target) -> impl Iterator<Item = u32> + 'i {
        let [literal, generous] = &target.readings;
        let other = (literal != generous).then(|| self.beginning(generous));
        self.beginning(literal).chain(other.into_iter().flatten())
    }

    fn beginning<'i>(&'i self, path: &'i str) -> impl Iterator<Item = u32> + 'i {
        let after = self.heads.partition_point(|head| head.text.as_str() <= path);
        let first = after.checked_sub(1).map(|at| &self.heads[at]);
        let up = |head: &&'i Head| head.above.map(|at| &self.heads[at as usize]);
        std::iter::successors(first, up)
            .filter(|head| path.starts_with(&head.text))
            .flat_map(|head| head.rules.iter().copied())
    }
}
