//! A thousand clients of every kind at once, on the same names, for a minute: nothing that was acknowledged is lost, and
//! nobody is told of an error of ours. Anything else ends with an exit code that is not 0.
//!
//! `cargo bench -p platform-api --bench clients` runs over SQLite, and over PostgreSQL too where `TEST_DATABASE_URL` says
//! where that is: `cargo xtask postgres -- cargo bench -p platform-api --bench clients`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const KEY: &str = "ra_live_a-key-for-the-bench";
const CLIENTS: usize = 1_000;
const TIME: Duration = Duration::from_secs(60);
/// Tools and runs that all clients share.
const SHARED: usize = 50;
/// Analyses that are asked for again and again.
const SOURCES: usize = 16;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    let mut sound = true;
    for engine in std::iter::once(None).chain(variable("TEST_DATABASE_URL").map(Some)) {
        sound &= runtime.block_on(measure(engine));
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "a bench is told by its caller where the server is")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "a bench asks the clock: that is what it is for")]
fn now() -> Instant {
    Instant::now()
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The platform in a process of its own, which ends with this.
struct Platform {
    child: Child,
    address: String,
}

impl Platform {
    async fn start(engine: Option<&str>) -> Platform {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        let _ = std::fs::remove_dir_all(&folder);
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
        command.env_clear().env("PLATFORM_API_KEY", KEY).env("PLATFORM_LIMITS_REQUESTS_PER_MINUTE", "0");
        command.env("PLATFORM_LOG_LEVEL", "error").args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(folder);
        if let Some(url) = engine {
            let schema = format!("clients_{}", std::process::id());
            platform_api::store::create_schema(url, &schema).await.expect("the server is there");
            command.env("DATABASE_URL", format!("{url}?options=-csearch_path%3D{schema}"));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was piped")).read_line(&mut line).expect("it says its address");
        let address =
            line.split_once("http://").expect("the banner").1.split_once(',').expect("the banner").0.to_string();
        Platform { child, address }
    }

    /// Processor time so far, in seconds.
    fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0
    }

    /// The most memory so far, in MB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) / 1024
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, which is opened once and kept.
struct Client {
    stream: tokio::io::BufStream<TcpStream>,
    address: String,
}

impl Client {
    async fn new(address: &str) -> Client {
        let stream = TcpStream::connect(address).await.expect("the platform accepts");
        Client { stream: tokio::io::BufStream::new(stream), address: address.into() }
    }

    async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.flush().await?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once(' ') {
                Some(("http/1.1", rest)) => status = rest.get(..3).and_then(|word| word.parse().ok()).unwrap_or(0),
                Some(("content-length:", rest)) => length = rest.parse().unwrap_or(0),
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// What a client saw, and what it was promised.
#[derive(Default)]
struct Seen {
    micros: Vec<u32>,
    statuses: BTreeMap<u16, usize>,
    /// Answers that no client should get, and connections that broke.
    wrong: Vec<String>,
    /// Acknowledged events by run.
    events: BTreeMap<String, usize>,
    /// Acknowledged tools.
    tools: Vec<String>,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.micros.extend(other.micros);
        self.wrong.extend(other.wrong);
        self.tools.extend(other.tools);
        other.statuses.into_iter().for_each(|(status, count)| *self.statuses.entry(status).or_default() += count);
        other.events.into_iter().for_each(|(run, count)| *self.events.entry(run).or_default() += count);
    }
}

/// A client with what it counts.
struct Session {
    client: Client,
    seen: Seen,
}

impl Session {
    /// Asks, and gives the answer if it has one of these statuses.
    async fn ask(&mut self, method: &str, path: &str, headers: &str, body: Value, expected: &[u16]) -> Option<Value> {
        let began = now();
        match self.client.ask(method, path, headers, &body).await {
            Ok((status, answer)) => {
                self.seen.micros.push(began.elapsed().as_micros() as u32);
                *self.seen.statuses.entry(status).or_default() += 1;
                if expected.contains(&status) {
                    return Some(answer);
                }
                self.seen.wrong.push(format!("{method} {path}: {status} {answer}"));
            }
            Err(error) => {
                self.seen.wrong.push(format!("{method} {path}: {error}"));
                self.client = Client::new(&self.client.address.clone()).await;
            }
        }
        None
    }

    async fn event(&mut self, run: &str) {
        let event = json!({"type": "USER_MESSAGE", "actor": "u"});
        if self.ask("POST", &format!("/runs/{run}/events"), "", event, &[201]).await.is_some() {
            *self.seen.events.entry(run.into()).or_default() += 1;
        }
    }

    /// One turn of a client: what a deploy pipeline, a console, an agent and an approver do.
    async fn turn(&mut self, me: usize, turn: usize, shared: &[String]) {
        let any = (me * 7 + turn * 13) % SHARED;
        let tool = format!("shared-{any}");
        match (me + turn) % 8 {
            0 => {
                let own = format!("own-{me}-{turn}");
                let body = json!({"name": own, "base_url": "https://api.example.com", "credentials": {"api_key": "k"}});
                if self.ask("POST", "/api/v1/tools", "", body, &[201]).await.is_some() {
                    self.seen.tools.push(own);
                }
            }
            1 => {
                let body = json!({"name": tool, "base_url": format!("https://host-{turn}.example.com")});
                self.ask("POST", "/api/tools", "", body, &[201]).await;
                self.ask("GET", &format!("/api/v1/tools/{tool}"), "", Value::Null, &[200, 404]).await;
            }
            2 => {
                self.ask("DELETE", &format!("/api/tools/{tool}"), "", Value::Null, &[200, 404]).await;
            }
            3 => {
                let run = json!({"agent_id": format!("agent-{any}"), "user_id": "u"});
                let Some(run) = self.ask("POST", "/runs", "", run, &[201]).await else { return };
                let id = run["id"].as_str().unwrap_or_default().to_string();
                self.event(&id).await;
                self.event(&id).await;
                let done = json!({"status": "COMPLETED"});
                self.ask("PATCH", &format!("/api/v1/runs/{id}"), "", done, &[200]).await;
            }
            4 => self.event(&shared[any]).await,
            5 => {
                let asked = json!({"subject": format!("user-{any}"), "tool_id": "crm"});
                let Some(asked) = self.ask("POST", "/governance/requests", "", asked, &[200, 201]).await else {
                    return;
                };
                let path = format!("/api/v1/approvals/requests/{}/approve", asked["id"].as_str().unwrap_or_default());
                // Others ask and decide the same at the same time.
                self.ask("POST", &path, "", Value::Null, &[200, 409]).await;
            }
            6 => {
                self.ask("POST", "/ingestion/analyze", "", source(any), &[201]).await;
                self.ask("GET", "/api/v1/runs?limit=20", "", Value::Null, &[200]).await;
            }
            _ => {
                // The same request again has its effect once, whoever sends it.
                let name = format!("policy-{any}");
                let rules = json!([{"permission": "allow", "resource": "https://crm.example.com/*"}]);
                let header = format!("Idempotency-Key: {me}-{turn}\r\n");
                for _ in 0..2 {
                    let body = json!({"name": name, "rules": rules});
                    self.ask("POST", "/api/v1/policies", &header, body, &[201]).await;
                }
            }
        }
    }
}

fn source(which: usize) -> Value {
    let code = format!("import requests\nrequests.get('https://api.github.com/users/{}')\n", which % SOURCES);
    json!({"files": {"agent.py": code}})
}

async fn measure(engine: Option<String>) -> bool {
    let name = if engine.is_some() { "PostgreSQL" } else { "SQLite" };
    let platform = Platform::start(engine.as_deref()).await;
    let mut first = Session { client: Client::new(&platform.address).await, seen: Seen::default() };
    let mut shared = Vec::new();
    for n in 0..SHARED {
        let run = json!({"agent_id": format!("agent-{n}"), "user_id": "u"});
        let run = first.ask("POST", "/runs", "", run, &[201]).await.expect("a run");
        shared.push(run["id"].as_str().expect("an id").to_string());
        // New sources wait in a short queue, beyond which they are refused; known ones do not.
        first.ask("POST", "/ingestion/analyze", "", source(n), &[201]).await.expect("an analysis");
    }

    let (began, before) = (now(), platform.processor());
    let mut clients = JoinSet::new();
    for me in 0..CLIENTS {
        let (address, shared) = (platform.address.clone(), shared.clone());
        clients.spawn(async move {
            let mut session = Session { client: Client::new(&address).await, seen: Seen::default() };
            for turn in 0.. {
                if began.elapsed() >= TIME {
                    break;
                }
                session.turn(me, turn, &shared).await;
            }
            session.seen
        });
    }
    let mut all = Seen::default();
    while let Some(seen) = clients.join_next().await {
        all.add(seen.expect("no client fails"));
    }
    let (seconds, processor) = (began.elapsed().as_secs_f64(), platform.processor() - before);

    // The first connection was silent for so long that the platform closed it.
    first.client = Client::new(&platform.address).await;
    let lost = lost(&mut first, &all).await;
    all.micros.sort_unstable();
    let quantile = |part: f64| f64::from(all.micros[(all.micros.len() as f64 * part) as usize]) / 1e3;
    let count = all.micros.len();
    say(&format!(
        "{name}: {count} requests of {CLIENTS} clients in {seconds:.0} s, {:.0}/s; p50 {:.0} ms, p99 {:.0} ms, longest \
         {:.0} ms; {:.0} µs of processor each; {} MB at most",
        count as f64 / seconds,
        quantile(0.5),
        quantile(0.99),
        quantile(1.0 - 1.0 / count as f64),
        processor * 1e6 / count as f64,
        platform.memory()
    ));
    let errors: usize = all.statuses.range(500..).map(|(_, count)| count).sum();
    say(&format!(
        "  statuses {:?}; {errors} of 5xx, {} unexpected; {} events and {} tools acknowledged, {} lost",
        all.statuses,
        all.wrong.len(),
        all.events.values().sum::<usize>(),
        all.tools.len(),
        lost.len()
    ));
    all.wrong.iter().chain(&lost).take(10).for_each(|problem| say(&format!("  {problem}")));
    all.wrong.is_empty() && lost.is_empty()
}

/// What was acknowledged and is not there, and numbers that have gaps.
async fn lost(session: &mut Session, seen: &Seen) -> Vec<String> {
    let mut lost = Vec::new();
    for (run, count) in &seen.events {
        let path = format!("/runs/{run}/events?limit=1000000");
        let events = session.ask("GET", &path, "", Value::Null, &[200]).await.unwrap_or_default();
        let events = events.as_array().cloned().unwrap_or_default();
        let numbers = events.iter().filter_map(|event| event["seq"].as_u64());
        let messages = events.iter().filter(|event| event["type"] == "USER_MESSAGE").count();
        if messages != *count || !numbers.eq(1..=events.len() as u64) {
            lost.push(format!("run {run}: {count} events acknowledged, {messages} of {} there", events.len()));
        }
    }
    let tools = session.ask("GET", "/api/tools", "", Value::Null, &[200]).await.unwrap_or_default();
    let tools = tools.as_array().cloned().unwrap_or_default();
    let names: std::collections::BTreeSet<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    lost.extend(seen.tools.iter().filter(|name| !names.contains(name.as_str())).map(|name| format!("tool {name}")));
    lost
}
