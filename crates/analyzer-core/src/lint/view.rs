//! What rules are given, and how they say what they found.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::fix::Fix;
use super::sinks::Watched;
use super::taint::Taint;
use super::{Declared, Excerpts, Finding, LintOptions, Rule, Severity, execution, fingerprint, network, sinks};
use crate::analysis::{Analysis, Confidence, Step};
use crate::detect::secrets::Hiding;
use crate::facts::{FileFacts, ScopeKind};
use crate::manifest::Manifests;
use crate::memo::{self, Asked};
use crate::resolve::{At, Project};
use crate::sites::Context;
use crate::sources::{Language, Source, Sources};

/// What the analyzer knows when it is done with a project.
pub(crate) struct Looked<'a> {
    /// The visible files.
    pub sources: &'a Sources,
    /// The same without their credentials.
    pub redacted: Sources,
    /// What hides the credentials that were found.
    pub hiding: &'a Hiding,
    /// All calls, and the files together.
    pub cx: &'a Context<'a>,
    /// What manifests declare.
    pub manifests: &'a Manifests,
    /// The answer.
    pub analysis: &'a Analysis,
    /// Files that could start the program as well as the one that was chosen.
    pub rivals: &'a [String],
}

/// What a rule may ask.
pub struct Seen<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) analysis: &'a Analysis,
    pub(super) manifests: &'a Manifests,
    pub(super) rivals: &'a [String],
    pub(super) declared: &'a Declared,
    pub(super) lint: &'a LintOptions,
    /// What rules look for by name, by file.
    pub(super) watched: Vec<Arc<Watched>>,
    /// What the model decides, by file.
    decided: Vec<Arc<Vec<(&'static str, Draft)>>>,
    sources: &'a Sources,
    hiding: &'a Hiding,
    excerpts: Excerpts,
    by_path: FxHashMap<&'a str, usize>,
}

/// A place in a file: bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index among all files.
    pub file: usize,
    /// Bytes.
    pub span: Range<usize>,
}

/// A finding in the making.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub(super) place: Place,
    pub(super) severity: Option<Severity>,
    pub(super) confidence: Confidence,
    pub(super) message: String,
    pub(super) help: String,
    pub(super) because: Vec<Step>,
    pub(super) fix: Option<Fix>,
}

impl Draft {
    /// A finding that is as bad as its rule and sure.
    pub fn new(place: Place, message: impl Into<String>, help: impl Into<String>) -> Draft {
        let (message, help) = (message.into(), help.into());
        Draft { place, severity: None, confidence: Confidence::High, message, help, because: Vec::new(), fix: None }
    }

    /// As sure as this.
    pub fn confidence(self, confidence: Confidence) -> Draft {
        Draft { confidence, ..self }
    }

    /// As bad as this, whatever the rule says.
    pub fn severity(self, severity: Severity) -> Draft {
        Draft { severity: Some(severity), ..self }
    }

    /// With what led here.
    pub fn because(self, because: &[Step]) -> Draft {
        Draft { because: because.to_vec(), ..self }
    }

    /// With a repair.
    pub fn fix(self, fix: Option<Fix>) -> Draft {
        Draft { fix, ..self }
    }
}

impl<'a> Seen<'a> {
    pub(super) fn new(looked: &'a Looked<'a>, lint: &'a LintOptions) -> Seen<'a> {
        let files = looked.cx.project.files();
        let taint = Taint::new(looked.cx, looked.analysis, sinks::watched(looked.cx));
        Seen {
            cx: looked.cx,
            analysis: looked.analysis,
            manifests: looked.manifests,
            rivals: looked.rivals,
            declared: &lint.declared,
            lint,
            decided: decided(&taint),
            watched: taint.watched,
            sources: looked.sources,
            hiding: looked.hiding,
            excerpts: Excerpts::new(looked.sources, &looked.redacted, looked.cx.project.memo),
            by_path: files.iter().enumerate().map(|(index, file)| (&*file.source.path, index)).collect(),
        }
    }

    pub(super) fn into_excerpts(self) -> Excerpts {
        self.excerpts
    }

    /// All files, as the analyzer numbers them.
    pub fn files(&self) -> impl Iterator<Item = (usize, &'a Source, &'a Arc<FileFacts>)> + '_ {
        self.cx.project.files().iter().enumerate().map(|(index, file)| (index, file.source, &file.facts))
    }

    /// The file of a path.
    pub fn file(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// A file's text.
    pub fn text(&self, file: usize) -> &'a str {
        &self.cx.project.source(file).text
    }

    /// A file's path.
    pub fn path(&self, file: usize) -> &str {
        self.cx.project.path(file)
    }

    /// A file's facts.
    pub fn facts(&self, file: usize) -> &FileFacts {
        self.cx.project.facts(file)
    }

    /// The text of a file as it may be shown.
    pub(super) fn shown(&self, file: usize) -> Option<&Arc<str>> {
        self.excerpts.shown(self.path(file))
    }

    /// The visible files.
    pub(super) fn sources(&self) -> &Sources {
        self.sources
    }

    /// Where an expression stands.
    pub fn at(&self, at: At) -> Place {
        place(self.cx.project, at)
    }

    /// What the model decides, by one rule.
    pub(super) fn decided(&self, rule: &str) -> impl Iterator<Item = Draft> {
        let all = self.decided.iter().flat_map(|of_file| of_file.iter());
        all.filter(move |(own, _)| *own == rule).map(|(_, draft)| draft.clone())
    }

    /// A line of a file, without the space around it.
    pub fn line_of(&self, file: usize, line: u32) -> Place {
        line_of(self.cx.project, file, line)
    }

    /// A line of a path.
    pub fn line(&self, path: &str, line: u32) -> Option<Place> {
        Some(self.line_of(self.file(path)?, line))
    }

    /// From a line and column to the end of what redaction changes there.
    pub fn secret(&self, path: &str, line: u32, column: u32) -> Option<Place> {
        let file = self.file(path)?;
        let whole = self.line_of(file, line);
        let text = self.text(file);
        let begin = text[..whole.span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[begin..].find('\n').map_or(text.len(), |at| begin + at);
        // Lines as they are shown do not end with a carriage return.
        let end = begin + text[begin..end].strip_suffix('\r').map_or(end - begin, str::len);
        let start =
            text[begin..end].char_indices().nth(column.saturating_sub(1) as usize).map_or(begin, |(at, _)| begin + at);
        let kept = self.excerpts.unchanged_end(path, line, &text[begin..end]);
        Some(Place { file, span: start..(end - kept).max(start) })
    }

    /// The function or class around a place.
    fn symbol(&self, place: &Place) -> String {
        let facts = self.facts(place.file);
        let inside =
            |expr: &&crate::facts::Expr| expr.start as usize <= place.span.start && place.span.end <= expr.end as usize;
        let Some(expr) = facts.exprs.iter().filter(inside).min_by_key(|expr| expr.end - expr.start) else {
            return String::new();
        };
        let mut names = Vec::new();
        let mut scope = Some(facts.blocks[expr.block.0 as usize].scope);
        while let Some(at) = scope {
            let here = facts.scopes[at.0 as usize];
            let name = match here.kind {
                ScopeKind::Function(id) => facts.functions[id.0 as usize].name,
                ScopeKind::Class(id) => facts.classes[id.0 as usize].name,
                ScopeKind::Module => None,
            };
            names.extend(name.map(|name| facts.name(name)));
            scope = here.parent;
        }
        names.reverse();
        names.join(".")
    }

    pub(super) fn finding(&self, rule: &'static Rule, severity: Option<Severity>, draft: Draft) -> Finding {
        let text = self.text(draft.place.file);
        let [(line, column), (end_line, end_column)] =
            [draft.place.span.start, draft.place.span.end].map(|at| position(text, at));
        let file = self.path(draft.place.file).to_owned();
        let symbol = match self.cx.project.language(draft.place.file) {
            Language::Text => String::new(),
            _ => self.symbol(&draft.place),
        };
        let snippet = self.excerpts.between(&file, (line, column), (end_line, end_column));
        Finding {
            rule: rule.name,
            code: rule.code,
            severity: severity.or(draft.severity).unwrap_or(rule.severity),
            confidence: draft.confidence,
            fingerprint: fingerprint::of(rule.name, &format!("{}{file}", self.lint.prefix), &symbol, &snippet),
            message: self.hiding.hide(draft.message),
            help: self.hiding.hide(draft.help),
            file,
            line,
            column,
            end_line,
            end_column,
            symbol,
            because: draft.because,
            fix: draft.fix,
        }
    }
}

/// What the model decides in each file.
fn decided(taint: &Taint) -> Vec<Arc<Vec<(&'static str, Draft)>>> {
    let project = taint.cx.project;
    memo::each(project.memo, project.count(), Asked::Decided, taint, |taint, file| {
        let mut found = Vec::new();
        network::decided(taint, file, &mut found);
        execution::decided(taint, file, &mut found);
        found
    })
}

/// Where an expression stands.
pub(super) fn place(project: &Project, at: At) -> Place {
    let facts = project.facts(at.file);
    let expr = facts.expr(at.expr);
    let (start, end) = (expr.start as usize, expr.end as usize);
    // Cells of a notebook have places of their own; only the line is the file's.
    let own = facts.code.is_none() && project.source(at.file).text.get(start..end).is_some() && start < end;
    match own {
        true => Place { file: at.file, span: start..end },
        false => line_of(project, at.file, expr.line),
    }
}

fn line_of(project: &Project, file: usize, line: u32) -> Place {
    let text = &project.source(file).text;
    let mut start = 0;
    for _ in 1..line.max(1) {
        match text[start..].find('\n') {
            Some(end) => start += end + 1,
            None => break,
        }
    }
    let end = text[start..].find('\n').map_or(text.len(), |end| start + end);
    let line = &text[start..end];
    let before = line.len() - line.trim_start().len();
    Place { file, span: start + before..start + line.trim_end().len().max(before) }
}

/// Line and column of a byte.
pub(super) fn position(text: &str, at: usize) -> (u32, u32) {
    let before = &text[..at.min(text.len())];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() as u32 + 1, before[start..].chars().count() as u32 + 1)
}
