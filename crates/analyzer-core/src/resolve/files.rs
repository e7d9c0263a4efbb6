//! Submitted data files that code reads: `open`, `readFileSync`, `yaml.safe_load`, attributes that hold one.

use super::*;
use crate::sources::Language;

impl Project<'_> {
    /// The content of the submitted file that a call reads.
    pub(super) fn loaded(
        &self,
        symbol: &Symbol,
        chain: &[(At, Frames)],
        call: At,
        frames: &Frames,
        q: &mut Question,
    ) -> Option<At> {
        let (entry, rule) = self.rules(symbol, RuleKind::Load).next()?;
        let given = self.argument_in(call, frames, &entry.load[rule as usize].path, q);
        if !q.step() {
            return None;
        }
        let root = match given {
            Some((path, path_frames)) => self.opened(path, &path_frames, q),
            None => self.opened_by(chain, q),
        };
        q.back();
        root
    }

    /// `open(path).read()`, `Path(path).read_text()`: the call on the way that was given the path.
    pub(super) fn opened_by(&self, chain: &[(At, Frames)], q: &mut Question) -> Option<At> {
        chain.iter().rev().find_map(|(call, frames)| {
            let (path, frames) = self.argument_in(*call, frames, &[ArgRef::Position(0)], q)?;
            self.named_file(path, &frames, q)
        })
    }

    /// The content of the file that an expression opens or names.
    pub(super) fn opened(&self, at: At, frames: &Frames, q: &mut Question) -> Option<At> {
        for reference in self.refer_in(at, frames, q) {
            match &reference {
                Ref::External(_, calls) => {
                    if let Some(root) = self.opened_by(calls, q) {
                        return Some(root);
                    }
                }
                // Already read: `json.loads(path.read_text())`.
                Ref::Expr(to, _) if self.language(to.file) == Language::Text => return Some(*to),
                _ => {}
            }
        }
        self.named_file(at, frames, q)
    }

    pub(super) fn named_file(&self, at: At, frames: &Frames, q: &mut Question) -> Option<At> {
        let known = self.values_in(at, frames, q);
        known.iter().filter_map(Known::template).find_map(|path: String| self.data_file(at.file, &path))
    }

    /// The content of the file that a text names, with an extension or without.
    pub(super) fn file_named(&self, named: &(At, Frames), extension: &str, q: &mut Question) -> Option<At> {
        let (at, frames) = named;
        let known = self.values_in(*at, frames, q);
        known.iter().filter_map(Known::template).find_map(|name| {
            let is_whole = extension.is_empty() || name.rsplit_once('.').is_some_and(|(_, own)| own == extension);
            let path = if is_whole { name } else { format!("{name}.{extension}") };
            self.data_file(at.file, &path)
        })
    }

    /// The submitted data file that a path means: the end of the path decides, the nearest file goes first.
    pub(super) fn data_file(&self, from: usize, path: &str) -> Option<At> {
        let path = path.rsplit('}').next().unwrap_or(path);
        let parts: Vec<&str> = path.split(['/', '\\']).filter(|p| !p.is_empty() && *p != "." && *p != "..").collect();
        let name = parts.last().filter(|name| name.contains('.'))?;
        let shared = |a: &str, b: &str| a.split('/').zip(b.split('/')).take_while(|(x, y)| x == y).count();
        let ends = |file: &str| {
            let own: Vec<&str> = file.split('/').collect();
            own.iter().rev().zip(parts.iter().rev()).take_while(|(a, b)| a == b).count()
        };
        // Real configuration is often not submitted; its sample is then the best that is known.
        let real = crate::lang::without_sample_mark(name);
        let is_data =
            |file: &File| file.source.language == Language::Text && !crate::lang::is_env_file(&file.source.path);
        let candidates = self.files.iter().enumerate().filter(|(_, file)| is_data(file));
        let named = candidates.filter(|(_, file)| {
            let own = file.source.path.rsplit('/').next().unwrap_or_default();
            own == *name || crate::lang::is_sample_of(own, &real)
        });
        let best = named.max_by_key(|(index, file)| {
            let is_it = file.source.path.rsplit('/').next() == Some(name);
            let path = &file.source.path;
            (is_it, ends(path), shared(self.path(from), path), std::cmp::Reverse(*index))
        });
        let (file, _) = best?;
        match self.facts(file).exports.first() {
            Some((_, Exported::Expr(expr))) => Some(At { file, expr: *expr }),
            _ => None,
        }
    }

    pub(super) fn data_file_of(&self, at: At) -> Option<At> {
        let text = self.facts(at.file).text(at.expr)?;
        let is_data = [".yaml", ".yml", ".json", ".toml"].iter().any(|end| text.ends_with(end));
        if is_data { self.data_file(at.file, text) } else { None }
    }

    /// The data file that a decorator or a base class gives a class under this name.
    pub(super) fn given_field(&self, file: usize, class: ClassId, name: &str, q: &mut Question) -> Option<At> {
        let class = &self.facts(file).classes[class.0 as usize];
        let marks = class.decorators.iter().chain(&class.bases).take(8);
        let marks: Vec<ExprId> = marks.copied().collect();
        for expr in marks {
            for reference in self.refer_in(At { file, expr }, &None, q) {
                let Ref::External(symbol, _) = reference else { continue };
                let rule = self.rules(&symbol, RuleKind::Field).map(|(entry, rule)| &entry.field[rule as usize]);
                if let Some(rule) = rule.into_iter().find(|rule| rule.name == name) {
                    return self.data_file(file, &rule.path);
                }
            }
        }
        None
    }
}
