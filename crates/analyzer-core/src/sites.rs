//! Every call that may matter, classified once; and every address that a call connects to.
//!
//! Detectors share this, never findings: what a call is, is decided here, so that no two of them can claim it.

use std::sync::{Arc, OnceLock};

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::analysis::{Confidence, Step};
use crate::facts::*;
use crate::knowledge::index::{Folder, Hit, RuleKind, Symbol};
use crate::knowledge::schema::{ArgRef, RequestRule};
use crate::memo::{self, Asked, On};
use crate::resolve::url::{self, Address};
use crate::resolve::{Allowance, At, Callee, File, Frame, Frames, Known, Project, Ref, Value};

/// A call of something outside the submitted files.
#[derive(PartialEq)]
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
#[derive(PartialEq)]
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

/// Modules that are imported, and their classes (`openai#AzureOpenAI`), and whether by Python, by the first parts of their
/// names.
type Imported = FxHashMap<String, BTreeSet<(bool, Box<str>)>>;

/// What detectors are given.
pub struct Context<'a> {
    /// All files.
    pub project: &'a Project<'a>,
    /// Calls of known things, by file.
    sites: Vec<Arc<Vec<Site>>>,
    /// Addresses, by file.
    outbound: Vec<Arc<Vec<Outbound>>>,
    /// Names that calls are assigned to, by file.
    assigned: Vec<Arc<FxHashMap<ExprId, Sym>>>,
    /// All imports by the first part of their names, once somebody asks.
    imported: OnceLock<Arc<Imported>>,
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
        let (memo, files) = (project.memo, project.count());
        let ask = if all { every_site_of } else { known_sites_of };
        let mut cx = Context {
            project,
            sites: memo::each_told(memo, files, Asked::Sites, On::Sites, project, ask),
            outbound: Vec::new(),
            assigned: memo::each(memo, files, Asked::Assigned, project, assigned),
            imported: OnceLock::new(),
            configured: OnceLock::new(),
        };
        if let Some(memo) = memo {
            let imported = cx.imported.get_or_init(|| Arc::new(imported(project.files()))).clone();
            memo.compare(On::Imported, imported, |before, now| memo::differing(before, now, |root| memo::place(root)));
            let configured = cx.configured.get_or_init(|| configured(project.files())).clone();
            memo.compare(On::Configured, configured, |before, now| if before == now { vec![] } else { vec![0] });
        }
        cx.outbound = memo::each_told(memo, files, Asked::Outbound, On::Outbound, &cx, |cx, file| {
            let mut allowance = Allowance::new(cx.project.facts(file).calls.len());
            cx.sites_of(file).iter().flat_map(|site| cx.outbound_at(site, &mut allowance)).collect()
        });
        cx
    }

    /// Asks the same of every file.
    pub(crate) fn each<T: Send + Sync + 'static>(&self, asked: Asked, ask: fn(&Self, usize) -> T) -> Vec<Arc<T>> {
        memo::each(self.project.memo, self.project.count(), asked, self, ask)
    }

    /// Known calls of all files.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        debug_assert!(!memo::is_asking(), "who asks about one file names what he reads");
        self.sites.iter().flat_map(|of_file| of_file.iter())
    }

    /// Known calls of a file.
    pub fn sites_of(&self, file: usize) -> &[Site] {
        self.project.note(On::Sites, file);
        &self.sites[file]
    }

    /// Addresses of all files.
    pub fn outbound(&self) -> impl Iterator<Item = &Outbound> {
        debug_assert!(!memo::is_asking(), "who asks about one file names what he reads");
        self.outbound.iter().flat_map(|of_file| of_file.iter())
    }

    /// Addresses of a file.
    pub fn outbound_of(&self, file: usize) -> &[Outbound] {
        self.project.note(On::Outbound, file);
        &self.outbound[file]
    }

    /// The name that a call is assigned to.
    pub fn assigned(&self, at: At) -> Option<&'a str> {
        Some(self.project.facts(at.file).name(*self.assigned[at.file].get(&at.expr)?))
    }

    /// The imports whose names begin so.
    fn imported(&self, root: &str) -> Option<&BTreeSet<(bool, Box<str>)>> {
        self.project.note(On::Imported, memo::place(root));
        self.imported.get_or_init(|| Arc::new(imported(self.project.unnoted_files()))).get(root)
    }

    /// Whether some file imports a package whose name begins so.
    pub fn imports_root(&self, root: &str) -> bool {
        self.imported(root).is_some()
    }

    /// Whether some file imports a class from a package whose name begins so.
    pub fn imports_class(&self, root: &str, class: &str) -> bool {
        let is_it = |(_, name): &(bool, Box<str>)| name.rsplit_once('#').is_some_and(|(_, name)| name == class);
        self.imported(root).is_some_and(|imported| imported.iter().any(is_it))
    }

    /// Whether some file of a language imports a package or something inside of it.
    pub fn imports_package(&self, python: bool, package: &str) -> bool {
        let separator = if python { '.' } else { '/' };
        let is_of = |(by_python, module): &(bool, Box<str>)| {
            let rest = module.strip_prefix(package).filter(|_| *by_python == python);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
        };
        self.imported(first_part(package)).is_some_and(|imported| imported.iter().any(is_of))
    }

    /// `openai.api_base = "…"`: what is given an address as a whole, and the address.
    pub fn configured(&self) -> &[(At, At)] {
        self.project.note(On::Configured, 0);
        self.configured.get_or_init(|| configured(self.project.unnoted_files()))
    }

    /// The site of a call.
    pub fn site(&self, at: At) -> Option<&Site> {
        let sites = self.sites_of(at.file);
        let from = sites.partition_point(|site| site.at < at);
        sites.get(from).filter(|site| site.at == at)
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
    fn outbound_at(&self, site: &Site, allowance: &mut Allowance) -> Vec<Outbound> {
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

fn first_part(module: &str) -> &str {
    module.split(['.', '/']).next().unwrap_or(module)
}

fn imported(files: &[File]) -> Imported {
    let mut imported = Imported::default();
    for file in files {
        let python = file.source.language.is_python();
        for import in &file.facts.imports {
            let module = &*import.module;
            let of_root = imported.entry(first_part(module).to_owned()).or_default();
            if let Item::Member(name) = &import.item
                && name.starts_with(char::is_uppercase)
            {
                of_root.insert((python, format!("{module}#{name}").into()));
            }
            of_root.insert((python, module.into()));
        }
    }
    imported
}

fn configured(files: &[File]) -> Vec<(At, At)> {
    let of = |(file, one): (usize, &File)| -> Vec<(At, At)> {
        let facts = &one.facts;
        let assignments = facts.place_assignments.iter().filter_map(|assignment| {
            let ExprKind::Attr(base, member) = *facts.kind(assignment.target) else { return None };
            let named = matches!(facts.name(member), "api_base" | "base_url" | "baseURL");
            named.then_some((At { file, expr: base }, At { file, expr: assignment.value }))
        });
        assignments.collect()
    };
    files.iter().enumerate().flat_map(of).collect()
}

fn known_sites_of(project: &Project, file: usize) -> Vec<Site> {
    sites_of(project, file, false)
}

fn every_site_of(project: &Project, file: usize) -> Vec<Site> {
    sites_of(project, file, true)
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
fn assigned(project: &Project, file: usize) -> FxHashMap<ExprId, Sym> {
    let facts = project.facts(file);
    let mut names = FxHashMap::default();
    for ((_, sym), bindings) in facts.bindings.iter() {
        for binding in bindings {
            if let Bound::Expr(expr) = binding.value
                && matches!(facts.kind(expr), ExprKind::Call(_))
            {
                let slot = names.entry(expr).or_insert(*sym);
                if facts.name(*sym) < facts.name(*slot) {
                    *slot = *sym; // The same whatever the order of the map.
                }
            }
        }
    }
    names
}
