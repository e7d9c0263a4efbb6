//! Credentials: a corpus that is made apart from the analyzer's formats, and the laws of what is reported.

use analyzer_core::{Analysis, Options, Sources, analyze};
use test_bench::secrets::{Finding, Sample, Score, corpus};

fn analysis(sample: &Sample) -> Analysis {
    let sources = Sources::new([(sample.file.as_str(), sample.text.as_str())]).expect("a clean path");
    analyze(&sources, &Options::default())
}

fn findings(analysis: &Analysis) -> Vec<Finding> {
    let said = |provider: &Option<String>| provider.clone().unwrap_or_default();
    analysis.secrets.iter().map(|secret| Finding { line: secret.line, said: said(&secret.provider) }).collect()
}

#[test]
fn credentials_of_every_kind_are_found_in_every_context_and_look_alikes_are_none() {
    let mut score = Score::default();
    let mut wrong = Vec::new();
    for sample in corpus(20_261_127, 20, 5) {
        let analysis = analysis(&sample);
        let (before, said) = (score_of(&score), findings(&analysis));
        score.add(&sample, &said);
        if score_of(&score) != before || said.len() > 1 {
            let why: Vec<_> = analysis.secrets.iter().map(|s| (&s.kind, &s.provider, s.line, &s.reasons)).collect();
            wrong.push(format!("[{} in {}] {why:?}\n{}", sample.kind, sample.context, sample.text));
        }
    }
    let figures = format!("precision, recall, F1, hard, provider, false alarms\n{score}");
    let bars = score.precision() >= 0.99 && score.recall() >= 0.99 && score.hard_recall() >= 0.99;
    assert!(bars && score.provider() >= 0.99, "{figures}\n{}", wrong.join("\n"));
}

/// What is wrong so far: misses, false alarms, wrong providers.
fn score_of(score: &Score) -> (usize, usize, usize) {
    let missed = |(all, right): (usize, usize)| all - right;
    (missed(score.secrets), score.alarms(), missed(score.providers))
}
