//! Forward: the way to a provider and back. Who cannot be reached or has no time is asked again, then somebody else is;
//! once an answer has begun it is the answer. A caller who leaves takes the provider's work with them: whatever is
//! dropped here closes its connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::breaker::Breakers;
use crate::conversation::Failure;
use crate::credentials::Credentials;
use crate::formats::chat::read_error;

/// Where time and chance come from.
pub trait Rim: fmt::Debug + Send + Sync {
    /// Since this process began to ask; it never goes back.
    fn elapsed(&self) -> Duration;
    /// Since 1970.
    fn now(&self) -> Duration;
    /// Any number.
    fn random(&self) -> u64;
}

/// How long a provider is waited for, and how often it is asked.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until an answer begins.
    pub answer: Duration,
    /// Between two pieces of an answer.
    pub silence: Duration,
    /// How often one provider is asked.
    pub tries: u32,
    /// The largest whole answer.
    pub most_bytes: usize,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(120),
            silence: Duration::from_secs(120),
            tries: 3,
            most_bytes: 64 << 20,
        }
    }
}

/// Bytes of an error that are read.
const LARGEST_ERROR: usize = 64 << 10;

/// The first pause; each next one is twice as long, and chance takes a part of it.
const PAUSE: Duration = Duration::from_millis(200);

/// No caller waits longer for a provider that says when to come again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One provider that may be asked.
#[derive(Debug, Clone)]
pub struct Target {
    /// Whose failures are counted together.
    pub provider: String,
    /// Where.
    pub url: Url,
    /// With what besides the credentials.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What it is shown.
    pub credentials: Credentials,
}

/// An answer that has begun.
#[derive(Debug)]
pub struct Answer {
    /// Which target gives it.
    pub target: usize,
    /// With its status, which is a success.
    pub response: Response<Incoming>,
    /// How long providers were waited for.
    pub waited: Duration,
}

/// Why nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What to tell; 429 where it is a matter of time.
    pub failure: Failure,
    /// When to come again, as the provider says.
    pub retry_after: Option<u64>,
    /// A provider had the request when it was given up: its work may cost something.
    pub may_cost: bool,
}

impl Refused {
    fn gateway(message: impl Into<String>) -> Refused {
        Refused { failure: Failure::bad_gateway(message), retry_after: None, may_cost: false }
    }

    fn given_up(message: impl Into<String>) -> Refused {
        Refused { may_cost: true, ..Refused::gateway(message) }
    }
}

/// Keeps connections open for whoever asks next. Cloning gives another handle on the same ones.
#[derive(Debug, Clone)]
pub struct Forwarder {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    breakers: Arc<Breakers>,
    rim: Arc<dyn Rim>,
    patience: Patience,
}

/// What became of one try.
enum Tried {
    Answered(Box<Response<Incoming>>),
    /// Another try may go better.
    Again(Refused, Option<Duration>),
    /// This provider will not answer, another might.
    Elsewhere(Refused),
    /// The request itself is refused.
    Never(Refused),
}

impl Forwarder {
    /// Trusts whom this system trusts; where it has no certificates, plain HTTP alone works.
    pub fn new(patience: Patience, rim: Arc<dyn Rim>) -> Forwarder {
        let provider = rustls::crypto::ring::default_provider;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(patience.connect));
        let connector = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider()) {
            Ok(builder) => builder.https_or_http().enable_http1().wrap_connector(tcp),
            Err(_) => {
                let tls = ClientConfig::builder_with_provider(provider().into())
                    .with_safe_default_protocol_versions()
                    .expect("the provider has them")
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp)
            }
        };
        let http = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Forwarder { http, breakers: Arc::default(), rim, patience }
    }

    /// How patient it is.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Asks one after the other until somebody answers.
    pub async fn ask(&self, targets: &[Target]) -> Result<Answer, Refused> {
        let mut refused = Refused::gateway("no provider could be asked");
        let (mut waited, mut may_cost) = (Duration::ZERO, false);
        for (index, target) in targets.iter().enumerate() {
            if !self.breakers.may_ask(&target.provider, self.rim.elapsed()) {
                refused = Refused::gateway("the provider failed several times and is left alone for a moment");
                continue;
            }
            for attempt in 1.. {
                let began = self.rim.elapsed();
                let tried = self.try_once(target).await;
                waited += self.rim.elapsed().saturating_sub(began);
                let pause = match tried {
                    Tried::Answered(response) => {
                        self.breakers.succeeded(&target.provider);
                        return Ok(Answer { target: index, response: *response, waited });
                    }
                    Tried::Never(why) => {
                        self.breakers.succeeded(&target.provider);
                        return Err(Refused { may_cost, ..why });
                    }
                    Tried::Elsewhere(why) => {
                        self.breakers.failed(&target.provider, self.rim.elapsed());
                        may_cost |= why.may_cost;
                        refused = why;
                        break;
                    }
                    Tried::Again(why, told) => {
                        // Who is busy is well: only who cannot be reached is left alone.
                        if why.failure.status != 429 {
                            self.breakers.failed(&target.provider, self.rim.elapsed());
                        }
                        refused = why;
                        let pause = told.unwrap_or_else(|| self.pause(attempt));
                        if attempt >= self.patience.tries || pause > LONGEST_PAUSE {
                            break;
                        }
                        pause
                    }
                };
                let began = self.rim.elapsed();
                sleep(pause).await;
                waited += self.rim.elapsed().saturating_sub(began);
            }
        }
        Err(Refused { may_cost, ..refused })
    }

    /// Between half and all of it, so that many who failed together do not come back together.
    fn pause(&self, attempt: u32) -> Duration {
        let whole = PAUSE.saturating_mul(1 << (attempt - 1).min(8)).min(LONGEST_PAUSE);
        let share = self.rim.random() as f64 / u64::MAX as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }

    async fn try_once(&self, target: &Target) -> Tried {
        let (mut url, mut headers) = (target.url.clone(), target.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if target.credentials.put(&mut url, &mut headers, &target.body, self.rim.now()).is_err() {
            return Tried::Elsewhere(Refused::gateway("the provider's credentials cannot be sent"));
        }
        let mut request = Request::new(Full::new(target.body.clone()));
        *request.method_mut() = hyper::Method::POST;
        *request.headers_mut() = headers;
        match url.as_str().parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return Tried::Never(Refused::gateway("the provider's address cannot be called")),
        }
        let response = match timeout(self.patience.answer, self.http.request(request)).await {
            Ok(Ok(response)) => response,
            // The cause may quote an address that holds a credential.
            Ok(Err(error)) if error.is_connect() => {
                return Tried::Again(Refused::gateway("no connection to the provider"), None);
            }
            Ok(Err(_)) => return Tried::Elsewhere(Refused::given_up("the connection to the provider broke")),
            Err(_) => {
                let seconds = self.patience.answer.as_secs();
                return Tried::Elsewhere(Refused::given_up(format!(
                    "no answer from the provider within {seconds} seconds"
                )));
            }
        };
        let status = response.status();
        if status.is_success() {
            return Tried::Answered(Box::new(response));
        }
        let told = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let message = target.credentials.hidden_in(self.error(response).await);
        let message = format!("the provider answered {}: {message}", status.as_u16());
        let refused = |status| Refused { failure: Failure { status, message }, retry_after: told, may_cost: false };
        let pause = told.map(Duration::from_secs);
        match status {
            StatusCode::TOO_MANY_REQUESTS => Tried::Again(refused(429), pause),
            StatusCode::SERVICE_UNAVAILABLE => Tried::Again(refused(502), pause),
            status if status.is_server_error() => Tried::Elsewhere(refused(502)),
            _ => Tried::Never(refused(502)),
        }
    }

    /// What an error says, in whichever form.
    async fn error(&self, response: Response<Incoming>) -> String {
        let body = Limited::new(response.into_body(), LARGEST_ERROR).collect();
        let Ok(Ok(body)) = timeout(self.patience.silence, body).await else { return "an unreadable error".into() };
        let bytes = body.to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let own = ["message", "Message"].iter().find_map(|key| body.get(key)?.as_str());
        let message = match (read_error(&body), own) {
            (Some(failure), _) => failure.message,
            (None, Some(message)) => message.to_string(),
            (None, None) => "an error without a message".into(),
        };
        message.chars().take(500).collect()
    }

    /// A whole answer.
    pub async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let most = self.patience.most_bytes;
        let body = Limited::new(response.into_body(), most).collect();
        match timeout(self.patience.answer, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(Failure::bad_gateway(format!("the answer is larger than {most} bytes")))
            }
            Ok(Err(_)) => Err(Failure::bad_gateway("the provider's answer broke off")),
            Err(_) => Err(Failure::bad_gateway("the provider's answer did not come to its end")),
        }
    }
}
