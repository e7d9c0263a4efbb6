use super::corpus::{Rng, of_format};
use super::*;
use crate::facts;
use proptest::prelude::*;

fn facts_of(sources: &Sources) -> Vec<Arc<facts::FileFacts>> {
    crate::read(sources, None).expect("nobody cancels")
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

/// As the files have them: what is embedded for use has no examples.
fn with_examples() -> &'static Formats {
    static READ: std::sync::LazyLock<Formats> =
        std::sync::LazyLock::new(|| Formats::read(formats::embedded()).unwrap_or_else(|error| panic!("{error}")));
    &READ
}

#[test]
fn every_embedded_file_loads() {
    let errors: Vec<String> = formats::embedded()
        .filter_map(|(path, text)| formats::parse(path, text).err())
        .map(|e| e.to_string())
        .collect();
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
    let formats = with_examples();
    let bare: Vec<&str> = formats
        .issuers
        .iter()
        .filter(|issuer| issuer.finds.is_empty() || issuer.passes.is_empty() || !issuer.source.starts_with("https://"))
        .map(|issuer| issuer.id.as_str())
        .collect();
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn every_format_that_is_found_by_its_shape_was_compared_with_something_public() {
    let formats = Formats::builtin();
    let unchecked: Vec<String> = (0..formats.formats.len())
        .filter(|format| formats.key(*format).when != formats::When::Meant && formats.key(*format).checked.is_empty())
        .map(|format| formats.issuers[formats.formats[format].issuer].id.clone())
        .collect();
    assert!(unchecked.is_empty(), "{unchecked:?}");
}

#[test]
fn at_least_three_hundred_issuers_were_compared_with_something_public() {
    let compared =
        |issuer: &&formats::Issuer| !issuer.checked.is_empty() || issuer.key.iter().any(|key| !key.checked.is_empty());
    let count = Formats::builtin().issuers.iter().filter(compared).count();
    assert!(count >= 300, "{count} issuers");
}

/// What is one character too short, one too long, or spelt otherwise is no token of the format.
#[test]
fn near_misses_of_a_format_are_none_of_it() {
    let formats = Formats::builtin();
    for (index, format) in formats.formats.iter().enumerate() {
        let fixed = format
            .shape
            .flats
            .iter()
            .all(|flat| flat.0.iter().all(|piece| !matches!(piece, shape::Piece::Run(_, min, max) if min != max)));
        let begins = matches!(format.shape.flats[0].0[0], shape::Piece::Literal(_));
        if !fixed || !begins || format.shape.flats.len() > 1 {
            continue;
        }
        let token = of_format(formats, index, &mut Rng(21));
        let other = if token.starts_with('Q') { "Z" } else { "Q" };
        for near in [token[..token.len() - 1].to_owned(), format!("{token}0"), format!("{other}{}", &token[1..])] {
            assert!(!format.shape.is(&near), "{}: {}", formats.issuers[format.issuer].id, near.len());
        }
    }
}

/// The examples of the entries, with tokens made now: a committed one would be reported by every other scanner.
#[test]
fn entries_find_their_examples_and_pass_their_counter_examples() {
    let formats = with_examples();
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
                    let got: Vec<String> =
                        got.iter().map(|s| format!("{} {:?} {:?}", s.kind, s.provider, s.reasons)).collect();
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
                    let said: Vec<String> =
                        got.iter().map(|s| format!("{} {:?} {}", s.kind, s.provider, s.line)).collect();
                    misses.push(format!("[{} {provider}] {said:?}\n{}", sample.context, sample.text));
                }
            }
            None => {
                score.look_alikes += 1;
                score.false_alarms += got.len();
                if !got.is_empty() {
                    let said: Vec<String> =
                        got.iter().map(|s| format!("{} {:?} {} {:?}", s.kind, s.provider, s.line, s.reasons)).collect();
                    misses.push(format!("[{}] false {said:?}\n{}", sample.context, sample.text));
                }
            }
        }
    }
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    let precision = share(score.found, score.found + score.false_alarms);
    let (recall, hard) = (share(score.found, score.secrets), share(score.hard_found, score.hard));
    let provider = share(score.right_provider, score.secrets);
    let figures =
        format!("precision {precision:.4} recall {recall:.4} hard {hard:.4} provider {provider:.4} {score:?}");
    // Measured when recorded: 0.998, 0.998, 0.997, 0.996.
    let floor = precision >= 0.99 && recall >= 0.99 && hard >= 0.99 && provider >= 0.99;
    assert!(floor, "{figures}\n{}", misses.join("\n"));
}

#[test]
fn the_client_the_host_and_the_name_say_whose_a_key_is() {
    let mut rng = Rng(5);
    let hex = rng.of("0123456789abcdef", 40);
    let openai_like = format!("sk-{}", rng.of("0123456789abcdef", 32));
    let client = |base: &str| format!("from openai import OpenAI\nclient = OpenAI(api_key=\"{openai_like}\"{base})\n");
    assert_eq!(short("a.py", &client("")), ["api_key openai 2"]);
    assert_eq!(short("a.py", &client(", base_url=\"https://api.deepseek.com\"")), ["api_key deepseek 2"]);
    let deepgram = format!(
        "KEY = \"{hex}\"\nrequests.post(\"https://api.deepgram.com/v1\", headers={{\"Authorization\": f\"Token {{KEY}}\"}})\n"
    );
    assert_eq!(short("a.py", &deepgram), ["api_key deepgram 1"]);
    assert_eq!(short("a.py", &format!("commit = \"{hex}\"\n")), [""; 0]);
}

#[test]
fn logins_in_addresses_tuples_and_commands_are_seen() {
    let auth = "requests.get(\"https://erp.acme.io\", auth=(\"svc\", \"q7Vx2mPz9Lr4\"))\n";
    assert_eq!(short("a.py", auth), ["password - 1"]);
    let mongo = "uri = \"mongodb+srv://svc:q7Vx2mPz9Lr4@cluster0.ab1cd.mongodb.net/app\"\n";
    assert_eq!(short("a.py", mongo), ["connection_string mongodb 1"]);
    let asyncpg = "DATABASE_URL=postgresql+asyncpg://svc:q7Vx2mPz9Lr4@db.acme.io:5432/app\n";
    assert_eq!(short(".env", asyncpg), ["connection_string postgresql 1"]);
    assert_eq!(short("run.sh", "curl -u svc:q7Vx2mPz9Lr4 https://erp.acme.io\n"), ["password - 1"]);
    let local = found(&[(".env", "DATABASE_URL=postgres://svc:q7Vx2mPz9Lr4@localhost/app\n")]);
    assert_eq!(local[0].severity, crate::analysis::Severity::Low);
}

#[test]
fn private_keys_are_seen_on_many_lines_on_one_and_inside_base64() {
    use base64::Engine;
    let mut rng = Rng(9);
    let line = |rng: &mut Rng| rng.of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 64);
    let body = [line(&mut rng), line(&mut rng), line(&mut rng)];
    let kind = "PRIVATE KEY";
    let pem = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", body.join("\n"));
    assert_eq!(short("key.txt", &pem), ["private_key - 1"]);
    assert_eq!(short("a.py", &format!("K = \"\"\"\n{pem}\"\"\"\n")), ["private_key - 2"]);
    let json = format!("{{\"type\": \"service_account\", \"private_key\": {}}}", serde_json::to_string(&pem).unwrap());
    assert_eq!(short("sa.json", &json), ["private_key google-cloud 1"]);
    let encoded = base64::engine::general_purpose::STANDARD.encode(&pem);
    assert_eq!(short("a.py", &format!("SIGNING_KEY = \"{encoded}\"\n")), ["private_key - 1"]);
}

#[test]
fn a_wrong_checksum_lowers_and_a_right_one_raises() {
    let formats = Formats::builtin();
    let github = formats.issuer_named("github").unwrap();
    let right = of_format(formats, formats.of_issuer(github)[0], &mut Rng(3));
    let last = right.chars().last().unwrap();
    let wrong = format!("{}{}", &right[..right.len() - 1], if last == 'q' { 'r' } else { 'q' });
    let [right, wrong] = [right, wrong].map(|token| found(&[(".env", &format!("GITHUB_TOKEN={token}\n"))]).remove(0));
    assert!(right.confidence == Confidence::High && right.reasons.contains(&"checksum".to_owned()));
    assert!(wrong.confidence == Confidence::Low && wrong.reasons.contains(&"checksum-mismatch".to_owned()));
}

#[test]
fn the_same_value_is_the_same_secret_wherever_it_stands() {
    let key = Rng(11).of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 32);
    let named = format!("MISTRAL_API_KEY = \"{key}\"\n");
    let bare = format!("\n\n\napi_key = \"{key}\"\n");
    let both = found(&[("a.py", &named), ("b.py", &bare)]);
    assert_eq!(both.len(), 2);
    assert_eq!(both[0].fingerprint, both[1].fingerprint);
    assert!(both.iter().all(|s| s.provider.as_deref() == Some("mistral")));
    assert_eq!(found(&[("c/d.py", &format!("\n\n{named}"))])[0].fingerprint, both[0].fingerprint);
}

#[test]
fn a_secret_names_the_variable_that_should_carry_it() {
    let key = Rng(12).of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 32);
    let env = |text: &str| found(&[("a.py", text)]).remove(0).suggested_env.unwrap();
    assert_eq!(
        env(&format!("x = os.getenv(\"OUR_MISTRAL\", \"{key}\") # mistral\nMistral(api_key=x)\n")),
        "OUR_MISTRAL"
    );
    assert_eq!(env(&format!("Mistral(api_key=\"{key}\")\n")), "MISTRAL_API_KEY");
    assert_eq!(env(&format!("crm_api_key = \"{key}\"\n")), "CRM_API_KEY");
}

#[test]
fn a_masked_text_shows_prefixes_only_and_an_ordinary_one_is_untouched() {
    let formats = Formats::builtin();
    let groq = formats.issuer_named("groq").unwrap();
    let token = of_format(formats, formats.of_issuer(groq)[0], &mut Rng(4));
    let prompt = format!("You are an agent.\nUse {token} and postgres://svc:q7Vx2mPz9Lr4@db.acme.io/app.\n");
    assert_eq!(mask(&prompt, formats), "You are an agent.\nUse gsk_**** and postgres://****.\n");
    assert!(matches!(mask("You are a helpful agent. The key is to be kind.", formats), Cow::Borrowed(_)));
}

#[test]
fn no_input_is_slow() {
    let hostile = [
        "sk-".repeat(60_000),
        "api_key=".repeat(20_000),
        format!("key = \"{}\"", "A1b2".repeat(60_000)),
        "https://a:".repeat(20_000),
        format!("x = {}", "\"a\" + ".repeat(20_000)) + "\"b\"",
        "eyJ".repeat(60_000),
        "-----BEGIN PRIVATE KEY-----\n".repeat(2_000),
        "{\"key\":".repeat(20_000),
        "name: API_KEY\n".repeat(10_000),
        format!("P = \"ab\"\n{}", "Q = P + P\n".repeat(5_000)),
    ];
    for text in &hostile {
        for file in ["a.py", "a.ts", "a.yaml", "a.ipynb"] {
            // Without bounds any of these takes minutes.
            found(&[(file, text)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_output_holds_a_value(seed in any::<u64>()) {
        let formats = Formats::builtin();
        let mut rng = Rng(seed);
        let format = rng.below(formats.formats.len());
        let token = of_format(formats, format, &mut rng);
        let issuer = &formats.issuers[formats.formats[format].issuer];
        let env = issuer.env.first().map_or("API_KEY", String::as_str);
        let python = format!("{env} = \"{token}\"\nrun(f\"{token}\", token=\"{token}\")\n\"{token}\" == x[\"{token}\"]\n{{\"{token}\": \"{token}\"}}\n");
        let yaml = format!("{env}: {token}\n{token}: {token}\n");
        let public = formats.formats[format].shape.public_prefix(token.as_bytes());
        let hidden = &token[public..];
        let files = [("a.py", python.as_str()), ("b.yaml", yaml.as_str())];
        let secrets = found(&files);
        let shown = format!("{} {secrets:?}", serde_json::to_string(&secrets).unwrap());
        prop_assert!(!shown.contains(hidden), "{env}: {shown}");
        if !found(&files[1..]).is_empty() {
            let masked = mask(&yaml, formats).contains(hidden);
            prop_assert!(!masked);
        }
    }

    #[test]
    fn any_text_is_answered_in_order_and_within_its_lines(text in "(?s).{0,200}", cut in 0_usize..400, seed in any::<u64>()) {
        static SAMPLES: std::sync::LazyLock<Vec<corpus::Sample>> =
            std::sync::LazyLock::new(|| corpus::corpus(Formats::builtin(), 7, 1));
        let sample = &SAMPLES[seed as usize % SAMPLES.len()];
        let mut whole = format!("{}{text}{}", sample.text, sample.text);
        whole.truncate(scan::floor(&whole, cut));
        for file in ["a.py", "a.tsx", "a.json", "a.ipynb"] {
            let secrets = found(&[(file, &whole)]);
            let lines = whole.lines().count().max(1) as u32 + 1;
            prop_assert!(secrets.iter().all(|s| s.line >= 1 && s.line <= lines && s.column >= 1));
            prop_assert!(secrets.windows(2).all(|pair| (pair[0].line, pair[0].column) <= (pair[1].line, pair[1].column)));
        }
    }
}

/// A token of 40 letters and digits that is nobody's.
fn nobodys(seed: u64) -> String {
    let mut rng = Rng(seed);
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    (0..40).map(|_| letters[rng.below(letters.len())] as char).collect()
}

#[test]
fn what_is_called_compared_listed_or_made_by_a_function_has_a_name() {
    let token = nobodys(5);
    for (file, text) in [
        ("a.ts", "new AgentBuilder().name('clerk').apiKey('{K}').build();"),
        ("a.ts", "expect(config.apiKey).toBe('{K}');"),
        ("a.py", "settings.put_value(\"crm.api_key\", \"{K}\")"),
        ("a.py", "api_key: str = field(default_factory=lambda: \"{K}\")"),
        ("a.py", "parser.add_argument(\"-k\", dest=\"api_key\", default=\"{K}\")"),
        ("a.py", "api_key = next((v for v in found), \"{K}\")"),
        ("a.py", "keys = {\"mistral\": \"{K}\"} if live else {}"),
        ("a.py", "KEY = \"{K}\"\nget(f\"https://crm.acme.io/v1?q={q}&api_key={KEY}\")"),
    ] {
        assert_eq!(found(&[(file, &text.replace("{K}", &token))]).len(), 1, "{text}");
    }
    for (file, text) in [
        ("a.ts", "expect(config.digest).toBe('{K}');"),
        ("a.ts", "new AgentBuilder().name('{K}').build();"),
        ("a.py", "settings.put_value(\"crm.row\", \"{K}\")"),
        ("a.py", "parser.add_argument(\"-k\", dest=\"revision\", default=\"{K}\")"),
        ("a.py", "names = {\"mistral\": \"{K}\"} if live else {}"),
        ("a.py", "KEY = \"{K}\"\nget(f\"https://crm.acme.io/v1?row={KEY}\")"),
    ] {
        assert_eq!(short(file, &text.replace("{K}", &token)), [""; 0], "{text}");
    }
}

#[test]
fn parts_of_a_list_that_a_name_holds_are_one_credential() {
    let token = nobodys(6);
    let text = format!("PARTS = [\"{}\", \"{}\"]\nMISTRAL_API_KEY = \"\".join(PARTS)\n", &token[..16], &token[16..32]);
    assert_eq!(short("a.py", &text), ["api_key mistral 2"]);
}

#[test]
fn a_cell_that_is_one_text_shows_its_credential_where_it_stands() {
    let token = nobodys(7);
    let text = format!(
        "{{\"cells\": [\n{{\"cell_type\": \"code\",\n\"source\": \"import os\\nos.environ['CRM_API_KEY'] = '{token}'\"}}]}}"
    );
    assert_eq!(short("a.ipynb", &text), ["api_key - 3"]);
}

fn drawn(seed: u64, length: usize) -> String {
    Rng(seed).of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", length)
}

#[test]
fn a_value_is_called_what_the_parameter_is_that_it_becomes() {
    let key = drawn(31, 40);
    let helper = |name: &str| format!("def login({name}):\n    return {{\"x\": {name}}}\n\nlogin(\"{key}\")\n");
    assert_eq!(short("a.py", &helper("api_key")), ["api_key - 4"]);
    assert_eq!(short("a.py", &helper("digest")), [""; 0]);
    let class = format!("class Crm {{\n  constructor(private token: string) {{}}\n}}\nnew Crm('{key}');\n");
    assert_eq!(short("a.ts", &class), ["oauth_token - 4"]);
    let row = |field: &str| format!("Row = namedtuple(\"Row\", \"name {field}\")\nRow(\"a\", \"{key}\")\n");
    assert_eq!(short("a.py", &row("api_key")), ["api_key - 2"]);
    assert_eq!(short("a.py", &row("revision")), [""; 0]);
}

#[test]
fn the_provider_that_a_call_is_told_owns_the_key_unless_the_client_has_a_service_of_its_own() {
    let key = drawn(32, 32);
    let routed = |client: &str| format!("{client}(model=\"mistral/any-model\", api_key=\"{key}\")\n");
    assert_eq!(short("a.py", &routed("LLM")), ["api_key mistral 1"]);
    assert_eq!(short("a.py", &routed("LiteLLMModel")), ["api_key mistral 1"]);
    assert_eq!(short("a.py", &routed("Together")), ["api_key together 1"]);
}

#[test]
fn what_heads_a_column_names_the_values_below_it() {
    let (key, other) = (drawn(33, 40), drawn(34, 40));
    let table = |head: &str| format!("| User | {head} |\n| --- | --- |\n| a | {key} |\n| b | `{other}` |\n");
    assert_eq!(short("a.md", &table("Password")), ["password - 3", "password - 4"]);
    assert_eq!(short("a.md", &table("Revision")), [""; 0]);
    let insert = format!("INSERT INTO t (name, api_key) VALUES ('a', '{key}');\n");
    assert_eq!(short("a.sql", &insert), ["api_key - 1"]);
    let update = |name: &str| format!("UPDATE t SET value = '{key}' WHERE name = '{name}';\n");
    assert_eq!(short("a.sql", &update("CRM_API_KEY")), ["api_key - 1"]);
    assert_eq!(short("a.sql", &update("COMMIT")), [""; 0]);
}

#[test]
fn what_a_shell_makes_of_a_text_is_its_value() {
    use base64::Engine;
    let key = drawn(35, 40);
    assert_eq!(short("a.sh", &format!("API_KEY=\"${{1:-{key}}}\"\n")), ["api_key - 1"]);
    assert_eq!(short("a.sh", "API_KEY=\"${1:-$DEFAULT_KEY_2}\"\n"), [""; 0]);
    let encoded = base64::engine::general_purpose::STANDARD.encode(&key);
    assert_eq!(short("a.sh", &format!("API_KEY=\"$(echo '{encoded}' | base64 -d)\"\n")), ["api_key - 1"]);
    assert_eq!(short("a.sh", &format!("API_KEY=\"$(echo '{encoded}' | sha256sum)\"\n")), [""; 0]);
    let parts = format!("API_KEY=\"{}\"\nAPI_KEY+=\"{}\"\n", &key[..20], &key[20..]);
    assert_eq!(short("a.sh", &parts), ["api_key - 1"]);
}

#[test]
fn parts_in_a_table_or_a_class_are_put_together_and_a_helper_is_followed() {
    let key = drawn(36, 40);
    let (head, tail) = key.split_at(14);
    let table = format!("parts = {{\"a\": \"{head}\", \"b\": \"{tail}\"}}\nAPI_KEY = parts[\"a\"] + parts[\"b\"]\n");
    assert_eq!(short("a.py", &table), ["api_key - 2"]);
    let reduced = format!("const apiKey = ['{head}', '{tail}'].reduce((a, b) => a + b);\n");
    assert_eq!(short("a.js", &reduced), ["api_key - 1"]);
    let helper = |body: &str| format!("const f = (t) => {body};\nconst apiKey = f('{}');\n", hex_of(&key));
    assert_eq!(short("a.js", &helper("Buffer.from(t, 'hex').toString()")), ["api_key - 2"]);
    // A helper that asks itself ends.
    assert_eq!(short("a.js", "const f = (t) => f(t + t);\nconst apiKey = f('aaaaaaaa1');\n"), [""; 0]);
}

#[test]
fn a_scheme_or_a_name_before_a_value_is_none_of_it() {
    let key = drawn(37, 40);
    let header = |scheme: &str| format!("headers = {{\"Authorization\": \"{scheme} {key}\"}}\n");
    assert_eq!(short("a.py", &header("Key")), ["api_key - 1"]);
    assert_eq!(short("a.py", &header("Revision of")), [""; 0]);
    assert_eq!(short("a.py", &format!("commit = \"Key {key}\"\n")), [""; 0]);
    assert_eq!(short("a.py", &format!("set(\"insecure-api-key.{key}\")\n")), ["api_key - 1"]);
    assert_eq!(short("a.py", &format!("set(\"insecure-image.{key}\")\n")), [""; 0]);
}

#[test]
fn what_is_typed_where_a_password_is_asked_for_is_one() {
    let typed = |field: &str| format!("page.find_element(By.NAME, \"{field}\").send_keys(\"zk41mmvQ\")\n");
    assert_eq!(short("a.py", &typed("password")), ["password - 1"]);
    assert_eq!(short("a.py", &typed("city")), [""; 0]);
    assert_eq!(short("a.py", "child.expect(\"[Pp]assword:\")\nchild.sendline(\"zk41mmvQ\")\n"), ["password - 2"]);
    assert_eq!(short("a.py", "child.expect(\"Name:\")\nchild.sendline(\"zk41mmvQ\")\n"), [""; 0]);
    assert_eq!(short("a.py", "users = {\"admin\": generate_password_hash(\"zk41mmvQ\")}\n"), ["password - 1"]);
    assert_eq!(short("a.py", "users = {\"admin\": measure(\"zk41mmvQ\")}\n"), [""; 0]);
}

#[test]
fn a_table_a_sibling_an_option_or_a_field_says_what_its_values_are() {
    let key = drawn(38, 40);
    let stages = |name: &str| format!("const {name} = {{ production: '{key}' }};\n");
    assert_eq!(short("a.ts", &stages("apiKeyByStage")), ["api_key - 1"]);
    assert_eq!(short("a.ts", &stages("digestByStage")), [""; 0]);
    let stored = |name: &str| format!("store({{ secretName: '{name}', secretStringValue: '{key}' }});\n");
    assert_eq!(short("a.ts", &stored("agent/api_key")).len(), 1);
    let option = |name: &str| format!("const flags = {{ '{name}': Flags.string({{ default: '{key}' }}) }};\n");
    assert_eq!(short("a.ts", &option("api-key")), ["api_key - 1"]);
    assert_eq!(short("a.ts", &option("revision")), [""; 0]);
    let field = |name: &str| format!("const f = <input name=\"{name}\" defaultValue=\"{key}\" />;\n");
    assert_eq!(short("a.tsx", &field("api_key")), ["api_key - 1"]);
    assert_eq!(short("a.tsx", &field("revision")), [""; 0]);
    let saved = |name: &str| format!("Secret(value=\"{key}\").save(name=\"{name}\")\n");
    assert_eq!(short("a.py", &saved("crm-api-key")), ["api_key - 1"]);
}

#[test]
fn a_default_of_a_helper_or_of_a_branch_is_what_it_stands_in_for() {
    let key = drawn(39, 40);
    let helper = |name: &str| {
        format!(
            "def env(name, fallback=None):\n    return os.environ.get(name) or fallback\n\nx = env(\"{name}\", fallback=\"{key}\")\n"
        )
    };
    assert_eq!(short("a.py", &helper("CRM_API_KEY")), ["api_key - 4"]);
    assert_eq!(short("a.py", &helper("CRM_REVISION")), [""; 0]);
    let go = |name: &str| format!("value := os.Getenv(\"{name}\")\nif value == \"\" {{\n\tvalue = \"{key}\"\n}}\n");
    assert_eq!(short("a.go", &go("CRM_API_KEY")), ["api_key - 3"]);
    assert_eq!(short("a.go", &go("CRM_REVISION")), [""; 0]);
}

#[test]
fn an_encrypted_value_is_none_and_one_behind_an_escape_or_an_option_is() {
    let key = drawn(40, 40);
    let sealed = |key_name: &str| format!("spec:\n  {key_name}:\n    api_key: {key}\n");
    assert_eq!(short("a.yaml", &sealed("encryptedData")), [""; 0]);
    assert_eq!(short("a.yaml", &sealed("data")), ["api_key - 3"]);
    assert_eq!(short("a.py", &format!("write(\"MODE=1\\nAPI_KEY={key}\")\n")), ["api_key - 1"]);
    let put = |name: &str| format!("aws ssm put-parameter --name {name} --type SecureString --value {key}\n");
    assert_eq!(short("a.sh", &put("/crm/API_KEY")).len(), 1);
    assert_eq!(short("a.sh", &put("/crm/COMMIT")), [""; 0]);
}

#[test]
fn a_key_in_the_path_of_an_address_is_one_where_keys_stand_there() {
    let key = drawn(41, 43);
    let called = |host: &str| format!("w3 = Web3(HTTPProvider(\"https://{host}/v2/{key}\"))\n");
    assert_eq!(short("a.py", &called("eth-mainnet.g.alchemy.com")), ["api_key alchemy 1"]);
    assert_eq!(short("a.py", &called("objects.acme.io")), [""; 0]);
}

#[test]
fn what_a_client_takes_as_its_credential_is_one_whatever_its_shape() {
    let key = drawn(42, 43);
    let made = |class: &str| format!("search = {class}(\"{key}\")\n");
    assert_eq!(short("a.py", &made("ApifyClient")), ["api_key apify 1"]);
    assert_eq!(short("a.py", &made("AzureKeyCredential")), ["api_key - 1"]);
    assert_eq!(short("a.py", &made("Checksum")), [""; 0]);
}

#[test]
fn one_of_a_table_a_row_or_a_pair_of_lists_has_the_name_of_the_whole() {
    let key = nobodys(31);
    let named = |file: &str, text: String| found(&[(file, &text)]).first().and_then(|secret| secret.name.clone());
    let is = |file, text: String, name: &str| assert_eq!(named(file, text.clone()).as_deref(), Some(name), "{text}");
    is("a.py", format!("crm_api_key = {{\"dev\": \"\", \"prod\": \"{key}\"}}[stage]\n"), "crm_api_key");
    is(
        "a.py",
        format!("import os, sys\nsys.argv += [\"--region\", \"eu\", \"--crm-api-key\", \"{key}\"]\n"),
        "crm-api-key",
    );
    is("a.py", format!("user, *scopes, crm_token = [\"agent\", \"read\", \"write\", \"{key}\"]\n"), "crm_token");
    is("a.py", format!("S = dict(zip((\"REGION\", \"CRM_API_KEY\"), (\"eu\", \"{key}\")))\n"), "CRM_API_KEY");
    is("a.py", format!("for team, api_key in ((\"crm\", \"{key}\"),):\n    add(team, api_key)\n"), "api_key");
    is(
        "a.py",
        format!("T = namedtuple(\"T\", [\"region\", \"crm_api_key\"], defaults=[\"eu\", \"{key}\"])\n"),
        "crm_api_key",
    );
    is("a.ts", format!("export const env = {{ CRM_API_KEY: v.optional(v.string(), '{key}') }};\n"), "CRM_API_KEY");
    is("a.ts", format!("container.bind('CRM_API_KEY').toConstantValue('{key}');\n"), "CRM_API_KEY");
    is("a.ts", format!("const T = new Token('crm_api_key', {{ factory: () => '{key}' }});\n"), "crm_api_key");
    is("a.py", format!("bot.run(\"{key}\")  # CRM_BOT_TOKEN\n"), "CRM_BOT_TOKEN");
    let checks = "class S(Base):\n    @field_validator(\"crm_api_key\")\n    def shared(cls, value):\n";
    is("a.py", format!("{checks}        return value or \"{key}\"\n"), "crm_api_key");
}

#[test]
fn templates_tags_blocks_and_commands_give_a_name_its_value() {
    let key = nobodys(32);
    let found_in = |file: &str, text: String| {
        let names: Vec<_> = found(&[(file, &text)]).into_iter().filter_map(|secret| secret.name).collect();
        assert_eq!(names, ["CRM_API_KEY"], "{text}");
    };
    found_in("a.yaml", format!("CRM_API_KEY: \"{{{{ lookup('env', 'X') | default('{key}', true) }}}}\"\n"));
    found_in("a.yaml", format!("inputs:\n  CRM_API_KEY:\n    required: false\n    default: '{key}'\n"));
    found_in("a.tf", format!("locals {{\n  CRM_API_KEY = coalesce(var.key, \"{key}\")\n}}\n"));
    found_in("a.go", format!("\tValue string `envconfig:\"CRM_API_KEY\" default:\"{key}\"`\n"));
    found_in("Makefile", format!("CRM_API_KEY := $(or $(CRM_API_KEY),{key})\n"));
    found_in("a.sh", format!("export CRM_API_KEY=$(printf '%s%s' '{}' '{}')\n", &key[..20], &key[20..]));
    found_in("a.ps1", format!("Set-Item -Path Env:CRM_API_KEY -Value '{key}'\n"));
    found_in("a.sql", format!("select vault.create_secret('{key}', 'CRM_API_KEY', 'of the CRM');\n"));
    // What such a place takes from elsewhere, or describes, is none.
    for text in [
        "CRM_API_KEY: \"{{ lookup('env', 'CRM_API_KEY') | default('', true) }}\"\n",
        "CRM_API_KEY = coalesce(var.crm_api_key, var.shared_api_key_2)\n",
        "CRM_API_KEY := $(or $(CRM_API_KEY),$(SHARED_KEY_2))\n",
        "inputs:\n  CRM_API_KEY:\n    description: the key\n    default: ''\n",
    ] {
        assert_eq!(short("a.yaml", text), [""; 0], "{text}");
    }
}

#[test]
fn a_verifier_and_a_placeholder_in_base64_are_no_secrets() {
    let (salt, key) = (nobodys(33), nobodys(34));
    let role = format!("CREATE ROLE agent LOGIN PASSWORD 'SCRAM-SHA-256$4096:{salt}=${key}=:{key}=';\n");
    assert_eq!(short("a.sql", &role), [""; 0]);
    assert_eq!(short("a.yaml", "data:\n  API_KEY: eW91ci1hcGkta2V5LWhlcmU=\n"), [""; 0]);
}

fn hex_of(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
