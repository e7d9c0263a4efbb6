//! Many questions about one file: what several of them depend on is asked once.

use super::*;

/// Questions about one file, at the expense of one allowance. What a parameter or a field stands for is a question of its
/// own, whoever asks for a member of it, so that the answers do not depend on the order of the questions.
pub struct Inquiry<'p, 'a> {
    project: &'p Project<'a>,
    file: usize,
    allowance: Allowance,
    places: FxHashMap<Place, Box<[Ref]>>,
}

/// What decides the meaning of an expression, where several have one in common.
#[derive(PartialEq, Eq, Hash)]
enum Place {
    Param(FunctionId, u32),
    Field(ClassId, Sym),
    Expr(ExprId),
}

/// Members on the way to an expression that are asked about one by one.
const WAY: usize = 16;

impl<'a> Project<'a> {
    /// Begins to ask about a file.
    pub fn inquiry<'p>(&'p self, file: usize) -> Inquiry<'p, 'a> {
        let allowance = Allowance::new(self.facts(file).calls.len());
        Inquiry { project: self, file, allowance, places: FxHashMap::default() }
    }
}

impl Inquiry<'_, '_> {
    /// What an expression stands for.
    pub fn refer(&mut self, expr: ExprId) -> Vec<Ref> {
        let facts = self.project.facts(self.file);
        let mut way = vec![expr];
        while let (Some(ExprKind::Attr(base, _)), true) = (way.last().map(|&at| facts.kind(at)), way.len() < WAY) {
            way.push(*base);
        }
        let mut refs: Box<[Ref]> = Box::default();
        for at in way.into_iter().rev().map(|expr| At { file: self.file, expr }) {
            let place = self.place(at);
            refs = match self.places.get(&place) {
                Some(refs) => refs.clone(),
                None => {
                    let refs: Box<[Ref]> = self.project.refer_within(at, &mut self.allowance).into();
                    self.places.insert(place, refs.clone());
                    refs
                }
            };
            self.allowance.kept.settle(at, refs.clone());
        }
        refs.into_vec()
    }

    fn place(&self, at: At) -> Place {
        let (project, facts) = (self.project, self.project.facts(at.file));
        let only = |expr: ExprId, sym: Sym| match project.reaching(At { file: at.file, expr }, sym)[..] {
            [(binding, _)] => Some(binding.value),
            _ => None,
        };
        let field = |base: ExprId, member: Sym| {
            let ExprKind::Name(sym) = *facts.kind(base) else { return None };
            let this = match only(base, sym) {
                Some(Bound::Param(function, 0)) => project.own_parameter(at.file, function, 0),
                None if facts.name(sym) == "this" => project.this(at),
                _ => None,
            };
            match this {
                Some(Ref::Instance(_, class, _)) => Some(Place::Field(class, member)),
                _ => None,
            }
        };
        let shared = match *facts.kind(at.expr) {
            ExprKind::Name(sym) => only(at.expr, sym).and_then(|bound| match bound {
                Bound::Param(function, index) => Some(Place::Param(function, index)),
                Bound::Expr(expr) => Some(Place::Expr(expr)),
                _ => None,
            }),
            ExprKind::Attr(base, member) => field(base, member),
            _ => None,
        };
        shared.unwrap_or(Place::Expr(at.expr))
    }
}
