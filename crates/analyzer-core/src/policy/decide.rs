//! The decision: of the rules that cover a call, the strongest.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::index::Index;
use super::matching::{Coverage, Origin, Pattern, Target};
use super::rule::{Permission, Policy, RuleError, RuleFault};

/// One call that an agent makes.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// HTTP method, in any case.
    pub method: &'a str,
    /// Its address.
    pub target: &'a Target,
    /// Risk tags of the tool that is called.
    pub tags: &'a [String],
    /// The tool asks for approval where no rule speaks of it, rather than being refused.
    pub asks_by_default: bool,
}

impl<'a> Call<'a> {
    /// A call of a tool without tags that is refused where no rule speaks of it.
    pub fn new(method: &'a str, target: &'a Target) -> Call<'a> {
        Call { method, target, tags: &[], asks_by_default: false }
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It goes through.
    Allowed,
    /// A person is asked first.
    ApprovalRequired,
    /// It is refused.
    Denied,
}

/// A rule among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RuleRef {
    /// Index of its policy.
    pub policy: usize,
    /// Index in the policy.
    pub rule: usize,
}

/// What becomes of a call, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The rule that decided; none when no rule covers the call.
    pub by: Option<RuleRef>,
}

/// What one rule says of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The rule.
    pub rule: RuleRef,
    /// Why it did not decide; none for the one that did.
    pub why_not: Option<WhyNot>,
}

/// Why a rule did not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// It is about another scheme, host or port.
    OtherHost,
    /// It is about other paths of the host.
    OtherPath,
    /// The path can be read in two ways, and it covers only one of them.
    AmbiguousPath,
    /// It is about other methods.
    OtherOperation,
    /// The tool has none of its tags.
    OtherTags,
    /// It covers the call, but a stronger rule does too.
    Weaker,
    /// It covers the call, but an equal rule that comes first does too.
    Later,
}

/// Policies, checked and ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Compiled>,
    /// Rules about one origin.
    by_origin: FxHashMap<Origin, Index>,
    /// Rules about every address.
    anywhere: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Compiled {
    at: RuleRef,
    permission: Permission,
    pattern: Option<Pattern>,
    operations: Vec<String>,
    tags: Vec<String>,
}

impl Rules {
    /// Checks the policies that count for an agent; the first rule that cannot be is named.
    pub fn new(policies: &[Policy]) -> Result<Rules, RuleError> {
        let mut rules = Rules::default();
        let mut by_origin: FxHashMap<Origin, Vec<u32>> = FxHashMap::default();
        for (policy_index, policy) in policies.iter().enumerate() {
            for (rule_index, rule) in policy.rules.iter().enumerate() {
                let refuse =
                    |reason: RuleFault| RuleError { policy: policy.name.clone(), rule: rule_index + 1, reason };
                if rule.permission == Permission::Allow && rule.resource.is_none() && rule.tags.is_empty() {
                    return Err(refuse(RuleFault::Unlimited));
                }
                let pattern = match &rule.resource {
                    Some(resource) => Some(Pattern::parse(resource).map_err(|error| refuse(error.into()))?),
                    None => None,
                };
                let is_method = |method: &&String| {
                    !method.is_empty()
                        && method.len() <= 32
                        && method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
                };
                if let Some(odd) = rule.operations.iter().find(|method| !is_method(method)) {
                    return Err(refuse(RuleFault::Operation(odd.chars().take(40).collect())));
                }
                let index = rules.rules.len() as u32;
                match &pattern {
                    Some(pattern) => by_origin.entry(pattern.origin.clone()).or_default().push(index),
                    None => rules.anywhere.push(index),
                }
                rules.rules.push(Compiled {
                    at: RuleRef { policy: policy_index, rule: rule_index },
                    permission: rule.permission,
                    pattern,
                    operations: rule.operations.clone(),
                    tags: rule.tags.clone(),
                });
            }
        }
        for (origin, own) in by_origin {
            let patterns = own.iter().filter_map(|index| {
                let pattern = rules.rules[*index as usize].pattern.as_ref()?;
                Some((pattern, *index))
            });
            rules.by_origin.insert(origin, Index::new(patterns));
        }
        Ok(rules)
    }

    /// What becomes of a call. Asks only the rules of its host whose patterns begin as its path does, and those about every
    /// address.
    pub fn decide(&self, call: &Call) -> Decision {
        let here = self.by_origin.get(&call.target.origin).map(|index| index.candidates(call.target));
        let strongest = here
            .into_iter()
            .flatten()
            .chain(self.anywhere.iter().copied())
            .map(|index| &self.rules[index as usize])
            .filter(|rule| rule.covers(call))
            .min_by_key(|rule| (std::cmp::Reverse(rule.permission), rule.at));
        match strongest {
            Some(rule) => Decision { outcome: rule.permission.into(), by: Some(rule.at) },
            None if call.asks_by_default => Decision { outcome: Outcome::ApprovalRequired, by: None },
            None => Decision { outcome: Outcome::Denied, by: None },
        }
    }

    /// What each rule says of a call, in their order.
    pub fn verdicts(&self, call: &Call) -> Vec<Verdict> {
        let by = self.decide(call).by;
        let strongest = by.and_then(|by| self.rules.iter().find(|rule| rule.at == by)).map(|rule| rule.permission);
        let verdict = |rule: &Compiled| {
            let covers = || match (by == Some(rule.at), Some(rule.permission) == strongest) {
                (true, _) => None,
                (false, true) => Some(WhyNot::Later),
                (false, false) => Some(WhyNot::Weaker),
            };
            Verdict { rule: rule.at, why_not: rule.why_not(call).or_else(covers) }
        };
        self.rules.iter().map(verdict).collect()
    }
}

impl Compiled {
    /// Whether it covers a call of its own host, or of any if it names none.
    fn covers(&self, call: &Call) -> bool {
        let coverage = self.pattern.as_ref().map(|pattern| pattern.covers_path(call.target));
        coverage.is_none_or(|coverage| self.is_enough(coverage)) && self.why_not_else(call).is_none()
    }

    /// What can be read in two ways is allowed only if both are covered, and stopped if either is.
    fn is_enough(&self, coverage: Coverage) -> bool {
        if self.permission == Permission::Allow { coverage.both } else { coverage.any }
    }

    /// Why it does not cover a call; none when it does.
    fn why_not(&self, call: &Call) -> Option<WhyNot> {
        if let Some(pattern) = &self.pattern {
            let coverage = pattern.covers(call.target);
            match (self.is_enough(coverage), coverage.any) {
                (true, _) => {}
                (false, true) => return Some(WhyNot::AmbiguousPath),
                (false, false) if pattern.origin != call.target.origin => return Some(WhyNot::OtherHost),
                (false, false) => return Some(WhyNot::OtherPath),
            }
        }
        self.why_not_else(call)
    }

    /// The same, but for its address.
    fn why_not_else(&self, call: &Call) -> Option<WhyNot> {
        if !self.operations.is_empty() && !self.operations.iter().any(|own| own.eq_ignore_ascii_case(call.method)) {
            return Some(WhyNot::OtherOperation);
        }
        if !self.tags.is_empty() && !self.tags.iter().any(|own| call.tags.contains(own)) {
            return Some(WhyNot::OtherTags);
        }
        None
    }
}

impl From<Permission> for Outcome {
    fn from(permission: Permission) -> Outcome {
        match permission {
            Permission::Allow => Outcome::Allowed,
            Permission::ApprovalRequired => Outcome::ApprovalRequired,
            Permission::Deny => Outcome::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rule::Rule;
    use super::*;

    fn rules(rules: &[Rule]) -> Rules {
        Rules::new(&[Policy { name: "p".into(), rules: rules.to_vec() }]).unwrap()
    }

    fn decide(own: &[Rule], method: &str, url: &str) -> Outcome {
        rules(own).decide(&Call::new(method, &Target::parse(url).unwrap())).outcome
    }

    const CHARGES: &str = "https://api.stripe.com/v1/charges*";
    const ONE: &str = "https://api.stripe.com/v1/charges/ch_1";

    #[test]
    fn deny_beats_approval_beats_allow_beats_nothing() {
        let [allow, ask, deny] = [Permission::Allow, Permission::ApprovalRequired, Permission::Deny]
            .map(|permission| Rule::new(permission, CHARGES));
        assert_eq!(decide(&[], "GET", ONE), Outcome::Denied);
        assert_eq!(decide(std::slice::from_ref(&allow), "GET", ONE), Outcome::Allowed);
        assert_eq!(decide(&[allow.clone(), ask.clone()], "GET", ONE), Outcome::ApprovalRequired);
        assert_eq!(decide(&[deny, allow, ask], "GET", ONE), Outcome::Denied);
    }

    #[test]
    fn operations_are_compared_in_any_case_and_none_means_all() {
        let get = Rule::new(Permission::Allow, CHARGES).for_operations(["get"]);
        assert_eq!(decide(std::slice::from_ref(&get), "GET", ONE), Outcome::Allowed);
        assert_eq!(decide(&[get], "DELETE", ONE), Outcome::Denied);
        assert_eq!(decide(&[Rule::new(Permission::Allow, CHARGES)], "DELETE", ONE), Outcome::Allowed);
    }

    #[test]
    fn tags_and_resource_must_both_hold() {
        let rule = Rule::new(Permission::Allow, CHARGES).for_tags(["financial", "pii"]);
        let rules = rules(&[rule]);
        let target = Target::parse(ONE).unwrap();
        let with = |tags: &[String]| rules.decide(&Call { tags, ..Call::new("GET", &target) }).outcome;
        assert_eq!(with(&["pii".into()]), Outcome::Allowed);
        assert_eq!(with(&["read".into()]), Outcome::Denied);
        assert_eq!(with(&[]), Outcome::Denied);
    }

    #[test]
    fn a_critical_tool_asks_where_no_rule_speaks() {
        let target = Target::parse(ONE).unwrap();
        let call = Call { asks_by_default: true, ..Call::new("GET", &target) };
        assert_eq!(rules(&[]).decide(&call), Decision { outcome: Outcome::ApprovalRequired, by: None });
        assert_eq!(rules(&[Rule::new(Permission::Deny, CHARGES)]).decide(&call).outcome, Outcome::Denied);
    }

    #[test]
    fn each_rule_says_why_it_did_not_decide() {
        let own = [
            Rule::new(Permission::Allow, CHARGES),
            Rule::new(Permission::Allow, "https://api.github.com/*"),
            Rule::new(Permission::Allow, "https://api.stripe.com/v1/refunds"),
            Rule::new(Permission::Deny, CHARGES).for_operations(["DELETE"]),
            Rule::new(Permission::ApprovalRequired, CHARGES),
            Rule::new(Permission::ApprovalRequired, CHARGES),
            Rule { resource: None, ..Rule::new(Permission::Deny, "") }.for_tags(["pii"]),
        ];
        let rules = rules(&own);
        let said: Vec<_> = rules
            .verdicts(&Call::new("GET", &Target::parse(ONE).unwrap()))
            .into_iter()
            .map(|verdict| verdict.why_not)
            .collect();
        use WhyNot::*;
        let expected = [Weaker, OtherHost, OtherPath, OtherOperation].map(Some).into_iter();
        let expected: Vec<_> = expected.chain([None, Some(Later), Some(OtherTags)]).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn rules_that_cannot_be_are_refused_with_their_place() {
        let refusal =
            |rule: Rule| Rules::new(&[Policy { name: "billing".into(), rules: vec![rule] }]).unwrap_err().to_string();
        let everything = Rule { resource: None, ..Rule::new(Permission::Allow, "") };
        assert!(refusal(everything).starts_with("policy \"billing\", rule 1: it would allow every call"));
        assert!(refusal(Rule::new(Permission::Deny, "stripe")).contains("is no address"));
        assert!(refusal(Rule::new(Permission::Deny, CHARGES).for_operations(["G T"])).contains("\"G T\""));
    }

    /// The documented rules, said as plainly as possible: no readings, no index, no compiled patterns. It knows only
    /// plain paths and the wildcards at the end and between slashes.
    fn naive(rules: &[Rule], method: &str, url: &str, tags: &[String]) -> Outcome {
        let path = |url: &str| url.split('?').next().unwrap().to_owned();
        let resource = |pattern: &str, url: &str| {
            let (pattern, url) = (path(pattern), path(url));
            let (fixed, open) = match pattern.strip_suffix('*') {
                Some(fixed) => (fixed.to_owned(), true),
                None => (pattern, false),
            };
            let want: Vec<&str> = fixed.split('/').collect();
            let have: Vec<&str> = url.split('/').collect();
            let last = want.len() - 1;
            let same = |(i, want): (usize, &&str)| match have.get(i) {
                None => false,
                Some(have) if *want == "*" => !have.is_empty(),
                Some(have) if i == last && open => have.starts_with(want),
                Some(have) => have == want,
            };
            want.iter().enumerate().all(same) && (open || have.len() == want.len())
        };
        let covers = |rule: &&Rule| {
            rule.resource.as_ref().is_none_or(|pattern| resource(pattern, url))
                && (rule.operations.is_empty() || rule.operations.iter().any(|own| own.to_uppercase() == method))
                && (rule.tags.is_empty() || rule.tags.iter().any(|tag| tags.contains(tag)))
        };
        let mut covering: Vec<Permission> = rules.iter().filter(covers).map(|rule| rule.permission).collect();
        covering.sort();
        covering.pop().map_or(Outcome::Denied, Outcome::from)
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let permission = prop::sample::select(vec![Permission::Allow, Permission::ApprovalRequired, Permission::Deny]);
        let segments = prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "*"]), 1..4);
        let host = prop::sample::select(vec!["https://x.io", "https://y.io"]);
        let operations = prop::sample::subsequence(vec!["GET", "post"], 0..=2);
        let tags = prop::sample::subsequence(vec!["pii", "financial"], 0..=2);
        (permission, host, segments, any::<bool>(), operations, tags).prop_map(
            |(permission, host, segments, open, operations, tags)| {
                let star = if open && segments.last() != Some(&"*") { "*" } else { "" };
                let rule = Rule::new(permission, format!("{host}/{}{star}", segments.join("/")));
                rule.for_operations(operations).for_tags(tags)
            },
        )
    }

    /// Paths that servers read in different ways, from the pieces that make them so.
    fn odd_path() -> impl Strategy<Value = String> {
        let pieces =
            ["/", "//", "a", "ab", "b", "..", ".", "%2e", "%2F", "%252f", "\\", ";x", "%ff", "%3F", "%c0%ae", "é"];
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_index_finds_whatever_covers(
            own in prop::collection::vec((rule(), odd_path(), any::<bool>()), 0..6),
            path in odd_path(),
        ) {
            let odd = |(mut rule, path, is_odd): (Rule, String, bool)| {
                if is_odd {
                    rule.resource = Some(format!("https://x.io/{path}*"));
                }
                rule
            };
            let own: Vec<Rule> = own.into_iter().map(odd).collect();
            let rules = rules(&own);
            let target = Target::parse(&format!("https://x.io/{path}")).unwrap();
            let call = Call::new("GET", &target);
            let covering = rules.rules.iter().filter(|rule| rule.why_not(&call).is_none());
            let strongest = covering.min_by_key(|rule| (std::cmp::Reverse(rule.permission), rule.at));
            prop_assert_eq!(rules.decide(&call).by, strongest.map(|rule| rule.at));
        }

        #[test]
        fn the_engine_decides_as_the_plain_reading_of_the_rules(
            own in prop::collection::vec(rule(), 0..6),
            host in prop::sample::select(vec!["https://x.io", "https://y.io", "https://z.io"]),
            segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "abc"]), 1..5),
            method in prop::sample::select(vec!["GET", "POST", "PUT"]),
            tags in prop::sample::subsequence(vec!["pii".to_owned(), "financial".to_owned()], 0..=2),
        ) {
            let url = format!("{host}/{}?q=1", segments.join("/"));
            let target = Target::parse(&url).unwrap();
            let call = Call { tags: &tags, ..Call::new(method, &target) };
            prop_assert_eq!(rules(&own).decide(&call).outcome, naive(&own, method, &url, &tags));
        }
    }
}
