//! What an expression stands for: imports, aliases, instances, `self.client`, re-exports, returned values.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::*;
use crate::facts::MANY_BINDINGS;

impl Project<'_> {
    /// Everything that an expression may stand for: all functions of a list.
    pub fn all_refs(&self, at: At, frames: &Frames) -> Vec<Ref> {
        self.refer_in(at, frames, &mut Question::wide())
    }

    /// What an expression stands for; several answers where branches or callers differ.
    pub fn refer(&self, at: At, frames: &Frames) -> Vec<Ref> {
        self.refer_in(at, frames, &mut Question::new())
    }

    pub(super) fn refer_in(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        if frames.is_none()
            && let Some(refs) = q.recall(at)
        {
            return refs;
        }
        if !q.step() {
            return vec![Ref::Unknown];
        }
        let tangled = frames.is_none() && q.is_tangled();
        if tangled {
            match q.refs.entry(at) {
                Entry::Occupied(refs) => {
                    q.cut |= refs.get().is_none();
                    let refs = refs.get().clone().unwrap_or_else(|| vec![Ref::Unknown]);
                    q.back();
                    return refs;
                }
                Entry::Vacant(place) => drop(place.insert(None)),
            }
        }
        let before = (!tangled && frames.is_none()).then(|| q.begin());
        let mut refs = self.refer_kind(at, frames, q);
        refs.truncate(q.many);
        if let Some(before) = before {
            q.end(at, before, &refs);
        }
        q.back();
        if tangled {
            q.refs.insert(at, Some(refs.clone()));
        }
        refs
    }

    pub(super) fn refer_kind(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        let facts = self.facts(at.file);
        let here = |expr| At { file: at.file, expr };
        match facts.kind(at.expr) {
            ExprKind::Name(sym) => self.name(at, *sym, frames, q),
            ExprKind::Attr(base, sym) => {
                let bases = self.refer_in(here(*base), frames, q);
                let name = facts.name(*sym);
                bases.into_iter().flat_map(|base| self.member(base, name, q)).collect()
            }
            ExprKind::Index(base, key) if self.entries_of(here(*base)).is_some() => {
                let (holder, pair) = self.entries_of(here(*base)).unwrap_or((here(*base), false));
                let wanted = self.text_in(here(*key), frames, q);
                if !pair || wanted.as_deref() != Some("1") {
                    return vec![Ref::Unknown];
                }
                self.values_of_map(holder, frames, q)
            }
            ExprKind::Index(base, key) => {
                let bases = self.refer_in(here(*base), frames, q);
                bases.into_iter().flat_map(|base| self.index(base, here(*key), frames, q)).collect()
            }
            ExprKind::Call(_) => self.call_result(at, frames, q),
            ExprKind::Either(a, b) | ExprKind::Cond(a, b) => {
                let mut refs = self.refer_in(here(*a), frames, q);
                refs.extend(self.refer_in(here(*b), frames, q));
                let known = |r: &Ref| !matches!(r, Ref::Unknown) && !self.is_null(r);
                if refs.iter().any(known) {
                    refs.retain(known);
                }
                refs
            }
            ExprKind::Function(id) => vec![Ref::Function(at.file, *id)],
            ExprKind::Class(id) => vec![Ref::Class(at.file, *id)],
            ExprKind::Import(index) => self.import(at.file, *index, q),
            ExprKind::Element(inner) if self.entries_of(at).is_some_and(|(_, pair)| !pair) => {
                let (holder, _) = self.entries_of(at).unwrap_or((here(*inner), false));
                self.values_of_map(holder, frames, q)
            }
            ExprKind::Element(inner) => {
                let holders = self.refer_in(here(*inner), frames, q);
                let mut refs = Vec::new();
                for holder in holders {
                    if let Ref::Expr(list, list_frames) = holder {
                        for (item, frames) in self.elements_in(list, &list_frames, q).into_iter().take(q.many) {
                            refs.extend(self.refer_in(item, &frames, q));
                        }
                    }
                }
                if refs.is_empty() { vec![Ref::Unknown] } else { refs }
            }
            ExprKind::Unknown => vec![Ref::Unknown],
            _ => vec![Ref::Expr(at, frames.clone())],
        }
    }

    /// A name that a loop gives its values.
    pub fn is_walked(&self, at: At) -> bool {
        let facts = self.facts(at.file);
        let ExprKind::Name(sym) = *facts.kind(at.expr) else { return false };
        let walks = |mut expr: ExprId| loop {
            match *facts.kind(expr) {
                ExprKind::Element(_) => return true,
                ExprKind::Index(base, _) | ExprKind::Attr(base, _) => expr = base,
                _ => return false,
            }
        };
        self.reaching(at, sym).iter().any(|(binding, _)| matches!(binding.value, Bound::Expr(expr) if walks(expr)))
    }

    /// What a loop walks over: `d.items()`, `Object.entries(d)` and `enumerate(d)` in pairs, `d.values()` and
    /// `Object.values(d)` one by one. Answers for the loop variable.
    pub(super) fn entries_of(&self, element: At) -> Option<(At, bool)> {
        let facts = self.facts(element.file);
        let ExprKind::Element(inner) = *facts.kind(element.expr) else { return None };
        let call = facts.call(inner)?;
        let here = |expr| At { file: element.file, expr };
        match *facts.kind(call.callee) {
            ExprKind::Attr(base, method) => {
                let object = matches!(*facts.kind(base), ExprKind::Name(sym) if facts.name(sym) == "Object");
                let first = call.args.first().map(|arg| arg.value);
                match (facts.name(method), object) {
                    ("items", false) => Some((here(base), true)),
                    ("values", false) => Some((here(base), false)),
                    ("entries", true) => Some((here(first?), true)),
                    ("values", true) => Some((here(first?), false)),
                    _ => None,
                }
            }
            ExprKind::Name(sym) if facts.name(sym) == "enumerate" => Some((here(call.args.first()?.value), true)),
            _ => None,
        }
    }

    pub(super) fn values_of_map(&self, holder: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        let mut refs = Vec::new();
        for reference in self.refer_in(holder, frames, q) {
            let Ref::Expr(at, frames) = reference else { continue };
            let items: Vec<(At, Frames)> = match self.facts(at.file).kind(at.expr) {
                ExprKind::Dict(_) => self.pairs_in(at, &frames, q).into_iter().map(|(_, at, f)| (at, f)).collect(),
                _ => self.elements_in(at, &frames, q),
            };
            for (at, frames) in items.into_iter().take(q.many) {
                refs.extend(self.refer_in(at, &frames, q));
            }
        }
        if refs.is_empty() { vec![Ref::Unknown] } else { refs }
    }

    pub(super) fn is_null(&self, reference: &Ref) -> bool {
        matches!(reference, Ref::Expr(at, _) if matches!(self.facts(at.file).kind(at.expr), ExprKind::Null))
    }

    /// The bindings of a name that may hold where it is used, the likeliest first.
    pub(super) fn reaching(&self, at: At, sym: Sym) -> Vec<(Binding, ScopeId)> {
        let facts = self.facts(at.file);
        let block = facts.expr(at.expr).block;
        let mut scope = Some(facts.scope_of(at.expr));
        let own = scope;
        let mut crossed = false;
        while let Some(here) = scope {
            let info = facts.scopes[here.0 as usize];
            let visible = !matches!(info.kind, ScopeKind::Class(_)) || own == Some(here);
            let bindings = facts.bindings_in(here, sym);
            if visible && !bindings.is_empty() {
                return select(facts, bindings, here, block, (!crossed).then_some(at.expr));
            }
            crossed |= matches!(info.kind, ScopeKind::Function(_));
            scope = info.parent;
        }
        Vec::new()
    }

    pub(super) fn name(&self, at: At, sym: Sym, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        let facts = self.facts(at.file);
        let name = facts.name(sym);
        let bindings = self.reaching(at, sym);
        if bindings.is_empty() {
            return match name {
                "this" => self.this(at).into_iter().collect(),
                "globalThis" | "window" | "global" | "self" if !self.is_python(at.file) => {
                    vec![Ref::External(Symbol::default(), Vec::new())]
                }
                _ => self.star_imported(at.file, name, q).unwrap_or_else(|| vec![self.global(at.file, name)]),
            };
        }
        let refs: Vec<Ref> =
            bindings.into_iter().flat_map(|(binding, _)| self.bound(at.file, binding, frames, q)).collect();
        self.prefer_known(refs)
    }

    /// Drops `None` and the unknown where something better is among the alternatives.
    pub(super) fn prefer_known(&self, mut refs: Vec<Ref>) -> Vec<Ref> {
        let known = |r: &Ref| !matches!(r, Ref::Unknown) && !self.is_null(r);
        if refs.iter().any(known) {
            refs.retain(known);
        }
        refs
    }

    /// Snippets often forget `import os`; an unbound name is taken at its word.
    pub(super) fn global(&self, file: usize, name: &str) -> Ref {
        Ref::External(Symbol::global(self.is_python(file), name), Vec::new())
    }

    pub(super) fn is_python(&self, file: usize) -> bool {
        self.language(file).is_python()
    }

    pub(super) fn bound(&self, file: usize, binding: Binding, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        match binding.value {
            Bound::Expr(expr) => self.refer_in(At { file, expr }, frames, q),
            Bound::Function(id) => vec![Ref::Function(file, id)],
            Bound::Class(id) => vec![Ref::Class(file, id)],
            Bound::Import(index) => self.import(file, index, q),
            Bound::Param(function, index) => self.param(file, function, index, frames, q),
            Bound::Annotation(expr) => self.instance_of(At { file, expr }, frames, q),
            Bound::Opaque => vec![Ref::Unknown],
        }
    }

    /// An instance of the type that an annotation names.
    pub(super) fn instance_of(&self, annotation: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        let facts = self.facts(annotation.file);
        let here = |expr| At { file: annotation.file, expr };
        match facts.kind(annotation.expr) {
            // `Optional[X]`, `Annotated[X, …]`, `list[X]`: the first type inside, unless the outer one is a client.
            ExprKind::Index(base, key) => {
                let outer = match facts.kind(*base) {
                    ExprKind::Name(sym) | ExprKind::Attr(_, sym) => facts.name(*sym),
                    _ => "",
                };
                match outer {
                    "Optional" | "Annotated" | "Union" | "Final" | "ClassVar" | "Type" => {
                        let inner = match facts.kind(*key) {
                            ExprKind::List(items) => items.first().copied().unwrap_or(*key),
                            _ => *key,
                        };
                        self.instance_of(here(inner), frames, q)
                    }
                    _ => {
                        let mut refs = self.instance_of(here(*base), frames, q);
                        for reference in &mut refs {
                            // What stands in brackets is what the members of the outer type are made of.
                            if let Ref::External(_, calls) = reference {
                                calls.push((annotation, frames.clone()));
                            }
                        }
                        refs
                    }
                }
            }
            ExprKind::Either(a, _) => self.instance_of(here(*a), frames, q),
            ExprKind::Null => vec![Ref::Unknown],
            _ => self
                .refer_in(annotation, frames, q)
                .into_iter()
                .map(|reference| match reference {
                    Ref::External(symbol, calls)
                        if symbol
                            .last()
                            .is_some_and(|last| last.starts_with(char::is_uppercase) || last == "default") =>
                    {
                        Ref::External(symbol.instance(), calls)
                    }
                    Ref::Class(file, class) => Ref::Instance(file, class, None),
                    _ => Ref::Unknown,
                })
                .collect(),
        }
    }

    /// `base.name`.
    pub(super) fn member(&self, base: Ref, name: &str, q: &mut Question) -> Vec<Ref> {
        if !q.step() {
            return vec![Ref::Unknown];
        }
        let refs = match base {
            Ref::External(symbol, calls) => {
                let placed = self.placed(&symbol, name);
                let mut refs: Vec<Ref> = placed.into_iter().flat_map(|at| self.refer_in(at, &None, q)).collect();
                refs.retain(|reference| !matches!(reference, Ref::Unknown));
                if refs.is_empty() {
                    refs = self.type_arguments(&calls, q);
                    refs.push(Ref::External(symbol.member(name), calls));
                }
                refs
            }
            Ref::Module(file) => self
                .module_member(file, name, q)
                .unwrap_or_else(|| if name == "default" { vec![Ref::Module(file)] } else { vec![Ref::Unknown] }),
            Ref::Package(file, path) => {
                let path = format!("{path}.{name}");
                match self.imports.modules.resolve_python(self.path(file), &path, None) {
                    Some(module) => vec![Ref::Module(module)],
                    None => vec![Ref::Package(file, path)],
                }
            }
            Ref::Class(file, class) => self.class_member(file, class, name, None, q),
            Ref::Instance(file, class, _) if self.facts(file).classes[class.0 as usize].is_type => {
                self.type_member(file, class, name, q)
            }
            Ref::Instance(file, class, made) => self.class_member(file, class, name, Some(made), q),
            Ref::Expr(at, frames) => match self.literal_element(at, &frames, name, q) {
                Some((at, frames)) => self.refer_in(at, &frames, q),
                // `Model.GPT.value`: the value of a constant is itself.
                None if name == "value" => vec![Ref::Expr(at, frames)],
                None => vec![Ref::Unknown],
            },
            Ref::Function(..) => vec![Ref::Unknown],
            // The members' names may be telling where the base is not.
            Ref::Unknown => {
                vec![Ref::External(Symbol::unknown(true).member(name), Vec::new())]
            }
        };
        q.back();
        refs
    }

    pub(super) fn index(&self, base: Ref, key: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        match base {
            Ref::Expr(at, holder_frames) => {
                // A path to a submitted data file that is indexed stands for what the file holds; once, for a file may
                // hold nothing but a path.
                let (at, holder_frames) = self.data_file_of(at).map_or((at, holder_frames), |root| (root, None));
                let key = self.text_in(key, frames, q);
                let found = key.and_then(|key| self.literal_element(at, &holder_frames, &key, q));
                match found {
                    Some((at, frames)) => self.refer_in(at, &frames, q),
                    None => {
                        // The key is not known: any of the values.
                        let all: Vec<(At, Frames)> = match self.facts(at.file).kind(at.expr) {
                            ExprKind::Dict(_) => {
                                self.pairs_in(at, &holder_frames, q).into_iter().map(|(_, at, f)| (at, f)).collect()
                            }
                            ExprKind::List(_) => self.elements_in(at, &holder_frames, q),
                            _ => Vec::new(),
                        };
                        all.into_iter().take(q.many).flat_map(|(at, frames)| self.refer_in(at, &frames, q)).collect()
                    }
                }
            }
            // `Agent[Deps](…)` is `Agent(…)`; `process.env["X"]` is `process.env.X`.
            Ref::External(symbol, calls) => match self.text_in(key, frames, q) {
                Some(name) if !self.placed(&symbol, &name).is_empty() => {
                    self.member(Ref::External(symbol, calls), &name, q)
                }
                Some(name) if !symbol.is_python() => vec![Ref::External(symbol.member(&name), calls)],
                _ => vec![Ref::External(symbol, calls)],
            },
            Ref::Module(file) => match self.text_in(key, frames, q) {
                Some(name) => self.member(Ref::Module(file), &name, q),
                None => vec![Ref::Unknown],
            },
            Ref::Class(..) => vec![base],
            // `state["client"]` of a typed dict, `env["AI"]` of an interface.
            Ref::Instance(file, class, _) => match self.text_in(key, frames, q) {
                Some(name) if self.has_field(file, class, &name) => self.member(base, &name, q),
                _ => vec![Ref::Unknown],
            },
            _ => vec![Ref::Unknown],
        }
    }

    /// What a call gives back.
    pub(super) fn call_result(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        let Some(call) = self.call(at) else { return vec![Ref::Unknown] };
        let callee = At { file: at.file, expr: call.callee };
        if self.is_super(callee) {
            return self.super_instance(at, q);
        }
        let callees = self.refer_in(callee, frames, q);
        let mut refs = Vec::new();
        for callee in callees {
            match callee {
                // `dict(model="x")` is a literal written otherwise.
                Ref::External(symbol, _) if symbol.is_python() && symbol.is_global("dict") && has_keywords(call) => {
                    refs.push(Ref::Expr(at, frames.clone()));
                }
                Ref::External(symbol, mut calls) => {
                    let is_named = !self.knowledge.lookup(&symbol).is_empty();
                    if is_named && let Some((place, frames)) = self.passed_through(&symbol, at, frames, q) {
                        let given = self.refer_in(place, &frames, q);
                        refs.extend(given.into_iter().map(|reference| match reference {
                            // What checked the environment may know defaults.
                            Ref::External(map, made) if made.is_empty() && self.is_env_map(&map) => {
                                calls.push((at, frames.clone()));
                                Ref::External(map, std::mem::take(&mut calls))
                            }
                            other => other,
                        }));
                        continue;
                    }
                    if is_named && let Some(root) = self.loaded(&symbol, &calls, at, frames, q) {
                        refs.push(Ref::Expr(root, None));
                        continue;
                    }
                    let taken = self.taken_out(at, frames, q);
                    if !taken.is_empty() {
                        refs.extend(taken.into_iter().flat_map(|at| self.refer_in(at, &None, q)));
                        continue;
                    }
                    calls.push((at, frames.clone()));
                    refs.push(Ref::External(symbol.called(), calls));
                }
                Ref::Function(file, id) => {
                    let frame = Frame { function: (file, id), call: at, outer: frames.clone() };
                    let inner = Some(Arc::new(frame));
                    let returns = &self.facts(file).functions[id.0 as usize].returns;
                    for &expr in returns.iter().take(MANY) {
                        refs.extend(self.refer_in(At { file, expr }, &inner, q));
                    }
                }
                Ref::Class(file, class) => refs.push(Ref::Instance(file, class, Some((at, frames.clone())))),
                Ref::Instance(file, class, _) => {
                    for method in self.class_member(file, class, "__call__", Some(None), q) {
                        if let Ref::Function(file, id) = method {
                            for &expr in self.facts(file).functions[id.0 as usize].returns.iter().take(MANY) {
                                refs.extend(self.refer_in(At { file, expr }, &None, q));
                            }
                        }
                    }
                }
                // A dict's `get`, a list's `pop`: the value layer knows them.
                _ => refs.push(Ref::Expr(at, frames.clone())),
            }
        }
        let refs = self.prefer_known(refs);
        if refs.is_empty() { vec![Ref::Unknown] } else { refs }
    }

    /// Whether a symbol is a map of the environment's variables.
    pub(super) fn is_env_map(&self, symbol: &Symbol) -> bool {
        self.rules(symbol, RuleKind::EnvRead).any(|(entry, rule)| entry.env_read[rule as usize].map)
    }

    /// The argument that a call gives back unchanged, if it is known to.
    pub(super) fn passed_through(
        &self,
        symbol: &Symbol,
        call: At,
        frames: &Frames,
        q: &mut Question,
    ) -> Option<(At, Frames)> {
        let mut rules = self.rules(symbol, RuleKind::Passthrough);
        let (entry, rule) = rules.next()?;
        self.argument_in(call, frames, &entry.passthrough[rule as usize].value, q)
    }
}

/// The bindings that may hold: the last one before the use, those in branches after it, and none behind them.
pub(super) fn select(
    facts: &FileFacts,
    bindings: &[Binding],
    scope: ScopeId,
    block: BlockId,
    before: Option<ExprId>,
) -> Vec<(Binding, ScopeId)> {
    let is_root = |block: BlockId| {
        let info = facts.blocks[block.0 as usize];
        info.scope == scope && info.parent.is_none_or(|parent| facts.blocks[parent.0 as usize].scope != scope)
    };
    // The last first; of those made at one position, the first.
    let mut own: Vec<&Binding> = Vec::new();
    let ordered: &mut dyn Iterator<Item = &Binding> = match bindings.len() > MANY_BINDINGS {
        true => {
            let end = bindings.partition_point(|b| before.is_none_or(|use_at| b.at <= use_at));
            &mut bindings[..if end == 0 { bindings.len() } else { end }].iter().rev()
        }
        false => {
            own.extend(bindings.iter().filter(|b| before.is_none_or(|use_at| b.at <= use_at)));
            if own.is_empty() {
                own.extend(bindings);
            }
            own.sort_by_key(|b| std::cmp::Reverse(b.at));
            &mut own.into_iter()
        }
    };
    let mut out = Vec::new();
    for binding in ordered {
        work::done(1);
        if facts.exclusive(binding.block, block) {
            continue;
        }
        out.push((*binding, scope));
        let settles = match before {
            Some(_) => facts.encloses(binding.block, block),
            None => is_root(binding.block),
        };
        if settles || out.len() == MANY {
            break;
        }
    }
    // Of branches, the first that the code writes goes first, and what holds without any of them before that.
    out.reverse();
    out
}

pub(super) fn has_keywords(call: &Call) -> bool {
    call.args.iter().any(|arg| arg.name.is_some())
}

/// The package and subpath of an import specifier, without protocol and version.
pub(crate) fn package_path(specifier: &str) -> String {
    let mut path = specifier;
    for prefix in ["node:", "npm:", "jsr:", "https://esm.sh/", "https://cdn.skypack.dev/", "https://esm.run/"] {
        path = path.strip_prefix(prefix).unwrap_or(path);
    }
    let path = path.split('?').next().unwrap_or(path);
    let scoped = path.starts_with('@');
    let at = path.char_indices().skip(usize::from(scoped)).find(|(_, c)| *c == '@').map(|(at, _)| at);
    match at {
        Some(at) => {
            let rest = path[at..].find('/').map_or("", |slash| &path[at + slash..]);
            format!("{}{rest}", &path[..at])
        }
        None => path.to_owned(),
    }
}

pub(super) fn is_package(path: &str) -> bool {
    path.rsplit('/').next() == Some("__init__.py")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_lose_protocol_and_version() {
        assert_eq!(package_path("npm:openai@4.52.0"), "openai");
        assert_eq!(package_path("npm:@langchain/core@0.3/tools"), "@langchain/core/tools");
        assert_eq!(package_path("https://esm.sh/openai@4?dts"), "openai");
        assert_eq!(package_path("node:fs"), "fs");
    }
}
