//! JavaScript, JSX, TypeScript and TSX to facts.

use std::borrow::Cow;
use std::sync::Arc;

use thin_vec::{ThinVec, thin_vec};

use super::builder::{Builder, listed};
use super::literal;
use super::tree::{Grammar, Item, Span, Visit, Visitor};
use crate::facts::{Item as Imported, *};

/// What a kind of node means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Pass,
    Skip,
    Arguments,
    Array,
    Arrow,
    Assignment,
    Augmented,
    Binary,
    Block,
    Bool,
    Call,
    Case,
    Class,
    ClassBody,
    Clause,
    Comment,
    Computed,
    Declarator,
    Decorator,
    Default,
    EnumAssignment,
    EnumBody,
    Else,
    Export,
    ExportSpecifier,
    ExprStatement,
    Escape,
    Field,
    First,
    ForIn,
    Function,
    Heritage,
    Identifier,
    If,
    Import,
    ImportClause,
    Interface,
    Intersection,
    ImportSpecifier,
    Key,
    Member,
    MetaProperty,
    Method,
    NamespaceImport,
    New,
    Null,
    Number,
    Object,
    Pair,
    Parameter,
    Parameters,
    Return,
    Shape,
    Shorthand,
    Signature,
    Spread,
    Str,
    StrPart,
    Subscript,
    Template,
    Ternary,
    This,
    Transparent,
    Try,
    TypeAlias,
    Unknown,
}

/// What the kinds of one grammar mean, and the fields that decide something.
pub struct Table {
    ops: Vec<Op>,
    alias: u16,
    body: u16,
    constructor: u16,
    function: u16,
    left: u16,
    name: u16,
    parameter: u16,
    pattern: u16,
    property: u16,
    right: u16,
    source: u16,
    r#type: u16,
    value: u16,
    decorator: u16,
}

impl Table {
    pub fn new(grammar: Grammar) -> Table {
        let language = grammar.language();
        let id = |name| language.field_id_for_name(name).map_or(u16::MAX, |id| id.get());
        Table {
            ops: (0..language.node_kind_count() as u16)
                .map(|i| op(language.node_kind_for_id(i).unwrap_or("")))
                .collect(),
            alias: id("alias"),
            body: id("body"),
            constructor: id("constructor"),
            function: id("function"),
            left: id("left"),
            name: id("name"),
            parameter: id("parameter"),
            pattern: id("pattern"),
            property: id("property"),
            right: id("right"),
            source: id("source"),
            r#type: id("type"),
            value: id("value"),
            decorator: id("decorator"),
        }
    }
}

fn op(kind: &str) -> Op {
    match kind {
        "arguments" => Op::Arguments,
        "array" | "array_pattern" | "sequence_expression" => Op::Array,
        "arrow_function" => Op::Arrow,
        "assignment_expression" => Op::Assignment,
        "augmented_assignment_expression" => Op::Augmented,
        "binary_expression" => Op::Binary,
        "statement_block" => Op::Block,
        "true" | "false" => Op::Bool,
        "call_expression" => Op::Call,
        "switch_case" | "switch_default" => Op::Case,
        "class" | "class_declaration" | "abstract_class_declaration" => Op::Class,
        "class_body" => Op::ClassBody,
        "export_clause" | "named_imports" => Op::Clause,
        "comment" => Op::Comment,
        "computed_property_name" => Op::Computed,
        "variable_declarator" => Op::Declarator,
        "decorator" => Op::Decorator,
        "assignment_pattern" | "object_assignment_pattern" => Op::Default,
        "enum_assignment" => Op::EnumAssignment,
        "enum_declaration" => Op::EnumBody,
        "else_clause" => Op::Else,
        "export_statement" => Op::Export,
        "export_specifier" => Op::ExportSpecifier,
        "expression_statement" => Op::ExprStatement,
        "public_field_definition" | "field_definition" => Op::Field,
        "for_in_statement" => Op::ForIn,
        "function_declaration" | "function_expression" | "generator_function" | "generator_function_declaration" => {
            Op::Function
        }
        "class_heritage" | "extends_clause" | "extends_type_clause" => Op::Heritage,
        "identifier" | "type_identifier" => Op::Identifier,
        "if_statement" | "switch_statement" => Op::If,
        "import_statement" => Op::Import,
        "import_clause" => Op::ImportClause,
        "import_specifier" => Op::ImportSpecifier,
        "as_expression"
        | "satisfies_expression"
        | "non_null_expression"
        | "instantiation_expression"
        | "parenthesized_expression"
        | "await_expression"
        | "type_annotation"
        | "generic_type"
        | "union_type"
        | "parenthesized_type"
        | "readonly_type" => Op::First,
        "interface_declaration" => Op::Interface,
        "interface_body" | "object_type" => Op::Shape,
        "intersection_type" => Op::Intersection,
        "property_signature" => Op::Signature,
        "type_alias_declaration" => Op::TypeAlias,
        "property_identifier" | "private_property_identifier" => Op::Key,
        "member_expression" => Op::Member,
        "meta_property" => Op::MetaProperty,
        "method_definition" => Op::Method,
        "namespace_import" | "namespace_export" => Op::NamespaceImport,
        "new_expression" => Op::New,
        "null" | "undefined" => Op::Null,
        "number" => Op::Number,
        "object" | "object_pattern" => Op::Object,
        "pair" | "pair_pattern" => Op::Pair,
        "required_parameter" | "optional_parameter" => Op::Parameter,
        "formal_parameters" => Op::Parameters,
        "return_statement" => Op::Return,
        "shorthand_property_identifier" | "shorthand_property_identifier_pattern" => Op::Shorthand,
        "spread_element" | "rest_pattern" => Op::Spread,
        "string" => Op::Str,
        "string_fragment" => Op::StrPart,
        "subscript_expression" => Op::Subscript,
        "template_string" => Op::Template,
        "ternary_expression" => Op::Ternary,
        "this" | "super" | "import" => Op::This,
        "unary_expression" | "update_expression" | "regex" => Op::Unknown,
        "escape_sequence" => Op::Escape,
        "try_statement" => Op::Try,
        "lexical_declaration" | "variable_declaration" | "enum_body" => Op::Transparent,
        "html_character_reference"
        | "type_arguments"
        | "type_parameters"
        | "implements_clause"
        | "accessibility_modifier"
        | "function_signature"
        | "method_signature"
        | "abstract_method_signature"
        | "index_signature"
        | "type_predicate_annotation"
        | "asserts_annotation"
        | "break_statement"
        | "continue_statement"
        | "hash_bang_line"
        | "import_attribute"
        | "predefined_type"
        | "array_type"
        | "tuple_type"
        | "function_type"
        | "literal_type"
        | "conditional_type"
        | "lookup_type"
        | "type_query"
        | "index_type_query"
        | "template_literal_type"
        | "nested_type_identifier"
        | "constructor_type"
        | "this_type"
        | "existential_type"
        | "flow_maybe_type"
        | "override_modifier"
        | "optional_chain"
        | "jsx_text" => Op::Skip,
        _ => Op::Pass,
    }
}

/// What a node gives its parent.
#[derive(Debug, Clone, Copy)]
pub enum Val {
    Expr(ExprId),
    /// A key and a value; the key is none for a spread.
    Pair(ExprId, ExprId),
    /// A member's name, by its span.
    Key,
    /// `name as alias`, spans of the two; the local symbol.
    Specifier(Span, Span),
    /// Default import or `* as` import.
    Namespace(Sym),
    DefaultImport(Sym),
    Function(FunctionId),
    Class(ClassId),
    /// A declared name: what `export` in front of it exports.
    Declared(Sym),
}

pub struct JavaScript<'t> {
    pub b: Builder<'t>,
    table: &'static Table,
    open: Vec<(u32, u32)>,
    loops: Vec<ExprId>,
    params: Vec<(FunctionId, BlockId)>,
    tries: u32,
    /// Destructured parameters: the function, the name that stands for the whole, the pattern.
    patterns: Vec<(FunctionId, Sym, ExprId)>,
    /// Parameters that are fields at the same time: `constructor(private client: OpenAI)`.
    fields: Vec<(FunctionId, Sym)>,
    /// Decorators in a class's body whose method has not come yet, by the class's scope.
    marks: Vec<(ScopeId, ExprId)>,
}

impl<'t> JavaScript<'t> {
    pub fn new(text: &'t Arc<str>, table: &'static Table) -> Self {
        JavaScript {
            b: Builder::new(text),
            table,
            open: Vec::new(),
            loops: Vec::new(),
            params: Vec::new(),
            tries: 0,
            patterns: Vec::new(),
            fields: Vec::new(),
            marks: Vec::new(),
        }
    }

    fn op(&self, kind: u16) -> Op {
        self.table.ops.get(kind as usize).copied().unwrap_or(Op::Pass)
    }

    fn sym(&self, id: ExprId) -> Option<Sym> {
        match *self.b.facts.kind(id) {
            ExprKind::Name(sym) => Some(sym),
            _ => None,
        }
    }

    fn text_key(&mut self, span: Span) -> ExprId {
        let name = self.b.slice(span);
        self.b.text(Cow::Borrowed(name), span)
    }

    fn between(&self, left: ExprId, right: ExprId) -> &str {
        let (end, start) = (self.b.facts.expr(left).end, self.b.facts.expr(right).start);
        let text = self.b.text.get(end as usize..start as usize).unwrap_or("");
        text.trim_matches(|c: char| c.is_whitespace() || "()".contains(c)).split_whitespace().next().unwrap_or("")
    }

    /// `require("x")` and `import("x")` with a literal.
    fn dynamic_import(&mut self, callee: ExprId, args: &[Arg], span: Span) -> Option<ExprId> {
        let name = self.b.facts.name(self.sym(callee)?);
        if name != "require" && name != "import" {
            return None;
        }
        let module = self.b.facts.text(args.first()?.value)?.to_owned();
        let conditional = self.tries > 0;
        let import = Import {
            module: module.into(),
            item: Imported::Module,
            local: None,
            line: span.line,
            type_only: false,
            conditional,
        };
        let index = self.b.import(import);
        Some(self.b.expr(ExprKind::Import(index), span))
    }

    fn param(&mut self, pattern: ExprId, default: Option<ExprId>, annotation: Option<ExprId>) {
        let Some(&(function, _)) = self.params.last() else { return };
        let (pattern, kind) = match *self.b.facts.kind(pattern) {
            ExprKind::Spread(inner) => (inner, ParamKind::Rest),
            _ => (pattern, ParamKind::Plain),
        };
        let (pattern, default) = match *self.b.facts.kind(pattern) {
            ExprKind::Either(inner, value) => (inner, Some(value)),
            _ => (pattern, default),
        };
        let name = self.sym(pattern);
        self.b.function(function).params.push(Param { name, default, annotation, kind });
        if name.is_none() {
            // `({ model, url }) => …`: the parameter gets a name that no code can write, and its parts are bound to it.
            let index = self.b.function(function).params.len() - 1;
            let hidden = self.b.facts.intern(&format!("{{{index}}}"));
            self.b.function(function).params[index].name = Some(hidden);
            self.patterns.push((function, hidden, pattern));
        }
    }
}

fn exprs(items: &[Item<Val>]) -> impl Iterator<Item = ExprId> + Clone {
    items.iter().filter_map(|item| match item.value {
        Val::Expr(id) => Some(id),
        _ => None,
    })
}

fn by_field(items: &[Item<Val>], field: u16) -> Option<ExprId> {
    exprs_of(items, field).next()
}

fn exprs_of(items: &[Item<Val>], field: u16) -> impl Iterator<Item = ExprId> + Clone {
    items.iter().filter(move |item| item.field == field).filter_map(|item| match item.value {
        Val::Expr(id) => Some(id),
        _ => None,
    })
}

impl Visitor for JavaScript<'_> {
    type Value = Val;

    fn enter(&mut self, kind: u16, parent: u16, field: u16, span: Span) -> Visit<Val> {
        let (op, parent) = (self.op(kind), self.op(parent));
        let marks = match parent {
            Op::ClassBody if !matches!(op, Op::Decorator | Op::Comment) => self.take_marks(),
            _ => ThinVec::new(),
        };
        match op {
            Op::Skip => return Visit::Skip,
            Op::Comment => {
                self.b.facts.comments.push(Comment { start: span.start, end: span.end, line: span.line });
                return Visit::Skip;
            }
            Op::Identifier | Op::This => {
                let value = match parent {
                    Op::ImportClause => Val::DefaultImport(self.b.facts.intern(self.b.slice(span))),
                    _ => Val::Expr(self.b.name(span)),
                };
                return Visit::Value(value);
            }
            Op::MetaProperty => {
                // `import.meta`: written as a member, so that `import.meta.env` is one symbol.
                let import = self.b.facts.intern("import");
                let base = self.b.expr(ExprKind::Name(import), span);
                let meta = self.b.facts.intern("meta");
                return Visit::Value(Val::Expr(self.b.expr(ExprKind::Attr(base, meta), span)));
            }
            Op::Key => return Visit::Value(Val::Key),
            Op::Shorthand => {
                let key = self.text_key(span);
                return Visit::Value(Val::Pair(key, self.b.name(span)));
            }
            Op::Str => {
                let text = literal::javascript(self.b.slice(span));
                return Visit::Value(Val::Expr(self.b.text(text, span)));
            }
            Op::Template if !self.b.slice(span).contains("${") => {
                let text = literal::javascript(self.b.slice(span));
                return Visit::Value(Val::Expr(self.b.text(text, span)));
            }
            Op::StrPart if parent == Op::Template => {
                let text = Cow::Borrowed(self.b.slice(span));
                return Visit::Value(Val::Expr(self.b.text(text, span)));
            }
            Op::Escape if parent == Op::Template => {
                let text = literal::escapes(self.b.slice(span), false);
                return Visit::Value(Val::Expr(self.b.text(text, span)));
            }
            Op::StrPart | Op::Escape => return Visit::Skip,
            Op::Number => {
                let number = Cow::Borrowed(self.b.slice(span));
                return Visit::Value(Val::Expr(self.b.number(number, span)));
            }
            Op::Bool => {
                let kind = ExprKind::Bool(self.b.slice(span) == "true");
                return Visit::Value(Val::Expr(self.b.expr(kind, span)));
            }
            Op::Null => return Visit::Value(Val::Expr(self.b.expr(ExprKind::Null, span))),
            Op::Arguments | Op::Clause | Op::ImportClause | Op::Heritage | Op::Transparent => {
                return Visit::Transparent;
            }
            Op::Function | Op::Arrow | Op::Method => {
                let function = self.b.open_function(span.line);
                self.b.function(function).decorators = marks;
            }
            Op::Parameters => {
                if let Some(function) = self.b.current_function() {
                    self.params.push((function, self.b.block));
                }
                self.b.close_block();
            }
            Op::Class => {
                self.b.open_class(span.line);
            }
            Op::Shape | Op::Intersection => {
                let class = self.b.open_class(span.line);
                self.b.class(class).is_type = true;
            }
            Op::If => {
                let head = self.b.slice(span).lines().next().unwrap_or("");
                let main = head.contains("require.main") || head.contains("import.meta.main");
                let main = main || (head.contains("import.meta.url") && head.contains("process.argv"));
                if main && self.b.facts.main_guard.is_none() {
                    self.b.facts.main_guard = Some(span.line);
                }
                let group = if main { 0 } else { self.b.new_group() };
                self.open.push((group, 0));
            }
            Op::Try => self.tries += 1,
            Op::ForIn => self.loops.push(self.b.here()),
            Op::Block | Op::ExprStatement | Op::Return | Op::Case => {
                let arm = op == Op::Case || matches!(parent, Op::If | Op::Else);
                if arm {
                    let arm = self.open.last_mut().map_or((0, 0), |open| {
                        open.1 += 1;
                        *open
                    });
                    self.b.open_block(arm);
                } else if op == Op::Block && !matches!(parent, Op::Function | Op::Arrow | Op::Method) {
                    self.b.open_block((0, 0));
                }
            }
            _ => {}
        }
        let _ = field;
        Visit::Descend
    }

    fn leave(&mut self, kind: u16, parent: u16, span: Span, items: &[Item<Val>]) -> Option<Val> {
        let (op, parent) = (self.op(kind), self.op(parent));
        let t = self.table;
        let mut all = exprs(items);
        let value = match op {
            Op::Pass => {
                let first = all.next()?;
                return if all.next().is_none() { Some(Val::Expr(first)) } else { None };
            }
            Op::First => {
                let first = all.next()?;
                // `{ … } satisfies T`, `{ … } as T`
                self.typed(first, all.next());
                return Some(Val::Expr(first));
            }
            Op::Template => self.b.expr(ExprKind::Concat(listed(all)), span),
            Op::Member => {
                let base = all.next()?;
                let key = items.iter().find(|item| item.field == t.property)?.span;
                let sym = self.b.facts.intern(self.b.slice(key));
                self.b.expr(ExprKind::Attr(base, sym), span)
            }
            Op::Subscript => {
                let (base, key) = (all.next()?, all.next()?);
                self.b.expr(ExprKind::Index(base, key), span)
            }
            Op::Call | Op::New => {
                let field = if op == Op::New { t.constructor } else { t.function };
                let callee = by_field(items, field)?;
                let args = items.iter().filter(|item| item.field != field).filter_map(|item| match item.value {
                    Val::Expr(value) => Some(Arg { name: None, value }),
                    _ => None,
                });
                let args = listed(args);
                match self.dynamic_import(callee, &args, span) {
                    Some(import) => import,
                    None => self.b.call(callee, args, op == Op::New, span),
                }
            }
            Op::Spread => {
                let inner = all.next()?;
                self.b.expr(ExprKind::Spread(inner), span)
            }
            Op::Binary => {
                let (left, right) = (all.next()?, all.next()?);
                match self.between(left, right) {
                    "+" => self.b.concat(left, right, span),
                    "||" | "??" => self.b.expr(ExprKind::Either(left, right), span),
                    "&&" => return Some(Val::Expr(right)),
                    _ => self.b.expr(ExprKind::Unknown, span),
                }
            }
            Op::Ternary => {
                let branches: Vec<ExprId> = all.collect();
                match branches[..] {
                    [.., then, otherwise] => self.b.expr(ExprKind::Cond(then, otherwise), span),
                    _ => return None,
                }
            }
            Op::Unknown => self.b.expr(ExprKind::Unknown, span),
            Op::Array => self.b.expr(ExprKind::List(listed(all)), span),
            Op::Computed => return all.next().map(Val::Expr),
            Op::Pair => {
                let key = match items.first()?.value {
                    Val::Key => self.text_key(items.first()?.span),
                    Val::Expr(key) => key,
                    _ => return None,
                };
                let value = by_field(items, t.value)?;
                self.named(key, value);
                return Some(Val::Pair(key, value));
            }
            Op::Object => {
                let pairs = items.iter().filter_map(|item| match item.value {
                    Val::Pair(key, value) => Some((Some(key), value)),
                    Val::Expr(spread) => Some((None, spread)),
                    _ => None,
                });
                self.b.expr(ExprKind::Dict(listed(pairs)), span)
            }
            Op::Default => {
                let right = by_field(items, t.right)?;
                return match items.first()?.value {
                    Val::Pair(key, target) => {
                        let either = self.b.expr(ExprKind::Either(target, right), span);
                        Some(Val::Pair(key, either))
                    }
                    Val::Expr(target) => Some(Val::Expr(self.b.expr(ExprKind::Either(target, right), span))),
                    _ => None,
                };
            }
            Op::Declarator => {
                let target = by_field(items, t.name)?;
                let sym = self.sym(target);
                match (by_field(items, t.value), by_field(items, t.r#type)) {
                    (Some(value), annotation) => {
                        self.typed(value, annotation);
                        self.named(target, value);
                        self.b.assign(target, value);
                    }
                    (None, Some(annotation)) => {
                        if let Some(sym) = sym {
                            self.b.bind(sym, Bound::Annotation(annotation), span.line);
                        }
                    }
                    _ => {}
                }
                return sym.map(Val::Declared);
            }
            Op::Assignment => {
                let (target, value) = (by_field(items, t.left)?, by_field(items, t.right)?);
                self.named(target, value);
                self.b.assign(target, value);
                self.common_js_export(target, value);
                return Some(Val::Expr(value));
            }
            Op::Augmented => {
                let (target, value) = (by_field(items, t.left)?, by_field(items, t.right)?);
                let value = match self.between(target, value) {
                    "+=" => self.b.expr(ExprKind::Concat(thin_vec![target, value]), span),
                    "??=" | "||=" => value,
                    _ => return None,
                };
                self.b.assign(target, value);
                return Some(Val::Expr(value));
            }
            Op::ForIn => {
                let at = self.loops.pop()?;
                if let (Some(target), Some(iterated)) = (by_field(items, t.left), by_field(items, t.right)) {
                    let element = self.b.expr(ExprKind::Element(iterated), span);
                    self.b.assign_at(at, target, element);
                }
                return None;
            }
            Op::If => {
                self.open.pop();
                return None;
            }
            Op::Try => {
                self.tries -= 1;
                return None;
            }
            Op::Block | Op::ExprStatement | Op::Return | Op::Case => {
                let first = all.next();
                if op == Op::Return
                    && let (Some(value), Some(id)) = (first, self.b.current_function())
                {
                    self.b.function(id).returns.push(value);
                }
                if op == Op::ExprStatement
                    && let Some(id) = first
                {
                    let facts = &mut self.b.facts;
                    let is_call = matches!(facts.kind(id), ExprKind::Call(_));
                    if is_call && facts.blocks[self.b.block.0 as usize].scope == MODULE {
                        facts.first_top_level_call.get_or_insert(span.line);
                    }
                }
                let arm = op == Op::Case || matches!(parent, Op::If | Op::Else);
                if arm || (op == Op::Block && !matches!(parent, Op::Function | Op::Arrow | Op::Method)) {
                    self.b.close_block();
                }
                return None;
            }
            Op::Parameter => {
                let pattern = items.iter().find(|item| item.field == t.pattern || item.field == t.name);
                let annotation = by_field(items, t.r#type);
                let default = by_field(items, t.value);
                match pattern.or(items.first()).map(|item| item.value) {
                    Some(Val::Expr(pattern)) => {
                        if let (Some(sym), Some(&(function, _))) = (self.sym(pattern), self.params.last()) {
                            // `@Inject(KEY) private readonly client: OpenAI`
                            let mark = items.iter().rfind(|item| item.field == t.decorator);
                            let own = Span { start: mark.map_or(span.start, |mark| mark.span.end), ..span };
                            let first = self.b.slice(own).split_whitespace().next().unwrap_or("");
                            if ["private", "public", "protected", "readonly"].contains(&first) {
                                self.fields.push((function, sym));
                            }
                        }
                        self.param(pattern, default, annotation);
                    }
                    _ => self.param_unnamed(),
                }
                return None;
            }
            Op::Parameters => {
                // In JavaScript, patterns stand directly in the list; in TypeScript, each became a parameter already.
                let patterns: Vec<ExprId> = all.collect();
                for pattern in patterns {
                    self.param(pattern, None, None);
                }
                let (function, block) = self.params.pop()?;
                self.b.block = block;
                self.finish_params(function, span);
                return None;
            }
            Op::Function | Op::Arrow | Op::Method => return self.leave_function(op, parent, span, items),
            Op::Class => {
                let ScopeKind::Class(id) = self.b.facts.scopes[self.b.scope().0 as usize].kind else { return None };
                self.b.close_block();
                let name = by_field(items, t.name).and_then(|id| self.sym(id));
                let decorators = listed(exprs_of(items, t.decorator));
                let bases = items
                    .iter()
                    .filter(|item| ![t.name, t.decorator, t.body].contains(&item.field))
                    .filter_map(|item| match item.value {
                        Val::Expr(base) => Some(base),
                        _ => None,
                    })
                    .collect();
                let class = self.b.class(id);
                (class.name, class.bases, class.decorators) = (name, bases, decorators);
                if let Some(name) = name {
                    self.b.bind(name, Bound::Class(id), span.line);
                }
                if matches!(parent, Op::Declarator | Op::Assignment | Op::Pair) {
                    return Some(Val::Expr(self.b.expr(ExprKind::Class(id), span)));
                }
                return Some(Val::Class(id));
            }
            Op::Shape | Op::Intersection => {
                let ScopeKind::Class(id) = self.b.facts.scopes[self.b.scope().0 as usize].kind else { return None };
                self.b.close_block();
                if op == Op::Intersection {
                    self.b.class(id).bases = listed(all);
                }
                self.b.expr(ExprKind::Class(id), span)
            }
            Op::Interface => {
                let (name, body) = (by_field(items, t.name)?, by_field(items, t.body)?);
                let (sym, &ExprKind::Class(id)) = (self.sym(name)?, self.b.facts.kind(body)) else { return None };
                let class = self.b.class(id);
                (class.name, class.bases) = (Some(sym), listed(all.filter(|expr| ![name, body].contains(expr))));
                self.b.bind_type(sym, Bound::Class(id), span.line);
                return Some(Val::Declared(sym));
            }
            Op::TypeAlias => {
                let sym = self.sym(by_field(items, t.name)?)?;
                let value = by_field(items, t.value)?;
                if let ExprKind::Class(id) = *self.b.facts.kind(value) {
                    self.b.class(id).name = Some(sym);
                }
                self.b.bind_type(sym, Bound::Expr(value), span.line);
                return Some(Val::Declared(sym));
            }
            Op::Signature => {
                let key = items.iter().find(|item| matches!(item.value, Val::Key))?.span;
                let sym = self.b.facts.intern(self.b.slice(key));
                let annotation = by_field(items, t.r#type)?;
                self.b.bind(sym, Bound::Annotation(annotation), key.line);
                return None;
            }
            Op::Field => {
                let key = items.iter().find(|item| matches!(item.value, Val::Key))?.span;
                let sym = self.b.facts.intern(self.b.slice(key));
                let annotation = by_field(items, t.r#type);
                match (by_field(items, t.value), annotation) {
                    (Some(value), _) => {
                        let target = self.b.expr(ExprKind::Name(sym), key);
                        self.named(target, value);
                        if let ExprKind::Function(id) = *self.b.facts.kind(value) {
                            self.b.function(id).decorators.extend(exprs_of(items, t.decorator));
                        }
                        self.b.bind(sym, Bound::Expr(value), key.line);
                    }
                    (None, Some(annotation)) => self.b.bind(sym, Bound::Annotation(annotation), key.line),
                    _ => {}
                }
                return None;
            }
            Op::EnumAssignment => {
                let key = self.text_key(items.first()?.span);
                return Some(Val::Pair(key, by_field(items, t.value)?));
            }
            Op::EnumBody => {
                let name = by_field(items, t.name).and_then(|id| self.sym(id))?;
                let pairs = items
                    .iter()
                    .filter_map(|item| match item.value {
                        Val::Pair(key, value) => Some((Some(key), value)),
                        _ => None,
                    })
                    .collect();
                let dict = self.b.expr(ExprKind::Dict(pairs), span);
                self.b.bind(name, Bound::Expr(dict), span.line);
                return Some(Val::Declared(name));
            }
            Op::Decorator => {
                let mark = all.next()?;
                if parent == Op::ClassBody {
                    self.marks.push((self.b.scope(), mark));
                    return None;
                }
                return Some(Val::Expr(mark));
            }
            Op::ClassBody => {
                self.take_marks();
                return None;
            }
            Op::ImportSpecifier | Op::ExportSpecifier => {
                let name = items.first()?.span;
                let alias = items.iter().find(|item| item.field == t.alias).map_or(name, |item| item.span);
                return Some(Val::Specifier(name, alias));
            }
            Op::NamespaceImport => {
                let id = all.next()?;
                return self.sym(id).map(Val::Namespace);
            }
            Op::Import => {
                self.leave_import(span, items);
                return None;
            }
            Op::Export => {
                self.leave_export(span, items);
                return None;
            }
            _ => return None,
        };
        Some(Val::Expr(value))
    }
}

impl JavaScript<'_> {
    /// `const tool: Tool = { … }`: what an object is said to be.
    fn typed(&mut self, value: ExprId, annotation: Option<ExprId>) {
        let is_object = matches!(self.b.facts.kind(value), ExprKind::Dict(_));
        self.b.facts.typed.extend(annotation.filter(|_| is_object).map(|annotation| (value, annotation)));
    }

    /// The decorators that have come in the body of the class that is being read.
    fn take_marks(&mut self) -> ThinVec<ExprId> {
        let scope = self.b.scope();
        let first = self.marks.iter().rposition(|(of, _)| *of != scope).map_or(0, |at| at + 1);
        self.marks.drain(first..).map(|(_, mark)| mark).collect()
    }

    /// A function without a name takes that of the variable, key or field it is assigned to.
    fn named(&mut self, target: ExprId, value: ExprId) {
        let sym = match self.b.facts.kind(target).clone() {
            ExprKind::Name(sym) | ExprKind::Attr(_, sym) => sym,
            ExprKind::Text(text) => self.b.facts.intern_text(text),
            _ => return,
        };
        let line = self.b.facts.expr(target).line;
        if let ExprKind::Function(id) = *self.b.facts.kind(value) {
            let function = self.b.function(id);
            if function.name.is_none() {
                (function.name, function.line) = (Some(sym), line);
            }
        }
    }

    /// `module.exports = { a, b }`, `module.exports.a = …`, `exports.a = …`.
    fn common_js_export(&mut self, target: ExprId, value: ExprId) {
        let facts = &self.b.facts;
        let is = |id: ExprId, name: &str| matches!(*facts.kind(id), ExprKind::Name(sym) if facts.name(sym) == name);
        let ExprKind::Attr(base, sym) = *facts.kind(target) else { return };
        let name: Box<str> = facts.name(sym).into();
        let whole = is(base, "module") && &*name == "exports";
        let member = is(base, "exports")
            || matches!(*facts.kind(base), ExprKind::Attr(m, e) if is(m, "module") && facts.name(e) == "exports");
        if whole {
            let mut exports = vec![("default".into(), Exported::Expr(value))];
            if let ExprKind::Dict(pairs) = facts.kind(value) {
                for &(key, value) in pairs {
                    if let Some(key) = key.and_then(|key| facts.text(key)) {
                        exports.push((key.into(), Exported::Expr(value)));
                    }
                }
            }
            self.b.facts.exports.extend(exports);
        } else if member {
            self.b.facts.exports.push((name, Exported::Expr(value)));
        }
    }

    fn param_unnamed(&mut self) {
        if let Some(&(function, _)) = self.params.last() {
            let param = Param { name: None, default: None, annotation: None, kind: ParamKind::Plain };
            self.b.function(function).params.push(param);
        }
    }

    fn finish_params(&mut self, function: FunctionId, span: Span) {
        self.b.bind_params(function);
        while let Some(&(owner, hidden, pattern)) = self.patterns.last() {
            if owner != function {
                break;
            }
            self.patterns.pop();
            let whole = self.b.expr(ExprKind::Name(hidden), span);
            self.b.assign(pattern, whole);
        }
        while let Some(&(owner, sym)) = self.fields.last() {
            if owner != function {
                break;
            }
            self.fields.pop();
            if let Some(class) = self.b.function(function).class {
                let scope = self.b.class(class).scope;
                let value = self.b.expr(ExprKind::Name(sym), span);
                self.b.bind_in(scope, sym, Bound::Expr(value), span.line);
            }
        }
    }

    fn leave_function(&mut self, op: Op, parent: Op, span: Span, items: &[Item<Val>]) -> Option<Val> {
        let t = self.table;
        let ScopeKind::Function(id) = self.b.facts.scopes[self.b.scope().0 as usize].kind else { return None };
        if op == Op::Arrow {
            if let Some(pattern) = by_field(items, t.parameter) {
                // `x => …`: the only parameter has no list around it; its uses came already, so it counts from the start.
                self.params.push((id, self.b.block));
                self.param(pattern, None, None);
                self.params.pop();
                self.b.position = Some(ExprId(0));
                self.finish_params(id, span);
                self.b.position = None;
            }
            let body = by_field(items, t.body);
            self.b.function(id).returns.extend(body);
        }
        self.b.close_block();
        let key = items.iter().find(|item| item.field == t.name);
        let name = key.map(|item| self.b.slice(item.span).trim_matches(['"', '\'']));
        let name = name.map(|name| self.b.facts.intern(name));
        self.b.function(id).name = name;
        match op {
            Op::Method => {
                let (sym, key) = (name?, key?.span);
                // In JavaScript a method's decorators are a part of it, in TypeScript they stand in front of it.
                self.b.function(id).decorators.extend(exprs_of(items, t.decorator));
                self.b.function(id).line = key.line;
                // `get client()`, `private static get client()`; a method may be called `get` itself.
                let start =
                    items.iter().rfind(|item| item.field == t.decorator).map_or(span.start, |item| item.span.end);
                let head = self.b.slice(Span { start, end: key.start, ..span });
                if head.split_whitespace().any(|word| word == "get") {
                    let property = self.b.facts.intern("property");
                    let decorator = self.b.expr(ExprKind::Name(property), span);
                    self.b.function(id).decorators.push(decorator);
                }
                if matches!(self.b.facts.scopes[self.b.scope().0 as usize].kind, ScopeKind::Class(_)) {
                    self.b.bind(sym, Bound::Function(id), key.line);
                    return None;
                }
                let key = self.text_key(key);
                let function = self.b.expr(ExprKind::Function(id), span);
                self.b.function(id).expr = Some(function);
                Some(Val::Pair(key, function))
            }
            Op::Function
                if !matches!(parent, Op::Declarator | Op::Assignment | Op::Pair | Op::Arguments) && name.is_some() =>
            {
                let sym = name?;
                // Declarations are hoisted: they count from the start of their scope.
                self.b.position = Some(ExprId(0));
                self.b.bind(sym, Bound::Function(id), span.line);
                self.b.position = None;
                Some(Val::Function(id))
            }
            _ => {
                let function = self.b.expr(ExprKind::Function(id), span);
                self.b.function(id).expr = Some(function);
                Some(Val::Expr(function))
            }
        }
    }

    fn leave_import(&mut self, span: Span, items: &[Item<Val>]) {
        let t = self.table;
        let Some(source) = by_field(items, t.source) else { return };
        let Some(module) = self.b.facts.text(source).map(str::to_owned) else { return };
        let text = self.b.slice(span);
        let head = text["import".len().min(text.len())..].trim_start();
        let all_types = head.strip_prefix("type").is_some_and(|rest| {
            let rest_trimmed = rest.trim_start();
            rest.starts_with([' ', '{', '*']) && !rest_trimmed.starts_with("from") && !rest_trimmed.starts_with(',')
        });
        let mut any = false;
        for item in items {
            let (what, local, type_only) = match item.value {
                Val::DefaultImport(sym) => (Imported::Member("default".into()), sym, all_types),
                Val::Namespace(sym) => (Imported::Module, sym, all_types),
                Val::Specifier(name, alias) => {
                    let own_type = self.b.slice(item.span).starts_with("type ");
                    let local = self.b.facts.intern(self.b.slice(alias));
                    let name = self.b.slice(name).trim_matches(['"', '\'']);
                    (Imported::Member(name.into()), local, all_types || own_type)
                }
                _ => continue,
            };
            any = true;
            let module = module.as_str().into();
            let import =
                Import { module, item: what, local: Some(local), line: span.line, type_only, conditional: false };
            // Imports are hoisted.
            self.b.position = Some(ExprId(0));
            self.b.import(import);
            self.b.position = None;
        }
        if !any {
            let (item, type_only) = (Imported::Effect, all_types || head.starts_with('{') && head.contains('}'));
            let module = module.into();
            self.b.import(Import { module, item, local: None, line: span.line, type_only, conditional: false });
        }
    }

    fn leave_export(&mut self, span: Span, items: &[Item<Val>]) {
        let t = self.table;
        let text = self.b.slice(span);
        let head = text["export".len().min(text.len())..].trim_start();
        let type_only = head.starts_with("type ") || head.starts_with("interface ");
        let is_default = head.starts_with("default");
        let source = by_field(items, t.source).and_then(|id| self.b.facts.text(id)).map(str::to_owned);
        let line = span.line;
        if let Some(module) = source {
            let import = |item| Import {
                module: module.as_str().into(),
                item,
                local: None,
                line,
                type_only,
                conditional: false,
            };
            let mut named = false;
            for item in items {
                match item.value {
                    Val::Specifier(name, alias) => {
                        let (name, alias) = (self.b.slice(name), self.b.slice(alias));
                        let index = self.b.import(import(Imported::Member(name.into())));
                        self.b.facts.exports.push((alias.into(), Exported::Import(index)));
                        named = true;
                    }
                    Val::Namespace(sym) => {
                        let index = self.b.import(import(Imported::Module));
                        let name = self.b.facts.name(sym).into();
                        self.b.facts.exports.push((name, Exported::Import(index)));
                        named = true;
                    }
                    _ => {}
                }
            }
            if !named {
                self.b.import(import(Imported::Star));
            }
            return;
        }
        for item in items {
            // `@Injectable() export class …`
            if let Val::Class(id) = item.value {
                self.b.class(id).decorators.extend(exprs_of(items, t.decorator));
            }
            let (name, exported) = match item.value {
                Val::Specifier(name, alias) => {
                    let local = self.b.facts.intern(self.b.slice(name));
                    (self.b.slice(alias).to_owned(), Exported::Local(local))
                }
                Val::Declared(sym) => (self.b.facts.name(sym).to_owned(), Exported::Local(sym)),
                Val::Function(id) => match self.b.function(id).name {
                    Some(sym) => (self.b.facts.name(sym).to_owned(), Exported::Local(sym)),
                    None => continue,
                },
                Val::Class(id) => match self.b.class(id).name {
                    Some(sym) => (self.b.facts.name(sym).to_owned(), Exported::Local(sym)),
                    None => continue,
                },
                Val::Expr(id) if is_default && item.field != t.decorator => ("default".into(), Exported::Expr(id)),
                _ => continue,
            };
            if is_default && name != "default" {
                self.b.facts.exports.push(("default".into(), exported));
            }
            self.b.facts.exports.push((name.into(), exported));
        }
    }
}
