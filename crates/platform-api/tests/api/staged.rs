//! Agents in a test's hands: a runner that runs nothing and leads every connection to one server of the test's own.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_runner::{
    AgentId, Artifact, BuildError, Builder, ConnectError, Connection, Isolation, Log, LogLine, Runner, Source,
    StartError, Status, Workload,
};
use axum::Router;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use platform_api::running::Running;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::support::Platform;

/// Leads to one server, whichever agent is asked, or nowhere.
pub struct Staged(pub Option<SocketAddr>);

impl Runner for Staged {
    fn isolation(&self) -> Isolation {
        Isolation::Advisory
    }

    fn gateway(&self, _: &AgentId) -> io::Result<String> {
        Ok("127.0.0.1:1".into())
    }

    fn start(&self, _: Workload) -> Result<(), StartError> {
        Ok(())
    }

    fn stop<'a>(&'a self, _: &'a AgentId, _: Duration) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }

    fn status(&self, _: &AgentId) -> Option<watch::Receiver<Status>> {
        None
    }

    fn agents(&self) -> Vec<(AgentId, BTreeMap<String, String>)> {
        Vec::new()
    }

    fn logs<'a>(&'a self, _: &'a AgentId, _: usize, _: bool) -> BoxStream<'a, LogLine> {
        stream::empty().boxed()
    }

    fn connect<'a>(&'a self, agent: &'a AgentId) -> BoxFuture<'a, Result<Connection, ConnectError>> {
        let lead = async |address: Option<SocketAddr>| {
            let address = address.ok_or_else(|| ConnectError::Unknown(agent.clone()))?;
            let stream = TcpStream::connect(address).await;
            let stream = stream.map_err(|error| ConnectError::Refused(agent.clone(), error))?;
            Ok(Connection::to("1", stream))
        };
        lead(self.0).boxed()
    }
}

impl Builder for Staged {
    fn build<'a>(&'a self, _: &'a Source, _: Log<'a>) -> BoxFuture<'a, Result<Artifact, BuildError>> {
        async { Err(BuildError::Host("nothing is built here".into())) }.boxed()
    }

    fn has(&self, _: &Artifact) -> bool {
        true
    }

    fn keep_only<'a>(&'a self, _: &'a [Artifact]) -> BoxFuture<'a, io::Result<()>> {
        async { Ok(()) }.boxed()
    }
}

/// What runs agents under the name of a process: all of them are this server.
pub async fn runs(platform: &Platform, replica: &str, agent: Router) -> Platform {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let staged = Arc::new(Staged(Some(listener.local_addr().unwrap())));
    tokio::spawn(async move { axum::serve(listener, agent).await });
    let config = platform.app.config();
    let (builds, runner) = (config.builds.clone(), config.runner.clone());
    let running = Running::new(replica.into(), "unused".into(), staged.clone(), staged, builds, runner);
    let platform = platform.running(running);
    let mut tx = platform.app.store().begin().await.unwrap();
    tx.beat(replica, platform.world.now()).await.unwrap();
    tx.commit().await.unwrap();
    platform
}

/// Deploys an agent of a few lines.
pub async fn deploy(platform: &Platform, name: &str) {
    let files = json!({"agent.py": "def handler(request):\n    return request['message']\n"});
    platform.post("/api/deploy", json!({"name": name, "files": files})).await.expect(200);
}
