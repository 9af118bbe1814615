//! HTTPS with a certificate of the operator's.

use super::*;
use aria_worker::api::acceptor;
use tokio_rustls::{
	TlsConnector,
	rustls::{
		ClientConfig, RootCertStore,
		crypto::ring,
		pki_types::{CertificateDer, ServerName, pem::PemObject},
	},
};

struct Files {
	_dir: tempfile::TempDir,
	certificate: std::path::PathBuf,
	key: std::path::PathBuf,
}

/// A certificate for localhost that signs itself.
fn files() -> Files {
	let dir = tempfile::tempdir().unwrap();
	let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
	let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
	std::fs::write(&certificate, made.serialize_pem().unwrap()).unwrap();
	std::fs::write(&key, made.serialize_private_key_pem()).unwrap();
	Files {
		_dir: dir,
		certificate,
		key,
	}
}

/// A client that trusts this certificate alone.
fn client(files: &Files) -> TlsConnector {
	let mut roots = RootCertStore::empty();
	let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
	roots.add(certificate).unwrap();
	let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
		.with_safe_default_protocol_versions()
		.unwrap()
		.with_root_certificates(roots)
		.with_no_client_auth();
	TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn api_should_speak_tls() {
	let files = files();
	let guard = Guard {
		tls: Some(acceptor(&files.certificate, &files.key).unwrap()),
		limits: Limits {
			header: Duration::from_millis(400),
			..Limits::default()
		},
		..Guard::default()
	};
	let server = Server::guarded(&DEMO, 8, guard).await;
	let socket = TcpStream::connect(server.address).await.unwrap();
	let name = ServerName::try_from("localhost").unwrap();
	let mut stream = client(&files).connect(name, socket).await.unwrap();
	let body = with(story(), json!({ "stream": true })).to_string();
	let request = format!(
		"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
		body.len()
	);
	stream.write_all(request.as_bytes()).await.unwrap();
	let mut bytes = Vec::new();
	stream.read_to_end(&mut bytes).await.unwrap();
	assert_eq!(parse(&bytes).chunks().len(), 9, "8 tokens and the end");
	// Nobody who speaks anything else is answered, or kept waiting.
	for words in [&b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"[..], b""] {
		let mut plain = TcpStream::connect(server.address).await.unwrap();
		plain.write_all(words).await.unwrap();
		let mut bytes = Vec::new();
		let read = tokio::time::timeout(Duration::from_secs(20), plain.read_to_end(&mut bytes));
		drop(read.await.expect("the server keeps the connection"));
		assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
	}
}

#[test]
fn certificates_that_can_not_be_used_should_be_refused_by_name() {
	let (one, two) = (files(), files());
	let refusal = |certificate: &Path, key: &Path| {
		let refused = acceptor(certificate, key).err().unwrap();
		format!("{refused:#}")
	};
	let other_key = refusal(&one.certificate, &two.key);
	assert!(other_key.contains("can't be used together"), "{other_key}");
	let swapped = refusal(&one.key, &one.certificate);
	assert!(swapped.contains("not a certificate"), "{swapped}");
	let no_key = refusal(&one.certificate, &one.certificate);
	assert!(no_key.contains("not a private key"), "{no_key}");
	let missing = refusal(Path::new("/missing.pem"), &one.key);
	assert!(missing.contains("/missing.pem"), "{missing}");
}
