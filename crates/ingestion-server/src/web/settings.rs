//! Settings: documented defaults, then the user's file, the environment and the flags, each over the one before.
//!
//! The default files are the schema: what they do not name does not exist, and values keep the type they have there.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// Layers of settings, merged so far; and the names of those that another server has and this one has not.
#[derive(Debug, Clone)]
pub struct Settings(Table, Vec<String>);

/// Why settings were refused, in words for the person who wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SettingsError {
    /// File and line, variable, or flag.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl Settings {
    /// The embedded default files, later ones over earlier ones.
    pub fn defaults(texts: &[&str]) -> Settings {
        let mut table = Table::new();
        for text in texts {
            merge(&mut table, text.parse().expect("the embedded defaults are TOML; a test reads them"));
        }
        Settings(table, Vec::new())
    }

    /// The same without some settings, which nobody can set then: they are another server's.
    pub fn without(mut self, keys: &[&str]) -> Settings {
        for key in keys {
            let (table, name) = key.split_once('.').expect("a setting of a table");
            let table = self.0.get_mut(table).and_then(Value::as_table_mut);
            table.and_then(|table| table.remove(name)).expect("a setting that there is");
            self.1.push((*key).into());
        }
        self
    }

    /// A user's file.
    pub fn file_at(&mut self, path: &Path) -> Result<(), SettingsError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError { place: name.clone(), problem: error.to_string() })?;
        self.file(&name, &text)
    }

    /// A user's file as text; `name` is how errors call it.
    pub fn file(&mut self, name: &str, text: &str) -> Result<(), SettingsError> {
        let error = |at: usize, problem: String| {
            let line = text[..at.min(text.len())].matches('\n').count() + 1;
            SettingsError { place: format!("{name}:{line}"), problem }
        };
        let complaint = |e: toml::de::Error| error(e.span().map_or(0, |s| s.start), e.message().to_string());
        let document = DeTable::parse(text).map_err(complaint)?;
        if let Some((span, problem)) = check(document.get_ref(), &self.0, "") {
            return Err(error(span.start, problem));
        }
        merge(&mut self.0, text.parse().map_err(complaint)?);
        Ok(())
    }

    /// Environment variables: `http.body_bytes` is `PREFIX_HTTP_BODY_BYTES`.
    ///
    /// A variable that only begins like ours may belong to somebody else and is left alone, unless it looks like a
    /// slip of the pen.
    pub fn environment(
        &mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), SettingsError> {
        let variable_of = |key: &str| format!("{prefix}_{}", key.replace('.', "_").to_ascii_uppercase());
        let names: Vec<(String, String)> =
            leaves(&self.0, "").into_iter().map(|key| (variable_of(&key), key)).collect();
        let elsewhere: Vec<String> = self.1.iter().map(|key| variable_of(key)).collect();
        let special = format!("{prefix}_API_KEY");
        for (variable, text) in variables {
            if !variable.starts_with(prefix) || variable == special {
                continue;
            }
            if elsewhere.contains(&variable) {
                return Err(SettingsError { place: variable, problem: "this is no setting of this server".into() });
            }
            match names.iter().find(|(name, _)| *name == variable) {
                Some((_, key)) => self.set(&variable, key, &text)?,
                None => {
                    let known = names.iter().map(|(name, _)| name.as_str()).chain([special.as_str()]);
                    if let Some(near) = nearest(&variable, known, 2) {
                        let problem = format!("unknown variable; did you mean {near}?");
                        return Err(SettingsError { place: variable, problem });
                    }
                }
            }
        }
        Ok(())
    }

    /// One value as text, for the setting `key`; `place` is how errors call its origin.
    pub fn set(&mut self, place: &str, key: &str, text: &str) -> Result<(), SettingsError> {
        let mut slot = self.0.get_mut(key.split('.').next().unwrap_or(key));
        for part in key.split('.').skip(1) {
            slot = slot.and_then(|value| value.as_table_mut()?.get_mut(part));
        }
        let slot = slot.expect("the key is one of ours");
        let value = match slot {
            Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
            Value::Float(_) => text.trim().parse().ok().map(Value::Float),
            Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
            _ => Some(Value::String(text.to_string())),
        };
        let problem = || format!("expected {}", kind(slot));
        *slot = value.ok_or_else(|| SettingsError { place: place.to_string(), problem: problem() })?;
        Ok(())
    }

    /// All of it, as a file that could be given back.
    pub fn text(&self) -> String {
        toml::to_string(&self.0).expect("settings are plain values")
    }

    /// The result, as the type that the defaults describe.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, SettingsError> {
        let problem = |e: toml::de::Error| SettingsError {
            place: "configuration".into(),
            problem: e.to_string().trim_end().replace('\n', " "),
        };
        Value::Table(self.0).try_into().map_err(problem)
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// The first key or value that the defaults do not allow.
fn check(table: &DeTable<'_>, defaults: &Table, path: &str) -> Option<(Range<usize>, String)> {
    let mut problems: Vec<_> = table
        .iter()
        .filter_map(|(key, value)| {
            let name = format!("{path}{}", key.get_ref());
            let Some(default) = defaults.get(key.get_ref().as_ref()) else {
                let near = nearest(key.get_ref(), defaults.keys().map(String::as_str), 3);
                let hint = near.map_or_else(String::new, |near| format!("; did you mean `{path}{near}`?"));
                return Some((key.span(), format!("unknown setting `{name}`{hint}")));
            };
            match (value.get_ref(), default) {
                (DeValue::Table(table), Value::Table(default)) => check(table, default, &format!("{name}.")),
                (DeValue::String(_), Value::String(_))
                | (DeValue::Integer(_), Value::Integer(_))
                | (DeValue::Float(_) | DeValue::Integer(_), Value::Float(_))
                | (DeValue::Boolean(_), Value::Boolean(_))
                | (DeValue::Array(_), Value::Array(_)) => None,
                (_, default) => Some((value.span(), format!("`{name}` should be {}", kind(default)))),
            }
        })
        .collect();
    problems.sort_by_key(|(span, _)| span.start);
    problems.into_iter().next()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
        Value::Datetime(_) => "a date",
    }
}

fn leaves(table: &Table, path: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(table) => names.extend(leaves(table, &format!("{path}{key}."))),
            _ => names.push(format!("{path}{key}")),
        }
    }
    names
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>, within: usize) -> Option<&'a str> {
    known.map(|name| (distance(word, name), name)).filter(|(far, _)| *far <= within).min().map(|(_, name)| name)
}

/// Letters to insert, delete or replace to get from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != *b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "listen = \"127.0.0.1:1\"\n[http]\nbody_bytes = 10\nverbose = false\n";

    fn layered(file: &str, variables: &[(&str, &str)]) -> Result<Table, SettingsError> {
        let mut settings = Settings::defaults(&[DEFAULTS]);
        settings.file("my.toml", file)?;
        settings.environment("X", variables.iter().map(|(k, v)| (k.to_string(), v.to_string())))?;
        Ok(settings.0)
    }

    fn refused(file: &str, variables: &[(&str, &str)]) -> String {
        layered(file, variables).unwrap_err().to_string()
    }

    #[test]
    fn each_layer_lies_over_the_one_before() {
        let table = layered("[http]\nbody_bytes = 20\nverbose = true", &[("X_HTTP_BODY_BYTES", "30")]).unwrap();
        assert_eq!(table["http"]["body_bytes"].as_integer(), Some(30));
        assert_eq!(table["http"]["verbose"].as_bool(), Some(true));
        assert_eq!(table["listen"].as_str(), Some("127.0.0.1:1"));
    }

    #[test]
    fn a_setting_that_is_another_servers_is_refused_and_not_overlooked() {
        let without = || Settings::defaults(&[DEFAULTS]).without(&["http.body_bytes"]);
        assert!(!without().text().contains("body_bytes"));
        let variable = [("X_HTTP_BODY_BYTES".to_string(), "30".to_string())];
        let refused = without().environment("X", variable).unwrap_err().to_string();
        assert_eq!(refused, "X_HTTP_BODY_BYTES: this is no setting of this server");
        let refused = without().file("my.toml", "[http]\nbody_bytes = 30\n").unwrap_err().to_string();
        assert!(refused.starts_with("my.toml:2: unknown setting `http.body_bytes`"), "{refused}");
    }

    #[test]
    fn a_misspelt_setting_is_refused_with_its_line_and_the_right_name() {
        let file = "\n[http]\nbody_byte = 20\n";
        assert_eq!(refused(file, &[]), "my.toml:3: unknown setting `http.body_byte`; did you mean `http.body_bytes`?");
        assert_eq!(refused("colour = 1", &[]), "my.toml:1: unknown setting `colour`");
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_its_line() {
        assert_eq!(refused("[http]\nbody_bytes = \"1\"", &[]), "my.toml:2: `http.body_bytes` should be a whole number");
        assert_eq!(refused("", &[("X_HTTP_BODY_BYTES", "ten")]), "X_HTTP_BODY_BYTES: expected a whole number");
        assert!(refused("listen = ", &[]).starts_with("my.toml:1: "));
    }

    #[test]
    fn a_misspelt_variable_is_refused_and_a_foreign_one_is_not_ours() {
        assert_eq!(refused("", &[("X_LISTN", "a")]), "X_LISTN: unknown variable; did you mean X_LISTEN?");
        assert!(layered("", &[("X_SOMETHING_ELSE", "a"), ("X_API_KEY", "k")]).is_ok());
    }
}
