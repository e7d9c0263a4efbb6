//! Whose credential it is: decided by where the value goes, then by what it is called, at last by what is near.

use super::context::{Context, Site};
use super::formats::Formats;
use super::{names, plain};

/// An issuer, and how we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub issuer: usize,
    pub by: By,
    /// The client takes its credential at this position.
    pub position: Option<usize>,
}

/// How an issuer is known, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    Host,
    Client,
    Name,
    /// The nearest address is the issuer's.
    Beside,
    /// Something else near it names the issuer.
    Near,
}

impl By {
    /// The reason code.
    pub fn reason(self) -> &'static str {
        match self {
            By::Host => "host",
            By::Client => "client",
            By::Name => "name",
            By::Beside | By::Near => "near",
        }
    }
}

/// Where the variable that a text is bound to goes.
pub fn uses(site: &Site, cx: &Context) -> Vec<Site> {
    if site.bound.is_none() {
        return Vec::new();
    }
    let direct: Vec<Site> = cx.uses_of(site).collect();
    // `headers = {…: key}`, and then a call that gets `headers`.
    let second = direct.iter().filter(|use_| use_.bound.is_some() && use_.bound != site.bound).take(8);
    let second: Vec<Site> = second.flat_map(|use_| cx.uses_of(use_)).collect();
    direct.into_iter().chain(second).collect()
}

/// External hosts that a text is handed to.
pub fn hosts(site: &Site, used: &[Site]) -> Vec<String> {
    let all = std::iter::once(site).chain(used).flat_map(|site| &site.hosts);
    let mut hosts: Vec<String> =
        all.filter(|host| !super::scan::is_local(host) && !host.contains('%')).cloned().collect();
    hosts.sort();
    hosts.dedup();
    hosts.truncate(8);
    hosts
}

/// Whose credential a text at this place in code is.
pub fn of_site(site: &Site, used: &[Site], imports: &[&str], formats: &Formats) -> Option<Meaning> {
    let sites = || std::iter::once(site).chain(used);
    let host = sites()
        .flat_map(|site| site.hosts.iter().chain(&site.bare_hosts))
        .find_map(|host| formats.issuer_of_host(host));
    if let Some(issuer) = host {
        return Some(Meaning { issuer, by: By::Host, position: None });
    }
    // A client pointed at a host that nobody here knows is not the client's own service.
    let elsewhere = sites()
        .any(|site| site.hosts.iter().any(|host| host != "host.docker.internal" && !super::scan::is_local(host)));
    let named = of_name(site.name.as_deref(), &site.outer, formats);
    if let Some(named) = named.filter(|_| elsewhere) {
        return Some(named);
    }
    let route = sites().find_map(|site| of_name(None, &site.routes, formats));
    let client = sites().find_map(|site| {
        let (issuer, position) = formats.issuer_of_client(site.callee.as_deref()?, imports)?;
        Some(Meaning { issuer, by: By::Client, position })
    });
    let client = client.or_else(|| {
        let made = sites().find_map(|site| formats.issuer_of_client(site.made.as_deref()?, imports));
        made.map(|(issuer, _)| Meaning { issuer, by: By::Client, position: None })
    });
    // A client of many services is told whose the key is; one of a service of its own may name another's model.
    let client = client.filter(|client| route.is_none() || !formats.issuers[client.issuer].routes);
    client.filter(|_| !elsewhere).or(named).or(route).or_else(|| {
        let mut callee = used.iter().chain([site]).filter_map(|site| site.callee.as_deref());
        let words = callee.find_map(|path| formats.issuer_of_words(&names::words(path)));
        let from = || sites().find_map(|site| formats.issuer_of_words(&names::words(site.from.as_deref()?)));
        let words = words.or_else(from);
        words.map(|issuer| Meaning { issuer, by: By::Client, position: None })
    })
}

/// Whose credential has this name among these.
pub fn of_name(name: Option<&str>, outer: &[String], formats: &Formats) -> Option<Meaning> {
    let meaning = |issuer| Meaning { issuer, by: By::Name, position: None };
    if let Some(issuer) = name.and_then(|name| formats.issuer_of_env(name)) {
        return Some(meaning(issuer));
    }
    let own = name.and_then(|name| formats.issuer_of_words(&names::words(name)));
    own.or_else(|| outer.iter().find_map(|name| formats.issuer_of_words(&names::words(name)))).map(meaning)
}

/// Whose credential the words before it on its line speak of: `# groq key = …`.
pub fn of_line(text: &str, at: usize, formats: &Formats) -> Option<Meaning> {
    let start = super::scan::floor(text, at.saturating_sub(120));
    let line = text[start..at].rsplit('\n').next().unwrap_or("");
    let host = line.split_whitespace().find_map(|word| formats.issuer_of_host(word));
    host.map(|issuer| Meaning { issuer, by: By::Name, position: None }).or_else(|| of_name(Some(line), &[], formats))
}

/// Whose client is told it, where no tree says so: `# client = Groq(api_key="…")`.
pub fn of_call(text: &str, at: usize, imports: &[&str], formats: &Formats) -> Option<Meaning> {
    let (issuer, _) = formats.issuer_of_client(plain::called(text, at)?, imports)?;
    Some(Meaning { issuer, by: By::Client, position: None })
}

/// Whose credential the branch is about that it stands in: `if provider == "groq":`, `case "groq":`.
pub fn of_branch(text: &str, at: usize, formats: &Formats) -> Option<Meaning> {
    let branch = plain::enclosing_lines(text, at).take(3).find(|line| {
        line.starts_with("case ")
            || ["if ", "elif ", "} else if "].iter().any(|word| line.starts_with(word)) && line.contains("==")
    })?;
    let said = branch.split(['"', '\'']).nth(1).filter(|said| said.len() <= 40)?;
    of_name(Some(said), &[], formats)
}

/// Whose credential a text beside these hosts is, the nearest first.
pub fn of_hosts(hosts: &[String], formats: &Formats) -> Option<Meaning> {
    let (place, issuer) =
        hosts.iter().enumerate().find_map(|(place, host)| Some((place, formats.issuer_of_host(host)?)))?;
    Some(Meaning { issuer, by: if place == 0 { By::Beside } else { By::Near }, position: None })
}

/// The one issuer that a file's imports and names speak of.
pub fn of_imports(imports: &[&str], formats: &Formats) -> Option<Meaning> {
    let mut found = imports.iter().filter_map(|import| formats.issuer_of_words(&names::words(import)));
    let first = found.next()?;
    found.all(|other| other == first).then_some(Meaning { issuer: first, by: By::Near, position: None })
}
