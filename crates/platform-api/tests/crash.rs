//! What was acknowledged is there, however the process ended: it is killed in the middle of writing, two hundred times.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

const KEY: &str = "ra_live_a-key-for-the-crash";
const KILLS: usize = 200;
const WRITERS: usize = 4;

struct Platform {
    child: Child,
    address: String,
}

/// What the platform said it has.
#[derive(Default)]
struct Acknowledged {
    tools: Vec<String>,
    /// Events by run.
    runs: BTreeMap<String, i64>,
}

impl Platform {
    fn start(data: &Path) -> Platform {
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
        command.env_clear().env("PLATFORM_API_KEY", KEY).env("PLATFORM_LIMITS_REQUESTS_PER_MINUTE", "0");
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_once("http://").expect(&line).1.split_once(',').unwrap().0.to_string();
        Platform { child, address }
    }

    /// SIGKILL: nothing is put away.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The body of an answer with that status; none when the platform went away or refused.
fn ask(address: &str, method: &str, path: &str, body: &str, status: u16) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    if !head.starts_with(&format!("HTTP/1.1 {status} ")) {
        return None;
    }
    // An answer that broke off was never given.
    serde_json::from_str(body).ok()
}

/// Writes until the platform goes away.
fn write(address: &str, writer: usize, round: usize, count: &AtomicUsize, known: &Mutex<Acknowledged>) {
    for n in 0.. {
        let name = format!("t{round}-{writer}-{n}");
        let tool = json!({"name": name, "base_url": "https://a.io", "credentials": {"api_key": "k"}}).to_string();
        if ask(address, "POST", "/api/tools", &tool, 201).is_none() {
            return;
        }
        known.lock().unwrap().tools.push(name);
        count.fetch_add(1, Ordering::SeqCst);
        let run = json!({"agent_id": "a", "user_id": "u"}).to_string();
        let Some(run) = ask(address, "POST", "/runs", &run, 201) else { return };
        let id = run["id"].as_str().unwrap().to_string();
        known.lock().unwrap().runs.insert(id.clone(), 0);
        for _ in 0..3 {
            let event = json!({"type": "USER_MESSAGE"}).to_string();
            let Some(event) = ask(address, "POST", &format!("/runs/{id}/events"), &event, 201) else { return };
            let seq = event["seq"].as_i64().unwrap();
            known.lock().unwrap().runs.insert(id.clone(), seq);
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Everything acknowledged is there, and the invariants hold.
fn check(address: &str, known: &Acknowledged, round: usize) {
    let tools = ask(address, "GET", "/api/tools", "", 200).unwrap();
    let names: Vec<&str> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    for name in &known.tools {
        assert!(names.contains(&name.as_str()), "round {round}: {name} is lost");
    }
    for (id, seq) in &known.runs {
        let run = ask(address, "GET", &format!("/runs/{id}"), "", 200).unwrap_or_else(|| panic!("{id} is lost"));
        assert_eq!(run["status"], "RUNNING");
        let events = ask(address, "GET", &format!("/runs/{id}/events"), "", 200).unwrap();
        let seqs: Vec<i64> = events.as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>(), "round {round}: {id}");
        assert!(seqs.len() as i64 >= *seq, "round {round}: {id} has {} of {seq} events", seqs.len());
    }
}

#[test]
#[ignore = "takes a minute or two; `cargo xtask test` runs it"]
#[expect(clippy::disallowed_methods, reason = "writers are threads of this test and end with each round")]
fn what_was_acknowledged_survives_two_hundred_kills() {
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash");
    let _ = std::fs::remove_dir_all(&data);
    let mut total = 0;
    for round in 0..KILLS {
        let platform = Platform::start(&data);
        let (known, count) = (Arc::new(Mutex::new(Acknowledged::default())), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (address, known, count) = (platform.address.clone(), Arc::clone(&known), Arc::clone(&count));
                thread::spawn(move || write(&address, writer, round, &count, &known))
            })
            .collect();
        // Another moment each time, and always in the middle: the writers never end by themselves.
        while count.load(Ordering::SeqCst) < 3 + round * 7 % 23 {
            thread::yield_now();
        }
        platform.kill();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        total += count.load(Ordering::SeqCst);
        let again = Platform::start(&data);
        check(&again.address, &known.lock().unwrap(), round);
        again.kill();
    }
    assert!(total > KILLS * 5, "{total} writes");
}
