//! MCP servers that the agent connects to: by command, by address, by a map of either.

use crate::analysis::{Confidence, Step, Tool, ToolKind};
use crate::facts::ExprKind;
use crate::knowledge::index::RuleKind;
use crate::knowledge::schema::ArgRef;
use crate::resolve::url::{self, Address};
use crate::resolve::{At, Frames, Value};
use crate::sites::Context;

/// A server, and the address it has.
pub struct Server {
    /// The finding.
    pub tool: Tool,
    /// Its address, for servers that are reached by HTTP.
    pub host: Option<String>,
}

/// One entry per server.
pub fn detect(cx: &Context) -> Vec<Server> {
    let mut servers = Vec::new();
    for site in &cx.sites {
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
            let found = server(cx, name, get(&rule.command), get(&rule.args), get(&rule.url), site.at, &call);
            if let Some(found) = found {
                servers.push(found);
                break;
            }
        }
    }
    servers.sort_by(|a, b| (&a.tool.file, a.tool.line, &a.tool.name).cmp(&(&b.tool.file, b.tool.line, &b.tool.name)));
    servers.dedup_by(|a, b| a.tool.name == b.tool.name);
    servers
}

fn text(cx: &Context, call: At, places: &[ArgRef]) -> Option<String> {
    let (at, frames) = cx.project.argument(call, &None, places)?;
    cx.project.values(at, &frames).into_iter().find_map(|known| known.literal_or_default())
}

/// `{"filesystem": {"command": "npx", "args": […]}, "weather": {"url": "https://…"}}`.
fn of_map(cx: &Context, at: At, frames: &Frames, call: &str) -> Vec<Server> {
    let mut servers = Vec::new();
    for reference in cx.project.refer(at, frames) {
        let crate::resolve::Ref::Expr(holder, frames) = reference else { continue };
        let pairs = cx.project.pairs(holder, &frames);
        // `{"mcpServers": {…}}` holds the map one level deeper.
        if let Some((_, inner, frames)) =
            pairs.iter().find(|(key, ..)| matches!(key.as_deref(), Some("mcpServers" | "servers")))
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
            servers.extend(server(cx, Some(key), get("command"), get("args"), url, value, call));
        }
    }
    servers
}

fn server(
    cx: &Context,
    name: Option<String>,
    command: Option<(At, Frames)>,
    args: Option<(At, Frames)>,
    url: Option<(At, Frames)>,
    at: At,
    call: &str,
) -> Option<Server> {
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
        (None, Some(words)) => name_of_command(words),
        (None, None) => None,
    };
    if command.is_none() && url.is_none() {
        return None;
    }
    let name = name.or(derived)?;
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
        confidence: Confidence::High,
        call_sites: Vec::new(),
        evidence,
    };
    Some(Server { tool, host })
}

/// `@modelcontextprotocol/server-github` is `github`, `mcp-server-fetch` is `fetch`, `server.py` is `server`.
fn name_of_command(words: &[String]) -> Option<String> {
    let flags = |word: &&String| {
        let base = word.rsplit('/').next().unwrap_or(word);
        !word.starts_with('-') && !base.contains('{') && **word != "."
    };
    let runners = [
        "npx", "uvx", "uv", "node", "python", "python3", "bun", "bunx", "deno", "docker", "run", "tool", "exec",
        "pnpm", "dlx", "yarn", "tsx", "pipx",
    ];
    let mut plain = words.iter().filter(flags);
    let word = plain.find(|word| {
        let base = word.rsplit('/').next().unwrap_or(word);
        !runners.contains(&base) && !word.starts_with("C:")
    });
    let word = word.or_else(|| words.first())?;
    let base = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let base = base.split('@').find(|part| !part.is_empty()).unwrap_or(base);
    let mut name = base.to_owned();
    for end in [".py", ".js", ".ts", ".mjs"] {
        name = name.strip_suffix(end).unwrap_or(&name).to_owned();
    }
    let bare = name.clone();
    for start in ["mcp-server-", "server-", "mcp-", "awslabs."] {
        name = name.strip_prefix(start).unwrap_or(&name).to_owned();
    }
    for end in ["-mcp-server", "-mcp", "-server"] {
        name = name.strip_suffix(end).unwrap_or(&name).to_owned();
    }
    Some(if name.is_empty() { bare } else { name })
}

fn name_of_address(address: &Address) -> Option<String> {
    if let Some(env) = &address.env {
        return Some(super::tools::name_of_variable(env));
    }
    let labels: Vec<&str> = address.bare_host().split('.').filter(|l| !["www", "mcp", "api"].contains(l)).collect();
    labels.first().map(|label| (*label).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(words: &[&str]) -> String {
        name_of_command(&words.iter().map(|w| w.to_string()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn servers_are_named_by_what_is_run() {
        assert_eq!(name(&["npx", "-y", "@modelcontextprotocol/server-github"]), "github");
        assert_eq!(name(&["uvx", "mcp-server-fetch"]), "fetch");
        assert_eq!(name(&["uvx", "awslabs.cost-explorer-mcp-server@latest"]), "cost-explorer");
        assert_eq!(name(&["python", "servers/weather.py"]), "weather");
        assert_eq!(name(&["python", "server.py"]), "server");
        assert_eq!(name(&["npx", "@playwright/mcp@latest"]), "mcp");
    }
}
