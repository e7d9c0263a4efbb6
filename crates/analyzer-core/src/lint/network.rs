//! Addresses: where the agent connects, how, and who decides that.

use std::collections::BTreeSet;

use super::sinks;
use super::taint::{FromModel, Taint};
use super::view::{Draft, Seen, place};
use crate::analysis::{Confidence, Tool, ToolKind};
use crate::facts::ExprKind;
use crate::knowledge::index::RuleKind;
use crate::policy::{Call, Outcome, Pattern, Rules, Target};
use crate::resolve::{At, Piece, Project, Ref, Value, url};

pub fn plain_http(seen: &Seen, out: &mut Vec<Draft>) {
    let mut said = BTreeSet::new();
    for outbound in seen.cx.outbound() {
        let address = &outbound.address;
        let plain = matches!(address.scheme.as_str(), "http" | "ws" | "ftp" | "smtp" | "amqp" | "mqtt" | "ldap");
        if !plain || !url::is_external(&address.host) || !said.insert(outbound.url_at) {
            continue;
        }
        let message = format!(
            "{} is reached over plain `{}`: whoever is on the way reads and changes it",
            address.bare_host(),
            address.scheme
        );
        let secure = match address.scheme.as_str() {
            "http" => "https",
            "ws" => "wss",
            "ftp" => "sftp",
            "smtp" => "smtps",
            "amqp" => "amqps",
            "mqtt" => "mqtts",
            _ => "ldaps",
        };
        let draft = Draft::new(seen.at(outbound.url_at), message, format!("use `{secure}://`"));
        out.push(draft.because(&outbound.steps).confidence(outbound.confidence));
    }
    for tool in seen.analysis.tools.iter().filter(|tool| tool.kind == ToolKind::Mcp) {
        let Some(base) = tool.base_url.as_deref().filter(|base| base.starts_with("http://")) else { continue };
        let host = base.trim_start_matches("http://");
        if let Some(place) = seen.line(&tool.file, tool.line).filter(|_| url::is_external(host)) {
            let message = format!(
                "the MCP server {host} is reached over plain `http`: whoever is on the way speaks to the model"
            );
            out.push(Draft::new(place, message, "use `https://`").because(&tool.evidence));
        }
    }
}

pub fn tls_off(seen: &Seen, out: &mut Vec<Draft>) {
    let help = "leave verification on; for a private authority, name its certificate file";
    sinks::settings(seen, "tls-verification-off", help, out);
    for found in sinks::calls(seen, "tls-verification-off") {
        let (what, help) = found.call.what.split_once("; ").unwrap_or((&found.call.what, help));
        let message = format!("`{}` {what}", found.site.symbol.display());
        out.push(Draft::new(seen.at(found.site.at), message, help));
    }
}

pub fn no_timeout(seen: &Seen, out: &mut Vec<Draft>) {
    for found in sinks::calls(seen, "request-without-timeout") {
        let (what, help) = found.call.what.split_once("; ").unwrap_or((&found.call.what, "pass `timeout=`"));
        let message = format!("`{}` {what}", found.site.symbol.display());
        out.push(Draft::new(seen.at(found.site.at), message, help));
    }
}

/// A request whose host the model decides: it can reach whatever this machine can.
pub fn unbounded(seen: &Seen, out: &mut Vec<Draft>) {
    out.extend(seen.decided("unbounded-url"));
}

/// Requests of a file whose host the model decides.
pub(super) fn decided(taint: &Taint, file: usize, out: &mut Vec<(&'static str, Draft)>) {
    let (cx, project) = (taint.cx, taint.cx.project);
    for site in cx.sites_of(file) {
        let Some(hit) = site.hits(RuleKind::Request).next() else { continue };
        let rule = &project.knowledge.entry(hit.entry).request[hit.rule as usize];
        if rule.file
            || cx.client_of(&site.chain).is_some_and(|(client, hit)| {
                let rule = &project.knowledge.entry(hit.entry).client[hit.rule as usize];
                project.argument(client.at, &client.frames, &rule.base).is_some()
            })
        {
            continue;
        }
        let Some((url_at, frames)) = project.argument(site.at, &None, &rule.url) else { continue };
        // A request object that was made elsewhere is looked at there.
        let made = project.refer(url_at, &frames);
        let is_object = |reference: &Ref| match reference {
            Ref::External(symbol, chain) => !symbol.is_unknown() && !chain.is_empty(),
            reference => matches!(reference, Ref::Instance(..)),
        };
        if made.iter().any(is_object) {
            continue;
        }
        let open = project.values(url_at, &frames).iter().any(|known| match &known.value {
            Value::Text(pieces) => host_is_open(pieces),
            _ => true,
        });
        let Some(first) = beginning(project, url_at).filter(|_| open) else { continue };
        let Some(FromModel { what, confidence, step }) = taint.of(first) else { continue };
        let call = site.symbol.display();
        let message = format!("{what} decides which host `{call}` reaches, inside your network too");
        let help =
            "compare the host with a list of those that the agent may reach, before the request and after redirects";
        let end = cx.step(site.at, format!("call of `{call}`"));
        let draft = Draft::new(place(project, url_at), message, help).confidence(confidence).because(&[step, end]);
        out.push(("unbounded-url", draft));
    }
}

/// Nothing that is written down ends the host.
fn host_is_open(pieces: &[Piece]) -> bool {
    match pieces {
        [Piece::Hole(_), ..] => true,
        [Piece::Lit(text), rest @ ..] => text
            .split_once("://")
            .is_some_and(|(_, host)| !host.contains(['/', '?', '#']) && matches!(rest.first(), Some(Piece::Hole(_)))),
        _ => false,
    }
}

/// The part of an address that decides its host.
fn beginning(project: &Project, at: At) -> Option<At> {
    let facts = project.facts(at.file);
    let here = |expr| At { file: at.file, expr };
    match facts.kind(at.expr) {
        ExprKind::Concat(parts) => {
            let open = |text: &str| text.split_once("://").is_none_or(|(_, host)| host.is_empty());
            let mut parts = parts.iter().copied();
            let first = parts.next()?;
            match facts.text(first) {
                Some(text) if open(text) && (text.is_empty() || text.contains("://")) => parts.next().map(here),
                Some(_) => None,
                None => Some(here(first)),
            }
        }
        ExprKind::Percent(_, values) => Some(here(*values)),
        _ => Some(at),
    }
}

/// Addresses of the cloud's metadata service: whoever reads it has the machine's credentials.
pub fn metadata(seen: &Seen, out: &mut Vec<Draft>) {
    for outbound in seen.cx.outbound() {
        let host = outbound.address.bare_host();
        let link_local = host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_link_local());
        if link_local || host == "metadata.google.internal" || host == "[fd00:ec2::254]" {
            let message = format!("{host} is the cloud's metadata service, which hands out the machine's credentials");
            let help = "let the platform give the agent its own credential, and block the address for the agent";
            out.push(Draft::new(seen.at(outbound.url_at), message, help).because(&outbound.steps));
        }
    }
}

pub fn undeclared_host(seen: &Seen, out: &mut Vec<Draft>) {
    let Some(hosts) = &seen.declared.hosts else { return };
    for destination in seen.analysis.destinations.iter().filter(|d| !hosts.contains(&d.host)) {
        let Some(place) = seen.line(&destination.file, destination.line) else { continue };
        let message = format!("{} is not among the hosts that {} declares", destination.host, seen.declared.by);
        let help = "if the agent may reach it, run `agentlint lock` and commit; else take the call out";
        out.push(Draft::new(place, message, help).because(&destination.evidence).confidence(destination.confidence));
    }
}

/// A call that the project's own policies refuse.
pub fn refused(seen: &Seen, out: &mut Vec<Draft>) {
    let Some(policies) = &seen.declared.policies else { return };
    // A policy that cannot be is refused where it is read.
    let Ok(rules) = Rules::new(policies) else { return };
    for tool in seen.analysis.tools.iter().filter(|tool| tool.kind != ToolKind::Function) {
        let Some(base) = base(tool) else { continue };
        for site in &tool.call_sites {
            let Some(path) = &site.path else { continue };
            let method = site.method.as_deref().unwrap_or("GET");
            let address = format!("{}{}", base.trim_end_matches('/'), path.replace(['{', '}'], ""));
            let Ok(target) = Target::parse(&address) else { continue };
            let decision = rules.decide(&Call::new(method, &target));
            let Some(place) = seen.line(&site.file, site.line).filter(|_| decision.outcome == Outcome::Denied) else {
                continue;
            };
            let why = match decision.by {
                Some(by) => format!("policy `{}` denies it", policies[by.policy].name),
                None => "no policy allows it".to_owned(),
            };
            let message = format!("{method} {path} of `{}` will be refused: {why}", tool.name);
            let help = "`agentlint policy` prints the least that the code needs; change the policies or the call";
            out.push(Draft::new(place, message, help).confidence(tool.confidence));
        }
    }
}

fn base(tool: &Tool) -> Option<String> {
    let variable = tool.detected_url_pattern.as_ref().map(|name| format!("${{{name}}}"));
    variable.or_else(|| tool.base_url.clone()).filter(|base| Pattern::parse(base).is_ok())
}

/// A tool whose policy must allow a whole host, because the code hides what it calls.
pub fn wide(seen: &Seen, out: &mut Vec<Draft>) {
    let hidden = |tool: &&Tool| {
        matches!(tool.kind, ToolKind::Http | ToolKind::Env)
            && tool.call_sites.iter().any(|site| site.path.as_deref().is_some_and(|path| path.starts_with("/{")))
    };
    for tool in seen.analysis.tools.iter().filter(hidden) {
        let site = tool.call_sites.iter().find(|site| site.path.as_deref().is_some_and(|path| path.starts_with("/{")));
        let Some(site) = site else { continue };
        let Some(place) = seen.line(&site.file, site.line) else { continue };
        let message =
            format!("the path called on `{}` is not written down, so its policy must allow the whole host", tool.name);
        let help = "write the beginning of the path at the call, such as `f\"{base}/v1/orders/{id}\"`";
        out.push(Draft::new(place, message, help).confidence(Confidence::Medium));
    }
}
