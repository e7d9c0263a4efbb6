//! Outputs of `check`: one file each, all made of the same report.

mod agent;
mod concise;
pub mod cyclonedx;
mod full;
mod github;
mod gitlab;
pub mod graph;
mod html;
mod json;
mod junit;
mod markdown;
mod sarif;

use std::borrow::Cow;
use std::path::PathBuf;

use analyzer_core::lint::{Excerpts, Report};

use crate::error::Error;
use crate::project::Project;
use crate::report::ReportV1;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Full,
    Concise,
    Json,
    Jsonl,
    Sarif,
    Github,
    Gitlab,
    Junit,
    Markdown,
    Html,
    Agent,
}

/// All formats by name.
pub const FORMATS: [(&str, Format); 11] = [
    ("full", Format::Full),
    ("concise", Format::Concise),
    ("json", Format::Json),
    ("jsonl", Format::Jsonl),
    ("sarif", Format::Sarif),
    ("github", Format::Github),
    ("gitlab", Format::Gitlab),
    ("junit", Format::Junit),
    ("markdown", Format::Markdown),
    ("html", Format::Html),
    ("agent", Format::Agent),
];

/// A format and where it goes; to standard output when absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The format.
    pub format: Format,
    /// The file.
    pub file: Option<PathBuf>,
}

impl Output {
    /// `sarif=report.sarif`
    pub fn parse(text: &str) -> Result<Output, Error> {
        let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file.into())));
        let names = FORMATS.iter().map(|(own, _)| *own);
        let Some((_, format)) = FORMATS.iter().find(|(own, _)| *own == name) else {
            let near = analyzer_core::lint::nearest(name, names.clone());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let all = names.collect::<Vec<_>>().join(", ");
            return Err(Error::Usage(format!("there is no output `{name}`{near} (one of {all})")));
        };
        Ok(Output { format: *format, file })
    }
}

/// What outputs are made of.
pub struct Checked<'a> {
    /// The project.
    pub project: &'a Project,
    /// The analysis and findings, for outputs that show more than the report.
    pub report: &'a Report,
    /// The report.
    pub v1: &'a ReportV1,
}

impl Checked<'_> {
    /// The report for services that know a repository and not where the command ran in it.
    fn counted_from_repository(&self) -> Cow<'_, ReportV1> {
        match self.project.way.as_str() {
            "" => Cow::Borrowed(self.v1),
            way => Cow::Owned(self.v1.clone().below(way)),
        }
    }

    fn excerpts(&self) -> &Excerpts {
        &self.report.excerpts
    }

    /// The text of a format.
    pub fn render(&self, format: Format, colour: bool) -> String {
        match format {
            Format::Full => full::render(self, colour),
            Format::Concise => concise::render(self.v1),
            Format::Json => json::pretty(self.v1),
            Format::Jsonl => json::lines(self.v1),
            Format::Sarif => sarif::render(&self.counted_from_repository()),
            Format::Github => github::render(&self.counted_from_repository()),
            Format::Gitlab => gitlab::render(&self.counted_from_repository()),
            Format::Junit => junit::render(self.v1),
            Format::Markdown => markdown::render(self),
            Format::Html => html::render(self),
            Format::Agent => agent::render(self.v1),
        }
    }
}
