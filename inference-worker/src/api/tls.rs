//! A certificate and its key, for HTTPS.

use anyhow::{Context as _, Result};
use std::{path::Path, sync::Arc};
use tokio_rustls::{
	TlsAcceptor,
	rustls::{
		ServerConfig,
		crypto::ring,
		pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
	},
};

/// Longest file, bytes.
const MAX_FILE: u64 = 1 << 20;

fn read(path: &Path) -> Result<Vec<u8>> {
	let read = || {
		if std::fs::metadata(path)?.len() > MAX_FILE {
			return Err(std::io::Error::other("too long for a certificate or key"));
		}
		std::fs::read(path)
	};
	read().with_context(|| format!("can't read {}", path.display()))
}

/// Reads a certificate, with those that lead to its authority, and its key, both in PEM.
///
/// # Errors
///
/// When the files can't be read, or don't belong together.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
	let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
		.collect::<Result<Vec<_>, _>>()
		.map_err(|error| anyhow::anyhow!("{error}"))
		.and_then(|chain| {
			anyhow::ensure!(!chain.is_empty(), "no certificate is in it");
			Ok(chain)
		})
		.with_context(|| format!("{} is not a certificate in PEM", certificate.display()))?;
	let private = PrivateKeyDer::from_pem_slice(&read(key)?)
		.map_err(|error| anyhow::anyhow!("{error}"))
		.with_context(|| format!("{} is not a private key in PEM", key.display()))?;
	let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
		.with_safe_default_protocol_versions()?
		.with_no_client_auth()
		.with_single_cert(chain, private)
		.with_context(|| {
			let (certificate, key) = (certificate.display(), key.display());
			format!("{certificate} and {key} can't be used together")
		})?;
	config.alpn_protocols = vec![b"http/1.1".to_vec()];
	Ok(TlsAcceptor::from(Arc::new(config)))
}
