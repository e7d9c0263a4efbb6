//! Lifecycle: the states of runs and of blocked actions, and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    /// The agent works.
    Running,
    /// A person has to decide on a call first.
    PausedApproval,
    /// The user has to agree first that the agent acts for them.
    PausedConsent,
    /// It did what it was to do.
    Completed,
    /// It did not.
    Failed,
}

/// Where a blocked action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionStatus {
    /// Nobody decided yet.
    Blocked,
    /// It may be done.
    Approved,
    /// It was done.
    Executed,
    /// It was refused, or did not work.
    Failed,
    /// It was approved and not done in time.
    Expired,
}

/// A step that no life has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid transition from {from} to {to}")]
pub struct BadTransition {
    from: &'static str,
    to: &'static str,
}

impl RunStatus {
    /// All there are.
    pub const ALL: [RunStatus; 5] = [
        RunStatus::Running,
        RunStatus::PausedApproval,
        RunStatus::PausedConsent,
        RunStatus::Completed,
        RunStatus::Failed,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Running => "RUNNING",
            RunStatus::PausedApproval => "PAUSED_APPROVAL",
            RunStatus::PausedConsent => "PAUSED_CONSENT",
            RunStatus::Completed => "COMPLETED",
            RunStatus::Failed => "FAILED",
        }
    }

    /// The one that is written so.
    pub fn named(name: &str) -> Option<RunStatus> {
        RunStatus::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The next state.
    pub fn go(self, to: RunStatus) -> Result<RunStatus, BadTransition> {
        use RunStatus::*;
        match (self, to) {
            (Running, PausedApproval | PausedConsent | Completed | Failed) => Ok(to),
            (PausedApproval | PausedConsent, Running | Failed) => Ok(to),
            (from, to) => Err(BadTransition { from: from.name(), to: to.name() }),
        }
    }

    /// Nothing follows.
    pub fn is_final(self) -> bool {
        RunStatus::ALL.into_iter().all(|to| self.go(to).is_err())
    }
}

impl ActionStatus {
    /// All there are.
    pub const ALL: [ActionStatus; 5] = [
        ActionStatus::Blocked,
        ActionStatus::Approved,
        ActionStatus::Executed,
        ActionStatus::Failed,
        ActionStatus::Expired,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            ActionStatus::Blocked => "BLOCKED",
            ActionStatus::Approved => "APPROVED",
            ActionStatus::Executed => "EXECUTED",
            ActionStatus::Failed => "FAILED",
            ActionStatus::Expired => "EXPIRED",
        }
    }

    /// The next state.
    pub fn go(self, to: ActionStatus) -> Result<ActionStatus, BadTransition> {
        use ActionStatus::*;
        match (self, to) {
            (Blocked, Approved | Failed) => Ok(to),
            (Approved, Executed | Failed | Expired) => Ok(to),
            (from, to) => Err(BadTransition { from: from.name(), to: to.name() }),
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ActionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text in the store that no status is written as.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a status")]
pub struct UnknownStatus(pub String);

impl TryFrom<String> for RunStatus {
    type Error = UnknownStatus;

    fn try_from(text: String) -> Result<RunStatus, UnknownStatus> {
        RunStatus::named(&text).ok_or(UnknownStatus(text))
    }
}

impl TryFrom<String> for ActionStatus {
    type Error = UnknownStatus;

    fn try_from(text: String) -> Result<ActionStatus, UnknownStatus> {
        ActionStatus::ALL.into_iter().find(|status| status.name() == text).ok_or(UnknownStatus(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_run_stays_finished() {
        let ends: Vec<_> = RunStatus::ALL.into_iter().filter(|status| status.is_final()).collect();
        assert_eq!(ends, [RunStatus::Completed, RunStatus::Failed]);
    }

    #[test]
    fn a_paused_run_goes_on_or_fails_and_nothing_else() {
        for paused in [RunStatus::PausedApproval, RunStatus::PausedConsent] {
            let next: Vec<_> = RunStatus::ALL.into_iter().filter(|to| paused.go(*to).is_ok()).collect();
            assert_eq!(next, [RunStatus::Running, RunStatus::Failed]);
        }
        let refusal = RunStatus::PausedApproval.go(RunStatus::Completed).unwrap_err();
        assert_eq!(refusal.to_string(), "invalid transition from PAUSED_APPROVAL to COMPLETED");
    }

    #[test]
    fn what_is_not_approved_is_never_executed() {
        let before: Vec<_> =
            ActionStatus::ALL.into_iter().filter(|from| from.go(ActionStatus::Executed).is_ok()).collect();
        assert_eq!(before, [ActionStatus::Approved]);
    }

    #[test]
    fn a_status_is_read_as_it_is_written() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::try_from(status.to_string()).unwrap(), status);
            assert_eq!(crate::app::json(&status), status.name());
        }
        for status in ActionStatus::ALL {
            assert_eq!(ActionStatus::try_from(status.to_string()).unwrap(), status);
            assert_eq!(crate::app::json(&status), status.name());
        }
    }
}
