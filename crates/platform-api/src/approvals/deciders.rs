//! Deciders: who may decide on a request, as the rule and the tool said that were in force when it was made.

use std::fmt;

use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};

use crate::auth::Identity;
use crate::policies::{ApprovalRule, Approvers, Membership};
use crate::store::ApprovalRow;
use crate::tools::ToolRecord;

/// Who may decide on one request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deciders {
    /// Users and groups, as the rule says.
    #[serde(flatten)]
    pub approvers: Approvers,
    /// The rule names connectors: whoever decides there is one of its approvers, since only they are asked there.
    pub by_connector: bool,
    /// The group of which whoever decides must be a member whatever the rule says, as the tool's owner wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Deciders {
    /// Those that a rule names, of the group that the tool names.
    pub fn of(rule: Option<&ApprovalRule>, tool: Option<&ToolRecord>) -> Deciders {
        let settings = tool.and_then(|tool| tool.spec.governance.approval.as_ref());
        let group = settings.map(|settings| settings.group.trim()).filter(|group| !group.is_empty());
        Deciders {
            approvers: rule.map(|rule| rule.approvers.clone()).unwrap_or_default(),
            by_connector: rule.is_some_and(|rule| !rule.delivery.connectors.is_empty()),
            group: group.map(str::to_string),
        }
    }

    /// Those of a request.
    pub fn read(request: &ApprovalRow) -> Deciders {
        serde_json::from_str(&request.deciders).unwrap_or_default()
    }

    /// Whoever decided at a connector, with what that says of them: where the rule names connectors, they are its
    /// approvers. Members of the tool's group they are only where each of the rule's approvers is.
    pub fn vouch(&self, who: Identity) -> Identity {
        if !self.by_connector {
            return who;
        }
        let Approvers { users, groups, membership } = &self.approvers;
        let are_in_each = users.is_empty() && (groups.len() == 1 || *membership == Membership::All);
        let of_rule = groups.iter().filter(|group| are_in_each || self.group.as_ref() != Some(*group));
        let groups = who.groups.iter().chain(of_rule).cloned().collect();
        Identity { user: users.first().cloned().or(who.user), groups, ..who }
    }

    /// An error unless this caller is one of them. That somebody may do everything else makes them no approver.
    pub fn admit(&self, who: &Identity) -> Result<(), ApiError> {
        let is_of_group = self.group.as_ref().is_none_or(|group| who.groups.contains(group));
        match is_of_group && self.approvers.admit(who.user.as_deref(), &who.groups) {
            true => Ok(()),
            false => Err(ApiError::Forbidden(format!("only its approvers may decide on this request: {self}"))),
        }
    }
}

impl fmt::Display for Deciders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.group, self.approvers.are_all()) {
            (None, _) => self.approvers.fmt(f),
            (Some(group), true) => write!(f, "members of the group {group}"),
            (Some(group), false) => {
                write!(f, "{}; of them only members of the group {group}, as the tool demands", self.approvers)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str, groups: &[&str]) -> Identity {
        let groups = groups.iter().map(ToString::to_string).collect();
        Identity { user: Some(user.into()), groups, ..Identity::platform("default") }
    }

    #[test]
    fn a_tools_group_is_demanded_besides_what_a_rule_says() {
        let deciders = |users: &str, groups: &str, by_connector, group: &str| {
            let names = |text: &str| text.split_whitespace().map(String::from).collect();
            let approvers = Approvers { users: names(users), groups: names(groups), ..Approvers::default() };
            Deciders { approvers, by_connector, group: Some(group.to_string()).filter(|group| !group.is_empty()) }
        };
        for (deciders, who, admitted) in [
            (deciders("", "", false, ""), who("ann", &[]), true),
            (deciders("", "", false, "ops"), who("ann", &[]), false),
            (deciders("", "", false, "ops"), who("ops", &["dev"]), false),
            (deciders("", "", false, "ops"), who("ann", &["dev", "ops"]), true),
            (deciders("ann", "", false, "ops"), who("ann", &[]), false),
            (deciders("ann", "", false, "ops"), who("bob", &["ops"]), false),
            (deciders("ann", "", false, "ops"), who("ann", &["ops"]), true),
            // A connector of the rule says of whoever decides there what the rule says, and no more.
            (deciders("", "dev", true, ""), who("bob", &[]), true),
            (deciders("", "dev", true, "ops"), who("bob", &[]), false),
            (deciders("", "dev", true, "ops"), who("bob", &["ops"]), true),
            (deciders("", "ops", true, "ops"), who("bob", &[]), true),
            (deciders("", "dev ops", true, "ops"), who("bob", &[]), false),
            (deciders("ann", "ops", true, "ops"), who("bob", &[]), false),
            (deciders("", "", true, "ops"), who("bob", &[]), false),
        ] {
            assert_eq!(deciders.admit(&deciders.vouch(who.clone())).is_ok(), admitted, "{deciders:?} {who:?}");
        }
    }
}
