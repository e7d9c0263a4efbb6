//! A project's own knowledge: `.agentlint/*.toml` among its files, or packs that the caller passes.

use std::sync::Arc;

use analyzer_core::analysis::{Severity, Tool, ToolKind};
use analyzer_core::{Analysis, Options, Pack, Sources, analyze};

use crate::words::said;

const CRM: &str = r#"
id = "crm"
name = "Our CRM"
source = "https://wiki.acme.example/crm"
hosts = ["crm.acme.io"]
tool = "crm"

[[service]]
python = ["our_sdk.CRM().get"]
platform = true
method = "GET"
path = "/v1"
path_arg = ["path", 0]

[[service]]
python = ["our_sdk.CRM().request"]
platform = true
method_arg = ["method", 0]
path_arg = ["path", 1]
"#;

const VAULT: &str = r#"
id = "acme-vault"
name = "Acme Vault"
source = "https://wiki.acme.example/vault"
env = ["ACME_VAULT_TOKEN"]

[[key]]
type = "oauth_token"
shape = 'acmev_[A-Za-z0-9]{24}'
"#;

const SETTINGS: &str = r#"
exclude = ["tests", "*_generated.py"]

[severity]
oauth_token = "low"
"#;

const AGENT: &str = r#"
import requests
from our_sdk import CRM
from api_generated import Client

VAULT = "acmev_7Qm2Xv9Lp4Rt8Wz3Ks6Yb1Nc"

crm = CRM()

def account(number):
    return crm.get(f"/accounts/{number}")

def close(number):
    requests.post("https://crm.acme.io/audit")
    return CRM().request("delete", f"/accounts/{number}")
"#;

fn project(pack: &[(&str, &str)]) -> Sources {
    let files = [
        ("agent.py", AGENT),
        ("api_generated.py", "import boto3\nboto3.client('s3')\n"),
        ("tests/test_agent.py", "import requests\nrequests.get('https://staging.acme.io')\n"),
    ];
    Sources::new(files.iter().chain(pack).copied()).unwrap()
}

fn whole() -> Analysis {
    let pack = [
        (".agentlint/crm.toml", CRM),
        (".agentlint/secrets/acme-vault.toml", VAULT),
        (".agentlint/pack.toml", SETTINGS),
    ];
    analyze(&project(&pack), &Options::default())
}

fn tool(analysis: &Analysis, kind: ToolKind) -> &Tool {
    analysis.tools.iter().find(|tool| tool.kind == kind).unwrap()
}

fn calls(tool: &Tool) -> Vec<(u32, &str, &str)> {
    let calls = tool.call_sites.iter();
    calls.map(|site| (site.line, site.method.as_deref().unwrap_or(""), site.path.as_deref().unwrap_or(""))).collect()
}

#[test]
fn a_wrapper_of_ones_own_is_a_tool_behind_the_platforms_variable() {
    let analysis = whole();
    let crm = tool(&analysis, ToolKind::Env);
    assert_eq!((crm.name.as_str(), crm.detected_url_pattern.as_deref()), ("crm", Some("TOOL_CRM_URL")));
    assert_eq!(calls(crm), [(11, "GET", "/v1/accounts/{number}"), (15, "DELETE", "/accounts/{number}")]);
}

#[test]
fn a_host_of_ones_own_has_the_packs_name() {
    assert_eq!(tool(&whole(), ToolKind::Http).name, "crm");
    let without = analyze(&project(&[]), &Options::default());
    assert_eq!(tool(&without, ToolKind::Http).name, "acme-crm");
}

#[test]
fn a_format_of_ones_own_is_a_secret_as_bad_as_the_pack_says() {
    let analysis = whole();
    let [secret] = &analysis.secrets[..] else { panic!("{:?}", analysis.secrets) };
    assert_eq!((secret.kind.as_str(), secret.line), ("oauth_token", 6));
    assert_eq!((secret.provider.as_deref(), secret.severity), (Some("acme-vault"), Severity::Low));
    assert_eq!(secret.suggested_env.as_deref(), Some("ACME_VAULT_TOKEN"));
}

#[test]
fn excluded_files_are_not_analyzed_and_are_still_the_projects() {
    let analysis = whole();
    assert_eq!(analysis.outbound_destinations, ["crm.acme.io"]);
    assert_eq!(analysis.detected_requirements, ["our-sdk", "requests"]);
    let note = analysis.notes.iter().find(|note| note.code == "excluded").unwrap();
    assert_eq!(note.message, "2 files were left out, as the rule pack asks");
    let without = analyze(&project(&[]), &Options::default());
    assert!(without.outbound_destinations.contains(&"staging.acme.io".into()));
    assert!(without.detected_requirements.contains(&"boto3".into()));
}

#[test]
fn a_broken_file_of_a_pack_is_noted_and_the_others_count() {
    let broken = CRM.replace("hosts", "host").replace("\"crm\"", "\"sales\"");
    let pack = [(".agentlint/crm.toml", CRM), (".agentlint/sales.toml", &broken)];
    let analysis = analyze(&project(&pack), &Options::default());
    let note = analysis.notes.iter().find(|note| note.code == "pack").unwrap();
    assert_eq!((note.file.as_str(), note.line), (".agentlint/sales.toml", 5));
    assert!(note.message.contains("unknown field `host`"), "{}", note.message);
    assert!(analysis.tools.iter().any(|tool| tool.name == "crm"));
}

#[test]
fn a_callers_pack_counts_for_every_project_and_makes_another_id() {
    let options = Options { packs: vec![Arc::new(Pack::read([("crm.toml", CRM)]).unwrap())], ..Options::default() };
    let (with, without) = (analyze(&project(&[]), &options), analyze(&project(&[]), &Options::default()));
    assert!(said(&with).iter().any(|said| said.words == "tool crm env"));
    assert_ne!(with.id, without.id);
    assert_eq!(with.id, analyze(&project(&[]), &options).id);
}

#[test]
fn the_projects_pack_is_stronger_than_the_callers_unless_the_caller_wants_none() {
    let own = CRM.replace("tool = \"crm\"", "tool = \"sales\"");
    let sources = project(&[(".agentlint/crm.toml", &own)]);
    let callers = vec![Arc::new(Pack::read([("crm.toml", CRM)]).unwrap())];
    let mut options = Options { packs: callers, ..Options::default() };
    assert_eq!(tool(&analyze(&sources, &options), ToolKind::Env).name, "sales");
    options.project_pack = false;
    assert_eq!(tool(&analyze(&sources, &options), ToolKind::Env).name, "crm");
}

#[test]
fn a_submitted_module_is_read_and_not_what_a_pack_says_of_it() {
    // Not wished for: who writes a rule for `our_sdk` means it, submitted or not.
    let pack = [(".agentlint/crm.toml", CRM), ("our_sdk.py", "class CRM:\n    def get(self, path):\n        pass\n")];
    let analysis = analyze(&project(&pack), &Options::default());
    assert!(analysis.tools.iter().all(|tool| tool.kind != ToolKind::Env));
}

#[test]
fn odd_values_in_a_pack_are_answered() {
    let lists = ["env", "words", "schemes", "hosts", "clients", "public", "published"];
    let issuer = |list: &str, value: &str, shape: &str| {
        let head = "id = \"odd\"\nname = \"\"\nsource = \"\"\n";
        format!("{head}{list} = ['{value}']\n[[key]]\nshape = '{shape}'\n[[key]]\nshape = '{shape}'\nwhen = 'meant'\n")
    };
    let entry = |value: &str| {
        let head = "id = \"odd\"\nname = \"\"\nsource = \"\"\n";
        format!(
            "{head}hosts = ['{value}']\nprefixes = ['{value}']\nmodels = ['{value}']\ntool = '{value}'\n[[service]]\npython = ['{value}']\njs = ['{value}']\ntool_arg = [0]\npath = '{value}'\npath_arg = [9, '']\n"
        )
    };
    for value in ["", "*", "*.", "#", "()", "..", "#0", "{}", "/", "é", ":", "requests.get", "requests.*"] {
        for list in lists {
            for shape in ["", "a", "[", "é", "[a-z]{1,}", "a[a-z]{0,9999999}"] {
                let pack = issuer(list, value, shape);
                analyze(&project(&[(".agentlint/secrets/odd.toml", &pack)]), &Options::default());
            }
        }
        let settings = format!("exclude = ['{value}']\n");
        let pack = [(".agentlint/odd.toml", &*entry(value)), (".agentlint/pack.toml", &settings)];
        analyze(&project(&pack), &Options::default());
    }
}
