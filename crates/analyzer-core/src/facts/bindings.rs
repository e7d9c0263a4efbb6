//! The bindings of one file, by scope and name.

use super::{Binding, MANY_BINDINGS, ScopeId, Sym};

/// All bindings, those of one name in one scope together.
#[derive(Debug, Default)]
pub struct Bindings {
    /// Where the keys of each scope begin, and the end of all.
    scopes: Box<[u32]>,
    keys: Box<[(ScopeId, Sym)]>,
    /// Where the bindings of each key end.
    ends: Box<[u32]>,
    all: Box<[Binding]>,
}

impl Bindings {
    /// From the bindings as they were made. Those of a name that has many are put in the order of their positions, so
    /// that nobody need look at all of them again and again; of those made at one position, the first goes last.
    pub(crate) fn new(mut made: Vec<((ScopeId, Sym), Binding)>) -> Bindings {
        made.sort_by_key(|(key, _)| *key);
        let (mut keys, mut ends) = (Vec::new(), Vec::new());
        for same in made.chunk_by_mut(|a, b| a.0 == b.0) {
            if same.len() > MANY_BINDINGS {
                same.reverse();
                same.sort_by_key(|(_, binding)| binding.at);
            }
            keys.push(same[0].0);
            ends.push(ends.last().copied().unwrap_or(0) + same.len() as u32);
        }
        let scopes = keys.last().map_or(0, |(scope, _)| scope.0 + 1);
        let begin = |scope: u32| keys.partition_point(|(of, _)| of.0 < scope) as u32;
        let scopes = (0..=scopes).map(begin).collect();
        Bindings {
            scopes,
            keys: keys.into(),
            ends: ends.into(),
            all: made.into_iter().map(|(_, binding)| binding).collect(),
        }
    }

    /// Bindings of a name in a scope, in order.
    pub fn get(&self, scope: ScopeId, sym: Sym) -> &[Binding] {
        let scope = scope.0 as usize;
        let (Some(&from), Some(&to)) = (self.scopes.get(scope), self.scopes.get(scope + 1)) else { return &[] };
        let found = self.keys[from as usize..to as usize].binary_search_by_key(&sym, |(_, sym)| *sym);
        found.map_or(&[], |at| self.at(from as usize + at))
    }

    fn at(&self, at: usize) -> &[Binding] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.all[start as usize..self.ends[at] as usize]
    }

    /// All names with their bindings, by scope.
    pub fn iter(&self) -> impl Iterator<Item = (&(ScopeId, Sym), &[Binding])> {
        self.keys.iter().enumerate().map(|(at, key)| (key, self.at(at)))
    }

    /// All bindings.
    pub fn all(&self) -> &[Binding] {
        &self.all
    }
}
