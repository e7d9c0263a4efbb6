//! Evaluate: what becomes of one call of an agent, in the order of the documents: the tool by its host, the policies
//! bound to the agent, their rules and the tool's mode, the tool's capabilities. Pure; simulation and egress ask it.
//! A policy that only logs decides nothing; what it would have made of the call is said beside the judgement.

use analyzer_core::policy::{
    Call, Outcome, Pattern, Permission, Policy as NamedRules, RuleError, RuleRef, Rules, Target, TargetError, Verdict,
};

use super::PolicyRecord;
use crate::tools::{AccessMode, Capability, ToolRecord};

/// Tools of a workspace and policies of one agent, checked and ready to be asked.
#[derive(Debug)]
pub struct Judge {
    tools: Vec<Place>,
    /// Those that decide first, then those that only log.
    policies: Vec<NamedRules>,
    deciding: usize,
    rules: Rules,
    /// The rules of all of them, where some only log.
    with_logging: Option<Rules>,
}

/// A tool and the addresses that are its own.
#[derive(Debug)]
struct Place {
    tool: ToolRecord,
    /// The base URL itself, and whatever is below it.
    base: [Pattern; 2],
    /// The whole host.
    host: Pattern,
    depth: usize,
}

/// What becomes of a call, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement<'j> {
    /// What becomes of it.
    pub outcome: Outcome,
    /// What decided.
    pub because: Because,
    /// The address to send on: what was compared and nothing else.
    pub target: Option<Target>,
    /// The tool that is called.
    pub tool: Option<&'j ToolRecord>,
    /// The tool's capability that the call is, if the tool says what it can do.
    pub capability: Option<&'j Capability>,
    /// What would become of it if the policies that only log decided too, where that is something else.
    pub log_only: Option<(Outcome, Because)>,
}

/// What decided about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// The address cannot be compared.
    Address(TargetError),
    /// No registered tool has this host.
    NoTool,
    /// A rule of a policy.
    Rule(RuleRef),
    /// No rule covers the call, and the tool asks in such a case.
    Mode,
    /// No rule covers the call.
    NoRule,
    /// Nothing that the tool can do is this call.
    NoCapability,
}

impl Judge {
    /// Over all tools of the workspace and the policies that count for the agent.
    pub fn new(tools: Vec<ToolRecord>, policies: &[PolicyRecord]) -> Result<Judge, RuleError> {
        let (logging, deciding): (Vec<_>, Vec<_>) = policies.iter().partition(|policy| policy.spec.log_only);
        let policies: Vec<NamedRules> = deciding.iter().chain(&logging).map(|policy| policy.rules()).collect();
        let deciding = deciding.len();
        let rules = Rules::new(&policies[..deciding])?;
        let with_logging = if logging.is_empty() { None } else { Some(Rules::new(&policies)?) };
        let mut tools: Vec<Place> = tools.into_iter().filter_map(Place::new).collect();
        // The most particular base first; of equal ones the first by name.
        tools.sort_by(|a, b| b.depth.cmp(&a.depth).then_with(|| a.tool.name.cmp(&b.tool.name)));
        Ok(Judge { tools, policies, deciding, rules, with_logging })
    }

    /// The rule that a verdict is about, with the name of its policy.
    pub fn rule(&self, at: RuleRef) -> (&str, &analyzer_core::policy::Rule) {
        let policy = &self.policies[at.policy];
        (&policy.name, &policy.rules[at.rule])
    }

    /// What becomes of one call.
    pub fn judge(&self, method: &str, url: &str) -> Judgement<'_> {
        let denied = |because, target| Judgement {
            outcome: Outcome::Denied,
            because,
            target,
            tool: None,
            capability: None,
            log_only: None,
        };
        let target = match Target::parse(url) {
            Ok(target) => target,
            Err(error) => return denied(Because::Address(error), None),
        };
        let Some(place) = self.place(&target) else { return denied(Because::NoTool, Some(target)) };
        let tool = &place.tool;

        let call = Call { method, target: &target, tags: &tool.spec.risk_tags, asks_by_default: asks(tool) };
        let capability = tool.spec.capabilities.iter().find(|capability| place.offers(capability, method, &target));
        let refused = !tool.spec.capabilities.is_empty() && capability.is_none();
        let by = |rules: &Rules| becomes(rules, &call, refused);
        let (outcome, because) = by(&self.rules);
        let log_only = self.with_logging.as_ref().map(by).filter(|would| would.0 != outcome);
        Judgement { outcome, because, target: Some(target), tool: Some(tool), capability, log_only }
    }

    /// What each rule of the agent's policies says of a call that was judged; nothing where no tool has its host. Those of
    /// policies that only log say what they would.
    pub fn verdicts(&self, method: &str, judgement: &Judgement<'_>) -> Vec<Verdict> {
        let (Some(tool), Some(target)) = (judgement.tool, &judgement.target) else { return Vec::new() };
        let call = Call { method, target, tags: &tool.spec.risk_tags, asks_by_default: asks(tool) };
        let mut verdicts = self.rules.verdicts(&call);
        if let Some(rules) = &self.with_logging {
            verdicts.extend(rules.verdicts(&call).into_iter().filter(|verdict| self.only_logs(verdict.rule)));
        }
        verdicts
    }

    /// Whether a rule is of a policy that only logs.
    pub fn only_logs(&self, at: RuleRef) -> bool {
        at.policy >= self.deciding
    }

    /// The tool whose base covers the address; else the most general one of its host.
    fn place(&self, target: &Target) -> Option<&Place> {
        let within = |place: &&Place| place.base.iter().any(|base| base.covers(target).both);
        let of_host = |place: &&Place| place.host.covers(target).any;
        self.tools.iter().find(within).or_else(|| {
            let least = self.tools.iter().filter(of_host).map(|place| place.depth).min()?;
            self.tools.iter().filter(of_host).find(|place| place.depth == least)
        })
    }
}

/// What rules make of a call, and why. Nobody is asked about what the tool cannot do, and a refusal keeps its own reason.
fn becomes(rules: &Rules, call: &Call<'_>, refused: bool) -> (Outcome, Because) {
    let decision = rules.decide(call);
    let because = match decision.by {
        Some(rule) => Because::Rule(rule),
        None if call.asks_by_default => Because::Mode,
        None => Because::NoRule,
    };
    match (decision.outcome, refused) {
        (Outcome::Denied, _) | (_, false) => (decision.outcome, because),
        (_, true) => (Outcome::Denied, Because::NoCapability),
    }
}

/// A person is asked where no rule speaks of the call.
fn asks(tool: &ToolRecord) -> bool {
    let control = &tool.spec.governance.access_control;
    control.mode == AccessMode::Critical || control.require_approval
}

impl Place {
    /// A tool whose address cannot be read has no place, and nothing is sent there.
    fn new(tool: ToolRecord) -> Option<Place> {
        let base = base_url(&tool)?;
        let base = base.trim_end_matches('/');
        let depth = base.matches('/').count();
        let host: String = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        Some(Place {
            base: [Pattern::parse(base).ok()?, Pattern::parse(&format!("{base}/*")).ok()?],
            host: Pattern::parse(&format!("{host}/*")).ok()?,
            depth,
            tool,
        })
    }

    /// Is the call this capability? Its path covers whatever is below it; a `*` at its end whatever begins like it.
    fn offers(&self, capability: &Capability, method: &str, target: &Target) -> bool {
        let own = capability.method.trim();
        if !own.is_empty() && own != "*" && !own.eq_ignore_ascii_case(method) {
            return false;
        }
        let Some(base) = base_url(&self.tool) else { return false };
        let path = parameters_as_wildcards(&capability.path);
        let whole = format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'));
        let below = format!("{}/*", whole.trim_end_matches('/'));
        let mut patterns = vec![whole.trim_end_matches('/').to_string(), whole.clone()];
        if !whole.ends_with('*') {
            patterns.push(below);
        }
        patterns.iter().filter_map(|pattern| Pattern::parse(pattern).ok()).any(|p| p.covers(target).both)
    }
}

/// The tool's base URL without query, with the port that its connection names if the URL names none.
pub fn base_url(tool: &ToolRecord) -> Option<String> {
    let connection = &tool.spec.connection;
    let uri: axum::http::Uri = connection.base_url.parse().ok()?;
    let (scheme, host, path) = (uri.scheme_str()?, uri.host()?, uri.path());
    let usual = if scheme == "http" { 80 } else { 443 };
    let port = uri.port_u16().unwrap_or(connection.port);
    let port = if port == usual { String::new() } else { format!(":{port}") };
    Some(format!("{scheme}://{host}{port}{path}"))
}

/// `/charges/{id}/refund` as `/charges/*/refund`.
fn parameters_as_wildcards(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((_, behind)) => {
                out.push('*');
                rest = behind;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

/// As policies spell what became of a call.
pub fn permission(outcome: Outcome) -> Permission {
    match outcome {
        Outcome::Allowed => Permission::Allow,
        Outcome::ApprovalRequired => Permission::ApprovalRequired,
        Outcome::Denied => Permission::Deny,
    }
}

#[cfg(test)]
mod tests {
    use analyzer_core::policy::Rule;

    use super::*;
    use crate::policies::{PolicyOrigin, PolicySpec};
    use crate::tools::{ToolSpec, ToolStatus};

    fn tool(name: &str, base_url: &str) -> ToolRecord {
        let mut spec = ToolSpec::default();
        spec.connection.base_url = base_url.into();
        spec.connection.port = if base_url.starts_with("http://") { 80 } else { 443 };
        ToolRecord { name: name.into(), spec, status: ToolStatus::default() }
    }

    fn policy(rules: Vec<Rule>) -> PolicyRecord {
        let spec = PolicySpec { policies: rules, ..PolicySpec::default() };
        PolicyRecord { name: "p".into(), spec, origin: PolicyOrigin::Person, evidence: Vec::new() }
    }

    fn allow(resource: &str) -> Rule {
        Rule::new(Permission::Allow, resource)
    }

    #[test]
    fn what_is_no_tools_host_is_denied_whatever_rules_say() {
        let judge =
            Judge::new(vec![tool("stripe", "https://api.stripe.com")], &[policy(vec![allow("https://evil.io/*")])]);
        let judge = judge.unwrap();
        let judgement = judge.judge("GET", "https://evil.io/x");
        assert_eq!((judgement.outcome, judgement.because), (Outcome::Denied, Because::NoTool));
        let judgement = judge.judge("GET", "https://user:pass@api.stripe.com/");
        assert_eq!(judgement.because, Because::Address(TargetError::Credentials));
        for other in ["http://api.stripe.com/x", "https://api.stripe.com:8443/x", "https://api.stripe.com.evil.io/x"] {
            assert_eq!(judge.judge("GET", other).because, Because::NoTool, "{other}");
        }
    }

    #[test]
    fn a_policy_that_only_logs_decides_nothing_and_says_what_it_would() {
        let deciding = policy(vec![allow("https://api.stripe.com/v1/*")]);
        let mut logging = policy(vec![
            Rule::new(Permission::Deny, "https://api.stripe.com/v1/refunds"),
            allow("https://api.stripe.com/v2/*"),
        ]);
        (logging.name, logging.spec.log_only) = ("stricter".into(), true);
        // Whichever was bound first.
        for policies in [[deciding.clone(), logging.clone()], [logging, deciding]] {
            let judge = Judge::new(vec![tool("stripe", "https://api.stripe.com")], &policies).unwrap();
            let said = |path: &str| {
                let judgement = judge.judge("POST", &format!("https://api.stripe.com{path}"));
                let by = |because: &Because| match because {
                    Because::Rule(at) => judge.rule(*at).0.to_string(),
                    _ => String::new(),
                };
                let would = judgement.log_only.as_ref().map(|(outcome, because)| (*outcome, by(because)));
                (judgement.outcome, by(&judgement.because), would)
            };
            let stricter = |outcome| Some((outcome, "stricter".to_string()));
            assert_eq!(said("/v1/charges"), (Outcome::Allowed, "p".into(), None));
            assert_eq!(said("/v1/refunds"), (Outcome::Allowed, "p".into(), stricter(Outcome::Denied)));
            assert_eq!(said("/v2/refunds"), (Outcome::Denied, String::new(), stricter(Outcome::Allowed)));
            assert_eq!(said("/v3"), (Outcome::Denied, String::new(), None));
        }
    }

    #[test]
    fn of_two_tools_on_one_host_the_nearer_one_is_called() {
        let mail = tool("mail", "https://graph.io/v1/mail");
        let all = tool("all", "https://graph.io/v1");
        let judge = Judge::new(vec![all, mail], &[]).unwrap();
        let called = |url| judge.judge("GET", url).tool.map(|tool| tool.name.clone());
        assert_eq!(called("https://graph.io/v1/mail/7").as_deref(), Some("mail"));
        assert_eq!(called("https://graph.io/v1/mailbox").as_deref(), Some("all"));
        assert_eq!(called("https://graph.io/v1").as_deref(), Some("all"));
        assert_eq!(called("https://graph.io/v2").as_deref(), Some("all"));
        // Dots that lead out of a base lead out of it here too.
        assert_eq!(called("https://graph.io/v1/mail/../x").as_deref(), Some("all"));
    }

    #[test]
    fn a_port_of_the_connection_counts_where_the_address_names_none() {
        let mut ledger = tool("ledger", "http://ledger/api");
        ledger.spec.connection.port = 8080;
        let judge = Judge::new(vec![ledger], &[policy(vec![allow("http://ledger:8080/*")])]).unwrap();
        assert_eq!(judge.judge("GET", "http://ledger:8080/api/x").outcome, Outcome::Allowed);
        assert_eq!(judge.judge("GET", "http://ledger/api/x").because, Because::NoTool);
    }

    #[test]
    fn where_no_rule_speaks_the_mode_of_the_tool_does() {
        let url = "https://api.stripe.com/v1/charges";
        let with = |change: fn(&mut ToolRecord)| {
            let mut stripe = tool("stripe", "https://api.stripe.com");
            change(&mut stripe);
            let judge = Judge::new(vec![stripe], &[]).unwrap();
            let judgement = judge.judge("GET", url);
            (judgement.outcome, judgement.because)
        };
        assert_eq!(with(|_| {}), (Outcome::Denied, Because::NoRule));
        let restricted = |tool: &mut ToolRecord| tool.spec.governance.access_control.mode = AccessMode::Restricted;
        assert_eq!(with(restricted), (Outcome::Denied, Because::NoRule));
        let critical = |tool: &mut ToolRecord| tool.spec.governance.access_control.mode = AccessMode::Critical;
        assert_eq!(with(critical), (Outcome::ApprovalRequired, Because::Mode));
        let asking = |tool: &mut ToolRecord| tool.spec.governance.access_control.require_approval = true;
        assert_eq!(with(asking), (Outcome::ApprovalRequired, Because::Mode));
    }

    #[test]
    fn a_tool_does_what_it_says_it_can_and_nothing_else() {
        let mut stripe = tool("stripe", "https://api.stripe.com/v1");
        let capability = |name: &str, method: &str, path: &str| Capability {
            name: name.into(),
            method: method.into(),
            path: path.into(),
            ..Capability::default()
        };
        stripe.spec.capabilities = vec![
            capability("list", "get", "/charges"),
            capability("refund", "POST", "/charges/{id}/refund"),
            capability("search", "", "/search*"),
        ];
        let rules =
            vec![allow("https://api.stripe.com/*"), Rule::new(Permission::Deny, "https://api.stripe.com/v1/keys")];
        let judge = Judge::new(vec![stripe], &[policy(rules)]).unwrap();
        let said = |method: &str, path: &str| {
            let judgement = judge.judge(method, &format!("https://api.stripe.com/v1{path}"));
            (judgement.outcome, judgement.capability.map_or("", |capability| capability.name.as_str()).to_string())
        };
        let allowed = |name: &str| (Outcome::Allowed, name.to_string());
        let denied = (Outcome::Denied, String::new());
        assert_eq!(said("GET", "/charges"), allowed("list"));
        assert_eq!(said("GET", "/charges/ch_1"), allowed("list"));
        assert_eq!(said("GET", "/charges?limit=3"), allowed("list"));
        assert_eq!(said("POST", "/charges/ch_1/refund"), allowed("refund"));
        assert_eq!(said("DELETE", "/search_all"), allowed("search"));
        for (method, path) in
            [("POST", "/charges"), ("GET", "/chargesback"), ("POST", "/charges/a/b/refund"), ("GET", "/")]
        {
            assert_eq!(said(method, path), denied, "{method} {path}");
            let judgement = judge.judge(method, &format!("https://api.stripe.com/v1{path}"));
            assert_eq!(judgement.because, Because::NoCapability);
        }
        // What a rule refused keeps the rule as its reason.
        assert!(matches!(judge.judge("GET", "https://api.stripe.com/v1/keys").because, Because::Rule(_)));
    }
}
