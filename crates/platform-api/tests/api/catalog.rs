//! Catalog: found by words and filters, shown page by page, ready to be deployed as it is.

use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(agents_are_found_by_words_filters_and_pages, an_agent_of_the_catalog_is_deployed_as_it_is,);

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

async fn agents_are_found_by_words_filters_and_pages(platform: Platform) {
    let found = async |query: &str| platform.get(&format!("/api/v1/catalog{query}")).await.expect(200);
    let all = found("").await;
    assert_eq!(
        [&all["page"], &all["page_size"], &all["generated_at"]],
        [&json!(1), &json!(24), &json!("2026-02-23T10:15:30Z")]
    );
    let count = all["total"].as_u64().unwrap() as usize;
    assert!(count >= 5 && ids(&all).len() == count);
    assert_eq!(ids(&found("?search=PagerDuty%20slack").await), ["incident-scribe"]);
    assert_eq!(ids(&found("?category=finance,support").await), ["invoice-chaser", "ticket-triage"]);
    assert_eq!(ids(&found("?category=finance&category=support").await), ["invoice-chaser", "ticket-triage"]);
    assert_eq!(ids(&found("?tag=typescript").await), ["release-notes"]);
    assert_eq!(ids(&found("?integration=stripe-api&governance=human-review").await), ["invoice-chaser"]);
    assert_eq!(ids(&found("?search=nothing-like-it").await), [""; 0]);
    let pages = [found("?page_size=2").await, found("?page_size=2&page=2").await];
    assert_eq!([ids(&pages[0]), ids(&pages[1])].concat(), ids(&all)[..4]);
    assert_eq!(ids(&found("?page=99").await), [""; 0]);
    platform.get("/api/v1/catalog?page_size=101").await.refused(400);

    let versions = platform.get("/api/v1/catalog/hello-echo/versions").await.expect(200);
    let numbers: Vec<_> = versions["versions"].as_array().unwrap().iter().map(|one| &one["version"]).collect();
    assert_eq!((&versions["agent_id"], numbers), (&json!("hello-echo"), vec![&json!("1.1.0"), &json!("1.0.0")]));
    let of = async |query: &str| platform.get(&format!("/api/v1/catalog/ticket-triage{query}")).await.expect(200);
    let (latest, newest, older) = (of("").await, of("?version=1.1.0").await, of("?version=1.0.0").await);
    assert_eq!([&latest["version"], &latest], [&json!("1.1.0"), &newest]);
    assert_eq!(older["version"], "1.0.0");
    let source = |manifest: &Value| manifest["deploymentTemplate"]["sourceFiles"]["helpdesk.py"].to_string();
    assert!(source(&latest).contains("add_note") && !source(&older).contains("add_note"));
    assert_eq!(platform.get("/api/v1/catalog/none").await.refused(404), "catalog entry not found");
    assert_eq!(platform.get("/api/v1/catalog/hello-echo?version=9.0.0").await.refused(404), "catalog entry not found");
    assert_eq!(platform.get("/api/v1/catalog/No.Id").await.refused(400), "invalid catalog path");
}

async fn an_agent_of_the_catalog_is_deployed_as_it_is(platform: Platform) {
    let all = platform.get("/api/v1/catalog").await.expect(200);
    let mut versions = Vec::new();
    for id in ids(&all) {
        let own = platform.get(&format!("/api/v1/catalog/{id}/versions")).await.expect(200);
        // The oldest first, each deployed over the one before.
        let numbers = own["versions"].as_array().unwrap().iter().rev().map(|one| one["version"].as_str().unwrap());
        versions.extend(numbers.map(|number| (id, number.to_string())));
    }
    assert!(versions.len() > ids(&all).len());
    for (id, version) in versions {
        let manifest = platform.get(&format!("/api/v1/catalog/{id}?version={version}")).await.expect(200);
        let template = &manifest["deploymentTemplate"];
        let tools: Vec<Value> = template["requiredTools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| json!({"name": name, "base_url": format!("https://{}.example.com", name.as_str().unwrap())}))
            .collect();
        let body = json!({"agent_name": template["agentName"], "source_files": template["sourceFiles"],
            "system_prompt": template["systemPrompt"], "required_tools": template["requiredTools"], "tools_to_create": tools});
        let deployed = platform.post("/api/v1/deploy", body).await.expect(201);
        assert_eq!(deployed["agent"], template["agentName"], "{id}");
        let policies = deployed["policies_created"].as_array().unwrap().len();
        assert_eq!(policies, tools.len(), "{id}: {deployed}");
    }
}
