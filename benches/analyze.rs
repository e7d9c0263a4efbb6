//! What an analysis costs: first a table of phases against bare parsing, measured in processor time and in turns so
//! that a busy machine disturbs all of them alike; then latencies.
//!
//! `cargo bench --bench analyze`; the real corpus takes part when `cargo xtask corpus` has fetched it. With `hostile`
//! as argument: every hostile shape at its full size, the slowest first. With `budget`: how near real files come to
//! the parser's budget. With `threads`: processor time against wall-clock time on two threads, and peak memory.

#![expect(clippy::print_stdout, reason = "a bench speaks to whoever started it")]

use std::path::PathBuf;
use std::sync::Arc;

use analyzer_core::manifest::Manifests;
use analyzer_core::modules::Modules;
use analyzer_core::resolve::{File, Project};
use analyzer_core::sites::Context;
use analyzer_core::{Knowledge, Options, Sources, analyze, knowledge, lang, work};
use divan::Bencher;
use divan::counter::BytesCount;
use test_bench::{corpus, hostile};

/// As the servers have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "the binary reads its own arguments and cargo's environment")]
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), |path| root().join(path));
    let wanted = |word: &str| std::env::args().skip(1).any(|argument| argument == word);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).stack_size(16 << 20).build().expect("a thread");
    if wanted("hostile") {
        return one.install(slowest);
    }
    let corpora = || {
        // One at a time, so that none is counted as another's memory.
        let real = corpus::PARTS.into_iter().map(|part| {
            let files = corpus::load(&corpus::folder(target.clone()), part).expect("readable");
            (part, files)
        });
        let generated = std::iter::once_with(|| ("generated", generated(2_000)));
        generated.chain(real.filter(|(_, files)| !files.is_empty()))
    };
    if wanted("budget") {
        return corpora().for_each(|(name, files)| budget(name, &files));
    }
    if wanted("threads") {
        return corpora().for_each(|(name, files)| threads(name, files));
    }
    if !wanted("latency") {
        for (name, files) in corpora() {
            one.install(|| phases(name, files));
        }
    }
    divan::main();
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Processor time of this thread, in nanoseconds; wall-clock time where the system does not tell.
fn now() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat");
    let told = told.ok().and_then(|text| text.split(' ').next()?.parse().ok());
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    told.unwrap_or_else(|| {
        static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed().as_nanos() as u64
    })
}

fn timed<T>(ask: impl FnOnce() -> T) -> (T, u64) {
    let start = now();
    let answer = ask();
    (answer, now() - start)
}

/// Agents of ordinary shape, all of them different.
fn generated(files: usize) -> Vec<(String, String)> {
    let agent = |i: usize| match i % 2 {
        0 => (
            format!("agents/agent_{i}.py"),
            format!(
                "\"\"\"Agent {i}.\"\"\"\nimport os\nimport requests\nfrom openai import OpenAI\nfrom agents.agent_{} import helper\n\n\
                 MODEL = os.getenv(\"MODEL_{i}\", \"gpt-4o\")\nBASE = os.environ[\"TOOL_CRM_{i}_URL\"]\nclient = OpenAI()\n\n\n\
                 def helper(account: str, limit: int = 10) -> dict:\n    \"\"\"Reads an account.\"\"\"\n    \
                 response = requests.get(f\"{{BASE}}/accounts/{{account}}\", params={{\"limit\": limit}}, timeout=30)\n    \
                 response.raise_for_status()\n    return response.json()\n\n\n\
                 def answer(question: str) -> str:\n    context = helper(question.split()[0])\n    messages = [\n        \
                 {{\"role\": \"system\", \"content\": \"You are agent number {i}. Be brief.\"}},\n        \
                 {{\"role\": \"user\", \"content\": f\"{{context}} {{question}}\"}},\n    ]\n    \
                 reply = client.chat.completions.create(model=MODEL, messages=messages, temperature=0.2)\n    \
                 return reply.choices[0].message.content\n\n\nif __name__ == \"__main__\":\n    print(answer(\"a b\"))\n",
                (i + 2) % files
            ),
        ),
        _ => (
            format!("src/agent{i}.ts"),
            format!(
                "import OpenAI from 'openai';\nimport {{ helper as other }} from './agent{}';\n\n\
                 const client = new OpenAI({{ apiKey: process.env.OPENAI_API_KEY }});\nconst BASE = process.env.CRM_{i} ?? 'https://crm{i}.example.com';\n\n\
                 export async function helper(account: string, limit = 10): Promise<unknown> {{\n  \
                 const response = await fetch(`${{BASE}}/accounts/${{account}}?limit=${{limit}}`, {{ method: 'POST' }});\n  \
                 if (!response.ok) {{\n    throw new Error(`status ${{response.status}}`);\n  }}\n  return response.json();\n}}\n\n\
                 export const answer = async (question: string): Promise<string> => {{\n  \
                 const context = await other(question.split(' ')[0]);\n  const reply = await client.chat.completions.create({{\n    \
                 model: 'gpt-4o-mini',\n    messages: [{{ role: 'system', content: 'You are number {i}.' }}, {{ role: 'user', content: question + context }}],\n  \
                 }});\n  return reply.choices[0].message.content ?? '';\n}};\n",
                (i + 2) % files
            ),
        ),
    };
    (0..files).map(agent).collect()
}

/// One line per phase: processor seconds of the fastest of three rounds, speed, ratio to parsing alone.
fn phases(name: &str, files: Vec<(String, String)>) {
    // Real packages together exceed what one submission may hold.
    let limits = analyzer_core::Limits { files: usize::MAX, bytes: usize::MAX, ..Default::default() };
    let sources = Sources::with_limits(files, &limits).expect("clean paths");
    let known = knowledge::builtin();
    let bytes: usize = sources.files().iter().map(|file| file.text.len()).sum();
    let mut best: Vec<(&str, u64)> = Vec::new();
    for _ in 0..3 {
        let round = round(&sources, &known);
        best = match best.is_empty() {
            true => round,
            false => best.into_iter().zip(round).map(|(a, b)| (a.0, a.1.min(b.1))).collect(),
        };
    }
    let floor = best[0].1;
    println!("{name}: {} files, {:.1} MB", sources.files().len(), bytes as f64 / 1e6);
    for (phase, nanos) in best {
        let ratio = nanos as f64 / floor as f64;
        println!(
            "  {phase:<28} {:>7.2} s {:>8.1} MB/s {ratio:>7.2} x parse",
            nanos as f64 / 1e9,
            bytes as f64 * 1e3 / nanos as f64
        );
    }
}

fn round(sources: &Sources, known: &Knowledge) -> Vec<(&'static str, u64)> {
    let files = sources.files();
    let (_, parse) = timed(|| files.iter().filter(|f| lang::cost(&f.text, f.language).is_some()).count());
    let read = |file: &analyzer_core::sources::Source| Arc::new(lang::read(file, None).expect("nobody cancels"));
    let (facts, reading) = timed(|| files.iter().map(read).collect::<Vec<_>>());
    let ((manifests, modules), index) = timed(|| {
        let manifests = Manifests::read(sources);
        let modules = Modules::new(sources, &manifests);
        (manifests, modules)
    });
    let with_facts = || files.iter().zip(&facts).map(|(source, facts)| File { source, facts: facts.clone() }).collect();
    let (project, resolve) = timed(|| Project::new(with_facts(), known, &modules));
    let (context, sites) = timed(|| Context::new(&project));
    drop((context, manifests));
    let (answer, whole) = timed(|| analyze(sources, &Options::default()));
    drop(answer);
    vec![
        ("parse only", parse),
        ("parse and facts", reading),
        ("manifests and modules", index),
        ("calls among files", resolve),
        ("sites", sites),
        ("whole analysis", whole),
    ]
}

/// The whole analysis on two threads: how busy both are, and the most memory that the process held meanwhile, the texts
/// included.
fn threads(name: &str, files: Vec<(String, String)>) {
    let limits = analyzer_core::Limits { files: usize::MAX, bytes: usize::MAX, ..Default::default() };
    let sources = Sources::with_limits(files, &limits).expect("clean paths");
    let bytes: usize = sources.files().iter().map(|file| file.text.len()).sum();
    let two = rayon::ThreadPoolBuilder::new().num_threads(2).stack_size(16 << 20).build().expect("threads");
    let _ = std::fs::write("/proc/self/clear_refs", "5"); // The highest mark begins anew.
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    let start = (std::time::Instant::now(), two.broadcast(|_| now()));
    let answer = two.install(|| analyze(&sources, &Options::default()));
    let (wall, ends) = (start.0.elapsed().as_secs_f64(), two.broadcast(|_| now()));
    let busy: Vec<u64> = ends.iter().zip(&start.1).map(|(end, start)| end - start).collect();
    let (busy, longest) = (busy.iter().sum::<u64>(), busy.iter().copied().max().unwrap_or(1).max(1));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    println!(
        "{name}: {:.1} MB, {wall:.2} s on the clock, {:.2} of two processors ({:.2} if none had to be waited for), {:.0} MB at most, {} tools",
        bytes as f64 / 1e6,
        busy as f64 / 1e9 / wall,
        // What one thread does alone, the other waits for: the busier of both is how long it takes at least.
        busy as f64 / longest as f64,
        peak.unwrap_or(0.0) / 1e3,
        answer.tools.len()
    );
}

/// Every hostile shape at full size: time, work, and how the work grew.
fn slowest() {
    let mut rows = Vec::new();
    for shape in hostile::SHAPES {
        let ask = |size| {
            let files = (shape.files)(size);
            let bytes: usize = files.iter().map(|(path, text)| path.len() + text.len()).sum();
            let sources = Sources::new(files).expect("clean paths");
            let ((answer, steps), nanos) = timed(|| work::counted(|| analyze(&sources, &Options::default())));
            drop(answer);
            (bytes, steps, nanos)
        };
        let (small, large) = (ask(shape.small), ask(shape.large));
        let growth = |a: u64, b: u64| (b as f64 / a as f64) / (large.0 as f64 / small.0 as f64);
        rows.push((large.2, growth(small.1, large.1), growth(small.2, large.2), shape.name, large.0, large.1));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.0));
    println!("{:<34} {:>9} {:>9} {:>12} {:>11} {:>11}", "shape", "kB", "ms", "steps", "steps grew", "time grew");
    for (nanos, steps_grew, time_grew, name, bytes, steps) in rows {
        println!(
            "{name:<34} {:>9} {:>9.1} {steps:>12} {steps_grew:>11.2} {time_grew:>11.2}",
            bytes / 1_000,
            nanos as f64 / 1e6
        );
    }
}

/// How near real files come to the parser's budget.
fn budget(name: &str, files: &[(String, String)]) {
    let mut costs: Vec<(f64, f64, f64, &str, bool)> = files
        .iter()
        .filter_map(|(path, text)| {
            let cost = lang::cost(text, analyzer_core::Language::of(path, text))?;
            let spent = (cost.ticks as f64 / cost.max_ticks as f64).max(cost.bytes as f64 / cost.max_bytes as f64);
            let len = text.len().max(1) as f64;
            Some((spent, cost.ticks as f64 / len, cost.bytes as f64 / len, path.as_str(), cost.complete))
        })
        .collect();
    costs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let large = || costs.iter().filter(|cost| files.iter().any(|(path, text)| path == cost.3 && text.len() > 20_000));
    let most = |of: fn(&(f64, f64, f64, &str, bool)) -> f64| large().map(of).fold(0.0, f64::max);
    println!(
        "{name}: {} files, {} over budget; of those above 20 kB, at most {:.4} ticks and {:.2} bytes read per byte",
        costs.len(),
        costs.iter().filter(|cost| !cost.4).count(),
        most(|cost| cost.1),
        most(|cost| cost.2),
    );
    for (spent, ticks, bytes, path, _) in costs.iter().take(5) {
        println!("  {:>5.1} % of its budget, {ticks:.4} ticks and {bytes:.2} bytes per byte: {path}", spent * 100.0);
    }
}

/// What the first request of a server pays, once.
#[divan::bench]
fn knowledge_is_loaded(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Knowledge::new(knowledge::embedded()));
}

/// An agent as people submit them, from text to answer.
#[divan::bench(args = [1, 10, 100])]
fn agent_of_files(bencher: Bencher<'_, '_>, files: usize) {
    let files = generated(files);
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let _ = knowledge::builtin();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        let sources = Sources::new(files.iter().map(|(path, text)| (path, text.as_str()))).expect("clean paths");
        analyze(&sources, &Options::default())
    });
}
