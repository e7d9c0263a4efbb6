//! Model usages: where a model is chosen, of which provider, for what.

mod requests;

use rustc_hash::FxHashSet;

use crate::analysis::{Confidence, ModelUsage, Role, Step};
use crate::facts::ExprKind;
use crate::knowledge::index::{Folder, Hit, RuleKind};
use crate::knowledge::schema::{ArgRef, Entry, ModelRule, Switch};
use crate::memo::Asked;
use crate::resolve::url::{self, Address};
use crate::resolve::{At, Frames, Known, Piece, Ref, Value};
use crate::sites::{Context, Outbound, Site};
pub use requests::is_model_endpoint;

/// A usage, and the host it implies.
#[derive(Clone)]
pub struct Usage {
    /// The finding.
    pub usage: ModelUsage,
    /// Its place among the usages of one call: another provider's model goes last, else as the code gives its models.
    order: (bool, usize),
    /// The host that is reached, when one is known.
    pub host: Option<Implied>,
}

/// A host that a model usage reaches.
#[derive(Clone)]
pub struct Implied {
    /// Bare host.
    pub host: String,
    /// The SDK whose default it is; none when the code names the host.
    pub by: Option<String>,
    /// How sure: another matter than which model is asked there.
    pub confidence: Confidence,
    /// Where the host comes from.
    pub steps: Vec<Step>,
}

/// All usages, by SDK and by raw HTTP.
pub fn detect(cx: &Context) -> Vec<Usage> {
    let found = cx.each(Asked::Models, |cx, file| {
        let called: Vec<Usage> = cx.sites_of(file).iter().flat_map(|site| of_site(cx, site)).collect();
        let requested: Vec<Usage> =
            cx.outbound_of(file).iter().filter_map(|outbound| requests::of_request(cx, outbound)).collect();
        (called, requested)
    });
    let mut usages: Vec<Usage> = found.iter().flat_map(|of_file| of_file.0.iter().cloned()).collect();
    let idle = idle_clients(cx, &usages);
    usages.extend(idle);
    usages.extend(found.iter().flat_map(|of_file| of_file.1.iter().cloned()));
    usages.sort_by(|a, b| key(&a.usage).cmp(&key(&b.usage)));
    usages.dedup_by(|a, b| {
        key(&a.usage) == key(&b.usage) && a.host.as_ref().map(|h| &h.host) == b.host.as_ref().map(|h| &h.host)
    });
    usages
}

fn key(usage: &ModelUsage) -> (&str, u32, Option<&str>, &str, Role) {
    (&usage.file, usage.line, usage.model.as_deref(), &usage.provider, usage.role)
}

/// One finding per call, provider and role: the first model that is known, the others as its alternatives.
pub fn merged(mut usages: Vec<Usage>) -> Vec<ModelUsage> {
    let place =
        |usage: &ModelUsage| (usage.file.clone(), usage.line, usage.call.clone(), usage.provider.clone(), usage.role);
    usages.sort_by_key(|found| (place(&found.usage), found.usage.model.is_none(), found.order));
    let mut merged: Vec<ModelUsage> = Vec::new();
    for Usage { usage, .. } in usages {
        match merged.last_mut().filter(|last| place(last) == place(&usage)) {
            Some(known) => {
                let others = usage.model.filter(|model| known.model.as_ref() != Some(model));
                known.alternatives.extend(others.filter(|model| !known.alternatives.contains(model)));
            }
            None => merged.push(usage),
        }
    }
    for usage in merged.iter_mut().filter(|usage| !usage.alternatives.is_empty()) {
        // Which of them it is, is decided when the program runs.
        usage.confidence = usage.confidence.min(Confidence::Medium);
    }
    let provider_of = |usage: &ModelUsage| (usage.file.clone(), usage.line, usage.call.clone(), usage.role);
    for index in 1..merged.len() {
        // So is which of several providers it goes to.
        if provider_of(&merged[index - 1]) == provider_of(&merged[index]) {
            for usage in &mut merged[index - 1..=index] {
                usage.confidence = usage.confidence.min(Confidence::Medium);
            }
        }
    }
    merged.sort_by(|a, b| key(a).cmp(&key(b)));
    merged
}

/// Clients of providers that are made and never seen to be asked: a model is used, and nobody says which.
fn idle_clients(cx: &Context, others: &[Usage]) -> Vec<Usage> {
    let mut idle: Vec<(&Site, &Entry)> = Vec::new();
    for site in cx.sites() {
        let applying = |hit: &Hit| !hit.by_suffix && cx.applies(*hit, site.at, &None);
        let Some(hit) = site.hits(RuleKind::Client).find(applying) else { continue };
        let entry = cx.project.knowledge.entry(hit.entry);
        let is_provider = cx.project.knowledge.folder(hit.entry) == Folder::Provider && !entry.gateway;
        let plain = entry.client[hit.rule as usize].plain || site.hits(RuleKind::Model).next().is_some();
        let is_used = others.iter().any(|other| other.usage.provider == entry.id);
        if is_provider && !is_used && !plain && cx.assigned(site.at).is_some() {
            idle.push((site, entry));
        }
    }
    if idle.is_empty() {
        return Vec::new();
    }
    let mut asked: FxHashSet<At> = FxHashSet::default();
    for site in cx.sites().filter(|site| site.hits(RuleKind::Model).next().is_some()) {
        asked.extend(site.chain.iter().map(|(at, _)| *at));
    }
    // Handed to something else, which may ask for it.
    let clients: FxHashSet<At> = idle.iter().map(|(site, _)| site.at).collect();
    let handed_on = cx.each(Asked::HandedOn, handed_on);
    asked.extend(handed_on.iter().flat_map(|of_file| of_file.iter()).filter(|at| clients.contains(at)));
    idle.retain(|(site, _)| !asked.contains(&site.at));
    let usage = |(site, entry): (&Site, &Entry)| {
        let call = site.symbol.display();
        let usage = ModelUsage {
            role: Role::Chat,
            model: None,
            alternatives: Vec::new(),
            provider: entry.id.clone(),
            variable_name: cx.variable(site.at),
            file: cx.project.path(site.at.file).to_owned(),
            line: cx.project.line(site.at),
            default_from_env: false,
            evidence: vec![cx.step(site.at, format!("call of `{call}`"))],
            call,
            confidence: Confidence::Medium,
        };
        Usage { usage, order: (false, 0), host: None }
    };
    idle.into_iter().map(usage).collect()
}

/// What the calls of a file give to something outside, by the calls that made it.
fn handed_on(cx: &Context, file: usize) -> FxHashSet<At> {
    let mut inquiry = cx.project.inquiry(file);
    let arguments = cx.project.calls_outside(file).flat_map(|call| &call.args);
    let given = arguments.flat_map(|argument| inquiry.refer(argument.value));
    let calls = given.flat_map(|reference| match reference {
        Ref::External(_, calls) => calls,
        _ => Vec::new(),
    });
    calls.map(|(at, _)| at).collect()
}

/// The rule that decides a site: by symbol before by suffix; of several providers with the same members, the one that
/// the project imports.
fn decide(cx: &Context, site: &Site) -> Vec<Hit> {
    let hits: Vec<Hit> = site.hits(RuleKind::Model).collect();
    let exact: Vec<Hit> = hits.iter().copied().filter(|hit| !hit.by_suffix).collect();
    if !exact.is_empty() {
        // A framework's general rule gives way to the provider's own.
        let own =
            exact.iter().find(|hit| cx.project.knowledge.folder(hit.entry) == Folder::Provider).unwrap_or(&exact[0]);
        // Several rules of one entry: a call that names a model and an embedding, or several models.
        return exact.iter().copied().filter(|hit| hit.entry == own.entry).collect();
    }
    let imported = |hit: &&Hit| {
        let entry = cx.project.knowledge.entry(hit.entry);
        let rule = &entry.model[hit.rule as usize];
        let mut symbols = rule.python.iter().chain(&rule.js);
        symbols.any(|symbol| symbol.split(['.', '#']).next().is_some_and(|root| cx.imports_root(root)))
    };
    let chosen = hits
        .iter()
        .find(imported)
        .or_else(|| hits.iter().find(|hit| cx.project.knowledge.entry(hit.entry).copied).or(hits.first()));
    chosen.copied().into_iter().collect()
}

fn of_site(cx: &Context, site: &Site) -> Vec<Usage> {
    let mut usages = Vec::new();
    for hit in decide(cx, site) {
        let entry = cx.project.knowledge.entry(hit.entry);
        let rule = &entry.model[hit.rule as usize];
        let bases = bases(cx, site, entry, rule);
        for model in models(cx, site, rule) {
            // Known by its members alone, a call must name its model: others have a `messages.create` too.
            if hit.by_suffix && matches!(model, Model::Absent) && !is_told_by_spread(cx, site.at) {
                continue;
            }
            for (base, from) in &bases {
                // A model of one branch and an address of another never meet.
                let apart = matches!((&model, from), (Model::Given(model), Some(from)) if are_exclusive(cx, model.origin, *from));
                if !apart {
                    let found = usage(cx, site, hit, &model, base);
                    let place = usages.len();
                    usages.extend(found.map(|found| Usage { order: (found.order.0, place), ..found }));
                }
            }
        }
    }
    usages
}

/// Whether arguments are handed on in a way that may name anything: `create(**options)`, `create(options)`.
fn is_told_by_spread(cx: &Context, call: At) -> bool {
    let facts = cx.project.facts(call.file);
    let is_python = cx.project.language(call.file).is_python();
    let hides = |kind: &ExprKind| match kind {
        ExprKind::Spread(_) => true,
        ExprKind::Dict(pairs) => pairs.iter().any(|(key, _)| key.is_none()),
        ExprKind::Name(_) | ExprKind::Attr(..) | ExprKind::Call(_) => !is_python,
        _ => false,
    };
    cx.project
        .call(call)
        .is_some_and(|call| call.args.iter().any(|arg| arg.name.is_none() && hides(facts.kind(arg.value))))
}

/// Two expressions stand in different branches of one statement.
fn are_exclusive(cx: &Context, one: At, other: At) -> bool {
    let facts = cx.project.facts(one.file);
    one.file == other.file && facts.exclusive(facts.expr(one.expr).block, facts.expr(other.expr).block)
}

/// The model that a call names.
enum Model {
    /// No argument for it.
    Absent,
    /// Given, but as an object: that object's constructor is the usage.
    Object,
    /// Given by something that cannot be followed.
    Unknown,
    /// Given as text, known or not.
    Given(Known),
}

fn models(cx: &Context, site: &Site, rule: &ModelRule) -> Vec<Model> {
    let Some((at, frames)) = cx.project.argument(site.at, &None, &rule.model) else {
        let is_given = || {
            let given = cx.project.argument(site.at, &None, &rule.given);
            given.is_some_and(|(at, frames)| {
                let is_none = matches!(cx.project.facts(at.file).kind(at.expr), ExprKind::Null | ExprKind::Bool(false));
                let counts_itself = |r: &Ref| matches!(r, Ref::External(..)) && is_model_object(cx, r);
                !is_none && !cx.project.refer(at, &frames).iter().any(counts_itself)
            })
        };
        return if rule.optional && !is_given() { Vec::new() } else { vec![Model::Absent] };
    };
    let known = cx.project.values(at, &frames);
    let mut models = Vec::new();
    for known in known {
        let known = constant(cx, rule, at, known);
        models.push(match &known.value {
            // `Agent(model=openai("gpt-4o"))` is counted where the object is made; what an unknown call gives is a model
            // that nobody knows.
            Value::Object(reference) if rule.optional || is_model_object(cx, reference) => Model::Object,
            Value::Object(_) => Model::Unknown,
            Value::Null if rule.optional => continue,
            Value::Null => Model::Absent,
            Value::Text(_) => {
                let is_unknown = known.template().is_some_and(|t| t.starts_with('{')) && known.env().is_none();
                if is_unknown && rule.optional && stands_for_object(cx, at) {
                    Model::Object
                } else {
                    Model::Given(known)
                }
            }
        });
    }
    // Of several callers' models, the one that the author takes when nobody says otherwise goes first.
    if models.len() > 1
        && let Some(default) = default_of(cx, at)
    {
        models.retain(
            |model| !matches!(model, Model::Given(known) if known.literal_or_default() == default.literal_or_default()),
        );
        models.insert(0, Model::Given(default));
    }
    // What is known goes before what an unknown call might give.
    if models.iter().any(|model| matches!(model, Model::Given(known) if known.is_resolved())) {
        models.retain(|model| matches!(model, Model::Given(_) | Model::Object));
    }
    models.truncate(6);
    models
}

/// The literal that a parameter has when it is left out.
fn default_of(cx: &Context, at: At) -> Option<Known> {
    let (function, index) = cx.project.parameter_of(at)?;
    let expr = cx.project.facts(at.file).functions[function.0 as usize].params[index as usize].default?;
    let known = cx.project.values(At { file: at.file, expr }, &None);
    known.into_iter().find(|known| known.literal_or_default().is_some_and(|text| is_model_name(&text)))
}

/// A library's value that stands for a model is that model, with its provider where the call takes any.
fn constant(cx: &Context, rule: &ModelRule, at: At, known: Known) -> Known {
    let Value::Object(Ref::External(symbol, _)) = &known.value else { return known };
    let Some((entry, index)) = cx.project.rules(symbol, RuleKind::Constant).next() else { return known };
    let constant = &entry.constant[index as usize];
    let member = symbol.last().and_then(|last| constant.members.get(last));
    let Some(model) = member.or(Some(&constant.model)).filter(|model| !model.is_empty()) else { return known };
    let routed = rule.router && constant.members.is_empty();
    let text = if routed { format!("{}/{model}", entry.id) } else { model.clone() };
    let mut steps = known.steps.clone();
    steps.push(cx.step(at, format!("`{}`", symbol.display())));
    Known { value: Value::Text(vec![Piece::Lit(text)]), steps, ..known }
}

/// Whether an object is a model or a client made elsewhere.
fn is_model_object(cx: &Context, reference: &Ref) -> bool {
    match reference {
        Ref::External(symbol, _) => {
            let hits = cx.project.knowledge.lookup(&symbol.clone().callee());
            hits.iter().any(|hit| matches!(hit.kind, RuleKind::Model | RuleKind::Client))
        }
        Ref::Instance(..) | Ref::Class(..) => true,
        _ => false,
    }
}

/// An unknown that is a call or an instance rather than a name someone passed.
fn stands_for_object(cx: &Context, at: At) -> bool {
    let facts = cx.project.facts(at.file);
    matches!(facts.kind(at.expr), ExprKind::Call(_) | ExprKind::Name(_) | ExprKind::Attr(..))
}

/// Where a call goes.
enum Base {
    /// The default of the SDK.
    Default,
    /// The same if a variable that may give another is not set.
    Unset,
    /// An address that the code gives.
    Given(Address, Vec<Step>),
    /// A client of another provider that is handed over, at its default address.
    Client(u32, Option<String>, Vec<Step>),
    /// An argument turns the client into another provider's.
    Switched(String, Option<String>, Vec<Step>),
    /// Overridden by something unknown.
    Unknown,
}

/// The addresses of a call, each with the expression that gives it.
fn bases(cx: &Context, site: &Site, entry: &Entry, rule: &ModelRule) -> Vec<(Base, Option<At>)> {
    let mut places: Vec<(At, Frames, Vec<ArgRef>)> = vec![(site.at, None, rule.base.clone())];
    let mut switched = switched(cx, site.at, &None, &rule.switch);
    if let Some((client, hit)) = cx.client_of(&site.chain) {
        let client_rule = &cx.project.knowledge.entry(hit.entry).client[hit.rule as usize];
        switched = switched.or_else(|| self::switched(cx, client.at, &client.frames, &client_rule.switch));
        places.push((client.at, client.frames, client_rule.base.clone()));
    }
    if let Some((provider, host)) = switched {
        let steps = vec![cx.step(site.at, format!("address of `{}`", site.symbol.display()))];
        return vec![(Base::Switched(provider, host, steps), None)];
    }
    for (at, frames, args) in places {
        let Some((value, frames)) = cx.project.argument(at, &frames, &args) else { continue };
        let mut bases = Vec::new();
        for known in cx.project.values(value, &frames) {
            let base = match &known.value {
                Value::Null => Base::Default,
                // `base_url=os.getenv("X")` without X set is the default.
                Value::Text(pieces) => match url::parse(pieces) {
                    Some(address) if is_empty(&address) => Base::Default,
                    Some(address) if may_be_absent(cx, &address, &known) => Base::Unset,
                    Some(address) => Base::Given(address, known.steps),
                    None => Base::Unknown,
                },
                Value::Object(Ref::External(symbol, calls)) => of_client(cx, symbol, calls),
                Value::Object(_) => Base::Unknown,
            };
            bases.push((base, Some(known.origin)));
        }
        bases.truncate(4);
        if !bases.is_empty() {
            return bases;
        }
    }
    let set = || address_by_variable(cx, entry).map(|(address, steps)| Base::Given(address, steps));
    vec![(configured(cx, site).or_else(set).unwrap_or(Base::Default), None)]
}

/// `os.environ["OPENAI_BASE_URL"] = "…"`: the address of a variable that a provider's library reads by itself, where the
/// program or a submitted `.env` sets it.
fn address_by_variable(cx: &Context, entry: &Entry) -> Option<(Address, Vec<Step>)> {
    let known = entry.client.iter().flat_map(|client| &client.base_env).flat_map(|name| cx.project.set_variable(name));
    let addresses = known.filter_map(|known| match &known.value {
        Value::Text(pieces) => Some((url::parse(pieces)?, known.steps)),
        _ => None,
    });
    addresses.into_iter().find(|(address, _)| !address.host.is_empty())
}

/// The provider that arguments turn a client into, and the host it then has.
fn switched(cx: &Context, at: At, frames: &Frames, switches: &[Switch]) -> Option<(String, Option<String>)> {
    let holds = |switch: &&Switch| {
        let Some((at, frames)) = cx.project.argument(at, frames, &switch.arg) else { return false };
        switch.value.as_ref().is_none_or(|wanted| match *cx.project.facts(at.file).kind(at.expr) {
            ExprKind::Bool(value) => wanted == if value { "true" } else { "false" },
            _ => cx.project.text(at, &frames).as_ref() == Some(wanted),
        })
    };
    let switch = switches.iter().find(holds)?;
    let regional = switch.region_host.as_ref().and_then(|template| region(cx, template, at, frames, &switch.region));
    Some((switch.provider.clone(), regional.or_else(|| switch.host.clone())))
}

/// `openai.api_base = "…"`: the address that the code gives a library as a whole.
fn configured(cx: &Context, site: &Site) -> Option<Base> {
    if site.symbol.module().is_empty() || !site.chain.is_empty() {
        return None;
    }
    let of = |r: &Ref| matches!(r, Ref::External(symbol, _) if symbol.is_module() && symbol.module() == site.symbol.module());
    for &(base, value) in cx.configured() {
        if !cx.project.refer(base, &None).iter().any(of) {
            continue;
        }
        for known in cx.project.values(value, &None) {
            if let Value::Text(pieces) = &known.value
                && let Some(address) = url::parse(pieces)
            {
                return Some(Base::Given(address, known.steps));
            }
        }
    }
    None
}

/// `process.env.X || ""`: nothing is what libraries take for their own address.
fn is_empty(address: &Address) -> bool {
    address.host.is_empty() && address.env.is_some() && address.default.as_deref() == Some("")
}

/// An address that is nothing but a variable which may be unset: the library then takes its own.
pub fn may_be_absent(cx: &Context, address: &Address, known: &Known) -> bool {
    let Some(env) = &address.env else { return false };
    let required = cx.project.language(known.origin.file).is_python() && !may_be_unset(cx, known.origin);
    address.host.is_empty()
        && address.default.is_none()
        && !required
        && !provider_of_variable(cx, env).is_some_and(|entry| entry.gateway)
}

/// `os.getenv("X")` and a field that is `None` by default; `os.environ["X"]` and other fields ask for the variable.
fn may_be_unset(cx: &Context, origin: At) -> bool {
    let facts = cx.project.facts(origin.file);
    match (facts.kind(origin.expr), facts.call(origin.expr)) {
        (ExprKind::Null, _) => true,
        (_, Some(call)) => {
            let callee = At { file: origin.file, expr: call.callee };
            cx.project.hits(callee, &None).iter().any(|(hit, _)| hit.kind == RuleKind::EnvRead)
        }
        _ => false,
    }
}

/// A client object that is handed over: `OpenAIChatModel("…", provider=DeepSeekProvider())`.
fn of_client(cx: &Context, symbol: &crate::knowledge::index::Symbol, calls: &[(At, Frames)]) -> Base {
    let Some((at, frames)) = calls.last() else { return Base::Unknown };
    let hits = cx.project.knowledge.lookup(&symbol.clone().callee());
    let Some(hit) = hits.into_iter().find(|hit| hit.kind == RuleKind::Client && cx.applies(*hit, *at, frames)) else {
        return Base::Unknown;
    };
    let rule = &cx.project.knowledge.entry(hit.entry).client[hit.rule as usize];
    if let Some((value, frames)) = cx.project.argument(*at, frames, &rule.base) {
        for known in cx.project.values(value, &frames) {
            match &known.value {
                Value::Text(pieces) => {
                    return url::parse(pieces)
                        .map_or(Base::Unknown, |address| Base::Given(address, known.steps.clone()));
                }
                Value::Object(Ref::External(inner, inner_calls))
                    if inner_calls.len() < calls.len() + 4 && inner != symbol =>
                {
                    return of_client(cx, inner, inner_calls);
                }
                _ => {}
            }
        }
    }
    let steps = vec![cx.step(*at, format!("default address of `{}`", symbol.display()))];
    let host = match &rule.region_host {
        Some(template) => region(cx, template, *at, frames, &rule.region),
        None => rule.host.clone(),
    };
    Base::Client(hit.entry, host, steps)
}

fn usage(cx: &Context, site: &Site, hit: Hit, model: &Model, base: &Base) -> Option<Usage> {
    let knowledge = cx.project.knowledge;
    let entry = knowledge.entry(hit.entry);
    let rule = &entry.model[hit.rule as usize];
    let mut steps = Vec::new();
    let mut confidence = if hit.by_suffix { Confidence::Medium } else { Confidence::High };
    let (mut name, default_from_env) = match model {
        Model::Object => return None,
        Model::Absent | Model::Unknown => (None, false),
        Model::Given(known) => {
            steps.extend(known.steps.iter().cloned());
            let name = known.literal_or_default().filter(|name| is_model_name(name));
            (name, known.env().is_some() && known.is_resolved())
        }
    };
    if rule.optional
        && name.is_none()
        && matches!(model, Model::Given(known) if known.env().is_none() && known.steps.is_empty())
    {
        // An agent whose model nobody knows: it may as well be an object.
        confidence = Confidence::Low;
    }
    let is_followed = match model {
        Model::Given(known) => name.is_some() || known.env().is_some(),
        Model::Unknown => false,
        Model::Absent | Model::Object => true,
    };
    if !is_followed {
        // A model is named, by something that cannot be followed.
        confidence = confidence.min(Confidence::Medium);
    }
    let mut provider = rule.provider.clone().unwrap_or_else(|| entry.id.clone());
    let mut owner = knowledge.provider(&provider);
    let argument = cx.project.argument(site.at, &None, &rule.provider_arg);
    let named = argument.and_then(|(at, frames)| {
        let known = cx.project.values(at, &frames);
        known.into_iter().find_map(|known| match &known.value {
            // `ModelPlatformType.OPENAI`: a library's name for a provider.
            Value::Object(Ref::External(symbol, calls)) if calls.is_empty() => {
                symbol.last().map(|last| last.to_ascii_lowercase().replace('_', "-"))
            }
            _ => known.literal_or_default(),
        })
    });
    let named = named.as_deref().and_then(|prefix| knowledge.by_prefix(&prefix.to_ascii_lowercase()));
    if let Some(entry) = named {
        provider.clone_from(&entry.id);
        owner = Some(entry);
    } else if rule.router {
        let routed = None.or_else(|| {
            let (entry, model) = knowledge.route(name.as_deref()?)?;
            Some((entry, Some(model)))
        });
        if let Some((entry, model)) = routed {
            provider.clone_from(&entry.id);
            owner = Some(entry);
            name = model;
        } else if let (None, Model::Given(known)) = (&name, model)
            && let Some((prefix, _)) = known.template().as_deref().and_then(|text| text.split_once(['/', ':']))
            && let Some(entry) = knowledge.by_prefix(prefix)
        {
            // `ollama/{model}`: whose it is, is written down.
            provider.clone_from(&entry.id);
            owner = Some(entry);
        } else if let (Some(text), None) = (&name, &rule.provider) {
            // `custom/model`: the prefix is the best name there is.
            if let Some((prefix, rest)) = text.split_once(['/', ':']) {
                (provider, name) = (prefix.to_ascii_lowercase(), Some(rest.to_owned()));
                owner = None;
                confidence = Confidence::Medium;
            }
        }
    }
    if rule.router && name.is_none() && owner.is_none() && rule.provider.is_none() {
        return None; // Neither model nor provider: nothing is said.
    }
    let told = rule.roles.iter().find(|told| {
        let task = cx.project.argument(site.at, &None, &told.arg).and_then(|(at, frames)| cx.project.text(at, &frames));
        task.is_some_and(|task| told.values.contains(&task))
    });
    let told = told.map(|told| &*told.role).or(rule.role.as_deref());
    let mut role = role(told.or(name.as_deref().and_then(role_of_name)));
    let mut variable = cx.variable(site.at);
    // Whether this is the call of a provider at all; not which model it names.
    let sure = if hit.by_suffix { Confidence::Medium } else { Confidence::High };
    let implied_by = |host: String, steps: &[Step]| Implied {
        host,
        by: Some(site.symbol.display()),
        confidence: sure,
        steps: steps.to_vec(),
    };
    let host = match base {
        Base::Default => implied(cx, site, rule, owner, hit).map(|host| Implied { confidence: sure, ..host }),
        // Whoever reads the address from a variable means to set it.
        Base::Unset => None,
        Base::Unknown => {
            confidence = confidence.min(Confidence::Medium);
            None
        }
        Base::Switched(other, host, steps) => {
            provider.clone_from(other);
            host.clone().filter(|host| url::is_external(host)).map(|host| implied_by(host, steps))
        }
        Base::Client(entry, host, steps) => {
            if knowledge.folder(*entry) == Folder::Provider {
                provider.clone_from(&knowledge.entry(*entry).id);
            }
            host.clone().filter(|host| url::is_external(host)).map(|host| implied_by(host, steps))
        }
        Base::Given(address, base_steps) => {
            let known =
                owner_of(cx, address).filter(|_| !rule.router || rule.provider.is_some() || !address.host.is_empty());
            match known {
                Some(entry) => {
                    provider.clone_from(&entry.id);
                    if entry.gateway {
                        role = Role::Default;
                        variable = address.env.clone().unwrap_or(variable);
                    }
                }
                None if !address.host.is_empty() && !address.host.contains('{') => {
                    confidence = confidence.min(Confidence::Medium);
                    let here = knowledge.entries().map(|(_, entry)| entry).find(|entry| entry.loopback);
                    if let (true, Some(here)) = (is_loopback(address.bare_host()), here) {
                        provider.clone_from(&here.id);
                    } else if url::is_external(&address.host) && !is_self_hosted(entry) {
                        provider = provider_of_host(address.bare_host());
                    }
                }
                None => confidence = confidence.min(Confidence::Medium),
            }
            steps.extend(base_steps.iter().cloned());
            let host = address.bare_host().to_owned();
            let steps = base_steps.clone();
            url::is_external(&address.host).then_some(Implied { host, by: None, confidence: sure, steps })
        }
    };
    let is_foreign = name.as_deref().is_some_and(|name| is_foreign(cx, &provider, name));
    let serves_own = |entry: &Entry| entry.own_models || entry.copied && matches!(base, Base::Default | Base::Unset);
    if is_foreign && knowledge.provider(&provider).is_some_and(serves_own) {
        // What another branch gives to another client.
        (name, confidence) = (None, confidence.min(Confidence::Medium));
    }
    let call = site.symbol.display();
    steps.truncate(12);
    steps.push(cx.step(site.at, format!("call of `{call}`")));
    let usage = ModelUsage {
        role,
        model: name,
        alternatives: Vec::new(),
        provider,
        variable_name: variable,
        file: cx.project.path(site.at.file).to_owned(),
        line: cx.project.line(site.at),
        default_from_env,
        call,
        confidence,
        evidence: steps,
    };
    Some(Usage { usage, order: (is_foreign, 0), host })
}

/// Whether a model is one of another provider than the one that is asked for it, both of which name theirs.
fn is_foreign(cx: &Context, provider: &str, model: &str) -> bool {
    let knowledge = cx.project.knowledge;
    let has_models = knowledge.provider(provider).is_some_and(|entry| !entry.models.is_empty());
    has_models && knowledge.by_model(model).is_some_and(|owner| owner.id != provider)
}

/// Spaces and braces are no part of a model's name.
fn is_model_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && !text.contains(['{', '}', '\n', ' '])
}

/// The entry that an address belongs to: a provider by host, or by the variable that gives it.
fn owner_of<'a>(cx: &'a Context, address: &Address) -> Option<&'a Entry> {
    let knowledge = cx.project.knowledge;
    if let Some(env) = &address.env
        && let Some(entry) = provider_of_variable(cx, env)
        && (entry.gateway || address.host.is_empty())
    {
        return Some(entry);
    }
    let owner = cx.owners(address).find(|(folder, _)| *folder == Folder::Provider);
    owner.map(|(_, entry)| knowledge.entry(entry))
}

/// The provider whose address an environment variable gives.
pub fn provider_of_variable<'a>(cx: &'a Context, name: &str) -> Option<&'a Entry> {
    let providers = cx.project.knowledge.entries().filter(|(folder, _)| *folder == Folder::Provider);
    let gives = |entry: &&Entry| entry.client.iter().any(|c| c.base_env.iter().any(|v| v == name));
    let candidates: Vec<&Entry> = providers.map(|(_, entry)| entry).filter(gives).collect();
    // `OPENAI_BASE_URL` is read by other vendors' clients too; it is the one's that it is named after.
    let named = candidates.iter().find(|entry| name.to_ascii_lowercase().starts_with(&entry.id.replace('-', "_")));
    named.or(candidates.first()).copied()
}

/// Software that people run themselves, on any host: its own hosts are local.
fn is_self_hosted(entry: &Entry) -> bool {
    entry.hosts.first().is_some_and(|host| !url::is_external(host))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.starts_with("127.")
        || host == "0.0.0.0"
        || host == "::1"
        || host == "host.docker.internal"
}

/// `api.acme.ai` is `acme`: the label in front of the public suffix.
fn provider_of_host(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    let at = match labels.len() {
        0 | 1 => 0,
        n if n > 2 && ["co", "com", "net", "org"].contains(&labels[n - 2]) => n - 3,
        n => n - 2,
    };
    labels[at].to_owned()
}

/// Calls that take models of any kind: the name says which this is.
fn role_of_name(model: &str) -> Option<&'static str> {
    let model = model.to_ascii_lowercase();
    let kinds = [
        ("rerank", "reranking"),
        ("embed", "embedding"),
        ("/bge-", "embedding"),
        ("moderation", "classify"),
        ("llama-guard", "classify"),
    ];
    kinds.iter().find(|(part, _)| model.contains(part)).map(|(_, role)| *role)
}

fn role(name: Option<&str>) -> Role {
    match name {
        Some("embedding") => Role::Embedding,
        Some("classify") => Role::Classify,
        Some("reranking") => Role::Reranking,
        Some("default") => Role::Default,
        _ => Role::Chat,
    }
}

/// The host that an SDK reaches by itself.
fn implied(cx: &Context, site: &Site, rule: &ModelRule, owner: Option<&Entry>, hit: Hit) -> Option<Implied> {
    if rule.local {
        return None;
    }
    let entry = cx.project.knowledge.entry(hit.entry);
    let by = Some(site.symbol.display());
    let steps = vec![cx.step(site.at, format!("default address of `{}`", site.symbol.display()))];
    let found = |host: &str| {
        let (host, by, confidence) = (host.to_owned(), by.clone(), Confidence::High);
        Some(Implied { host, by, confidence, steps: steps.clone() })
    };
    let regional =
        |template: &str, at: At, frames: &Frames, places: &[ArgRef]| found(&region(cx, template, at, frames, places)?);
    if let Some(template) = &rule.region_host {
        return regional(template, site.at, &None, &rule.region);
    }
    if let Some((client, client_hit)) = cx.client_of(&site.chain) {
        let client_rule = &cx.project.knowledge.entry(client_hit.entry).client[client_hit.rule as usize];
        if let Some(template) = &client_rule.region_host {
            return regional(template, client.at, &client.frames, &client_rule.region);
        }
        if let Some(host) = &client_rule.host {
            return found(host);
        }
    }
    if let Some(host) = &rule.host {
        return found(host);
    }
    let owner = owner.or((!rule.router).then_some(entry))?;
    // A host that carries a region is no default.
    let regional =
        owner.client.iter().any(|c| c.region_host.is_some()) || owner.model.iter().any(|m| m.region_host.is_some());
    if regional {
        return None;
    }
    let host = owner.hosts.first().filter(|host| url::is_external(host))?;
    let host = host.split('/').next().unwrap_or(host);
    found(host)
}

/// Hosts of clients that a file constructs, whether or not a call names a model: `OpenAI()` is `api.openai.com`.
pub fn client_hosts(cx: &Context, file: usize) -> Vec<(At, Implied)> {
    let mut hosts = Vec::new();
    for site in cx.sites_of(file) {
        let applying = |hit: &Hit| !hit.by_suffix && cx.applies(*hit, site.at, &None);
        let Some(hit) = site.hits(RuleKind::Client).find(applying) else { continue };
        let rule = &cx.project.knowledge.entry(hit.entry).client[hit.rule as usize];
        if rule.plain {
            continue;
        }
        if let Some((_, host)) = switched(cx, site.at, &None, &rule.switch) {
            let by = site.symbol.display();
            let steps = vec![cx.step(site.at, format!("address of `{by}`"))];
            let host = host.filter(|host| url::is_external(host));
            hosts.extend(
                host.map(|host| (site.at, Implied { host, by: Some(by), confidence: Confidence::High, steps })),
            );
            continue;
        }
        let given = cx.project.argument(site.at, &None, &rule.base);
        let known = given.map(|(at, frames)| cx.project.values(at, &frames)).unwrap_or_default();
        let overridden: Vec<&Known> = known.iter().filter(|known| !matches!(known.value, Value::Null)).collect();
        if !overridden.is_empty() {
            for known in overridden {
                let Value::Text(pieces) = &known.value else { continue };
                let Some(address) = url::parse(pieces) else { continue };
                if url::is_external(&address.host) {
                    let host = address.bare_host().to_owned();
                    let (confidence, steps) = (Confidence::High, known.steps.clone());
                    hosts.push((site.at, Implied { host, by: None, confidence, steps }));
                }
            }
            continue;
        }
        if let Some((address, steps)) = address_by_variable(cx, cx.project.knowledge.entry(hit.entry)) {
            let host = address.bare_host().to_owned();
            let found = Implied { host, by: None, confidence: Confidence::High, steps };
            hosts.extend(url::is_external(&address.host).then_some((site.at, found)));
            continue;
        }
        let by = site.symbol.display();
        let steps = vec![cx.step(site.at, format!("default address of `{by}`"))];
        let host = match (&rule.region_host, &rule.host) {
            (Some(template), _) => region(cx, template, site.at, &None, &rule.region),
            (None, host) => host.clone(),
        };
        if let Some(host) = host.filter(|host| url::is_external(host)) {
            hosts.push((site.at, Implied { host, by: Some(by), confidence: Confidence::High, steps }));
        }
    }
    hosts
}

/// A regional host, when the region is known: an unknown one is no guess.
fn region(cx: &Context, template: &str, at: At, frames: &Frames, places: &[ArgRef]) -> Option<String> {
    let (at, frames) = cx.project.argument(at, frames, places)?;
    let known = cx.project.values(at, &frames);
    let region = known.iter().find_map(Known::literal_or_default).filter(|region| !region.is_empty())?;
    // Google's global location has a host without a region.
    let template = if region == "global" { template.replace("{region}-", "") } else { template.to_owned() };
    Some(template.replace("{region}", &region).to_ascii_lowercase())
}
