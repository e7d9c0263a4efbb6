//! What calls call, asked once: most answers do not depend on who calls the function around, and are final at first.

use super::*;

/// What the calls of one file call, after a first look without knowledge of callers.
#[derive(Default)]
pub struct Callees {
    /// Calls by index whose callee may matter, and what it stands for.
    settled: Vec<(u32, Box<[Ref]>)>,
    /// Calls whose callee depends on callers.
    open: Vec<u32>,
}

/// Where a meaning comes from.
#[derive(PartialEq, Eq, Hash)]
enum Place {
    Param(FunctionId, u32),
    Field(ClassId, Sym),
    Expr(ExprId),
}

impl FileFacts {
    /// Which of these names are fields or keys that stand for something else.
    fn aliases<'f>(&'f self, names: &FxHashSet<&str>) -> Vec<&'f str> {
        let wanted: Vec<bool> = self.names().map(|name| names.contains(name)).collect();
        let mut found = Vec::new();
        for ((scope, sym), bindings) in &self.bindings {
            let is_field = || matches!(self.scopes[scope.0 as usize].kind, ScopeKind::Class(_));
            let alias = |binding: &Binding| !matches!(binding.value, Bound::Function(_));
            if wanted[sym.0 as usize] && is_field() && bindings.iter().any(alias) {
                found.push(self.name(*sym));
            }
        }
        let keys = self.exprs.iter().filter_map(|expr| match &expr.kind {
            ExprKind::Dict(pairs) => Some(pairs),
            _ => None,
        });
        found.extend(keys.flatten().filter_map(|(key, _)| self.text((*key)?)).filter(|key| names.contains(key)));
        found
    }
}

impl Project<'_> {
    /// Asks about each call of a file while nobody's callers are known: the submitted functions and classes that are
    /// called, and what is settled by that.
    pub(super) fn first_look(&self, file: usize) -> (Callees, Vec<(Ref, At)>) {
        let facts = self.facts(file);
        let mut allowance = Allowance::new(facts.calls.len());
        let (mut callees, mut submitted) = (Callees::default(), Vec::new());
        for (index, call) in facts.calls.iter().enumerate() {
            let mut question = allowance.question();
            let refs = self.refer_in(At { file, expr: call.callee }, &None, &mut question);
            let open = question.open;
            allowance.pay(question);
            let at = At { file, expr: call.expr };
            let own = refs.iter().filter(|r| matches!(r, Ref::Function(..) | Ref::Class(..)));
            submitted.extend(own.map(|r| (r.clone(), at)));
            let matters = |r: &Ref| match r {
                Ref::External(symbol, chain) => {
                    !chain.is_empty() && !symbol.is_unknown()
                        || self.knowledge.names(&self.as_callee(symbol.clone(), file))
                }
                Ref::Class(..) => true,
                _ => false,
            };
            let extends = self.is_base_constructor(At { file, expr: call.callee });
            if open && !extends {
                callees.open.push(index as u32);
            } else if extends || refs.iter().any(matters) {
                callees.settled.push((index as u32, refs.into()));
            }
        }
        (callees, submitted)
    }

    /// The calls of a file whose callee may be something known, in order, with what it stands for.
    pub fn known_callees(&self, file: usize) -> Vec<(u32, Vec<Ref>)> {
        let Callees { settled, open } = &self.callees[file];
        let facts = self.facts(file);
        let mut allowance = Allowance::new(facts.calls.len());
        let mut found: Vec<(u32, Vec<Ref>)> = settled.iter().map(|(call, refs)| (*call, refs.to_vec())).collect();
        let mut places = FxHashMap::default();
        for &index in open {
            let expr = facts.calls[index as usize].callee;
            let says = self.settle(file, expr, &mut places, &mut allowance);
            if says || self.may_be_known(file, expr) {
                found.push((index, self.refer_within(At { file, expr }, &mut allowance)));
            }
        }
        found.sort_by_key(|(call, _)| *call);
        found
    }

    /// Asks about what a callee stands on, once for each place: a parameter is called again and again. Whether that is
    /// anything but unknown.
    fn settle(
        &self,
        file: usize,
        callee: ExprId,
        places: &mut FxHashMap<Place, Box<[Ref]>>,
        allowance: &mut Allowance,
    ) -> bool {
        let facts = self.facts(file);
        let mut bases: Vec<ExprId> = Vec::new();
        let mut expr = callee;
        while let (ExprKind::Attr(base, _), true) = (facts.kind(expr), bases.len() < 16) {
            expr = *base;
            bases.push(expr);
        }
        let mut says = bases.is_empty();
        for at in bases.into_iter().rev().map(|expr| At { file, expr }) {
            let place = self.place(at);
            let refs = match places.get(&place) {
                Some(refs) => refs.clone(),
                None => {
                    let refs: Box<[Ref]> = self.refer_within(at, allowance).into();
                    places.insert(place, refs.clone());
                    refs
                }
            };
            says = refs.iter().any(|r| match r {
                Ref::External(symbol, _) => !symbol.is_unknown(),
                Ref::Function(..) | Ref::Unknown => false,
                _ => !self.is_null(r),
            });
            allowance.kept.settle(at, refs);
        }
        says
    }

    /// What decides the meaning of an expression, where several have one in common.
    fn place(&self, at: At) -> Place {
        let facts = self.facts(at.file);
        let only = |at: At, sym: Sym| match self.reaching(at, sym)[..] {
            [(binding, _)] => Some(binding.value),
            _ => None,
        };
        match *facts.kind(at.expr) {
            ExprKind::Name(sym) => match only(at, sym) {
                Some(Bound::Param(function, index)) => Place::Param(function, index),
                Some(Bound::Expr(expr)) => Place::Expr(expr),
                _ => Place::Expr(at.expr),
            },
            ExprKind::Attr(base, member) => {
                let ExprKind::Name(sym) = *facts.kind(base) else { return Place::Expr(at.expr) };
                let Some(Bound::Param(function, 0)) = only(At { file: at.file, expr: base }, sym) else {
                    return Place::Expr(at.expr);
                };
                match self.own_parameter(at.file, function, 0) {
                    Some(Ref::Instance(_, class, _)) => Place::Field(class, member),
                    _ => Place::Expr(at.expr),
                }
            }
            _ => Place::Expr(at.expr),
        }
    }

    /// Whether a rule could name what a callee ends with, or something of that name stands for something else.
    fn may_be_known(&self, file: usize, callee: ExprId) -> bool {
        match self.unknown_end(file, callee) {
            Some(name) => self.aliases.contains(name),
            None => true,
        }
    }

    /// The member that a callee ends with, when no rule names such a member.
    fn unknown_end(&self, file: usize, callee: ExprId) -> Option<&str> {
        let facts = self.facts(file);
        let ExprKind::Attr(_, sym) = *facts.kind(callee) else { return None };
        let name = facts.name(sym);
        (!self.knowledge.may_end_with(self.is_python(file), name)).then_some(name)
    }

    /// Of the members that open callees end with and no rule names, those that are fields of a class or keys of a
    /// literal somewhere: what they stand for may be called otherwise.
    pub(super) fn find_aliases(&self) -> FxHashSet<String> {
        use rayon::prelude::*;
        let files = 0..self.files.len();
        let ends = |file: usize| {
            let callee = move |&index: &u32| self.facts(file).calls[index as usize].callee;
            self.callees[file].open.iter().map(callee).filter_map(move |callee| self.unknown_end(file, callee))
        };
        let ends: FxHashSet<&str> = files.clone().flat_map(ends).collect();
        let found: Vec<Vec<&str>> = files.into_par_iter().map(|file| self.facts(file).aliases(&ends)).collect();
        found.into_iter().flatten().map(str::to_owned).collect()
    }
}
