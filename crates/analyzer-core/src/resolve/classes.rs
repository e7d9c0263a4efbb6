//! Members of submitted classes and instances: what constructors assign and were given, what bases hand down.

use std::sync::Arc;

use super::*;

impl Project<'_> {
    pub(super) fn this(&self, at: At) -> Option<Ref> {
        let facts = self.facts(at.file);
        let mut scope = Some(facts.scope_of(at.expr));
        while let Some(here) = scope {
            let info = facts.scopes[here.0 as usize];
            if let ScopeKind::Class(class) = info.kind {
                return Some(Ref::Instance(at.file, class, None));
            }
            scope = info.parent;
        }
        Some(Ref::Unknown)
    }

    /// `ctx.deps` of `ctx: RunContext[Deps]`: an instance of the submitted class in brackets.
    pub(super) fn type_arguments(&self, calls: &[(At, Frames)], q: &mut Question) -> Vec<Ref> {
        let Some((at, frames)) = calls.last() else { return Vec::new() };
        let facts = self.facts(at.file);
        let ExprKind::Index(_, key) = *facts.kind(at.expr) else { return Vec::new() };
        let keys = match facts.kind(key) {
            ExprKind::List(items) => items.to_vec(),
            _ => vec![key],
        };
        let refs = keys.into_iter().take(4).flat_map(|expr| self.refer_in(At { file: at.file, expr }, frames, q));
        let instance = |reference| match reference {
            Ref::Class(file, class) => Some(Ref::Instance(file, class, None)),
            _ => None,
        };
        refs.filter_map(instance).collect()
    }

    /// A member of a class or, with `made`, of an instance of it.
    pub(super) fn class_member(
        &self,
        file: usize,
        class: ClassId,
        name: &str,
        made: Option<Option<(At, Frames)>>,
        q: &mut Question,
    ) -> Vec<Ref> {
        let facts = self.facts(file);
        let info = &facts.classes[class.0 as usize];
        let bindings = facts.bindings_named(info.scope, name);
        let made_by = made.clone().flatten();
        let only_annotated = bindings.iter().all(|b| matches!(b.value, Bound::Annotation(_)));
        // A field that the constructor was given by name: dataclasses, pydantic, keyword arguments.
        if made.is_some() && (bindings.is_empty() || only_annotated || self.constructor(file, class).is_none()) {
            let given = self.given_fields(file, class, name, made_by.as_ref(), q);
            let refs: Vec<Ref> = given.into_iter().flat_map(|(at, frames)| self.refer_in(at, &frames, q)).collect();
            if refs.iter().any(|r| !matches!(r, Ref::Unknown) && !self.is_null(r)) {
                return self.prefer_known(refs);
            }
        }
        if bindings.is_empty() {
            if let Some(root) = self.given_field(file, class, name, q) {
                return vec![Ref::Expr(root, None)];
            }
            return self.inherited(file, class, name, made, q);
        }
        // What the constructor assigns is read with the arguments of the call that made the instance.
        let frames = match (&made_by, self.constructor(file, class)) {
            (Some((call, outer)), Some(function)) => {
                Some(Arc::new(Frame { function, call: *call, outer: outer.clone() }))
            }
            _ => None,
        };
        let mut refs = Vec::new();
        for binding in bindings.iter().rev().take(MANY) {
            match binding.value {
                Bound::Function(id) if self.is_property(file, id) => {
                    for &expr in &facts.functions[id.0 as usize].returns {
                        refs.extend(self.refer_in(At { file, expr }, &None, q));
                    }
                }
                _ => refs.extend(self.bound(file, *binding, &frames, q)),
            }
        }
        self.prefer_known(refs)
    }

    /// A member of something of which only the type is known: an instance of the type that the field has, else what is
    /// called on it may tell.
    pub(super) fn type_member(&self, file: usize, class: ClassId, name: &str, q: &mut Question) -> Vec<Ref> {
        let refs = self.class_member(file, class, name, Some(None), q);
        let is_known = |reference: &Ref| match reference {
            Ref::External(symbol, _) => !symbol.module().is_empty(),
            Ref::Unknown => false,
            _ => !self.is_null(reference),
        };
        if refs.iter().any(is_known) {
            return refs;
        }
        let facts = self.facts(file);
        let base = match facts.classes[class.0 as usize].name {
            Some(sym) => Symbol::global(false, facts.name(sym)).instance(),
            None => Symbol::unknown(true),
        };
        vec![Ref::External(base.member(name), Vec::new())]
    }

    /// A class declares a field of this name by its type.
    pub(super) fn has_field(&self, file: usize, class: ClassId, name: &str) -> bool {
        let facts = self.facts(file);
        let bindings = facts.bindings_named(facts.classes[class.0 as usize].scope, name);
        bindings.iter().any(|binding| matches!(binding.value, Bound::Annotation(_)))
    }

    pub(super) fn is_property(&self, file: usize, id: FunctionId) -> bool {
        let facts = self.facts(file);
        facts.functions[id.0 as usize].decorators.iter().any(|&d| match *facts.kind(d) {
            ExprKind::Name(sym) | ExprKind::Attr(_, sym) => {
                matches!(facts.name(sym), "property" | "cached_property" | "computed_field")
            }
            _ => false,
        })
    }

    /// What constructions of a class give to a field by name.
    pub(super) fn given_fields(
        &self,
        file: usize,
        class: ClassId,
        name: &str,
        made: Option<&(At, Frames)>,
        q: &mut Question,
    ) -> Vec<(At, Frames)> {
        let given = |call: At, frames: &Frames| {
            let facts = self.facts(call.file);
            let the_call = facts.call(call.expr)?;
            let arg = the_call.args.iter().find(|arg| arg.name.is_some_and(|sym| facts.name(sym) == name))?;
            Some((At { file: call.file, expr: arg.value }, frames.clone()))
        };
        q.open |= made.is_none();
        match made {
            Some((call, frames)) => given(*call, frames).into_iter().collect(),
            None => {
                self.constructions(file, class).iter().take(q.many).filter_map(|&call| given(call, &None)).collect()
            }
        }
    }

    pub(super) fn inherited(
        &self,
        file: usize,
        class: ClassId,
        name: &str,
        made: Option<Option<(At, Frames)>>,
        q: &mut Question,
    ) -> Vec<Ref> {
        let bases = self.facts(file).classes[class.0 as usize].bases.clone();
        let mut refs = Vec::new();
        for expr in bases.into_iter().take(MANY) {
            for base in self.refer_in(At { file, expr }, &None, q) {
                let base = match base {
                    Ref::Class(f, c) if (f, c) != (file, class) => match &made {
                        Some(made) => Ref::Instance(f, c, made.clone()),
                        None => Ref::Class(f, c),
                    },
                    Ref::External(symbol, calls) if made.is_some() => Ref::External(symbol.instance(), calls),
                    other => other,
                };
                refs.extend(self.member(base, name, q));
            }
        }
        let mut refs = self.prefer_known(refs);
        if refs.is_empty() {
            refs.push(Ref::Unknown);
        }
        refs
    }

    /// Whether a callee is the constructor of the base class: `super().__init__`, `super`.
    pub(super) fn is_base_constructor(&self, callee: At) -> bool {
        let facts = self.facts(callee.file);
        match *facts.kind(callee.expr) {
            ExprKind::Name(sym) => facts.name(sym) == "super" && !self.is_python(callee.file),
            ExprKind::Attr(base, sym) => {
                let call = facts.call(base).filter(|_| facts.name(sym) == "__init__");
                call.is_some_and(|call| self.is_super(At { file: callee.file, expr: call.callee }))
            }
            _ => false,
        }
    }

    /// The call by which the constructor of a submitted class tells its base what that is to be.
    pub fn told_to_base(&self, file: usize, class: ClassId) -> Option<(FunctionId, At)> {
        let (own, constructor) = self.constructor(file, class).filter(|(own, _)| *own == file)?;
        let facts = self.facts(own);
        let calls_base = || {
            let calls = facts.calls.iter().filter(|call| self.is_base_constructor(At { file: own, expr: call.callee }));
            calls.map(|call| (facts.scope_of(call.expr), call.expr)).collect()
        };
        let scope = facts.functions[constructor.0 as usize].scope;
        let call = self.base_calls[own].get_or_init(calls_base).get(&scope)?;
        Some((constructor, At { file: own, expr: *call }))
    }

    pub(super) fn is_super(&self, callee: At) -> bool {
        let facts = self.facts(callee.file);
        matches!(*facts.kind(callee.expr), ExprKind::Name(sym) if facts.name(sym) == "super")
    }

    /// `super()`: an instance of the base classes.
    pub(super) fn super_instance(&self, at: At, q: &mut Question) -> Vec<Ref> {
        let bases = self.bases_around(at, q);
        let instance = |base| match base {
            Ref::External(symbol, calls) => Ref::External(symbol.called(), calls),
            Ref::Class(file, class) => Ref::Instance(file, class, None),
            other => other,
        };
        bases.into_iter().map(instance).collect()
    }

    /// The base classes of the class that an expression stands in.
    pub(super) fn bases_around(&self, at: At, q: &mut Question) -> Vec<Ref> {
        let Some(Ref::Instance(file, class, _)) = self.this(at) else { return Vec::new() };
        let bases = self.facts(file).classes[class.0 as usize].bases.clone();
        bases.into_iter().take(4).flat_map(|expr| self.refer_in(At { file, expr }, &None, q)).collect()
    }

    /// The class that an expression stands in is constructed in the submitted files.
    pub(super) fn is_constructed(&self, at: At) -> bool {
        match self.this(at) {
            Some(Ref::Instance(file, class, _)) => !self.constructions(file, class).is_empty(),
            _ => false,
        }
    }

    /// The outside class that a call constructs by way of submitted ones: `MyModel(…)` of `class MyModel(ChatOpenAI)`,
    /// `super().__init__(…)`, `super(…)`.
    /// What is called, and of which classes it is a member, is known already.
    pub fn constructs(&self, call: At, callees: Vec<Ref>, member_of: Vec<Ref>) -> Vec<Symbol> {
        let q = &mut Question::new();
        let Some(the_call) = self.call(call) else { return Vec::new() };
        let facts = self.facts(call.file);
        let mut work = match *facts.kind(the_call.callee) {
            ExprKind::Name(sym) if facts.name(sym) == "super" && !self.is_python(call.file) => {
                self.bases_around(call, q)
            }
            ExprKind::Attr(base, sym) if facts.name(sym) == "__init__" => match facts.call(base) {
                // A class that is constructed somewhere is counted there.
                Some(inner)
                    if self.is_super(At { file: call.file, expr: inner.callee }) && !self.is_constructed(call) =>
                {
                    self.bases_around(call, q)
                }
                _ => return Vec::new(),
            },
            _ => callees,
        };
        // `MyTool.from_defaults(…)` of `class MyTool(FunctionTool)`, whether or not it has a `from_defaults` of its own.
        let mut method = None;
        if let (true, ExprKind::Attr(_, name)) = (work.is_empty(), facts.kind(the_call.callee)) {
            method = Some(facts.name(*name));
            work = member_of;
        }
        let mut symbols = Vec::new();
        let mut steps = 0;
        while let Some(reference) = work.pop() {
            steps += 1;
            match reference {
                Ref::External(symbol, _) if !symbol.is_unknown() => symbols.push(match method {
                    Some(name) => symbol.member(name),
                    None => symbol,
                }),
                Ref::Class(file, class) if steps < 16 => {
                    let bases = self.facts(file).classes[class.0 as usize].bases.clone();
                    work.extend(bases.into_iter().take(4).flat_map(|expr| self.refer_in(At { file, expr }, &None, q)));
                }
                _ => {}
            }
        }
        symbols
    }
}
