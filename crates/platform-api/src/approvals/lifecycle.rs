//! Lifecycle: the states of a request for approval, and what an approval may be good for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::runs::UnknownStatus;

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApprovalStatus {
    /// Nobody decided yet.
    Pending,
    /// It is granted.
    Approved,
    /// It is refused.
    Rejected,
    /// Nobody decided in time, or the grant ended.
    Expired,
}

/// What an approval is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One call, the one that was blocked.
    Once,
    /// Calls like it in its run.
    Run,
    /// Calls of the same user, agent and tool until it ends.
    AgentUserTtl,
}

impl ApprovalStatus {
    /// All there are.
    pub const ALL: [ApprovalStatus; 4] =
        [ApprovalStatus::Pending, ApprovalStatus::Approved, ApprovalStatus::Rejected, ApprovalStatus::Expired];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            ApprovalStatus::Pending => "PENDING",
            ApprovalStatus::Approved => "APPROVED",
            ApprovalStatus::Rejected => "REJECTED",
            ApprovalStatus::Expired => "EXPIRED",
        }
    }

    /// The one that is written so.
    pub fn named(name: &str) -> Option<ApprovalStatus> {
        ApprovalStatus::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The next state; none if it cannot follow.
    pub fn go(self, to: ApprovalStatus) -> Option<ApprovalStatus> {
        use ApprovalStatus::*;
        match (self, to) {
            (Pending, Approved | Rejected | Expired) | (Approved, Expired) => Some(to),
            _ => None,
        }
    }
}

impl Scope {
    /// All there are.
    pub const ALL: [Scope; 3] = [Scope::Once, Scope::Run, Scope::AgentUserTtl];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Once => "once",
            Scope::Run => "run",
            Scope::AgentUserTtl => "agent_user_ttl",
        }
    }

    /// The one that is written so.
    pub fn named(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl TryFrom<String> for ApprovalStatus {
    type Error = UnknownStatus;

    fn try_from(text: String) -> Result<ApprovalStatus, UnknownStatus> {
        ApprovalStatus::named(&text).ok_or(UnknownStatus(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_pending_is_decided() {
        for decided in [ApprovalStatus::Approved, ApprovalStatus::Rejected] {
            let from: Vec<_> = ApprovalStatus::ALL.into_iter().filter(|from| from.go(decided).is_some()).collect();
            assert_eq!(from, [ApprovalStatus::Pending]);
        }
    }

    #[test]
    fn names_are_those_of_the_answers() {
        for status in ApprovalStatus::ALL {
            assert_eq!(crate::app::json(&status), status.name());
        }
        for scope in Scope::ALL {
            assert_eq!(crate::app::json(&scope), scope.name());
        }
    }
}
