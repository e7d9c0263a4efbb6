//! A platform in a test's hands: the router, a staged world, a store of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt;
use ingestion_server::web::{Outbound, World};
use platform_api::auth::first_key;
use platform_api::running::Running;
use platform_api::store::{SealingKeys, Store};
use platform_api::{App, Config};
use serde_json::Value;
use tower::ServiceExt;

/// The operator's key of every platform here.
pub const KEY: &str = "ra_live_a-key-for-tests";

/// Names each test twice: over SQLite, and over the PostgreSQL that `cargo xtask test` starts.
macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::support::Platform::on_sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            #[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
            async fn $test() {
                super::$test($crate::support::Platform::on_postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_engines;

#[derive(Clone)]
pub struct Platform {
    pub router: Router,
    pub app: App,
    pub world: World,
    key: String,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// For names that no other test has.
fn unique() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stores").join(unique());
    // A process of an earlier run may have had the same number.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn sealing_keys() -> SealingKeys {
    SealingKeys::parse("test", &BASE64_STANDARD.encode([7; 32])).unwrap()
}

/// The address of a schema of its own.
fn schema() -> String {
    #[expect(clippy::disallowed_methods, reason = "the test runner says where the server is")]
    let url = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL; `cargo xtask test` sets it");
    format!("{url}?options=-csearch_path%3D{}", unique())
}

impl Platform {
    pub async fn on_sqlite() -> Platform {
        Platform::in_file().await.0
    }

    /// The same, and the file in which its store is.
    pub async fn in_file() -> (Platform, PathBuf) {
        let file = folder().join("platform.db");
        let store = Store::sqlite(&file, sealing_keys()).await.unwrap();
        (Platform::over(store, |_| {}).await, file)
    }

    pub async fn on_postgres() -> Platform {
        let url = schema();
        let name = url.rsplit("%3D").next().unwrap();
        platform_api::store::create_schema(&url, name).await.unwrap();
        let store = Store::postgres(&url, 8, sealing_keys()).await.unwrap();
        Platform::over(store, |_| {}).await
    }

    pub async fn over(store: Store, change: impl FnOnce(&mut Config)) -> Platform {
        Platform::beside(store, None, change).await
    }

    /// The same platform beside something that runs agents.
    pub async fn beside(store: Store, running: Option<Running>, change: impl FnOnce(&mut Config)) -> Platform {
        let mut config = Config::default();
        config.limits.requests_per_minute = 0;
        change(&mut config);
        let world = World::staged();
        first_key(&store, &world, Some(KEY)).await.unwrap();
        let app = App::new(config, store, world.clone(), Outbound::plain(), running);
        Platform { router: platform_api::router(&app), app, world, key: KEY.into() }
    }

    /// The same platform in a process that runs agents.
    pub fn running(&self, running: Running) -> Platform {
        let (config, store) = (self.app.config().clone(), self.app.store().clone());
        let app = App::new(config, store, self.world.clone(), Outbound::plain(), Some(running));
        Platform { router: platform_api::router(&app), app, world: self.world.clone(), key: self.key.clone() }
    }

    /// The same platform under other settings.
    pub async fn with(self, change: impl FnOnce(&mut Config)) -> Platform {
        Platform::over(self.app.store().clone(), change).await
    }

    /// The same platform for whoever has another key.
    pub fn as_caller(&self, key: &str) -> Platform {
        Platform { router: self.router.clone(), app: self.app.clone(), world: self.world.clone(), key: key.into() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, Some(body)).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", self.key)).body(body).unwrap();
        self.send(request).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Reply { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }

    /// The text of a refusal with this status.
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/json");
        assert!(body["code"].is_string() && body["request_id"].is_string(), "{body}");
        body["error"].as_str().unwrap().to_string()
    }
}
