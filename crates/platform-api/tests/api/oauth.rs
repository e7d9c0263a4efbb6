//! Users who agree: the run waits for them, their browser brings a code back, and their tokens are theirs alone.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;
use platform_api::jobs;
use serde_json::{Value, json};

use crate::authority::{Authority, Mood};
use crate::quiet::{Asked, Stage};
use crate::support::{Platform, Reply, on_both_engines};

on_both_engines!(
    a_run_waits_for_its_user_and_goes_on_with_their_token,
    each_user_agrees_for_themselves,
    what_is_not_a_state_of_ours_changes_nothing,
    a_state_is_good_once_and_for_a_time,
    a_code_that_was_given_for_another_user_gives_no_token,
    a_code_that_was_used_gives_no_token,
    what_a_user_agreed_to_counts_in_all_their_runs,
    who_does_not_agree_ends_the_run,
    what_went_wrong_is_shown_as_text_and_may_be_tried_again,
    a_token_is_renewed_once_and_its_successor_kept,
    who_took_their_agreement_back_is_asked_again,
    a_tool_that_was_changed_asks_again,
    an_agent_without_a_run_has_a_token_of_its_own,
    nobody_but_the_user_decides_what_waits_for_them,
);

async fn stage(platform: Platform) -> (Stage, Authority) {
    let authority = Authority::start().await;
    let stage = Stage::over(platform.app.store().clone(), |config| config.credentials.token_seconds = 1).await;
    stage.platform.post("/api/tools", authority.tool("calendar", true)).await.expect(201);
    stage.agent("helper", &["calendar"]).await;
    (stage, authority)
}

/// Where the user of a call has to agree.
fn address(reply: &Reply) -> String {
    let body = reply.expect(403);
    assert_eq!([&body["error"], &body["code"]], ["CONSENT_REQUIRED"; 2], "{body}");
    body["authorization_url"].as_str().unwrap().to_string()
}

/// A browser that was sent to this address, without any key.
async fn opens(stage: &Stage, location: &str) -> Reply {
    let path = location.strip_prefix("http://127.0.0.1:8092").unwrap();
    stage.platform.send(Request::get(path).body(Body::empty()).unwrap()).await
}

#[track_caller]
fn shows(reply: &Reply, status: u16, text: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    assert!(reply.text().contains(text), "{}", reply.text());
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(!reply.text().contains("<script"), "{}", reply.text());
}

async fn kinds(stage: &Stage, asked: &Asked) -> Vec<String> {
    stage.events(asked).await.iter().map(|event| event["type"].as_str().unwrap().to_string()).collect()
}

async fn a_run_waits_for_its_user_and_goes_on_with_their_token(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = stage.asked("helper", "alice@example.com").await;
    let reply = stage.calls("helper", "calendar/events", Some(&asked)).await;
    let (url, body) = (address(&reply), reply.json());
    assert!(url.starts_with(&format!("{}/authorize?audience=calendar&access_type=offline&", authority.url)), "{url}");
    assert_eq!(stage.status(&asked).await, "PAUSED_CONSENT");
    let action = format!("/runs/{}/actions/{}", asked.run, body["resume_id"].as_str().unwrap());
    let blocked = stage.platform.get(&action).await.expect(200);
    assert_eq!([&blocked["tool_id"], &blocked["status"]], ["calendar", "BLOCKED"]);
    // A runtime may lose the answer: the run itself says where its user agrees.
    let event = stage.events(&asked).await.into_iter().find(|event| event["type"] == "CONSENT_REQUIRED").unwrap();
    assert_eq!([&event["data"]["authorization_url"], &event["data"]["resume_id"]], [&json!(url), &body["resume_id"]]);
    // However often it calls meanwhile, its user is asked once.
    let again = stage.calls("helper", "calendar/other", Some(&asked)).await;
    assert_eq!(
        [again.json()["authorization_url"].clone(), again.json()["resume_id"].clone()],
        [json!(url), body["resume_id"].clone()]
    );
    assert!(authority.inner().called.is_empty(), "nothing reached the tool");

    let location = authority.agree(&url, "alice@example.com");
    shows(&opens(&stage, &location).await, 200, "helper may now use calendar for you");
    assert_eq!(stage.status(&asked).await, "RUNNING");
    assert_eq!(stage.platform.get(&action).await.expect(200)["status"], "APPROVED");
    let reply = stage.calls("helper", "calendar/events", Some(&asked)).await;
    assert_eq!(reply.expect(200), json!({"for": "alice@example.com"}));
    assert_eq!(kinds(&stage, &asked).await.iter().filter(|kind| *kind == "CONSENT_REQUIRED").count(), 1);
    let approved = stage.events(&asked).await.into_iter().find(|event| event["type"] == "APPROVED").unwrap();
    assert_eq!(approved["actor"], "alice@example.com");
    // In her next run she is not asked.
    let next = stage.asked("helper", "alice@example.com").await;
    stage.calls("helper", "calendar/events", Some(&next)).await.expect(200);
    let mut kept = json!([stage.events(&asked).await, stage.platform.get("/api/v1/tools").await.json()]).to_string();
    let mut tx = stage.platform.app.store().read().await.unwrap();
    kept += &format!("{:?}", tx.changes("default", 100).await.unwrap());
    assert!(kept.contains("consent.give"));
    for secret in ["access-", "refresh-", "code-1-of"] {
        assert!(!kept.contains(secret), "{secret}: {kept}");
    }
}

async fn each_user_agrees_for_themselves(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let (alice, bob) = (stage.asked("helper", "alice").await, stage.asked("helper", "bob").await);
    let hers = address(&stage.calls("helper", "calendar/a", Some(&alice)).await);
    shows(&opens(&stage, &authority.agree(&hers, "alice")).await, 200, "Thank you");
    let his = address(&stage.calls("helper", "calendar/a", Some(&bob)).await);
    assert_ne!(hers, his);
    assert_eq!([stage.status(&alice).await, stage.status(&bob).await], ["RUNNING", "PAUSED_CONSENT"]);
    shows(&opens(&stage, &authority.agree(&his, "bob")).await, 200, "Thank you");
    for (asked, user) in [(&alice, "alice"), (&bob, "bob")] {
        assert_eq!(stage.calls("helper", "calendar/a", Some(asked)).await.expect(200), json!({"for": user}));
    }
}

/// The same address with another parameter.
fn with(location: &str, name: &str, value: &str) -> String {
    let mut url: url::Url = location.parse().unwrap();
    let others: Vec<(String, String)> =
        url.query_pairs().filter(|(own, _)| own != name).map(|(n, v)| (n.into(), v.into())).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url.into()
}

fn parameter(location: &str, name: &str) -> String {
    let url: url::Url = location.parse().unwrap();
    url.query_pairs().find(|(own, _)| own == name).unwrap().1.into_owned()
}

async fn what_is_not_a_state_of_ours_changes_nothing(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = stage.asked("helper", "alice").await;
    let url = address(&stage.calls("helper", "calendar/a", Some(&asked)).await);
    let location = authority.agree(&url, "alice");
    let state = parameter(&location, "state");
    let (text, signature) = state.split_once('.').unwrap();
    let mut flipped = text.to_string().into_bytes();
    flipped[9] ^= 1;
    let flipped = format!("{}.{signature}", String::from_utf8_lossy(&flipped));
    for wrong in ["", "x", "a.b", text, &format!("{text}."), &flipped, &format!("{state}.{signature}"), "<script>"] {
        shows(&opens(&stage, &with(&location, "state", wrong)).await, 400, "This link is not valid");
    }
    shows(&opens(&stage, "http://127.0.0.1:8092/oauth/callback").await, 400, "This link is not valid");
    // Nor is that of another platform.
    let other = Stage::over(Platform::on_sqlite().await.app.store().clone(), |_| {}).await;
    shows(&opens(&other, &location).await, 400, "This link is not valid");
    assert_eq!(authority.fetched(), 0);
    assert_eq!(stage.status(&asked).await, "PAUSED_CONSENT");
    shows(&opens(&stage, &location).await, 200, "Thank you");
    assert_eq!(stage.platform.post("/oauth/callback", json!({})).await.status, 405);
}

async fn a_state_is_good_once_and_for_a_time(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = stage.asked("helper", "alice").await;
    let location = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&asked)).await), "alice");
    let both = tokio::join!(opens(&stage, &location), opens(&stage, &location));
    let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "of two that come at once one counts");
    shows(&opens(&stage, &location).await, 400, "It was used already");
    assert_eq!(authority.fetched(), 1);
    stage.calls("helper", "calendar/a", Some(&asked)).await.expect(200);

    let late = stage.asked("helper", "bob").await;
    let location = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&late)).await), "bob");
    stage.platform.world.advance(Duration::from_secs(3600));
    shows(&opens(&stage, &location).await, 400, "It was made too long ago");
    assert_eq!(stage.status(&late).await, "PAUSED_CONSENT");
    jobs::tick(&stage.platform.app).await.unwrap();
    assert_eq!(stage.status(&late).await, "FAILED");
    let last = stage.events(&late).await.pop().unwrap();
    assert_eq!([&last["type"], &last["data"]["message"]], ["FAILED", "the user did not agree in time"]);
    assert_eq!(authority.fetched(), 1);
}

async fn a_code_that_was_given_for_another_user_gives_no_token(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let (alice, mallory) = (stage.asked("helper", "alice").await, stage.asked("helper", "mallory").await);
    let hers = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&alice)).await), "alice");
    let own = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&mallory)).await), "mallory");
    // Her code with his state would make her calendar his: the server wants the verifier of her challenge.
    let crossed = with(&own, "code", &parameter(&hers, "code"));
    shows(&opens(&stage, &crossed).await, 502, "invalid_grant");
    let crossed = with(&hers, "state", &parameter(&own, "state"));
    shows(&opens(&stage, &crossed).await, 400, "It was used already");
    for asked in [&alice, &mallory] {
        assert_eq!(stage.status(asked).await, "PAUSED_CONSENT");
        stage.calls("helper", "calendar/a", Some(asked)).await.expect(403);
    }
    assert!(authority.inner().called.is_empty());
}

async fn a_code_that_was_used_gives_no_token(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let (first, second) = (stage.asked("helper", "alice").await, stage.asked("helper", "bob").await);
    let location = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&first)).await), "alice");
    let other = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&second)).await), "bob");
    shows(&opens(&stage, &location).await, 200, "Thank you");
    stage.calls("helper", "calendar/a", Some(&first)).await.expect(200);
    let replayed = with(&other, "code", &parameter(&location, "code"));
    shows(&opens(&stage, &replayed).await, 502, "invalid_grant");
    stage.calls("helper", "calendar/a", Some(&second)).await.expect(403);
    // The server ends what a code gave that comes twice; its user is asked again.
    address(&stage.calls("helper", "calendar/a", Some(&first)).await);
}

async fn what_a_user_agreed_to_counts_in_all_their_runs(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let (first, second) = (stage.asked("helper", "alice").await, stage.asked("helper", "alice").await);
    let location = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&first)).await), "alice");
    address(&stage.calls("helper", "calendar/a", Some(&second)).await);
    shows(&opens(&stage, &location).await, 200, "Thank you");
    for asked in [&first, &second] {
        assert_eq!(stage.status(asked).await, "RUNNING");
        stage.calls("helper", "calendar/a", Some(asked)).await.expect(200);
    }
}

async fn who_does_not_agree_ends_the_run(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = stage.asked("helper", "alice").await;
    let url = address(&stage.calls("helper", "calendar/a", Some(&asked)).await);
    let location = authority.decide(&url, "alice", Some("access_denied"));
    shows(&opens(&stage, &location).await, 200, "You did not agree");
    assert_eq!(stage.status(&asked).await, "FAILED");
    let last = stage.events(&asked).await.pop().unwrap();
    assert_eq!([&last["type"], &last["data"]["message"]], ["REJECTED", "the user did not agree"]);
    shows(&opens(&stage, &location).await, 400, "It was used already");
    assert_eq!(authority.fetched(), 0);
}

async fn what_went_wrong_is_shown_as_text_and_may_be_tried_again(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = stage.asked("helper", "alice").await;
    let mut url = address(&stage.calls("helper", "calendar/a", Some(&asked)).await);
    let again = |page: &Reply| {
        let link = page.text().split("href=\"").nth(1).unwrap().split('"').next().unwrap();
        link.replace("&amp;", "&")
    };
    let wrong = authority.decide(&url, "alice", Some("temporarily_unavailable"));
    let page = opens(&stage, &wrong).await;
    shows(&page, 400, "temporarily_unavailable &lt;script&gt;alert(1)&lt;/script&gt;");
    url = again(&page);
    for (mood, why) in [
        (Mood::Down, "its token endpoint answered 503"),
        (Mood::Silent, "its token endpoint did not answer within 1 seconds"),
        (Mood::Huge, "its token endpoint answered more than 65536 bytes"),
        (Mood::Talkative, "server_error: ********"),
    ] {
        authority.inner().mood = mood;
        let location = authority.agree(&url, "alice");
        let page = opens(&stage, &location).await;
        shows(&page, 502, why);
        for (name, secret) in [("the code", parameter(&location, "code")), ("the secret", "the+clients".into())] {
            assert!(!page.text().contains(&secret), "{name}: {}", page.text());
        }
        assert_eq!(stage.status(&asked).await, "PAUSED_CONSENT");
        shows(&opens(&stage, &location).await, 400, "It was used already");
        url = again(&page);
    }
    authority.inner().mood = Mood::Strict;
    let mut nothing = authority.agree(&url, "alice");
    nothing = with(&nothing, "code", "");
    let page = opens(&stage, &nothing).await;
    shows(&page, 400, "the address has no code in it");
    shows(&opens(&stage, &authority.agree(&again(&page), "alice")).await, 200, "Thank you");
    stage.calls("helper", "calendar/a", Some(&asked)).await.expect(200);
}

/// A run whose user has agreed.
async fn agreed(stage: &Stage, authority: &Authority, user: &str) -> Asked {
    let asked = stage.asked("helper", user).await;
    let url = address(&stage.calls("helper", "calendar/a", Some(&asked)).await);
    shows(&opens(stage, &authority.agree(&url, user)).await, 200, "Thank you");
    stage.calls("helper", "calendar/a", Some(&asked)).await.expect(200);
    asked
}

async fn a_token_is_renewed_once_and_its_successor_kept(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = agreed(&stage, &authority, "alice").await;
    for round in 1..=3 {
        stage.platform.world.advance(Duration::from_secs(3600));
        // A refresh token that came twice would end everything.
        for reply in join_all((0..6).map(|_| stage.calls("helper", "calendar/a", Some(&asked)))).await {
            assert_eq!(reply.expect(200), json!({"for": "alice"}));
        }
        assert_eq!(authority.fetched(), 1 + round);
    }
    authority.revoke_access();
    stage.calls("helper", "calendar/a", Some(&asked)).await.expect(200);
    assert_eq!(authority.fetched(), 5);
    // A server that is away for a while ends no agreement.
    authority.inner().mood = Mood::Down;
    stage.platform.world.advance(Duration::from_secs(3600));
    stage.calls("helper", "calendar/a", Some(&asked)).await.refused(502);
    authority.inner().mood = Mood::Strict;
    stage.calls("helper", "calendar/a", Some(&asked)).await.expect(200);
}

async fn who_took_their_agreement_back_is_asked_again(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = agreed(&stage, &authority, "alice").await;
    authority.revoke_all();
    let url = address(&stage.calls("helper", "calendar/a", Some(&asked)).await);
    assert_eq!(stage.status(&asked).await, "PAUSED_CONSENT");
    shows(&opens(&stage, &authority.agree(&url, "alice")).await, 200, "Thank you");
    stage.calls("helper", "calendar/a", Some(&asked)).await.expect(200);
    // The same where there is nothing to renew a token with, at its end.
    authority.inner().refreshes = false;
    let other = agreed(&stage, &authority, "bob").await;
    stage.platform.world.advance(Duration::from_secs(3599));
    stage.calls("helper", "calendar/a", Some(&other)).await.expect(200);
    stage.platform.world.advance(Duration::from_secs(1));
    address(&stage.calls("helper", "calendar/a", Some(&other)).await);
}

async fn a_tool_that_was_changed_asks_again(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let asked = agreed(&stage, &authority, "alice").await;
    let pending = stage.asked("helper", "bob").await;
    let before = authority.agree(&address(&stage.calls("helper", "calendar/a", Some(&pending)).await), "bob");
    let mut wider = authority.tool("calendar", true);
    wider["spec"]["connection"]["baseUrl"] = json!(format!("{}/tool/v2", authority.url));
    stage.platform.post("/api/tools", wider).await.expect(201);
    stage.agent("helper", &["calendar"]).await;
    address(&stage.calls("helper", "calendar/a", Some(&asked)).await);
    shows(&opens(&stage, &before).await, 400, "the request that it belongs to has ended");
    stage.platform.delete("/api/tools/calendar").await.expect(200);
    let mut tx = stage.platform.app.store().read().await.unwrap();
    let kept: Option<Value> = tx.unseal("default", "oauth_token", "calendar/user/alice").await.unwrap();
    assert_eq!(kept, None);
}

async fn an_agent_without_a_run_has_a_token_of_its_own(platform: Platform) {
    let (stage, authority) = stage(platform).await;
    let url = address(&stage.calls("helper", "calendar/a", None).await);
    shows(&opens(&stage, &authority.agree(&url, "a robot")).await, 200, "Thank you");
    let reply = stage.calls("helper", "calendar/a", None).await;
    assert_eq!(reply.expect(200), json!({"for": "a robot"}));
    // A user who is called like the agent is somebody else; and whoever has its name later is too.
    let asked = stage.asked("helper", "helper").await;
    address(&stage.calls("helper", "calendar/a", Some(&asked)).await);
    drop(asked);
    stage.platform.delete("/api/v1/agents/helper").await.expect(200);
    stage.agent("helper", &["calendar"]).await;
    address(&stage.calls("helper", "calendar/a", None).await);
}

async fn nobody_but_the_user_decides_what_waits_for_them(platform: Platform) {
    let (stage, _) = stage(platform).await;
    let asked = stage.asked("helper", "alice").await;
    let action = stage.calls("helper", "calendar/a", Some(&asked)).await.expect(403)["resume_id"].clone();
    let approve = format!("/runs/{}/actions/{}/approve", asked.run, action.as_str().unwrap());
    let said = stage.platform.post(&approve, json!({})).await.refused(409);
    assert_eq!(said, "this action waits for its user, who agrees at the authorization_url");
    assert_eq!(stage.status(&asked).await, "PAUSED_CONSENT");
    assert_eq!(stage.platform.get("/governance/requests").await.expect(200), json!([]));
    let paused = stage.platform.get("/runs?status=PAUSED_CONSENT").await.expect(200);
    assert_eq!(paused[0]["id"], asked.run);
}
