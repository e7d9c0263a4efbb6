//! Secrets in files that have a tree: strings as strings, comments and docstrings as remarks.

use std::cell::OnceCell;
use std::ops::Range;

use super::candidate::{self, Around, Candidate};
use super::context::{self, Context, Site};
use super::formats::Formats;
use super::meaning::{self, Meaning};
use super::names;
use super::scan::{Scan, scan};
use super::{exposure, fold, judge, plain};
use crate::facts::{Call, ExprId, ExprKind, FileFacts};

/// A string literal: where it is, and which.
struct Literal {
    span: Range<usize>,
    id: ExprId,
}

/// Candidates of one file.
pub fn read(text: &str, facts: &FileFacts, formats: &Formats) -> Vec<Candidate> {
    let found = scan(text, formats);
    // A key may also be handed to a client without a word that names it, or hide in base64.
    let has_digit = |text| facts.text_of(text).bytes().any(|b| b.is_ascii_digit());
    let long =
        |expr: &crate::facts::Expr| matches!(expr.kind, ExprKind::Text(text) if text.len() >= 16 && has_digit(text));
    if found.hits.is_empty() && found.names.is_empty() && !facts.exprs.iter().any(long) {
        return Vec::new();
    }
    let mut literals: Vec<Literal> = facts
        .exprs
        .iter()
        .enumerate()
        .filter(|(_, expr)| matches!(expr.kind, ExprKind::Text(_)))
        .map(|(index, expr)| Literal { span: expr.start as usize..expr.end as usize, id: ExprId(index as u32) })
        .collect();
    literals.sort_by_key(|literal| literal.span.start);
    let reader = Reader {
        text,
        facts,
        formats,
        context: OnceCell::new(),
        imports: facts.imports.iter().map(|import| &*import.module).collect(),
        imported: OnceCell::new(),
        literals,
    };
    let mut out = Vec::new();
    reader.hits(&found, &mut out);
    let covered = reader.composites(&mut out);
    reader.literals(&covered, &found.names, &mut out);
    reader.remarks(&found, &mut out);
    // A public identifier is no secret whatever it is called.
    out.retain(|candidate| candidate.rank >= 600 || !found.public.contains(&candidate.span));
    out
}

struct Reader<'f> {
    text: &'f str,
    facts: &'f FileFacts,
    formats: &'f Formats,
    context: OnceCell<Context<'f>>,
    imports: Vec<&'f str>,
    /// Whose the imports are, all of them.
    imported: OnceCell<Option<Meaning>>,
    literals: Vec<Literal>,
}

impl<'f> Reader<'f> {
    /// The tree read upwards, which few files need.
    fn cx(&self) -> &Context<'f> {
        self.context.get_or_init(|| Context::new(self.facts))
    }

    fn literal_at(&self, span: &Range<usize>) -> Option<&Literal> {
        let index = self.literals.partition_point(|literal| literal.span.start <= span.start);
        let literal = &self.literals[index.checked_sub(1)?];
        (span.end <= literal.span.end).then_some(literal)
    }

    fn is_remark(&self, at: usize) -> bool {
        let index = self.facts.comments.partition_point(|comment| comment.start as usize <= at);
        let comment = index.checked_sub(1).map(|index| self.facts.comments[index]);
        let alone = self.facts.docstrings.iter().filter(|id| self.cx().stands_alone(**id));
        let mut docs = alone.map(|id| self.facts.expr(*id));
        comment.is_some_and(|comment| at < comment.end as usize)
            || docs.any(|expr| (expr.start as usize..expr.end as usize).contains(&at))
    }

    /// What stands around a literal; where the tree says nothing, the text right before it may.
    fn site(&self, literal: &Literal) -> Site {
        let mut site = self.cx().site(literal.id);
        if site.name.is_none() {
            site.name = self.noted(literal.span.end).map(str::to_owned);
        }
        if site.name.is_none() && self.cx().stands_alone(literal.id) {
            let before = plain::name_before(self.text, literal.span.start).map(|name| &self.text[name]);
            let field = || plain::field(self.text, literal.span.start);
            site.name = match before {
                Some("defaultValue" | "value") => field().or(before).map(str::to_owned),
                before => before.map(str::to_owned),
            };
        }
        site
    }

    /// `run("…")  # OPENAI_API_KEY`: what the comment at the end of its line calls it.
    fn noted(&self, at: usize) -> Option<&str> {
        let index = self.facts.comments.partition_point(|comment| (comment.start as usize) < at);
        let comment = self.facts.comments.get(index)?;
        let between = self.text.get(at..comment.start as usize)?;
        let said = self.text.get(comment.start as usize..comment.end as usize)?;
        let name = said.trim_matches(|c: char| "#/* \r".contains(c));
        (between.len() <= CUED && !between.contains('\n') && context::is_secrets_name(name)).then_some(name)
    }

    fn meaning(&self, site: &Site, used: &[Site], span: &Range<usize>) -> Option<Meaning> {
        meaning::of_site(site, used, &self.imports, self.formats)
            .or_else(|| meaning::of_branch(self.text, span.start, self.formats))
            .or_else(|| {
                // What is sent to a host that nobody knows is not the credential of whoever else is near.
                if !meaning::hosts(site, used).is_empty() {
                    return None;
                }
                meaning::of_hosts(&plain::nearby_hosts(self.text, span.start), self.formats)
                    .or_else(|| *self.imported.get_or_init(|| meaning::of_imports(&self.imports, self.formats)))
            })
    }

    /// What the pass found in the bytes of the file.
    fn hits(&self, found: &Scan, out: &mut Vec<Candidate>) {
        for hit in &found.hits {
            let remark = self.is_remark(hit.span.start);
            let literal = self.literal_at(&hit.span);
            let site = literal.map(|literal| self.site(literal)).unwrap_or_default();
            let around_it =
                literal.is_none() || self.cx().stands_alone(literal.map_or(ExprId(0), |literal| literal.id));
            let said = around_it.then(|| meaning::of_line(self.text, hit.span.start, self.formats)).flatten();
            let used = meaning::uses(&site, self.cx());
            let hosts = meaning::hosts(&site, &used);
            let meaning = said.or_else(|| self.meaning(&site, &used, &hit.span));
            // The name of a long text is not that of a token in it.
            let whole = literal.is_some_and(|literal| literal.span.len() <= hit.span.len() + 16);
            let name = site.name.as_deref().filter(|_| whole);
            let around = Around {
                name,
                meaning,
                fallback: site.fallback,
                remark,
                hosts: &hosts,
                exposed: exposure::of(&site, &used),
                ..Around::default()
            };
            out.extend(candidate::of_hit(self.text, hit, &around, self.formats));
        }
    }

    /// Texts made of several: what they amount to. Gives the literals that need no look of their own.
    fn composites(&self, out: &mut Vec<Candidate>) -> Vec<bool> {
        let mut covered = vec![false; self.facts.exprs.len()];
        for index in (0..self.facts.exprs.len()).rev() {
            let (id, expr) = (ExprId(index as u32), &self.facts.exprs[index]);
            if covered[index] {
                self.cover(id, &mut covered);
                continue;
            }
            let composite = match &expr.kind {
                ExprKind::Concat(_) | ExprKind::Percent(..) => true,
                ExprKind::Call(call) => {
                    let call = &self.facts.calls[*call as usize];
                    is_folding(self.facts, call)
                        || has_text(self.facts, call) && fold::helper(self.facts, call).is_some()
                }
                ExprKind::Text(text) => text.len() + 6 < (expr.end - expr.start) as usize, // Escapes.
                _ => false,
            };
            if !composite {
                continue;
            }
            let Some((folded, elsewhere)) = fold::fold_from(self.facts, id) else {
                // Parts of a text are no values, even when the text cannot be known.
                if let ExprKind::Concat(parts) = &expr.kind {
                    // `argv += ["--api-key", "…"]` puts lists together, and no text.
                    let texts = parts.iter().filter(|part| !matches!(self.facts.kind(**part), ExprKind::List(_)));
                    texts.for_each(|part| covered[part.0 as usize] = true);
                }
                continue;
            };
            self.cover(id, &mut covered);
            let before = out.len();
            self.folded(id, &folded, expr.start as usize..expr.end as usize, out);
            // A value that is written whole elsewhere is found there; one put together of parts is found here.
            let texts: Vec<(ExprId, String)> =
                elsewhere.iter().filter_map(|id| Some((*id, fold::fold(self.facts, *id)?))).collect();
            let written = |found: &Candidate| texts.iter().find(|(_, text)| text.contains(found.value.expose()));
            let (there, here): (Vec<_>, Vec<_>) =
                out.split_off(before).into_iter().partition(|found| written(found).is_some());
            let here = here.into_iter().map(|mut found| {
                // The password of an address that is written elsewhere is the credential, and stands there.
                let is = |text: &str| text.len() >= 6 && found.value.expose().contains(&format!(":{text}@"));
                if let Some((id, text)) = texts.iter().find(|(_, text)| is(text)) {
                    found.span = self.within(self.span(*id), text);
                    found.value = super::value::Value::new(text);
                    found.public = 0;
                }
                found
            });
            let here: Vec<Candidate> = here.collect();
            for mut found in there {
                let place = written(&found).map(|(id, _)| self.span(*id));
                found.span = place.map_or(found.span.clone(), |place| self.within(place, found.value.expose()));
                out.push(found);
            }
            let before = out.len();
            out.extend(here);
            if out.len() > before {
                // The beginning of a token may look like one: the whole is what was put together.
                let spans: Vec<Range<usize>> = texts.iter().map(|(id, _)| self.span(*id)).collect();
                let whole: Vec<String> = out[before..].iter().map(|found| found.value.expose().to_owned()).collect();
                let mut index = 0;
                out.retain(|found| {
                    index += 1;
                    let within = spans.iter().any(|s| s.start <= found.span.start && found.span.end <= s.end);
                    index > before || !(within && whole.iter().any(|whole| whole.contains(found.value.expose())))
                });
                texts.iter().for_each(|(id, _)| covered[id.0 as usize] = true);
            }
        }
        covered
    }

    fn span(&self, id: ExprId) -> Range<usize> {
        let expr = self.facts.expr(id);
        expr.start as usize..expr.end as usize
    }

    /// Marks the parts of a composite.
    fn cover(&self, id: ExprId, covered: &mut [bool]) {
        let mut mark = |id: ExprId| covered[id.0 as usize] = true;
        match self.facts.kind(id) {
            ExprKind::Concat(parts) | ExprKind::List(parts) => parts.iter().for_each(|part| mark(*part)),
            ExprKind::Percent(left, right) => [*left, *right].into_iter().for_each(mark),
            ExprKind::Attr(base, _) => mark(*base),
            ExprKind::Call(call) => {
                let call = &self.facts.calls[*call as usize];
                if is_folding(self.facts, call) || fold::helper(self.facts, call).is_some() {
                    mark(call.callee);
                    call.args.iter().for_each(|arg| mark(arg.value));
                }
            }
            _ => {}
        }
    }

    fn folded(&self, id: ExprId, folded: &str, span: Range<usize>, out: &mut Vec<Candidate>) {
        let inner = scan(folded, self.formats);
        let worth = folded.len() <= 4096 && !folded.contains([' ', fold::HOLE]);
        if inner.hits.is_empty() && !worth {
            return;
        }
        let site = self.cx().site(id);
        let kind = self.kind(&site);
        if inner.hits.is_empty() && kind.is_none() && site.position.is_none() {
            return;
        }
        let used = meaning::uses(&site, self.cx());
        let hosts = meaning::hosts(&site, &used);
        let meaning = self.meaning(&site, &used, &span);
        let around = Around {
            name: site.name.as_deref(),
            kind,
            meaning,
            position: site.position,
            fallback: site.fallback,
            remark: self.is_remark(span.start),
            assigned: false,
            hosts: &hosts,
            exposed: exposure::of(&site, &used),
        };
        if let ExprKind::Call(call) = self.facts.kind(id)
            && let [to] = &self.facts.calls[*call as usize].args[..]
            && self.facts.text(to.value) == Some("base64")
        {
            out.extend(self.login(span.clone(), folded, &around));
        }
        for hit in &inner.hits {
            let Some(mut found) = candidate::of_hit(folded, hit, &around, self.formats) else { continue };
            found.reasons.push("folded");
            found.span = span.clone();
            // Where it stands within a long text is seen in the source when the source spells it so.
            if let Some(at) = self.text[span.clone()].find(found.value.expose()) {
                found.span = span.start + at..span.start + at + found.value.expose().len();
            }
            out.push(found);
        }
        if worth {
            let place = self.within(span, folded);
            out.extend(candidate::of_name(place, folded, &around, self.formats));
        }
    }

    /// What kind of secret the name says, or the names that its variable is handed on under.
    fn kind(&self, site: &Site) -> Option<names::Kind> {
        if let (Some(position), Some(name)) = (site.login, &site.name)
            && !site.listed
            && matches!(name.as_str(), "auth" | "httpAuth" | "basic_auth" | "http_auth" | "credentials" | "login")
        {
            return (position == 1).then_some(names::Kind::Password);
        }
        let own = site.name.as_deref().and_then(|name| self.formats.kind_of(name));
        // `API_KEYS = {"serper": "…"}`: the table says what its values are, its keys whose.
        let of_table = || {
            let issuer = site.name.as_deref().and_then(|name| self.formats.issuer_of_words(&names::words(name)));
            let tables = issuer.map_or(&[][..], |_| &site.outer).iter();
            let kinds = tables.filter_map(|name| names::of_table(name).or_else(|| self.formats.kind_of(name)));
            kinds.into_iter().find(|kind| *kind != names::Kind::Weak)
        };
        // `apiKeyByStage = {production: "…"}`
        let by_key = || site.outer.iter().find_map(|name| names::of_each(name));
        let own = own.or_else(of_table).or_else(by_key);
        let own = match own {
            // `aws["key"]`, `openai.key`.
            Some(names::Kind::Weak)
                if site.outer.iter().any(|name| self.formats.kind_of(name).is_some_and(|k| k != names::Kind::Weak)) =>
            {
                Some(names::Kind::ApiKey)
            }
            // `KEY = "…"`, and then `f"…&api_key={KEY}"`.
            Some(names::Kind::Weak) => self.used_as(site).or(own),
            own => own,
        };
        let negative = site.name.as_deref().is_some_and(|name| {
            let words = names::words(name);
            words.iter().any(|w| {
                matches!(
                    w.as_str(),
                    "key" | "token" | "secret" | "password" | "id" | "hash" | "url" | "sha256" | "checksum"
                )
            })
        });
        own.or_else(|| {
            // What a whole table is handed on as says nothing of one value in it.
            (!negative && (site.outer.is_empty() || site.fallback)).then(|| self.used_as(site)).flatten()
        })
    }

    /// What the names say that a variable is handed on under.
    fn used_as(&self, site: &Site) -> Option<names::Kind> {
        let uses = self.cx().uses_of(site).filter(|use_| use_.bound != site.bound);
        let mut kinds = uses.filter_map(|use_| self.formats.kind_of(use_.name.as_deref()?));
        kinds.find(|kind| *kind != names::Kind::Weak)
    }

    /// Each literal by its name.
    fn literals(&self, covered: &[bool], names: &[usize], out: &mut Vec<Candidate>) {
        for literal in self.literals.iter().filter(|literal| !covered[literal.id.0 as usize]) {
            let Some(value) = self.facts.text(literal.id) else { continue };
            // `'"…"'` is code for a program that pastes it.
            let value = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value);
            let behind = behind_scheme(value);
            let value = behind.unwrap_or(value);
            let said = behind_name(value);
            let value = said.map_or(value, |(_, rest)| rest);
            // Most strings are words: they are passed over before anything is asked of the tree.
            let odd = value.bytes().any(|b| b.is_ascii_digit() || b"!#@$%&*^".contains(&b)) || value.len() >= 24;
            let cued = || {
                names
                    .get(names.partition_point(|at| at + CUED < literal.span.start))
                    .is_some_and(|at| *at < literal.span.start)
            };
            let typed = !odd && cued() && (judge::typed(value) || judge::scrambled(value));
            if !(odd || typed) || !(5..=4096).contains(&value.len()) || value.contains([' ', '\n']) {
                continue;
            }
            // What the value says of itself is cheaper to ask than what stands around it.
            let encoded = value.len() >= 24 && fold::decoded(value).is_some();
            let address = value.starts_with("https://");
            if !encoded
                && !address
                && !typed
                && !judge::plausible(value)
                && !judge::chosen(value)
                && !judge::typed(value)
            {
                continue;
            }
            let mut site = self.site(literal);
            if let Some((name, _)) = said {
                site.name.get_or_insert_with(|| name.to_owned());
            }
            let header = || site.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("authorization"));
            if behind.is_some() && !header() {
                continue;
            }
            let kind = self.kind(&site);
            let named = kind.is_some() && (!address || kind == Some(names::Kind::Webhook))
                || judge::telling(value) && meaning::of_name(site.name.as_deref(), &[], self.formats).is_some();
            if !named && site.position.is_none() && !encoded {
                continue;
            }
            let used = meaning::uses(&site, self.cx());
            let hosts = meaning::hosts(&site, &used);
            let meaning = self.meaning(&site, &used, &literal.span);
            let around = Around {
                name: site.name.as_deref(),
                kind,
                meaning,
                position: site.position,
                fallback: site.fallback,
                remark: self.is_remark(literal.span.start),
                assigned: false,
                hosts: &hosts,
                exposed: exposure::of(&site, &used),
            };
            let span = self.within(literal.span.clone(), value);
            let encoder = site.callee.as_deref().and_then(|callee| callee.rsplit('.').next());
            if encoder.is_some_and(|encoder| ENCODERS.contains(&encoder)) {
                out.extend(self.login(span.clone(), value, &around));
            }
            if encoded {
                out.extend(candidate::of_encoded(span.clone(), value, &around, self.formats));
            }
            out.extend(candidate::of_name(span, value, &around, self.formats));
        }
    }

    /// `name:password` that is about to become a header.
    fn login(&self, span: Range<usize>, value: &str, around: &Around) -> Option<Candidate> {
        let hit = super::scan::login(value)?;
        let mut found = candidate::of_hit(value, &hit, around, self.formats)?;
        found.span = span;
        Some(found)
    }

    /// Where a value stands in a literal that may hold more, between its quotes.
    fn within(&self, literal: Range<usize>, value: &str) -> Range<usize> {
        match self.text.get(literal.clone()).and_then(|raw| raw.find(value)) {
            Some(at) => literal.start + at..literal.start + at + value.len(),
            None => literal,
        }
    }

    /// Names and values inside comments, docstrings and texts: prompts, embedded configuration, commented-out code.
    fn remarks(&self, found: &Scan, out: &mut Vec<Candidate>) {
        let region = |at: usize| -> Option<(Range<usize>, bool)> {
            let index = self.facts.comments.partition_point(|comment| comment.start as usize <= at);
            if let Some(comment) = index.checked_sub(1).map(|index| self.facts.comments[index])
                && at < comment.end as usize
            {
                // Comments that follow each other are one text.
                return Some((comment.start as usize..comment.end as usize, true));
            }
            let literal = self.literal_at(&(at..at + 1))?;
            let text = self.facts.text(literal.id)?;
            let several = text.contains([' ', '\n', '=', ';', ':']);
            several.then(|| (literal.span.clone(), self.cx().stands_alone(literal.id)))
        };
        let everywhere = self.facts.over_budget;
        let cues: Vec<usize> = found.names.iter().copied().filter(|at| everywhere || region(*at).is_some()).collect();
        for pair in plain::pairs(self.text, &cues) {
            let place = region(pair.name.start);
            let (limits, remark) = place.unwrap_or((0..self.text.len(), false));
            // `arn:…:secret:name` and `a/token:…` are paths and not pairs.
            let path = pair.name.start > 0 && matches!(self.text.as_bytes()[pair.name.start - 1], b':' | b'/');
            if pair.value.end > limits.end || pair.name.start < limits.start || path {
                continue;
            }
            let (name, value) = (&self.text[pair.name.clone()], &self.text[pair.value.clone()]);
            let kind = self.formats.kind_of(name);
            let typed = judge::scrambled(value) || judge::typed(value) && pair.assigned;
            if kind.is_none() || !judge::plausible(value) && !judge::chosen(value) && !typed {
                continue;
            }
            let meaning = meaning::of_name(Some(name), &[], self.formats)
                .or_else(|| meaning::of_call(self.text, pair.name.start, &self.imports, self.formats))
                .or_else(|| meaning::of_hosts(&plain::nearby_hosts(self.text, pair.name.start), self.formats));
            let within = self.literal_at(&pair.name).map(|literal| self.cx().site(literal.id)).unwrap_or_default();
            let exposed = exposure::of(&within, &[]);
            let assigned = pair.assigned;
            let around = Around { name: Some(name), kind, meaning, remark, assigned, exposed, ..Around::default() };
            out.extend(candidate::of_name(pair.value.clone(), value, &around, self.formats));
        }
    }
}

/// `Key …`, `Token …`: what stands behind a scheme in what a header carries.
fn behind_scheme(value: &str) -> Option<&str> {
    let at = value.bytes().take(13).position(|b| !b.is_ascii_alphabetic()).filter(|at| *at > 0)?;
    let (scheme, rest) = (&value[..at], value[at..].strip_prefix(' ')?);
    let known = matches!(scheme, "Bearer" | "bearer" | "Basic" | "basic" | "Token");
    (!known && (16..=1024).contains(&rest.len()) && !rest.contains(' ')).then_some(rest)
}

/// `insecure-api-key.…`: a name of several words that says so, and the value behind it.
fn behind_name(value: &str) -> Option<(&str, &str)> {
    let at = value.bytes().take(41).position(|b| !(b.is_ascii_lowercase() || b == b'-')).filter(|at| *at >= 6)?;
    let (name, rest) = (&value[..at], value[at..].strip_prefix('.')?);
    let says_so = || names::classify(&names::words(name)).is_some_and(|kind| kind != names::Kind::Weak);
    (rest.len() <= 1024 && name.contains('-') && says_so() && judge::machine_made(rest)).then_some((name, rest))
}

/// It calls one of those that [`fold`] understands.
pub fn is_folding(facts: &FileFacts, call: &Call) -> bool {
    let (ExprKind::Attr(_, name) | ExprKind::Name(name)) = *facts.kind(call.callee) else { return false };
    matches!(
        facts.name(name),
        "join"
            | "b64decode"
            | "urlsafe_b64decode"
            | "standard_b64decode"
            | "atob"
            | "decodebytes"
            | "a2b_base64"
            | "fromhex"
            | "unhexlify"
            | "a2b_hex"
            | "from"
            | "decode"
            | "encode"
            | "strip"
            | "trim"
            | "toString"
            | "rstrip"
            | "lstrip"
            | "concat"
            | "replace"
            | "replaceAll"
            | "format"
            | "dedent"
            | "cleandoc"
            | "split"
            | "reduce"
    )
}

/// A text among its arguments may hide a credential.
fn has_text(facts: &FileFacts, call: &Call) -> bool {
    call.args.iter().any(|arg| facts.text(arg.value).is_some_and(|text| text.len() >= 8 && !text.contains(' ')))
}

/// Bytes in front of a literal in which a name of secrets may stand that it is given.
const CUED: usize = 80;

/// Calls that encode a login for a header.
const ENCODERS: &[&str] = &["btoa", "b64encode", "standard_b64encode", "urlsafe_b64encode"];
