//! An authorization server in a test's hands, with a tool behind it. It is as strict as OAuth 2.0 asks: clients say who
//! they are, addresses to come back to are compared to the letter, codes are good once and only with the verifier of
//! their challenge, and a refresh token that comes twice ends everything that came from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const CLIENT: &str = "the-platform";
pub const SECRET: &str = "the+clients/own secret";

/// How it answers who wants a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    #[default]
    Strict,
    Down,
    Silent,
    Huge,
    Page,
    /// It repeats what it was sent.
    Talkative,
    Elsewhere,
}

#[derive(Debug, Default)]
pub struct Inner {
    pub mood: Mood,
    /// `basic`, `post` or both.
    pub lets_in: Vec<&'static str>,
    /// Seconds that tokens are good for.
    pub lifetime: Option<u64>,
    pub redirect: String,
    /// Users get something to renew their tokens with.
    pub refreshes: bool,
    pub asked: Vec<HashMap<String, String>>,
    /// What the tool was asked, and with which token.
    pub called: Vec<(String, String)>,
    codes: HashMap<String, Code>,
    /// Access tokens by their text: whose they are, and of which family.
    access: HashMap<String, (String, usize)>,
    /// Refresh tokens: whose, which family, and whether they were used.
    refresh: HashMap<String, (String, usize, bool)>,
    count: usize,
}

#[derive(Debug, Clone)]
struct Code {
    user: String,
    challenge: String,
    redirect: String,
    family: usize,
    is_used: bool,
}

#[derive(Clone)]
pub struct Authority {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

fn refused(status: u16, error: &str) -> Response {
    let body = Json(json!({"error": error, "error_description": format!("<b>{error}</b>")}));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

impl Authority {
    pub async fn start() -> Authority {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            lets_in: vec!["basic"],
            lifetime: Some(3600),
            redirect: "http://127.0.0.1:8092/oauth/callback".into(),
            refreshes: true,
            ..Inner::default()
        };
        let authority = Authority { url, inner: Arc::new(Mutex::new(inner)) };
        let routes = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/tool/{*rest}", any(tool))
            .with_state(authority.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        authority
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Its tool, as it is registered; for users if somebody has to agree.
    pub fn tool(&self, name: &str, for_users: bool) -> Value {
        let auth_url =
            if for_users { format!("{}/authorize?audience=calendar&state=mine", self.url) } else { String::new() };
        json!({"name": name, "credentials": {"client_id": CLIENT, "client_secret": SECRET}, "spec": {
            "connection": {"topology": "Internal", "baseUrl": format!("{}/tool", self.url), "authentication": {
                "type": "OAuth2", "oauth2Config": {"authUrl": auth_url, "tokenUrl": format!("{}/token", self.url),
                    "scopes": ["read", "write"], "authParams": {"access_type": "offline", "client_id": "another"}}}}}})
    }

    /// Tokens that it has given so far are good no more.
    pub fn revoke_access(&self) {
        self.inner().access.clear();
    }

    /// Nor can they be renewed.
    pub fn revoke_all(&self) {
        let mut inner = self.inner();
        inner.access.clear();
        inner.refresh.clear();
    }

    pub fn fetched(&self) -> usize {
        self.inner().asked.len()
    }

    /// A user opens the authorization's address and agrees: where their browser is sent then.
    pub fn agree(&self, url: &str, user: &str) -> String {
        self.decide(url, user, None)
    }

    /// Or does not.
    pub fn decide(&self, url: &str, user: &str, error: Option<&str>) -> String {
        let uri: Uri = url.parse().unwrap();
        let Query(mut asked): Query<HashMap<String, String>> = Query::try_from_uri(&uri).unwrap();
        asked.insert("user".into(), user.into());
        if let Some(error) = error {
            asked.insert("decision".into(), error.into());
        }
        self.inner().authorize(&asked).unwrap_or_else(|problem| panic!("{problem}: {url}"))
    }
}

async fn authorize(State(own): State<Authority>, Query(asked): Query<HashMap<String, String>>) -> Response {
    match own.inner().authorize(&asked) {
        Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, problem).into_response(),
    }
}

impl Inner {
    fn authorize(&mut self, asked: &HashMap<String, String>) -> Result<String, &'static str> {
        let said = |name: &str| asked.get(name).map_or("", String::as_str);
        if said("client_id") != CLIENT || said("redirect_uri") != self.redirect {
            return Err("an unknown client, or it is somewhere else");
        }
        if said("response_type") != "code" || said("scope") != "read write" || said("access_type") != "offline" {
            return Err("not what is offered");
        }
        if said("code_challenge_method") != "S256" || said("code_challenge").len() != 43 || said("state").is_empty() {
            return Err("without PKCE or a state");
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        match asked.get("decision") {
            Some(error) => {
                query.append_pair("error", error).append_pair("error_description", "<script>alert(1)</script>");
            }
            None => {
                self.count += 1;
                let code = format!("code-{}-of-a-user", self.count);
                let kept = Code {
                    user: said("user").into(),
                    challenge: said("code_challenge").into(),
                    redirect: said("redirect_uri").into(),
                    family: self.count,
                    is_used: false,
                };
                self.codes.insert(code.clone(), kept);
                query.append_pair("code", &code);
            }
        }
        query.append_pair("state", said("state"));
        Ok(format!("{}?{}", self.redirect, query.finish()))
    }

    /// Who comes, if they may.
    fn lets_in(&self, headers: &HeaderMap, form: &HashMap<String, String>) -> bool {
        let plain = |text: &str| {
            let pair = format!("x={text}");
            url::form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned()
        };
        let basic = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        let (way, id, secret) = match basic {
            Some(both) => {
                let both = String::from_utf8(BASE64_STANDARD.decode(both).unwrap()).unwrap();
                let (id, secret) = both.split_once(':').unwrap();
                ("basic", plain(id), plain(secret))
            }
            None => (
                "post",
                form.get("client_id").cloned().unwrap_or_default(),
                form.get("client_secret").cloned().unwrap_or_default(),
            ),
        };
        self.lets_in.contains(&way) && id == CLIENT && secret == SECRET
    }

    fn give(&mut self, whose: &str, family: usize, refreshes: bool) -> Response {
        self.count += 1;
        let access = format!("access-{}-token", self.count);
        self.access.insert(access.clone(), (whose.into(), family));
        let mut body = json!({"access_token": access, "token_type": "Bearer", "scope": "read write"});
        if let Some(lifetime) = self.lifetime {
            body["expires_in"] = lifetime.into();
        }
        if refreshes {
            let refresh = format!("refresh-{}-token", self.count);
            self.refresh.insert(refresh.clone(), (whose.into(), family, false));
            body["refresh_token"] = refresh.into();
        }
        Json(body).into_response()
    }

    fn end(&mut self, family: usize) {
        self.access.retain(|_, (_, own)| *own != family);
        self.refresh.retain(|_, (_, own, _)| *own != family);
    }

    fn token(&mut self, form: &HashMap<String, String>) -> Response {
        let said = |name: &str| form.get(name).map_or("", String::as_str);
        match said("grant_type") {
            "client_credentials" if said("scope") == "read write" => self.give("the platform", 0, false),
            "authorization_code" => {
                let Some(code) = self.codes.get_mut(said("code")) else { return refused(400, "invalid_grant") };
                let (was_used, kept) = (std::mem::replace(&mut code.is_used, true), code.clone());
                if was_used {
                    self.end(kept.family);
                    return refused(400, "invalid_grant");
                }
                let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(said("code_verifier")));
                if challenge != kept.challenge || said("redirect_uri") != kept.redirect {
                    return refused(400, "invalid_grant");
                }
                let refreshes = self.refreshes;
                self.give(&kept.user, kept.family, refreshes)
            }
            "refresh_token" => {
                let Some((user, family, was_used)) = self.refresh.get_mut(said("refresh_token")) else {
                    return refused(400, "invalid_grant");
                };
                let (user, family, was_used) = (user.clone(), *family, std::mem::replace(was_used, true));
                if was_used {
                    self.end(family);
                    return refused(400, "invalid_grant");
                }
                self.give(&user, family, true)
            }
            _ => refused(400, "unsupported_grant_type"),
        }
    }
}

async fn token(State(own): State<Authority>, headers: HeaderMap, body: Bytes) -> Response {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let mood = {
        let mut inner = own.inner();
        inner.asked.push(form.clone());
        inner.mood
    };
    match mood {
        Mood::Strict => {}
        Mood::Down => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Huge => return "x".repeat(1 << 20).into_response(),
        Mood::Page => return "<html>Sign in</html>".into_response(),
        Mood::Elsewhere => {
            return (StatusCode::FOUND, [(header::LOCATION, format!("{}/token?again", own.url))]).into_response();
        }
        Mood::Talkative => {
            let all = form.values().cloned().collect::<Vec<_>>().join(" ");
            let body = json!({"error": "server_error", "error_description": format!("{SECRET} {all}")});
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
    }
    let mut inner = own.inner();
    match inner.lets_in(&headers, &form) {
        true => inner.token(&form),
        false => refused(401, "invalid_client"),
    }
}

async fn tool(State(own): State<Authority>, uri: Uri, headers: HeaderMap) -> Response {
    let mut inner = own.inner();
    let shown = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_string();
    inner.called.push((uri.to_string(), shown.clone()));
    let token = shown.strip_prefix("Bearer ").unwrap_or_default();
    match inner.access.get(token) {
        Some((whose, _)) => Json(json!({"for": whose})).into_response(),
        None => (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_token"}))).into_response(),
    }
}
