//! What becomes of agents that fail, change, stop, or lose their platform.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use agent_runner::{ConnectError, Isolation, Limits, Phase, Runner};
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Host, LONG, OBEDIENT, target};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn code_that_does_not_load_fails_with_its_own_error() {
    let host = Host::new("import", Isolation::Netns).await;
    let artifact =
        host.build(&[("agent.py", "import stripes_and_stars\n\ndef handler(r):\n    return 1\n")], &[]).await;
    let agent = host.start("default.broken", "v1", &artifact, Limits::default());
    let status = host.until(&agent, |status| matches!(status.phase, Phase::Failed { .. })).await;
    let Phase::Failed { reason } = status.phase else { unreachable!("waited for it") };
    assert!(reason.contains("No module named 'stripes_and_stars'"), "{reason}");
    assert!(matches!(host.runner.connect(&agent).await, Err(ConnectError::NotRunning(_))));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn an_agent_that_ends_is_started_again_and_one_that_never_starts_is_given_up() {
    let host = Host::new("crash", Isolation::Netns).await;
    let agent = host.obedient("default.crashing", &[], Limits::default()).await;
    host.invoke(&agent, "import os; os._exit(7)").await;
    let status = host.until(&agent, |status| matches!(status.phase, Phase::Waiting { .. })).await;
    let Phase::Waiting { reason, .. } = status.phase else { unreachable!("waited for it") };
    assert!(reason.contains("exit code 7"), "{reason}");
    let status = host.until(&agent, |status| status.phase == Phase::Running).await;
    assert_eq!(status.restarts, 1);
    assert_eq!(host.run(&agent, "result = 'back'").await, "back");

    let dead = host
        .build(&[("agent.py", "import os, sys\nprint('ValueError: no', file=sys.stderr)\nos._exit(3)\n")], &[])
        .await;
    let other = host.start("default.dead", "v1", &dead, Limits::default());
    let status = host.until(&other, |status| matches!(status.phase, Phase::Failed { .. })).await;
    assert_eq!(status.phase, Phase::Failed { reason: "it ended with exit code 3: ValueError: no".into() });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn a_new_version_takes_over_without_a_failed_request_and_a_broken_one_never_does() {
    let host = Arc::new(Host::new("switch", Isolation::Netns).await);
    let agent = host.obedient("default.switching", &[], Limits::default()).await;
    let second = host.build(&[("agent.py", &format!("VERSION = 2\n{OBEDIENT}"))], &[]).await;
    let broken = host.build(&[("agent.py", "raise SystemError('no')\n")], &[]).await;
    let (over, mut done) = tokio::sync::oneshot::channel::<()>();
    let (asking, asked) = (host.clone(), agent.clone());
    let requests = tokio::spawn(async move {
        let mut count = 0;
        while done.try_recv().is_err() {
            assert_eq!(asking.run(&asked, "import time; time.sleep(0.2); result = 1").await, 1);
            count += 1;
        }
        count
    });
    host.start("default.switching", "v2", &second, Limits::default());
    host.until(&agent, |status| status.serving.as_deref() == Some("v2")).await;
    host.start("default.switching", "v3", &broken, Limits::default());
    let status = host.until(&agent, |status| matches!(status.phase, Phase::Failed { .. })).await;
    assert_eq!((status.version.as_str(), status.serving.as_deref()), ("v3", Some("v2")));
    over.send(()).unwrap();
    assert!(requests.await.unwrap() > 0);
    // A request under way is finished before the agent stops.
    let (asking, asked) = (host.clone(), agent.clone());
    let last = tokio::spawn(async move {
        asking.run(&asked, "import time; print('begun'); time.sleep(1); result = 'whole'").await
    });
    // The handler says when it has begun.
    let mut log = host.runner.logs(&agent, 10, true);
    while tokio::time::timeout(LONG, log.next()).await.unwrap().unwrap().text != "begun" {}
    drop(log);
    host.runner.stop(&agent, LONG).await;
    assert_eq!(last.await.unwrap(), "whole");
    assert!(matches!(host.runner.connect(&agent).await, Err(ConnectError::Unknown(_))));
}

/// The launcher's processes of this test, by what they were started as.
fn processes_of(marker: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |path: PathBuf| std::fs::read(path.join("environ")).unwrap_or_default();
    all.filter(|entry| String::from_utf8_lossy(&line(entry.path())).contains(marker)).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn a_platform_that_is_killed_leaves_no_process() {
    // This test's own binary runs the test below as the platform, and is killed.
    let itself = std::env::current_exe().unwrap();
    let mut platform = tokio::process::Command::new(itself)
        .args(["--exact", "supervision::a_platform_to_be_killed", "--ignored", "--nocapture"])
        .env("KILLED_PLATFORM", "yes")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(platform.stdout.take().unwrap()).lines();
    loop {
        match tokio::time::timeout(LONG, lines.next_line()).await.unwrap().unwrap() {
            Some(line) if line.contains("platform is up") => break,
            Some(_) => {}
            None => panic!("it ended"),
        }
    }
    let marker = format!("AGENT_MARK={}", platform.id().unwrap());
    // Children of the agent carry the mark once each has begun to be itself.
    let marked = async {
        while processes_of(&marker) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, marked).await.unwrap();
    platform.kill().await.unwrap();
    let gone = async {
        while processes_of(&marker) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, gone).await.unwrap();
    let _ = std::fs::remove_dir_all(
        target().join("tmp/agent-runner").join(format!("killed-{}", platform.id().unwrap_or_default())),
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is the other side of the test above"]
async fn a_platform_to_be_killed() {
    #[expect(clippy::disallowed_methods, reason = "it runs as part of another test, or not at all")]
    if std::env::var_os("KILLED_PLATFORM").is_none() {
        return;
    }
    let host = Host::new("killed", Isolation::Netns).await;
    let agent = host.obedient("default.orphan", &[], Limits::default()).await;
    let mark = std::process::id();
    let code = format!(
        "import subprocess, sys, os; os.environ['AGENT_MARK'] = '{mark}'\n\
         for _ in range(2): subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True)\n\
         result = 1"
    );
    host.run(&agent, &code).await;
    std::io::Write::write_all(&mut std::io::stdout(), b"platform is up\n").unwrap();
    std::future::pending::<()>().await;
}
