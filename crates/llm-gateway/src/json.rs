//! Json: reading fields whose types are somebody else's promise.

use serde_json::{Map, Number, Value};

use crate::conversation::BadPrompt;

/// A value inside a request, with the place where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    /// None where nothing or `null` stands.
    pub value: Option<&'a Value>,
    pub pointer: String,
}

impl<'a> Field<'a> {
    pub fn root(value: &'a Value) -> Field<'a> {
        Field { value: Some(value), pointer: String::new() }
    }

    pub fn get(&self, key: &str) -> Field<'a> {
        let value = self.value.and_then(|value| value.get(key)).filter(|value| !value.is_null());
        Field { value, pointer: format!("{}/{key}", self.pointer) }
    }

    pub fn is_some(&self) -> bool {
        self.value.is_some()
    }

    /// What kind of thing it says it is.
    pub fn kind(&self) -> &'a str {
        self.get("type").value.and_then(Value::as_str).unwrap_or_default()
    }

    pub fn wrong(&self, expected: &str) -> BadPrompt {
        let name = self.pointer.trim_start_matches('/').replace('/', ".");
        BadPrompt::new(self.pointer.clone(), format!("{name} must be {expected}"))
    }

    /// A refusal of what the provider has no words for.
    pub fn unsupported(&self, what: &str) -> BadPrompt {
        BadPrompt::new(self.pointer.clone(), format!("{what} cannot be sent to this model's provider"))
    }

    pub fn text(&self) -> Result<Option<&'a str>, BadPrompt> {
        self.value.map(|value| value.as_str().ok_or_else(|| self.wrong("a string"))).transpose()
    }

    pub fn string(&self) -> Result<String, BadPrompt> {
        self.text()?.map(str::to_string).ok_or_else(|| self.wrong("a string"))
    }

    pub fn number(&self) -> Result<Option<Number>, BadPrompt> {
        let number = |value: &Value| value.as_number().cloned().ok_or_else(|| self.wrong("a number"));
        self.value.map(number).transpose()
    }

    pub fn count(&self) -> Result<Option<u64>, BadPrompt> {
        let whole = |value: &'a Value| value.as_u64().ok_or_else(|| self.wrong("a whole number"));
        self.value.map(whole).transpose()
    }

    pub fn flag(&self) -> Result<Option<bool>, BadPrompt> {
        self.value.map(|value| value.as_bool().ok_or_else(|| self.wrong("true or false"))).transpose()
    }

    /// The items of a list; none where nothing stands.
    pub fn items(&self) -> Result<Vec<Field<'a>>, BadPrompt> {
        let Some(value) = self.value else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| self.wrong("a list"))?;
        let item = |(index, value)| Field { value: Some(value), pointer: format!("{}/{index}", self.pointer) };
        Ok(list.iter().enumerate().map(item).collect())
    }

    /// One text or a list of them.
    pub fn texts(&self) -> Result<Vec<String>, BadPrompt> {
        match self.value {
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            _ => self.items()?.iter().map(Field::string).collect(),
        }
    }
}

/// Text in a provider's answer; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A count in a provider's answer; zero where there is none.
pub(crate) fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A list in a provider's answer.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An object that is made field by field; what is absent stays out.
#[derive(Debug, Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Object {
        self.0.insert(key.into(), value.into());
        self
    }

    pub fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Object {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Lists that hold something.
    pub fn list(self, key: &str, values: Vec<Value>) -> Object {
        match values.is_empty() {
            true => self,
            false => self.with(key, values),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object.0)
    }
}
