//! Requests to the hub. Redirects are followed here, so that a token never leaves the hub's own host.

use super::{HubError, Result};
use serde::Deserialize;
use std::{io::Read, time::Duration};
use ureq::{
	Agent, Body,
	http::{Response, Uri},
};

/// Most bytes of a repository's description.
const DESCRIPTION_BYTES: u64 = 16 << 20;
/// Most files of a repository.
const FILES: usize = 4096;
const REDIRECTS: usize = 5;

/// Where the hub is, and who asks.
#[derive(Clone)]
pub struct Endpoint {
	/// `https://huggingface.co` or a mirror; no slash at the end.
	pub url: String,
	/// Bearer token.
	pub token: Option<String>,
}

impl Endpoint {
	/// The hub that `HF_ENDPOINT` names, with the token of `HF_TOKEN` or of the file `token` in `HF_HOME`.
	pub fn from_env() -> Self {
		let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
		let home = text("HF_HOME").map(Into::into).or_else(|| {
			text("HOME").map(|home| std::path::Path::new(&home).join(".cache/huggingface"))
		});
		let stored = || std::fs::read_to_string(home?.join("token")).ok();
		let token = text("HF_TOKEN").or_else(stored);
		Self {
			url: text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()),
			token: token
				.map(|token| token.trim().to_owned())
				.filter(|token| !token.is_empty()),
		}
	}
}

#[derive(Debug, Deserialize)]
pub(super) struct Description {
	pub sha: String,
	#[serde(default)]
	pub siblings: Vec<Sibling>,
	#[serde(default, rename = "cardData")]
	pub card: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sibling {
	pub rfilename: String,
}

/// Size and checksum that the hub announces for a file.
#[derive(Debug, Clone)]
pub(super) struct Announced {
	pub size: u64,
	/// SHA-256 (64 hex digits), or the git blob's SHA-1 (40).
	pub hash: String,
}

pub(super) struct Client {
	agent: Agent,
	base: String,
	token: Option<String>,
}

fn origin(uri: &Uri) -> Option<(String, String)> {
	let authority = uri.authority()?.as_str().to_ascii_lowercase();
	Some((uri.scheme_str()?.to_owned(), authority))
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
	Some(
		response
			.headers()
			.get(name)?
			.to_str()
			.ok()?
			.trim()
			.to_owned(),
	)
}

fn etag(text: &str) -> Option<String> {
	let hash = text
		.trim_start_matches("W/")
		.trim_matches('"')
		.to_ascii_lowercase();
	let hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
	(hex && matches!(hash.len(), 40 | 64)).then_some(hash)
}

/// A file name or repository as part of an address.
fn quoted(text: &str) -> String {
	let mut out = String::new();
	for byte in text.bytes() {
		match byte {
			b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => {
				out.push(char::from(byte));
			}
			_ => out.push_str(&format!("%{byte:02X}")),
		}
	}
	out
}

impl Client {
	pub(super) fn new(endpoint: &Endpoint) -> Self {
		let config = Agent::config_builder()
			.max_redirects(0)
			.max_redirects_will_error(false)
			.http_status_as_error(false)
			.timeout_connect(Some(Duration::from_secs(20)))
			.timeout_recv_response(Some(Duration::from_secs(60)))
			// A stalled body is requested again from where it stopped, and so is one that drips.
			.timeout_per_read(Some(Duration::from_secs(60)))
			.timeout_recv_body(Some(Duration::from_secs(1800)))
			.user_agent(concat!("aria-worker/", env!("CARGO_PKG_VERSION")))
			.build();
		Self {
			agent: config.into(),
			base: endpoint.url.trim_end_matches('/').to_owned(),
			token: endpoint.token.clone(),
		}
	}

	pub(super) fn file_url(&self, repo: &str, commit: &str, file: &str) -> String {
		format!(
			"{}/{}/resolve/{}/{}",
			self.base,
			quoted(repo),
			quoted(commit),
			quoted(file)
		)
	}

	fn once(&self, head: bool, url: &str, range: Option<u64>) -> Result<Response<Body>> {
		let uri: Uri = url
			.parse()
			.map_err(|_| protocol(url, "the address is malformed"))?;
		let home = self.base.parse::<Uri>().ok().as_ref().and_then(origin);
		let mut request = if head {
			self.agent.head(url)
		} else {
			self.agent.get(url)
		};
		request = request.header("Accept-Encoding", "identity");
		if let Some(token) = self.token.as_ref().filter(|_| origin(&uri) == home) {
			request = request.header("Authorization", format!("Bearer {token}"));
		}
		if let Some(from) = range {
			request = request.header("Range", format!("bytes={from}-"));
		}
		request.call().map_err(|error| HubError::Network {
			url: shown(url),
			reason: error.to_string(),
		})
	}

	/// A GET; redirects are followed, errors of the server are errors.
	pub(super) fn get(&self, url: &str, range: Option<u64>, what: &str) -> Result<Response<Body>> {
		let mut url = url.to_owned();
		for _ in 0..=REDIRECTS {
			let response = self.once(false, &url, range)?;
			if !response.status().is_redirection() {
				return checked(response, &url, what, range.is_some());
			}
			url = next(&response, &url)?;
		}
		Err(protocol(&url, "it redirects in a circle"))
	}

	pub(super) fn describe(&self, repo: &str, revision: &str) -> Result<Description> {
		let (repo_part, revision_part) = (quoted(repo), quoted(revision).replace('/', "%2F"));
		let url = format!(
			"{}/api/models/{repo_part}/revision/{revision_part}",
			self.base
		);
		let response = self.get(&url, None, &format!("{repo} at revision {revision}"))?;
		let mut text = Vec::new();
		let mut body = response
			.into_body()
			.into_reader()
			.take(DESCRIPTION_BYTES + 1);
		body.read_to_end(&mut text)
			.map_err(|error| HubError::Network {
				url: shown(&url),
				reason: error.to_string(),
			})?;
		if text.len() as u64 > DESCRIPTION_BYTES {
			return Err(protocol(&url, "the description has no end"));
		}
		let description: Description = serde_json::from_slice(&text)
			.map_err(|error| protocol(&url, &format!("not the JSON expected, {error}")))?;
		let sha = &description.sha;
		if sha.len() != 40 || !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
			return Err(protocol(&url, "the commit is not one"));
		}
		if description.siblings.len() > FILES {
			return Err(protocol(&url, &format!("it lists more than {FILES} files")));
		}
		Ok(description)
	}

	/// Asks for a file's size and checksum. The hub tells them before it redirects; later hosts are not asked.
	pub(super) fn announced(&self, repo: &str, commit: &str, file: &str) -> Result<Announced> {
		let mut url = self.file_url(repo, commit, file);
		for _ in 0..=REDIRECTS {
			let response = self.once(true, &url, None)?;
			let hash = header(&response, "x-linked-etag")
				.or_else(|| header(&response, "etag"))
				.and_then(|text| etag(&text));
			let redirects = response.status().is_redirection();
			if header(&response, "x-repo-commit").is_some_and(|found| found != commit) {
				return Err(protocol(&url, "it answers for another commit"));
			}
			let size = header(&response, "x-linked-size")
				.or_else(|| header(&response, "content-length").filter(|_| !redirects))
				.and_then(|text| text.parse().ok());
			if let (Some(size), Some(hash), true) =
				(size, hash, redirects || response.status().is_success())
			{
				return Ok(Announced { size, hash });
			}
			if !redirects {
				checked(response, &url, &format!("{file} in {repo}"), false)?;
				return Err(protocol(&url, "it tells no size and checksum of the file"));
			}
			let target = next(&response, &url)?;
			let same = |text: &str| text.parse::<Uri>().ok().as_ref().and_then(origin);
			if same(&target) != same(&url) {
				return Err(protocol(&url, "it tells no size and checksum of the file"));
			}
			url = target;
		}
		Err(protocol(&url, "it redirects in a circle"))
	}
}

fn protocol(url: &str, reason: &str) -> HubError {
	HubError::Protocol {
		url: shown(url),
		reason: reason.to_owned(),
	}
}

/// An address without its query, which may hold a signature.
pub(super) fn shown(url: &str) -> String {
	url.split('?').next().unwrap_or_default().to_owned()
}

fn next(response: &Response<Body>, url: &str) -> Result<String> {
	let target =
		header(response, "location").ok_or_else(|| protocol(url, "a redirect to nowhere"))?;
	let from: Uri = url
		.parse()
		.map_err(|_| protocol(url, "the address is malformed"))?;
	let (scheme, authority) =
		origin(&from).ok_or_else(|| protocol(url, "the address is malformed"))?;
	if target.starts_with('/') && !target.starts_with("//") {
		return Ok(format!("{scheme}://{authority}{target}"));
	}
	let secure = target.starts_with("https://");
	if secure || (target.starts_with("http://") && scheme == "http") {
		return Ok(target);
	}
	Err(protocol(url, "a redirect to an address that is not https"))
}

/// A response, if it is a success; to a request for a part, "no such part" is an answer too.
fn checked(
	response: Response<Body>,
	url: &str,
	what: &str,
	partial: bool,
) -> Result<Response<Body>> {
	match response.status().as_u16() {
		200 => Ok(response),
		206 | 416 if partial => Ok(response),
		401 | 403 => Err(HubError::Refused(what.to_owned())),
		404 => Err(HubError::NotFound(what.to_owned())),
		429 | 500..=599 => Err(HubError::Network {
			url: shown(url),
			reason: format!("the server answers {}", response.status()),
		}),
		status => Err(protocol(url, &format!("status {status}"))),
	}
}
