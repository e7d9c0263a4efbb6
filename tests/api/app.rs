//! A server in a test's hands: the router, a staged world, and an analyzer that does what the test says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use analyzer_core::{Analysis, Options, Sources};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use ingestion_server::engine::Analyzer;
use ingestion_server::web::World;
use ingestion_server::{Config, Ingestion};
use serde_json::Value;
use tower::ServiceExt;

pub struct App {
    pub router: Router,
    pub world: World,
    pub ingestion: Ingestion,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// An analyzer that counts its calls and waits for the test at its gate.
#[derive(Clone, Default)]
pub struct Gate {
    pub calls: Arc<AtomicUsize>,
    pub stopped: Arc<AtomicUsize>,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl App {
    /// Default settings and an analyzer that is done at once.
    pub fn new() -> App {
        App::with(|_| {}, Arc::new(|sources, _| analysis(sources)))
    }

    pub fn with(change: impl FnOnce(&mut Config), analyzer: Analyzer) -> App {
        let mut config = Config::default();
        change(&mut config);
        let world = World::staged();
        let ingestion = Ingestion::with_analyzer(&config, world.clone(), analyzer);
        App { router: ingestion.alone(None), world, ingestion }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.send(Request::post(path).body(body.into()).unwrap()).await
    }

    pub async fn analyze(&self, text: &str) -> Reply {
        self.post("/analyze", files([("agent.py", text)])).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Reply { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and text of an error in its one envelope.
    pub fn error(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/json");
        let json = self.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys[..3], ["error", "code", "request_id"]);
        (self.status.as_u16(), json["error"].as_str().unwrap().to_string())
    }
}

impl Gate {
    /// Ends when the gate opens or the engine gives up.
    pub fn analyzer(&self) -> Analyzer {
        let gate = self.clone();
        Arc::new(move |sources: &Sources, options: &Options| {
            gate.calls.fetch_add(1, Ordering::SeqCst);
            let cancel = options.cancel.clone().unwrap();
            let (open, changed) = &*gate.open;
            let mut open = open.lock().unwrap();
            while !*open && !cancel.load(Ordering::Relaxed) {
                // The engine's flag wakes nobody, so it is looked at now and then.
                open = changed.wait_timeout(open, Duration::from_millis(1)).unwrap().0;
            }
            let cancelled = !*open;
            gate.stopped.fetch_add(usize::from(cancelled), Ordering::SeqCst);
            Analysis { cancelled, ..analysis(sources) }
        })
    }

    pub fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub async fn until_called(&self, times: usize) {
        while self.calls() < times {
            tokio::task::yield_now().await;
        }
    }

    pub async fn until_stopped(&self) {
        while self.stopped.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// An analysis that shows which files it is about.
pub fn analysis(sources: &Sources) -> Analysis {
    let id: String = sources.digest()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Analysis {
        id: format!("analysis-{id}"),
        entry_point: sources.files().first().map_or_else(String::new, |file| file.path.to_string()),
        detected_requirements: vec!["requests".into()],
        ..Analysis::default()
    }
}

/// `{"files": …}`
pub fn files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let files: BTreeMap<_, _> = files.into_iter().collect();
    serde_json::json!({ "files": files }).to_string()
}
