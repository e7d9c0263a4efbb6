//! Members: which groups those are of who decide at a connector, where that does not say it itself.

use std::collections::BTreeMap;

use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names;

/// Whoever is asked at the connector.
const ANYBODY: &str = "*";

/// Before the ids of users of Slack.
const SLACK: &str = "slack:";

/// Groups, and members of one.
const MOST_GROUPS: usize = 100;
const MOST_MEMBERS: usize = 1_000;

/// Members by group, as the connector calls its users; `*` for whoever is asked there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = BTreeMap<String, Vec<String>>)]
pub struct Members(BTreeMap<String, Vec<String>>);

impl Members {
    /// An error for names that nobody has; `pointer` is where they were sent.
    pub fn checked(self, pointer: &str) -> Result<Members, ApiError> {
        if self.0.len() > MOST_GROUPS {
            return Err(ApiError::field(format!("group_members must be at most {MOST_GROUPS} groups"), pointer));
        }
        let mut checked = BTreeMap::new();
        for (group, members) in self.0 {
            let at = format!("{pointer}/{}", group.replace('~', "~0").replace('/', "~1"));
            if members.len() > MOST_MEMBERS {
                return Err(ApiError::field(format!("a group must have at most {MOST_MEMBERS} members here"), at));
            }
            let of = |(index, member): (usize, &String)| names::person(member, &format!("{at}/{index}"));
            let members = members.iter().enumerate().map(of).collect::<Result<_, _>>()?;
            checked.insert(names::person(&group, &at)?, members);
        }
        Ok(Members(checked))
    }

    /// The groups of whoever decided.
    pub fn groups_of(&self, approver: &str) -> impl Iterator<Item = String> {
        let is_one = move |member: &String| {
            member == ANYBODY || member == approver || approver.strip_prefix(SLACK) == Some(member.as_str())
        };
        let has = self.0.iter().filter(move |(_, members)| members.iter().any(is_one));
        has.map(|(group, _)| group.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(value: serde_json::Value) -> Members {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_member_is_whom_the_connector_calls_so_or_anybody() {
        let members = members(json!({"finance": ["U1", "slack:U2"], "ops": ["*"], "none": []}));
        for (approver, groups) in [
            ("slack:U1", vec!["finance", "ops"]),
            ("slack:U2", vec!["finance", "ops"]),
            ("slack:U3", vec!["ops"]),
            ("U2", vec!["ops"]),
        ] {
            assert_eq!(members.groups_of(approver).collect::<Vec<_>>(), groups, "{approver}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_refused_where_it_stands() {
        for (value, pointer) in
            [(json!({"": []}), "/group_members/"), (json!({"a/b": ["x", ""]}), "/group_members/a~1b/1")]
        {
            let refused = members(value).checked("/group_members").unwrap_err();
            let ApiError::Invalid { errors, .. } = refused else { panic!("{refused}") };
            assert_eq!(errors[0].pointer, pointer);
        }
    }
}
