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

/// File and variable of each secret, whether the code reads that, and what it opens.
fn links(files: &[(&str, String)]) -> Vec<String> {
    let line = |secret: &analyzer_core::analysis::Secret| {
        let opens: Vec<String> = secret.opens.iter().map(|opens| format!("{:?} {}", opens.kind, opens.name)).collect();
        let read = if secret.env_read { " read" } else { "" };
        format!("{} {}{read}: {}", secret.file, secret.suggested_env.as_deref().unwrap_or(""), opens.join(", "))
    };
    of_files(files).secrets.iter().map(line).collect()
}

#[test]
fn every_secret_of_an_agent_in_python_is_linked_to_what_it_opens() {
    let mut rng = Rng(10);
    let openai = make("sk-proj-{w:74}T3BlbkFJ{w:74}", &mut rng);
    let (tavily, slack) = (make("tvly-dev-{an:32}", &mut rng), make("xoxb-{d:12}-{d:12}-{an:24}", &mut rng));
    let (crm, erp, mail) = (make("{an:40}", &mut rng), make("{an:40}", &mut rng), make("{an:40}", &mut rng));
    let agent = format!(
        r##"import os
import requests
from langchain_openai import ChatOpenAI
from langchain_core.tools import tool
from langgraph.prebuilt import create_react_agent
from slack_sdk import WebClient
from tavily import TavilyClient
from config import settings

os.environ["OPENAI_API_KEY"] = "{openai}"
tavily = TavilyClient(api_key="{tavily}")
CRM_TOKEN = "{crm}"

@tool
def search(query: str) -> str:
    """Search the web."""
    return tavily.search(query)

@tool
def customer(email: str) -> dict:
    """Find a customer."""
    headers = {{"Authorization": f"Bearer {{CRM_TOKEN}}"}}
    return requests.get("https://crm.acme.io/v1/customers", params={{"email": email}}, headers=headers).json()

@tool
def orders() -> dict:
    """List the orders."""
    return requests.get("https://erp.acme.io/v1/orders", headers={{"X-Api-Key": settings.erp_api_key}}).json()

@tool
def mail(text: str) -> int:
    """Send a mail."""
    headers = {{"Authorization": "Bearer {mail}"}}
    return requests.post("https://mail.acme.io/v1/send", json={{"text": text}}, headers=headers).status_code

@tool
def notify(text: str) -> str:
    """Post to Slack."""
    return WebClient(token="{slack}").chat_postMessage(channel="#ops", text=text)

model = ChatOpenAI(model="gpt-4o-mini", temperature=0)
agent = create_react_agent(model, [search, customer, orders, mail, notify], prompt="You are an assistant.")
"##
    );
    let config = "from pydantic_settings import BaseSettings\n\nclass Settings(BaseSettings):\n    erp_api_key: str\n\nsettings = Settings()\n";
    let files = [("agent.py", agent), ("config.py", config.to_owned()), (".env", format!("ERP_API_KEY={erp}\n"))];
    assert_eq!(
        links(&files),
        [
            ".env ERP_API_KEY: Tool acme-erp, Destination erp.acme.io",
            "agent.py OPENAI_API_KEY read: ModelUsage gpt-4o-mini, Destination api.openai.com",
            "agent.py TAVILY_API_KEY: Tool tavily-api, Destination api.tavily.com",
            "agent.py CRM_TOKEN: Tool acme-crm, Destination crm.acme.io",
            "agent.py ACME_MAIL_ACCESS_TOKEN: Tool acme-mail, Destination mail.acme.io",
            "agent.py SLACK_BOT_TOKEN: Tool slack-api, Destination slack.com",
        ]
    );
}

#[test]
fn every_secret_of_an_agent_in_typescript_is_linked_to_what_it_opens() {
    let mut rng = Rng(11);
    let anthropic = make("sk-ant-api03-{w:93}AA", &mut rng);
    let (mistral, crm, erp) = (make("{an:32}", &mut rng), make("{an:40}", &mut rng), make("{an:40}", &mut rng));
    let (stripe, pinecone) = (make("sk_live_{an:24}", &mut rng), make("pcsk_{an:5}_{an:63}", &mut rng));
    let password = make("{an:16}", &mut rng);
    let agent = format!(
        r#"import Anthropic from "@anthropic-ai/sdk";
import axios from "axios";
import Stripe from "stripe";
import {{ Pool }} from "pg";
import {{ Pinecone }} from "@pinecone-database/pinecone";
import {{ mistral }} from "@ai-sdk/mistral";
import {{ generateText, tool }} from "ai";
import {{ z }} from "zod";
import {{ config }} from "./config";

process.env.MISTRAL_API_KEY = "{mistral}";
const claude = new Anthropic({{ apiKey: config.anthropicApiKey }});
const crm = axios.create({{ baseURL: "https://crm.acme.io/api", headers: {{ Authorization: `Bearer ${{config.crmToken}}` }} }});
const stripe = new Stripe("{stripe}");
const pool = new Pool({{ connectionString: "postgres://agent:{password}@db.acme.io:5432/crm" }});
const docs = new Pinecone({{ apiKey: "{pinecone}" }}).index("docs");
const ERP_KEY = "{erp}";

const orders = tool({{
  description: "List the orders",
  parameters: z.object({{}}),
  execute: async () => (await fetch("https://erp.acme.io/v1/orders", {{ headers: {{ "X-Api-Key": ERP_KEY }} }})).json(),
}});
const invoice = tool({{
  description: "Make an invoice",
  parameters: z.object({{ customer: z.string() }}),
  execute: async ({{ customer }}) => stripe.invoices.create({{ customer }}),
}});

export async function run(text: string) {{
  const deals = (await crm.get("/deals")).data;
  const rows = await pool.query("select 1");
  const found = await docs.query({{ vector: [0], topK: 1 }});
  await claude.messages.create({{ model: "claude-sonnet-4-20250514", max_tokens: 9, messages: [{{ role: "user", content: text + deals }}] }});
  return generateText({{ model: mistral("mistral-large-latest"), tools: {{ orders, invoice }}, prompt: text + rows + found }});
}}
"#
    );
    let config = format!(
        "export const config = {{\n  anthropicApiKey: process.env.ANTHROPIC_KEY ?? \"{anthropic}\",\n  crmToken: \"{crm}\",\n}};\n"
    );
    assert_eq!(
        links(&[("agent.ts", agent), ("config.ts", config)]),
        [
            "agent.ts MISTRAL_API_KEY read: ModelUsage mistral-large-latest, Destination api.mistral.ai",
            "agent.ts STRIPE_SECRET_KEY: Tool stripe-api, Destination api.stripe.com",
            "agent.ts DATABASE_URL: Tool postgres, Destination db.acme.io",
            "agent.ts PINECONE_API_KEY: Tool pinecone, Destination api.pinecone.io",
            "agent.ts ERP_KEY: Tool acme-erp, Destination erp.acme.io",
            "config.ts ANTHROPIC_KEY read: ModelUsage claude-sonnet-4-20250514, Destination api.anthropic.com",
            "config.ts CRM_TOKEN: Tool acme-crm, Destination crm.acme.io",
        ]
    );
}

/// Two keys of one table go where each is sent, and not where the other is.
#[test]
fn keys_of_one_table_are_told_apart() {
    let mut rng = Rng(12);
    let (crm, erp) = (make("{an:40}", &mut rng), make("{an:40}", &mut rng));
    let text = format!(
        "const keys = {{ crmToken: \"{crm}\", erpToken: \"{erp}\" }};\nconst get = (url: string, token: string) => fetch(url, {{ headers: {{ Authorization: token }} }});\nawait fetch(\"https://crm.acme.io/a\", {{ headers: {{ Authorization: `Bearer ${{keys.crmToken}}` }} }});\nawait fetch(\"https://erp.acme.io/b\", {{ headers: {{ Authorization: `Bearer ${{keys.erpToken}}` }} }});\n"
    );
    assert_eq!(
        links(&[("agent.ts", text)]),
        [
            "agent.ts CRM_TOKEN: Tool acme-crm, Destination crm.acme.io",
            "agent.ts ERP_TOKEN: Tool acme-erp, Destination erp.acme.io"
        ]
    );
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
