//! What the gateway costs: calls of a model through the platform, against the same calls through a bare reverse proxy, in
//! one run, with one stub behind both. Processor time of each process for each request, and the median a caller waits.
//!
//! `cargo bench -p platform-api --bench gateway`; with the path of LiteLLM's `litellm` in the environment as `LITELLM` its
//! proxy is measured too.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const KEY: &str = "ra_live_a-key-for-the-bench";
const MODEL: &str = "gpt-4o-mini";
/// Callers at the same time, and requests of each, in one measurement.
const CALLERS: usize = 16;
const EACH: usize = 1_000;
/// Chunks of a streamed answer.
const CHUNKS: usize = 40;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads can be had");
    match arguments.get(1).map(String::as_str) {
        Some("upstream") => runtime.block_on(upstream()),
        Some("bare-proxy") => runtime.block_on(bare_proxy(arguments[2].parse().expect("an address"))),
        _ => runtime.block_on(measure()),
    }
    ExitCode::SUCCESS
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[expect(clippy::disallowed_methods, reason = "a bench asks the clock: that is what it is for")]
fn now() -> Instant {
    Instant::now()
}

/// A process that says its address in its first line, and ends with this.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was piped")).read_line(&mut line).expect("it says its address");
        let address = line.split_once("http://").expect("an address").1;
        let address = address.split([',', '\n']).next().unwrap_or_default().to_string();
        Process { child, address }
    }

    fn own(arguments: &[&str]) -> Process {
        Process::start(Command::new(std::env::current_exe().expect("it runs")).args(arguments))
    }

    /// Processor time so far, in microseconds; of its children too, as far as they have threads of their own process.
    fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) * 10_000.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers like a model, at once, whole or in pieces that come one by one.
async fn upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    say(&format!("http://{}", listener.local_addr().expect("an address")));
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49});
    let whole = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL, "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word ".repeat(CHUNKS)},
            "finish_reason": "stop"}]});
    let whole = Bytes::from(whole.to_string());
    let mut events: Vec<Bytes> = Vec::new();
    for _ in 0..CHUNKS {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
            "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": null}]});
        events.push(format!("data: {chunk}\n\n").into());
    }
    let end = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [], "usage": usage});
    events.push(format!("data: {end}\n\ndata: [DONE]\n\n").into());
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (whole, events) = (whole.clone(), events.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (whole, events) = (whole.clone(), events.clone());
            async move {
                let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
                if asked["stream"] != true {
                    let answer = Response::builder().header(CONTENT_TYPE, "application/json");
                    return answer.body(axum::body::Body::from(whole));
                }
                let pieces = futures_util::stream::unfold(events.into_iter(), |mut events| async move {
                    let event = events.next()?;
                    tokio::task::yield_now().await;
                    Some((Ok::<_, Infallible>(event), events))
                });
                let answer = Response::builder().header(CONTENT_TYPE, "text/event-stream");
                answer.body(axum::body::Body::from_stream(pieces))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// The least that a reverse proxy can do: every request goes on, every answer comes back.
async fn bare_proxy(upstream: SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    say(&format!("http://{}", listener.local_addr().expect("an address")));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let client = client.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let client = client.clone();
            async move {
                let (mut parts, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                parts.headers.remove(HOST);
                let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                parts.uri = format!("http://{upstream}{path}").parse().expect("an address");
                client.request(Request::from_parts(parts, Full::new(body))).await
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// What one way to the model took.
struct Took {
    processor: f64,
    median: Duration,
}

/// Asks `callers * each` times over connections that stay open.
async fn ask(process: &Process, path: &str, stream: bool, callers: usize, each: usize) -> Took {
    let body = json!({"model": MODEL, "stream": stream,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say something. ".repeat(20)}]});
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: gateway\r\n{AUTHORIZATION}: Bearer {KEY}\r\n{CONTENT_TYPE}: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let before = process.processor();
    let mut asking = JoinSet::new();
    for _ in 0..callers {
        let (address, head) = (process.address.clone(), head.clone());
        asking.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.set_nodelay(true).expect("it is a socket");
            let (mut took, mut held) = (Vec::with_capacity(each), Vec::new());
            for _ in 0..each {
                let began = now();
                stream.write_all(head.as_bytes()).await.expect("it reads");
                answer(&mut stream, &mut held).await;
                took.push(began.elapsed());
            }
            took
        });
    }
    let mut all: Vec<Duration> = asking.join_all().await.into_iter().flatten().collect();
    let processor = (process.processor() - before) / all.len() as f64;
    all.sort_unstable();
    Took { processor, median: all[all.len() / 2] }
}

/// Reads one answer: with a length, or in chunks to the last one.
async fn answer(stream: &mut TcpStream, held: &mut Vec<u8>) {
    held.clear();
    loop {
        if let Some(end) = held.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: Option<usize> = length.and_then(|digits| digits.trim().parse().ok());
            let whole = match length {
                Some(length) => held.len() >= end + 4 + length,
                None => held.ends_with(b"\r\n0\r\n\r\n"),
            };
            if whole {
                return;
            }
        }
        assert!(stream.read_buf(held).await.expect("it answers") > 0, "{}", String::from_utf8_lossy(held));
    }
}

async fn call(process: &Process, path: &str, body: Value) {
    let mut stream = TcpStream::connect(&process.address).await.expect("it listens");
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("it answers");
    assert!(reply.starts_with("HTTP/1.1 20"), "{reply}");
}

async fn measure() {
    let upstream = Process::own(&["upstream"]);
    let bare = Process::own(&["bare-proxy", &upstream.address]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gateway");
    let _ = std::fs::remove_dir_all(&folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
    command.env_clear().env("PLATFORM_API_KEY", KEY).env("PLATFORM_RUNNER_KIND", "none");
    // Counted like everybody, and never stopped.
    command.env("PLATFORM_LIMITS_REQUESTS_PER_MINUTE", "1000000000");
    command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&folder);
    let platform = Process::start(&mut command);
    let spec = json!({"provider": "openai", "endpoint": format!("http://{}", upstream.address), "models": [MODEL],
        "auth": {"type": "APIKey"}});
    let provider = json!({"name": "stub", "spec": spec, "credentials": {"api_key": "sk-of-the-stub"}});
    call(&platform, "/api/model-providers", provider).await;
    let files = json!({"agent.py": "def handler(request):\n    return 1\n"});
    let model = json!({"role": "chat", "provider": "openai", "model": MODEL, "monthly_budget_usd": 100_000.0});
    call(&platform, "/api/deploy", json!({"name": "bench", "files": files, "llm_configs": [model]})).await;

    let path = "/v1/chat/completions";
    let mut ways = vec![("bare proxy", &bare), ("platform, with a key", &platform)];
    let lite = litellm(&upstream).await;
    ways.extend(lite.as_ref().map(|lite| ("LiteLLM's proxy", lite)));
    for stream in [false, true] {
        say(&format!("{}: {CALLERS} callers, {} requests", if stream { "streamed" } else { "whole" }, CALLERS * EACH));
        let mut first: Option<(f64, Duration)> = None;
        for (name, process) in &ways {
            let slow = *name == "LiteLLM's proxy";
            let each = if slow { EACH / 20 } else { EACH };
            ask(process, path, stream, CALLERS, each / 5).await;
            let took = ask(process, path, stream, CALLERS, each).await;
            let alone = ask(process, path, stream, 1, each).await;
            let (bare, median) = *first.get_or_insert((took.processor, alone.median));
            say(&format!(
                "  {name:<24} {:>8.1} us of processor a request, {:>6.2} times the bare proxy's; alone {:>6} us, {:>6} us more",
                took.processor,
                took.processor / bare,
                alone.median.as_micros(),
                alone.median.saturating_sub(median).as_micros()
            ));
        }
    }
}

/// LiteLLM's proxy over the same stub, where it is installed.
async fn litellm(upstream: &Process) -> Option<Process> {
    #[expect(clippy::disallowed_methods, reason = "a bench is told by its caller where a peer is")]
    let program = std::env::var("LITELLM").ok()?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("litellm");
    let _ = std::fs::create_dir_all(&folder);
    let settings = format!(
        "model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n      \
         api_base: http://{}/v1\n      api_key: sk-of-the-stub\ngeneral_settings:\n  master_key: {KEY}\n",
        upstream.address
    );
    std::fs::write(folder.join("config.yaml"), settings).expect("the folder can be written");
    let port = TcpListener::bind("127.0.0.1:0").await.and_then(|free| free.local_addr()).expect("a port").port();
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.join("config.yaml")).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let process = Process { child, address: format!("127.0.0.1:{port}") };
    for _ in 0..600 {
        if TcpStream::connect(&process.address).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(2)).await;
            return Some(process);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}
