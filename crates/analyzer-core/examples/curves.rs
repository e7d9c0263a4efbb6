//! How the cost of an analysis grows: one line for each measure and size, as `measure,size,bytes,milliseconds`. `cargo
//! xtask curves` draws them. Processor time of one thread, the fastest of three or, above two seconds, of one.

use std::io::Write;
use std::sync::Arc;

use analyzer_core::knowledge::{self, index::Folder};
use analyzer_core::{Limits, Options, Pack, Sources, analyze};

type Files = Vec<(String, String)>;

/// What grows, from which size to which, and the project of a size.
type Measure = (&'static str, usize, usize, fn(usize) -> Files);

const MEASURES: [Measure; 6] = [
    ("files", 1_000, 100_000, |size| (0..size).map(agent).collect()),
    ("file size", 1_000, 64_000, |size| vec![("agent.py".into(), (0..size).map(statement).collect())]),
    ("depth", 500, 32_000, |size| {
        let text = format!("import requests\nx = {}1{}\n", "[".repeat(size), "]".repeat(size));
        vec![("agent.py".into(), text)]
    }),
    ("calls in a file", 500, 32_000, |size| {
        let head =
            "import requests\n\n\ndef ask(path):\n    return requests.get('https://api.example.com/' + path)\n\n\n";
        let calls = (0..size).map(|n| format!("ask('a{n}')\n"));
        vec![("agent.py".into(), std::iter::once(head.to_owned()).chain(calls).collect())]
    }),
    ("modules in a chain", 250, 16_000, |size| (0..size).map(|n| module(n, (n + 1 < size).then_some(n + 1))).collect()),
    ("modules in a circle", 250, 16_000, |size| (0..size).map(|n| module(n, Some((n + 1) % size))).collect()),
];

fn agent(n: usize) -> (String, String) {
    let text = format!(
        "import os\nimport requests\nfrom openai import OpenAI\n\nclient = OpenAI()\nBASE = os.environ[\"CRM_{n}_URL\"]\n\n\n\
         def look(account):\n    \"\"\"Reads an account.\"\"\"\n    return requests.get(f\"{{BASE}}/accounts/{{account}}\").json()\n\n\n\
         def answer(question):\n    return client.chat.completions.create(model=\"gpt-4o\", messages=[{{\"role\": \"user\", \"content\": look(question)}}])\n"
    );
    (format!("agents/part{}/agent_{n}.py", n / 100), text)
}

fn statement(n: usize) -> String {
    format!(
        "def step_{n}(value, limit=10):\n    other = value[\"name\"].strip() or \"none {n}\"\n    return [other, limit + {n}]\n\n\n"
    )
}

fn module(n: usize, next: Option<usize>) -> (String, String) {
    let text = match next {
        Some(next) => format!("from m{next} import value as below\n\n\ndef value(x):\n    return below(x)\n"),
        None => "import requests\n\n\ndef value(x):\n    return requests.get('https://api.example.com/' + x)\n".into(),
    };
    (format!("m{n}.py"), text)
}

/// Entries of made-up services.
fn entry(n: usize) -> String {
    format!(
        "id = \"made-{n}\"\nname = \"Made {n}\"\nsource = \"made\"\nhosts = [\"api{n}.made.example\"]\n\
         [[service]]\npython = [\"made{n}.Client().get\"]\n"
    )
}

fn main() {
    // One thread that does everything, so that its processor time is all there is.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).stack_size(16 << 20).build();
    one.expect("a thread").install(measure);
}

fn measure() {
    for (measure, from, to, project) in MEASURES {
        let mut size = from;
        while size <= to {
            let limits = Limits { files: usize::MAX, bytes: usize::MAX, ..Limits::default() };
            let Ok(sources) = Sources::with_limits(project(size), &limits) else { break };
            say(measure, size, &sources, &Options::default());
            size *= if to / from > 64 { 10 } else { 2 };
        }
    }
    let small: Files = (0..200).map(agent).collect();
    let Ok(sources) = Sources::new(small) else { return };
    for size in [1, 1_000, 2_000, 4_000, 8_000, 16_000] {
        let path = |n: usize| format!("services/made_{n}.toml");
        let entries = (0..size).filter_map(|n| Some((Folder::Service, knowledge::parse(&path(n), &entry(n)).ok()?)));
        let known = knowledge::builtin().with(entries);
        say("knowledge entries", size, &sources, &Options { knowledge: Arc::new(known), ..Options::default() });
    }
    for size in [1, 8, 16, 32, 64, 128] {
        let pack = |n: usize| Pack::read([(format!("services/made_{n}.toml"), entry(n))]).ok().map(Arc::new);
        let packs = (0..size).filter_map(pack).collect();
        say("rule packs", size, &sources, &Options { packs, ..Options::default() });
    }
}

/// Processor time of this thread, in nanoseconds; 0 where the system does not tell.
fn now() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat");
    told.ok().and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn say(measure: &str, size: usize, sources: &Sources, options: &Options) {
    let bytes: usize = sources.files().iter().map(|file| file.text.len()).sum();
    let ask = || {
        let start = now();
        drop(analyze(sources, options));
        now() - start
    };
    let first = ask();
    // What takes seconds is not measured better by asking again.
    let again = if first < 2_000_000_000 { 2 } else { 0 };
    let fastest = (0..again).map(|_| ask()).fold(first, u64::min);
    let _ = writeln!(std::io::stdout(), "{measure},{size},{bytes},{:.3}", fastest as f64 / 1e6);
}
