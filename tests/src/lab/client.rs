//! Kubernetes clients of the lab: verified server, no hidden retries, bounded waits.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use kube::{Client, Config};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

/// Longer than the apiserver keeps an idle watch silent (bookmarks come every minute).
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Makes aws-lc-rs the process's one TLS provider; further calls change nothing.
pub fn install_crypto_provider() {
    // An error only says that it was installed before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client with a bearer token for a server whose certificate is verified against `ca_pem`.
pub fn with_token(url: &str, ca_pem: &[u8], token: &str) -> Result<Client> {
    install_crypto_provider();
    let certificates = CertificateDer::pem_slice_iter(ca_pem)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .context("the apiserver's certificate")?;
    let mut config = Config::new(url.parse()?);
    config.root_cert = Some(certificates);
    config.auth_info.token = Some(token.to_owned().into());
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(READ_TIMEOUT);
    // A repeated POST would hide from a test what really happened.
    config.default_retry = false;
    Client::try_from(config).with_context(|| format!("a client for {url}"))
}

/// An apiserver's refusal in its own words, without the structure around them.
pub fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!("{} ({})", status.message, status.code),
        other => other.into(),
    }
}
