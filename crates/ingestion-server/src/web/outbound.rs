//! Outbound: the one HTTP client, for whomever this server asks. Redirections are not followed: what is sent goes to the
//! address that was given and to no other.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use tower::Service;

use super::reach::Reach;

/// Keeps connections open for whoever asks next. Cloning gives another handle on the same ones.
#[derive(Debug, Clone)]
pub struct Outbound {
    http: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    tls: ClientConfig,
    reach: Reach,
}

/// Names to those of their addresses that may be reached.
#[derive(Debug, Clone)]
struct Resolver {
    system: GaiResolver,
    reach: Reach,
}

/// A name has no address that may be reached.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("out of reach")]
struct OutOfReach;

/// Why there is no answer. The cause is not told: it may quote an address that holds a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// No connection, or it broke.
    #[error("no connection")]
    Unreachable,
    /// The address is one to which this request may not go.
    #[error("this address may not be asked")]
    OutOfReach,
    /// It took longer than allowed.
    #[error("no answer within {0} seconds")]
    Slow(u64),
    /// More than was asked for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Outbound {
    /// Trusts whom this system trusts; an error when it has no certificates.
    pub fn trusting() -> io::Result<Outbound> {
        Ok(Outbound::over(tls().with_native_roots()?.with_no_client_auth(), Reach::Anywhere))
    }

    /// For plain HTTP, which needs no certificates: a small image may have none. Every TLS connection fails.
    pub fn plain() -> Outbound {
        let tls = tls().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Outbound::over(tls, Reach::Anywhere)
    }

    /// The same for requests that go so far and no farther, with connections of its own.
    pub fn within(&self, reach: Reach) -> Outbound {
        Outbound::over(self.tls.clone(), reach)
    }

    fn over(tls: ClientConfig, reach: Reach) -> Outbound {
        let mut connector = HttpConnector::new_with_resolver(Resolver { system: GaiResolver::new(), reach });
        connector.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let http = Client::builder(TokioExecutor::new()).build(builder.wrap_connector(connector));
        Outbound { http, tls, reach }
    }

    /// The answer, of at most `most` bytes and within `wait`.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
        most: usize,
    ) -> Result<Response<Bytes>, OutboundError> {
        let asked = async {
            let (parts, body) = self.ask(request).await?.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| match error
                .is::<http_body_util::LengthLimitError>(
            ) {
                true => OutboundError::TooLarge(most),
                false => OutboundError::Unreachable,
            })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(wait, asked).await.unwrap_or(Err(OutboundError::Slow(wait.as_secs())))
    }

    /// The answer as it begins, within `wait`; its body comes as it comes.
    pub async fn open(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
    ) -> Result<Response<Incoming>, OutboundError> {
        let asked = tokio::time::timeout(wait, self.ask(request)).await;
        asked.unwrap_or(Err(OutboundError::Slow(wait.as_secs())))
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, OutboundError> {
        // An address that is written as one is not resolved.
        if literal(request.uri()).is_some_and(|address| !self.reach.allows(address)) {
            return Err(OutboundError::OutOfReach);
        }
        self.http.request(request).await.map_err(|error| match is_out_of_reach(&error) {
            true => OutboundError::OutOfReach,
            false => OutboundError::Unreachable,
        })
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.system.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolved, reach) = (self.system.call(name), self.reach);
        async move {
            let (within, without): (Vec<_>, Vec<_>) = resolved.await?.partition(|address| reach.allows(address.ip()));
            match within.is_empty() && !without.is_empty() {
                true => Err(OutOfReach.into()),
                false => Ok(within.into_iter()),
            }
        }
        .boxed()
    }
}

fn is_out_of_reach(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.into_iter().any(|cause| cause.is::<OutOfReach>())
}

fn literal(address: &Uri) -> Option<IpAddr> {
    address.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn tls() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
}

fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}
