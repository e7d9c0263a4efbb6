//! What the program puts into a place outside it and takes out elsewhere: `st.session_state["client"]`, `app.state.db`,
//! `user_session.set("agent", …)`.

use super::*;

/// By key: where the place is, and what is put there.
pub(super) type Placed = FxHashMap<String, FxHashMap<Holder, Vec<At>>>;

/// A place outside, as far as both sides need to agree: the package and the last name, since what is put into
/// `FastAPI().state` is taken out of `Request().app.state`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    package: String,
    name: String,
}

impl Holder {
    fn of(symbol: &Symbol) -> Option<Holder> {
        let path = symbol.display();
        let package = path.split(['.', '#', '(']).next().filter(|package| !package.is_empty())?;
        let name = path.rsplit(['.', '#']).next().filter(|name| !name.ends_with(')') && *name != path)?;
        Some(Holder { package: package.to_owned(), name: name.to_owned() })
    }
}

impl Project<'_> {
    /// What a file puts into places outside.
    pub(super) fn places(&self, file: usize) -> Vec<(String, Holder, At)> {
        let facts = self.facts(file);
        let mut found = Vec::new();
        let mut allowance = Allowance::new(facts.calls.len());
        let mut put = |base: ExprId, key: &str, value: ExprId| {
            if !self.may_be_outside(file, base) || matches!(facts.kind(value), ExprKind::Null) {
                return;
            }
            for reference in self.refer_within(At { file, expr: base }, &mut allowance) {
                let holder = match &reference {
                    Ref::External(symbol, _) if !symbol.is_unknown() => Holder::of(symbol),
                    _ => None,
                };
                found.extend(holder.map(|holder| (key.to_owned(), holder, At { file, expr: value })));
            }
        };
        for assignment in &facts.place_assignments {
            match *facts.kind(assignment.target) {
                ExprKind::Attr(base, member) => put(base, facts.name(member), assignment.value),
                ExprKind::Index(base, key) => {
                    if let Some(key) = facts.text(key) {
                        put(base, key, assignment.value);
                    }
                }
                _ => {}
            }
        }
        for call in &facts.calls {
            if let (ExprKind::Attr(base, method), [key, value]) = (facts.kind(call.callee), &call.args[..])
                && matches!(facts.name(*method), "set" | "setdefault")
                && let Some(key) = facts.text(key.value)
            {
                put(*base, key, value.value);
            }
        }
        found
    }

    /// `name.name…` that begins with an import or with what a module makes: no field of the class around.
    fn may_be_outside(&self, file: usize, base: ExprId) -> bool {
        let facts = self.facts(file);
        let mut root = base;
        while let ExprKind::Attr(inner, _) = *facts.kind(root) {
            root = inner;
        }
        let ExprKind::Name(sym) = *facts.kind(root) else { return false };
        if matches!(facts.name(sym), "self" | "this" | "cls") {
            return false;
        }
        let bindings = self.reaching(At { file, expr: root }, sym);
        let is_import = |value: &Bound| matches!(value, Bound::Import(_));
        !bindings.is_empty() && (root != base || bindings.iter().all(|(binding, _)| is_import(&binding.value)))
    }

    fn placed_under(&self, key: &str) -> Option<&FxHashMap<Holder, Vec<At>>> {
        if self.stage >= Stage::Placed {
            self.note(On::Placed, memo::place(key));
        }
        self.placed.get(key)
    }

    fn nothing_is_placed(&self) -> bool {
        if self.stage >= Stage::Placed {
            self.note(On::AnyPlaced, 0);
        }
        self.placed.is_empty()
    }

    /// What the program puts there: into `holder`, under `key`.
    pub(super) fn placed(&self, holder: &Symbol, key: &str) -> Vec<At> {
        if self.nothing_is_placed() || holder.is_unknown() {
            return Vec::new();
        }
        let Some(known) = self.placed_under(key) else { return Vec::new() };
        Holder::of(holder).and_then(|holder| known.get(&holder)).cloned().unwrap_or_default()
    }

    /// `st.session_state.get("client")`: what the program puts there.
    pub(super) fn taken_out(&self, call: At, frames: &Frames, q: &mut Question) -> Vec<At> {
        let facts = self.facts(call.file);
        let callee = self.call(call).map(|call| facts.kind(call.callee));
        let (Some(ExprKind::Attr(base, method)), false) = (callee, self.nothing_is_placed()) else { return Vec::new() };
        if facts.name(*method) != "get" {
            return Vec::new();
        }
        let key = self.argument_in(call, frames, &[ArgRef::Position(0)], q);
        let key = key.and_then(|(key, frames)| self.text_in(key, &frames, q));
        let Some(key) = key.filter(|key| self.placed_under(key).is_some()) else { return Vec::new() };
        let holders = self.refer_in(At { file: call.file, expr: *base }, frames, q);
        let placed = holders.into_iter().flat_map(|holder| match holder {
            Ref::External(symbol, _) => self.placed(&symbol, &key),
            _ => Vec::new(),
        });
        placed.collect()
    }
}
