//! Python to facts.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use thin_vec::{ThinVec, thin_vec};

use super::builder::{Builder, listed};
use super::literal;
use super::tree::{Grammar, Item, Span, Visit, Visitor};
use crate::facts::*;

/// What a kind of node means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// Its children matter, itself not; one expression inside is handed on.
    Pass,
    /// Nothing in it matters.
    Skip,
    Arguments,
    Assignment,
    Augmented,
    Named,
    Alias,
    Attribute,
    AsPattern,
    Binary,
    Block,
    Boolean,
    Bool,
    Call,
    Class,
    Comment,
    Comprehension,
    Concatenated,
    Conditional,
    Decorated,
    Decorator,
    DefaultParameter,
    Dictionary,
    DottedName,
    ElifElse,
    ExprStatement,
    Except,
    ForIn,
    Function,
    Generic,
    Global,
    Identifier,
    If,
    Import,
    ImportFrom,
    Interpolation,
    KeywordArgument,
    KeywordSeparator,
    Lambda,
    List,
    Loop,
    Match,
    Null,
    Number,
    Pair,
    Parameters,
    Return,
    Splat,
    SplatPattern,
    DictSplatPattern,
    Star,
    Str,
    StrContent,
    Subscript,
    Try,
    TypedParameter,
    Unknown,
}

/// Meaning and name of each kind id.
static OPS: LazyLock<Vec<Op>> = LazyLock::new(|| {
    let language = Grammar::Python.language();
    (0..language.node_kind_count() as u16).map(|id| op(language.node_kind_for_id(id).unwrap_or(""))).collect()
});

fn op(kind: &str) -> Op {
    match kind {
        "comment" => Op::Comment,
        "assignment" => Op::Assignment,
        "augmented_assignment" => Op::Augmented,
        "named_expression" => Op::Named,
        "aliased_import" => Op::Alias,
        "attribute" => Op::Attribute,
        "as_pattern" => Op::AsPattern,
        "argument_list" => Op::Arguments,
        "binary_operator" => Op::Binary,
        "block" => Op::Block,
        "boolean_operator" => Op::Boolean,
        "true" | "false" => Op::Bool,
        "call" => Op::Call,
        "class_definition" => Op::Class,
        "list_comprehension" | "set_comprehension" | "generator_expression" | "dictionary_comprehension" => {
            Op::Comprehension
        }
        "concatenated_string" => Op::Concatenated,
        "conditional_expression" => Op::Conditional,
        "decorated_definition" => Op::Decorated,
        "decorator" => Op::Decorator,
        "default_parameter" | "typed_default_parameter" => Op::DefaultParameter,
        "dictionary" => Op::Dictionary,
        "dotted_name" | "relative_import" => Op::DottedName,
        "elif_clause" | "else_clause" | "case_clause" => Op::ElifElse,
        "expression_statement" => Op::ExprStatement,
        "except_clause" | "except_group_clause" => Op::Except,
        "for_statement" | "while_statement" => Op::Loop,
        "for_in_clause" => Op::ForIn,
        "function_definition" => Op::Function,
        "generic_type" => Op::Generic,
        "global_statement" => Op::Global,
        "identifier" => Op::Identifier,
        "if_statement" => Op::If,
        "match_statement" => Op::Match,
        "import_statement" => Op::Import,
        "import_from_statement" => Op::ImportFrom,
        "interpolation" => Op::Interpolation,
        "keyword_argument" => Op::KeywordArgument,
        "keyword_separator" => Op::KeywordSeparator,
        "lambda" => Op::Lambda,
        "list" | "tuple" | "set" | "expression_list" | "pattern_list" | "tuple_pattern" | "list_pattern" => Op::List,
        "none" => Op::Null,
        "integer" | "float" => Op::Number,
        "pair" => Op::Pair,
        "parameters" | "lambda_parameters" => Op::Parameters,
        "return_statement" => Op::Return,
        "list_splat" | "dictionary_splat" => Op::Splat,
        "list_splat_pattern" => Op::SplatPattern,
        "dictionary_splat_pattern" => Op::DictSplatPattern,
        "wildcard_import" => Op::Star,
        "string" => Op::Str,
        "string_content" => Op::StrContent,
        "subscript" => Op::Subscript,
        "try_statement" => Op::Try,
        "typed_parameter" => Op::TypedParameter,
        "comparison_operator" | "not_operator" | "unary_operator" | "slice" | "ellipsis" => Op::Unknown,
        "string_start"
        | "string_end"
        | "escape_sequence"
        | "future_import_statement"
        | "positional_separator"
        | "pass_statement"
        | "break_statement"
        | "continue_statement"
        | "nonlocal_statement"
        | "format_specifier"
        | "type_conversion"
        | "escape_interpolation" => Op::Skip,
        _ => Op::Pass,
    }
}

/// Fields of the grammar that decide something.
struct Fields {
    alternative: u16,
    attribute: u16,
    body: u16,
    function: u16,
    left: u16,
    right: u16,
    module_name: u16,
    name: u16,
    value: u16,
    r#type: u16,
    superclasses: u16,
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let language = Grammar::Python.language();
    let id = |name| language.field_id_for_name(name).map_or(u16::MAX, |id| id.get());
    Fields {
        alternative: id("alternative"),
        attribute: id("attribute"),
        body: id("body"),
        function: id("function"),
        left: id("left"),
        right: id("right"),
        module_name: id("module_name"),
        name: id("name"),
        value: id("value"),
        r#type: id("type"),
        superclasses: id("superclasses"),
    }
});

/// What a node gives its parent.
#[derive(Debug, Clone, Copy)]
pub enum Val {
    Expr(ExprId),
    Arg(Option<Sym>, ExprId),
    /// A name that is no variable: of a function, a class, an argument.
    Name(Sym),
    Pair(ExprId, ExprId),
    Function(FunctionId),
    Class(ClassId),
    /// A dotted name, by its span.
    Dotted,
    /// `a.b as c`: where `a.b` ends, and `c`.
    Alias(Span, Sym),
    /// `*` of an import.
    Star,
    /// A string that stands alone.
    Doc(ExprId),
}

pub struct Python<'t> {
    pub b: Builder<'t>,
    /// One entry for each compound statement that is open.
    open: Vec<Open>,
    type_checking: u32,
    params: Vec<Params>,
    /// Where the open comprehensions began.
    comprehensions: Vec<ExprId>,
}

/// A compound statement that is being read.
struct Open {
    /// Its group of exclusive arms, 0 for none.
    group: u32,
    /// Arms so far.
    arm: u32,
    /// Imports before it.
    imports: usize,
    /// Position at its start.
    at: ExprId,
    /// Its condition is a type checker's.
    type_checking: bool,
}

/// Parameters that are being read.
struct Params {
    function: FunctionId,
    /// The function's block, to go back to.
    block: BlockId,
    keyword_only: bool,
}

impl<'t> Python<'t> {
    pub fn new(text: &'t Arc<str>) -> Self {
        Python {
            b: Builder::new(text),
            open: Vec::new(),
            type_checking: 0,
            params: Vec::new(),
            comprehensions: Vec::new(),
        }
    }

    fn param(&mut self, name: Option<Sym>, default: Option<ExprId>, annotation: Option<ExprId>, kind: ParamKind) {
        let Some(open) = self.params.last_mut() else { return };
        let kind = if open.keyword_only && kind == ParamKind::Plain { ParamKind::Keyword } else { kind };
        open.keyword_only |= kind == ParamKind::Rest;
        let function = open.function;
        self.b.function(function).params.push(Param { name, default, annotation, kind });
    }

    fn open(&mut self, group: u32, type_checking: bool) {
        self.type_checking += u32::from(type_checking);
        let (imports, at) = (self.b.facts.imports.len(), self.b.here());
        self.open.push(Open { group, arm: 0, imports, at, type_checking });
    }

    fn close(&mut self) -> Option<Open> {
        let open = self.open.pop()?;
        self.type_checking -= u32::from(open.type_checking);
        Some(open)
    }

    fn sym(&self, id: ExprId) -> Option<Sym> {
        match *self.b.facts.kind(id) {
            ExprKind::Name(sym) => Some(sym),
            _ => None,
        }
    }

    fn import(&mut self, module: &str, item: Item_, local: Option<Sym>, line: u32) {
        let type_only = self.type_checking > 0;
        self.b.import(Import { module: module.into(), item, local, line, type_only, conditional: type_only });
    }

    /// The handlers of a `try` say whether its imports are optional: they catch the failure and go on.
    fn leave_try(&mut self, span: Span, before: usize) {
        let text = self.b.slice(span);
        let handlers = text.find("except").map_or("", |at| &text[at..]);
        let catches = text.match_indices("except").any(|(at, _)| {
            let clause = text[at + 6..].split(':').next().unwrap_or("").trim();
            clause.is_empty() || clause.contains("ImportError") || clause.contains("ModuleNotFoundError")
        });
        let gives_up = ["raise", "exit(", "_exit("].iter().any(|word| handlers.contains(word));
        // What a handler imports instead is for those who lack the first.
        let caught = span.line + text[..text.len() - handlers.len()].matches('\n').count() as u32;
        let imports = &mut self.b.facts.imports[before..];
        let instead = imports.first().is_some_and(|first| first.line < caught)
            && imports.last().is_some_and(|last| last.line > caught);
        let is_optional = catches && !gives_up;
        for import in imports.iter_mut().filter(|import| is_optional || instead && import.line > caught) {
            import.conditional = true;
        }
    }
}

type Item_ = crate::facts::Item;

fn exprs(items: &[Item<Val>]) -> impl Iterator<Item = ExprId> + Clone {
    items.iter().filter_map(|item| match item.value {
        Val::Expr(id) | Val::Doc(id) => Some(id),
        _ => None,
    })
}

fn name_in(items: &[Item<Val>]) -> Option<Sym> {
    items.iter().find_map(|item| match item.value {
        Val::Name(sym) => Some(sym),
        _ => None,
    })
}

fn by_field(items: &[Item<Val>], field: u16) -> Option<ExprId> {
    items.iter().find(|item| item.field == field).and_then(|item| match item.value {
        Val::Expr(id) => Some(id),
        _ => None,
    })
}

impl Visitor for Python<'_> {
    type Value = Val;

    fn asks_roles(&self, kind: u16) -> bool {
        matches!(
            OPS.get(kind as usize).copied().unwrap_or(Op::Pass),
            Op::Assignment
                | Op::Attribute
                | Op::Call
                | Op::Class
                | Op::DefaultParameter
                | Op::ElifElse
                | Op::Function
                | Op::If
                | Op::ImportFrom
                | Op::KeywordArgument
                | Op::Lambda
                | Op::Loop
                | Op::Match
                | Op::Try
                | Op::TypedParameter
        )
    }

    fn enter(&mut self, kind: u16, parent: u16, field: u16, span: Span) -> Visit<Val> {
        let op = OPS.get(kind as usize).copied().unwrap_or(Op::Pass); // An error has a kind beyond all.
        let parent = OPS.get(parent as usize).copied().unwrap_or(Op::Pass);
        match op {
            Op::Skip => return Visit::Skip,
            Op::Comment => {
                self.b.facts.comments.push(Comment { start: span.start, end: span.end, line: span.line });
                return Visit::Skip;
            }
            Op::Identifier if parent == Op::Parameters => {
                let sym = self.b.facts.intern(self.b.slice(span));
                self.param(Some(sym), None, None, ParamKind::Plain);
                return Visit::Skip;
            }
            Op::Identifier if parent == Op::Attribute && field == FIELDS.attribute => {
                // The attribute's name is read from its text; a variable of that name is not used here.
                return Visit::Skip;
            }
            Op::Identifier
                if field == FIELDS.name && matches!(parent, Op::Function | Op::Class | Op::KeywordArgument) =>
            {
                return Visit::Value(Val::Name(self.b.facts.intern(self.b.slice(span))));
            }
            Op::Identifier => return Visit::Value(Val::Expr(self.b.name(span))),
            Op::Str => {
                let text = self.b.slice(span);
                let prefix = &text[..text.find(['"', '\'']).unwrap_or(0)];
                if prefix.contains(['f', 'F', 't', 'T']) {
                    return Visit::Descend;
                }
                let decoded = literal::python(text);
                return Visit::Value(Val::Expr(self.b.text(decoded, span)));
            }
            Op::StrContent => {
                let piece = self.b.slice(span);
                let decoded = literal::escapes(piece, true);
                let decoded = if decoded.contains("{{") || decoded.contains("}}") {
                    Cow::Owned(decoded.replace("{{", "{").replace("}}", "}"))
                } else {
                    decoded
                };
                return Visit::Value(Val::Expr(self.b.text(decoded, span)));
            }
            Op::Number => {
                let number = Cow::Borrowed(self.b.slice(span));
                return Visit::Value(Val::Expr(self.b.number(number, span)));
            }
            Op::Bool => {
                let kind = ExprKind::Bool(self.b.slice(span) == "True");
                return Visit::Value(Val::Expr(self.b.expr(kind, span)));
            }
            Op::Null => return Visit::Value(Val::Expr(self.b.expr(ExprKind::Null, span))),
            Op::DottedName => return Visit::Value(Val::Dotted),
            Op::Star => return Visit::Value(Val::Star),
            Op::KeywordSeparator => {
                if let Some(open) = self.params.last_mut() {
                    open.keyword_only = true;
                }
                return Visit::Skip;
            }
            Op::Arguments => return Visit::Transparent,
            Op::Function | Op::Lambda => {
                self.b.open_function(span.line);
            }
            Op::Parameters => {
                if let Some(function) = self.b.current_function() {
                    self.params.push(Params { function, block: self.b.block, keyword_only: false });
                }
                self.b.close_block(); // Defaults and annotations belong to the scope around the function.
            }
            Op::Class => {
                self.b.open_class(span.line);
            }
            Op::If => {
                let head = self.b.slice(span).lines().next().unwrap_or("");
                let main = head.contains("__name__") && head.contains("__main__");
                if main && self.b.facts.main_guard.is_none() {
                    self.b.facts.main_guard = Some(span.line);
                }
                let group = if main { 0 } else { self.b.new_group() };
                self.open(group, head.contains("TYPE_CHECKING"));
            }
            Op::Try | Op::Loop => self.open(0, false),
            Op::Match => {
                let group = self.b.new_group();
                self.open(group, false);
            }
            Op::ElifElse if field == FIELDS.alternative => {
                if let Some(open) = self.open.last_mut() {
                    self.type_checking -= u32::from(open.type_checking);
                    open.type_checking = false;
                }
            }
            Op::Block => match parent {
                Op::If | Op::ElifElse => match self.open.last_mut() {
                    Some(open) => {
                        open.arm += 1;
                        let arm = (open.group, open.arm);
                        self.b.open_block(arm);
                    }
                    None => self.b.open_block((0, 0)),
                },
                Op::Function | Op::Class => {}
                _ => self.b.open_block((0, 0)),
            },
            Op::Comprehension => {
                self.comprehensions.push(self.b.here());
                self.b.open_block((0, 0));
            }
            _ => {}
        }
        Visit::Descend
    }

    fn leave(&mut self, kind: u16, parent: u16, span: Span, items: &[Item<Val>]) -> Option<Val> {
        let op = OPS.get(kind as usize).copied().unwrap_or(Op::Pass); // An error has a kind beyond all.
        let parent = OPS.get(parent as usize).copied().unwrap_or(Op::Pass);
        let fields = &*FIELDS;
        let mut all = exprs(items);
        let value = match op {
            Op::Pass | Op::Interpolation => {
                let first = all.next()?;
                return if all.next().is_none() || op == Op::Interpolation { Some(Val::Expr(first)) } else { None };
            }
            Op::Str => {
                let parts = listed(all);
                match parts.len() {
                    0 => self.b.text(Cow::Borrowed(""), span),
                    _ => self.b.expr(ExprKind::Concat(parts), span),
                }
            }
            Op::Concatenated => self.b.expr(ExprKind::Concat(listed(all)), span),
            Op::Attribute => {
                let base = all.next()?;
                let text = self.b.slice(span);
                let name = text.rsplit('.').next().unwrap_or("").trim();
                let sym = self.b.facts.intern(name);
                // The line of a chain that spans lines is that of its first character, as for every expression.
                let (base, spread) = self.unspread(base);
                let member = self.b.expr(ExprKind::Attr(base, sym), span);
                self.respread(member, spread, span)
            }
            Op::Subscript => {
                let base = all.next()?;
                let keys = listed(all);
                match keys[..] {
                    [key] => self.b.expr(ExprKind::Index(base, key), span),
                    _ => {
                        let key = self.b.expr(ExprKind::List(keys), span);
                        self.b.expr(ExprKind::Index(base, key), span)
                    }
                }
            }
            Op::Generic => {
                let base = all.next()?;
                let keys = listed(all);
                let key = match keys[..] {
                    [key] => key,
                    _ => self.b.expr(ExprKind::List(keys), span),
                };
                self.b.expr(ExprKind::Index(base, key), span)
            }
            Op::Call => {
                let callee = by_field(items, fields.function)?;
                let given = items.iter().filter(|item| item.field != fields.function);
                let given = given.filter_map(|item| match item.value {
                    Val::Expr(value) => Some(Arg { name: None, value }),
                    Val::Arg(name, value) => Some(Arg { name, value }),
                    _ => None,
                });
                let args = listed(given);
                let (callee, spread) = self.unspread(callee);
                let call = self.b.call(callee, args, false, span);
                self.respread(call, spread, span)
            }
            Op::KeywordArgument => {
                return Some(Val::Arg(name_in(items), by_field(items, fields.value)?));
            }
            Op::Splat => {
                let inner = all.next()?;
                self.b.expr(ExprKind::Spread(inner), span)
            }
            Op::Binary => {
                let (left, right) = (all.next()?, all.next()?);
                let operator = self.between(left, right);
                match operator {
                    "+" => self.b.concat(left, right, span),
                    "%" => self.b.expr(ExprKind::Percent(left, right), span),
                    // `a / b` joins paths as often as it divides; `a | b` merges dicts or names types.
                    "|" => self.b.expr(ExprKind::Either(left, right), span),
                    // `Path(__file__).parent / "prompts" / "system.md"`, `PROMPTS_DIR / name`.
                    "/" if self.is_text(right) || self.is_folder(left) && self.is_named(right) => {
                        let slash = self.b.text(Cow::Borrowed("/"), span);
                        let folder = self.b.concat(left, slash, span);
                        self.b.concat(folder, right, span)
                    }
                    _ => self.b.expr(ExprKind::Unknown, span),
                }
            }
            Op::Boolean => {
                let (left, right) = (all.next()?, all.next()?);
                if self.between(left, right) == "or" {
                    self.b.expr(ExprKind::Either(left, right), span)
                } else {
                    return Some(Val::Expr(right));
                }
            }
            Op::Conditional => {
                let (then, _, otherwise) = (all.next()?, all.next()?, all.next()?);
                self.b.expr(ExprKind::Cond(then, otherwise), span)
            }
            Op::Unknown => self.b.expr(ExprKind::Unknown, span),
            Op::List => self.b.expr(ExprKind::List(listed(all)), span),
            Op::Pair => {
                let (key, value) = (all.next()?, all.next()?);
                return Some(Val::Pair(key, value));
            }
            Op::Dictionary => {
                let pairs = items.iter().filter_map(|item| match item.value {
                    Val::Pair(key, value) => Some((Some(key), value)),
                    Val::Expr(spread) => Some((None, spread)),
                    _ => None,
                });
                self.b.expr(ExprKind::Dict(listed(pairs)), span)
            }
            Op::Comprehension => {
                let pair = items.iter().find_map(|item| match item.value {
                    Val::Pair(key, value) => Some((key, value)),
                    _ => None,
                });
                let body = all.next();
                self.b.close_block();
                self.comprehensions.pop();
                match (pair, body) {
                    (Some((key, value)), _) => self.b.expr(ExprKind::Dict(thin_vec![(Some(key), value)]), span),
                    (None, Some(body)) => self.b.expr(ExprKind::List(thin_vec![body]), span),
                    (None, None) => return None,
                }
            }
            Op::ForIn => {
                let (target, iterated) = (all.next()?, all.next()?);
                let element = self.b.expr(ExprKind::Element(iterated), span);
                let at = self.comprehensions.last().copied().unwrap_or_else(|| self.b.here());
                self.b.assign_at(at, target, element);
                return None;
            }
            Op::Loop => {
                let open = self.close()?;
                if let (Some(target), Some(iterated)) = (by_field(items, fields.left), by_field(items, fields.right)) {
                    let element = self.b.expr(ExprKind::Element(iterated), span);
                    self.b.assign_at(open.at, target, element);
                }
                return None;
            }
            Op::Named => {
                let (target, value) = (all.next()?, all.next()?);
                self.b.assign(target, value);
                return Some(Val::Expr(value));
            }
            Op::Assignment => {
                let target = all.next()?;
                let annotation = by_field(items, fields.r#type);
                match (items.last().filter(|i| i.field != fields.r#type).map(|i| i.value), annotation) {
                    (Some(Val::Expr(value)), _) if value != target => {
                        self.b.assign(target, value);
                        // `a = b = x` hands `x` on; a statement has no value.
                        return (parent == Op::Assignment).then_some(Val::Expr(value));
                    }
                    (_, Some(annotation)) => {
                        if let Some(sym) = self.sym(target) {
                            self.b.bind(sym, Bound::Annotation(annotation), span.line);
                        }
                    }
                    _ => {}
                }
                return None;
            }
            Op::Augmented => {
                let (target, value) = (all.next()?, all.next()?);
                if self.between(target, value) == "+=" {
                    let joined = self.b.expr(ExprKind::Concat(thin_vec![target, value]), span);
                    self.b.assign(target, joined);
                }
                return None;
            }
            Op::AsPattern => {
                let (value, target) = (all.next()?, all.next()?);
                match parent {
                    Op::Except | Op::ElifElse => {}
                    _ => self.b.assign(target, value),
                }
                return Some(Val::Expr(value));
            }
            Op::ExprStatement => {
                let first = items.first()?;
                let Val::Expr(id) = first.value else { return None };
                if self.b.facts.text(id).is_some() || matches!(self.b.facts.kind(id), ExprKind::Concat(_)) {
                    self.b.facts.docstrings.push(id);
                    return Some(Val::Doc(id));
                }
                let facts = &mut self.b.facts;
                let is_call = matches!(facts.kind(id), ExprKind::Call(_));
                if is_call && facts.blocks[self.b.block.0 as usize].scope == MODULE {
                    facts.first_top_level_call.get_or_insert(span.line);
                }
                return None;
            }
            Op::Return => {
                if let (Some(value), Some(id)) = (all.next(), self.b.current_function()) {
                    self.b.function(id).returns.push(value);
                }
                return None;
            }
            Op::Block => {
                let doc = match items.first() {
                    Some(Item { value: Val::Doc(id), span: at, .. }) if at.start == span.start => Some(*id),
                    _ => None,
                };
                if !matches!(parent, Op::Function | Op::Class) {
                    self.b.close_block();
                }
                return doc.filter(|_| matches!(parent, Op::Function | Op::Class)).map(Val::Doc);
            }
            Op::Parameters => {
                let open = self.params.pop()?;
                self.b.block = open.block;
                self.b.bind_params(open.function);
                return None;
            }
            Op::DefaultParameter => {
                let name = by_field(items, fields.name).and_then(|id| self.sym(id));
                let (default, annotation) = (by_field(items, fields.value), by_field(items, fields.r#type));
                self.param(name, default, annotation, ParamKind::Plain);
                return None;
            }
            Op::TypedParameter => {
                let annotation = by_field(items, fields.r#type);
                let target = items.iter().find(|item| item.field != fields.r#type);
                match target.map(|item| item.value) {
                    Some(Val::Expr(id)) => {
                        let name = self.sym(id);
                        self.param(name, None, annotation, ParamKind::Plain);
                    }
                    Some(Val::Arg(name, _)) => self.param(name, None, annotation, ParamKind::Rest),
                    Some(Val::Pair(id, _)) => {
                        let name = self.sym(id);
                        self.param(name, None, annotation, ParamKind::Keywords);
                    }
                    _ => {}
                }
                return None;
            }
            Op::SplatPattern | Op::DictSplatPattern => {
                let id = all.next()?;
                let (name, list) = (self.sym(id), op == Op::SplatPattern);
                return match parent {
                    Op::Parameters => {
                        self.param(name, None, None, if list { ParamKind::Rest } else { ParamKind::Keywords });
                        None
                    }
                    Op::TypedParameter if list => Some(Val::Arg(name, id)),
                    Op::TypedParameter => Some(Val::Pair(id, id)),
                    _ => Some(Val::Expr(self.b.expr(ExprKind::Spread(id), span))),
                };
            }
            Op::Function => {
                let id = match self.b.facts.scopes[self.b.scope().0 as usize].kind {
                    ScopeKind::Function(id) => id,
                    _ => return None,
                };
                self.b.close_block();
                let name = name_in(items);
                let doc = items.iter().find_map(|item| match item.value {
                    Val::Doc(id) if item.field == fields.body => Some(id),
                    _ => None,
                });
                let function = self.b.function(id);
                (function.name, function.doc) = (name, doc);
                if let Some(name) = name {
                    self.b.bind(name, Bound::Function(id), span.line);
                }
                return Some(Val::Function(id));
            }
            Op::Lambda => {
                let ScopeKind::Function(id) = self.b.facts.scopes[self.b.scope().0 as usize].kind else { return None };
                let body = by_field(items, fields.body);
                self.b.function(id).returns.extend(body);
                self.b.close_block();
                let expr = self.b.expr(ExprKind::Function(id), span);
                self.b.function(id).expr = Some(expr);
                expr
            }
            Op::Class => {
                let ScopeKind::Class(id) = self.b.facts.scopes[self.b.scope().0 as usize].kind else { return None };
                self.b.close_block();
                let name = name_in(items);
                let bases: ThinVec<ExprId> = items
                    .iter()
                    .filter(|item| item.field == fields.superclasses)
                    .filter_map(|item| match item.value {
                        Val::Expr(base) => Some(base),
                        _ => None,
                    })
                    .collect();
                let doc = items.iter().find_map(|item| match item.value {
                    Val::Doc(id) if item.field == fields.body => Some(id),
                    _ => None,
                });
                let class = self.b.class(id);
                (class.name, class.bases, class.doc) = (name, bases, doc);
                if let Some(name) = name {
                    self.b.bind(name, Bound::Class(id), span.line);
                }
                return Some(Val::Class(id));
            }
            Op::Decorator => return Some(Val::Expr(all.next()?)),
            Op::Decorated => {
                let decorators = listed(all);
                let inner = items.iter().map(|item| item.value).find(|v| matches!(v, Val::Function(_) | Val::Class(_)));
                match inner? {
                    Val::Function(id) => self.b.function(id).decorators = decorators,
                    Val::Class(id) => self.b.class(id).decorators = decorators,
                    _ => {}
                }
                return None;
            }
            Op::If | Op::Match => {
                self.close();
                return None;
            }
            Op::Try => {
                let open = self.close()?;
                self.leave_try(span, open.imports);
                return None;
            }
            Op::Global => {
                let scope = self.b.scope();
                let names: Vec<Sym> = all.filter_map(|id| self.sym(id)).collect();
                self.b.globals.extend(names.into_iter().map(|sym| (scope, sym)));
                return None;
            }
            Op::Alias => {
                let (name, alias) = (items.first()?.span, self.sym(all.next()?)?);
                return Some(Val::Alias(name, alias));
            }
            Op::Import => {
                for item in items {
                    match item.value {
                        Val::Dotted => {
                            let module = self.b.slice(item.span);
                            let root = module.split('.').next().unwrap_or(module);
                            let local = self.b.facts.intern(root);
                            let what = if root == module { Item_::Module } else { Item_::Root };
                            self.import(module, what, Some(local), item.span.line);
                        }
                        Val::Alias(name, alias) => {
                            let module = self.b.slice(name);
                            self.import(module, Item_::Module, Some(alias), item.span.line);
                        }
                        _ => {}
                    }
                }
                return None;
            }
            Op::ImportFrom => {
                let module: String = items
                    .iter()
                    .find(|item| item.field == fields.module_name)
                    .map(|item| self.b.slice(item.span).split_whitespace().collect())
                    .unwrap_or_default();
                for item in items.iter().filter(|item| item.field != fields.module_name) {
                    match item.value {
                        Val::Dotted => {
                            let name = self.b.slice(item.span);
                            let local = self.b.facts.intern(name);
                            self.import(&module, Item_::Member(name.into()), Some(local), span.line);
                        }
                        Val::Alias(name, alias) => {
                            let name = self.b.slice(name);
                            self.import(&module, Item_::Member(name.into()), Some(alias), span.line);
                        }
                        Val::Star => self.import(&module, Item_::Star, None, span.line),
                        _ => {}
                    }
                }
                return None;
            }
            _ => return None,
        };
        Some(Val::Expr(value))
    }
}

impl Python<'_> {
    /// The grammar reads `[*f()]` as a call of `*f`: the star belongs to the whole.
    fn unspread(&self, id: ExprId) -> (ExprId, bool) {
        match *self.b.facts.kind(id) {
            ExprKind::Spread(inner) => (inner, true),
            _ => (id, false),
        }
    }

    fn respread(&mut self, id: ExprId, spread: bool, span: Span) -> ExprId {
        if spread { self.b.expr(ExprKind::Spread(id), span) } else { id }
    }

    fn is_text(&self, id: ExprId) -> bool {
        matches!(self.b.facts.kind(id), ExprKind::Text(_) | ExprKind::Concat(_))
    }

    /// An expression that says it is a folder: by its name, by what makes it, by what was joined to it already.
    fn is_folder(&self, id: ExprId) -> bool {
        let says = |sym: Sym| {
            let name = self.b.facts.name(sym).to_ascii_lowercase();
            let ends = ["dir", "directory", "folder", "path", "root", "parent", "home", "base"];
            ends.iter().any(|end| name == *end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('_')))
        };
        match *self.b.facts.kind(id) {
            ExprKind::Name(sym) | ExprKind::Attr(_, sym) => says(sym),
            ExprKind::Call(call) => match *self.b.facts.kind(self.b.facts.calls[call as usize].callee) {
                ExprKind::Name(sym) | ExprKind::Attr(_, sym) => says(sym) || self.b.facts.name(sym) == "cwd",
                _ => false,
            },
            ExprKind::Concat(_) => true,
            _ => false,
        }
    }

    fn is_named(&self, id: ExprId) -> bool {
        matches!(self.b.facts.kind(id), ExprKind::Name(_) | ExprKind::Attr(..))
    }

    /// The operator between two operands.
    fn between(&self, left: ExprId, right: ExprId) -> &str {
        let (end, start) = (self.b.facts.expr(left).end, self.b.facts.expr(right).start);
        let text = self.b.text.get(end as usize..start as usize).unwrap_or("");
        text.trim_matches(|c: char| c.is_whitespace() || "()\\".contains(c)).split_whitespace().next().unwrap_or("")
    }
}
