//! Credentials: a corpus that is made apart from the analyzer's formats, and the laws of what is reported.

use analyzer_core::analysis::{Confidence, Exposure, Severity};
use analyzer_core::{Analysis, Options, Sources, analyze};
use test_bench::secrets::{Finding, ROUNDS, Rng, Sample, Score, corpus, make};

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
    for sample in corpus(ROUNDS, 20_261_127, 20, 5) {
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

fn of_files(files: &[(&str, String)]) -> Analysis {
    let files = files.iter().map(|(path, text)| (*path, text.as_str()));
    analyze(&Sources::new(files).expect("clean paths"), &Options::default())
}

/// Kind and name of what the only secret opens, with its variable and whether the code reads that.
fn opened(analysis: &Analysis) -> (Vec<String>, &str, bool) {
    let [secret] = &analysis.secrets[..] else { panic!("{:?}", analysis.secrets) };
    let opens = secret.opens.iter().map(|opens| format!("{:?} {}", opens.kind, opens.name)).collect();
    (opens, secret.suggested_env.as_deref().unwrap_or(""), secret.env_read)
}

#[test]
fn a_models_key_is_linked_to_the_model_it_pays_for() {
    let key = make("sk-proj-{w:74}T3BlbkFJ{w:74}", &mut Rng(1));
    let client = format!("from openai import OpenAI\nclient = OpenAI(api_key=\"{key}\")\n");
    let call = "client.chat.completions.create(model=\"gpt-4o\", messages=[])\n";
    let analysis = of_files(&[("agent.py", client.clone() + call)]);
    let opens = ["ModelUsage gpt-4o".to_owned(), "Destination api.openai.com".to_owned()];
    assert_eq!(opened(&analysis), (opens.to_vec(), "OPENAI_API_KEY", false));
    let reads = "import os\nother = os.environ[\"OPENAI_KEY_STAGING\"]\n".to_owned();
    let analysis = of_files(&[("agent.py", client + call), ("other.py", reads)]);
    assert_eq!(opened(&analysis).1, "OPENAI_KEY_STAGING", "the variable that the code reads already");
    assert!(analysis.secrets[0].env_read && analysis.secrets[0].description.contains("OPENAI_KEY_STAGING"));
}

#[test]
fn a_secret_that_a_model_or_a_log_gets_to_read_says_so() {
    let key = make("{an:40}", &mut Rng(9));
    let shown = |text: String| of_files(&[("agent.py", text)]).secrets[0].exposed_in.clone();
    let flows = |rest: &str| shown(format!("CRM_TOKEN = \"{key}\"\n{rest}\n"));
    assert_eq!(flows("SYSTEM_PROMPT = f\"Use {CRM_TOKEN} for the CRM.\""), [Exposure::Prompt]);
    assert_eq!(flows("logger.info(\"token %s\", CRM_TOKEN)"), [Exposure::Log]);
    assert_eq!(flows("connect(CRM_TOKEN)"), []);
    assert_eq!(shown(format!("print(\"CRM_TOKEN={key}\")\n")), [Exposure::Log]);
    let message = format!("run([{{\"role\": \"system\", \"content\": \"CRM_TOKEN={key} opens the CRM.\"}}])\n");
    assert_eq!(shown(message), [Exposure::Prompt]);
}

#[test]
fn nobodys_key_is_linked_to_the_tool_at_the_host_it_is_sent_to() {
    let key = make("{an:40}", &mut Rng(2));
    let call = format!(
        "import requests\nTOKEN = \"{key}\"\ndef orders():\n    headers = {{\"Authorization\": f\"Bearer {{TOKEN}}\"}}\n    \
         return requests.get(\"https://crm.acme.io/v1/orders\", headers=headers)\n"
    );
    let analysis = of_files(&[("agent.py", call)]);
    let opens = ["Tool acme-crm".to_owned(), "Destination crm.acme.io".to_owned()];
    assert_eq!(opened(&analysis).0, opens);
    assert_eq!(analysis.secrets[0].hosts, ["crm.acme.io"]);
}

#[test]
fn a_key_named_after_a_tool_of_the_platform_is_that_tools() {
    let key = make("{an:40}", &mut Rng(3));
    let text = format!(
        "import os, requests\nCRM_API_KEY = \"{key}\"\nrequests.get(os.environ[\"TOOL_CRM_URL\"] + \"/me\", headers={{\"X-Api-Key\": CRM_API_KEY}})\n"
    );
    assert_eq!(opened(&of_files(&[("agent.py", text)])), (vec!["Tool crm".to_owned()], "CRM_API_KEY", false));
}

#[test]
fn an_issuers_key_is_linked_to_the_service_whose_library_takes_it() {
    let key = make("sk_live_{an:24}", &mut Rng(4));
    let text = format!("import stripe\nstripe.api_key = \"{key}\"\nstripe.Charge.create(amount=1)\n");
    let opens = opened(&of_files(&[("agent.py", text)])).0.join(", ");
    assert!(opens.contains("Tool stripe-api") && opens.contains("Destination api.stripe.com"), "{opens}");
}

#[test]
fn the_password_of_an_address_is_linked_to_its_host() {
    let password = make("{an:16}", &mut Rng(5));
    let text = format!(
        "import psycopg2\nconnection = psycopg2.connect(\"postgresql://agent:{password}@db.acme.io:5432/app\")\n"
    );
    let opens = opened(&of_files(&[("agent.py", text)])).0.join(", ");
    assert!(opens.contains("Destination db.acme.io"), "{opens}");
}

#[test]
fn test_mode_keys_are_low_and_published_examples_are_none() {
    let test = make("sk_test_{an:24}", &mut Rng(6));
    let analysis = of_files(&[(".env", format!("STRIPE_SECRET_KEY={test}\n"))]);
    assert_eq!(analysis.secrets[0].severity, Severity::Low);
    let published =
        "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";
    assert_eq!(of_files(&[(".env", published.to_owned())]).secrets, []);
}

#[test]
fn parts_of_one_credential_make_each_other_surer_and_are_reported_alone_too() {
    let mut rng = Rng(7);
    let (id, secret) = (make("AKIA{b32:16}", &mut rng), make("{b64:40}", &mut rng));
    let (id, secret) = (format!("AWS_ACCESS_KEY_ID={id}\n"), format!("AWS_SECRET_ACCESS_KEY={secret}\n"));
    let pair = of_files(&[(".env", format!("{id}{secret}"))]);
    assert_eq!(pair.secrets.len(), 2);
    assert!(pair.secrets.iter().all(|s| s.confidence == Confidence::High && s.reasons.contains(&"pair".to_owned())));
    for alone in [id, secret] {
        let analysis = of_files(&[(".env", alone)]);
        assert_eq!(analysis.secrets.len(), 1);
        assert!(!analysis.secrets[0].reasons.contains(&"pair".to_owned()));
    }
}

#[test]
fn a_fingerprint_survives_moves_and_follows_the_value() {
    let mut rng = Rng(8);
    let (one, other) = (make("gsk_{an:52}", &mut rng), make("gsk_{an:52}", &mut rng));
    let print = |path: &str, before: &str, key: &str| {
        of_files(&[(path, format!("{before}GROQ_API_KEY = \"{key}\"\n"))]).secrets[0].fingerprint.clone()
    };
    let first = print("agent.py", "", &one);
    assert_eq!(first, print("src/deep/config.py", "\n\nx = 1\n", &one));
    assert_ne!(first, print("agent.py", "", &other));
}

/// Whatever the analysis quotes, no credential of the corpus is in it.
#[test]
fn no_answer_holds_a_credential_of_the_corpus() {
    for sample in corpus(ROUNDS, 8, 3, 0) {
        let Some(expected) = &sample.secret else { continue };
        let analysis = analysis(&sample);
        if analysis.secrets.is_empty() {
            continue;
        }
        let shown = format!("{} {analysis:?}", serde_json::to_string(&analysis).expect("plain data"));
        // The prefix of a format is public: what stands behind it is not.
        let hidden = &expected.value[expected.value.len() / 2..];
        assert!(!shown.contains(hidden), "{} in {}: {shown}", sample.kind, sample.context);
    }
}
