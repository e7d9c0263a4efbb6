//! Which rules are active, and how bad what they find is.

use std::collections::{BTreeMap, BTreeSet};

use super::Severity;
use super::rules::{RULES, Rule, find};

/// The active rules: by default all that are not pedantic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSet {
    pedantic: bool,
    only: Option<BTreeSet<&'static str>>,
    without: BTreeSet<&'static str>,
    severities: BTreeMap<&'static str, Severity>,
}

/// Why a choice of rules was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No rule, code or group of that name.
    #[error("there is no rule `{name}`{}", .near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// As written.
        name: String,
        /// The nearest name there is.
        near: Option<&'static str>,
    },
    /// Nothing would be checked.
    #[error("no rule is left to check; select at least one")]
    Empty,
}

impl RuleSet {
    /// With the pedantic rules.
    pub fn pedantic(mut self) -> RuleSet {
        self.pedantic = true;
        self
    }

    /// Only these: names, codes, beginnings of codes (`AL1`), groups (`network`) or `all`.
    pub fn select<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Result<RuleSet, SelectError> {
        for name in names {
            let rules = matching(name.as_ref())?;
            self.only.get_or_insert_default().extend(rules.iter().map(|rule| rule.name));
        }
        self.checked()
    }

    /// Without these.
    pub fn ignore<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Result<RuleSet, SelectError> {
        for name in names {
            self.without.extend(matching(name.as_ref())?.iter().map(|rule| rule.name));
        }
        self.checked()
    }

    /// What these rules find is as bad as this.
    pub fn with_severity(mut self, name: &str, severity: Severity) -> Result<RuleSet, SelectError> {
        self.severities.extend(matching(name)?.iter().map(|rule| (rule.name, severity)));
        Ok(self)
    }

    fn checked(self) -> Result<RuleSet, SelectError> {
        if self.active().next().is_none() { Err(SelectError::Empty) } else { Ok(self) }
    }

    /// Whether a rule is checked.
    pub fn is_active(&self, rule: &Rule) -> bool {
        let chosen = match &self.only {
            Some(only) => only.contains(rule.name),
            None => self.pedantic || !rule.pedantic,
        };
        chosen && !self.without.contains(rule.name)
    }

    /// The active rules.
    pub fn active(&self) -> impl Iterator<Item = &'static Rule> + '_ {
        RULES.iter().filter(|rule| self.is_active(rule))
    }

    /// How bad what a rule finds is, where that was chosen.
    pub fn severity(&self, rule: &Rule) -> Option<Severity> {
        self.severities.get(rule.name).copied()
    }
}

fn matching(name: &str) -> Result<Vec<&'static Rule>, SelectError> {
    if let Some(rule) = find(name) {
        return Ok(vec![rule]);
    }
    let prefix = name.to_ascii_uppercase();
    let of_group = |rule: &&Rule| {
        name == "all" || rule.group() == name || prefix.starts_with("AL") && rule.code.starts_with(&prefix)
    };
    let rules: Vec<&Rule> = RULES.iter().filter(of_group).collect();
    match rules.is_empty() {
        true => Err(SelectError::Unknown {
            name: name.chars().take(80).collect(),
            near: nearest(name, RULES.iter().map(|rule| rule.name)),
        }),
        false => Ok(rules),
    }
}

/// The name that differs least, if it differs little: what somebody meant who misspelt it.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name: String = name.chars().take(80).collect();
    let far = names.into_iter().map(|own| (distance(&name, own), own));
    far.filter(|(far, own)| *far <= own.len() / 3 + 1).min().map(|(_, own)| own)
}

/// Letters to change, add or leave out.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let change = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_chosen_by_name_code_prefix_and_group() {
        let names = |set: RuleSet| set.active().map(|rule| rule.name).collect::<Vec<_>>();
        let one = RuleSet::default().select(["AL201"]).unwrap();
        assert_eq!(names(one), ["plain-http"]);
        let group = RuleSet::default().select(["network"]).unwrap();
        assert_eq!(names(group.clone()), names(RuleSet::default().select(["al2"]).unwrap()));
        assert!(!names(group.ignore(["plain-http"]).unwrap()).contains(&"plain-http"));
        assert!(names(RuleSet::default().pedantic()).len() > names(RuleSet::default()).len());
    }

    #[test]
    fn a_choice_is_never_empty_and_never_misspelt() {
        let empty = RuleSet::default().select(["AL201"]).unwrap().ignore(["network"]);
        assert_eq!(empty, Err(SelectError::Empty));
        assert_eq!(RuleSet::default().ignore(["all"]), Err(SelectError::Empty));
        let slip = RuleSet::default().ignore(["hardcoded-secrets"]).unwrap_err();
        assert_eq!(slip.to_string(), "there is no rule `hardcoded-secrets`; did you mean `hardcoded-secret`?");
    }
}
