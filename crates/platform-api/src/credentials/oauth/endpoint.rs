//! Endpoint: an authorization server is asked for a token. It is reached by the same rules as the tool, and its
//! time and its words are limited.

use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::Full;
use ingestion_server::web::outbound::OutboundError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::Client;
use crate::app::App;

/// Bytes of its answer.
const MOST: usize = 64 << 10;

/// Characters of what it says.
const SAID: usize = 200;

/// How a client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientAuth {
    /// By name and secret in a header.
    Basic,
    /// By both in the body.
    Post,
    /// By its name alone: it has no secret.
    None,
}

impl ClientAuth {
    /// As the registry of OAuth writes it.
    pub fn named(name: &str) -> Option<ClientAuth> {
        match name {
            "client_secret_basic" => Some(ClientAuth::Basic),
            "client_secret_post" => Some(ClientAuth::Post),
            "none" => Some(ClientAuth::None),
            _ => None,
        }
    }
}

/// A token, as it was given.
#[derive(Clone)]
pub struct Given {
    /// What tools are shown.
    pub access_token: String,
    /// What the next one is fetched with.
    pub refresh_token: Option<String>,
    /// For how many milliseconds it is good; nobody said where there is none.
    pub lifetime: Option<i64>,
    /// How the client was let in.
    pub auth: ClientAuth,
}

/// Why there is no token. Nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No answer.
    #[error("its token endpoint {0}")]
    Unreachable(String),
    /// It says no.
    #[error("its authorization server says {code}{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Refused {
        /// In OAuth's words: `invalid_grant`.
        code: String,
        /// In its own.
        said: String,
    },
    /// It answered something else.
    #[error("its token endpoint answered {0}")]
    NoToken(String),
}

impl EndpointError {
    /// What was shown is good no more: the user has to agree again.
    pub fn is_over(&self) -> bool {
        matches!(self, EndpointError::Refused { code, .. } if code == "invalid_grant")
    }

    /// The client was not let in the way it came.
    fn is_about_the_client(&self) -> bool {
        let EndpointError::Refused { code, .. } = self else { return false };
        ["invalid_client", "invalid_request", "unauthorized"].contains(&code.as_str())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    error: Option<Value>,
    error_description: Option<String>,
}

/// Asks for a token with a grant's parameters. `auth` is the way in which this client was let in before; where nobody
/// knows, it comes with a header first and then in the body.
pub async fn ask(
    app: &App,
    client: &Client,
    grant: &[(&str, &str)],
    auth: Option<ClientAuth>,
) -> Result<Given, EndpointError> {
    match client.registered_auth().or(auth) {
        Some(auth) => once(app, client, grant, auth).await,
        None => match once(app, client, grant, ClientAuth::Basic).await {
            Err(error) if error.is_about_the_client() => once(app, client, grant, ClientAuth::Post).await,
            answer => answer,
        },
    }
}

async fn once(app: &App, client: &Client, grant: &[(&str, &str)], auth: ClientAuth) -> Result<Given, EndpointError> {
    let request = request(client, grant, auth)?;
    let patience = Duration::from_secs(app.config().credentials.token_seconds);
    let answer = app.egress().to(client.topology).send(request, patience, MOST).await;
    let answer = answer.map_err(|error| EndpointError::Unreachable(unreachable(error)))?;
    let shown: Vec<&str> = grant.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| *value).collect();
    read(answer.status(), answer.body(), auth, |text| client.hidden_in(text, &shown))
}

/// As HTTP carries it.
fn request(client: &Client, grant: &[(&str, &str)], auth: ClientAuth) -> Result<Request<Full<Bytes>>, EndpointError> {
    let secret = client.secret.as_deref().unwrap_or_default();
    let mut form = Serializer::new(String::new());
    form.extend_pairs(grant);
    let mut request = Request::post(&client.config.token_url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "platform-api");
    match auth {
        ClientAuth::Basic => {
            let plain = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let both = BASE64.encode(format!("{}:{}", plain(&client.id), plain(secret)));
            request = request.header(header::AUTHORIZATION, format!("Basic {both}"));
        }
        ClientAuth::Post => {
            form.append_pair("client_id", &client.id).append_pair("client_secret", secret);
        }
        ClientAuth::None => {
            form.append_pair("client_id", &client.id);
        }
    }
    let request = request.body(Full::new(Bytes::from(form.finish())));
    request.map_err(|_| EndpointError::Unreachable("has an address that cannot be asked".into()))
}

/// Parameters that nobody else may see.
fn is_secret(name: &str) -> bool {
    ["code", "code_verifier", "refresh_token"].contains(&name)
}

fn unreachable(error: OutboundError) -> String {
    match error {
        OutboundError::OutOfReach => "has an address that tools of its topology may not have".into(),
        OutboundError::Unreachable => "could not be reached".into(),
        OutboundError::Slow(seconds) => format!("did not answer within {seconds} seconds"),
        OutboundError::TooLarge(bytes) => format!("answered more than {bytes} bytes"),
    }
}

/// The token in an answer, or why there is none. `hide` takes secrets out of a text.
fn read(
    status: StatusCode,
    body: &[u8],
    auth: ClientAuth,
    hide: impl Fn(&str) -> String,
) -> Result<Given, EndpointError> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let is_json = answer.is_some();
    let answer = answer.unwrap_or_default();
    let code = match &answer.error {
        Some(Value::String(code)) => Some(line(&hide(code), 60)),
        Some(_) => Some("error".into()),
        None if status == StatusCode::UNAUTHORIZED => Some("unauthorized".into()),
        None => None,
    };
    if let Some(code) = code {
        let said = line(&hide(answer.error_description.as_deref().unwrap_or_default()), SAID);
        return Err(EndpointError::Refused { code, said });
    }
    let no_token = |what: String| Err(EndpointError::NoToken(what));
    if !status.is_success() {
        return no_token(format!("{} and no error of OAuth", status.as_u16()));
    }
    if !is_json {
        return no_token("something that is no JSON object".into());
    }
    let Some(access_token) = answer.access_token.filter(|token| is_sendable(token)) else {
        return no_token("without an access_token that can be sent".into());
    };
    if let Some(kind) = answer.token_type.filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return no_token(format!("with a token of type {:?}; only bearer tokens can be sent", line(&hide(&kind), 40)));
    }
    let seconds = answer.expires_in.and_then(|value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    let lifetime = seconds.filter(|seconds| *seconds > 0.0).map(|seconds| (seconds * 1000.0) as i64);
    let refresh_token = answer.refresh_token.filter(|token| !token.is_empty());
    Ok(Given { access_token, refresh_token, lifetime, auth })
}

fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What somebody else wrote, as one short line.
pub fn line(text: &str, most: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Result<Given, EndpointError> {
        let hide = |text: &str| text.replace("hush", "********");
        read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), ClientAuth::Basic, hide)
    }

    #[test]
    fn a_token_is_read_in_the_spellings_that_servers_have() {
        let given = answered(200, r#"{"access_token":"t","token_type":"bearer","expires_in":"3600"}"#).unwrap();
        assert_eq!((given.access_token.as_str(), given.lifetime, given.refresh_token), ("t", Some(3_600_000), None));
        let given = answered(200, r#"{"access_token":"t","refresh_token":"r","expires_in":0.5}"#).unwrap();
        assert_eq!((given.lifetime, given.refresh_token.as_deref()), (Some(500), Some("r")));
        for odd in [r#""expires_in":-1"#, r#""expires_in":null"#, r#""expires_in":"soon""#, r#""x":1"#] {
            assert_eq!(answered(200, &format!(r#"{{"access_token":"t",{odd}}}"#)).unwrap().lifetime, None, "{odd}");
        }
        assert!(answered(200, r#"{"access_token":"t","expires_in":1e300}"#).unwrap().lifetime.unwrap() > 0);
    }

    #[test]
    fn what_is_no_token_is_said_in_one_line_without_secrets() {
        let why = |status, body: &str| answered(status, body).err().unwrap().to_string();
        let refused = r#"{"error":"invalid_grant","error_description":"the code hush\nis used"}"#;
        assert_eq!(why(400, refused), "its authorization server says invalid_grant: the code ******** is used");
        // Some say no with 200.
        assert_eq!(
            why(200, r#"{"error":"bad_verification_code"}"#),
            "its authorization server says bad_verification_code"
        );
        assert_eq!(why(401, "<html>"), "its authorization server says unauthorized");
        assert_eq!(why(503, "hush"), "its token endpoint answered 503 and no error of OAuth");
        assert_eq!(why(200, "access_token=hush"), "its token endpoint answered something that is no JSON object");
        assert!(why(200, r#"{"access_token":"a b"}"#).contains("without an access_token"));
        assert!(why(200, r#"{"access_token":"t","token_type":"mac"}"#).contains("type \"mac\""));
        assert!(answered(400, refused).err().unwrap().is_over());
    }
}
