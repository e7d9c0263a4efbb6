//! Analyses by id: on every replica, for an hour, in their workspace, within bounds.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    an_analysis_made_by_one_replica_is_found_by_another,
    an_analysis_is_its_workspaces_own,
    an_analysis_is_found_for_an_hour_after_it_was_last_given,
    the_analyses_given_last_have_room,
    what_a_deploy_or_a_batch_analyzed_is_found_too,
    of_submitted_files_nothing_but_the_analysis_is_kept,
);

const SPELLINGS: [&str; 3] = ["/ingestion", "", "/api/v1"];

fn files(marker: &str) -> Value {
    json!({"files": {"agent.py": format!("import requests\nrequests.get('https://{marker}.example.com/v1/things')\n")}})
}

async fn id_of(platform: &Platform, marker: &str) -> String {
    platform.post("/ingestion/analyze", files(marker)).await.expect(201)["id"].as_str().unwrap().into()
}

async fn status(platform: &Platform, id: &str) -> u16 {
    platform.get(&format!("/analysis/{id}")).await.status.as_u16()
}

async fn an_analysis_made_by_one_replica_is_found_by_another(platform: Platform) {
    let other = platform.clone().with(|_| {}).await;
    for (n, spelling) in SPELLINGS.into_iter().enumerate() {
        let made = platform.post(&format!("{spelling}/analyze"), files(&format!("host-{n}"))).await;
        let id = made.expect(201)["id"].as_str().unwrap().to_string();
        for replica in [&platform, &other] {
            for spelling in SPELLINGS {
                let found = replica.get(&format!("{spelling}/analysis/{id}")).await;
                assert_eq!((found.status, &found.body), (StatusCode::OK, &made.body), "{spelling}");
            }
        }
    }
    for spelling in SPELLINGS {
        let refused = other.get(&format!("{spelling}/analysis/analysis-00000000")).await.refused(404);
        assert_eq!(refused, "analysis not found");
    }
}

async fn an_analysis_is_its_workspaces_own(platform: Platform) {
    let made = platform.post("/api/v1/workspaces/team-one/analyze", files("own")).await.expect(201);
    let path = |workspace: &str| format!("/api/v1/workspaces/{workspace}/analysis/{}", made["id"].as_str().unwrap());
    platform.get(&path("team-one")).await.expect(200);
    platform.get(&path("team-two")).await.refused(404);
    platform.get(&path("default")).await.refused(404);
    // The same files are analyzed once and belong to both.
    platform.post("/api/v1/workspaces/team-two/analyze", files("own")).await.expect(201);
    platform.get(&path("team-two")).await.expect(200);
    platform.get(&path("default")).await.refused(404);
}

async fn an_analysis_is_found_for_an_hour_after_it_was_last_given(platform: Platform) {
    let id = id_of(&platform, "hour").await;
    platform.world.advance(Duration::from_secs(3_599));
    assert_eq!(status(&platform, &id).await, 200);
    id_of(&platform, "hour").await;
    platform.world.advance(Duration::from_secs(3_599));
    platform_api::jobs::tick(&platform.app).await.unwrap();
    assert_eq!(status(&platform, &id).await, 200);
    platform.world.advance(Duration::from_secs(1));
    assert_eq!(status(&platform, &id).await, 404);
    let in_store = async || {
        let mut tx = platform.app.store().read().await.unwrap();
        tx.analysis("default", &id, 0).await.unwrap().is_some()
    };
    assert!(in_store().await);
    platform_api::jobs::tick(&platform.app).await.unwrap();
    assert!(!in_store().await);
}

async fn the_analyses_given_last_have_room(platform: Platform) {
    let few = platform.clone().with(|config| config.analyses.rows = 2).await;
    let mut ids = Vec::new();
    for marker in ["first", "second", "third"] {
        ids.push(id_of(&few, marker).await);
        few.world.advance(Duration::from_secs(1));
    }
    assert_eq!(
        [status(&few, &ids[0]).await, status(&few, &ids[1]).await, status(&few, &ids[2]).await],
        [404, 200, 200]
    );
    // Another workspace takes nobody's room.
    few.post("/api/v1/workspaces/another/analyze", files("other")).await.expect(201);
    assert_eq!(status(&few, &ids[1]).await, 200);

    let size = few.get(&format!("/analysis/{}", ids[2])).await.body.len() as u64;
    let small = platform.with(|config| config.analyses.bytes = size + size / 2).await;
    small.world.advance(Duration::from_secs(10));
    let id = id_of(&small, "fourth").await;
    assert_eq!([status(&small, &ids[2]).await, status(&small, &id).await], [404, 200]);
}

async fn what_a_deploy_or_a_batch_analyzed_is_found_too(platform: Platform) {
    let body = json!({"agent_name": "a", "source_files": files("deployed")["files"], "required_tools": []});
    let deployed = platform.post("/api/deploy", body).await.expect(201);
    assert_eq!(status(&platform, deployed["analysis_id"].as_str().unwrap()).await, 200);

    let batch = json!({"projects": [files("one"), files("two")]});
    let lines = platform.post("/analyze/batch", batch).await;
    let mut count = 0;
    for line in lines.text().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(status(&platform, line["analysis"]["id"].as_str().unwrap()).await, 200);
        count += 1;
    }
    assert_eq!(count, 2);
}

async fn of_submitted_files_nothing_but_the_analysis_is_kept(platform: Platform) {
    let source = "# a-remark-that-no-analysis-repeats\nimport requests\nrequests.get('https://api.github.com/user')\n";
    let body = json!({"files": {"agent.py": source}});
    let id = platform.post("/analyze", body).await.expect(201)["id"].as_str().unwrap().to_string();
    let mut tx = platform.app.store().read().await.unwrap();
    let kept = tx.analysis("default", &id, 0).await.unwrap().unwrap();
    assert!(kept.contains("api.github.com") && !kept.contains("a-remark"), "{kept}");
}
