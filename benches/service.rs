//! What the service costs over connections, beside an echo of the same bodies as the limit: requests per second, waiting,
//! processor time, memory. Servers are processes of their own, this one is their clients.
//!
//! `cargo bench --bench service` measures; `-- --soak 10000000` sends so many requests that are answered from the cache
//! and looks at the server's memory.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use bytes::Bytes;
use ingestion_server::web::{World, log, serve};
use ingestion_server::{Config, Ingestion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections that send at one time, each the next request when the answer is there.
const CONNECTIONS: [usize; 3] = [1, 32, 256];
/// Seconds of each measurement; echo and service take turns.
const SECONDS: u64 = 3;
const TURNS: usize = 3;
/// A refused client comes back after this, ten times too early.
const TOO_EARLY: Duration = Duration::from_millis(100);

fn main() {
    let args: Vec<String> = arguments();
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let after = args.iter().position(|arg| arg == "--serve").and_then(|at| args.get(at + 1));
    match (after.map(String::as_str), number("--soak")) {
        (Some("echo"), _) => server(async |listener| {
            let echo = |body: Bytes| async move { ([(CONTENT_TYPE, "application/json")], body) };
            axum::serve(listener, Router::new().route("/analyze", post(echo))).await.expect("it serves");
        }),
        (Some(_), _) => server(async |listener| {
            let config = Config::default();
            log::start(&config.log, None).expect("the log starts once");
            let app = Ingestion::new(&config, World::Real, None).alone(None);
            serve::serve(listener, app, &config.http, None, std::future::pending()).await;
        }),
        (None, Some(requests)) => soak(requests),
        (None, None) => measure(),
    }
}

fn arguments() -> Vec<String> {
    std::env::args().skip(1).collect()
}

#[expect(clippy::disallowed_methods, reason = "a bench asks the clock: that is what it is for")]
fn now() -> Instant {
    Instant::now()
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Serves as the binaries do, on a free port that is said first.
fn server(app: impl AsyncFnOnce(tokio::net::TcpListener)) {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    runtime.block_on(async {
        let listener = serve::listen(([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        say(&listener.local_addr().expect("it is bound").to_string());
        app(listener).await;
    });
}

/// A server in a process of its own, which ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &str) -> Server {
        let own = std::env::current_exe().expect("a program knows where it is");
        let mut command = Command::new(own);
        let mut child = command
            .args(["--serve", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was piped")).read_line(&mut line).expect("it says its address");
        Server { child, address: line.trim().parse().expect("an address") }
    }

    /// Processor time so far.
    fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
        // A hundred ticks a second, user's and system's.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Memory now, in kB.
    fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory so far, in kB.
    fn most_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    /// Microseconds of requests that were answered.
    answered: Vec<u32>,
    /// Microseconds of those that were refused with 429 or 503 and `Retry-After`.
    refused: Vec<u32>,
    /// Anything else is a mistake of the server's.
    wrong: usize,
    seconds: f64,
    processor: Duration,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.answered.extend(other.answered);
        self.refused.extend(other.refused);
        self.wrong += other.wrong;
        self.seconds += other.seconds;
        self.processor += other.processor;
    }

    fn rate(&self) -> f64 {
        self.answered.len() as f64 / self.seconds
    }

    fn each(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / (self.answered.len() + self.refused.len()).max(1) as f64
    }
}

fn quantile(times: &mut [u32], part: f64) -> String {
    times.sort_unstable();
    let at = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
    times.get(at).map_or("-".into(), |micros| format!("{:.2}", f64::from(*micros) / 1e3))
}

/// What one connection sends: one body again and again, or one of its own each time.
enum Load {
    Same(Vec<u8>),
    New(fn(u64) -> Vec<u8>),
}

fn request(body: &str) -> Vec<u8> {
    let head = format!("POST /analyze HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body.as_bytes()].concat()
}

fn text(lines: usize, salt: u64) -> String {
    let agent = include_str!("../fixtures/agents/quickstart-echo/input/agent.py");
    let text = format!("{agent}# {salt}\n{}", "value = compute(1, 2)\n".repeat(lines));
    serde_json::json!({ "files": { "agent.py": text } }).to_string()
}

fn new_agent(salt: u64) -> Vec<u8> {
    request(&text(0, salt))
}

/// All connections at once, each for so long or so many requests.
fn drive(server: &Server, connections: usize, seconds: Duration, most: u64, load: &Load) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let before = server.processor();
    let began = now();
    let end = began + seconds;
    let left = std::cell::Cell::new(most);
    let mut all = runtime.block_on(async {
        let clients = (0..connections).map(|_| client(server.address, end, &left, load));
        let mut all = Seen::default();
        for seen in futures_util::future::join_all(clients).await {
            all.add(seen);
        }
        all
    });
    all.seconds = began.elapsed().as_secs_f64();
    all.processor = server.processor().saturating_sub(before);
    all
}

/// Bodies that no run before has sent.
static SALT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

async fn client(address: SocketAddr, end: Instant, left: &std::cell::Cell<u64>, load: &Load) -> Seen {
    let mut seen = Seen::default();
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = vec![0; 64 << 10];
    while left.get() > 0 {
        left.set(left.get() - 1);
        let new;
        let bytes = match load {
            Load::Same(bytes) => bytes,
            Load::New(make) => {
                new = make(SALT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                &new
            }
        };
        let began = now();
        stream.write_all(bytes).await.expect("the server reads");
        let answer = answer(&mut stream, &mut buffer).await;
        let ended = now();
        let micros = u32::try_from((ended - began).as_micros()).unwrap_or(u32::MAX);
        match answer {
            Answer { status: 200 | 201, .. } => seen.answered.push(micros),
            Answer { status: 429 | 503, later: true } => {
                seen.refused.push(micros);
                tokio::time::sleep(TOO_EARLY).await;
            }
            _ => seen.wrong += 1,
        }
        if ended >= end {
            break;
        }
    }
    seen
}

struct Answer {
    status: u16,
    /// It says when to come back.
    later: bool,
}

async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Answer {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..]).await.expect("the server answers");
        assert!(read > 0, "the server hung up");
        have += read;
        let Some(end) = buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).expect("heads are text").to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let whole = end + 4 + length.parse::<usize>().expect("a number");
        while have < whole {
            let free = buffer.len().min(whole - have);
            let read = stream.read(&mut buffer[..free]).await.expect("the server answers");
            assert!(read > 0, "the server hung up");
            have += read;
        }
        return Answer { status, later: head.contains("\r\nretry-after: ") };
    }
}

fn measure() {
    let (echo, service) = (Server::start("echo"), Server::start("ingestion"));
    say("| body | connections | what | requests/s | p50 ms | p99 ms | p99.9 ms | processor µs each |");
    say("|---|---|---|---|---|---|---|---|");
    let forever = Duration::from_secs(SECONDS);
    let mut ratios = Vec::new();
    for (name, lines) in [("1 kB", 0), ("100 kB", 4_400)] {
        for connections in CONNECTIONS {
            let body = text(lines, 0);
            let load = Load::Same(request(&body));
            let (mut of_echo, mut of_service) = (Seen::default(), Seen::default());
            for _ in 0..TURNS {
                of_echo.add(drive(&echo, connections, forever, u64::MAX, &load));
                of_service.add(drive(&service, connections, forever, u64::MAX, &load));
            }
            ratios.push((name, connections, of_service.rate() / of_echo.rate(), of_echo.each() / of_service.each()));
            row(name, connections, "echo", of_echo);
            row(name, connections, "cached", of_service);
        }
    }
    for connections in CONNECTIONS {
        let mut cold = Seen::default();
        for _ in 0..TURNS {
            cold.add(drive(&service, connections, forever, u64::MAX, &Load::New(new_agent)));
        }
        let (refused, mut of_refused) = (cold.refused.len(), std::mem::take(&mut cold.refused));
        let seconds = cold.seconds;
        row("1 kB", connections, "cold", cold);
        if refused > 0 {
            let (p50, p99) = (quantile(&mut of_refused, 0.5), quantile(&mut of_refused, 0.99));
            say(&format!(
                "| 1 kB | {connections} | refused with Retry-After | {:.0} | {p50} | {p99} | | |",
                refused as f64 / seconds
            ));
        }
    }
    say("");
    say(&beside_half_open(&service));
    say(&large_bodies());
    for (name, connections, rate, processor) in ratios {
        say(&format!(
            "{name}, {connections} connections: cached is {rate:.2} of the echo, {processor:.2} in processor time"
        ));
    }
}

/// Connections that never finish their heads, and what those who do notice of them.
fn beside_half_open(service: &Server) -> String {
    const HALF_OPEN: usize = 500;
    let load = Load::Same(request(&text(0, 0)));
    let forever = Duration::from_secs(SECONDS);
    let (mut alone, mut beside) = (Seen::default(), Seen::default());
    for _ in 0..TURNS {
        alone.add(drive(service, 32, forever, u64::MAX, &load));
        let half_open: Vec<std::net::TcpStream> = (0..HALF_OPEN)
            .map(|_| {
                let mut stream = std::net::TcpStream::connect(service.address).expect("the server accepts");
                stream.write_all(b"POST /analyze HTTP/1.1\r\nhost: a").expect("the server reads");
                stream
            })
            .collect();
        beside.add(drive(service, 32, forever, u64::MAX, &load));
        drop(half_open);
    }
    let (rate, part) = (beside.rate(), beside.rate() / alone.rate());
    let [p99, p99_alone] = [&mut beside, &mut alone].map(|seen| quantile(&mut seen.answered, 0.99));
    format!(
        "beside {HALF_OPEN} half-open connections: {rate:.0} requests/s, {part:.2} of those without; p99 {p99} ms, without {p99_alone} ms"
    )
}

/// Bodies of 100 MB on 16 connections at once: each is refused, and what that takes of memory.
fn large_bodies() -> String {
    let service = Server::start("ingestion");
    let before = service.memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let send = async |announced: bool| {
        let mut stream = TcpStream::connect(service.address).await.expect("the server accepts");
        let length = if announced { "content-length: 104857600" } else { "transfer-encoding: chunked" };
        let head = format!("POST /analyze HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        let piece = vec![b' '; 1 << 20];
        for _ in 0..100 {
            let sent = match announced {
                true => stream.write_all(&piece).await,
                false => stream.write_all(&[b"100000\r\n", piece.as_slice(), b"\r\n"].concat()).await,
            };
            if sent.is_err() {
                break;
            }
        }
        if !announced {
            let _ = stream.write_all(b"0\r\n\r\n").await;
        }
        answer(&mut stream, &mut vec![0; 64 << 10]).await.status
    };
    let statuses = runtime.block_on(futures_util::future::join_all((0..16).map(|index| send(index % 2 == 0))));
    assert!(statuses.iter().all(|status| matches!(status, 413 | 503)), "{statuses:?}");
    format!(
        "16 bodies of 100 MB at once: all refused; memory from {} to {} MB at most",
        before / 1_000,
        service.most_memory() / 1_000
    )
}

fn row(body: &str, connections: usize, what: &str, mut seen: Seen) {
    let (rate, each) = (seen.rate(), seen.each());
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| quantile(&mut seen.answered, part));
    say(&format!("| {body} | {connections} | {what} | {rate:.0} | {p50} | {p99} | {p999} | {each:.0} |"));
    assert_eq!(seen.wrong, 0, "neither answered nor refused in a way that says when to come back");
}

fn soak(requests: u64) {
    let server = Server::start("ingestion");
    let load = Load::Same(request(&text(0, 0)));
    let forever = Duration::from_secs(1 << 30);
    // What is made once is made before the first look.
    drive(&server, 32, forever, requests.min(20_000), &load);
    say("| requests | memory kB |\n|---|---|");
    say(&format!("| 0 | {} |", server.memory()));
    let part = requests.div_ceil(10).max(1);
    let mut sent = 0;
    while sent < requests {
        sent += drive(&server, 32, forever, part.min(requests - sent), &load).answered.len() as u64;
        say(&format!("| {sent} | {} |", server.memory()));
    }
}
