//! TLS: a certificate and its key, read once.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why nobody can be served by TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not a file of certificates or of a key.
    #[error("{path}: expected {what} as PEM: {cause}")]
    Pem {
        /// The file.
        path: String,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        cause: rustls::pki_types::pem::Error,
    },
    /// They do not go together, or are of a kind that is not spoken any more.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Speaks TLS with the certificates in one file, the server's own first, and the key in another.
pub fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let bad = |path: &Path, what| {
        let path = path.display().to_string();
        move |cause| TlsError::Pem { path, what, cause }
    };
    let chain = CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(bad(certificates, "certificates"))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(bad(key, "a private key"))?;
    let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
