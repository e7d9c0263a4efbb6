//! MCP servers that the agent connects to: by command, by address, by a map of either.

use std::sync::Arc;

use crate::analysis::{Confidence, Step, Tool, ToolKind};
use crate::facts::{Exported, ExprId, ExprKind, FileFacts};
use crate::knowledge::Knowledge;
use crate::knowledge::index::RuleKind;
use crate::knowledge::schema::{ArgRef, Entry, McpNames};
use crate::memo::{self, Asked, On};
use crate::resolve::url::{self, Address};
use crate::resolve::{At, Frames, Value};
use crate::sites::Context;
use crate::sources::Language;

/// A server, and the address it has.
#[derive(Clone)]
pub struct Server {
    /// The finding.
    pub tool: Tool,
    /// Its address, for servers that are reached by HTTP.
    pub host: Option<String>,
}

/// One entry per server.
pub fn detect(cx: &Context) -> Vec<Server> {
    let project = cx.project;
    let own = Arc::new(own_servers(cx));
    if let Some(memo) = project.memo {
        memo.compare(On::OwnServers, own.clone(), |before, now| if before == now { vec![] } else { vec![0] });
    }
    let called = memo::each(project.memo, project.count(), Asked::Servers, &(cx, own.clone()), called);
    let mut servers: Vec<Server> = called.iter().flat_map(|of_file| of_file.iter().cloned()).collect();
    // A server that code starts by its configuration stands there.
    let configured = configured(cx);
    servers.retain(|server| !configured.iter().any(|other| other.tool.name == server.tool.name));
    servers.extend(configured);
    servers.sort_by(|a, b| (&a.tool.file, a.tool.line, &a.tool.name).cmp(&(&b.tool.file, b.tool.line, &b.tool.name)));
    servers.dedup_by(|a, b| a.tool.name == b.tool.name);
    servers
}

/// Servers that the calls of a file are told of.
fn called((cx, own): &(&Context, Arc<Vec<(usize, String)>>), file: usize) -> Vec<Server> {
    let mut servers = Vec::new();
    cx.project.note(On::OwnServers, 0);
    // What a test starts is what it tests.
    if cx.project.is_test(file) {
        return servers;
    }
    for site in cx.sites_of(file) {
        for hit in site.hits(RuleKind::Mcp) {
            let rule = &cx.project.knowledge.entry(hit.entry).mcp[hit.rule as usize];
            let call = site.symbol.display();
            let map = cx.project.argument(site.at, &None, &rule.servers);
            let before = servers.len();
            if let Some((at, frames)) = map {
                servers.extend(of_map(cx, at, &frames, &call));
            }
            if servers.len() > before {
                break;
            }
            let name = text(cx, site.at, &rule.name);
            let get = |places: &[ArgRef]| cx.project.argument(site.at, &None, places);
            let told = Told { name, command: get(&rule.command), args: get(&rule.args), url: get(&rule.url) };
            let found = server(cx, own, told, site.at, &call);
            if let Some(found) = found {
                let host = found.host.filter(|_| !rule.hosted);
                servers.push(Server { host, ..found });
                break;
            }
        }
    }
    servers
}

/// Servers of a submitted configuration file whose name the program speaks.
fn configured(cx: &Context) -> Vec<Server> {
    let names = Names::new(cx.project.knowledge);
    let mut servers = Vec::new();
    for file in 0..cx.project.count() {
        let facts = cx.project.facts(file);
        let Some((_, Exported::Expr(root))) = facts.exports.first() else { continue };
        if cx.project.language(file) != Language::Text {
            continue;
        }
        let ExprKind::Dict(pairs) = facts.kind(*root) else { continue };
        let key_of = |pair: &&(Option<ExprId>, ExprId)| pair.0.and_then(|key| facts.text(key)).unwrap_or_default();
        // `mcp: {servers: …}` says in two words whose servers these are.
        let inner =
            pairs.iter().filter(|pair| key_of(pair) == "mcp").filter_map(|&(_, inner)| match facts.kind(inner) {
                ExprKind::Dict(pairs) => pairs.iter().find(|pair| names.is_map(key_of(pair))),
                _ => None,
            });
        let map = pairs.iter().find(|pair| names.is_own_map(key_of(pair))).or_else(|| inner.into_iter().next());
        let list = || pairs.iter().find(|pair| names.is_map(key_of(pair)) && names.lists_servers(facts, pair.1));
        let map = map.or_else(list);
        if let Some(&(_, map)) = map
            && (is_spoken_of(cx, file) || is_read_by_framework(cx, file))
        {
            let (at, from) = (At { file, expr: map }, cx.project.path(file));
            servers.extend(match facts.kind(map) {
                ExprKind::List(_) => of_list(cx, at, from),
                _ => of_map(cx, at, &None, from),
            });
        }
    }
    servers
}

/// A framework that the program imports reads a file of this name.
fn is_read_by_framework(cx: &Context, file: usize) -> bool {
    let path = cx.project.path(file);
    let name = path.rsplit('/').next().unwrap_or(path);
    let reads = |entry: &Entry| {
        let packages = entry.python_packages.iter().chain(&entry.npm_packages);
        entry.mcp_names.files.iter().any(|file| file == name) && packages.into_iter().any(|root| cx.imports_root(root))
    };
    cx.project.knowledge.entries().any(|(_, entry)| reads(entry))
}

/// Code holds a text that ends with the file's name.
fn is_spoken_of(cx: &Context, file: usize) -> bool {
    let path = cx.project.path(file);
    let name = path.rsplit('/').next().unwrap_or(path);
    let programs = cx.project.files().iter().filter(|file| file.source.language != Language::Text);
    let speaks = |facts: &FileFacts| {
        let mut kinds = facts.exprs.iter().map(|expr| &expr.kind);
        kinds.any(|kind| matches!(kind, ExprKind::Text(text) if facts.text_of(*text).ends_with(name)))
    };
    programs.into_iter().any(|program| speaks(&program.facts))
}

fn text(cx: &Context, call: At, places: &[ArgRef]) -> Option<String> {
    let (at, frames) = cx.project.argument(call, &None, places)?;
    cx.project.values(at, &frames).into_iter().find_map(|known| known.literal_or_default())
}

/// `{"filesystem": {"command": "npx", "args": […]}, "weather": {"url": "https://…"}}`.
fn of_map(cx: &Context, at: At, frames: &Frames, call: &str) -> Vec<Server> {
    let mut servers = Vec::new();
    let names = Names::new(cx.project.knowledge);
    for reference in cx.project.refer(at, frames) {
        let crate::resolve::Ref::Expr(holder, frames) = reference else { continue };
        let pairs = cx.project.pairs(holder, &frames);
        // `{"mcpServers": {…}}` holds the map one level deeper.
        if let Some((_, inner, frames)) =
            pairs.iter().find(|(key, ..)| key.as_deref().is_some_and(|key| names.is_map(key)))
        {
            servers.extend(of_map(cx, *inner, frames, call));
            continue;
        }
        for (key, value, frames) in pairs {
            let Some(key) = key else { continue };
            let get = |name: &str| cx.project.element(&(value, frames.clone()), name);
            let url = get("url").or_else(|| get("server_url")).or_else(|| get("serverUrl"));
            let url = url.or_else(|| {
                matches!(cx.project.facts(value.file).kind(value.expr), ExprKind::Text(_))
                    .then(|| (value, frames.clone()))
            });
            servers.extend(server(
                cx,
                &[],
                Told { name: Some(key), command: get("command"), args: get("args"), url },
                value,
                call,
            ));
        }
    }
    servers
}

/// `servers: [{name: wiki, transport: sse, url: …}, …]`.
fn of_list(cx: &Context, list: At, from: &str) -> Vec<Server> {
    let told = |(item, frames): (At, Frames)| {
        let get = |name: &str| cx.project.element(&(item, frames.clone()), name);
        let text = |(at, frames): (At, Frames)| {
            cx.project.values(at, &frames).into_iter().find_map(|known| known.literal_or_default())
        };
        let name = get("name").or_else(|| get("id")).and_then(text);
        // A script is run by what its extension asks for.
        let args = get("args").or_else(|| get("path"));
        server(cx, &[], Told { name, command: get("command"), args, url: get("url") }, item, from)
    };
    cx.project.elements(list, &None).into_iter().filter_map(told).collect()
}

/// What a call or a map tells of a server.
struct Told {
    name: Option<String>,
    command: Option<(At, Frames)>,
    args: Option<(At, Frames)>,
    url: Option<(At, Frames)>,
}

fn server(cx: &Context, own: &[(usize, String)], told: Told, at: At, call: &str) -> Option<Server> {
    let Told { name, command, args, url } = told;
    let address = url.as_ref().and_then(|(at, frames)| {
        cx.project.values(*at, frames).into_iter().find_map(|known| match &known.value {
            Value::Text(pieces) => url::parse(pieces).map(|address| (address, known.steps.clone())),
            _ => None,
        })
    });
    let words = command.as_ref().map(|command| {
        let mut words: Vec<String> = Vec::new();
        let command = cx.project.values(command.0, &command.1).into_iter().find_map(|k| k.literal_or_default());
        words.extend(command.iter().flat_map(|line| line.split_whitespace().map(str::to_owned)));
        for (item, frames) in args.iter().flat_map(|(at, frames)| cx.project.elements(*at, frames)) {
            words.extend(cx.project.values(item, &frames).into_iter().find_map(|k| k.template()));
        }
        words
    });
    let derived = match (&address, &words) {
        (Some((address, _)), _) => name_of_address(address),
        (None, Some(words)) => Names::new(cx.project.knowledge).of_command(words),
        (None, None) => None,
    };
    if command.is_none() && url.is_none() {
        return None;
    }
    let said = name.or_else(|| of_own(cx, own, address.as_ref().map(|(address, _)| address), words.as_deref()));
    // A host is somebody's; which server a command or a path on this machine stands for, nobody says.
    let is_told = said.is_some() || address.as_ref().is_some_and(|(a, _)| a.env.is_some() || url::is_external(&a.host));
    let confidence = if is_told { Confidence::High } else { Confidence::Medium };
    let name = said.or(derived)?;
    let mut evidence: Vec<Step> = address.iter().flat_map(|(_, steps)| steps.clone()).collect();
    evidence.push(cx.step(at, format!("`{call}`")));
    let (base_url, env, default) = match &address {
        Some((a, _)) if a.env.is_some() => (None, a.env.clone(), a.default.clone()),
        Some((a, _)) => (Some(a.base_url()), None, None),
        None => (None, None, None),
    };
    let host = address.as_ref().map(|(a, _)| a).filter(|a| url::is_external(&a.host)).map(|a| a.bare_host().to_owned());
    let tool = Tool {
        name,
        kind: ToolKind::Mcp,
        file: cx.project.path(at.file).to_owned(),
        line: cx.project.line(at),
        base_url,
        detected_url_pattern: env,
        default_url: default,
        service: None,
        description: words.map(|words| words.into_iter().take(8).collect::<Vec<_>>().join(" ")),
        source: None,
        confidence,
        call_sites: Vec::new(),
        evidence,
    };
    Some(Server { tool, host })
}

/// The names that the project's own servers give themselves, with their files.
fn own_servers(cx: &Context) -> Vec<(usize, String)> {
    let found = cx.each(Asked::OwnServers, own_servers_of);
    let mut own: Vec<(usize, String)> = found.iter().flat_map(|of_file| of_file.iter().cloned()).collect();
    own.sort();
    own.dedup();
    own.truncate(MOST_OWN);
    own
}

/// Servers of a project's own that are looked at for a name; no project has as many.
const MOST_OWN: usize = 64;

fn own_servers_of(cx: &Context, file: usize) -> Vec<(usize, String)> {
    let places =
        ["name", "0", "0.name"].map(|place| place.parse().map_or(ArgRef::Name(place.into()), ArgRef::Position));
    let mut own = Vec::new();
    for site in cx.sites_of(file) {
        let is_server = site
            .hits(RuleKind::Handler)
            .any(|hit| cx.project.knowledge.entry(hit.entry).handler[hit.rule as usize].kind == "mcp_server");
        if is_server && !cx.project.is_test(site.at.file) {
            let calls = site.chain.iter().map(|(call, _)| *call).chain([site.at]);
            let name = calls.into_iter().find_map(|call| Some((call.file, text(cx, call, &places)?)));
            own.extend(name.filter(|(_, name)| !name.is_empty()));
        }
    }
    own
}

/// The name that a submitted server gives itself: the one in the script that is run, the only one where an address on
/// this machine is called.
fn of_own(
    cx: &Context,
    own: &[(usize, String)],
    address: Option<&Address>,
    words: Option<&[String]>,
) -> Option<String> {
    let only = |named: Vec<&(usize, String)>| {
        let (_, first) = named.first()?;
        named.iter().all(|(_, other)| other == first).then(|| first.clone())
    };
    match (address, words) {
        (Some(address), _) if address.env.is_none() && super::tools::is_loopback(address.bare_host()) => {
            only(own.iter().collect())
        }
        (None, Some(words)) => words.iter().take(16).find_map(|word| {
            let script = word.trim_start_matches(['.', '/', '\\']);
            let is_run = |file: usize| {
                let path = cx.project.path(file);
                path.strip_suffix(script).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            };
            let is_script = script.contains('.') && !script.is_empty();
            is_script.then(|| only(own.iter().filter(|(file, _)| is_run(*file)).collect())).flatten()
        }),
        _ => None,
    }
}

/// What is known of the names of servers, of all entries.
struct Names<'a>(Vec<&'a McpNames>);

impl<'a> Names<'a> {
    fn new(knowledge: &'a Knowledge) -> Self {
        Names(knowledge.entries().map(|(_, entry)| &entry.mcp_names).collect())
    }

    fn all(&self, list: fn(&McpNames) -> &Vec<String>) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(move |names| list(names)).map(String::as_str)
    }

    /// A key of a configuration file that holds a map of servers.
    fn is_map(&self, key: &str) -> bool {
        self.all(|names| &names.maps).any(|name| name == key)
    }

    /// Such a key that says by itself whose servers these are.
    fn is_own_map(&self, key: &str) -> bool {
        self.is_map(key) && key.to_ascii_lowercase().contains("mcp")
    }

    /// A list whose entries each say by which of the protocol's transports they are reached.
    fn lists_servers(&self, facts: &FileFacts, list: ExprId) -> bool {
        let ExprKind::List(items) = facts.kind(list) else { return false };
        let speaks = |item: &ExprId| {
            let ExprKind::Dict(pairs) = facts.kind(*item) else { return false };
            let transport = pairs.iter().find(|pair| pair.0.and_then(|key| facts.text(key)) == Some("transport"));
            let said = transport.and_then(|pair| facts.text(pair.1));
            said.is_some_and(|said| self.all(|names| &names.transports).any(|name| name == said))
        };
        !items.is_empty() && items.iter().all(speaks)
    }

    /// `@modelcontextprotocol/server-github` is `github`, `mcp-server-fetch` is `fetch`, `server.py` is `server`; none
    /// when nothing but the runner is known.
    fn of_command(&self, words: &[String]) -> Option<String> {
        let is_name = |word: &&String| {
            let base = word.rsplit(['/', '\\']).next().unwrap_or(word);
            let is_runner = self.all(|names| &names.runners).any(|runner| runner == base);
            // `docker run -e API_TOKEN image`.
            let is_runner = is_runner || base.contains('=') || base.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            !word.starts_with('-') && !base.contains('{') && !base.is_empty() && *word != "." && !is_runner
        };
        let word = words.iter().find(is_name)?;
        // `../ferry-mcp/dist/index.js` is what the folder is called, above those that builds make.
        let says_nothing = |part: &&str| {
            let stem = part.split('.').next().unwrap_or(part);
            part.is_empty() || self.all(|names| &names.places).any(|place| place == stem)
        };
        let mut parts = word.rsplit(['/', '\\']);
        let base = parts.next().unwrap_or(word);
        let mut above = || parts.find(|part| !says_nothing(part)).filter(|part| !part.contains(':'));
        let base = if !word.starts_with('@') && says_nothing(&base) { above().unwrap_or(base) } else { base };
        let mut name = base.split('@').find(|part| !part.is_empty()).unwrap_or(base);
        name = self.all(|names| &names.extensions).find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let bare = name;
        name = self.all(|names| &names.prefixes).find_map(|start| name.strip_prefix(start)).unwrap_or(name);
        name = self.all(|names| &names.suffixes).find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        Some(if name.is_empty() { bare } else { name }.to_owned())
    }
}

fn name_of_address(address: &Address) -> Option<String> {
    if let Some(env) = &address.env {
        return Some(super::tools::name_of_variable(env));
    }
    if address.bare_host().chars().all(|c| c.is_ascii_digit() || c == '.') {
        // Nothing says whose address this is but its path.
        return address.path.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned);
    }
    let labels: Vec<&str> = address.bare_host().split('.').filter(|l| !["www", "mcp", "api"].contains(l)).collect();
    labels.first().map(|label| (*label).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(words: &[&str]) -> Option<String> {
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        Names::new(&crate::knowledge::builtin()).of_command(&words)
    }

    #[test]
    fn servers_are_named_by_what_is_run() {
        assert_eq!(name(&["npx", "-y", "@modelcontextprotocol/server-github"]).as_deref(), Some("github"));
        assert_eq!(name(&["uvx", "mcp-server-fetch"]).as_deref(), Some("fetch"));
        assert_eq!(name(&["uvx", "awslabs.cost-explorer-mcp-server@latest"]).as_deref(), Some("cost-explorer"));
        assert_eq!(name(&["python", "servers/weather.py"]).as_deref(), Some("weather"));
        assert_eq!(name(&["python", "server.py"]).as_deref(), Some("server"));
        assert_eq!(name(&["npx", "@playwright/mcp@latest"]).as_deref(), Some("mcp"));
        assert_eq!(name(&["python", "servers/filesystem_mcp.py"]).as_deref(), Some("filesystem"));
        assert_eq!(name(&["docker", "run", "-i", "-e", "NOTION_TOKEN", "mcp/notion"]).as_deref(), Some("notion"));
        assert_eq!(name(&["node", "../ferry-mcp/dist/index.js"]).as_deref(), Some("ferry"));
        assert_eq!(name(&["node", "dist/index.js"]).as_deref(), Some("index"));
        assert_eq!(name(&["python", "{script}"]), None, "nobody knows what is run");
    }
}
