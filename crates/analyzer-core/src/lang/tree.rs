//! Parsing within a budget of counted work, and one walk that gives every node its children's values first.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::work;
use tree_sitter::{Language, Node, ParseOptions, ParseState, Parser, Tree};

/// Bytes that one call of the parser's read callback hands out.
const CHUNK: usize = 4096;

/// A grammar, by its place in the parsers of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    Python,
    JavaScript,
    TypeScript,
    Tsx,
}

impl Grammar {
    pub fn language(self) -> Language {
        #[cfg(feature = "mimalloc")]
        super::allocator::install();
        match self {
            Grammar::Python => tree_sitter_python::LANGUAGE.into(),
            Grammar::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Grammar::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Grammar::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
        }
    }
}

/// Why there is no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gave {
    /// More work than the file's size justifies.
    UpBudget,
    /// The caller asked to stop.
    UpCancelled,
}

thread_local! {
    /// One parser for each grammar and thread: a new one costs 0.2 million instructions.
    static PARSERS: RefCell<[Option<Parser>; 4]> = const { RefCell::new([None, None, None, None]) };
}

/// Work that a file of this size may cost: ticks of the progress callback, and bytes read by the lexer.
///
/// Ordinary files above 20 kB need at most 2.2 bytes read and 0.015 ticks per byte (`cargo bench --bench analyze --
/// budget`). An unclosed triple quote makes the lexer
/// read to the end of the file again and again; that is what the bound on bytes stops.
fn budget(len: usize) -> (usize, usize) {
    (len / 8 + 20_000, len * 16 + (1 << 20))
}

/// Counted work of one parse, and what the text's size allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Calls of the parser's progress callback.
    pub ticks: usize,
    /// Bytes that the lexer was given.
    pub bytes: usize,
    /// Ticks allowed.
    pub max_ticks: usize,
    /// Bytes allowed.
    pub max_bytes: usize,
    /// There is a tree.
    pub complete: bool,
}

/// The syntax tree of a text.
pub fn parse(grammar: Grammar, text: &str, cancel: Option<&AtomicBool>) -> Result<Tree, Gave> {
    parse_counted(grammar, text, cancel).0
}

/// The syntax tree of a text, and what it cost.
pub fn parse_counted(grammar: Grammar, text: &str, cancel: Option<&AtomicBool>) -> (Result<Tree, Gave>, Cost) {
    PARSERS.with_borrow_mut(|parsers| {
        let parser = parsers[grammar as usize].get_or_insert_with(|| {
            let language = grammar.language(); // Before anything else: it decides where memory comes from.
            let mut parser = Parser::new();
            parser.set_language(&language).expect("grammar and runtime agree");
            parser
        });
        let (max_ticks, max_bytes) = budget(text.len());
        let (mut ticks, bytes) = (0_usize, std::cell::Cell::new(0_usize));
        let cancelled = || cancel.is_some_and(|flag| flag.load(Ordering::Relaxed));
        let mut read = |offset: usize, _| {
            let end = (offset + CHUNK).min(text.len());
            let chunk = text.as_bytes().get(offset..end).unwrap_or_default();
            bytes.set(bytes.get() + chunk.len());
            chunk
        };
        let mut watch = |_: &ParseState| {
            ticks += 1;
            let go_on = ticks <= max_ticks && bytes.get() <= max_bytes && !cancelled();
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut watch);
        let tree = parser.parse_with_options(&mut read, None, Some(options));
        let cost = Cost { ticks, bytes: bytes.get(), max_ticks, max_bytes, complete: tree.is_some() };
        work::done(cost.ticks + cost.bytes / CHUNK);
        let tree = tree.ok_or_else(|| {
            parser.reset(); // Or the next file would resume this one.
            if cancelled() { Gave::UpCancelled } else { Gave::UpBudget }
        });
        (tree, cost)
    })
}

/// Where a node stands.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub start: u32,
    pub end: u32,
    pub line: u32,
}

impl Span {
    fn of(node: &Node) -> Span {
        Span {
            start: node.start_byte() as u32,
            end: node.end_byte() as u32,
            line: node.start_position().row as u32 + 1,
        }
    }
}

/// What a child gave its parent.
#[derive(Debug, Clone, Copy)]
pub struct Item<V> {
    pub field: u16,
    pub span: Span,
    pub value: V,
}

/// What to do with a node when the walk reaches it.
pub enum Visit<V> {
    /// Walk its children, then ask `leave` for its value.
    Descend,
    /// Take this value and do not look inside.
    Value(V),
    /// Walk its children and hand their values to the parent as if they were its own, in this node's field.
    Transparent,
    /// Nothing in it matters.
    Skip,
}

/// A language's side of the walk.
pub trait Visitor {
    type Value: Copy;
    /// Whether roles of the children of such a node decide anything; finding out costs as much as a step of the walk.
    fn asks_roles(&self, _kind: u16) -> bool {
        true
    }
    /// Called for each named node, parents first. `parent` is the kind of the parent, `field` the role in it.
    fn enter(&mut self, kind: u16, parent: u16, field: u16, span: Span) -> Visit<Self::Value>;
    /// Called when all children are done, with their values in order; none for nothing to hand on.
    fn leave(&mut self, kind: u16, parent: u16, span: Span, items: &[Item<Self::Value>]) -> Option<Self::Value>;
}

/// One walk over the named nodes of a tree: linear time, no recursion.
pub fn walk<V: Visitor>(tree: &Tree, visitor: &mut V) {
    struct Frame {
        kind: u16,
        field: u16,
        span: Span,
        items: usize,
        transparent: bool,
        asks_roles: bool,
    }
    let mut cursor = tree.walk();
    let mut frames: Vec<Frame> = Vec::with_capacity(64);
    let mut items: Vec<Item<V::Value>> = Vec::with_capacity(256);
    loop {
        let node = cursor.node();
        let mut descended = false;
        work::done(1);
        if node.is_named() {
            let (kind, span) = (node.kind_id(), Span::of(&node));
            let (parent, asks_roles) = frames.last().map_or((0, false), |f| (f.kind, f.asks_roles));
            let field = if asks_roles { cursor.field_id().map_or(0, |id| id.get()) } else { 0 };
            let visit = visitor.enter(kind, parent, field, span);
            match visit {
                Visit::Descend | Visit::Transparent => {
                    let transparent = matches!(visit, Visit::Transparent);
                    let asks_roles = visitor.asks_roles(kind);
                    frames.push(Frame { kind, field, span, items: items.len(), transparent, asks_roles });
                    descended = cursor.goto_first_child();
                    if !descended {
                        finish(visitor, &mut frames, &mut items);
                    }
                }
                Visit::Value(value) => items.push(Item { field, span, value }),
                Visit::Skip => {}
            }
        }
        if descended {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
            finish(visitor, &mut frames, &mut items);
        }
    }

    fn finish<V: Visitor>(visitor: &mut V, frames: &mut Vec<Frame>, items: &mut Vec<Item<V::Value>>) {
        let Some(frame) = frames.pop() else { return };
        if frame.transparent {
            for item in items[frame.items..].iter_mut().filter(|item| item.field == 0) {
                item.field = frame.field;
            }
            return;
        }
        let parent = frames.last().map_or(0, |f| f.kind);
        let value = visitor.leave(frame.kind, parent, frame.span, &items[frame.items..]);
        items.truncate(frame.items);
        if let Some(value) = value {
            items.push(Item { field: frame.field, span: frame.span, value });
        }
    }
}
