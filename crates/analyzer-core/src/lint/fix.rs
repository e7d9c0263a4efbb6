//! Repairs: edits of the submitted text, safe where the program keeps its meaning once the environment is set.

use serde::Serialize;

use super::view::{Place, Seen};
use crate::analysis::{Requirement, Secret};
use crate::facts::{Expr, ExprId, ExprKind, FileFacts, Item, MODULE};
use crate::sources::Language;

/// A repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What it does, in a few words.
    pub title: String,
    /// It can be made without looking.
    pub safe: bool,
    /// The edits, by place; they do not overlap.
    pub edits: Vec<Edit>,
}

/// Text in place of other text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edit {
    /// Path as submitted.
    pub file: String,
    /// First byte that is replaced.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
    /// What stands there afterwards.
    pub text: String,
}

/// A file's text with edits made, those of one place once; an edit that overlaps one before it is left out.
pub fn apply(file: &str, text: &str, edits: impl IntoIterator<Item = Edit>) -> String {
    let mut edits: Vec<Edit> = edits.into_iter().filter(|edit| edit.file == file).collect();
    edits.sort();
    edits.dedup();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        if edit.start < at || text.get(edit.start..edit.end).is_none() {
            continue;
        }
        out.push_str(&text[at..edit.start]);
        out.push_str(&edit.text);
        at = edit.end;
    }
    out.push_str(&text[at..]);
    out
}

/// The literal that is a credential becomes a look-up in the environment, with the import that it needs.
pub(super) fn to_environment(seen: &Seen, place: &Place, secret: &Secret) -> Option<Fix> {
    let file = place.file;
    let source = seen.cx.project.source(file);
    let facts = seen.facts(file);
    let variable = secret.suggested_env.as_deref()?;
    let is_code = source.language.is_python() || source.language.is_javascript();
    // A fallback must go, which changes what happens without the variable; a comment is nobody's value; a part is no whole.
    let cannot = ["fallback", "comment", "folded", "encoded", "part"];
    let kept = secret.reasons.iter().any(|reason| cannot.contains(&reason.as_str()));
    if !is_code || matches!(source.language, Language::Notebook | Language::Component) || facts.has_errors || kept {
        return None;
    }
    let (literal, expr) = literal_at(facts, place)?;
    // The whole literal must be the credential: between quotes nothing else stands there.
    let own = &source.text[expr.start as usize..expr.end as usize];
    let quotes = own.find(['"', '\'', '`'])?;
    let width = if own[quotes..].starts_with("\"\"\"") || own[quotes..].starts_with("'''") { 3 } else { 1 };
    let inner = expr.start as usize + quotes + width..(expr.end as usize).checked_sub(width)?;
    if inner != place.span || !stands_alone(facts, literal) {
        return None;
    }
    let mut edits = Vec::new();
    let look_up = match source.language {
        Language::Python => {
            edits.extend(import_os(facts, &source.text)?.map(|(at, text)| edit(&source.path, at..at, text)));
            format!("os.environ[\"{variable}\"]")
        }
        Language::JavaScript => format!("process.env.{variable}"),
        _ => format!("process.env.{variable}!"),
    };
    edits.push(edit(&source.path, expr.start as usize..expr.end as usize, look_up));
    edits.sort();
    Some(Fix { title: format!("read it from the environment as {variable}"), safe: true, edits })
}

fn edit(file: &str, span: std::ops::Range<usize>, text: String) -> Edit {
    Edit { file: file.to_owned(), start: span.start, end: span.end, text }
}

fn literal_at<'f>(facts: &'f FileFacts, place: &Place) -> Option<(ExprId, &'f Expr)> {
    let around = |expr: &&(usize, &Expr)| {
        let (start, end) = (expr.1.start as usize, expr.1.end as usize);
        matches!(expr.1.kind, ExprKind::Text(_)) && start < place.span.start && place.span.end < end
    };
    let literals: Vec<(usize, &Expr)> = facts.exprs.iter().enumerate().collect();
    let (index, expr) = *literals.iter().filter(around).min_by_key(|(_, expr)| expr.end - expr.start)?;
    Some((ExprId(index as u32), expr))
}

/// It is the value of an assignment, an argument, a default or a value of a dict, and no part of a longer text, no key
/// and no statement of its own.
fn stands_alone(facts: &FileFacts, literal: ExprId) -> bool {
    let own = facts.expr(literal);
    let same = |id: &ExprId| *id == literal || (facts.expr(*id).start, facts.expr(*id).end) == (own.start, own.end);
    let is_part = facts.exprs.iter().any(|expr| match &expr.kind {
        ExprKind::Concat(parts) => parts.iter().any(same),
        ExprKind::Percent(template, _) => same(template),
        ExprKind::Attr(base, _) => same(base),
        ExprKind::Index(_, key) => same(key),
        ExprKind::Dict(items) => items.iter().filter_map(|(key, _)| key.as_ref()).any(same),
        _ => false,
    });
    let is_statement = facts.docstrings.iter().any(same);
    let is_argument = facts.calls.iter().any(|call| call.args.iter().any(|arg| same(&arg.value)));
    let is_bound = facts.bindings.all().iter().any(|b| matches!(b.value, crate::facts::Bound::Expr(id) if same(&id)));
    let is_value = facts.exprs.iter().any(|expr| match &expr.kind {
        ExprKind::Dict(items) => items.iter().any(|(_, value)| same(value)),
        ExprKind::List(items) => items.iter().any(same),
        _ => false,
    });
    let is_placed = facts.place_assignments.iter().any(|place| same(&place.value));
    let is_default =
        facts.functions.iter().flat_map(|f| &f.params).any(|param| param.default.as_ref().is_some_and(same));
    !is_part && !is_statement && (is_argument || is_bound || is_value || is_placed || is_default)
}

/// Where `import os` goes, if it is needed; nothing at all where `os` means something else.
#[expect(clippy::option_option, reason = "no repair, a repair without an import, a repair with one")]
fn import_os(facts: &FileFacts, text: &str) -> Option<Option<(usize, String)>> {
    let is_os =
        |import: &crate::facts::Import| &*import.module == "os" && matches!(import.item, Item::Module | Item::Root);
    let named = |import: &&crate::facts::Import| import.local.is_some_and(|sym| facts.name(sym) == "os");
    if facts.imports.iter().any(|import| is_os(import) && named(&import) && !import.conditional) {
        return Some(None);
    }
    if facts.symbol("os").is_some_and(|os| facts.bindings.iter().any(|((_, sym), _)| *sym == os)) {
        return None;
    }
    let line_start = |line: u32| {
        let mut at = 0;
        for _ in 1..line {
            at += text[at..].find('\n')? + 1;
        }
        Some(at)
    };
    // Nothing may stand before the mark of a file's encoding.
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let first = facts.imports.iter().filter(|import| &*import.module != "__future__" && !import.conditional);
    let first = first.map(|import| import.line).min();
    let at = match first {
        Some(line) => line_start(line)?,
        None => {
            // Behind a docstring, a shebang and `from __future__`.
            let is_first = |id: &&ExprId| {
                facts.scope_of(**id) == MODULE
                    && text[mark..facts.expr(**id).start as usize].lines().all(|line| {
                        let line = line.trim();
                        line.is_empty() || line.starts_with('#')
                    })
            };
            let doc = facts.docstrings.iter().find(is_first).map(|id| facts.expr(*id).end as usize);
            let future = facts.imports.iter().map(|import| line_start(import.line)).max().flatten();
            match doc.max(future) {
                Some(at) => at + text[at..].find('\n')? + 1,
                None => {
                    let head = text[mark..].split_inclusive('\n').take_while(|line| line.starts_with('#'));
                    mark + head.map(str::len).sum::<usize>()
                }
            }
        }
    };
    let at = at.max(mark);
    // An indented import is inside something.
    (!text[at..].starts_with([' ', '\t'])).then(|| Some((at, format!("import os{}", line_end(text)))))
}

/// How the lines of a text end: as its first one does.
pub(super) fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The requirement goes to the end of the requirements file nearest to the import.
pub(super) fn add_requirement(seen: &Seen, package: &Requirement) -> Option<Fix> {
    if package.ecosystem != "pypi" {
        return None;
    }
    let above = |path: &str| {
        let folder = path.strip_suffix("requirements.txt")?;
        package.file.starts_with(folder).then_some(folder.len())
    };
    let files = seen.files().filter_map(|(file, source, _)| Some((above(&source.path)?, file)));
    let (_, file) = files.max()?;
    let text = seen.text(file);
    let end = line_end(text);
    let separator = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    let line = format!("{separator}{}{end}", package.specifier);
    let edits = vec![edit(seen.path(file), text.len()..text.len(), line)];
    Some(Fix { title: format!("add {} to {}", package.specifier, seen.path(file)), safe: true, edits })
}
