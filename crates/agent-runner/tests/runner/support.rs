//! A runner over a folder of its own, with a gateway that answers what it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_runner::{
    AgentId, Arrival, Artifact, Builder, BuilderSettings, Environment, Isolation, Language, Limits, Phase,
    ProcessBuilder, ProcessRunner, Runner, RunnerSettings, Source, Status, Stream, Workload,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Patience, not a measurement: what is waited for comes much sooner.
pub const LONG: Duration = Duration::from_secs(120);

/// An agent that does what it is told: the message is Python, and what it leaves in `result` is the answer.
pub const OBEDIENT: &str = "import json\n\ndef handler(request):\n    scope = {}\n    exec(request['message'], scope)\n    \
                            return {'response': json.dumps(scope.get('result'))}\n";

/// Who, and the name that was dialed.
pub type Call = (String, Option<String>);

pub struct Host {
    pub runner: ProcessRunner,
    pub builder: ProcessBuilder,
    pub data: PathBuf,
    /// Who called whom: agents, and names that they dialed.
    pub arrived: Arc<Mutex<Vec<Call>>>,
}

/// The workspace's target folder, where `cargo xtask test` installs what tests need.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

pub fn tools() -> BTreeMap<String, String> {
    #[expect(clippy::disallowed_methods, reason = "the tools of a test are those of who runs it")]
    let of = |name: &str| std::env::var(name).ok().map(|value| (name.to_string(), value));
    let names = [
        "HOME",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "PIP_CERT",
        "PIP_INDEX_URL",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "NPM_CONFIG_REGISTRY",
        "npm_config_registry",
    ];
    let mut tools: BTreeMap<String, String> = names.into_iter().filter_map(of).collect();
    let path = of("PATH").map(|(_, path)| path).unwrap_or_default();
    tools.insert("PATH".into(), format!("{}:{path}", target().join("uv/bin").display()));
    tools
}

impl Host {
    /// Environments are shared between tests, so that each is built once.
    pub async fn new(name: &str, isolation: Isolation) -> Host {
        let data = target().join("tmp/agent-runner").join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        let shared = target().join("tmp/agent-runner/shared-cache");
        std::fs::create_dir_all(&shared).unwrap();
        std::fs::create_dir_all(&data).unwrap();
        std::os::unix::fs::symlink(&shared, data.join("cache")).unwrap();
        let launcher = (PathBuf::from(env!("CARGO_BIN_EXE_agent-launcher")), vec![]);
        let mut settings = RunnerSettings::new(&data, launcher, || 7);
        (settings.at_least, settings.at_most) = (isolation, isolation);
        let (runner, mut arrivals) = ProcessRunner::new(settings).await.unwrap();
        let arrived = Arc::new(Mutex::new(vec![]));
        let list = arrived.clone();
        tokio::spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                let tls = matches!(arrival.stream, Stream::Tls(_));
                let Arrival { agent, port, server_name, gateway, stream } = arrival;
                list.lock().unwrap().push((agent.to_string(), server_name.clone()));
                tokio::spawn(answer(
                    stream,
                    json!({"name": server_name, "port": port, "gateway": gateway, "tls": tls}),
                ));
            }
        });
        let builder = ProcessBuilder::new(BuilderSettings::new(&data, tools())).unwrap();
        Host { runner, builder, data, arrived }
    }

    pub async fn build(&self, files: &[(&str, &str)], requirements: &[&str]) -> Artifact {
        let entry_point = files[0].0;
        let language = if entry_point.ends_with(".py") { Language::Python } else { Language::Node };
        let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
        let requirements = requirements.iter().map(|line| line.to_string()).collect();
        let source = Source::new(language, files, requirements, Some(entry_point.to_string())).unwrap();
        self.builder.build(&source, &|_| ()).await.unwrap()
    }

    pub fn start(&self, name: &str, version: &str, artifact: &Artifact, limits: Limits) -> AgentId {
        let agent = AgentId::new(name).unwrap();
        let workload = Workload {
            agent: agent.clone(),
            version: version.to_string(),
            labels: BTreeMap::new(),
            artifact: artifact.clone(),
            environment: Environment(BTreeMap::from([("GIVEN".into(), "as it was".into())])),
            ports: BTreeSet::from([9000]),
            limits,
        };
        self.runner.start(workload).unwrap();
        agent
    }

    /// Waits for a status.
    pub async fn until(&self, agent: &AgentId, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.runner.status(agent).unwrap();
        let reached = tokio::time::timeout(LONG, status.wait_for(wanted)).await.map(|status| status.unwrap().clone());
        if let Ok(reached) = reached {
            return reached;
        }
        let at = status.borrow().clone();
        panic!("{at:?}\n{:#?}", self.log(agent).await)
    }

    pub async fn log(&self, agent: &AgentId) -> Vec<String> {
        use futures_util::StreamExt;
        self.runner.logs(agent, 50, false).map(|line| line.text).collect().await
    }

    /// An obedient agent that runs.
    pub async fn obedient(&self, name: &str, requirements: &[&str], limits: Limits) -> AgentId {
        let artifact = self.build(&[("agent.py", OBEDIENT)], requirements).await;
        let agent = self.start(name, "v1", &artifact, limits);
        let status = self.until(&agent, |status| !matches!(status.phase, Phase::Starting)).await;
        assert_eq!(status.phase, Phase::Running, "{:#?}", self.log(&agent).await);
        agent
    }

    /// What an obedient agent answers to some Python.
    pub async fn run(&self, agent: &AgentId, code: &str) -> Value {
        let (status, body) = self.invoke(agent, code).await;
        assert_eq!(status, 200, "{body}\n{:#?}", self.log(agent).await);
        serde_json::from_str(body["response"].as_str().unwrap()).unwrap()
    }

    pub async fn invoke(&self, agent: &AgentId, message: &str) -> (u16, Value) {
        let body = json!({"message": message}).to_string();
        let mut stream = self.runner.connect(agent).await.unwrap();
        let head = format!("POST /invoke HTTP/1.0\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut text = String::new();
        tokio::time::timeout(LONG, stream.read_to_string(&mut text)).await.unwrap().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// One request, answered with what is known of it.
async fn answer(mut stream: Stream, mut known: Value) {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(length) => text.extend_from_slice(&chunk[..length]),
        }
    }
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_string();
    known["line"] = line.into();
    // What the SDK of a model provider takes for an answer.
    known["choices"] =
        json!([{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]);
    let body = known.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
    let _ = stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    let _ = stream.shutdown().await;
}
