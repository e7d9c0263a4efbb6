//! Knowledge compiled once: symbols by their last segment, hosts, router prefixes.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::schema::*;
pub use super::symbol::Symbol;

/// All entries, ready to be asked: a layer of its own, and the one below that answers where this one is silent.
#[derive(Debug, Default)]
pub struct Knowledge {
    below: Option<Arc<Knowledge>>,
    /// Entries of the layers below; indices of this layer's begin here.
    first: u32,
    entries: Vec<(Folder, Entry)>,
    python: Symbols,
    javascript: Symbols,
    hosts: FxHashMap<String, Vec<HostRule>>,
    wildcard_hosts: Vec<HostRule>,
    prefixes: FxHashMap<String, u32>,
    models: Vec<(String, u32)>,
    by_id: FxHashMap<String, u32>,
    schemas: Vec<(u32, SchemaRule)>,
    /// Arguments and variables whose names say that they hold tools.
    tool_arguments: FxHashSet<String>,
    tool_variables: FxHashSet<String>,
    tool_decorators: FxHashSet<String>,
}

/// The folder an entry comes from: what kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// A model provider.
    Provider,
    /// A service that becomes a tool.
    Service,
    /// An HTTP or database client.
    Client,
    /// An agent framework.
    Framework,
    /// The language itself, and packs.
    Other,
}

/// A rule that a symbol matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hit {
    /// Which list of the entry.
    pub kind: RuleKind,
    /// Index of the entry.
    pub entry: u32,
    /// Index in the list.
    pub rule: u32,
    /// The base of the call is unknown; only the members' names agree.
    pub by_suffix: bool,
}

/// The lists of an entry that hold symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleKind {
    /// [`ModelRule`].
    Model,
    /// [`ClientRule`].
    Client,
    /// [`RequestRule`].
    Request,
    /// [`ServiceRule`].
    Service,
    /// [`FunctionRule`].
    Function,
    /// [`McpRule`].
    Mcp,
    /// [`PromptRule`].
    Prompt,
    /// [`HandlerRule`].
    Handler,
    /// [`EnvRule`].
    EnvRead,
    /// [`PassthroughRule`].
    Passthrough,
    /// [`ApplyRule`].
    Apply,
    /// [`LoadRule`].
    Load,
    /// [`FieldRule`].
    Field,
    /// [`ConstantRule`].
    Constant,
}

impl RuleKind {
    /// A rule of this kind in an upper layer silences one of the other kind below: what a call is, is said once.
    fn excludes(self, other: RuleKind) -> bool {
        let says_what_it_is =
            |kind| matches!(kind, RuleKind::Model | RuleKind::Request | RuleKind::Service | RuleKind::Mcp);
        self == other || says_what_it_is(self) && says_what_it_is(other)
    }
}

#[derive(Debug, Clone)]
struct HostRule {
    host: String,
    path: String,
    entry: u32,
}

#[derive(Debug, Default)]
struct Symbols {
    by_last: FxHashMap<String, Vec<Pattern>>,
    any_last: Vec<Pattern>,
    /// Packages of frameworks by the first part of their name, and whose they are.
    frameworks: FxHashMap<String, Vec<(String, u32)>>,
}

#[derive(Debug, Clone)]
struct Pattern {
    symbol: Symbol,
    hit: Hit,
}

impl Knowledge {
    /// Compiles entries; the path of each says what kind of thing it is.
    pub fn new(mut files: Vec<(String, Entry)>) -> Knowledge {
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let mut knowledge = Knowledge::default();
        for (path, entry) in files {
            let folder = match path.split('/').rev().nth(1) {
                Some("providers") => Folder::Provider,
                Some("services") => Folder::Service,
                Some("clients") => Folder::Client,
                Some("frameworks") => Folder::Framework,
                _ => Folder::Other,
            };
            knowledge.add(folder, entry);
        }
        knowledge.longest_models_first();
        knowledge
    }

    /// A layer over this one. Where both claim a symbol, a host, a prefix or an id, the new entries win; what lies below
    /// is shared and not copied.
    pub fn with(self: &Arc<Self>, entries: impl IntoIterator<Item = (Folder, Entry)>) -> Knowledge {
        let first = self.first + self.entries.len() as u32;
        let mut knowledge = Knowledge { below: Some(Arc::clone(self)), first, ..Knowledge::default() };
        entries.into_iter().for_each(|(folder, entry)| knowledge.add(folder, entry));
        knowledge.longest_models_first();
        knowledge
    }

    fn longest_models_first(&mut self) {
        self.models.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
    }

    fn add(&mut self, folder: Folder, entry: Entry) {
        let index = self.first + self.entries.len() as u32;
        for host in &entry.hosts {
            let (host, path) = match host.find('/') {
                Some(at) => (&host[..at], &host[at..]),
                None => (host.as_str(), ""),
            };
            let rule = HostRule { host: host.into(), path: path.into(), entry: index };
            match host.strip_prefix("*.") {
                Some(suffix) => self.wildcard_hosts.push(HostRule { host: suffix.into(), ..rule }),
                None => self.hosts.entry(host.into()).or_default().push(rule),
            }
        }
        if folder == Folder::Provider {
            for prefix in entry.prefixes.iter().chain([&entry.id]) {
                self.prefixes.entry(prefix.clone()).or_insert(index);
            }
            self.models.extend(entry.models.iter().map(|model| (model.clone(), index)));
            self.by_id.insert(entry.id.clone(), index);
        }
        if folder == Folder::Framework {
            for (symbols, packages, separator) in
                [(&mut self.python, &entry.python_packages, '.'), (&mut self.javascript, &entry.npm_packages, '/')]
            {
                for package in packages {
                    let root = package.split(separator).next().unwrap_or_default().to_owned();
                    symbols.frameworks.entry(root).or_default().push((package.clone(), index));
                }
            }
        }
        self.tool_arguments.extend(entry.tool_names.arguments.iter().cloned());
        self.tool_variables.extend(entry.tool_names.variables.iter().cloned());
        self.tool_decorators.extend(entry.tool_names.decorators.iter().cloned());
        self.schemas.extend(entry.schema.iter().cloned().map(|schema| (index, schema)));
        macro_rules! symbols {
            ($($field:ident => $kind:ident),*) => {$(
                for (rule, it) in entry.$field.iter().enumerate() {
                    let hit = Hit { kind: RuleKind::$kind, entry: index, rule: rule as u32, by_suffix: false };
                    it.python.iter().for_each(|text| self.python.add(Symbol::parse(true, text), hit));
                    it.js.iter().for_each(|text| self.javascript.add(Symbol::parse(false, text), hit));
                }
            )*};
        }
        symbols!(model => Model, client => Client, request => Request, service => Service, function => Function,
            mcp => Mcp, prompt => Prompt, handler => Handler, env_read => EnvRead, passthrough => Passthrough, apply => Apply, load => Load, field => Field, constant => Constant);
        self.entries.push((folder, entry));
    }

    /// An entry.
    pub fn entry(&self, index: u32) -> &Entry {
        &self.filed(index).1
    }

    /// What kind of thing an entry is.
    pub fn folder(&self, index: u32) -> Folder {
        self.filed(index).0
    }

    fn filed(&self, index: u32) -> &(Folder, Entry) {
        match &self.below {
            Some(below) if index < self.first => below.filed(index),
            _ => &self.entries[(index - self.first) as usize],
        }
    }

    /// This layer and those below, the one that wins first.
    fn layers(&self) -> impl Iterator<Item = &Knowledge> {
        std::iter::successors(Some(self), |layer| layer.below.as_deref())
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (Folder, &Entry)> {
        self.layers().flat_map(|layer| layer.entries.iter().map(|(folder, entry)| (*folder, entry)))
    }

    /// A provider by its id.
    pub fn provider(&self, id: &str) -> Option<&Entry> {
        self.layers().find_map(|layer| layer.by_id.get(id)).map(|&index| self.entry(index))
    }

    /// Shapes of literal dicts that declare a tool.
    pub fn schemas(&self) -> impl Iterator<Item = &SchemaRule> {
        self.layers().flat_map(|layer| layer.schemas.iter().map(|(_, schema)| schema))
    }

    /// Whether an argument of this name takes tools, in whatever case and with whatever underscores.
    pub fn is_tool_argument(&self, name: &str) -> bool {
        let plain = plain(name);
        self.layers().any(|layer| layer.tool_arguments.contains(&plain))
    }

    /// Whether a variable of this name holds tools, in whatever case and with whatever underscores.
    pub fn is_tool_variable(&self, name: &str) -> bool {
        let plain = plain(name);
        self.layers().any(|layer| layer.tool_variables.contains(&plain))
    }

    /// Whether a decorator of this name makes a function a tool, in whatever case and with whatever underscores.
    pub fn is_tool_decorator(&self, name: &str) -> bool {
        let plain = plain(name);
        self.layers().any(|layer| layer.tool_decorators.contains(&plain))
    }

    /// Every rule that names this symbol.
    pub fn lookup(&self, symbol: &Symbol) -> Vec<Hit> {
        let own = self.lookup_here(symbol);
        let Some(below) = &self.below else { return own };
        let mut hits = below.lookup(symbol);
        if !own.is_empty() {
            hits.retain(|hit| !own.iter().any(|ours| ours.kind.excludes(hit.kind)));
            hits.extend(own);
            hits.sort_by_key(|hit| (hit.kind, hit.entry, hit.rule));
        }
        hits
    }

    /// Whether a rule names this symbol or could by its last member, or a framework is its module's.
    pub fn names(&self, symbol: &Symbol) -> bool {
        self.frameworks_of(symbol).next().is_some()
            || !self.lookup(symbol).is_empty()
            || !self.by_member(symbol, RuleKind::Function).is_empty()
    }

    /// The frameworks that a symbol's module belongs to.
    pub fn frameworks_of<'k>(&'k self, symbol: &'k Symbol) -> impl Iterator<Item = &'k Entry> {
        let separator = if symbol.is_python() { '.' } else { '/' };
        let root = symbol.module().split(separator).next().unwrap_or_default();
        let of = move |layer: &'k Knowledge| {
            let packages = if symbol.is_python() { &layer.python.frameworks } else { &layer.javascript.frameworks };
            packages.get(root).into_iter().flatten()
        };
        let named = move |(package, _): &&'k (String, u32)| {
            let rest = symbol.module().strip_prefix(package.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
        };
        self.layers().flat_map(of).filter(named).map(|(_, entry)| self.entry(*entry))
    }

    /// Whether a symbol that ends with this name could be one that a rule names.
    pub fn may_end_with(&self, python: bool, name: &str) -> bool {
        let of = |layer: &Knowledge| if python { layer.python.ends(name) } else { layer.javascript.ends(name) };
        name.starts_with("from") || name == "create" || self.layers().any(of)
    }

    fn lookup_here(&self, symbol: &Symbol) -> Vec<Hit> {
        let symbols = if symbol.is_python() { &self.python } else { &self.javascript };
        let hits = symbols.lookup(symbol);
        if !hits.is_empty() {
            return hits;
        }
        if let Some(class) = symbol.made_by_factory() {
            return symbols.lookup(&class);
        }
        if let Some(member) = symbol.of_made_by_factory() {
            return symbols.lookup(&member);
        }
        symbol.without_fluent_calls().map_or(hits, |plain| symbols.lookup(&plain))
    }

    /// Rules of one kind that are told by a single member of something constructed: `FastMCP().tool` by `tool`. It says
    /// little, so the caller must know more.
    pub fn by_member(&self, symbol: &Symbol, kind: RuleKind) -> Vec<Hit> {
        let Some(member) = symbol.last().filter(|_| symbol.is_unknown()) else { return Vec::new() };
        let of = |layer: &Knowledge| {
            let symbols = if symbol.is_python() { &layer.python } else { &layer.javascript };
            let named = symbols.by_last.get(member).into_iter().flatten();
            let told = named.filter(|p| p.hit.kind == kind && p.symbol.is_member_of_made(member));
            told.map(|p| Hit { by_suffix: true, ..p.hit }).collect::<Vec<Hit>>()
        };
        let mut hits: Vec<Hit> = self.layers().flat_map(of).collect();
        hits.sort_by_key(|hit| (hit.entry, hit.rule));
        hits.dedup();
        hits
    }

    /// The entries whose host this is, the one with the longest path first. `host` may carry a port.
    pub fn by_host(&self, host: &str, path: &str) -> Vec<u32> {
        self.layers().map(|layer| layer.by_host_here(host, path)).find(|found| !found.is_empty()).unwrap_or_default()
    }

    fn by_host_here(&self, host: &str, path: &str) -> Vec<u32> {
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        let exact = [host, bare].into_iter().flat_map(|host| self.hosts.get(host).into_iter().flatten());
        let wild = self
            .wildcard_hosts
            .iter()
            .filter(|rule| bare.strip_suffix(rule.host.as_str()).is_some_and(|rest| rest.ends_with('.')));
        let exact = exact.map(|rule| (false, rule));
        let all = exact.chain(wild.map(|rule| (true, rule))).filter(|(_, rule)| path.starts_with(&rule.path));
        let mut rules: Vec<(bool, &HostRule)> = all.collect();
        // A part of a host before the whole, the whole before a family of hosts.
        rules.sort_by_key(|(wild, rule)| {
            (std::cmp::Reverse(rule.path.len()), *wild, std::cmp::Reverse(rule.host.len()), rule.entry)
        });
        let mut entries: Vec<u32> = rules.into_iter().map(|(_, rule)| rule.entry).collect();
        entries.dedup();
        entries
    }

    /// The provider of a model string as routers take it, and the model without the prefix.
    pub fn route(&self, model: &str) -> Option<(&Entry, String)> {
        for separator in ['/', ':'] {
            if let Some((prefix, rest)) = model.split_once(separator)
                && let Some(index) = self.prefix(prefix)
                && !rest.is_empty()
            {
                let entry = self.entry(index);
                // A router behind a router's own prefix: `litellm/anthropic/claude-…`.
                let is_router =
                    !entry.hosts.iter().any(|host| crate::resolve::url::is_external(host.trim_start_matches("*.")));
                return match self.prefix(rest.split(['/', ':']).next().unwrap_or("")) {
                    Some(_) if is_router && rest.contains(['/', ':']) => self.route(rest),
                    _ => Some((entry, rest.to_owned())),
                };
            }
        }
        let known = self.by_model(model).map(|entry| (entry, model.to_owned()));
        known.or_else(|| {
            // A gateway of one's own in front: `our-gateway/anthropic/claude-…`.
            let (_, rest) = model.split_once('/')?;
            self.prefix(rest.split_once('/')?.0).and_then(|_| self.route(rest))
        })
    }

    /// The provider of a bare model name.
    pub fn by_model(&self, model: &str) -> Option<&Entry> {
        let lower = model.to_ascii_lowercase();
        let of = |layer: &Knowledge| Some(layer.models.iter().find(|(prefix, _)| lower.starts_with(prefix))?.1);
        self.layers().find_map(of).map(|index| self.entry(index))
    }

    /// The provider that a router's prefix names.
    pub fn by_prefix(&self, prefix: &str) -> Option<&Entry> {
        self.prefix(prefix).map(|index| self.entry(index))
    }

    fn prefix(&self, prefix: &str) -> Option<u32> {
        self.layers().find_map(|layer| layer.prefixes.get(prefix)).copied()
    }
}

/// A name in small letters and without underscores.
fn plain(name: &str) -> String {
    name.bytes().filter(|&byte| byte != b'_').map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

impl Symbols {
    fn add(&mut self, symbol: Symbol, hit: Hit) {
        let last = symbol.last().map(str::to_owned);
        let pattern = Pattern { symbol, hit };
        match last.as_deref() {
            None => {}
            Some("*") => self.any_last.push(pattern),
            Some(last) => self.by_last.entry(last.to_owned()).or_default().push(pattern),
        }
    }

    fn ends(&self, name: &str) -> bool {
        self.by_last.contains_key(name)
    }

    fn lookup(&self, symbol: &Symbol) -> Vec<Hit> {
        let Some(last) = symbol.last() else { return Vec::new() };
        let named = self.by_last.get(last).into_iter().flatten();
        let mut hits: Vec<Hit> = match symbol.is_unknown() {
            true => named.filter(|p| p.symbol.has_suffix(symbol)).map(|p| Hit { by_suffix: true, ..p.hit }).collect(),
            false => named.chain(&self.any_last).filter(|p| p.symbol.covers(symbol)).map(|p| p.hit).collect(),
        };
        hits.sort_by_key(|hit| (hit.kind, hit.entry, hit.rule));
        hits.dedup();
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowledge() -> Knowledge {
        let text = "id = \"acme\"\nname = \"Acme\"\nsource = \"s\"\nhosts = [\"api.acme.io\", \"*.acme.cloud\", \"big.io/acme\"]\n\
            prefixes = [\"acme_ai\"]\nmodels = [\"ac-\"]\n\
            [[model]]\npython = [\"acme.Acme().chat.create\", \"acme.run\"]\njs = [\"@acme/sdk#default().chat\", \"@acme/sdk#Acme().chat\"]\n";
        Knowledge::new(vec![("providers/acme.toml".into(), toml::from_str(text).unwrap())])
    }

    fn hits(python: bool, text: &str) -> usize {
        knowledge().lookup(&Symbol::parse(python, text)).len()
    }

    #[test]
    fn a_class_may_come_from_any_submodule() {
        assert_eq!(hits(true, "acme.Acme().chat.create"), 1);
        assert_eq!(hits(true, "acme.lib.client.Acme().chat.create"), 1);
        assert_eq!(hits(true, "acme.lib.run"), 1);
        assert_eq!(hits(true, "acmeother.Acme().chat.create"), 0);
        assert_eq!(hits(false, "@acme/sdk/client#Acme().chat"), 1);
        assert_eq!(hits(false, "@acme/sdk#default.Acme().chat"), 1);
    }

    #[test]
    fn calls_that_give_the_same_thing_back_do_not_hide_it() {
        assert_eq!(hits(true, "acme.Acme().with_options().chat.create"), 1);
    }

    #[test]
    fn a_factory_makes_its_class() {
        let text = "id = \"acme\"\nname = \"A\"\nsource = \"s\"\n[[service]]\npython = [\"acme.Search\"]\n";
        let k = Knowledge::new(vec![("services/acme.toml".into(), toml::from_str(text).unwrap())]);
        assert_eq!(k.lookup(&Symbol::parse(true, "acme.Search.from_api_key")).len(), 1);
        assert_eq!(k.lookup(&Symbol::parse(true, "acme.Search.validate")).len(), 0);
    }

    #[test]
    fn an_unknown_base_is_recognised_by_its_members() {
        let unknown = Symbol::unknown(true);
        assert!(knowledge().lookup(&unknown.clone().member("chat").member("create"))[0].by_suffix);
        assert!(knowledge().lookup(&unknown.member("create")).is_empty());
    }

    #[test]
    fn hosts_may_be_exact_wild_or_a_part() {
        let k = knowledge();
        assert_eq!(k.by_host("api.acme.io", "/v1"), [0]);
        assert_eq!(k.by_host("api.acme.io:443", "/v1"), [0]);
        assert_eq!(k.by_host("x.acme.cloud", ""), [0]);
        assert_eq!(k.by_host("acme.cloud", "").len(), 0);
        assert_eq!(k.by_host("big.io", "/acme/x"), [0]);
        assert_eq!(k.by_host("big.io", "/other").len(), 0);
    }

    #[test]
    fn the_upper_layer_wins_where_both_speak_and_the_lower_one_answers_the_rest() {
        let own = "id = \"own\"\nname = \"Own\"\nsource = \"s\"\nhosts = [\"api.acme.io\"]\nprefixes = [\"acme_ai\"]\n\
            models = [\"a\"]\n[[service]]\npython = [\"acme.run\"]\n[[prompt]]\npython = [\"acme.Acme().chat.create\"]\n";
        let own: Entry = toml::from_str(own).unwrap();
        let k = Arc::new(knowledge()).with([(Folder::Provider, own)]);
        let kinds = |text: &str| -> Vec<(RuleKind, String)> {
            let hits = k.lookup(&Symbol::parse(true, text));
            hits.into_iter().map(|hit| (hit.kind, k.entry(hit.entry).id.clone())).collect()
        };
        assert_eq!(kinds("acme.run"), [(RuleKind::Service, "own".into())]);
        let both = [(RuleKind::Model, "acme".into()), (RuleKind::Prompt, "own".into())];
        assert_eq!(kinds("acme.Acme().chat.create"), both);
        let host = |host: &str| k.by_host(host, "/").into_iter().map(|i| k.entry(i).id.as_str()).collect::<Vec<_>>();
        assert_eq!(host("api.acme.io"), ["own"]);
        assert_eq!(host("x.acme.cloud"), ["acme"]);
        assert_eq!(k.by_prefix("acme_ai").unwrap().id, "own");
        assert_eq!(k.by_prefix("acme").unwrap().id, "acme");
        assert_eq!(k.by_model("ac-1").unwrap().id, "own");
        assert_eq!(k.entries().count(), 2);
    }

    #[test]
    fn routers_strings_name_a_provider() {
        let k = knowledge();
        let route = |model: &str| k.route(model).map(|(entry, model)| (entry.id.clone(), model));
        assert_eq!(route("acme/x"), Some(("acme".into(), "x".into())));
        assert_eq!(route("acme_ai:x/y"), Some(("acme".into(), "x/y".into())));
        assert_eq!(route("ac-1"), Some(("acme".into(), "ac-1".into())));
        assert_eq!(route("other"), None);
    }
}
