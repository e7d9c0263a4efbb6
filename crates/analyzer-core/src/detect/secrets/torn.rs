//! Parts that look like a credential by themselves: the rest of it stands beside them, in a literal of the same text.

use std::ops::Range;

use super::candidate::Candidate;
use super::code::is_folding;
use super::fold;
use crate::facts::{ExprId, ExprKind, FileFacts};

/// Composites that are looked at in a file, and literals in one.
const COMPOSITES: usize = 4_096;
const LITERALS: usize = 256;
const DEPTH: usize = 24;

/// The reason code of a credential of which only a part was seen.
pub const PART: &str = "part";

/// Marks those that are parts: what is done for the place of a whole credential would leave the rest where it is.
pub fn mark(facts: &FileFacts, text: &str, found: &mut [Candidate]) {
    if found.is_empty() {
        return;
    }
    let composites = (0..facts.exprs.len() as u32).map(ExprId).filter(|id| is_composite(facts, *id));
    for id in composites.take(COMPOSITES) {
        let mut literals = Vec::new();
        gather(facts, id, DEPTH, &mut literals);
        let elsewhere = fold::fold_from(facts, id).map(|(_, elsewhere)| elsewhere).unwrap_or_default();
        elsewhere.into_iter().for_each(|id| gather(facts, id, DEPTH, &mut literals));
        if literals.len() < 2 {
            continue;
        }
        for candidate in found.iter_mut().filter(|candidate| !candidate.reasons.contains(&PART)) {
            let holds = |span: &Range<usize>| span.start <= candidate.span.start && candidate.span.end <= span.end;
            let rest = |span: &Range<usize>| !holds(span) && text.get(span.clone()).is_some_and(is_token);
            if literals.iter().any(holds) && literals.iter().any(rest) {
                candidate.reasons.push(PART);
            }
        }
    }
}

fn is_composite(facts: &FileFacts, id: ExprId) -> bool {
    match facts.kind(id) {
        ExprKind::Concat(_) | ExprKind::Percent(..) => true,
        ExprKind::Call(call) => is_folding(facts, &facts.calls[*call as usize]),
        _ => false,
    }
}

/// Places of the literals below an expression.
fn gather(facts: &FileFacts, id: ExprId, depth: usize, out: &mut Vec<Range<usize>>) {
    if depth == 0 || out.len() >= LITERALS {
        return;
    }
    let mut below = |id: ExprId| gather(facts, id, depth - 1, out);
    match facts.kind(id) {
        ExprKind::Text(_) => {
            let expr = facts.expr(id);
            out.push(expr.start as usize..expr.end as usize);
        }
        ExprKind::Concat(parts) | ExprKind::List(parts) => parts.iter().for_each(|part| below(*part)),
        ExprKind::Percent(left, right) => [*left, *right].into_iter().for_each(below),
        ExprKind::Attr(base, _) => below(*base),
        ExprKind::Call(call) => {
            let call = &facts.calls[*call as usize];
            below(call.callee);
            call.args.iter().for_each(|arg| below(arg.value));
        }
        _ => {}
    }
}

/// Letters and digits that no person chose: the middle or the end of something longer.
fn is_token(literal: &str) -> bool {
    // `b"…"`, or the text between the holes of a template.
    let quote = ['"', '\'', '`'];
    let inner = literal.find(quote).filter(|at| *at <= 2).map_or(literal, |at| &literal[at..]).trim_matches(quote);
    let has = |is: fn(&u8) -> bool| inner.as_bytes().iter().any(is);
    inner.len() >= 8
        && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-.~!*".contains(&b))
        && (has(u8::is_ascii_digit) || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
}
