//! Laws that hold for every input: order and threads do not matter, any prefix of any file is answered.

use analyzer_core::{Analysis, Options, Sources, analyze};
use proptest::prelude::*;
use test_bench::labels;

fn fixtures() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents");
    labels::sources(&folder).expect("readable").into_iter().filter(|(path, _)| path.contains("/input/")).collect()
}

fn answer(files: Vec<(String, String)>) -> Analysis {
    analyze(&Sources::new(files).expect("clean paths"), &Options::default())
}

fn bytes(analysis: &Analysis) -> String {
    serde_json::to_string(analysis).expect("plain data")
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| bytes(&answer(fixtures())))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_files_does_not_matter(seed in any::<u64>()) {
        let files = fixtures();
        let mut shuffled = files.clone();
        let mut state = seed | 1;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        prop_assert_eq!(bytes(&answer(files)), bytes(&answer(shuffled)));
    }

    #[test]
    fn any_prefix_of_any_file_is_answered(which in any::<prop::sample::Index>(), cut in 0.0..1.0f64) {
        let files = fixtures();
        let (path, text) = which.get(&files).clone();
        let mut end = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let analysis = answer(vec![(path, text[..end].to_owned())]);
        prop_assert!(!analysis.cancelled);
    }
}

/// Files that an editor may have open, and what may be typed into them: what one says changes what others mean.
const EDITS: &[(&str, &[&str])] = &[
    (
        "agent.py",
        &[
            "import helpers\nfrom settings import BASE\nhelpers.call('https://api.stripe.com/v1/charges')\nhelpers.call(BASE + '/x')\n",
            "import helpers\nhelpers.call('https://api.github.com/user'\n",
            "",
            "# moved\nfrom helpers import *\nimport os\ncall(os.getenv('CRM_URL') + '/v1')\nClient('https://a.acme.io').go()\n",
            "API_KEY = 'sk_live_4eC39HqLyjWDarjtT1zdp7dcAbCdEfGh'\nprint(API_KEY)\n",
            "from app import chat, agent_tools\nfrom agents import Agent\nAgent(name='a', instructions=chat.PROMPT, tools=agent_tools)\n",
        ],
    ),
    (
        "helpers.py",
        &[
            "import requests\ndef call(url):\n    return requests.get(url)\n",
            "import httpx\ndef call(url):\n    return httpx.post(url)\n",
            "import requests\nfrom base import Base\nclass Client(Base):\n    def __init__(self, base):\n        self.base = base\n",
            "import os\nos.environ['CRM_URL'] = 'https://crm.acme.io'\nfrom other import call\n",
            "def call(url):\n    return eval(url)\n",
        ],
    ),
    (
        "base.py",
        &[
            "import requests\nclass Base:\n    base = ''\n    def go(self):\n        return requests.get(self.base + '/go')\n",
            "from langchain.tools import BaseTool\nclass Base(BaseTool):\n    name = 'go'\n",
            "\n\nclass Base:\n    pass\n",
        ],
    ),
    (
        "other.py",
        &[
            "import requests\ndef call(u):\n    requests.delete(u, verify=False)\n",
            "from helpers import call\nTABLE = {'search': call}\n",
            "from langchain_core.tools import tool\n@tool\ndef fetch(url: str):\n    'Fetches. All of it.'\n    import requests\n    return requests.get(url)\n",
        ],
    ),
    (
        "settings.py",
        &[
            "BASE = 'https://one.acme.io'\nMODEL = 'gpt-4o'\n",
            "import os\nBASE = os.environ.get('BASE_URL', 'http://localhost:9')\nMODEL = os.environ['MODEL']\n",
            "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    base: str = 'https://two.acme.io'\nBASE = S().base\nMODEL = None\n",
        ],
    ),
    (
        "app/__init__.py",
        &[
            "from .chat import *\nfrom .tools import agent_tools\nfrom . import chat\n",
            "from . import chat\nagent_tools = []\n",
        ],
    ),
    (
        "app/chat.py",
        &[
            "from openai import OpenAI\nfrom settings import MODEL\nPROMPT = 'You are a clerk.'\nclient = OpenAI()\nclient.chat.completions.create(model=MODEL, messages=[{'role': 'system', 'content': PROMPT}])\n",
            "import streamlit as st\nPROMPT = open('prompt.txt').read()\nst.session_state.client.chat.completions.create(model='gpt-4o-mini')\n",
            "import anthropic\nfrom app.tools import run\nPROMPT = 'Be kind to all.'\nrun(anthropic.Anthropic())\n",
        ],
    ),
    (
        "app/tools.py",
        &[
            "from other import call\ndef search(q):\n    return call('https://s.acme.io/' + q)\nagent_tools = [search]\n",
            "import streamlit as st\nfrom openai import OpenAI\nst.session_state.client = OpenAI(base_url='https://llm.acme.io/v1')\nagent_tools = []\n",
            "def run(client):\n    return client.messages.create(model='claude-3-5-sonnet-latest', system='Answer.')\n",
            "TOOLS = [{'type': 'function', 'function': {'name': 'search', 'parameters': {}}}]\nagent_tools = TOOLS\n",
        ],
    ),
    ("requirements.txt", &["requests\n", "requests==2.32.3\nopenai>=1\nnewsdk\n", ""]),
    ("prompt.txt", &["You are a clerk.\n", "You are a judge, and a fair one.\n"]),
    (
        "app.ts",
        &[
            "import OpenAI from 'openai'\nimport { MODEL } from '@lib/client'\nnew OpenAI().chat.completions.create({ model: MODEL, messages: [] })\n",
            "import { http } from './lib/client.js'\nhttp.get('/orders')\nfetch(`https://api.acme.io/${process.env.ORG}`)\n",
            "import newsdk from 'newsdk'\nimport core from '@acme/core'\ncore(newsdk)\n",
        ],
    ),
    (
        "lib/client.ts",
        &[
            "import axios from 'axios'\nexport const MODEL = 'gpt-4o'\nexport const http = axios.create({ baseURL: 'https://shop.acme.io' })\n",
            "export * from './more'\n",
            "export default function core() {}\n",
        ],
    ),
    (
        "lib/more.ts",
        &["export const MODEL = process.env.MODEL || 'o3'\nexport const http = { get: fetch }\n", "export {}\n"],
    ),
    ("tsconfig.json", &["{\"compilerOptions\": {\"paths\": {\"@lib/*\": [\"lib/*\"]}}}", "{", "{}"]),
    (
        "package.json",
        &["{\"name\": \"@acme/core\", \"main\": \"lib/client.ts\", \"dependencies\": {\"openai\": \"*\"}}", "{}"],
    ),
    (
        "mcp.json",
        &[
            "{\"mcpServers\": {\"files\": {\"command\": \"npx\", \"args\": [\"-y\", \"@acme/files\"]}}}",
            "{\"mcpServers\": {}}",
        ],
    ),
    (".agentlint/pack.toml", &["exclude = ['helpers.py']\n", "exclude = ['app/**']\n", "nonsense"]),
    (".env", &["STRIPE_KEY=sk_live_4eC39HqLyjWDarjtT1zdp7dcAbCdEfGh\n", "MODEL=o3\n"]),
    (
        "tests/test_agent.py",
        &[
            "import pytest\nfrom helpers import call\ndef test_it():\n    call('https://made.up.io')\n",
            "from helpers import call\ncall('https://real.acme.io')\n",
        ],
    ),
    ("newsdk.py", &["def go(): pass\n"]),
];

fn edits() -> impl Strategy<Value = Vec<(usize, prop::sample::Index, bool)>> {
    prop::collection::vec((0..EDITS.len(), any::<prop::sample::Index>(), prop::bool::weighted(0.1)), 1..20)
}

/// The session says what the same files get anew, in the same bytes.
fn holds(session: &mut analyzer_core::Session) -> Result<(), TestCaseError> {
    let lint = analyzer_core::lint::LintOptions::default();
    let sources = session.sources().unwrap();
    let anew = analyzer_core::lint::lint(&sources, &Options::default(), &lint);
    let now = session.lint(&lint).unwrap();
    prop_assert_eq!(bytes(&now.analysis), bytes(&anew.analysis));
    prop_assert_eq!(now.findings, anew.findings);
    prop_assert_eq!(now.silenced, anew.silenced);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edits_end_where_the_same_files_begin(full in any::<bool>(), steps in edits()) {
        let mut session = analyzer_core::Session::new(Options::default());
        if full {
            EDITS.iter().for_each(|(path, texts)| session.set(path, texts[0]));
            holds(&mut session)?;
        }
        for (edit, text, remove) in steps {
            let (path, texts) = EDITS[edit];
            match remove {
                true => session.remove(path),
                false => session.set(path, *text.get(texts)),
            }
            holds(&mut session)?;
        }
    }

    #[test]
    fn edits_between_which_nobody_asks_end_there_too(steps in edits(), asks in any::<u32>()) {
        let mut session = analyzer_core::Session::new(Options::default());
        EDITS.iter().for_each(|(path, texts)| session.set(path, texts[0]));
        for (step, (edit, text, _)) in steps.into_iter().enumerate() {
            let (path, texts) = EDITS[edit];
            session.set(path, *text.get(texts));
            match asks >> (step % 32) & 1 {
                0 => {}
                _ if step % 3 == 0 => {
                    let anew = analyze(&session.sources().unwrap(), &Options::default());
                    prop_assert_eq!(bytes(&session.analysis().unwrap()), bytes(&anew));
                }
                _ => holds(&mut session)?,
            }
        }
        holds(&mut session)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_that_come_and_go_in_whole_agents_end_there_too(
        from in any::<prop::sample::Index>(),
        steps in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4usize), 1..8,
        ),
    ) {
        let all = fixtures();
        let files: Vec<_> = all.iter().cycle().skip(from.index(all.len())).take(30.min(all.len())).cloned().collect();
        let mut session = analyzer_core::Session::new(Options::default());
        files.iter().for_each(|(path, text)| session.set(path, text.as_str()));
        holds(&mut session)?;
        for (which, at, other, change) in steps {
            let path = &which.get(&files).0;
            let text = session.text(path).unwrap().to_string();
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            let place = at.index(lines.len() + 1);
            let others: Vec<&str> = other.get(&files).1.split_inclusive('\n').collect();
            match change {
                0 => lines.insert(place, "\n"),
                1 if place < lines.len() => drop(lines.remove(place)),
                2 if !others.is_empty() => lines.insert(place, others[at.index(others.len())]),
                _ => lines.truncate(place),
            }
            session.set(path, lines.concat());
            holds(&mut session)?;
        }
    }
}
