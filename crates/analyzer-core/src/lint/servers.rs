//! MCP servers that are fetched when they are started.

use std::sync::LazyLock;

use serde::Deserialize;

use super::view::{Draft, Seen};
use crate::analysis::ToolKind;
use crate::facts::{ExprId, ExprKind, FileFacts};
use crate::resolve::At;
use crate::sources::Language;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    runner: Vec<Runner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Runner {
    command: Vec<String>,
    pin: String,
    package_flags: Vec<String>,
    value_flags: Vec<String>,
}

static RUNNERS: LazyLock<Vec<Runner>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("../../rules/runners.toml")).expect("the embedded file is tested");
    file.runner
});

/// The package that a command line fetches without a version, and how one is written.
fn unpinned<'w>(words: &[&'w str]) -> Option<(&'w str, &'static str)> {
    let first = words.first()?.rsplit(['/', '\\']).next()?;
    let line: Vec<&str> =
        std::iter::once(first.strip_suffix(".cmd").unwrap_or(first)).chain(words[1..].iter().copied()).collect();
    let begins = |command: &str| {
        let command: Vec<&str> = command.split(' ').collect();
        line.starts_with(&command).then_some(command.len())
    };
    let (runner, skip) =
        RUNNERS.iter().find_map(|runner| Some((runner, runner.command.iter().find_map(|command| begins(command))?)))?;
    let mut rest = words[skip..].iter().copied();
    let mut package = None;
    while let Some(word) = rest.next() {
        if runner.package_flags.iter().any(|flag| flag == word) {
            package = rest.next();
            break;
        }
        if let Some((_, value)) =
            word.split_once('=').filter(|(flag, _)| runner.package_flags.iter().any(|own| own == flag))
        {
            package = Some(value);
            break;
        }
        if runner.value_flags.iter().any(|flag| flag == word) {
            rest.next();
        } else if !word.starts_with('-') {
            package = Some(word);
            break;
        }
    }
    let package = package.filter(|package| !is_local(package) && !is_pinned(package, &runner.pin))?;
    Some((package, &runner.pin))
}

fn is_local(package: &str) -> bool {
    package.starts_with(['.', '/', '~', '{', '$'])
        || package.contains("://") && !package.contains('@')
        || package.contains('\\')
}

fn is_pinned(package: &str, pin: &str) -> bool {
    let starts_with_digit =
        |version: &str| version.starts_with(|c: char| c.is_ascii_digit()) || version.starts_with('{');
    if package.contains("@sha256:") || package.contains("==") {
        return true;
    }
    if pin.starts_with(':') {
        let tag = package.rsplit('/').next().and_then(|name| name.split_once(':'));
        return tag.is_some_and(|(_, tag)| !tag.is_empty() && tag != "latest");
    }
    let version = package.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| &package[at + 1..]);
    let hash = |version: &str| version.len() >= 40 && version.bytes().all(|b| b.is_ascii_hexdigit());
    version.is_some_and(|version| starts_with_digit(version) || hash(version))
}

pub fn unpinned_server(seen: &Seen, out: &mut Vec<Draft>) {
    let help =
        |pin: &str| format!("name the version ({pin}) that you have looked at, so that no other is run tomorrow");
    for tool in seen.analysis.tools.iter().filter(|tool| tool.kind == ToolKind::Mcp) {
        let words: Vec<&str> = tool.description.iter().flat_map(|line| line.split(' ')).collect();
        let Some((package, pin)) = unpinned(&words) else { continue };
        let Some(place) = seen.line(&tool.file, tool.line) else { continue };
        let message = format!("MCP server `{}` runs whatever version of `{package}` is newest", tool.name);
        out.push(Draft::new(place, message, help(pin)).because(&tool.evidence));
    }
    // Configuration files of editors and desktop clients: `.mcp.json` and its like.
    for (file, source, facts) in seen.files().filter(|(_, source, _)| source.language == Language::Text) {
        if !source.path.ends_with(".json") {
            continue;
        }
        for (name, command, args) in declared(facts) {
            let words: Vec<&str> =
                facts.text(command).into_iter().chain(args.iter().filter_map(|arg| facts.text(*arg))).collect();
            let Some((package, pin)) = unpinned(&words) else { continue };
            let message = format!("MCP server `{name}` runs whatever version of `{package}` is newest");
            out.push(Draft::new(seen.at(At { file, expr: command }), message, help(pin)));
        }
    }
}

/// `{"mcpServers": {"github": {"command": "npx", "args": […]}}}`.
fn declared(facts: &FileFacts) -> Vec<(&str, ExprId, Vec<ExprId>)> {
    let items = |expr: ExprId| match facts.kind(expr) {
        ExprKind::Dict(items) => items.as_slice(),
        _ => &[],
    };
    let get = |expr: ExprId, name: &str| {
        items(expr).iter().find(|(key, _)| key.and_then(|key| facts.text(key)) == Some(name)).map(|(_, value)| *value)
    };
    let mut found = Vec::new();
    for expr in (0..facts.exprs.len() as u32).map(ExprId) {
        let servers = ["mcpServers", "servers"].iter().find_map(|key| get(expr, key));
        for (name, server) in servers.map(items).unwrap_or_default().iter().take(200) {
            let Some(command) = get(*server, "command") else { continue };
            let args = match get(*server, "args").map(|args| facts.kind(args)) {
                Some(ExprKind::List(args)) => args.to_vec(),
                _ => Vec::new(),
            };
            found.push((name.and_then(|name| facts.text(name)).unwrap_or(""), command, args));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_fetches_what_it_does_not_pin() {
        for (line, expected) in [
            ("npx -y @modelcontextprotocol/server-github", Some("@modelcontextprotocol/server-github")),
            ("npx -y @modelcontextprotocol/server-github@latest", Some("@modelcontextprotocol/server-github@latest")),
            ("npx -y @modelcontextprotocol/server-github@2025.4.8", None),
            ("/usr/bin/npx --yes server-x", Some("server-x")),
            ("npx -p pkg@1.0.0 run", None),
            ("uvx mcp-server-fetch", Some("mcp-server-fetch")),
            ("uvx mcp-server-fetch@2025.1.17", None),
            ("uvx --from mcp-x==1.2 mcp-x", None),
            ("uvx --python 3.12 mcp-x", Some("mcp-x")),
            ("uv tool run mcp-x", Some("mcp-x")),
            ("docker run -i --rm -e TOKEN ghcr.io/github/github-mcp-server", Some("ghcr.io/github/github-mcp-server")),
            ("docker run -i ghcr.io/github/github-mcp-server:v0.5.0", None),
            ("docker run -i mcp/time:latest", Some("mcp/time:latest")),
            ("python server.py", None),
            ("node ./server.js", None),
            ("npx ./server", None),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(unpinned(&words).map(|(package, _)| package), expected, "{line}");
        }
    }
}
