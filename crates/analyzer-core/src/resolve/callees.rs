//! What calls call, asked once: most answers do not depend on who calls the function around, and are final at first.

use super::*;

/// What the calls of one file call, after a first look without knowledge of callers.
#[derive(Default, PartialEq)]
pub(super) struct FirstLook {
    /// Calls by index whose callee may matter, and what it stands for.
    settled: Vec<(u32, Box<[Ref]>)>,
    /// Calls whose callee depends on callers.
    open: Vec<u32>,
    /// Calls of something outside, as far as the first look tells.
    outside: Vec<u32>,
    /// Submitted functions and classes that are called, and where.
    pub(super) submitted: Vec<(Ref, At)>,
}

/// What a call calls.
pub struct Callee {
    /// Index of the call.
    pub call: u32,
    /// What the callee stands for.
    pub refs: Vec<Ref>,
    /// The submitted classes that it is a member of, when it is no class itself.
    pub classes: Vec<Ref>,
}

impl FileFacts {
    /// Which of these names are fields or keys that stand for something else.
    fn aliases<'f>(&'f self, names: &FxHashSet<String>) -> Vec<&'f str> {
        let wanted: Vec<bool> = self.names().map(|name| names.contains(name)).collect();
        let mut found = Vec::new();
        for ((scope, sym), bindings) in self.bindings.iter() {
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
        found.extend(keys.flatten().filter_map(|(key, _)| self.text((*key)?)).filter(|key| names.contains(*key)));
        found
    }
}

impl Project<'_> {
    /// Asks about each call of a file while nobody's callers are known: the submitted functions and classes that are
    /// called, and what is settled by that.
    pub(super) fn first_look(&self, file: usize) -> FirstLook {
        let facts = self.facts(file);
        let mut allowance = Allowance::new(facts.calls.len());
        let mut callees = FirstLook::default();
        for (index, call) in facts.calls.iter().enumerate() {
            let mut question = allowance.question();
            let refs = self.refer_in(At { file, expr: call.callee }, &None, &mut question);
            let open = question.open;
            allowance.pay(question);
            let at = At { file, expr: call.expr };
            let own = refs.iter().filter(|r| matches!(r, Ref::Function(..) | Ref::Class(..)));
            callees.submitted.extend(own.map(|r| (r.clone(), at)));
            let matters = |r: &Ref| match r {
                Ref::External(symbol, chain) => {
                    !chain.is_empty() && !symbol.is_unknown()
                        || self.knowledge.names(&self.as_callee(symbol.clone(), file))
                }
                Ref::Class(..) => true,
                _ => false,
            };
            if refs.iter().any(|r| matches!(r, Ref::External(..))) {
                callees.outside.push(index as u32);
            }
            let extends = self.is_base_constructor(At { file, expr: call.callee })
                || self.is_method_of_class(file, call.callee, &mut allowance);
            if open && !extends {
                callees.open.push(index as u32);
            } else if extends || refs.iter().any(matters) {
                callees.settled.push((index as u32, refs.into()));
            }
        }
        callees
    }

    /// The calls of a file whose callee may be something known, in order, with what it stands for; or all calls.
    pub fn known_callees(&self, file: usize, all: bool) -> Vec<Callee> {
        let FirstLook { settled, open, .. } = self.looked(file);
        let facts = self.facts(file);
        let mut inquiry = self.inquiry(file);
        let mut found: Vec<(u32, Vec<Ref>)> = settled.iter().map(|(call, refs)| (*call, refs.to_vec())).collect();
        let rest = (0..facts.calls.len() as u32).filter(|call| settled.binary_search_by_key(call, |s| s.0).is_err());
        let asked: Box<dyn Iterator<Item = u32>> = if all { Box::new(rest) } else { Box::new(open.iter().copied()) };
        for index in asked {
            let expr = facts.calls[index as usize].callee;
            let says = match *facts.kind(expr) {
                ExprKind::Attr(base, _) => inquiry.refer(base).iter().any(|reference| self.has_members(reference)),
                _ => true,
            };
            if all || says || self.may_be_known(file, expr) {
                found.push((index, inquiry.refer(expr)));
            }
        }
        found.sort_by_key(|(call, _)| *call);
        let complete = |(call, refs): (u32, Vec<Ref>)| {
            let is_class = |reference: &Ref| matches!(reference, Ref::Class(..));
            let base = match *facts.kind(facts.calls[call as usize].callee) {
                ExprKind::Attr(base, _) if !refs.iter().any(is_class) => inquiry.refer(base),
                _ => Vec::new(),
            };
            Callee { call, refs, classes: base.into_iter().filter(is_class).collect() }
        };
        found.into_iter().map(complete).collect()
    }

    /// `MyTool.from_defaults` of a submitted class, where rules name such a method.
    fn is_method_of_class(&self, file: usize, callee: ExprId, allowance: &mut Allowance) -> bool {
        let ExprKind::Attr(base, _) = *self.facts(file).kind(callee) else { return false };
        self.unknown_end(file, callee).is_none()
            && self.refer_within(At { file, expr: base }, allowance).iter().any(|r| matches!(r, Ref::Class(..)))
    }

    /// The calls of a file that call something outside.
    pub fn calls_outside(&self, file: usize) -> impl Iterator<Item = &Call> {
        let facts = self.facts(file);
        self.looked(file).outside.iter().map(|&index| &facts.calls[index as usize])
    }

    /// Members of it are something of their own.
    fn has_members(&self, reference: &Ref) -> bool {
        match reference {
            Ref::External(symbol, _) => !symbol.is_unknown(),
            Ref::Function(..) | Ref::Unknown => false,
            _ => !self.is_null(reference),
        }
    }

    /// Whether a rule could name what a callee ends with, or something of that name stands for something else.
    fn may_be_known(&self, file: usize, callee: ExprId) -> bool {
        match self.unknown_end(file, callee) {
            Some(name) => {
                self.note(On::Alias, memo::place(name));
                self.aliases.contains(name)
            }
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
        let members = self.each(Asked::Members, Project::open_members);
        let members: Arc<FxHashSet<String>> =
            Arc::new(members.iter().flat_map(|of_file| of_file.iter().cloned()).collect());
        if let Some(memo) = self.memo {
            memo.compare(On::Members, members.clone(), |before, now| if before == now { vec![] } else { vec![0] });
        }
        let of = (self, members);
        let found = memo::each(self.memo, self.files.len(), Asked::Aliases, &of, |(project, members), file| {
            project.note(On::Members, 0);
            let found = project.facts(file).aliases(members).into_iter();
            found.map(str::to_owned).collect::<Vec<String>>()
        });
        let aliases: FxHashSet<String> = found.iter().flat_map(|of_file| of_file.iter().cloned()).collect();
        if let Some(memo) = self.memo {
            memo.compare(On::Alias, aliases.clone(), |before, now| {
                before.symmetric_difference(now).map(|name| memo::place(name)).collect()
            });
        }
        aliases
    }

    /// The members that open callees of a file end with and no rule names.
    fn open_members(&self, file: usize) -> Vec<String> {
        let facts = self.facts(file);
        let ends = self.looked(file).open.iter().map(|&index| facts.calls[index as usize].callee);
        let ends = ends.filter_map(|callee| self.unknown_end(file, callee));
        let mut ends: Vec<String> = ends.map(str::to_owned).collect();
        ends.sort();
        ends.dedup();
        ends
    }

    /// The submitted class that a call constructs, as far as the first look tells.
    pub(super) fn constructed(&self, call: At) -> Option<(usize, ClassId)> {
        if self.callees.is_empty() {
            return None; // Nobody has looked yet.
        }
        let submitted = &self.looked(call.file).submitted;
        let from = submitted.partition_point(|(_, at)| *at < call);
        submitted[from..].iter().take_while(|(_, at)| *at == call).find_map(|(reference, _)| match *reference {
            Ref::Class(file, class) => Some((file, class)),
            _ => None,
        })
    }

    fn looked(&self, file: usize) -> &FirstLook {
        self.note(On::Callees, file);
        &self.callees[file]
    }
}
