//! Deciders: who may decide on a request, as the rule said that was in force when it was made.

use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};

use crate::auth::Identity;
use crate::policies::{ApprovalRule, Approvers};
use crate::store::ApprovalRow;

/// Who may decide on one request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deciders {
    /// Users and groups.
    #[serde(flatten)]
    pub approvers: Approvers,
    /// The rule names connectors: whoever decides there is one of the approvers, since only they are asked there.
    pub by_connector: bool,
}

impl Deciders {
    /// Those that a rule names.
    pub fn of(rule: &ApprovalRule) -> Deciders {
        Deciders { approvers: rule.approvers.clone(), by_connector: !rule.delivery.connectors.is_empty() }
    }

    /// Those of a request.
    pub fn read(request: &ApprovalRow) -> Deciders {
        serde_json::from_str(&request.deciders).unwrap_or_default()
    }

    /// Whoever decided at a connector, with what that says of them: where the rule names connectors, they are approvers.
    pub fn vouch(self, who: Identity) -> Identity {
        let Deciders { approvers: Approvers { users, groups, .. }, by_connector } = self;
        match by_connector {
            true => Identity { user: users.into_iter().next(), groups, ..who },
            false => who,
        }
    }

    /// An error unless this caller is one of them. That somebody may do everything else makes them no approver.
    pub fn admit(&self, who: &Identity) -> Result<(), ApiError> {
        match self.approvers.admit(who.user.as_deref(), &who.groups) {
            true => Ok(()),
            false => {
                let text =
                    format!("this API key may not decide on this request; its approvers are: {}", self.approvers);
                Err(ApiError::Forbidden(text))
            }
        }
    }
}
