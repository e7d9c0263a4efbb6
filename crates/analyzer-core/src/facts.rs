//! What one file says, in a form that no longer depends on its language or its path.
//!
//! Expressions lie in one arena, leaves first, and refer to each other by number: depth and chains of any length cost
//! linear time and no stack. A number is also a position: of two expressions of one file, the smaller was complete
//! first, which is how "the last assignment before this use" is answered.

mod bindings;
mod names;
mod texts;

use std::borrow::Cow;
use std::sync::Arc;

use thin_vec::ThinVec;

use crate::work;
pub use bindings::Bindings;
use names::Names;
pub use texts::Text;
use texts::Texts;

/// An expression of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(pub u32);

/// An interned name of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sym(pub u32);

/// A function or lambda of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

/// A class of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u32);

/// A scope of one file; 0 is the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub u32);

/// A block of statements of one file; 0 is the module's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u32);

/// A name with more bindings than this has them in the order of their positions.
pub(crate) const MANY_BINDINGS: usize = 16;

/// The module's scope.
pub const MODULE: ScopeId = ScopeId(0);

/// One expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Line of its first character, from 1.
    pub line: u32,
    /// Byte offset of its first character.
    pub start: u32,
    /// Byte offset behind its last character.
    pub end: u32,
    /// The block it stands in.
    pub block: BlockId,
}

/// The kinds of expression that the resolver can tell apart.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// A string literal, decoded.
    Text(Text),
    /// A number, as written.
    Number(Text),
    /// `True`, `false`.
    Bool(bool),
    /// `None`, `null`, `undefined`.
    Null,
    /// A variable.
    Name(Sym),
    /// `base.name`, `base?.name`.
    Attr(ExprId, Sym),
    /// `base[key]`.
    Index(ExprId, ExprId),
    /// A call or `new`; the number indexes [`FileFacts::calls`].
    Call(u32),
    /// Interpolated text, template, `a + b + c`, adjacent literals: the parts in order.
    Concat(ThinVec<ExprId>),
    /// `template % values`.
    Percent(ExprId, ExprId),
    /// `a or b`, `a || b`, `a ?? b`: the first that holds.
    Either(ExprId, ExprId),
    /// One or the other, by a condition.
    Cond(ExprId, ExprId),
    /// Keys and values; the key of a spread is none.
    Dict(ThinVec<(Option<ExprId>, ExprId)>),
    /// List, tuple, set, array.
    List(ThinVec<ExprId>),
    /// `*x`, `...x`.
    Spread(ExprId),
    /// Lambda, arrow function, function expression.
    Function(FunctionId),
    /// Class expression.
    Class(ClassId),
    /// Any one element of it: what a loop variable is.
    Element(ExprId),
    /// Dynamic `import("x")` or `require("x")`: index of the import.
    Import(u32),
    /// Anything else.
    Unknown,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is called.
    pub callee: ExprId,
    /// The arguments in order.
    pub args: ThinVec<Arg>,
    /// The call as an expression.
    pub expr: ExprId,
    /// Called with `new`.
    pub is_new: bool,
}

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// `name=` of a keyword argument.
    pub name: Option<Sym>,
    /// Its value; a [`ExprKind::Spread`] for `*args`, `**kwargs`, `...rest`.
    pub value: ExprId,
}

/// A function, method or lambda.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name, when it has one.
    pub name: Option<Sym>,
    /// Line of `def`, `function` or the name.
    pub line: u32,
    /// Its own scope.
    pub scope: ScopeId,
    /// Parameters in order.
    pub params: ThinVec<Param>,
    /// Decorators, outermost first.
    pub decorators: ThinVec<ExprId>,
    /// Values of its `return` statements, or of its body when that is an expression.
    pub returns: ThinVec<ExprId>,
    /// Its docstring or leading comment.
    pub doc: Option<ExprId>,
    /// The class it is a method of.
    pub class: Option<ClassId>,
    /// The function as an expression, for lambdas and function expressions.
    pub expr: Option<ExprId>,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name; none for a destructured one.
    pub name: Option<Sym>,
    /// Its default.
    pub default: Option<ExprId>,
    /// Its annotated type.
    pub annotation: Option<ExprId>,
    /// Positional, keyword-only, or a rest parameter.
    pub kind: ParamKind,
}

/// How a parameter takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// By position or name.
    Plain,
    /// By name only.
    Keyword,
    /// `*args`, `...rest`.
    Rest,
    /// `**kwargs`.
    Keywords,
}

/// A class.
#[derive(Debug, Clone)]
pub struct Class {
    /// It only says what fields a value has: an interface, a type in braces.
    pub is_type: bool,
    /// Its name, when it has one.
    pub name: Option<Sym>,
    /// Line of `class`.
    pub line: u32,
    /// Its scope: class attributes, methods, and what methods assign to `self`.
    pub scope: ScopeId,
    /// Base classes in order.
    pub bases: ThinVec<ExprId>,
    /// Decorators.
    pub decorators: ThinVec<ExprId>,
    /// Its docstring.
    pub doc: Option<ExprId>,
}

/// What an import asks for.
#[derive(Debug, Clone)]
pub struct Import {
    /// The module as written: `google.cloud`, `.config`, `@scope/pkg/sub`, `./x`.
    pub module: Box<str>,
    /// What of it.
    pub item: Item,
    /// The local name it gets, if any.
    pub local: Option<Sym>,
    /// Line.
    pub line: u32,
    /// Only types, erased at run time.
    pub type_only: bool,
    /// Inside `try`, a type-checking block, or another condition.
    pub conditional: bool,
}

/// What of a module is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The module itself: `import a.b`, `import * as x`, `require("x")`. The local name stands for the whole path.
    Module,
    /// `import a.b.c` without alias binds only `a`.
    Root,
    /// One member: `from a import b`, `import { b }`. The default export is `default`.
    Member(Box<str>),
    /// `from a import *`, `export * from`.
    Star,
    /// For its effect only: `import "x"`.
    Effect,
}

/// A name that got a value.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// The value.
    pub value: Bound,
    /// The block of the binding.
    pub block: BlockId,
    /// Position: expressions with a smaller number came before.
    pub at: ExprId,
    /// Line.
    pub line: u32,
}

/// What a name was bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// An expression.
    Expr(ExprId),
    /// A function.
    Function(FunctionId),
    /// A class.
    Class(ClassId),
    /// An import, by its index.
    Import(u32),
    /// A parameter, by its index.
    Param(FunctionId, u32),
    /// Only an annotation: `x: T`.
    Annotation(ExprId),
    /// Something that cannot be followed.
    Opaque,
}

/// What an exported name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// A name of the module.
    Local(Sym),
    /// An expression.
    Expr(ExprId),
    /// Something of another module, by the index of the import.
    Import(u32),
}

/// A scope.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The enclosing scope.
    pub parent: Option<ScopeId>,
    /// What opened it.
    pub kind: ScopeKind,
}

/// What opened a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKind {
    /// The file.
    Module,
    /// A function.
    Function(FunctionId),
    /// A class.
    Class(ClassId),
}

/// A block of statements.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// The enclosing block.
    pub parent: Option<BlockId>,
    /// The scope it belongs to.
    pub scope: ScopeId,
    /// Statement whose arms exclude each other (`if`/`else`, `switch`), 0 for none; and which arm this is.
    pub arm: (u32, u32),
}

/// An assignment to something that is not a plain name: `a.b = v`, `a["k"] = v`.
#[derive(Debug, Clone, Copy)]
pub struct PlaceAssignment {
    /// An [`ExprKind::Attr`] or [`ExprKind::Index`].
    pub target: ExprId,
    /// The value.
    pub value: ExprId,
}

/// A comment.
#[derive(Debug, Clone, Copy)]
pub struct Comment {
    /// Byte offset of its first character.
    pub start: u32,
    /// Byte offset behind its last character.
    pub end: u32,
    /// Line of its first character.
    pub line: u32,
}

/// Everything one file says.
#[derive(Debug, Default)]
pub struct FileFacts {
    /// All expressions, leaves first.
    pub exprs: Vec<Expr>,
    /// All calls, inner before outer.
    pub calls: Vec<Call>,
    /// All functions.
    pub functions: Vec<Function>,
    /// All classes.
    pub classes: Vec<Class>,
    /// All imports, in order.
    pub imports: Vec<Import>,
    /// All scopes.
    pub scopes: Vec<Scope>,
    /// All blocks.
    pub blocks: Vec<Block>,
    /// Bindings of a name in a scope, in order.
    pub bindings: Bindings,
    /// Assignments to attributes and items.
    pub place_assignments: Vec<PlaceAssignment>,
    /// JavaScript's exported names and what they stand for.
    pub exports: Vec<(Box<str>, Exported)>,
    /// Literal dicts, each with the type that is written beside it.
    pub typed: Vec<(ExprId, ExprId)>,
    /// Comments.
    pub comments: Vec<Comment>,
    /// Strings that stand alone as statements: docstrings.
    pub docstrings: Vec<ExprId>,
    /// Line of `if __name__ == "__main__":` or `require.main === module`.
    pub main_guard: Option<u32>,
    /// Line of the first expression statement at module level that calls something.
    pub first_top_level_call: Option<u32>,
    /// The text that places in these facts refer to, where that is not the file's own: a notebook's cells.
    pub code: Option<Arc<str>>,
    /// The grammar met something it did not understand.
    pub has_errors: bool,
    /// The parser gave up within its budget; only strings and imports were read, line by line.
    pub over_budget: bool,
    names: Names,
    texts: Texts,
}

impl FileFacts {
    /// The text of a name.
    pub fn name(&self, sym: Sym) -> &str {
        self.names.get(sym)
    }

    /// All names, by their symbols.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter()
    }

    /// The symbol of a name, if the file mentions it.
    pub fn symbol(&self, name: &str) -> Option<Sym> {
        self.names.find(name)
    }

    /// The symbol of a name, made if it is new.
    pub fn intern(&mut self, name: &str) -> Sym {
        self.names.intern(name)
    }

    /// The symbol of the name that a literal is, made if it is new.
    pub(crate) fn intern_text(&mut self, text: Text) -> Sym {
        self.names.intern(self.texts.get(text))
    }

    /// An expression.
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }

    /// The kind of an expression.
    pub fn kind(&self, id: ExprId) -> &ExprKind {
        &self.exprs[id.0 as usize].kind
    }

    /// The call behind an expression, if it is one.
    pub fn call(&self, id: ExprId) -> Option<&Call> {
        match self.kind(id) {
            ExprKind::Call(index) => Some(&self.calls[*index as usize]),
            _ => None,
        }
    }

    /// The text of a literal.
    pub fn text_of(&self, text: Text) -> &str {
        self.texts.get(text)
    }

    /// Keeps the text of a literal: where it stands in the source, unless it was made.
    pub(crate) fn keep(&mut self, text: Cow<str>) -> Text {
        self.texts.keep(text)
    }

    /// Begins with the text that literals may stand in.
    pub(crate) fn of(source: &Arc<str>) -> FileFacts {
        FileFacts { texts: Texts::of(source.clone()), ..FileFacts::default() }
    }

    /// The text of a string literal.
    pub fn text(&self, id: ExprId) -> Option<&str> {
        match *self.kind(id) {
            ExprKind::Text(text) => Some(self.text_of(text)),
            _ => None,
        }
    }

    /// The scope an expression stands in.
    pub fn scope_of(&self, id: ExprId) -> ScopeId {
        self.blocks[self.expr(id).block.0 as usize].scope
    }

    /// The innermost function an expression stands in.
    pub fn function_of(&self, id: ExprId) -> Option<FunctionId> {
        let mut scope = Some(self.scope_of(id));
        while let Some(at) = scope {
            let here = self.scopes[at.0 as usize];
            if let ScopeKind::Function(function) = here.kind {
                return Some(function);
            }
            scope = here.parent;
        }
        None
    }

    /// Bindings of a name in one scope, in order.
    pub fn bindings_in(&self, scope: ScopeId, sym: Sym) -> &[Binding] {
        self.bindings.get(scope, sym)
    }

    /// Bindings of a name in one scope, by its text.
    pub fn bindings_named(&self, scope: ScopeId, name: &str) -> &[Binding] {
        self.symbol(name).map_or(&[], |sym| self.bindings_in(scope, sym))
    }

    /// Gives back the memory that was reserved for more.
    pub(crate) fn shrink(&mut self) {
        exact(&mut self.calls);
        exact(&mut self.functions);
        exact(&mut self.blocks);
        exact(&mut self.scopes);
        exact(&mut self.imports);
        exact(&mut self.comments);
        exact(&mut self.place_assignments);
        exact(&mut self.typed);
        self.names.shrink();
        self.texts.shrink();
    }

    /// Whether `outer` is `inner` or contains it.
    pub fn encloses(&self, outer: BlockId, inner: BlockId) -> bool {
        let mut at = Some(inner);
        while let Some(block) = at {
            work::done(1);
            if block == outer {
                return true;
            }
            if block < outer {
                return false; // Parents are made before their children.
            }
            at = self.blocks[block.0 as usize].parent;
        }
        false
    }

    /// Whether two blocks stand in different arms of one statement, so that never both run.
    pub fn exclusive(&self, one: BlockId, other: BlockId) -> bool {
        let arms = |from: BlockId| {
            let mut at = Some(from);
            std::iter::from_fn(move || {
                let block = self.blocks[at?.0 as usize];
                work::done(1);
                at = block.parent;
                Some(block.arm)
            })
            .filter(|arm| arm.0 != 0)
            .take(64)
        };
        arms(one).any(|(group, arm)| arms(other).any(|(g, a)| g == group && a != arm))
    }
}

/// Moves what a vector holds to memory of just that size; shrinking in place leaves the allocator's block as it is.
fn exact<T>(items: &mut Vec<T>) {
    if items.capacity() > items.len() {
        let mut moved = Vec::with_capacity(items.len());
        moved.append(items);
        *items = moved;
    }
}
