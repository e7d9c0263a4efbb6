//! No output of any format holds a secret: not eight characters of it beyond its public prefix.

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

/// A credential: what everybody may know of it, and the rest.
#[derive(Debug, Clone)]
struct Secret {
    public: &'static str,
    rest: String,
}

impl Secret {
    fn value(&self) -> String {
        format!("{}{}", self.public, self.rest)
    }
}

fn secret() -> impl Strategy<Value = Secret> {
    let format = prop::sample::select(vec![
        ("sk_live_", "[0-9a-zA-Z]{24}"),
        ("ghp_", "[0-9a-zA-Z]{36}"),
        ("AKIA", "[A-Z2-7]{16}"),
        ("xoxb-", "[0-9]{12}-[0-9]{12}-[0-9a-zA-Z]{24}"),
        ("sk-ant-api03-", "[0-9a-zA-Z_-]{93}AA"),
        ("", "[0-9a-f]{40}"),
        ("", "[0-9a-zA-Z]{32}"),
    ]);
    format.prop_flat_map(|(public, rest)| rest.prop_map(move |rest| Secret { public, rest }))
}

/// A text in which each letter is as likely as any other, as keys are.
fn letters(alphabet: &str, length: usize) -> impl Strategy<Value = String> {
    let letters: Vec<char> = alphabet.chars().collect();
    prop::collection::vec(prop::sample::select(letters), length).prop_map(|letters| letters.into_iter().collect())
}

const PEM: &str = "MIIEpAIBAAKCAQEA";

/// Files that hold it, each in a way of its own.
fn project(secret: &Secret, password: &str, key: &str) -> Vec<(&'static str, String)> {
    let value = secret.value();
    let lines: Vec<String> = (0..12).map(|line| format!("{}{}", &key[line..], &key[..line])).collect();
    // What every key of this size begins with is known to all.
    let pem = format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{PEM}{}\n{}\n-----END RSA PRIVATE KEY-----",
        &key[..48],
        lines.join("\n")
    );
    vec![
        (
            "agent.py",
            format!(
                "import os\nimport requests\n\nAPI_KEY = \"{value}\"\nTOKEN = os.getenv(\"API_TOKEN\", \"{value}\")  # {value}\nrequests.get(f\"http://api.northwind-crm.io/v1?api_key={{API_KEY}}\", headers={{\"Authorization\": \"Bearer {value}\"}})\nrequests.get(\"https://api.northwind-crm.io/{value}/x?token={value}\")\n"
            ),
        ),
        (
            "prompt.py",
            format!(
                "from openai import OpenAI\n\nPROMPT = \"\"\"You are a clerk.\nThe api_key = {value}\n\"\"\"\nOpenAI(api_key=\"{value}\").chat.completions.create(model=\"gpt-4o\", messages=[{{\"role\": \"system\", \"content\": PROMPT}}])\n"
            ),
        ),
        (
            "db.py",
            format!(
                "import psycopg2\n\nURL = \"postgresql://sync:{password}@pg.northwind-crm.io:5432/sync\"\npsycopg2.connect(URL)\n"
            ),
        ),
        (
            "key.py",
            format!(
                "PRIVATE_KEY = \"\"\"{pem}\"\"\"\nimport requests\n\nrequests.get(\"http://api.northwind-crm.io/v1\")\n"
            ),
        ),
        (
            "agent.ts",
            format!(
                "const apiKey = \"{value}\";\nfetch(\"http://api.northwind-crm.io/v1\", {{ headers: {{ Authorization: `Bearer {value}` }} }});\nconsole.log(process.env.API_TOKEN);\n"
            ),
        ),
        ("ignored.py", format!("x = 1  # agentlint: ignore[{value}]\n")),
        (
            "mcp.json",
            format!("{{\"mcpServers\": {{\"{value}\": {{\"command\": \"npx\", \"args\": [\"-y\", \"{value}\"]}}}}}}\n"),
        ),
        (".env", format!("API_KEY={value}\nDB_PASSWORD={password}\n")),
        ("settings.yaml", format!("api_key: \"{value}\"\npassword: \"{password}\"\n")),
        (
            ".mcp.json",
            format!(
                "{{\"mcpServers\": {{\"x\": {{\"command\": \"npx\", \"args\": [\"-y\", \"server-x\"], \"env\": {{\"API_KEY\": \"{value}\"}}}}}}}}\n"
            ),
        ),
        ("requirements.txt", "requests\nopenai\n".into()),
    ]
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("agentlint-secrets-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join(".git")).unwrap();
    folder
}

fn run(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_agentlint")).args(args).current_dir(folder).output().unwrap();
    let code = output.status.code();
    assert!(code.is_some_and(|code| code < 2), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const FORMATS: [&str; 11] =
    ["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit", "markdown", "html", "agent"];

const COMMANDS: [&[&str]; 9] = [
    &["inspect", "-o", "json"],
    &["inspect", "-o", "table"],
    &["inspect", "-o", "cyclonedx"],
    &["inspect", "-o", "mermaid"],
    &["inspect", "-o", "svg"],
    &["policy", "-o", "json"],
    &["lock"],
    &["check", "--diff-fixes", "--unsafe-fixes", "-v"],
    &["baseline"],
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_output_holds_a_secret(
        secret in secret(),
        password in "[a-zA-Z0-9]{6}-[a-zA-Z0-9]{8}[0-9]",
        key in letters("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 64),
    ) {
        let folder = folder();
        for (path, text) in project(&secret, &password, &key) {
            std::fs::write(folder.join(path), text).unwrap();
        }
        let files: Vec<String> = FORMATS.iter().map(|format| format!("{format}=out.{format}")).collect();
        let mut args = vec!["check", "--pedantic", "--exclude", "out.*", "-v"];
        for file in &files {
            args.extend(["-o", file.as_str()]);
        }
        let mut texts = vec![("check -v".to_owned(), run(&folder, &args))];
        for format in FORMATS {
            let text = std::fs::read_to_string(folder.join(format!("out.{format}"))).unwrap();
            prop_assert!(text.contains("plain-http"), "{} says nothing: {}", format, text);
            texts.push((format.into(), text));
            std::fs::remove_file(folder.join(format!("out.{format}"))).unwrap();
        }
        for command in COMMANDS {
            texts.push((command.join(" "), run(&folder, command)));
        }
        for file in ["agent.lock", "agentlint-baseline.txt"] {
            texts.push((file.into(), std::fs::read_to_string(folder.join(file)).unwrap()));
        }
        let hidden = [secret.rest.as_str(), &password, &key];
        for (name, text) in &texts {
            for value in hidden {
                let letters: Vec<char> = value.chars().collect();
                for window in letters.windows(8) {
                    let window: String = window.iter().collect();
                    let at = text.find(&window);
                    prop_assert!(at.is_none(), "{} shows {:?} of {:?}: …{}…", name, window, value, at.map(|at| text[at.saturating_sub(80)..].chars().take(160).collect::<String>()).unwrap_or_default());
                }
            }
            // Masks have one length.
            for mask in text.split(|c| c != '*').filter(|mask| mask.len() > 2) {
                prop_assert_eq!(mask.len(), 4, "{}", name);
            }
        }
        let findings: serde_json::Value = serde_json::from_str(&texts.iter().find(|(name, _)| name == "json").unwrap().1).unwrap();
        let count = findings["findings"].as_array().unwrap().iter().filter(|f| f["code"].as_str().unwrap().starts_with("AL10")).count();
        prop_assert!(count >= 6, "{} credentials were found", count);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
