//! Index: the patterns of one host that may cover a path, found without asking each of them.

use super::matching::{Pattern, Target};

/// Rules by how their patterns begin, in a tree whose edges are the texts that they share: on the way that a path leads
/// from the root stand all rules whose patterns begin as it does.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    /// What leads here from the node above.
    text: Vec<u8>,
    /// Rules whose patterns begin with what leads here.
    rules: Vec<u32>,
    /// The nodes below by the first byte of their texts, no two of which are alike.
    below: Vec<(u8, u32)>,
}

impl Index {
    /// Of patterns and the numbers of their rules.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = (&'p Pattern, u32)>) -> Index {
        let mut index = Index { nodes: vec![Node::new(b"", Vec::new())] };
        for (pattern, rule) in patterns {
            for head in pattern.heads() {
                index.insert(head.as_bytes(), rule);
            }
        }
        index
    }

    fn insert(&mut self, text: &[u8], rule: u32) {
        let (mut at, mut left) = (0, text);
        loop {
            let Some(&first) = left.first() else {
                let rules = &mut self.nodes[at].rules;
                if rules.last() != Some(&rule) {
                    rules.push(rule);
                }
                return;
            };
            let Some(below) = self.nodes[at].below(first) else {
                let new = self.nodes.len() as u32;
                self.nodes.push(Node::new(left, vec![rule]));
                self.nodes[at].below.push((first, new));
                return;
            };
            let both = self.nodes[below].text.iter().zip(left);
            let shared = both.take_while(|(own, other)| own == other).count();
            if shared < self.nodes[below].text.len() {
                self.split(below, shared);
            }
            (at, left) = (below, &left[shared..]);
        }
    }

    /// Cuts the text of a node after so many bytes: the node keeps the first part, a new one below it has the rest.
    fn split(&mut self, at: usize, shared: usize) {
        let new = self.nodes.len() as u32;
        let node = &mut self.nodes[at];
        let rest = Node {
            text: node.text.split_off(shared),
            rules: std::mem::take(&mut node.rules),
            below: std::mem::take(&mut node.below),
        };
        node.below.push((rest.text[0], new));
        self.nodes.push(rest);
    }

    /// The rules whose patterns begin as the address does, in one of its readings; some of them perhaps twice.
    pub(super) fn candidates<'i>(&'i self, target: &'i Target) -> impl Iterator<Item = u32> + 'i {
        let [literal, generous] = &target.readings;
        let other = (!target.is_plain).then(|| self.beginning(generous));
        self.beginning(literal).chain(other.into_iter().flatten())
    }

    fn beginning<'i>(&'i self, path: &'i str) -> impl Iterator<Item = u32> + 'i {
        let down = |(node, left): &(&'i Node, &'i [u8])| {
            let below = &self.nodes[node.below(*left.first()?)?];
            Some((below, left.strip_prefix(below.text.as_slice())?))
        };
        let root = self.nodes.first().map(|root| (root, path.as_bytes()));
        std::iter::successors(root, down).flat_map(|(node, _)| node.rules.iter().copied())
    }
}

impl Node {
    fn new(text: &[u8], rules: Vec<u32>) -> Node {
        Node { text: text.to_vec(), rules, below: Vec::new() }
    }

    fn below(&self, first: u8) -> Option<usize> {
        self.below.iter().find(|(own, _)| *own == first).map(|(_, at)| *at as usize)
    }
}
