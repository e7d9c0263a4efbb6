//! What parameters stand for: the arguments of callers, defaults, elements that a callback is called for.

use super::*;

impl Project<'_> {
    /// Whether a name is bound to nothing but a `def` or an import of one where it is used.
    pub fn is_defined_function(&self, at: At, sym: Sym) -> bool {
        let bindings = self.reaching(at, sym);
        !bindings.is_empty() && bindings.iter().all(|(b, _)| matches!(b.value, Bound::Function(_) | Bound::Import(_)))
    }

    /// The parameter that a name stands for, if that is all it stands for.
    pub fn parameter_of(&self, at: At) -> Option<(FunctionId, u32)> {
        let ExprKind::Name(sym) = *self.facts(at.file).kind(at.expr) else { return None };
        match self.reaching(at, sym)[..] {
            [(Binding { value: Bound::Param(function, index), .. }, _)] => Some((function, index)),
            _ => None,
        }
    }

    /// The argument that a call being looked into gives for a parameter.
    pub fn given_argument(
        &self,
        file: usize,
        function: FunctionId,
        index: u32,
        frames: &Frames,
    ) -> Option<(At, Frames)> {
        let frame = frames.as_ref().filter(|frame| frame.function == (file, function))?;
        self.given(frame.call, &frame.outer, file, function, index, &mut Question::new())
    }

    /// What a parameter stands for: the argument of the call being looked into, of all known callers, the default,
    /// or an instance of its annotated type.
    pub(super) fn param(&self, file: usize, id: FunctionId, index: u32, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        if let Some(this) = self.own_parameter(file, id, index) {
            return vec![this];
        }
        let arguments = self.arguments_of_param(file, id, index, frames, q);
        let mut refs: Vec<Ref> = arguments.into_iter().flat_map(|(at, frames)| self.refer_in(at, &frames, q)).collect();
        refs = self.prefer_known(refs);
        let known = refs.iter().any(|r| !matches!(r, Ref::Unknown) && !self.is_null(r));
        let param = self.facts(file).functions[id.0 as usize].params[index as usize];
        if let (false, Some(expr)) = (known, param.annotation) {
            let typed = self.instance_of(At { file, expr }, &None, q);
            if typed.iter().any(|r| !matches!(r, Ref::Unknown)) {
                return typed;
            }
        }
        if refs.is_empty() { vec![Ref::Unknown] } else { refs }
    }

    /// `self` and `cls`: the first parameter of a method.
    pub(super) fn own_parameter(&self, file: usize, id: FunctionId, index: u32) -> Option<Ref> {
        if index != 0 || !self.is_python(file) {
            return None;
        }
        let facts = self.facts(file);
        let function = &facts.functions[id.0 as usize];
        let class = function.class?;
        let decorated = |name: &str| {
            function
                .decorators
                .iter()
                .any(|&d| matches!(*facts.kind(d), ExprKind::Name(sym) if facts.name(sym) == name))
        };
        if decorated("staticmethod") {
            return None;
        }
        let is_class = decorated("classmethod") || decorated("validator") || decorated("field_validator");
        Some(if is_class { Ref::Class(file, class) } else { Ref::Instance(file, class, None) })
    }

    /// The arguments that a parameter may have been given, and its default.
    pub(super) fn arguments_of_param(
        &self,
        file: usize,
        id: FunctionId,
        index: u32,
        frames: &Frames,
        q: &mut Question,
    ) -> Vec<(At, Frames)> {
        let facts = self.facts(file);
        let function = &facts.functions[id.0 as usize];
        let param = function.params[index as usize];
        let default = param.default.map(|expr| (At { file, expr }, None));
        let mut at_frame = frames.as_ref();
        while let Some(frame) = at_frame {
            if frame.function == (file, id) {
                let given = self.given(frame.call, &frame.outer, file, id, index, q);
                return given.or(default).into_iter().collect();
            }
            at_frame = frame.outer.as_ref();
        }
        if let Some(list) = self.walked_by(file, id).filter(|_| index == 0) {
            let items = self.elements_in(list, &None, q);
            if !items.is_empty() {
                return items.into_iter().take(q.many).collect();
            }
        }
        let mut arguments = Vec::new();
        q.open = true;
        let callers = self.callers(file, id);
        // What is registered by a decorator is called by others too.
        let mut omitted = callers.is_empty() || !function.decorators.is_empty();
        for &call in callers.iter().take(q.many * 2) {
            match self.given(call, &None, file, id, index, q) {
                Some(argument) => arguments.push(argument),
                None => omitted = true,
            }
        }
        if omitted {
            // What the author takes when nobody says otherwise goes first.
            arguments.splice(0..0, default);
        }
        arguments
    }

    /// The list that a callback is called for each element of: `urls.map(url => …)`.
    pub(super) fn walked_by(&self, file: usize, id: FunctionId) -> Option<At> {
        let facts = self.facts(file);
        let expr = facts.functions[id.0 as usize].expr?;
        // The call that the callback is an argument of was complete right after it.
        let from = facts.calls.partition_point(|call| call.expr < expr);
        let call =
            facts.calls[from..].iter().take(4).find(|call| call.args.first().is_some_and(|arg| arg.value == expr))?;
        let ExprKind::Attr(base, method) = *facts.kind(call.callee) else { return None };
        let walks = ["map", "forEach", "flatMap", "filter", "some", "every", "find"];
        walks.contains(&facts.name(method)).then_some(At { file, expr: base })
    }

    /// The argument that a call gives to a parameter.
    pub(super) fn given(
        &self,
        call: At,
        frames: &Frames,
        file: usize,
        id: FunctionId,
        index: u32,
        q: &mut Question,
    ) -> Option<(At, Frames)> {
        let caller = self.facts(call.file);
        let function = &self.facts(file).functions[id.0 as usize];
        let param = function.params.get(index as usize)?;
        let the_call = caller.call(call.expr)?;
        let here = |expr| (At { file: call.file, expr }, frames.clone());
        if let Some(name) = param.name {
            let name = self.facts(file).name(name);
            let named = |arg: &&Arg| arg.name.is_some_and(|sym| caller.name(sym) == name);
            if let Some(arg) = the_call.args.iter().find(named) {
                return Some(here(arg.value));
            }
            for arg in the_call.args.iter().filter(|arg| arg.name.is_none()) {
                if let (true, ExprKind::Spread(inner)) = (self.is_python(call.file), caller.kind(arg.value))
                    && let Some(found) = self.element_in(&here(*inner), name, q)
                {
                    return Some(found);
                }
            }
        }
        if param.kind != ParamKind::Plain {
            return None;
        }
        // Python's `self` takes no argument when the method is called on an instance or the class is constructed.
        let is_method = self.own_parameter(file, id, 0).is_some();
        let position = (index as usize).checked_sub(usize::from(is_method))?;
        let positional = the_call.args.iter().filter(|arg| arg.name.is_none()).nth(position)?;
        match caller.kind(positional.value) {
            ExprKind::Spread(_) => None,
            _ => Some(here(positional.value)),
        }
    }
}
