//! The names of one file: one text, and a table of where to find each.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use super::Sym;

/// Names by symbol, and symbols by name. No name has memory of its own: a file has a hundred, a project a million.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    /// Where each name ends.
    ends: Vec<u32>,
    /// Symbols by the hash of their names, each at its place or behind it; a power of two, at most half full.
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Names {
    pub(super) fn get(&self, sym: Sym) -> &str {
        let at = sym.0 as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start as usize..self.ends[at] as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|at| self.get(Sym(at as u32)))
    }

    pub(super) fn find(&self, name: &str) -> Option<Sym> {
        if self.table.is_empty() {
            return None;
        }
        self.place(name).ok()
    }

    pub(super) fn intern(&mut self, name: &str) -> Sym {
        if self.table.len() < 2 * (self.ends.len() + 1) {
            self.grow();
        }
        self.place(name).unwrap_or_else(|place| {
            let sym = Sym(self.ends.len() as u32);
            self.text.push_str(name);
            self.ends.push(self.text.len() as u32);
            self.table[place] = sym.0;
            sym
        })
    }

    /// The symbol of a name, or the free place where it belongs.
    fn place(&self, name: &str) -> Result<Sym, usize> {
        let mask = self.table.len() - 1;
        let mut hash = FxHasher::default();
        hash.write(name.as_bytes());
        let mut place = (hash.finish() >> 20) as usize & mask;
        loop {
            match self.table[place] {
                FREE => return Err(place),
                sym if self.get(Sym(sym)) == name => return Ok(Sym(sym)),
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.table = vec![FREE; (2 * self.table.len()).max(64)];
        for sym in (0..self.ends.len() as u32).map(Sym) {
            if let Err(place) = self.place(self.get(sym)) {
                self.table[place] = sym.0;
            }
        }
    }

    pub(super) fn shrink(&mut self) {
        self.text = String::from(self.text.as_str());
        super::exact(&mut self.ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_symbol() {
        let mut names = Names::default();
        assert_eq!(names.find(""), None);
        let texts: Vec<String> = (0..1_000).map(|i| format!("name{}", i % 500)).chain([String::new()]).collect();
        let symbols: Vec<Sym> = texts.iter().map(|text| names.intern(text)).collect();
        for (text, &sym) in texts.iter().zip(&symbols) {
            assert_eq!((names.get(sym), names.find(text)), (text.as_str(), Some(sym)));
        }
        assert_eq!((names.iter().count(), names.find("other")), (501, None));
    }
}
