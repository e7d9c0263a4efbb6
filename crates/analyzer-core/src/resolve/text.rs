//! Text that is put together: `+`, templates, `%`, `format`, `join`, paths, and the methods of strings.

use super::values::*;
use super::*;
use crate::analysis::Step;

impl Project<'_> {
    /// All ways to put the parts together, a few at most.
    pub(super) fn concat(&self, at: At, parts: &[ExprId], frames: &Frames, q: &mut Question) -> Vec<Known> {
        let mut whole: Vec<(Vec<Piece>, Vec<Step>)> = vec![(Vec::new(), Vec::new())];
        for &part in parts.iter().take(4_096) {
            let place = At { file: at.file, expr: part };
            let is_literal = matches!(self.facts(at.file).kind(part), ExprKind::Text(_));
            let add = |pieces: &mut Vec<Piece>, steps: &mut Vec<Step>, alternative: &Known| {
                match &alternative.value {
                    // A hole is named for what stands here.
                    Value::Text(more) if matches!(more[..], [Piece::Hole(_)]) => {
                        push_piece(pieces, Piece::Hole(self.hole_name(place)));
                    }
                    Value::Text(more) => more.iter().cloned().for_each(|piece| push_piece(pieces, piece)),
                    _ => push_piece(pieces, Piece::Hole(self.hole_name(place))),
                }
                if !is_literal && steps.len() < 12 {
                    steps.extend(alternative.steps.iter().cloned());
                }
            };
            let mut alternatives = self.values_in(place, frames, q);
            if !q.may_build(whole.len() * alternatives.iter().map(Known::size).sum::<usize>()) {
                alternatives = vec![self.hole(place)];
            }
            if let [only] = &alternatives[..] {
                whole.iter_mut().for_each(|(pieces, steps)| add(pieces, steps, only));
                continue;
            }
            let mut next = Vec::new();
            for (pieces, steps) in &whole {
                for alternative in &alternatives {
                    if next.len() == q.many {
                        break;
                    }
                    let (mut pieces, mut steps) = (pieces.clone(), steps.clone());
                    add(&mut pieces, &mut steps, alternative);
                    next.push((pieces, steps));
                }
            }
            if !next.is_empty() {
                whole = next;
            }
        }
        let what = if self.text_only(at, parts) { "literal" } else { "built text" };
        whole
            .into_iter()
            .map(|(pieces, mut steps)| {
                steps.push(self.step(at, what.into()));
                Known { value: Value::Text(pieces), steps, origin: at }
            })
            .collect()
    }

    pub(super) fn text_only(&self, at: At, parts: &[ExprId]) -> bool {
        parts.iter().all(|&part| self.facts(at.file).text(part).is_some())
    }

    /// `"…%s…" % values`.
    pub(super) fn percent(&self, at: At, template: At, values: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let Some(text) = self.text_in(template, frames, q) else { return vec![self.hole(at)] };
        let items: Vec<At> = match self.facts(values.file).kind(values.expr) {
            ExprKind::List(items) => items.iter().map(|&expr| At { file: at.file, expr }).collect(),
            _ => vec![values],
        };
        let mut pieces = Vec::new();
        let mut steps = Vec::new();
        let mut rest = text.as_str();
        let mut items = items.into_iter();
        while let Some(found) = rest.find('%') {
            push_piece(&mut pieces, Piece::Lit(rest[..found].to_owned()));
            rest = &rest[found + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                push_piece(&mut pieces, Piece::Lit("%".into()));
                rest = after;
            } else if let Some(after) = rest.strip_prefix(['s', 'd', 'r']) {
                rest = after;
                if let Some(known) = items.next().and_then(|item| self.values_in(item, frames, q).into_iter().next()) {
                    steps.extend(known.steps.clone());
                    match known.value {
                        Value::Text(more) => more.into_iter().for_each(|piece| push_piece(&mut pieces, piece)),
                        _ => push_piece(&mut pieces, Piece::Hole("value".into())),
                    }
                }
            } else {
                push_piece(&mut pieces, Piece::Lit("%".into()));
            }
        }
        push_piece(&mut pieces, Piece::Lit(rest.to_owned()));
        steps.push(self.step(at, "`%`".into()));
        vec![Known { value: Value::Text(pieces), steps, origin: at }]
    }

    /// `provider, model = name.split("/", 1)`: the part of a text that is known.
    pub(super) fn split_part(&self, base: At, key: &str, frames: &Frames, q: &mut Question) -> Option<Vec<Known>> {
        let index: usize = key.parse().ok()?;
        let facts = self.facts(base.file);
        let call = facts.call(base.expr)?;
        let ExprKind::Attr(text, method) = *facts.kind(call.callee) else { return None };
        let method = facts.name(method);
        if !matches!(method, "split" | "partition" | "rsplit" | "rpartition") {
            return None;
        }
        let argument = |place: usize, name: &str, q: &mut Question| {
            let (at, frames) =
                self.argument_in(base, frames, &[ArgRef::Position(place), ArgRef::Name(name.into())], q)?;
            self.text_in(at, &frames, q)
        };
        let separator = argument(0, "sep", q)?;
        let limit = argument(1, "maxsplit", q).and_then(|n| n.parse::<usize>().ok()).unwrap_or(usize::MAX - 1);
        let part = |text: &str| match method {
            "split" if self.is_python(base.file) => {
                text.splitn(limit.saturating_add(1), &separator).nth(index).map(str::to_owned)
            }
            "split" => text.split(&separator).nth(index).map(str::to_owned),
            "partition" => match (index, text.split_once(&separator)) {
                (0, Some((before, _))) => Some(before.to_owned()),
                (1, Some(_)) => Some(separator.clone()),
                (2, Some((_, after))) => Some(after.to_owned()),
                _ => None,
            },
            _ => text.rsplit_once(&separator).map(|(a, b)| if index == 0 { a } else { b }.to_owned()),
        };
        let known = self.values_in(At { file: base.file, expr: text }, frames, q);
        let mut out = Vec::new();
        for mut known in known {
            let Value::Text(pieces) = &mut known.value else { continue };
            match &mut pieces[..] {
                [Piece::Lit(text)] | [Piece::Env { default: Some(text), .. }] => match part(text) {
                    Some(piece) => *text = piece,
                    None => continue,
                },
                _ => continue,
            }
            out.push(known);
        }
        (!out.is_empty()).then_some(out)
    }

    /// `urljoin(a, b)`, `new URL(path, base)`, `posixpath.join(a, b)`.
    pub(super) fn joined(&self, symbol: &Symbol, at: At, frames: &Frames, q: &mut Question) -> Option<Vec<Known>> {
        let name = symbol.last()?;
        let (base, path) = match (symbol.module(), name) {
            ("urllib.parse" | "urlparse" | "requests.compat", "urljoin") => (0, 1),
            ("" | "url", "URL") if !symbol.is_python() => (1, 0),
            ("posixpath" | "os.path" | "path" | "path.posix", "join" | "resolve") => {
                return Some(self.path_join(at, frames, q));
            }
            _ => return None,
        };
        let argument = |index, q: &mut Question| self.argument_in(at, frames, &[ArgRef::Position(index)], q);
        let Some((path_at, path_frames)) = argument(path, q) else {
            let (only, frames) = argument(base, q)?;
            return Some(self.values_in(only, &frames, q));
        };
        let paths = self.values_in(path_at, &path_frames, q);
        let Some((base_at, base_frames)) = argument(base, q) else { return Some(paths) };
        let bases = self.values_in(base_at, &base_frames, q);
        let mut out = Vec::new();
        for base in &bases {
            for path in &paths {
                let (Value::Text(base_pieces), Value::Text(path_pieces)) = (&base.value, &path.value) else { continue };
                let mut steps = base.steps.clone();
                steps.extend(path.steps.iter().cloned());
                steps.push(self.step(at, format!("`{name}`")));
                let pieces = url::join(base_pieces, path_pieces);
                out.push(Known { value: Value::Text(pieces), steps, origin: base.origin });
            }
        }
        out.truncate(MANY);
        Some(out)
    }

    /// `os.path.join(a, b, …)`: the parts with slashes between them.
    pub(super) fn path_join(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<Known> {
        let args: Vec<ExprId> =
            self.call(at).map(|call| call.args.iter().map(|arg| arg.value).collect()).unwrap_or_default();
        let mut pieces = Vec::new();
        for (index, &expr) in args.iter().take(64).enumerate() {
            let first = self.values_in(At { file: at.file, expr }, frames, q).into_iter().next();
            let more = match first.map(|known| known.value) {
                Some(Value::Text(more)) => more,
                _ => vec![Piece::Hole(self.hole_name(At { file: at.file, expr }))],
            };
            let ends = matches!(pieces.last(), Some(Piece::Lit(text)) if text.ends_with('/'));
            let starts = matches!(more.first(), Some(Piece::Lit(text)) if text.starts_with('/'));
            if index > 0 && !ends && !starts {
                push_piece(&mut pieces, Piece::Lit("/".into()));
            }
            more.into_iter().for_each(|piece| push_piece(&mut pieces, piece));
        }
        vec![self.text_known(at, pieces, "`join`")]
    }

    /// Methods of text, dicts and lists.
    pub(super) fn text_method(
        &self,
        at: At,
        base: At,
        method: &str,
        frames: &Frames,
        q: &mut Question,
    ) -> Option<Vec<Known>> {
        let map = |known: Vec<Known>, f: &dyn Fn(&str) -> String| {
            let apply = |mut known: Known| {
                if let Value::Text(pieces) = &mut known.value {
                    for piece in pieces {
                        match piece {
                            Piece::Lit(text) => *text = f(text),
                            Piece::Env { default: Some(text), .. } => *text = f(text),
                            _ => {}
                        }
                    }
                }
                known
            };
            known.into_iter().map(apply).collect::<Vec<_>>()
        };
        let argument = |index, q: &mut Question| {
            let (at, frames) = self.argument_in(at, frames, &[ArgRef::Position(index)], q)?;
            self.text_in(at, &frames, q)
        };
        Some(match method {
            "strip" | "trim" | "encode" | "decode" | "toString" | "lower" | "upper" | "toLowerCase" | "valueOf"
            | "href" | "get_secret_value" | "as_posix" | "unwrap" | "human_repr" | "render" => {
                let known = self.values_in(base, frames, q);
                match method {
                    "strip" | "trim" if argument(0, q).is_none() => map(known, &|text| text.trim().to_owned()),
                    "lower" | "toLowerCase" => map(known, &str::to_ascii_lowercase),
                    "upper" => map(known, &str::to_ascii_uppercase),
                    _ => known,
                }
            }
            "rstrip" | "trimEnd" | "removesuffix" => {
                let end = argument(0, q);
                let mut known = self.values_in(base, frames, q);
                for known in &mut known {
                    if let Value::Text(pieces) = &mut known.value
                        && let Some(Piece::Lit(text) | Piece::Env { default: Some(text), .. }) = pieces.last_mut()
                    {
                        let trimmed = match &end {
                            Some(end) => text.trim_end_matches(end.as_str()),
                            None => text.trim_end(),
                        };
                        *text = trimmed.to_owned();
                    }
                }
                known
            }
            "lstrip" | "removeprefix" => self.values_in(base, frames, q),
            "replace" | "replaceAll" => {
                let known = self.values_in(base, frames, q);
                match (argument(0, q), argument(1, q)) {
                    (Some(from), Some(to)) if !from.is_empty() => map(known, &|text| text.replace(&from, &to)),
                    // A pattern: what it removes is usually the slash at the end.
                    _ => known,
                }
            }
            "format" => self.format(at, base, frames, q)?,
            "join" => {
                let separator = self.text_in(base, frames, q);
                let (list, separator) = match separator {
                    Some(separator) => (self.argument_in(at, frames, &[ArgRef::Position(0)], q)?, separator),
                    // JavaScript: `[a, b].join("/")`.
                    None => ((base, frames.clone()), argument(0, q).unwrap_or(",".into())),
                };
                self.join_list(at, list, &separator, q)?
            }
            "concat" => {
                let parts: Vec<ExprId> = self.call(at)?.args.iter().map(|arg| arg.value).collect();
                let parts: Vec<ExprId> = [base.expr].into_iter().chain(parts).collect();
                self.concat(at, &parts, frames, q)
            }
            "get" | "pop" | "setdefault" => {
                let key = argument(0, q)?;
                let found = self.element_in(&(base, frames.clone()), &key, q);
                let default =
                    || self.argument_in(at, frames, &[ArgRef::Position(1), ArgRef::Name("default".into())], q);
                let (value, frames) = found.or_else(default)?;
                self.values_in(value, &frames, q)
            }
            "read_text" | "read" => {
                let root = self.named_file(base, frames, q)?;
                self.values_in(root, &None, q)
            }
            // `model.split("/")[1]` and the like say nothing that is sure.
            _ => return None,
        })
    }

    pub(super) fn join_list(
        &self,
        at: At,
        list: (At, Frames),
        separator: &str,
        q: &mut Question,
    ) -> Option<Vec<Known>> {
        let items = self.elements_in(list.0, &list.1, q);
        if items.is_empty() {
            return None;
        }
        let mut pieces = Vec::new();
        let mut steps = Vec::new();
        for (index, (item, frames)) in items.into_iter().enumerate() {
            if index > 0 {
                push_piece(&mut pieces, Piece::Lit(separator.to_owned()));
            }
            match self.values_in(item, &frames, q).into_iter().next() {
                Some(Known { value: Value::Text(more), .. }) => {
                    more.into_iter().for_each(|piece| push_piece(&mut pieces, piece));
                }
                _ => push_piece(&mut pieces, Piece::Hole(self.hole_name(item))),
            }
        }
        steps.push(self.step(at, "`join`".into()));
        Some(vec![Known { value: Value::Text(pieces), steps, origin: at }])
    }

    /// `"…{}…{name}".format(…)`.
    pub(super) fn format(&self, at: At, base: At, frames: &Frames, q: &mut Question) -> Option<Vec<Known>> {
        let templates = self.values_in(base, frames, q);
        let mut out = Vec::new();
        for known in templates {
            let Value::Text(template) = &known.value else { continue };
            let mut pieces = Vec::new();
            let mut steps = known.steps.clone();
            let mut next = 0;
            for piece in template {
                let Piece::Lit(text) = piece else {
                    push_piece(&mut pieces, piece.clone());
                    continue;
                };
                let mut rest = text.as_str();
                while let Some(open) = rest.find('{') {
                    push_piece(&mut pieces, Piece::Lit(rest[..open].to_owned()));
                    rest = &rest[open + 1..];
                    if let Some(after) = rest.strip_prefix('{') {
                        push_piece(&mut pieces, Piece::Lit("{".into()));
                        rest = after;
                        continue;
                    }
                    let Some(close) = rest.find('}') else { break };
                    let field = rest[..close].split([':', '!']).next().unwrap_or("");
                    rest = &rest[close + 1..];
                    let place = match field.parse::<usize>() {
                        Ok(index) => ArgRef::Position(index),
                        Err(_) if field.is_empty() => {
                            next += 1;
                            ArgRef::Position(next - 1)
                        }
                        Err(_) => ArgRef::Name(field.split(['.', '[']).next().unwrap_or("").to_owned()),
                    };
                    let value = self.argument_in(at, frames, &[place], q);
                    match value.and_then(|(at, frames)| self.values_in(at, &frames, q).into_iter().next()) {
                        Some(Known { value: Value::Text(more), steps: more_steps, .. }) => {
                            steps.extend(more_steps);
                            more.into_iter().for_each(|piece| push_piece(&mut pieces, piece));
                        }
                        _ => {
                            let name = if field.is_empty() { "value" } else { field };
                            push_piece(&mut pieces, Piece::Hole(name.to_owned()));
                        }
                    }
                }
                push_piece(&mut pieces, Piece::Lit(rest.replace("}}", "}")));
            }
            steps.truncate(16);
            steps.push(self.step(at, "`format`".into()));
            out.push(Known { value: Value::Text(pieces), steps, origin: known.origin });
        }
        (!out.is_empty()).then_some(out)
    }
}
