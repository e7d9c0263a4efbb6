//! What an expression stands for: imports, aliases, instances, `self.client`, re-exports, returned values.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::*;
use crate::facts::MANY_BINDINGS;
use crate::sources::Language;

impl Project<'_> {
    /// What an expression stands for; several answers where branches or callers differ.
    pub fn refer(&self, at: At, frames: &Frames) -> Vec<Ref> {
        self.refer_in(at, frames, &mut Question::new())
    }

    pub(super) fn refer_in(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        if !q.step() {
            return vec![Ref::Unknown];
        }
        let tangled = frames.is_none() && q.is_tangled();
        if tangled {
            match q.refs.entry(at) {
                Entry::Occupied(refs) => {
                    let refs = refs.get().clone().unwrap_or_else(|| vec![Ref::Unknown]);
                    q.back();
                    return refs;
                }
                Entry::Vacant(place) => drop(place.insert(None)),
            }
        }
        let mut refs = self.refer_kind(at, frames, q);
        q.back();
        refs.truncate(MANY);
        if tangled {
            q.refs.insert(at, Some(refs.clone()));
        }
        refs
    }

    fn refer_kind(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
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
                        for (item, frames) in self.elements_in(list, &list_frames, q).into_iter().take(MANY) {
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

    /// What a loop walks over: `d.items()`, `Object.entries(d)` and `enumerate(d)` in pairs, `d.values()` and
    /// `Object.values(d)` one by one. Answers for the loop variable.
    fn entries_of(&self, element: At) -> Option<(At, bool)> {
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

    fn values_of_map(&self, holder: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        let mut refs = Vec::new();
        for reference in self.refer_in(holder, frames, q) {
            let Ref::Expr(at, frames) = reference else { continue };
            let items: Vec<(At, Frames)> = match self.facts(at.file).kind(at.expr) {
                ExprKind::Dict(_) => self.pairs_in(at, &frames, q).into_iter().map(|(_, at, f)| (at, f)).collect(),
                _ => self.elements_in(at, &frames, q),
            };
            for (at, frames) in items.into_iter().take(MANY) {
                refs.extend(self.refer_in(at, &frames, q));
            }
        }
        if refs.is_empty() { vec![Ref::Unknown] } else { refs }
    }

    fn is_null(&self, reference: &Ref) -> bool {
        matches!(reference, Ref::Expr(at, _) if matches!(self.facts(at.file).kind(at.expr), ExprKind::Null))
    }

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

    fn name(&self, at: At, sym: Sym, frames: &Frames, q: &mut Question) -> Vec<Ref> {
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
    fn prefer_known(&self, mut refs: Vec<Ref>) -> Vec<Ref> {
        let known = |r: &Ref| !matches!(r, Ref::Unknown) && !self.is_null(r);
        if refs.iter().any(known) {
            refs.retain(known);
        }
        refs
    }

    /// Snippets often forget `import os`; an unbound name is taken at its word.
    fn global(&self, file: usize, name: &str) -> Ref {
        let python = self.is_python(file);
        let symbol = Symbol { python, module: String::new(), tail: vec![name.to_owned()] };
        Ref::External(symbol, Vec::new())
    }

    pub(super) fn is_python(&self, file: usize) -> bool {
        self.files[file].source.language.is_python()
    }

    fn this(&self, at: At) -> Option<Ref> {
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
    fn instance_of(&self, annotation: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
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
                    Ref::External(mut symbol, calls) => match symbol.tail.last_mut() {
                        Some(last) if last.starts_with(char::is_uppercase) => {
                            last.push_str("()");
                            Ref::External(symbol, calls)
                        }
                        _ => Ref::Unknown,
                    },
                    Ref::Class(file, class) => Ref::Instance(file, class, None),
                    _ => Ref::Unknown,
                })
                .collect(),
        }
    }

    /// What a parameter stands for: the argument of the call being looked into, of all known callers, the default,
    /// or an instance of its annotated type.
    fn param(&self, file: usize, id: FunctionId, index: u32, frames: &Frames, q: &mut Question) -> Vec<Ref> {
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
    fn own_parameter(&self, file: usize, id: FunctionId, index: u32) -> Option<Ref> {
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
                return items.into_iter().take(MANY).collect();
            }
        }
        let mut arguments = Vec::new();
        let callers = self.callers(file, id);
        let mut omitted = callers.is_empty();
        for &call in callers.iter().take(MANY * 2) {
            match self.given(call, &None, file, id, index, q) {
                Some(argument) => arguments.push(argument),
                None => omitted = true,
            }
        }
        if omitted {
            arguments.extend(default);
        }
        arguments
    }

    /// The list that a callback is called for each element of: `urls.map(url => …)`.
    fn walked_by(&self, file: usize, id: FunctionId) -> Option<At> {
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
    fn given(
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

    fn import(&self, file: usize, index: u32, q: &mut Question) -> Vec<Ref> {
        if !q.step() {
            return vec![Ref::Unknown];
        }
        let import = &self.facts(file).imports[index as usize];
        let refs = if self.is_python(file) {
            self.python_import(file, index, import, q)
        } else {
            self.javascript_import(file, index, import, q)
        };
        q.back();
        refs
    }

    /// The file of an import's module.
    fn imported_module(&self, file: usize, index: usize) -> Option<usize> {
        *self.imports[file][index].module.get_or_init(|| {
            let (path, module) = (self.path(file), &self.facts(file).imports[index].module);
            match self.is_python(file) {
                true => self.modules.resolve_python(path, module, None),
                false => self.modules.resolve_js(path, module),
            }
        })
    }

    /// The file of the module that `from module import name` names.
    fn imported_member(&self, file: usize, index: usize, name: &str) -> Option<usize> {
        let module = &self.facts(file).imports[index].module;
        let asked = &self.imports[file][index].member;
        *asked.get_or_init(|| self.modules.resolve_python(self.path(file), module, Some(name)))
    }

    /// Whether `from module import name` asks for something of the project.
    fn is_local_member(&self, file: usize, index: usize, name: &str) -> bool {
        let module = &self.facts(file).imports[index].module;
        let asked = &self.imports[file][index].local;
        *asked.get_or_init(|| self.modules.is_local_python_member(self.path(file), module, name))
    }

    fn python_import(&self, file: usize, index: u32, import: &Import, q: &mut Question) -> Vec<Ref> {
        let index = index as usize;
        match &import.item {
            Item::Member(name) => {
                if let Some(module) = self.imported_module(file, index)
                    && let Some(refs) = self.module_member(module, name, q)
                {
                    return refs;
                }
                if let Some(module) = self.imported_member(file, index, name) {
                    return vec![Ref::Module(module)];
                }
                if import.module.starts_with('.') || self.is_local_member(file, index, name) {
                    return vec![Ref::Unknown];
                }
                let parts: Vec<String> = import.module.split('.').chain([&**name]).map(str::to_owned).collect();
                vec![Ref::External(Symbol::python(&parts), Vec::new())]
            }
            Item::Module => match self.imported_module(file, index) {
                Some(module) => vec![Ref::Module(module)],
                None => {
                    let parts: Vec<String> = import.module.split('.').map(str::to_owned).collect();
                    vec![Ref::External(Symbol { python: true, module: parts.join("."), tail: Vec::new() }, Vec::new())]
                }
            },
            Item::Root => {
                let root = import.module.split('.').next().unwrap_or(&import.module);
                if self.imported_module(file, index).is_some() {
                    return vec![Ref::Package(file, root.to_owned())];
                }
                let symbol = Symbol { python: true, module: root.to_owned(), tail: Vec::new() };
                vec![Ref::External(symbol, Vec::new())]
            }
            Item::Star | Item::Effect => vec![Ref::Unknown],
        }
    }

    fn javascript_import(&self, file: usize, index: u32, import: &Import, q: &mut Question) -> Vec<Ref> {
        if let Some(module) = self.imported_module(file, index as usize) {
            return match &import.item {
                Item::Member(name) => self.exported(module, name, q).unwrap_or_else(|| vec![Ref::Unknown]),
                _ => vec![Ref::Module(module)],
            };
        }
        if import.module.starts_with('.') {
            return vec![Ref::Unknown];
        }
        let tail = match &import.item {
            Item::Member(name) => vec![name.to_string()],
            _ => Vec::new(),
        };
        let symbol = Symbol { python: false, module: package_path(&import.module), tail };
        vec![Ref::External(symbol, Vec::new())]
    }

    /// A name that some `from x import *` brings in.
    fn star_imported(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Ref>> {
        if !self.is_python(file) {
            return None;
        }
        let stars = self.facts(file).imports.iter().enumerate().filter(|(_, import)| import.item == Item::Star);
        let mut stars = stars.take(16).peekable();
        stars.peek()?;
        // What was asked in vain, or is being asked, has no other answer now.
        let asked = (file, name.to_owned());
        if !q.stars.insert(asked.clone()) {
            return None;
        }
        for (index, _) in stars {
            if let Some(module) = self.imported_module(file, index)
                && module != file
                && q.step()
            {
                let found = self.module_member(module, name, q);
                q.back();
                if found.is_some() {
                    q.stars.remove(&asked);
                    return found;
                }
            }
        }
        None
    }

    /// A name of a submitted Python module.
    fn module_member(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Ref>> {
        let facts = self.facts(file);
        if !self.is_python(file) {
            return self.exported(file, name, q);
        }
        let bindings = facts.bindings_named(MODULE, name);
        if bindings.is_empty() {
            return self.star_imported(file, name, q).or_else(|| {
                let own =
                    is_package(self.path(file)).then(|| self.modules.resolve_python(self.path(file), ".", Some(name)));
                own.flatten().filter(|&m| m != file).map(|m| vec![Ref::Module(m)])
            });
        }
        let selected = select(facts, bindings, MODULE, BlockId(0), None);
        let refs = selected.into_iter().flat_map(|(binding, _)| self.bound(file, binding, &None, q)).collect();
        Some(self.prefer_known(refs))
    }

    /// A name that a submitted JavaScript module exports.
    fn exported(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Ref>> {
        if !q.step() {
            return None;
        }
        let facts = self.facts(file);
        let mut refs = Vec::new();
        let mut found = false;
        for (_, exported) in facts.exports.iter().filter(|(exported, _)| &**exported == name) {
            found = true;
            match *exported {
                Exported::Local(sym) => {
                    let bindings = facts.bindings_in(MODULE, sym);
                    for (binding, _) in select(facts, bindings, MODULE, BlockId(0), None) {
                        refs.extend(self.bound(file, binding, &None, q));
                    }
                }
                Exported::Expr(expr) => refs.extend(self.refer_in(At { file, expr }, &None, q)),
                Exported::Import(index) => refs.extend(self.import(file, index, q)),
            }
        }
        if !found && self.files[file].source.language == Language::Text {
            let root = facts.exports.first();
            if let Some((_, Exported::Expr(expr))) = root
                && let Some((at, frames)) = self.literal_element(At { file, expr: *expr }, &None, name, q)
            {
                (found, refs) = (true, self.refer_in(at, &frames, q));
            }
        }
        if !found {
            let asked = (file, name.to_owned());
            let mut stars = facts.imports.iter().enumerate().filter(|(_, import)| import.item == Item::Star).take(64);
            if stars.clone().next().is_some() && q.stars.insert(asked.clone()) {
                let more = stars.find_map(|(index, _)| {
                    let module = self.imported_module(file, index).filter(|module| *module != file)?;
                    self.exported(module, name, q)
                });
                if let Some(more) = more {
                    q.stars.remove(&asked);
                    (found, refs) = (true, more);
                }
            }
        }
        q.back();
        found.then(|| self.prefer_known(refs))
    }

    /// `base.name`.
    pub(super) fn member(&self, base: Ref, name: &str, q: &mut Question) -> Vec<Ref> {
        if !q.step() {
            return vec![Ref::Unknown];
        }
        let refs = match base {
            Ref::External(symbol, calls) => {
                let mut refs = self.type_arguments(&calls, q);
                refs.push(Ref::External(extend(symbol, name), calls));
                refs
            }
            Ref::Module(file) => self
                .module_member(file, name, q)
                .unwrap_or_else(|| if name == "default" { vec![Ref::Module(file)] } else { vec![Ref::Unknown] }),
            Ref::Package(file, path) => {
                let path = format!("{path}.{name}");
                match self.modules.resolve_python(self.path(file), &path, None) {
                    Some(module) => vec![Ref::Module(module)],
                    None => vec![Ref::Package(file, path)],
                }
            }
            Ref::Class(file, class) => self.class_member(file, class, name, None, q),
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
                let symbol = Symbol { python: true, module: "?".into(), tail: vec![name.to_owned()] };
                vec![Ref::External(symbol, Vec::new())]
            }
        };
        q.back();
        refs
    }

    /// `ctx.deps` of `ctx: RunContext[Deps]`: an instance of the submitted class in brackets.
    fn type_arguments(&self, calls: &[(At, Frames)], q: &mut Question) -> Vec<Ref> {
        let Some((at, frames)) = calls.last() else { return Vec::new() };
        let facts = self.facts(at.file);
        let ExprKind::Index(_, key) = *facts.kind(at.expr) else { return Vec::new() };
        let keys = match facts.kind(key) {
            ExprKind::List(items) => items.clone(),
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
    fn class_member(
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
            let given = self.given_fields(file, class, name, made_by.as_ref());
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

    fn is_property(&self, file: usize, id: FunctionId) -> bool {
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
    ) -> Vec<(At, Frames)> {
        let given = |call: At, frames: &Frames| {
            let facts = self.facts(call.file);
            let the_call = facts.call(call.expr)?;
            let arg = the_call.args.iter().find(|arg| arg.name.is_some_and(|sym| facts.name(sym) == name))?;
            Some((At { file: call.file, expr: arg.value }, frames.clone()))
        };
        match made {
            Some((call, frames)) => given(*call, frames).into_iter().collect(),
            None => self.constructions(file, class).iter().take(MANY).filter_map(|&call| given(call, &None)).collect(),
        }
    }

    fn inherited(
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
                    Ref::External(mut symbol, calls) if made.is_some() => {
                        if let Some(last) = symbol.tail.last_mut() {
                            last.push_str("()");
                        }
                        Ref::External(symbol, calls)
                    }
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

    fn index(&self, base: Ref, key: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
        match base {
            // A path to a submitted data file that is indexed stands for what the file holds.
            Ref::Expr(at, _) if self.data_file_of(at).is_some() => {
                let root = self.data_file_of(at).map(|root| Ref::Expr(root, None));
                root.map_or_else(|| vec![Ref::Unknown], |root| self.index(root, key, frames, q))
            }
            Ref::Expr(at, holder_frames) => {
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
                        all.into_iter().take(MANY).flat_map(|(at, frames)| self.refer_in(at, &frames, q)).collect()
                    }
                }
            }
            // `Agent[Deps](…)` is `Agent(…)`; `process.env["X"]` is `process.env.X`.
            Ref::External(symbol, calls) => match self.text_in(key, frames, q) {
                Some(name) if !symbol.python => vec![Ref::External(extend(symbol, &name), calls)],
                _ => vec![Ref::External(symbol, calls)],
            },
            Ref::Module(file) => match self.text_in(key, frames, q) {
                Some(name) => self.member(Ref::Module(file), &name, q),
                None => vec![Ref::Unknown],
            },
            Ref::Class(..) => vec![base],
            _ => vec![Ref::Unknown],
        }
    }

    /// What a call gives back.
    fn call_result(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Ref> {
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
                Ref::External(symbol, _)
                    if symbol.python && symbol.module.is_empty() && symbol.tail == ["dict"] && has_keywords(call) =>
                {
                    refs.push(Ref::Expr(at, frames.clone()));
                }
                Ref::External(symbol, mut calls) => {
                    if let Some((place, frames)) = self.passed_through(&symbol, at, frames, q) {
                        refs.extend(self.refer_in(place, &frames, q));
                        continue;
                    }
                    if let Some(root) = self.loaded(&symbol, &calls, at, frames, q) {
                        refs.push(Ref::Expr(root, None));
                        continue;
                    }
                    calls.push((at, frames.clone()));
                    refs.push(Ref::External(called(symbol), calls));
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
    fn opened_by(&self, chain: &[(At, Frames)], q: &mut Question) -> Option<At> {
        chain.iter().rev().find_map(|(call, frames)| {
            let (path, frames) = self.argument_in(*call, frames, &[ArgRef::Position(0)], q)?;
            self.named_file(path, &frames, q)
        })
    }

    /// The content of the file that an expression opens or names.
    fn opened(&self, at: At, frames: &Frames, q: &mut Question) -> Option<At> {
        for reference in self.refer_in(at, frames, q) {
            match &reference {
                Ref::External(_, calls) => {
                    if let Some(root) = self.opened_by(calls, q) {
                        return Some(root);
                    }
                }
                // Already read: `json.loads(path.read_text())`.
                Ref::Expr(to, _) if self.files[to.file].source.language == Language::Text => return Some(*to),
                _ => {}
            }
        }
        self.named_file(at, frames, q)
    }

    pub(super) fn named_file(&self, at: At, frames: &Frames, q: &mut Question) -> Option<At> {
        let known = self.values_in(at, frames, q);
        known.iter().filter_map(Known::template).find_map(|path: String| self.data_file(at.file, &path))
    }

    /// The submitted data file that a path means: the end of the path decides, the nearest file goes first.
    fn data_file(&self, from: usize, path: &str) -> Option<At> {
        let path = path.rsplit('}').next().unwrap_or(path);
        let parts: Vec<&str> = path.split(['/', '\\']).filter(|p| !p.is_empty() && *p != "." && *p != "..").collect();
        let name = parts.last().filter(|name| name.contains('.'))?;
        let shared = |a: &str, b: &str| a.split('/').zip(b.split('/')).take_while(|(x, y)| x == y).count();
        let ends = |file: &str| {
            let own: Vec<&str> = file.split('/').collect();
            own.iter().rev().zip(parts.iter().rev()).take_while(|(a, b)| a == b).count()
        };
        let candidates = self.files.iter().enumerate().filter(|(_, file)| {
            file.source.language == Language::Text && file.source.path.rsplit('/').next() == Some(name)
        });
        let best = candidates.max_by_key(|(index, file)| {
            (ends(&file.source.path), shared(self.path(from), &file.source.path), std::cmp::Reverse(*index))
        });
        let (file, _) = best?;
        match self.facts(file).exports.first() {
            Some((_, Exported::Expr(expr))) => Some(At { file, expr: *expr }),
            _ => None,
        }
    }

    fn data_file_of(&self, at: At) -> Option<At> {
        let text = self.facts(at.file).text(at.expr)?;
        let is_data = [".yaml", ".yml", ".json"].iter().any(|end| text.ends_with(end));
        if is_data { self.data_file(at.file, text) } else { None }
    }

    /// The data file that a decorator or a base class gives a class under this name.
    fn given_field(&self, file: usize, class: ClassId, name: &str, q: &mut Question) -> Option<At> {
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

    fn is_super(&self, callee: At) -> bool {
        let facts = self.facts(callee.file);
        matches!(*facts.kind(callee.expr), ExprKind::Name(sym) if facts.name(sym) == "super")
    }

    /// `super()`: an instance of the base classes.
    fn super_instance(&self, at: At, q: &mut Question) -> Vec<Ref> {
        let bases = self.bases_around(at, q);
        let instance = |base| match base {
            Ref::External(symbol, calls) => Ref::External(called(symbol), calls),
            Ref::Class(file, class) => Ref::Instance(file, class, None),
            other => other,
        };
        bases.into_iter().map(instance).collect()
    }

    /// The base classes of the class that an expression stands in.
    fn bases_around(&self, at: At, q: &mut Question) -> Vec<Ref> {
        let Some(Ref::Instance(file, class, _)) = self.this(at) else { return Vec::new() };
        let bases = self.facts(file).classes[class.0 as usize].bases.clone();
        bases.into_iter().take(4).flat_map(|expr| self.refer_in(At { file, expr }, &None, q)).collect()
    }

    /// The class that an expression stands in is constructed in the submitted files.
    fn is_constructed(&self, at: At) -> bool {
        match self.this(at) {
            Some(Ref::Instance(file, class, _)) => !self.constructions(file, class).is_empty(),
            _ => false,
        }
    }

    /// The outside class that a call constructs by way of submitted ones: `MyModel(…)` of `class MyModel(ChatOpenAI)`,
    /// `super().__init__(…)`, `super(…)`.
    pub fn constructs(&self, call: At) -> Vec<Symbol> {
        let q = &mut Question::new();
        let Some(the_call) = self.call(call) else { return Vec::new() };
        let callee = At { file: call.file, expr: the_call.callee };
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
            _ => self.refer_in(callee, &None, q).into_iter().filter(|r| matches!(r, Ref::Class(..))).collect(),
        };
        let mut symbols = Vec::new();
        let mut steps = 0;
        while let Some(reference) = work.pop() {
            steps += 1;
            match reference {
                Ref::External(symbol, _) if symbol.module != "?" => symbols.push(symbol),
                Ref::Class(file, class) if steps < 16 => {
                    let bases = self.facts(file).classes[class.0 as usize].bases.clone();
                    work.extend(bases.into_iter().take(4).flat_map(|expr| self.refer_in(At { file, expr }, &None, q)));
                }
                _ => {}
            }
        }
        symbols
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
    out
}

/// `symbol.name`; Python's module path grows until something that is called or written in capitals.
fn extend(symbol: Symbol, name: &str) -> Symbol {
    let Symbol { python, module, mut tail } = symbol;
    if !python || module == "?" {
        tail.push(name.to_owned());
        return Symbol { python, module, tail };
    }
    let divided = tail.first().is_some_and(|t| t.starts_with(char::is_uppercase) || t.ends_with("()"));
    if divided {
        tail.push(name.to_owned());
        return Symbol { python, module, tail };
    }
    // `os` + `environ`, `google` + `cloud` + `storage`: the last part is the member, those before it the module.
    let mut parts: Vec<String> = module.split('.').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    parts.extend(tail);
    parts.push(name.to_owned());
    Symbol::python(&parts)
}

fn has_keywords(call: &Call) -> bool {
    call.args.iter().any(|arg| arg.name.is_some())
}

/// `symbol(…)`; a module that is called is its default export.
pub(super) fn called(mut symbol: Symbol) -> Symbol {
    match symbol.tail.last_mut() {
        Some(last) => last.push_str("()"),
        None => symbol.tail.push("default()".into()),
    }
    symbol
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

fn is_package(path: &str) -> bool {
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

    #[test]
    fn python_paths_are_divided_where_the_first_class_or_call_stands() {
        let module = Symbol { python: true, module: "google".into(), tail: Vec::new() };
        let client = extend(extend(extend(module, "cloud"), "storage"), "Client");
        assert_eq!((client.module.as_str(), client.tail.join(".").as_str()), ("google.cloud.storage", "Client"));
        let os = Symbol { python: true, module: "os".into(), tail: Vec::new() };
        assert_eq!(extend(extend(os, "environ"), "get").display(), "os.environ.get");
    }
}
