//! Policies: what an agent may call, whether a call is covered, and the least that this code needs.
//!
//! Pure, and the same for the linter that proposes policies, the preview that shows them and the gateway that asks.
//! Of the rules that cover a call the strongest decides: deny, then approval, then allow; where none does, it is denied.
//!
//! ```
//! use analyzer_core::policy::{Call, Outcome, Permission, Policy, Rule, Rules, Target};
//!
//! let allow = Rule::new(Permission::Allow, "https://api.stripe.com/v1/charges*").for_operations(["GET"]);
//! let ask = Rule::new(Permission::ApprovalRequired, "https://api.stripe.com/v1/charges/*/refund");
//! let rules = Rules::new(&[Policy { name: "billing".into(), rules: vec![allow, ask] }])?;
//! let outcome = |method, url| rules.decide(&Call::new(method, &Target::parse(url).unwrap())).outcome;
//! assert_eq!(outcome("GET", "https://api.stripe.com/v1/charges/ch_1"), Outcome::Allowed);
//! assert_eq!(outcome("GET", "https://api.stripe.com/v1/charges/ch_1/refund"), Outcome::ApprovalRequired);
//! assert_eq!(outcome("POST", "https://api.stripe.com/v1/charges"), Outcome::Denied);
//! # Ok::<(), analyzer_core::policy::RuleError>(())
//! ```

mod decide;
mod index;
mod matching;
mod rule;
mod synthesis;

pub use decide::{Call, Decision, Outcome, RuleRef, Rules, Verdict, WhyNot};
pub use matching::{Coverage, Pattern, PatternError, Target, TargetError};
pub use rule::{Permission, Policy, Rule, RuleError, RuleFault};
pub use synthesis::{Bases, Place, SuggestedPolicy, SuggestedRule, Suggestion, Uncovered, suggest};
