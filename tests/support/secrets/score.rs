//! What a scanner found in the corpus, as figures: the same for ours and for others.

use std::collections::BTreeMap;
use std::fmt;

use super::Sample;

/// Something that a scanner reports in one file.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Line, from 1.
    pub line: u32,
    /// Who it says issued the credential: a provider's id, the name of a rule.
    pub said: String,
}

/// The figures.
#[derive(Debug, Default)]
pub struct Score {
    /// Credentials, and those of them that were found.
    pub secrets: (usize, usize),
    /// The same in hard contexts.
    pub hard: (usize, usize),
    /// Credentials that are somebody's, and those reported as theirs.
    pub providers: (usize, usize),
    /// Look-alikes.
    pub look_alikes: usize,
    /// Reports where nothing is, by the kind of the file's look-alike or `beside` a credential.
    pub false_alarms: BTreeMap<&'static str, usize>,
    /// Found and all, by context.
    pub contexts: BTreeMap<&'static str, (usize, usize)>,
    /// Found and all, by kind.
    pub kinds: BTreeMap<&'static str, (usize, usize)>,
}

/// Other words for providers in the names of rules.
const ALSO: &[(&str, &[&str])] = &[
    ("atlassian", &["jira", "atlas"]),
    ("azure", &["microsoft", "entra"]),
    ("google", &["gcp", "gemini"]),
    ("google-cloud", &["gcp", "google"]),
    ("npm", &["npmjs"]),
    ("postgresql", &["postgres"]),
    ("wandb", &["weightsandbiases", "weightsbiases"]),
    ("zai", &["zhipu"]),
];

impl Score {
    /// Counts what was reported in one file of the corpus.
    pub fn add(&mut self, sample: &Sample, findings: &[Finding]) {
        let Some(expected) = &sample.secret else {
            self.look_alikes += 1;
            *self.false_alarms.entry(sample.kind).or_default() += findings.len();
            return;
        };
        let (first, last) = expected.lines;
        let there: Vec<&Finding> = findings.iter().filter(|found| (first..=last).contains(&found.line)).collect();
        let found = usize::from(!there.is_empty());
        *self.false_alarms.entry("beside").or_default() += findings.len() - there.len();
        let count = |(all, right): &mut (usize, usize), part: usize| {
            *all += 1;
            *right += part;
        };
        count(&mut self.secrets, found);
        count(self.contexts.entry(sample.context).or_default(), found);
        count(self.kinds.entry(sample.kind).or_default(), found);
        if sample.hard {
            count(&mut self.hard, found);
        }
        if !expected.provider.is_empty() {
            let right = there.iter().any(|finding| names(expected.provider, &finding.said));
            count(&mut self.providers, usize::from(right));
        }
    }

    /// Reports where nothing is.
    pub fn alarms(&self) -> usize {
        self.false_alarms.values().sum()
    }

    /// Share of the reports that are right.
    pub fn precision(&self) -> f64 {
        share(self.secrets.1, self.secrets.1 + self.alarms())
    }

    /// Share of the credentials that were found.
    pub fn recall(&self) -> f64 {
        share(self.secrets.1, self.secrets.0)
    }

    /// The harmonic mean of both.
    pub fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        2.0 * precision * recall / (precision + recall).max(f64::EPSILON)
    }

    /// Share of those in hard contexts.
    pub fn hard_recall(&self) -> f64 {
        share(self.hard.1, self.hard.0)
    }

    /// Share of the credentials that are somebody's which were reported as theirs.
    pub fn provider(&self) -> f64 {
        share(self.providers.1, self.providers.0)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.3} {:>7.3} {:>7.3} {:>7.3} {:>9.3} {:>7}",
            self.precision(),
            self.recall(),
            self.f1(),
            self.hard_recall(),
            self.provider(),
            self.alarms()
        )
    }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The name of a rule, or a provider's id, means this provider.
fn names(provider: &str, said: &str) -> bool {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let said = plain(said);
    let also = ALSO.iter().find(|(id, _)| *id == provider).map_or(&[][..], |(_, also)| also);
    std::iter::once(&provider).chain(also).any(|name| said.contains(&plain(name)))
}
