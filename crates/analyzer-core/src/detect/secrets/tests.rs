use super::corpus::{Rng, of_format};
use super::*;
use crate::{facts, lang};
use proptest::prelude::*;

fn facts_of(sources: &Sources) -> Vec<Arc<facts::FileFacts>> {
    sources.files().iter().map(|f| Arc::new(lang::read(&f.text, f.language, None).expect("nobody cancels"))).collect()
}

/// Everything found in these files.
pub fn found(files: &[(&str, &str)]) -> Vec<Secret> {
    let sources = Sources::new(files.iter().copied()).expect("paths are clean");
    detect(&sources, &facts_of(&sources), Formats::builtin(), b"key")
}

/// Type, provider and line of each.
fn short(file: &str, text: &str) -> Vec<String> {
    let line = |s: &Secret| format!("{} {} {}", s.kind, s.provider.as_deref().unwrap_or("-"), s.line);
    found(&[(file, text)]).iter().map(line).collect()
}

fn file_name(extension: &str) -> String {
    match extension {
        "env" => ".env".into(),
        "dockerfile" => "Dockerfile".into(),
        other => format!("agent.{other}"),
    }
}

#[test]
fn every_embedded_file_loads() {
    let errors: Vec<String> =
        formats::embedded().filter_map(|(path, text)| formats::parse(path, text).err()).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn a_misspelt_field_and_a_wrong_shape_are_refused_with_file_and_line() {
    let head = "id = \"acme\"\nname = \"A\"\nsource = \"s\"\n";
    let error = formats::parse("x/acme.toml", &format!("{head}host = [\"a\"]\n")).unwrap_err().to_string();
    assert!(error.starts_with("x/acme.toml:4: ") && error.contains("host"), "{error}");
    let error = formats::parse("x/acme.toml", &format!("{head}[[key]]\nshape = \"a[\"\n")).unwrap_err().to_string();
    assert!(error.starts_with("x/acme.toml:5: "), "{error}");
}

#[test]
fn every_entry_has_an_example_and_a_counter_example() {
    let formats = Formats::builtin();
    let bare: Vec<&str> = formats
        .issuers
        .iter()
        .filter(|issuer| issuer.finds.is_empty() || issuer.passes.is_empty() || !issuer.source.starts_with("https://"))
        .map(|issuer| issuer.id.as_str())
        .collect();
    assert!(bare.is_empty(), "{bare:?}");
}

/// The examples of the entries, with tokens made now: a committed one would be reported by every other scanner.
#[test]
fn entries_find_their_examples_and_pass_their_counter_examples() {
    let formats = Formats::builtin();
    let mut wrong = Vec::new();
    for (index, issuer) in formats.issuers.iter().enumerate() {
        let id = issuer.opens.as_ref().unwrap_or(&issuer.id);
        for seed in 0..3 {
            let mut rng = Rng(seed + 1);
            for (extension, text) in issuer.finds.iter().flat_map(|(e, texts)| texts.iter().map(move |t| (e, t))) {
                let mut text = text.clone();
                for (number, format) in formats.of_issuer(index).iter().enumerate() {
                    let hole = if number == 0 { "{key}".to_owned() } else { format!("{{key{}}}", number + 1) };
                    if text.contains(&hole) {
                        text = text.replace(&hole, &of_format(formats, *format, &mut rng));
                    }
                }
                let got = found(&[(&file_name(extension), &text)]);
                if got.len() != 1 || got[0].provider.as_ref() != Some(id) {
                    let got: Vec<String> = got.iter().map(|s| format!("{} {:?} {:?}", s.kind, s.provider, s.reasons)).collect();
                    wrong.push(format!("{}: {text}\n    found {got:?}", issuer.id));
                }
            }
        }
        for (extension, text) in issuer.passes.iter().flat_map(|(e, texts)| texts.iter().map(move |t| (e, t))) {
            let got = short(&file_name(extension), text);
            if !got.is_empty() {
                wrong.push(format!("{}: {text}\n    found {got:?}", issuer.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// What the corpus measures.
#[derive(Debug, Default)]
struct Score {
    secrets: usize,
    found: usize,
    right_provider: usize,
    hard: usize,
    hard_found: usize,
    look_alikes: usize,
    false_alarms: usize,
}

#[test]
fn the_corpus_is_answered_as_well_as_recorded() {
    let formats = Formats::builtin();
    let mut score = Score::default();
    let mut misses: Vec<String> = Vec::new();
    for sample in corpus::corpus(formats, 20_261_122, 10) {
        let got = found(&[(&sample.file, &sample.text)]);
        match &sample.secret {
            Some((provider, line)) => {
                let hits: Vec<&Secret> = got.iter().filter(|s| s.line == *line).collect();
                score.secrets += 1;
                score.hard += usize::from(sample.hard);
                score.found += usize::from(!hits.is_empty());
                score.hard_found += usize::from(sample.hard && !hits.is_empty());
                let right = hits.iter().any(|s| s.provider.as_ref() == Some(provider));
                score.right_provider += usize::from(right);
                score.false_alarms += got.len() - hits.len().min(1);
                if !right || got.len() != 1 {
                    let said: Vec<String> = got.iter().map(|s| format!("{} {:?} {}", s.kind, s.provider, s.line)).collect();
                    misses.push(format!("[{} {provider}] {said:?}\n{}", sample.context, sample.text));
                }
            }
            None => {
                score.look_alikes += 1;
                score.false_alarms += got.len();
                if !got.is_empty() {
                    let said: Vec<String> = got.iter().map(|s| format!("{} {:?} {} {:?}", s.kind, s.provider, s.line, s.reasons)).collect();
                    misses.push(format!("[{}] false {said:?}\n{}", sample.context, sample.text));
                }
            }
        }
    }
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    let precision = share(score.found, score.found + score.false_alarms);
    let (recall, hard) = (share(score.found, score.secrets), share(score.hard_found, score.hard));
    let provider = share(score.right_provider, score.secrets);
    let figures = format!("precision {precision:.4} recall {recall:.4} hard {hard:.4} provider {provider:.4} {score:?}");
    let floor = precision >= 0.98 && recall >= 0.97 && hard >= 0.90 && provider >= 0.95;
    if std::env::var_os("SECRETS_SHOW").is_some() || !floor {
        panic!("{figures}\n{}", misses.join("\n"));
    }
}
