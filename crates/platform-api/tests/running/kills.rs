//! The platform is killed while it builds, while an agent answers, while versions change: after its next start everything
//! is in a true state, and nothing of before is left.

use std::time::Duration;

use serde_json::json;

use crate::support::Host;

const SLOW: &str = "import time\n\n\
    def handler(request):\n    print('asked', flush=True)\n    \
    time.sleep(float(request['message']))\n    return 'slept'\n";

/// Processes of this machine whose environment names an agent.
fn processes_of(agent: &str) -> usize {
    let marker = format!("AGENT_NAME={agent}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
    environments
        .filter(|environment| environment.split(|byte| *byte == 0).any(|line| line == marker.as_bytes()))
        .count()
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn a_build_that_was_cut_off_is_taken_up_again() {
    let host = Host::start("kill-build").await;
    // Its answer is not waited for: the request is in the store before the build begins.
    let files = json!({"agent.py": "import openai\ndef handler(request):\n    return openai.__version__\n"});
    let build = host.post("/api/builds", json!({"name": "cut", "files": files, "requirements": "openai==2.5.0"})).await;
    let id = build.expect(202)["id"].as_str().unwrap().to_string();
    let deploying = host.deploy("cut", &[("agent.py", SLOW)], json!({}));
    let _ = tokio::time::timeout(Duration::from_millis(20), deploying).await;
    let host = host.again("kill-build").await;

    let told = host.get(&format!("/api/builds/{id}/logs?follow=true")).await;
    assert!(told.text.contains("\"SUCCEEDED\""), "{}", told.text);
    // Of the deploy, either all of it happened or nothing; deployed again it runs.
    host.deploy("cut", &[("agent.py", SLOW)], json!({})).await.expect(200);
    host.until("cut", "Running").await;
    assert_eq!(host.invoke("cut", "0").await.expect(200)["response"], "slept");
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn a_run_whose_agent_was_being_asked_ends_as_failed_and_the_agent_is_back() {
    let name = format!("slow-{}", std::process::id());
    let host = Host::start("kill-invoke").await;
    host.deploy(&name, &[("agent.py", SLOW)], json!({})).await.expect(200);
    host.until(&name, "Running").await;
    let before = processes_of(&name);
    assert!(before > 0);
    let asking = async {
        let _ = host.invoke(&name, "60").await;
    };
    let heard = async {
        while !host.logs(&name).await.contains("\"asked\"") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = asking => panic!("it should sleep"),
        () = heard => {}
    }
    assert_eq!(host.get("/runs").await.expect(200)[0]["status"], "RUNNING");

    let host = host.again("kill-invoke").await;
    host.until(&name, "Running").await;
    let run = host.get("/runs").await.expect(200)[0].clone();
    assert_eq!(run["status"], "FAILED", "{run}");
    let events = host.events(run["id"].as_str().unwrap()).await;
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["RUN_CREATED", "INVOKE_REQUESTED", "INVOKE_FAILED", "FAILED"]);
    assert_eq!(events[2]["data"]["error"], "the platform stopped before the agent answered");
    assert_eq!(host.invoke(&name, "0").await.expect(200)["response"], "slept");
    assert_eq!(processes_of(&name), before, "nothing of the one before is left");
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn a_new_version_takes_over_without_a_failed_request() {
    let host = Host::start("switch").await;
    let version = |n: u8| format!("def handler(request):\n    return 'version {n}'\n");
    host.deploy("switched", &[("agent.py", &version(1))], json!({})).await.expect(200);
    host.until("switched", "Running").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let asking = async {
        let mut heard = Vec::new();
        while !*stopped.borrow() {
            heard.push(host.invoke("switched", "x").await.expect(200)["response"].as_str().unwrap().to_string());
        }
        heard
    };
    let changing = async {
        host.deploy("switched", &[("agent.py", &version(2))], json!({})).await.expect(200);
        while host.invoke("switched", "x").await.expect(200)["response"] != "version 2" {}
        stop.send(true).unwrap();
    };
    let (heard, ()) = tokio::join!(asking, changing);
    assert_eq!(heard.first().map(String::as_str), Some("version 1"));
    let first_of_new = heard.iter().position(|answer| answer == "version 2").unwrap_or(heard.len());
    assert!(heard[first_of_new..].iter().all(|answer| answer == "version 2"), "{heard:?}");
}
