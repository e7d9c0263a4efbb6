//! What a string expression evaluates to, as far as its file tells: literals joined, decoded, cut.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::facts::{Bound, Call, ClassId, ExprId, ExprKind, FileFacts, Function, FunctionId, MODULE, ScopeKind, Sym};

/// What cannot be known: no credential holds it, so a match never reaches over it.
pub const HOLE: char = '\0';

/// Longest folded text, expressions looked at for one, and names followed.
const LONGEST: usize = 16_384;
const STEPS: usize = 256;
const DEPTH: usize = 24;

/// The text of an expression, with holes; none when nothing of it is known.
pub fn fold(facts: &FileFacts, id: ExprId) -> Option<String> {
    fold_from(facts, id).map(|(text, _)| text)
}

/// The same, and what the names in it stand for: texts that are written elsewhere.
pub fn fold_from(facts: &FileFacts, id: ExprId) -> Option<(String, Vec<ExprId>)> {
    let mut folder = Folder { facts, steps: STEPS, elsewhere: Vec::new(), given: Vec::new() };
    let text = folder.text(id, DEPTH)?;
    Some((text, folder.elsewhere))
}

/// The function of this file that a call asks, when it does nothing but give one thing back.
pub fn helper<'f>(facts: &'f FileFacts, call: &Call) -> Option<(FunctionId, &'f Function, ExprId)> {
    let ExprKind::Name(sym) = *facts.kind(call.callee) else { return None };
    let [binding] = facts.bindings_in(MODULE, sym) else { return None };
    let id = match binding.value {
        Bound::Function(id) => id,
        Bound::Expr(value) => match *facts.kind(value) {
            ExprKind::Function(id) => id,
            _ => return None,
        },
        _ => return None,
    };
    let function = &facts.functions[id.0 as usize];
    match function.returns[..] {
        [returned] if matches!(facts.kind(returned), ExprKind::Call(_) | ExprKind::Concat(_)) => {
            Some((id, function, returned))
        }
        _ => None,
    }
}

struct Folder<'f> {
    facts: &'f FileFacts,
    steps: usize,
    elsewhere: Vec<ExprId>,
    /// What the parameters of the functions stand for that are being followed.
    given: Vec<(FunctionId, u32, Option<String>)>,
}

impl Folder<'_> {
    fn text(&mut self, id: ExprId, depth: usize) -> Option<String> {
        self.steps = self.steps.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        match self.facts.kind(id) {
            ExprKind::Text(text) if text.len() <= LONGEST => Some(self.facts.text_of(*text).to_owned()),
            ExprKind::Concat(parts) => self.joined(parts, "", depth),
            ExprKind::Percent(template, values) => {
                let template = self.text(*template, depth)?;
                if let ExprKind::Dict(named) = self.facts.kind(*values) {
                    let named = named.iter().filter_map(|(key, value)| Some((self.facts.text((*key)?)?, *value)));
                    return self.filled(template, &named.collect::<Vec<_>>(), ("%(", ")s"), depth);
                }
                let values = match self.facts.kind(*values) {
                    ExprKind::List(values) => values.clone(),
                    _ => thin_vec::thin_vec![*values],
                };
                let mut pieces = template.split("%s");
                let mut out = pieces.next()?.to_owned();
                for (index, piece) in pieces.enumerate() {
                    let value = values.get(index).and_then(|value| self.text(*value, depth));
                    out.push_str(&value.unwrap_or_else(|| HOLE.to_string()));
                    out.push_str(piece);
                }
                Some(out)
            }
            ExprKind::Name(sym) => self.constant(*sym, id, depth),
            ExprKind::Call(call) => {
                let call = &self.facts.calls[*call as usize];
                self.call(call, depth).or_else(|| self.helped(call, depth))
            }
            ExprKind::Index(base, key) => {
                let value = self.entry(*base, *key)?;
                self.written(value, id, depth)
            }
            ExprKind::Attr(base, name) => {
                let value = self.member(*base, *name)?;
                self.written(value, id, depth)
            }
            _ => None,
        }
    }

    /// A text that is written elsewhere, before its use.
    fn written(&mut self, value: ExprId, at: ExprId, depth: usize) -> Option<String> {
        if value >= at {
            return None;
        }
        self.elsewhere.push(value);
        self.text(value, depth)
    }

    /// `parts["a"]`, `parts[0]`: what a table holds that a name is bound to once.
    fn entry(&self, base: ExprId, key: ExprId) -> Option<ExprId> {
        let table = self.origin(base)?;
        match (self.facts.kind(table), self.facts.kind(key)) {
            (ExprKind::Dict(_), ExprKind::Text(key)) => self.keyed(table, self.facts.text_of(*key)),
            (ExprKind::List(parts), ExprKind::Number(index)) => {
                parts.get(self.facts.text_of(*index).parse::<usize>().ok()?).copied()
            }
            _ => None,
        }
    }

    /// `Keys.head`, `self.head`, `keys.head`: what a class or an object holds.
    fn member(&self, base: ExprId, name: Sym) -> Option<ExprId> {
        let ExprKind::Name(sym) = *self.facts.kind(base) else { return None };
        let class = match self.facts.name(sym) {
            "self" | "cls" | "this" => self.class_around(base),
            _ => match self.facts.bindings_in(MODULE, sym) {
                [one] => match one.value {
                    Bound::Class(class) => Some(class),
                    _ => None,
                },
                _ => None,
            },
        };
        let Some(class) = class else { return self.keyed(self.origin(base)?, self.facts.name(name)) };
        match self.facts.bindings_in(self.facts.classes[class.0 as usize].scope, name) {
            [one] => match one.value {
                Bound::Expr(value) => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    fn class_around(&self, id: ExprId) -> Option<ClassId> {
        let mut scope = Some(self.facts.scope_of(id));
        for _ in 0..DEPTH {
            let here = self.facts.scopes[scope?.0 as usize];
            if let ScopeKind::Class(class) = here.kind {
                return Some(class);
            }
            scope = here.parent;
        }
        None
    }

    /// What a name is bound to once, in its own scope or the module's.
    fn origin(&self, id: ExprId) -> Option<ExprId> {
        let ExprKind::Name(sym) = *self.facts.kind(id) else { return None };
        let bindings = [self.facts.scope_of(id), MODULE].map(|scope| self.facts.bindings_in(scope, sym));
        let [binding] = bindings.into_iter().find(|bindings| !bindings.is_empty())? else { return None };
        match binding.value {
            Bound::Expr(value) => Some(value),
            _ => None,
        }
    }

    fn keyed(&self, dict: ExprId, wanted: &str) -> Option<ExprId> {
        let ExprKind::Dict(pairs) = self.facts.kind(dict) else { return None };
        let mut pairs = pairs.iter().take(STEPS);
        let is = |key: ExprId| match self.facts.kind(key) {
            ExprKind::Name(sym) => self.facts.name(*sym) == wanted,
            _ => self.facts.text(key) == Some(wanted),
        };
        pairs.find(|(key, _)| key.is_some_and(is)).map(|(_, value)| *value)
    }

    /// What a function of the file makes of its arguments: `reveal("…")`.
    fn helped(&mut self, call: &Call, depth: usize) -> Option<String> {
        let (id, function, returned) = helper(self.facts, call)?;
        let before = self.given.len();
        for (index, param) in function.params.iter().enumerate() {
            let named = call.args.iter().find(|arg| arg.name.is_some() && arg.name == param.name);
            let given = named.or_else(|| call.args.get(index).filter(|arg| arg.name.is_none()));
            let text = given.and_then(|arg| self.text(arg.value, depth));
            self.given.push((id, index as u32, text));
        }
        let text = self.text(returned, depth);
        self.given.truncate(before);
        text
    }

    /// A name that is bound once, in its own scope or the module's, or again and again in one block: then the last before.
    fn constant(&mut self, sym: Sym, at: ExprId, depth: usize) -> Option<String> {
        let own = self.facts.scope_of(at);
        for scope in [own, MODULE] {
            let bindings = self.facts.bindings_in(scope, sym);
            let Some(first) = bindings.first() else { continue };
            let straight = bindings.len() <= STEPS && bindings.iter().all(|binding| binding.block == first.block);
            let last = bindings.iter().rfind(|binding| straight && binding.at <= at)?;
            if let Bound::Param(function, index) = last.value {
                let given = self.given.iter().rfind(|(of, place, _)| (*of, *place) == (function, index))?;
                return given.2.clone();
            }
            let Bound::Expr(value) = last.value else { return None };
            if value >= at {
                return None;
            }
            self.elsewhere.push(value);
            return self.text(value, depth);
        }
        None
    }

    /// The elements of a list, also of one that a name is bound to once; such stand elsewhere.
    fn list(&mut self, id: ExprId) -> Option<thin_vec::ThinVec<ExprId>> {
        if let ExprKind::List(parts) = self.facts.kind(id) {
            return Some(parts.clone());
        }
        let value = self.origin(id)?;
        let ExprKind::List(parts) = self.facts.kind(value) else { return None };
        self.elsewhere.extend(parts.iter().take(STEPS));
        Some(parts.clone())
    }

    /// `"a b".split()`, `"a|b".split("|")`: the pieces, put together again.
    fn split(&mut self, id: ExprId, between: &str, depth: usize) -> Option<String> {
        let call = self.facts.call(id)?;
        let ExprKind::Attr(base, name) = *self.facts.kind(call.callee) else { return None };
        let text = (self.facts.name(name) == "split").then(|| self.text(base, depth)).flatten()?;
        match call.args.first() {
            None => Some(text.split_whitespace().collect::<Vec<_>>().join(between)),
            Some(separator) => {
                let separator = self.text(separator.value, depth).filter(|separator| !separator.is_empty())?;
                let grown = text.len() + text.matches(separator.as_str()).count() * between.len();
                (grown <= LONGEST).then(|| text.replace(&separator, between))
            }
        }
    }

    /// `(a, b) => a + b`
    fn adds(&self, id: ExprId) -> bool {
        let ExprKind::Function(function) = *self.facts.kind(id) else { return false };
        let function = &self.facts.functions[function.0 as usize];
        let ([returned], [one, other]) = (&function.returns[..], &function.params[..]) else { return false };
        let is =
            |id: ExprId, param: Option<Sym>| matches!(*self.facts.kind(id), ExprKind::Name(sym) if Some(sym) == param);
        match self.facts.kind(*returned) {
            ExprKind::Concat(parts) => parts.len() == 2 && is(parts[0], one.name) && is(parts[1], other.name),
            _ => false,
        }
    }

    /// A template whose holes have names.
    fn filled(
        &mut self,
        template: String,
        named: &[(&str, ExprId)],
        marks: (&str, &str),
        depth: usize,
    ) -> Option<String> {
        let mut out = template;
        for (name, value) in named.iter().take(32) {
            let hole = format!("{}{name}{}", marks.0, marks.1);
            if out.contains(&hole) {
                let value = self.text(*value, depth).unwrap_or_else(|| HOLE.to_string());
                let grown = out.len() + out.matches(&hole).count() * value.len();
                out = (grown <= LONGEST).then(|| out.replace(&hole, &value))?;
            }
        }
        Some(out)
    }

    fn is_named(&self, id: ExprId, wanted: &str) -> bool {
        matches!(*self.facts.kind(id), ExprKind::Name(sym) if self.facts.name(sym) == wanted)
    }

    /// `part.strip() for part in ["…", "…"]`: the texts of the list, as each becomes.
    fn each(&mut self, parts: &[ExprId], between: &str, depth: usize) -> Option<String> {
        let [body] = parts else { return None };
        let call = self.facts.call(*body)?;
        let ExprKind::Attr(base, name) = *self.facts.kind(call.callee) else { return None };
        let trims = matches!(self.facts.name(name), "strip" | "lstrip" | "rstrip" | "trim") && call.args.is_empty();
        let ExprKind::Name(sym) = *self.facts.kind(base) else { return None };
        let bindings = self.facts.bindings_in(self.facts.scope_of(base), sym);
        let iterated = bindings.iter().rev().find_map(|binding| match binding.value {
            Bound::Expr(value) => match *self.facts.kind(value) {
                ExprKind::Element(iterated) => Some(iterated),
                _ => None,
            },
            _ => None,
        });
        let elements = self.list(iterated.filter(|_| trims)?)?;
        let texts: Option<Vec<String>> = elements
            .iter()
            .take(STEPS)
            .map(|element| self.text(*element, depth).map(|text| text.trim().to_owned()))
            .collect();
        texts.map(|texts| texts.join(between)).filter(|text| text.len() <= LONGEST)
    }

    fn joined(&mut self, parts: &[ExprId], between: &str, depth: usize) -> Option<String> {
        if let Some(each) = self.each(parts, between, depth) {
            return Some(each);
        }
        let mut out = String::new();
        let mut known = false;
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                out.push_str(between);
            }
            match self.text(*part, depth) {
                Some(text) => {
                    known = true;
                    out.push_str(&text);
                }
                None => out.push(HOLE),
            }
            if out.len() > LONGEST {
                return None;
            }
        }
        known.then_some(out)
    }

    fn call(&mut self, call: &Call, depth: usize) -> Option<String> {
        let argument = |index: usize| call.args.get(index).map(|arg| arg.value);
        let (base, name) = match self.facts.kind(call.callee) {
            ExprKind::Attr(base, name) => (Some(*base), self.facts.name(*name)),
            ExprKind::Name(name) => (None, self.facts.name(*name)),
            _ => return None,
        };
        match (name, base) {
            // Python joins by the separator, JavaScript the list.
            ("join", Some(base)) => match (self.facts.kind(base), argument(0)) {
                (ExprKind::List(parts), separator) => {
                    let separator = separator.and_then(|s| self.text(s, depth)).unwrap_or_else(|| ",".into());
                    self.joined(&parts.clone(), &separator, depth)
                }
                (ExprKind::Call(_), Some(separator)) if self.facts.text(separator).is_some() => {
                    let separator = self.text(separator, depth)?;
                    self.split(base, &separator, depth)
                }
                (_, Some(list)) => {
                    let separator = self.text(base, depth)?;
                    if let Some(joined) = self.split(list, &separator, depth) {
                        return Some(joined);
                    }
                    let parts = self.list(list)?;
                    self.joined(&parts, &separator, depth)
                }
                _ => None,
            },
            ("reduce", Some(base)) => {
                let parts = self.list(base).filter(|_| argument(0).is_some_and(|by| self.adds(by)))?;
                let start = argument(1).map_or(Some(String::new()), |start| self.text(start, depth))?;
                Some(start + &self.joined(&parts, "", depth)?)
            }
            ("b64decode" | "urlsafe_b64decode" | "standard_b64decode" | "atob" | "decodebytes" | "a2b_base64", _) => {
                from_base64(&self.text(argument(0)?, depth)?)
            }
            ("fromhex" | "unhexlify" | "a2b_hex", _) => from_hex(&self.text(argument(0)?, depth)?),
            // `Uint8Array.from(atob("…"), (c) => c.charCodeAt(0))`, and what decodes it.
            ("from", Some(base)) if self.is_named(base, "Uint8Array") => self.text(argument(0)?, depth),
            ("decode", Some(base))
                if self.facts.call(base).is_some_and(|by| self.is_named(by.callee, "TextDecoder")) =>
            {
                self.text(argument(0)?, depth)
            }
            ("from", Some(_)) => {
                let text = self.text(argument(0)?, depth)?;
                match self.text(argument(1)?, depth)?.as_str() {
                    "base64" | "base64url" => from_base64(&text),
                    "hex" => from_hex(&text),
                    "utf8" | "utf-8" => Some(text),
                    _ => None,
                }
            }
            ("decode", Some(base)) if self.facts.text(base).is_none() => match (self.text(base, depth), argument(1)) {
                (Some(text), _) => Some(text),
                // `codecs.decode("…", "hex")`
                (None, Some(codec)) => match self.text(codec, depth)?.as_str() {
                    "hex" => from_hex(&self.text(argument(0)?, depth)?),
                    "base64" => from_base64(&self.text(argument(0)?, depth)?),
                    _ => None,
                },
                _ => None,
            },
            ("strip" | "trim" | "rstrip" | "lstrip", Some(base)) => Some(self.text(base, depth)?.trim().to_owned()),
            ("dedent" | "cleandoc", _) => {
                let text = self.text(argument(0)?, depth)?;
                let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
                Some(lines.join("\n"))
            }
            // `os.getenv("NAME", "…")`: what it is where nobody sets it.
            ("getenv", _) if call.args.len() == 2 => self.text(argument(1)?, depth),
            ("quote" | "quote_plus" | "encodeURIComponent", _) => self.text(argument(0)?, depth),
            ("encode" | "toString", Some(base)) => self.text(base, depth),
            ("concat", Some(base)) => {
                let parts: Vec<ExprId> = std::iter::once(base).chain(call.args.iter().map(|a| a.value)).collect();
                self.joined(&parts, "", depth)
            }
            ("replace" | "replaceAll", Some(base)) => {
                let (from, to) = (self.text(argument(0)?, depth)?, self.text(argument(1)?, depth)?);
                let text = self.text(base, depth)?;
                let grown = text.len() + text.matches(from.as_str()).count() * to.len();
                (!from.is_empty() && grown <= LONGEST).then(|| text.replace(&from, &to))
            }
            ("format", Some(base)) => {
                let template = self.text(base, depth)?;
                let named = call.args.iter().filter_map(|arg| Some((self.facts.name(arg.name?), arg.value)));
                let template = self.filled(template, &named.collect::<Vec<_>>(), ("{", "}"), depth)?;
                let mut out = String::new();
                let mut pieces = template.split("{}");
                out.push_str(pieces.next()?);
                for (index, piece) in pieces.enumerate() {
                    let value = argument(index).and_then(|value| self.text(value, depth));
                    out.push_str(&value.unwrap_or_else(|| HOLE.to_string()));
                    out.push_str(piece);
                }
                (out.len() <= LONGEST).then_some(out)
            }
            _ => None,
        }
    }
}

/// Text behind base64; none for anything that is no text.
pub fn from_base64(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let engines = [&STANDARD as &dyn Decode, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
    printable(engines.iter().find_map(|engine| engine.decode(&text))?)
}

trait Decode {
    fn decode(&self, text: &str) -> Option<Vec<u8>>;
}

impl<E: Engine> Decode for E {
    fn decode(&self, text: &str) -> Option<Vec<u8>> {
        Engine::decode(self, text).ok()
    }
}

/// Text behind hexadecimal digits.
pub fn from_hex(text: &str) -> Option<String> {
    let digits: Vec<u8> = text.bytes().map(|b| (b as char).to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len().is_multiple_of(2) { printable(bytes) } else { None }
}

fn printable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    text.chars().all(|c| c == '\n' || c == '\r' || c == '\t' || !c.is_control()).then_some(text)
}

/// The text behind a literal that is base64 or hexadecimal of text, twice at most.
pub fn decoded(value: &str) -> Option<String> {
    let once = |value: &str| {
        let digits = value.bytes().all(|b| b.is_ascii_hexdigit());
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b);
        match value.len() {
            24..=LONGEST if digits => from_hex(value),
            24..=LONGEST if value.bytes().all(base64) => from_base64(value),
            _ => None,
        }
    };
    let first = once(value)?;
    Some(once(first.trim()).unwrap_or(first))
}
