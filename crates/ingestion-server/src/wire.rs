//! Wire: what is sent to the analyzer and what it answers, as JSON spells it.

use std::fmt;
use std::sync::Arc;

use analyzer_core::Analysis;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::web::ApiError;

/// `{"files": {…}}`; other keys are of no concern here.
#[derive(Debug, Deserialize)]
pub struct Submission {
    /// The files, checked by [`Submission::files`].
    #[serde(default)]
    files: Option<Files>,
}

/// File names and texts in the order they were sent, repetitions included: the door for sources refuses those.
#[derive(Debug)]
pub struct Files(pub Vec<(String, Arc<str>)>);

/// `{"projects": [{"id": …, "files": {…}}, …]}`
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// The projects.
    #[serde(default)]
    pub projects: Option<Vec<Project>>,
}

/// One project of a batch.
#[derive(Debug, Deserialize)]
pub struct Project {
    /// How its answer is marked; its position when absent.
    #[serde(default)]
    pub id: Option<ProjectId>,
    /// Its files, checked by [`Submission::files`].
    #[serde(default)]
    files: Option<Files>,
}

impl From<Project> for Submission {
    fn from(project: Project) -> Submission {
        Submission { files: project.files }
    }
}

/// The caller's mark of a project.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ProjectId {
    /// A number, such as the position.
    Number(u64),
    /// A name.
    Name(String),
}

const EXAMPLE: &str = r#"send {"files": {"agent.py": "<its source text>"}}"#;

impl Submission {
    /// The files, of which there is at least one.
    pub fn files(self) -> Result<Files, ApiError> {
        match self.files {
            Some(files) if !files.0.is_empty() => Ok(files),
            Some(_) => Err(ApiError::BadRequest(format!("files is empty; {EXAMPLE}"))),
            None => Err(ApiError::BadRequest(format!("files is required; {EXAMPLE}"))),
        }
    }
}

impl Files {
    /// Bytes of all texts.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(_, text)| text.len()).sum()
    }
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Files, D::Error> {
        deserializer.deserialize_any(FilesVisitor)
    }
}

struct FilesVisitor;

impl<'de> Visitor<'de> for FilesVisitor {
    type Value = Files;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files to be an object of file names and source texts; {EXAMPLE}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
        let mut files = Vec::new();
        while let Some(path) = map.next_key::<String>()? {
            let text = map.next_value_seed(TextOf(&path))?;
            files.push((path, text));
        }
        Ok(Files(files))
    }

    // Serde would repeat the text in its error.
    fn visit_str<E: Error>(self, _: &str) -> Result<Files, E> {
        Err(E::invalid_type(Unexpected::Other("a string"), &self))
    }
}

/// The text of the file with this name.
struct TextOf<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for TextOf<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for TextOf<'_> {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.0.chars().take(80).collect();
        write!(f, "the text of {name:?} in files to be a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }
}

/// The analysis, all keys always present.
pub fn analysis(analysis: &Analysis) -> Bytes {
    serde_json::to_vec(analysis).expect("plain data is always JSON").into()
}

/// What to install, and where the program starts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Requirements {
    /// Packages as specifiers.
    requirements: Vec<String>,
    /// The file that starts the program; empty when none could.
    entry_point: String,
}

/// How a submission is described.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `Submission` reads")]
pub struct SubmissionSchema {
    /// File names and source texts.
    files: std::collections::BTreeMap<String, String>,
}

/// How a batch is described.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `Batch` reads")]
pub struct BatchSchema {
    /// Each a submission with an `id` of the caller's own; what is wrong with one is said in its line.
    #[schema(value_type = Vec<Value>)]
    projects: Vec<()>,
}

/// How an analysis is described; each object holds more than what is named here, as evidence.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `Analysis` writes")]
pub struct AnalysisSchema {
    /// The same files give the same id.
    id: String,
    /// Services and functions the agent may call: `name`, `file`, `line`, `base_url`, `detected_url_pattern`, …
    #[schema(value_type = Vec<Object>)]
    tools: Vec<()>,
    /// `provider` and `model`.
    #[schema(value_type = Vec<Object>)]
    model_providers: Vec<()>,
    /// `role`, `model`, `variable_name`, `file`, `line`, …
    #[schema(value_type = Vec<Object>)]
    model_usages: Vec<()>,
    /// `type`, `file`, `line`, `severity`, …, never the value.
    #[schema(value_type = Vec<Object>)]
    secrets: Vec<()>,
    /// External hosts that the code connects to.
    outbound_destinations: Vec<String>,
    /// Packages to install.
    detected_requirements: Vec<String>,
    /// The file that starts the program.
    entry_point: String,
    /// The literal system prompt of the code.
    system_prompt_suggestion: String,
}

/// `{"requirements": […], "entry_point": "…"}`
pub fn requirements(analysis: &Analysis) -> Bytes {
    let requirements = Requirements {
        requirements: analysis.detected_requirements.clone(),
        entry_point: analysis.entry_point.clone(),
    };
    serde_json::to_vec(&requirements).expect("plain data is always JSON").into()
}

/// One line of a batch's answer; the analysis is already JSON and is copied as it is.
pub fn line(id: &ProjectId, outcome: Result<&[u8], &ApiError>) -> Bytes {
    let mut line = Vec::with_capacity(64 + outcome.map_or(128, <[u8]>::len));
    line.extend_from_slice(b"{\"id\":");
    line.extend(serde_json::to_vec(id).expect("plain data is always JSON"));
    match outcome {
        Ok(analysis) => {
            line.extend_from_slice(b",\"analysis\":");
            line.extend_from_slice(analysis);
        }
        Err(error) => {
            line.extend_from_slice(b",\"error\":");
            line.extend(serde_json::to_vec(&error.to_string()).expect("plain data is always JSON"));
        }
    }
    line.extend_from_slice(b"}\n");
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::body::json;

    fn complaint(body: &str) -> String {
        json::<Submission>(body.as_bytes()).and_then(Submission::files).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_submission_is_told_what_to_send() {
        let send = r#"send {"files": {"agent.py": "<its source text>"}}"#;
        assert_eq!(complaint("{}"), format!("files is required; {send}"));
        assert_eq!(complaint(r#"{"files": null}"#), format!("files is required; {send}"));
        assert_eq!(complaint(r#"{"files": {}}"#), format!("files is empty; {send}"));
        assert!(complaint(r#"{"files": ["a.py"]}"#).contains(send));
        assert!(complaint(r#"{"files": {"a.py": 3}}"#).contains(r#"the text of "a.py" in files to be a string"#));
    }

    #[test]
    fn source_text_is_not_repeated_in_errors() {
        for body in [r#"{"files": "hush"}"#, r#"{"files": {"a.py": {"hush": 1}}}"#, r#"{"files": {"a.py": ["hush"]}}"#]
        {
            assert!(!complaint(body).contains("hush"), "{}", complaint(body));
        }
    }

    #[test]
    fn other_keys_are_of_no_concern() {
        let body = r#"{"name": "x", "files": {"b.py": "1", "a.py": "2"}, "deep": [[{}]]}"#;
        let files = json::<Submission>(body.as_bytes()).and_then(Submission::files).unwrap();
        assert_eq!(files.0.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["b.py", "a.py"]);
    }
}
