//! Tools: services the agent reaches at an address of its own, by the platform, or through their library; MCP servers
//! and function tools join them here.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::mcp::Server;
use crate::analysis::{CallSite, Confidence, Step, Tool, ToolKind};
use crate::facts::{ExprId, ExprKind};
use crate::knowledge::index::{Folder, Hit, RuleKind};
use crate::knowledge::schema::{ArgRef, Entry, Form, ServiceRule};
use crate::memo::Asked;
use crate::packages::is_test_path;
use crate::resolve::url::{self, Address};
use crate::resolve::{At, Frames, Known, Piece, Ref, Value};
use crate::sites::{Context, Outbound, Site};
use crate::sources::Language;

/// A use of a service's library.
#[derive(Clone)]
pub struct Service {
    /// Name of the tool.
    pub name: String,
    /// Id in the knowledge base.
    pub id: String,
    /// Path as submitted.
    pub file: String,
    /// Line of the call.
    pub line: u32,
    /// The call.
    pub at: At,
    /// What is called.
    pub call: String,
    /// Hosts it reaches.
    pub hosts: Vec<String>,
    /// The hosts are the library's defaults.
    pub implied: bool,
    /// The platform gives the address.
    pub platform: bool,
    /// It is given a client of the service that was made elsewhere: a use, but not the first.
    pub given: bool,
    /// Method and path of the request behind the call.
    pub request: Request,
    /// How sure.
    pub confidence: Confidence,
    /// The chain.
    pub steps: Vec<Step>,
}

/// All uses of services' libraries.
pub fn services(cx: &Context) -> Vec<Service> {
    let found = cx.each(Asked::Services, |cx, file| (called(cx, file), [listed(cx, file), hosted(cx, file)].concat()));
    let called = found.iter().flat_map(|of_file| &of_file.0);
    called.chain(found.iter().flat_map(|of_file| &of_file.1)).cloned().collect()
}

/// Tools that a provider runs itself, by the dicts that name them.
fn hosted(cx: &Context, file: usize) -> Vec<Service> {
    let facts = cx.project.facts(file);
    if cx.project.is_test(file) || cx.project.language(file) == Language::Text {
        return Vec::new();
    }
    let rules =
        || cx.project.knowledge.entries().flat_map(|(_, entry)| entry.hosted.iter().map(move |rule| (entry, rule)));
    let is_of = |own: &String, written: &str| match own.strip_suffix('*') {
        Some(beginning) => written.starts_with(beginning),
        None => own == written,
    };
    let mut services = Vec::new();
    for expr in &facts.exprs {
        let ExprKind::Dict(pairs) = &expr.kind else { continue };
        let value = |wanted: &str| {
            let key_of = |pair: &&(Option<ExprId>, ExprId)| pair.0.and_then(|key| facts.text(key)) == Some(wanted);
            pairs.iter().take(32).find(key_of).map(|(_, value)| *value)
        };
        let Some((kind, written)) = value("type").and_then(|kind| Some((kind, facts.text(kind)?))) else { continue };
        let mut named = rules().filter(|(_, rule)| rule.types.iter().any(|own| is_of(own, written)));
        let told = named.find(|(_, rule)| rule.with.as_deref().is_none_or(|with| value(with).is_some()));
        services.extend(told.map(|(entry, rule)| {
            let at = At { file, expr: kind };
            Service {
                name: rule.tool.clone(),
                id: entry.id.clone(),
                file: cx.project.path(file).to_owned(),
                line: cx.project.line(at),
                at,
                call: written.to_owned(),
                hosts: Vec::new(),
                implied: true,
                platform: false,
                given: false,
                request: (None, None),
                confidence: Confidence::High,
                steps: vec![cx.step(at, format!("type `{written}`"))],
            }
        }));
    }
    services
}

/// Those of the calls of a file.
fn called(cx: &Context, file: usize) -> Vec<Service> {
    let mut services = Vec::new();
    for site in cx.sites_of(file) {
        let is_model = site.hits(RuleKind::Model).any(|hit| !hit.by_suffix);
        // A submitted class that extends a tool of a library is a tool of the project's own.
        if is_own_tool(cx, site) {
            continue;
        }
        for hit in site.hits(RuleKind::Service).filter(|hit| !hit.by_suffix) {
            let entry = cx.project.knowledge.entry(hit.entry);
            // What is called on a client that was counted where it was made is a use of that.
            let made = |(at, _): &(At, _)| {
                cx.site(*at).is_some_and(|s| s.hits(RuleKind::Service).any(|h| h.entry == hit.entry))
            };
            if site.chain.iter().any(made) {
                continue;
            }
            let rule = &entry.service[hit.rule as usize];
            if !rule.names.is_empty() && !is_model {
                services.extend(loaded(cx, site, rule, entry));
                continue;
            }
            // A model's own class is no service beside it, unless an argument says so.
            if is_model && rule.only_arg.is_empty() || !applies(cx, site.at, rule) {
                continue;
            }
            let given = is_given_client(cx, site, hit, rule, entry);
            let template = tool_name(rule, entry);
            let names = match template.contains("{}") {
                false => vec![template],
                true => {
                    let names = named(cx, site.at, rule, &template);
                    if names.is_empty() && rule.vendor { vec![format!("{}-api", entry.id)] } else { names }
                }
            };
            let names = if rule.by_class.is_empty() { names } else { named_by_class(cx, site, rule) };
            let (hosts, implied) = hosts(cx, site.at, &None, rule, &entry.hosts);
            let names = named_by_host(cx, site.at, rule).map_or(names, |name| vec![name]);
            for name in names {
                let call = site.symbol.display();
                services.push(Service {
                    name,
                    id: entry.id.clone(),
                    file: cx.project.path(site.at.file).to_owned(),
                    line: cx.project.line(site.at),
                    at: site.at,
                    hosts: hosts.clone(),
                    implied,
                    platform: rule.platform,
                    given,
                    request: request(cx, site.at, rule),
                    confidence: Confidence::High,
                    steps: vec![cx.step(site.at, format!("call of `{call}`"))],
                    call,
                });
            }
        }
    }
    services
}

/// A rule may hold only for some values of an argument: `createTransport({ service: "gmail" })`.
fn applies(cx: &Context, at: At, rule: &ServiceRule) -> bool {
    let argument = |places: &[ArgRef]| cx.project.argument(at, &None, places);
    let only = || {
        let value = argument(&rule.only_arg).and_then(|(at, frames)| cx.project.text(at, &frames));
        value.is_some_and(|value| holds(rule, &value))
    };
    argument(&rule.unless).is_none() && (rule.only.is_empty() || only())
}

/// One of the values that a rule is for.
fn holds(rule: &ServiceRule, value: &str) -> bool {
    rule.only.iter().any(|one| one.eq_ignore_ascii_case(value))
}

/// An argument of the call is a client of the same service that was made elsewhere: `PineconeStore(index)` of
/// `index = pinecone.Index("docs")`.
fn is_given_client(cx: &Context, site: &Site, hit: Hit, rule: &ServiceRule, entry: &Entry) -> bool {
    let tool = |rule: &ServiceRule, entry: &Entry| {
        rule.tool.clone().or_else(|| entry.tool.clone()).unwrap_or_else(|| entry.id.clone())
    };
    let own = tool(rule, entry);
    if own.contains("{}") {
        return false;
    }
    let same = |(at, _): &(At, Frames)| {
        *at != site.at
            && cx.site(*at).is_some_and(|made| {
                made.hits(RuleKind::Service).any(|other| {
                    let entry = cx.project.knowledge.entry(other.entry);
                    other.entry == hit.entry || tool(&entry.service[other.rule as usize], entry) == own
                })
            })
    };
    let Some(call) = cx.project.call(site.at) else { return false };
    let places = call.args.iter().flat_map(|arg| inner(cx, At { file: site.at.file, expr: arg.value }));
    places.take(16).any(|at| {
        cx.project
            .refer(at, &None)
            .iter()
            .any(|reference| matches!(reference, Ref::External(_, chain) if chain.iter().any(same)))
    })
}

/// An argument, or the values of the options object that it is.
fn inner(cx: &Context, at: At) -> Vec<At> {
    match cx.project.facts(at.file).kind(at.expr) {
        ExprKind::Dict(pairs) => pairs.iter().map(|&(_, value)| At { file: at.file, expr: value }).collect(),
        _ => vec![at],
    }
}

/// Method and path of the HTTP request behind a call, where its rule knows them or says where they stand.
fn request(cx: &Context, at: At, rule: &ServiceRule) -> Request {
    let argument = |places: &[ArgRef]| cx.project.argument(at, &None, places);
    let method = argument(&rule.method_arg).and_then(|(at, frames)| cx.project.text(at, &frames));
    let method = method
        .map(|method| method.to_ascii_uppercase())
        .filter(|method| (1..=12).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase()));
    let given = argument(&rule.path_arg).and_then(|(at, frames)| {
        cx.project.values(at, &frames).into_iter().find_map(|known| match known.value {
            Value::Text(pieces) => Some(pieces),
            _ => None,
        })
    });
    let path = given.and_then(|pieces| {
        let rooted = matches!(pieces.first(), Some(Piece::Lit(text)) if text.starts_with('/'));
        let slash = (!rooted).then(|| Piece::Lit("/".into()));
        let before = rule.path.iter().map(|path| Piece::Lit(path.trim_end_matches('/').to_owned()));
        let all: Vec<Piece> = before.chain(slash).chain(pieces).collect();
        url::path(&all)
    });
    (method.or_else(|| rule.method.clone()), path.or_else(|| rule.path.clone()))
}

/// `Agent(tools=[calculator])`: a service's tool that is handed over without a call.
fn listed(cx: &Context, file: usize) -> Vec<Service> {
    let mut services = Vec::new();
    for site in cx.sites_of(file) {
        for hit in site.hits(RuleKind::Function) {
            let rule = &cx.project.knowledge.entry(hit.entry).function[hit.rule as usize];
            if rule.form != Form::List {
                continue;
            }
            let Some((list, frames)) = cx.project.argument(site.at, &None, &rule.tools) else { continue };
            for (item, frames) in cx.project.elements(list, &frames) {
                for (hit, reference) in cx.project.hits(item, &frames) {
                    let Ref::External(symbol, _) = &reference else { continue };
                    if hit.kind != RuleKind::Service || hit.by_suffix {
                        continue;
                    }
                    let entry = cx.project.knowledge.entry(hit.entry);
                    let rule = &entry.service[hit.rule as usize];
                    if !rule.by_class.is_empty() {
                        continue;
                    }
                    let name = tool_name(rule, entry);
                    let (hosts, implied) = hosts(cx, item, &frames, rule, &entry.hosts);
                    services.push(Service {
                        name,
                        id: entry.id.clone(),
                        file: cx.project.path(item.file).to_owned(),
                        line: cx.project.line(item),
                        at: item,
                        call: symbol.display(),
                        hosts,
                        implied,
                        platform: false,
                        given: false,
                        request: (None, None),
                        confidence: Confidence::High,
                        steps: vec![
                            cx.step(item, format!("`{}` given to `{}`", symbol.display(), site.symbol.display())),
                        ],
                    });
                }
            }
        }
    }
    services
}

/// Tools that a loader is told by their names, each where its name stands: `load_tools(["serpapi", "wikipedia"])`.
fn loaded(cx: &Context, site: &Site, rule: &ServiceRule, entry: &Entry) -> Vec<Service> {
    let Some((list, frames)) = cx.project.argument(site.at, &None, &rule.names) else { return Vec::new() };
    let (hosts, implied) = hosts(cx, site.at, &None, rule, &entry.hosts);
    let call = site.symbol.display();
    let mut services = Vec::new();
    for (item, frames) in cx.project.elements(list, &frames).into_iter().take(MOST_NAMES) {
        let Some(name) = cx.project.text(item, &frames).filter(|name| holds(rule, name)) else { continue };
        services.push(Service {
            name: tool_name(rule, entry),
            id: entry.id.clone(),
            file: cx.project.path(item.file).to_owned(),
            line: cx.project.line(item),
            at: item,
            call: call.clone(),
            hosts: hosts.clone(),
            implied,
            platform: rule.platform,
            given: false,
            request: (None, None),
            confidence: Confidence::High,
            steps: vec![cx.step(item, format!("`{name}` given to `{call}`"))],
        });
    }
    services
}

/// Names of tools that one loader is told; no library has as many.
const MOST_NAMES: usize = 256;

/// The name of a rule's tool, perhaps with a `{}` for an argument.
fn tool_name(rule: &ServiceRule, entry: &Entry) -> String {
    let own = || if rule.platform { entry.id.clone() } else { format!("{}-api", entry.id) };
    rule.tool.clone().or_else(|| entry.tool.clone()).unwrap_or_else(own)
}

/// Names by an argument: `aws-s3` of `boto3.client("s3")`; several where callers differ.
fn named(cx: &Context, at: At, rule: &ServiceRule, template: &str) -> Vec<String> {
    let Some((value, frames)) = cx.project.argument(at, &None, &rule.tool_arg) else { return Vec::new() };
    let known = cx.project.values(value, &frames);
    let texts = known.iter().filter_map(Known::literal_or_default).filter_map(|text| match rule.vendor {
        true => text.split_once('/').map(|(vendor, _)| vendor.to_owned()),
        false => Some(text),
    });
    let texts = texts.filter(|text| !rule.except.contains(text));
    texts.filter(|text| !text.is_empty() && text.len() < 100).map(|text| template.replace("{}", &text)).collect()
}

/// `acme-search-tool` of `AcmeSearchTool()` of a library of tools, where nothing more is known of the class.
fn named_by_class(cx: &Context, site: &Site, rule: &ServiceRule) -> Vec<String> {
    let says_more = |kind: RuleKind| {
        site.hits(kind).any(|hit| match kind {
            RuleKind::Service => cx.project.knowledge.entry(hit.entry).service[hit.rule as usize].by_class.is_empty(),
            _ => !hit.by_suffix,
        })
    };
    let kinds = [RuleKind::Service, RuleKind::Function, RuleKind::Mcp, RuleKind::Client];
    let class = site.symbol.last().filter(|name| name.starts_with(char::is_uppercase));
    let class = class.filter(|name| rule.by_class.iter().any(|end| name.ends_with(end.as_str()) && *name != end));
    let class = class.filter(|name| !rule.except.iter().any(|other| other == name));
    class.filter(|_| !kinds.into_iter().any(says_more)).map(kebab).into_iter().collect()
}

/// What is constructed is a class of the project whose base makes it a function tool.
fn is_own_tool(cx: &Context, site: &Site) -> bool {
    let is_class = |hit: Hit| cx.project.knowledge.entry(hit.entry).function[hit.rule as usize].form == Form::Class;
    let Some(call) = cx.project.call(site.at).filter(|_| site.hits(RuleKind::Function).any(is_class)) else {
        return false;
    };
    let refs = cx.project.refer(At { file: site.at.file, expr: call.callee }, &None);
    refs.iter().any(|reference| matches!(reference, Ref::Class(..)))
}

/// `AcmeSQLTool` is `acme-sql-tool`.
fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let ends_capitals = || letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && before.is_some_and(|before| !before.is_uppercase() || ends_capitals()) {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// `gmail-smtp` of `SMTP("smtp.gmail.com")`, where the rule says so and the code writes the host down.
fn named_by_host(cx: &Context, at: At, rule: &ServiceRule) -> Option<String> {
    let (at, frames) = cx.project.argument(at, &None, &rule.base).filter(|_| rule.by_host)?;
    let host = cx.project.values(at, &frames).iter().find_map(Known::literal)?;
    url::is_external(&host).then(|| name_of_host(&host))
}

fn hosts(cx: &Context, at: At, frames: &Frames, rule: &ServiceRule, of_entry: &[String]) -> (Vec<String>, bool) {
    if let Some((value, frames)) = cx.project.argument(at, frames, &rule.base) {
        let mut hosts = Vec::new();
        for known in cx.project.values(value, &frames) {
            if let Value::Text(pieces) = &known.value {
                let address = url::parse(pieces).filter(|address| !address.host.is_empty()).or_else(|| bare(&known));
                hosts.extend(address.filter(|a| url::is_external(&a.host)).map(|a| a.bare_host().to_owned()));
            }
        }
        let absent = known_absent(cx, value, &frames);
        if !absent {
            return (hosts, false);
        }
    }
    if let Some(template) = &rule.region_host {
        let region = cx.project.argument(at, &None, &rule.region);
        let known = region.map(|(at, frames)| cx.project.values(at, &frames)).unwrap_or_default();
        let region = known.iter().find_map(Known::literal_or_default).filter(|region| !region.is_empty());
        return (region.map(|region| template.replace("{region}", &region)).into_iter().collect(), true);
    }
    if rule.local {
        return (Vec::new(), true);
    }
    let host = rule.host.as_ref().or_else(|| of_entry.first());
    let host = host.map(|host| host.split('/').next().unwrap_or(host).to_owned());
    let host = host.filter(|host| url::is_external(host));
    (host.into_iter().chain(rule.also.iter().cloned()).collect(), true)
}

/// The address is a variable that may be unset: the library then takes its own.
fn known_absent(cx: &Context, at: At, frames: &Frames) -> bool {
    cx.project.values(at, frames).iter().any(|known| match &known.value {
        Value::Text(pieces) => {
            url::parse(pieces).is_some_and(|address| super::models::may_be_absent(cx, &address, known))
        }
        Value::Null => true,
        Value::Object(_) => false,
    })
}

/// `host="db.acme.io"`.
fn bare(known: &Known) -> Option<Address> {
    let host = known.literal_or_default()?.to_ascii_lowercase();
    // `notes.db` is a file.
    let extension = host.rsplit('.').next().unwrap_or("");
    let is_file = ["db", "sqlite", "sqlite3", "json", "yaml", "yml", "txt", "csv", "toml", "md", "py", "js", "ts"]
        .contains(&extension);
    (!is_file && url::is_external(&host)).then(|| Address { host, ..Address::default() })
}

/// All tools: what is reached by address, by library, by MCP, and the functions.
pub fn detect(cx: &Context, services: &[Service], servers: Vec<Server>, functions: Vec<Tool>) -> Vec<Tool> {
    let mut found = Found::default();
    let requested = cx.each(Asked::Requests, |cx, file| -> Vec<Tool> {
        cx.outbound_of(file).iter().filter_map(|outbound| of_request(cx, outbound)).collect()
    });
    for tool in requested.iter().flat_map(|of_file| of_file.iter()) {
        found.add(false, tool.clone());
    }
    let uses = cx.each(Asked::Uses, uses);
    let mut used: FxHashMap<At, Vec<&Use>> = FxHashMap::default();
    for one in uses.iter().flat_map(|of_file| of_file.iter()) {
        used.entry(one.client).or_default().push(one);
    }
    for service in services {
        let uses = used.get(&service.at).map_or(&[][..], Vec::as_slice);
        of_service(service, uses, &mut found);
    }
    let mut tools = found.merged();
    for server in servers {
        if !tools.iter().any(|tool| tool.name == server.tool.name && tool.kind == ToolKind::Mcp) {
            tools.push(server.tool);
        }
    }
    for function in functions {
        // A function that only wraps a tool of the same name is that tool.
        let name = function.name.replace('_', "-");
        if !tools.iter().any(|tool| tool.kind == ToolKind::Env && tool.name == name) {
            tools.push(function);
        }
    }
    tools.sort_by(|a, b| (&a.file, a.line, &a.name, a.kind).cmp(&(&b.file, b.line, &b.name, b.kind)));
    tools
}

/// Tools by name and kind.
#[derive(Default)]
struct Found(BTreeMap<(String, ToolKind), (First, Tool)>);

/// How early a use is: one of its own before one by a client made elsewhere, tests and trials last, then by place.
type First = (bool, bool, String, u32);

impl Found {
    /// One entry per service: what is called by address joins the library of the same name.
    fn merged(mut self) -> Vec<Tool> {
        let both: Vec<String> =
            self.0.keys().filter(|(_, kind)| *kind == ToolKind::Sdk).map(|(name, _)| name.clone()).collect();
        for name in both {
            if let Some((_, http)) = self.0.remove(&(name.clone(), ToolKind::Http))
                && let Some((_, sdk)) = self.0.get_mut(&(name, ToolKind::Sdk))
            {
                sdk.call_sites.extend(http.call_sites);
                sdk.call_sites.sort();
                sdk.call_sites.dedup();
            }
        }
        self.0.into_values().map(|(_, tool)| tool).collect()
    }

    fn add(&mut self, given: bool, mut new: Tool) {
        new.call_sites.sort();
        new.call_sites.dedup();
        let key = (new.name.clone(), new.kind);
        let place = (given, is_test_path(&new.file), new.file.clone(), new.line);
        let Some((first, known)) = self.0.get_mut(&key) else {
            self.0.insert(key, (place, new));
            return;
        };
        let mut sites = std::mem::take(&mut known.call_sites);
        // Kept in order: sorting them anew for each is quadratic where one host has thousands.
        for site in &new.call_sites {
            if let Err(place) = sites.binary_search(site) {
                sites.insert(place, site.clone());
            }
        }
        if place < *first {
            *first = place;
            *known = new;
        }
        known.call_sites = sites;
    }
}

/// `postgres` of `postgresql://…` on a machine that the environment names: the variable may tell less.
fn service_of_scheme(cx: &Context, address: &Address) -> Option<String> {
    if url::is_external(address.bare_host()) && !address.host.contains('{') {
        return None;
    }
    let of_default =
        || address.default.as_deref().and_then(|default| default.split_once("://")).map(|(scheme, _)| scheme);
    let scheme = Some(&*address.scheme).filter(|scheme| !scheme.is_empty()).or_else(of_default)?;
    let scheme = scheme.split('+').next().unwrap_or(scheme);
    let mut entries = cx.project.knowledge.entries().map(|(_, entry)| entry);
    let entry = entries.find(|entry| entry.schemes.iter().any(|own| own == scheme))?;
    Some(entry.tool.clone().unwrap_or_else(|| entry.id.clone()))
}

/// `jobs-feed.rapidapi.com` for `jobs-feed.p.rapidapi.com`: labels that all hosts of a family share say nothing.
fn member_of_family(entry: &Entry, host: &str) -> Option<String> {
    let shared = entry.hosts.iter().filter_map(|own| own.strip_prefix("*."));
    let shared = shared.into_iter().find(|shared| host.strip_suffix(shared).is_some_and(|rest| rest.ends_with('.')))?;
    let at = shared.match_indices('.').rev().nth(1).map_or(0, |(at, _)| at + 1);
    Some(format!("{}{}", host.strip_suffix(shared)?, &shared[at..]))
}

fn of_request(cx: &Context, outbound: &Outbound) -> Option<Tool> {
    let address = &outbound.address;
    if super::models::is_model_endpoint(cx, outbound) {
        return None;
    }
    let owner = cx.owners(address).find(|(folder, _)| *folder == Folder::Service || *folder == Folder::Client);
    let entry = owner.map(|(_, index)| cx.project.knowledge.entry(index));
    let known_name = entry
        .filter(|entry| !entry.named_by_host)
        .map(|entry| entry.tool.clone().unwrap_or_else(|| format!("{}-api", entry.id)));
    let known_name = known_name.filter(|name| !name.contains("{}"));
    let by_scheme = (outbound.connection && address.env.is_some()).then(|| service_of_scheme(cx, address)).flatten();
    let (kind, name) = match &address.env {
        _ if by_scheme.is_some() => (ToolKind::Sdk, by_scheme.unwrap_or_default()),
        Some(env) => (ToolKind::Env, name_of_variable(env)),
        None if address.host.is_empty() || address.host.starts_with('{') => return None,
        None => {
            let family = entry
                .filter(|entry| entry.named_by_host)
                .and_then(|entry| member_of_family(entry, address.bare_host()));
            let host = family.as_deref().unwrap_or(address.bare_host());
            (ToolKind::Http, known_name.unwrap_or_else(|| name_of_host(host)))
        }
    };
    // Where the library that connects is a service's own, that is the tool.
    let is_service = |site: &Site| {
        let entry = |hit: Hit| cx.project.knowledge.entry(hit.entry);
        site.hits(RuleKind::Service).any(|hit| applies(cx, site.at, &entry(hit).service[hit.rule as usize]))
    };
    if cx.site(outbound.at).is_some_and(is_service) {
        return None;
    }
    if kind == ToolKind::Http && outbound.connection && !url::is_external(&address.host) {
        return None;
    }
    // A database in a file is no service.
    let is_file = |default: &String| ["sqlite", "duckdb", "file:"].iter().any(|scheme| default.starts_with(scheme));
    if outbound.connection && address.default.as_ref().is_some_and(is_file) {
        return None;
    }
    let is_nobody = |host: &str| is_loopback(host) || url::is_for_examples(host);
    if kind == ToolKind::Http && (address.host.contains('{') || is_nobody(address.bare_host())) {
        return None;
    }
    // What a test calls by address is what it tests, or made up.
    if cx.project.is_test(outbound.url_at.file) && kind == ToolKind::Http {
        return None;
    }
    // A machine whose name tells nobody who serves there; a variable that may as well name a file.
    let is_inside = kind == ToolKind::Http && !url::is_external(&address.host);
    let may_be_file = kind == ToolKind::Env && outbound.connection && address.default.is_none();
    let at_most = if is_inside || may_be_file { Confidence::Medium } else { Confidence::High };
    let (file, line) = (cx.project.path(outbound.url_at.file).to_owned(), cx.project.line(outbound.url_at));
    let path = (!outbound.connection).then(|| if address.path.is_empty() { "/".into() } else { address.path.clone() });
    let site =
        CallSite { file: file.clone(), line, method: outbound.method.clone(), path, call: outbound.call.clone() };
    Some(Tool {
        name,
        kind,
        file,
        line,
        base_url: (kind == ToolKind::Http).then(|| address.base_url()),
        detected_url_pattern: address.env.clone(),
        default_url: address.default.clone(),
        service: entry.map(|entry| entry.id.clone()),
        description: None,
        source: None,
        confidence: outbound.confidence.min(at_most),
        call_sites: vec![site],
        evidence: outbound.steps.clone(),
    })
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "0.0.0.0" || host == "[::1]"
}

/// Method and path of a request, as far as they are known.
pub type Request = (Option<String>, Option<String>);

/// Something that is called on the client that another call makes.
struct Use {
    /// The call that makes the client.
    client: At,
    at: At,
    site: CallSite,
    /// The request behind it as each service has it, by id.
    requests: Vec<(String, Request)>,
}

fn uses(cx: &Context, file: usize) -> Vec<Use> {
    let made = cx.sites_of(file).iter().filter_map(|site| Some((site, site.chain.first()?.0)));
    let one = |(site, client): (&Site, At)| {
        let rules = site.hits(RuleKind::Service).map(|hit| (cx.project.knowledge.entry(hit.entry), hit.rule as usize));
        let requests = rules.map(|(entry, rule)| (entry.id.clone(), request(cx, site.at, &entry.service[rule])));
        let (file, line) = (cx.project.path(site.at.file).to_owned(), cx.project.line(site.at));
        let call = CallSite { file, line, method: None, path: None, call: site.symbol.display() };
        Use { client, at: site.at, site: call, requests: requests.collect() }
    };
    made.filter(|(site, client)| site.at != *client).map(one).collect()
}

fn of_service(service: &Service, uses: &[&Use], found: &mut Found) {
    let (method, path) = service.request.clone();
    let own = CallSite { file: service.file.clone(), line: service.line, method, path, call: service.call.clone() };
    let mut call_sites = vec![own];
    // What is called on the client that this call makes.
    for one in uses.iter().filter(|one| one.at != service.at) {
        let own = one.requests.iter().find(|(id, _)| *id == service.id);
        let (method, path) = own.map(|(_, request)| request.clone()).unwrap_or_default();
        call_sites.push(CallSite { method, path, ..one.site.clone() });
    }
    call_sites.sort();
    call_sites.dedup();
    let kind = if service.platform { ToolKind::Env } else { ToolKind::Sdk };
    let variable = format!("TOOL_{}_URL", service.name.to_ascii_uppercase().replace('-', "_"));
    found.add(
        service.given,
        Tool {
            name: service.name.clone(),
            kind,
            file: service.file.clone(),
            line: service.line,
            base_url: service.hosts.first().map(|host| format!("https://{host}")),
            detected_url_pattern: service.platform.then_some(variable),
            default_url: None,
            service: (!service.platform).then(|| service.id.clone()),
            description: None,
            source: None,
            confidence: service.confidence,
            call_sites,
            evidence: service.steps.clone(),
        },
    );
}

/// `TOOL_ECHO_TOOL_URL` and `TOOL_URL_ECHO_TOOL` are `echo-tool`; `CRM_URL` and `CRM_BASE_URL` are `crm`,
/// `CRM_API_URL` is `crm-api`.
pub fn name_of_variable(variable: &str) -> String {
    let upper = variable.to_ascii_uppercase();
    let platform = upper.strip_prefix("TOOL_URL_").or_else(|| upper.strip_prefix("TOOL_")?.strip_suffix("_URL"));
    let name = match platform {
        Some(name) => name,
        None => {
            let mut name = upper.as_str();
            for start in ["NEXT_PUBLIC_", "VITE_", "REACT_APP_", "PUBLIC_"] {
                name = name.strip_prefix(start).unwrap_or(name);
            }
            let ends = [
                "_BASE_URL",
                "_BASEURL",
                "_BASE_URI",
                "_URL",
                "_URI",
                "_ENDPOINT",
                "_HOST",
                "_ADDRESS",
                "_BASE",
                "_DSN",
            ];
            ends.iter().find_map(|end| name.strip_suffix(end)).filter(|rest| !rest.is_empty()).unwrap_or(name)
        }
    };
    name.to_ascii_lowercase().replace('_', "-")
}

/// `api.acme.io` is `acme-api`, `hooks.acme.io` `acme-hooks`, `api.cloud.acme.io` `acme-cloud-api`, `acme.io` and
/// `www.acme.io` are `acme`.
pub fn name_of_host(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').filter(|label| *label != "www").collect();
    let is_address = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    // In a cluster the first label is the service.
    if let (Some(first), true) =
        (labels.first(), labels.contains(&"svc") || host.ends_with(".internal") || host.ends_with(".local"))
    {
        return (*first).to_owned();
    }
    if labels.len() < 2 || is_address {
        return host.replace('.', "-");
    }
    let end = labels.len() - url::suffix_labels(&labels) - 1;
    let (name, before) = (labels[end], &labels[..end]);
    let (last, between): (Vec<&str>, Vec<&str>) = before.iter().partition(|label| **label == "api");
    let parts: Vec<&str> = [name].into_iter().chain(between).chain(last).collect();
    parts.join("-").replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_tools() {
        let cases = [
            ("TOOL_ECHO_TOOL_URL", "echo-tool"),
            ("TOOL_URL_ECHO_TOOL", "echo-tool"),
            ("CRM_URL", "crm"),
            ("CRM_BASE_URL", "crm"),
            ("CRM_API_URL", "crm-api"),
            ("BASE_URL", "base"),
        ];
        for (variable, name) in cases {
            assert_eq!(name_of_variable(variable), name, "{variable}");
        }
    }

    #[test]
    fn hosts_name_tools() {
        let cases = [
            ("api.acme.io", "acme-api"),
            ("hooks.acme.io", "acme-hooks"),
            ("acme.io", "acme"),
            ("api.cloud.acme.io", "acme-cloud-api"),
            ("www.acme.io", "acme"),
            ("api.acme.co.uk", "acme-api"),
            ("tides.acme.id.vn", "acme-tides"),
            ("co.uk", "co"),
            ("shop.acme.ai", "acme-shop"),
            ("crm-service", "crm-service"),
        ];
        for (host, name) in cases {
            assert_eq!(name_of_host(host), name, "{host}");
        }
    }
}
