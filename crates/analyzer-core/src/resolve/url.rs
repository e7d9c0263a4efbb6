//! Text with holes as an address: scheme, host, path, and the variable that decides it.

use super::Piece;

/// An address, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// `https`, `postgresql`; empty when unknown.
    pub scheme: String,
    /// Host in lower case, with its port when that is given; empty when unknown.
    pub host: String,
    /// Path template with holes in braces, without query.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// The environment variable that decides scheme and host.
    pub env: Option<String>,
    /// The literal that the variable falls back to.
    pub default: Option<String>,
}

impl Address {
    /// Scheme and host.
    pub fn base_url(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// Host without port.
    pub fn bare_host(&self) -> &str {
        match self.host.rsplit_once(':') {
            Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
            _ => &self.host,
        }
    }
}

/// The base with a relative reference applied, as `urljoin` and `new URL` do.
pub fn join(base: &[Piece], path: &[Piece]) -> Vec<Piece> {
    let absolute = matches!(path.first(), Some(Piece::Lit(text)) if text.contains("://"));
    if absolute || matches!(path.first(), Some(Piece::Env { .. })) {
        return path.to_vec();
    }
    let rooted = matches!(path.first(), Some(Piece::Lit(text)) if text.starts_with('/'));
    let mut out = base.to_vec();
    if let Some(Piece::Lit(last)) = out.last_mut() {
        let from = last.find("://").map_or(0, |at| at + 3);
        let keep = match (rooted, last[from..].find('/')) {
            (true, Some(slash)) => from + slash,
            (false, Some(_)) => last.rfind('/').map_or(last.len(), |at| at + 1),
            (_, None) => last.len(),
        };
        last.truncate(keep);
        if !rooted && !last.ends_with('/') {
            last.push('/');
        }
    } else if !rooted {
        out.push(Piece::Lit("/".into()));
    }
    out.extend(path.iter().cloned());
    out
}

/// Reads an address; none when the text is no absolute address and no variable decides it.
pub fn parse(pieces: &[Piece]) -> Option<Address> {
    let mut flat = String::new();
    let mut env = None;
    let mut default = None;
    let mut pieces = pieces.iter();
    match pieces.next()? {
        Piece::Env { name, default: fallback } => {
            env = Some(name.clone());
            default.clone_from(fallback);
            flat.push_str(fallback.as_deref().unwrap_or(""));
        }
        Piece::Lit(text) => flat.push_str(text),
        Piece::Hole(_) => return None,
    }
    for piece in pieces {
        match piece {
            Piece::Lit(text) => flat.push_str(text),
            Piece::Env { name, default: Some(text) } if flat.ends_with("://") => {
                env = env.or_else(|| Some(name.clone()));
                flat.push_str(text);
            }
            Piece::Env { name, .. } => {
                if flat.ends_with("://") {
                    env = env.or_else(|| Some(name.clone()));
                }
                flat.push_str(&format!("{{{name}}}"));
            }
            Piece::Hole(name) => flat.push_str(&format!("{{{name}}}")),
        }
    }
    if env.as_deref() == Some("") {
        env = None; // A command-line option: its default is the address.
    }
    let flat = flat.trim();
    let Some((scheme, rest)) = flat.split_once("://") else {
        // Only a variable can stand for a host that is not written down.
        let path = flat.strip_prefix(default.as_deref().unwrap_or("")).unwrap_or(flat);
        return env.map(|env| Address {
            path: clean_path(path),
            query: query(path),
            env: Some(env),
            default,
            ..Address::default()
        });
    };
    let known_scheme = !scheme.is_empty()
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !known_scheme {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    // A variable in front of the `@` is a name or a password and decides no host.
    if env.as_ref().is_some_and(|env| user.contains(&format!("{{{env}}}"))) {
        env = None;
    }
    let host = host.to_ascii_lowercase();
    // Of a replica set its first member.
    let host = host.split(',').next().unwrap_or_default().trim_end_matches('.');
    if host.is_empty() && env.is_none() {
        return None;
    }
    // A line's end or a blank at the edge is no part of any host's name.
    if host.contains(char::is_control) || host.trim() != host {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    Some(Address { scheme, host: host.into(), path: clean_path(path), query: query(path), env, default })
}

/// The path without query and fragment.
/// The path template of what is sent to a base that is not written down.
pub fn path(pieces: &[Piece]) -> Option<String> {
    let base = Piece::Env { name: "BASE".into(), default: None };
    let whole: Vec<Piece> = [base].into_iter().chain(pieces.iter().cloned()).collect();
    parse(&whole).map(|address| address.path)
}

fn clean_path(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or("");
    if path.is_empty() || path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn query(path: &str) -> String {
    path.split_once('?').map_or("", |(_, query)| query).split('#').next().unwrap_or("").to_owned()
}

/// A host that is reserved for examples (RFC 2606, section 3).
pub fn is_for_examples(host: &str) -> bool {
    ["example.com", "example.net", "example.org"]
        .iter()
        .any(|reserved| host.strip_suffix(reserved).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

/// Under which labels people register below a country: `uk` and `ac co …`, `*` for any.
const SECOND_LEVEL: &str = include_str!("../../knowledge/hosts/second-level.tsv");

/// How many labels at the end of a host are a public suffix: one of `acme.io`, two of `acme.co.uk`.
pub fn suffix_labels(labels: &[&str]) -> usize {
    let [.., second, country] = labels else { return labels.len().min(1) };
    let of_country = |line: &&str| line.split_once('\t').is_some_and(|(own, _)| own == *country);
    let line = (country.len() == 2).then(|| SECOND_LEVEL.lines().find(of_country)).flatten();
    let registers =
        line.is_some_and(|line| line[country.len()..].split_whitespace().any(|own| own == "*" || own == *second));
    if registers && labels.len() > 2 { 2 } else { 1 }
}

/// A host that others can reach: has a dot, is no address of a private network, is not a cluster's own name.
///
/// Ranges by RFC 1918, 6598, 3927, 4193; names by RFC 6761 and 6762 and Kubernetes' service names.
pub fn is_external(host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.chars().all(|c| c.is_ascii_digit()) && !bare.contains(':') => bare,
        _ => host,
    };
    let bare = bare.trim_matches(['[', ']']).trim_end_matches('.');
    if bare.is_empty() || bare.contains(['{', '}', '<', '>', '$', ' ', '*', '%', '"', '\'', '(', ')']) {
        return false;
    }
    if let Ok(ip) = bare.parse::<std::net::Ipv4Addr>() {
        let shared = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
        return !(ip.is_private()
            || ip.is_loopback()
            || ip.is_link_local()
            || ip.is_unspecified()
            || ip.is_broadcast()
            || ip.is_documentation()
            || shared);
    }
    if bare.contains(':') {
        return match bare.parse::<std::net::Ipv6Addr>() {
            Ok(ip) => !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()),
            Err(_) => false,
        };
    }
    let Some((_, last)) = bare.rsplit_once('.') else { return false };
    if is_for_examples(bare) {
        return false;
    }
    let reserved = [
        "local",
        "localhost",
        "internal",
        "svc",
        "cluster",
        "test",
        "example",
        "invalid",
        "lan",
        "home",
        "localdomain",
        "intranet",
        "corp",
    ];
    let labels = bare.split('.').all(|label| {
        !label.is_empty() && label.len() <= 63 && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    });
    labels && !reserved.contains(&last) && last.chars().any(|c| c.is_alphabetic()) && last.len() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lit(text: &str) -> Piece {
        Piece::Lit(text.into())
    }

    #[test]
    fn an_address_has_scheme_host_and_path() {
        let a = parse(&[lit("https://user:pw@API.acme.io:8443/v1/"), Piece::Hole("id".into()), lit("/x?q=1")]).unwrap();
        assert_eq!((a.scheme.as_str(), a.host.as_str(), a.path.as_str()), ("https", "api.acme.io:8443", "/v1/{id}/x"));
        assert_eq!(a.bare_host(), "api.acme.io");
        assert_eq!(parse(&[lit("/v1/x")]), None);
        assert_eq!(parse(&[lit("not a url")]), None);
    }

    #[test]
    fn a_variable_may_decide_the_host() {
        let env = Piece::Env { name: "CRM_URL".into(), default: Some("http://crm:80".into()) };
        let a = parse(&[env, lit("/accounts/"), Piece::Hole("id".into())]).unwrap();
        assert_eq!((a.env.as_deref(), a.host.as_str(), a.path.as_str()), (Some("CRM_URL"), "crm:80", "/accounts/{id}"));
        let bare = Piece::Env { name: "CRM_URL".into(), default: None };
        let a = parse(&[bare, lit("/accounts")]).unwrap();
        assert_eq!((a.env.as_deref(), a.host.as_str(), a.path.as_str()), (Some("CRM_URL"), "", "/accounts"));
    }

    #[test]
    fn a_user_is_no_host() {
        let env = |name: &str| Piece::Env { name: name.into(), default: None };
        let dsn = [lit("mysql://"), env("USER"), lit(":"), env("PASSWORD"), lit("@"), env("HOST"), lit("/shop")];
        assert_eq!(parse(&dsn).unwrap().env, None);
    }

    #[test]
    fn relative_references_are_applied() {
        let joined = |base: &str, path: &str| parse(&join(&[lit(base)], &[lit(path)])).unwrap();
        assert_eq!(joined("https://a.io/v1/", "x").path, "/v1/x");
        assert_eq!(joined("https://a.io/v1", "x").path, "/x");
        assert_eq!(joined("https://a.io/v1/y", "/x").path, "/x");
        assert_eq!(joined("https://a.io", "x").path, "/x");
        assert_eq!(joined("https://a.io", "https://b.io/x").host, "b.io");
    }

    #[test]
    fn only_hosts_that_others_can_reach_are_external() {
        for host in ["api.acme.io", "8.8.8.8", "acme.co.uk:443", "bücher.de"] {
            assert!(is_external(host), "{host}");
        }
        for host in [
            "localhost",
            "echo-tool",
            "127.0.0.1:80",
            "10.0.0.1",
            "169.254.169.254",
            "192.168.1.2",
            "a.svc.cluster.local",
            "a.b.svc",
            "db.internal",
            "x.local",
            "{host}.io",
            "[::1]:80",
            "api.acme.example",
            "100.64.0.1",
            "",
        ] {
            assert!(!is_external(host), "{host}");
        }
    }
}
