//! Every call that may matter, classified once; and every address that a call connects to.
//!
//! Detectors share this, never findings: what a call is, is decided here, so that no two of them can claim it.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::analysis::{Confidence, Step};
use crate::facts::*;
use crate::knowledge::index::{Folder, Hit, RuleKind, Symbol};
use crate::knowledge::schema::{ArgRef, RequestRule};
use crate::resolve::url::{self, Address};
use crate::resolve::{Allowance, At, Callee, File, Frame, Frames, Known, Project, Ref, Value};

/// A call of something outside the submitted files.
pub struct Site {
    /// The call.
    pub at: At,
    /// What is called.
    pub symbol: Symbol,
    /// Calls on the way: the constructor of the client that this is called on.
    pub chain: Vec<(At, Frames)>,
    /// Rules that name it, of one kind after the other.
    pub hits: Vec<Hit>,
}

impl Site {
    /// Hits of one kind.
    pub fn hits(&self, kind: RuleKind) -> impl Iterator<Item = Hit> + '_ {
        self.hits.iter().copied().filter(move |hit| hit.kind == kind)
    }
}

/// A call that connects to an address given by the code.
pub struct Outbound {
    /// The call.
    pub at: At,
    /// The address inside the call.
    pub url_at: At,
    /// The argument of a caller that the address is as it stands.
    pub given_at: Option<At>,
    /// The address, as far as it is known.
    pub address: Address,
    /// HTTP method in upper case.
    pub method: Option<String>,
    /// What is called.
    pub call: String,
    /// The address is a connection's, not an HTTP URL.
    pub connection: bool,
    /// From the address's origin to the call.
    pub steps: Vec<Step>,
    /// How sure.
    pub confidence: Confidence,
    /// The call whose arguments the address was read with.
    pub frames: Frames,
}

/// What detectors are given.
pub struct Context<'a> {
    /// All files.
    pub project: &'a Project<'a>,
    /// All calls of known things.
    pub sites: Vec<Site>,
    /// All addresses.
    pub outbound: Vec<Outbound>,
    /// Names that calls are assigned to.
    assigned: FxHashMap<At, Sym>,
    /// Roots of all imports, once somebody asks.
    roots: OnceLock<FxHashSet<String>>,
    /// Addresses that are assigned to an object as a whole, and to what, once somebody asks.
    configured: OnceLock<Vec<(At, At)>>,
}

impl<'a> Context<'a> {
    /// Classifies every call that a rule or a framework names, or that is made of such a call's result.
    pub fn new(project: &'a Project<'a>) -> Context<'a> {
        Context::with(project, false)
    }

    /// The same with all calls of something outside, for who has rules of his own.
    pub fn with_all_calls(project: &'a Project<'a>) -> Context<'a> {
        Context::with(project, true)
    }

    fn with(project: &'a Project<'a>, all: bool) -> Context<'a> {
        let per_file: Vec<(Vec<Site>, FxHashMap<At, Sym>)> = (0..project.files.len())
            .into_par_iter()
            .map(|file| (sites_of(project, file, all), assigned(project, file)))
            .collect();
        let mut sites = Vec::new();
        let mut names = FxHashMap::default();
        for (of_file, assigned) in per_file {
            sites.extend(of_file);
            names.extend(assigned);
        }
        let mut cx = Context {
            project,
            sites,
            outbound: Vec::new(),
            assigned: names,
            roots: OnceLock::new(),
            configured: OnceLock::new(),
        };
        cx.outbound = (0..project.files.len())
            .into_par_iter()
            .flat_map_iter(|file| {
                let mut allowance = Allowance::new(project.facts(file).calls.len());
                let from = cx.sites.partition_point(|site| site.at.file < file);
                let to = cx.sites.partition_point(|site| site.at.file <= file);
                let outbound = cx.sites[from..to].iter().flat_map(|site| cx.outbound_of(site, &mut allowance));
                outbound.collect::<Vec<Outbound>>()
            })
            .collect();
        cx
    }

    /// Whether some file imports a package whose name begins so.
    pub fn imports_root(&self, root: &str) -> bool {
        let of = |file: &'a File| {
            file.facts.imports.iter().filter_map(|import| import.module.split(['.', '/']).next().map(str::to_owned))
        };
        self.roots.get_or_init(|| self.project.files.iter().flat_map(of).collect()).contains(root)
    }

    /// `openai.api_base = "…"`: what is given an address as a whole, and the address.
    pub fn configured(&self) -> &[(At, At)] {
        self.configured.get_or_init(|| {
            let of = |(file, one): (usize, &'a File)| {
                let facts = &one.facts;
                facts.place_assignments.iter().filter_map(move |assignment| {
                    let ExprKind::Attr(base, member) = *facts.kind(assignment.target) else { return None };
                    let named = matches!(facts.name(member), "api_base" | "base_url" | "baseURL");
                    named.then_some((At { file, expr: base }, At { file, expr: assignment.value }))
                })
            };
            self.project.files.iter().enumerate().flat_map(of).collect()
        })
    }

    /// The name that a call is assigned to.
    pub fn assigned(&self, call: At) -> Option<&'a str> {
        Some(self.project.facts(call.file).name(*self.assigned.get(&call)?))
    }

    /// The site of a call.
    pub fn site(&self, at: At) -> Option<&Site> {
        let from = self.sites.partition_point(|site| site.at < at);
        self.sites.get(from).filter(|site| site.at == at)
    }

    /// A step of evidence at an expression.
    pub fn step(&self, at: At, what: impl Into<String>) -> Step {
        Step { what: what.into(), file: self.project.path(at.file).to_owned(), line: self.project.line(at) }
    }

    /// The name that the code gives to the client of a call: `client` of `client.chat.completions.create(…)`, or the
    /// variable that a constructor is assigned to.
    pub fn variable(&self, at: At) -> String {
        let facts = self.project.facts(at.file);
        let Some(call) = facts.call(at.expr) else { return String::new() };
        // What a method of a client gives back is assigned to something else than the client.
        let is_method = matches!(facts.kind(call.callee), ExprKind::Attr(..))
            && self.site(at).is_some_and(|site| !site.chain.is_empty() || site.symbol.is_unknown());
        if let Some(name) = self.assigned(at).filter(|_| !is_method) {
            return name.to_owned();
        }
        let mut expr = call.callee;
        let mut last = None;
        for _ in 0..64 {
            match facts.kind(expr) {
                ExprKind::Attr(base, sym) => {
                    if matches!(facts.kind(*base), ExprKind::Name(own) if matches!(facts.name(*own), "self" | "this" | "cls"))
                    {
                        return facts.name(*sym).to_owned();
                    }
                    last = Some(*sym);
                    expr = *base;
                }
                ExprKind::Name(sym) => return facts.name(*sym).to_owned(),
                ExprKind::Call(index) => expr = facts.calls[*index as usize].callee,
                _ => break,
            }
        }
        last.map(|sym| facts.name(sym).to_owned()).unwrap_or_default()
    }

    /// The address that a client was given, with the one it has by itself: of the constructors on the way to a call,
    /// the last that a client rule names.
    pub fn client_of(&self, chain: &[(At, Frames)]) -> Option<(ClientSite, Hit)> {
        chain.iter().rev().find_map(|(at, frames)| {
            let site_hits = match self.site(*at) {
                Some(site) => site.hits.clone(),
                None => self.project.hits(self.callee(*at)?, frames).into_iter().map(|(hit, _)| hit).collect(),
            };
            let hit = site_hits
                .into_iter()
                .filter(|hit| hit.kind == RuleKind::Client)
                .find(|hit| self.applies(*hit, *at, frames))?;
            Some((ClientSite { at: *at, frames: frames.clone() }, hit))
        })
    }

    /// A client rule may hold only for some first arguments: `boto3.client("bedrock-runtime")`.
    pub fn applies(&self, hit: Hit, at: At, frames: &Frames) -> bool {
        let rule = &self.project.knowledge.entry(hit.entry).client[hit.rule as usize];
        if rule.only.is_empty() {
            return true;
        }
        let places = [ArgRef::Position(0), ArgRef::Name("service_name".into())];
        let first = self.project.argument(at, frames, &places);
        let text = first.and_then(|(at, frames)| self.project.text(at, &frames));
        text.is_some_and(|text| rule.only.contains(&text))
    }

    fn callee(&self, at: At) -> Option<At> {
        Some(At { file: at.file, expr: self.project.call(at)?.callee })
    }

    /// The addresses that a request goes to.
    fn outbound_of(&self, site: &Site, allowance: &mut Allowance) -> Vec<Outbound> {
        let mut out = Vec::new();
        for hit in site.hits(RuleKind::Request) {
            let rule = &self.project.knowledge.entry(hit.entry).request[hit.rule as usize];
            let contexts = if allowance.is_spent() { vec![None] } else { self.contexts(site.at) };
            for frames in contexts {
                self.request(site, rule, &frames, allowance, &mut out);
            }
            if !out.is_empty() {
                break;
            }
        }
        // A helper that all its callers use for one host is the place of the call; where they differ, each caller is.
        let target = |o: &Outbound| (o.address.env.clone(), o.address.host.clone());
        let one = out.iter().all(|o| target(o) == target(&out[0]));
        for outbound in out.iter_mut().filter(|o| one && o.given_at.is_some()) {
            outbound.given_at = None;
        }
        for outbound in &mut out {
            outbound.url_at = outbound.given_at.unwrap_or(outbound.url_at);
        }
        out
    }

    /// The calls that lead here: none when the function has no parameters or nobody calls it.
    fn contexts(&self, at: At) -> Vec<Frames> {
        let facts = self.project.facts(at.file);
        let Some(function) = facts.function_of(at.expr) else { return vec![None] };
        if facts.functions[function.0 as usize].params.is_empty() {
            return vec![None];
        }
        let callers = self.project.callers(at.file, function);
        if callers.is_empty() || callers.len() > 24 {
            return vec![None];
        }
        let frame = |&call: &At| Some(Arc::new(Frame { function: (at.file, function), call, outer: None }));
        callers.iter().map(frame).collect()
    }

    fn request(
        &self,
        site: &Site,
        rule: &RequestRule,
        frames: &Frames,
        allowance: &mut Allowance,
        out: &mut Vec<Outbound>,
    ) {
        let project = self.project;
        let url = project.argument(site.at, frames, &rule.url);
        // A request object that was made elsewhere is counted there.
        let bases = self.plain_bases(&site.chain);
        let (url_at, known) = match url {
            Some((url_at, url_frames)) => (url_at, project.values_within(url_at, &url_frames, allowance)),
            None if !bases.is_empty() => {
                let origin = bases[0].origin;
                (site.at, vec![Known { value: Value::Text(Vec::new()), steps: Vec::new(), origin }])
            }
            None => return,
        };
        let method = self.method(site.at, rule, frames);
        // An address that is a parameter as it stands was written at the call that gives it.
        let mut given_at = None;
        if let (Some((function, index)), Some(_)) = (project.parameter_of(url_at), frames)
            && let Some((given, _)) = project.given_argument(url_at.file, function, index, frames)
        {
            given_at = Some(given);
        }
        for known in known {
            let Value::Text(pieces) = &known.value else { continue };
            let direct = if rule.connection { connection(pieces) } else { url::parse(pieces) };
            let addresses: Vec<(Address, Vec<Step>)> = match direct {
                // What may be a file is an address only with a scheme.
                Some(address) if rule.file && address.scheme.is_empty() => Vec::new(),
                Some(address) => vec![(address, known.steps.clone())],
                None => bases
                    .iter()
                    .filter_map(|base| {
                        let Value::Text(base_pieces) = &base.value else { return None };
                        let joined = append(base_pieces, pieces);
                        let steps = base.steps.iter().chain(&known.steps).cloned().collect();
                        Some((url::parse(&joined)?, steps))
                    })
                    .collect(),
            };
            for (address, mut steps) in addresses {
                let call = site.symbol.display();
                steps.push(self.step(site.at, format!("call of `{call}`")));
                let resolved = !address.host.contains('{') && (!address.host.is_empty() || address.env.is_some());
                let confidence = match (resolved, site.symbol.is_unknown()) {
                    (true, false) => Confidence::High,
                    (true, true) => Confidence::Medium,
                    (false, _) => Confidence::Low,
                };
                out.push(Outbound {
                    at: site.at,
                    url_at,
                    given_at,
                    address,
                    method: method.clone(),
                    call,
                    connection: rule.connection,
                    steps,
                    confidence,
                    frames: frames.clone(),
                });
            }
        }
    }

    /// Addresses that the client of a call was constructed with.
    fn plain_bases(&self, chain: &[(At, Frames)]) -> Vec<Known> {
        let Some((client, hit)) = self.client_of(chain) else { return Vec::new() };
        let rule = &self.project.knowledge.entry(hit.entry).client[hit.rule as usize];
        match self.project.argument(client.at, &client.frames, &rule.base) {
            Some((at, frames)) => self.project.values(at, &frames),
            None => Vec::new(),
        }
    }

    fn method(&self, at: At, rule: &RequestRule, frames: &Frames) -> Option<String> {
        if let Some(method) = &rule.method {
            return Some(method.clone());
        }
        if let Some((at, frames)) = self.project.argument(at, frames, &rule.method_arg) {
            let text = self.project.text(at, &frames)?.to_ascii_uppercase();
            let plausible = !text.is_empty() && text.len() <= 12 && text.chars().all(|c| c.is_ascii_alphabetic());
            return plausible.then_some(text);
        }
        if rule.connection {
            return None;
        }
        let has_body = self.project.argument(at, frames, &rule.body).is_some();
        Some(if has_body { "POST" } else { "GET" }.into())
    }

    /// The providers and services whose host an address has.
    pub fn owners(&self, address: &Address) -> impl Iterator<Item = (Folder, u32)> + '_ {
        let known = &self.project.knowledge;
        let mut owners = known.by_host(&address.host, &address.path);
        if let (true, false, Some((_, port))) =
            (owners.is_empty(), crate::resolve::url::is_external(&address.host), address.host.rsplit_once(':'))
        {
            // What serves on this machine may as well do so on another of the house.
            owners = known.by_host(&format!("localhost:{port}"), &address.path);
        }
        owners.into_iter().map(|entry| (known.folder(entry), entry))
    }
}

/// Where a client was constructed.
pub struct ClientSite {
    /// The constructor's call.
    pub at: At,
    /// The frames its arguments are read in.
    pub frames: Frames,
}

/// A base with a path behind it, as HTTP clients join them.
fn append(base: &[crate::resolve::Piece], path: &[crate::resolve::Piece]) -> Vec<crate::resolve::Piece> {
    use crate::resolve::Piece;
    let mut out = base.to_vec();
    let ends = |piece: Option<&Piece>| match piece {
        Some(Piece::Lit(text)) | Some(Piece::Env { default: Some(text), .. }) => text.ends_with('/'),
        _ => false,
    };
    let starts = matches!(path.first(), Some(Piece::Lit(text)) if text.starts_with('/'));
    let mut rest = path.to_vec();
    match (ends(out.last()), starts) {
        (true, true) => {
            if let Some(Piece::Lit(text)) = rest.first_mut() {
                text.remove(0);
            }
        }
        (false, false) if !path.is_empty() => out.push(Piece::Lit("/".into())),
        _ => {}
    }
    out.extend(rest);
    out
}

/// A data source name, or a bare host.
fn connection(pieces: &[crate::resolve::Piece]) -> Option<Address> {
    use crate::resolve::Piece;
    if let Some(address) = url::parse(pieces).filter(|a| !a.host.is_empty() || a.env.is_some()) {
        return Some(address);
    }
    let text: String = match pieces {
        [Piece::Lit(text)] => text.clone(),
        [Piece::Env { name, default: Some(text) }] => {
            let host = text.to_ascii_lowercase();
            return Some(Address { host, env: Some(name.clone()), default: Some(text.clone()), ..Address::default() });
        }
        _ => return None,
    };
    let host_like = text.contains('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_".contains(c));
    host_like.then(|| Address { host: text.to_ascii_lowercase(), ..Address::default() })
}

/// The calls of a file that a rule names, or that are a framework's.
fn sites_of(project: &Project, file: usize, all: bool) -> Vec<Site> {
    let facts = project.facts(file);
    let mut sites = Vec::new();
    for Callee { call, refs, classes: member_of } in project.known_callees(file, all) {
        let at = At { file, expr: facts.calls[call as usize].expr };
        let mut best: Option<Site> = None;
        let classes: Vec<Ref> = refs.iter().filter(|r| matches!(r, Ref::Class(..))).cloned().collect();
        for reference in refs {
            let Ref::External(symbol, chain) = reference else { continue };
            let symbol = project.as_callee(symbol, file);
            let hits = project.knowledge.lookup(&symbol);
            match &mut best {
                None => best = Some(Site { at, symbol, chain, hits }),
                // Branches: `client = OpenAI() if x else Groq()`. Each branch's rules count.
                Some(site) => {
                    if site.hits.is_empty() && !hits.is_empty() {
                        *site = Site { at, symbol, chain, hits };
                    } else {
                        let new = hits.into_iter().filter(|hit| !site.hits.contains(hit)).collect::<Vec<_>>();
                        if !new.is_empty() {
                            sites.push(Site { at, symbol, chain, hits: new });
                        }
                    }
                }
            }
        }
        // `asyncio.to_thread(client.chat.completions.create, model=…)` counts as the call that it makes.
        if let Some(applied) = best.as_ref().and_then(|site| applied(project, site)) {
            best = Some(applied);
        }
        // `MyModel(…)` of `class MyModel(ChatOpenAI)` counts as what it extends.
        if best.as_ref().is_none_or(|site| site.hits.is_empty()) {
            for symbol in project.constructs(at, classes, member_of) {
                let hits = project.knowledge.lookup(&symbol);
                if !hits.is_empty() {
                    best = Some(Site { at, symbol, chain: Vec::new(), hits });
                }
            }
        }
        let matters = |site: &Site| {
            all || !site.hits.is_empty() || !site.chain.is_empty() || project.knowledge.names(&site.symbol)
        };
        sites.extend(best.filter(matters));
    }
    sites.sort_by_key(|site| site.at);
    sites
}

/// The call that a call makes of a function it is given, with the same arguments by name.
fn applied(project: &Project, site: &Site) -> Option<Site> {
    let hit = site.hits(RuleKind::Apply).next()?;
    let rule = &project.knowledge.entry(hit.entry).apply[hit.rule as usize];
    let (function, frames) = project.argument(site.at, &None, &rule.function)?;
    project.refer(function, &frames).into_iter().find_map(|reference| match reference {
        Ref::External(symbol, chain) => {
            let symbol = project.as_callee(symbol, site.at.file);
            let hits = project.knowledge.lookup(&symbol);
            (!hits.is_empty()).then_some(Site { at: site.at, symbol, chain, hits })
        }
        _ => None,
    })
}

/// The names that calls of a file are assigned to.
fn assigned(project: &Project, file: usize) -> FxHashMap<At, Sym> {
    let facts = project.facts(file);
    let mut names = FxHashMap::default();
    for ((_, sym), bindings) in facts.bindings.iter() {
        for binding in bindings {
            if let Bound::Expr(expr) = binding.value
                && matches!(facts.kind(expr), ExprKind::Call(_))
            {
                let slot = names.entry(At { file, expr }).or_insert(*sym);
                if facts.name(*sym) < facts.name(*slot) {
                    *slot = *sym; // The same whatever the order of the map.
                }
            }
        }
    }
    names
}
