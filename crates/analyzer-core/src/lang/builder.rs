//! What the front-ends share: making expressions, scopes, blocks and bindings.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use thin_vec::{ThinVec, thin_vec};

use super::tree::Span;
use crate::facts::*;

thread_local! {
    /// Room for the expressions of the file that is being read, used again for the next one.
    static ROOM: Cell<Vec<Expr>> = const { Cell::new(Vec::new()) };
}

/// Expressions of a file whose room is given back: a megabyte of code has fewer.
const LARGEST_ROOM: usize = 1 << 16;

/// Facts under construction.
pub struct Builder<'t> {
    pub text: &'t str,
    pub facts: FileFacts,
    /// The block that is being read.
    pub block: BlockId,
    /// Where the next bindings count as made, when that is not here: a loop's variable is bound before its body.
    pub position: Option<ExprId>,
    /// Names that a function declares to be the module's.
    pub globals: Vec<(ScopeId, Sym)>,
    groups: u32,
    bindings: Vec<((ScopeId, Sym), Binding)>,
    /// The same of types, whose names a value may bear too.
    types: Vec<((ScopeId, Sym), Binding)>,
}

impl<'t> Builder<'t> {
    pub fn new(text: &'t Arc<str>) -> Self {
        let mut facts = FileFacts::of(text);
        facts.exprs = ROOM.take();
        facts.scopes.push(Scope { parent: None, kind: ScopeKind::Module });
        facts.blocks.push(Block { parent: None, scope: MODULE, arm: (0, 0) });
        Builder {
            text,
            facts,
            block: BlockId(0),
            position: None,
            globals: Vec::new(),
            groups: 0,
            bindings: Vec::new(),
            types: Vec::new(),
        }
    }

    /// The facts, complete.
    pub fn finish(mut self) -> FileFacts {
        if !self.types.is_empty() {
            // Where a name is a value's and a type's, the value counts.
            let values: FxHashSet<(ScopeId, Sym)> = self.bindings.iter().map(|(key, _)| *key).collect();
            self.bindings.extend(self.types.into_iter().filter(|(key, _)| !values.contains(key)));
        }
        self.facts.bindings = Bindings::new(self.bindings);
        let mut room = std::mem::take(&mut self.facts.exprs);
        self.facts.exprs = Vec::with_capacity(room.len());
        self.facts.exprs.append(&mut room);
        if room.capacity() <= LARGEST_ROOM {
            ROOM.set(room);
        }
        self.facts.shrink();
        self.facts
    }

    pub fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    pub fn expr(&mut self, kind: ExprKind, span: Span) -> ExprId {
        let id = ExprId(self.facts.exprs.len() as u32);
        self.facts.exprs.push(Expr { kind, line: span.line, start: span.start, end: span.end, block: self.block });
        id
    }

    /// A string literal.
    pub fn text(&mut self, text: Cow<str>, span: Span) -> ExprId {
        let text = self.facts.keep(text);
        self.expr(ExprKind::Text(text), span)
    }

    /// A number, as written.
    pub fn number(&mut self, text: Cow<str>, span: Span) -> ExprId {
        let text = self.facts.keep(text);
        self.expr(ExprKind::Number(text), span)
    }

    pub fn name(&mut self, span: Span) -> ExprId {
        let sym = self.facts.intern(self.text.get(span.start as usize..span.end as usize).unwrap_or_default());
        self.expr(ExprKind::Name(sym), span)
    }

    pub fn span_of(&self, id: ExprId) -> Span {
        let expr = self.facts.expr(id);
        Span { start: expr.start, end: expr.end, line: expr.line }
    }

    pub fn call(&mut self, callee: ExprId, args: ThinVec<Arg>, is_new: bool, span: Span) -> ExprId {
        let id = self.expr(ExprKind::Call(self.facts.calls.len() as u32), span);
        self.facts.calls.push(Call { callee, args, expr: id, is_new });
        id
    }

    /// `a + b`, adjacent literals: one flat list however long the chain, for each expression has a single parent and
    /// the left side's list can be taken over.
    pub fn concat(&mut self, left: ExprId, right: ExprId, span: Span) -> ExprId {
        let mut parts = match &mut self.facts.exprs[left.0 as usize].kind {
            ExprKind::Concat(parts) => std::mem::take(parts),
            _ => thin_vec![left],
        };
        parts.push(right);
        self.expr(ExprKind::Concat(parts), span)
    }

    /// The position that has been reached.
    pub fn here(&self) -> ExprId {
        ExprId(self.facts.exprs.len() as u32)
    }

    /// `target = value`, made at an earlier position.
    pub fn assign_at(&mut self, position: ExprId, target: ExprId, value: ExprId) {
        self.position = Some(position);
        self.assign(target, value);
        self.position = None;
    }

    pub fn scope(&self) -> ScopeId {
        self.facts.blocks[self.block.0 as usize].scope
    }

    /// Statements whose blocks exclude each other.
    pub fn new_group(&mut self) -> u32 {
        self.groups += 1;
        self.groups
    }

    pub fn open_block(&mut self, arm: (u32, u32)) {
        let block = Block { parent: Some(self.block), scope: self.scope(), arm };
        self.block = BlockId(self.facts.blocks.len() as u32);
        self.facts.blocks.push(block);
    }

    pub fn close_block(&mut self) {
        self.block = self.facts.blocks[self.block.0 as usize].parent.unwrap_or(BlockId(0));
    }

    fn open_scope(&mut self, kind: ScopeKind) -> ScopeId {
        let scope = ScopeId(self.facts.scopes.len() as u32);
        self.facts.scopes.push(Scope { parent: Some(self.scope()), kind });
        let block = Block { parent: Some(self.block), scope, arm: (0, 0) };
        self.block = BlockId(self.facts.blocks.len() as u32);
        self.facts.blocks.push(block);
        scope
    }

    /// Opens a function; its parts are filled in while it is read. Ends with [`Builder::close_block`].
    pub fn open_function(&mut self, line: u32) -> FunctionId {
        let id = FunctionId(self.facts.functions.len() as u32);
        let class = match self.facts.scopes[self.scope().0 as usize].kind {
            ScopeKind::Class(class) => Some(class),
            _ => None,
        };
        let scope = self.open_scope(ScopeKind::Function(id));
        self.facts.functions.push(Function {
            name: None,
            line,
            scope,
            params: ThinVec::new(),
            decorators: ThinVec::new(),
            returns: ThinVec::new(),
            doc: None,
            class,
            expr: None,
        });
        id
    }

    /// Opens a class. Ends with [`Builder::close_block`].
    pub fn open_class(&mut self, line: u32) -> ClassId {
        let id = ClassId(self.facts.classes.len() as u32);
        let scope = self.open_scope(ScopeKind::Class(id));
        self.facts.classes.push(Class {
            is_type: false,
            name: None,
            line,
            scope,
            bases: ThinVec::new(),
            decorators: ThinVec::new(),
            doc: None,
        });
        id
    }

    pub fn function(&mut self, id: FunctionId) -> &mut Function {
        &mut self.facts.functions[id.0 as usize]
    }

    pub fn class(&mut self, id: ClassId) -> &mut Class {
        &mut self.facts.classes[id.0 as usize]
    }

    /// The function that is being read.
    pub fn current_function(&self) -> Option<FunctionId> {
        let mut scope = Some(self.scope());
        while let Some(at) = scope {
            let here = self.facts.scopes[at.0 as usize];
            if let ScopeKind::Function(id) = here.kind {
                return Some(id);
            }
            scope = here.parent;
        }
        None
    }

    pub fn bind_in(&mut self, scope: ScopeId, sym: Sym, value: Bound, line: u32) {
        let at = self.position.unwrap_or_else(|| self.here());
        let binding = Binding { value, block: self.block, at, line };
        self.bindings.push(((scope, sym), binding));
    }

    /// A type: known in all of its scope, and only if no value has its name.
    pub fn bind_type(&mut self, sym: Sym, value: Bound, line: u32) {
        let binding = Binding { value, block: self.block, at: ExprId(0), line };
        self.types.push(((self.scope(), sym), binding));
    }

    pub fn bind(&mut self, sym: Sym, value: Bound, line: u32) {
        let own = self.scope();
        let scope = if self.globals.contains(&(own, sym)) { MODULE } else { own };
        self.bind_in(scope, sym, value, line);
    }

    /// The parameters of the function that is being read, given their names in its scope.
    pub fn bind_params(&mut self, id: FunctionId) {
        let params = self.function(id).params.clone();
        let line = self.function(id).line;
        for (index, param) in params.iter().enumerate() {
            if let Some(name) = param.name {
                self.bind(name, Bound::Param(id, index as u32), line);
            }
        }
    }

    pub fn import(&mut self, import: Import) -> u32 {
        let index = self.facts.imports.len() as u32;
        if let Some(local) = import.local {
            self.bind(local, Bound::Import(index), import.line);
        }
        self.facts.imports.push(import);
        index
    }

    /// `target = value`, whatever the target is: a name, a pattern, an attribute, an item.
    pub fn assign(&mut self, target: ExprId, value: ExprId) {
        let mut work = vec![(target, value)];
        while let Some((target, value)) = work.pop() {
            let line = self.facts.expr(target).line;
            match self.facts.kind(target).clone() {
                ExprKind::Name(sym) => self.bind(sym, Bound::Expr(value), line),
                ExprKind::Attr(base, sym) => {
                    if let Some(scope) = self.own_class(base) {
                        self.bind_in(scope, sym, Bound::Expr(value), line);
                    }
                    self.facts.place_assignments.push(PlaceAssignment { target, value });
                }
                ExprKind::Index(..) => self.facts.place_assignments.push(PlaceAssignment { target, value }),
                ExprKind::List(targets) => {
                    let is_rest = |target: &ExprId| matches!(self.facts.kind(*target), ExprKind::Spread(_));
                    let rest = targets.iter().position(is_rest);
                    let values = match self.facts.kind(value) {
                        ExprKind::List(values) if rest.is_none() && values.len() == targets.len() => values.clone(),
                        // `first, *middle, last = a, b, c, d`: what stands behind the star counts from the end.
                        ExprKind::List(values) if rest.is_some() && values.len() + 1 >= targets.len() => {
                            let rest = rest.unwrap_or(0);
                            let behind = values.len() - (targets.len() - rest - 1);
                            let unknown = values.get(rest).copied().unwrap_or(value);
                            values[..rest]
                                .iter()
                                .copied()
                                .chain([unknown])
                                .chain(values[behind..].iter().copied())
                                .collect()
                        }
                        _ => ThinVec::new(),
                    };
                    for (index, target) in targets.into_iter().enumerate().rev() {
                        let part = match values.get(index) {
                            Some(&part) => part,
                            None => self.item(value, index, target),
                        };
                        work.push((target, part));
                    }
                }
                ExprKind::Dict(pairs) => {
                    for (key, target) in pairs.into_iter().rev() {
                        let span = self.span_of(target);
                        let part = match key.map(|key| self.facts.kind(key).clone()) {
                            Some(ExprKind::Text(name)) => {
                                let sym = self.facts.intern_text(name);
                                self.expr(ExprKind::Attr(value, sym), span)
                            }
                            _ => self.expr(ExprKind::Unknown, span),
                        };
                        work.push((target, part));
                    }
                }
                // A default in a pattern: `const { model = "x" } = options`.
                ExprKind::Either(inner, default) => {
                    let span = self.span_of(target);
                    let either = self.expr(ExprKind::Either(value, default), span);
                    work.push((inner, either));
                }
                ExprKind::Spread(inner) => {
                    let span = self.span_of(target);
                    let rest = self.expr(ExprKind::Unknown, span);
                    work.push((inner, rest));
                }
                _ => {}
            }
        }
    }

    fn item(&mut self, value: ExprId, index: usize, target: ExprId) -> ExprId {
        let span = self.span_of(target);
        let key = self.number(Cow::Owned(index.to_string()), span);
        self.expr(ExprKind::Index(value, key), span)
    }

    /// The class whose instance this expression is by convention: the first parameter of the method that is being
    /// read, or `this`.
    fn own_class(&self, base: ExprId) -> Option<ScopeId> {
        let ExprKind::Name(sym) = *self.facts.kind(base) else { return None };
        let is_this = self.facts.name(sym) == "this";
        let mut scope = Some(self.scope());
        while let Some(at) = scope {
            let here = self.facts.scopes[at.0 as usize];
            match here.kind {
                ScopeKind::Function(id) => {
                    let function = &self.facts.functions[id.0 as usize];
                    let is_self = function.params.first().is_some_and(|p| p.name == Some(sym));
                    if let (Some(class), true) = (function.class, is_this || is_self) {
                        return Some(self.facts.classes[class.0 as usize].scope);
                    }
                }
                ScopeKind::Class(class) if is_this => return Some(self.facts.classes[class.0 as usize].scope),
                _ => {}
            }
            scope = here.parent;
        }
        None
    }
}

/// A list of just its size.
pub fn listed<T>(items: impl Iterator<Item = T> + Clone) -> ThinVec<T> {
    let mut list = ThinVec::with_capacity(items.clone().count());
    list.extend(items);
    list
}
