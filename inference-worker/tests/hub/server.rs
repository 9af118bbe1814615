//! A hub on this machine, with faults on demand.

use axum::{
	Router,
	body::{Body, Bytes},
	extract::{Request, State},
	http::{HeaderMap, Method, StatusCode, header},
	response::{IntoResponse, Response},
};
use serde_json::json;
use sha2::Digest;
use std::{
	collections::VecDeque,
	sync::{Arc, Mutex},
};

pub(crate) const REPO: &str = "owner/model";

pub(crate) fn commit(digit: char) -> String {
	digit.to_string().repeat(40)
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
	pub(crate) method: Method,
	pub(crate) path: String,
	pub(crate) range: Option<String>,
	pub(crate) token: Option<String>,
}

/// What happens to the next GET of a large file's content.
#[derive(Clone)]
pub(crate) enum Fault {
	/// The connection ends after so many bytes.
	Cut(usize),
	/// A status and nothing else.
	Status(u16),
	/// The whole file, whatever was asked for.
	IgnoreRange,
	/// One byte is another.
	Corrupt,
	/// Waits until the test lets it go on.
	Wait(std::sync::mpsc::Sender<()>, Arc<tokio::sync::Notify>),
}

#[derive(Default)]
pub(crate) struct Hub {
	pub(crate) commit: String,
	/// Names and contents; files of 1000 bytes or more are "large": announced by SHA-256 and redirected.
	pub(crate) files: Vec<(String, Vec<u8>)>,
	pub(crate) seen: Vec<Seen>,
	pub(crate) faults: VecDeque<Fault>,
	/// Status of every answer.
	pub(crate) status: Option<u16>,
	/// Host of large files; this one if there is none.
	pub(crate) storage: Option<String>,
	/// Told with files instead of the commit.
	pub(crate) other_commit: Option<String>,
}

pub(crate) struct Server {
	pub(crate) url: String,
	pub(crate) hub: Arc<Mutex<Hub>>,
	_runtime: tokio::runtime::Runtime,
}

impl Server {
	pub(crate) fn start(files: &[(&str, &[u8])]) -> Self {
		let runtime = tokio::runtime::Builder::new_multi_thread()
			.worker_threads(1)
			.enable_all()
			.build()
			.unwrap();
		let hub = Arc::new(Mutex::new(Hub::default()));
		let listener = runtime
			.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
			.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		let router = Router::new().fallback(answer).with_state(hub.clone());
		runtime.spawn(async move { axum::serve(listener, router).await });
		let server = Self {
			url,
			hub,
			_runtime: runtime,
		};
		server.publish('a', files);
		server
	}

	pub(crate) fn publish(&self, digit: char, files: &[(&str, &[u8])]) {
		let mut hub = self.hub.lock().unwrap();
		hub.commit = commit(digit);
		let owned = |(name, bytes): &(&str, &[u8])| ((*name).to_owned(), bytes.to_vec());
		hub.files = files.iter().map(owned).collect();
	}

	pub(crate) fn fault(&self, fault: Fault) {
		self.hub.lock().unwrap().faults.push_back(fault);
	}

	/// Requests for large files' content since the last call: last part of the path, and range.
	pub(crate) fn downloads(&self) -> Vec<(String, Option<String>)> {
		let seen = std::mem::take(&mut self.hub.lock().unwrap().seen);
		seen.into_iter()
			.filter(|seen| seen.method == Method::GET && seen.path.starts_with("/storage/"))
			.map(|seen| (seen.path.rsplit('/').next().unwrap().to_owned(), seen.range))
			.collect()
	}
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
	hex::encode(sha2::Sha256::digest(bytes))
}

pub(crate) fn git_hash(bytes: &[u8]) -> String {
	let mut hash = sha1::Sha1::new();
	hash.update(format!("blob {}\0", bytes.len()));
	hash.update(bytes);
	hex::encode(hash.finalize())
}

async fn answer(State(hub): State<Arc<Mutex<Hub>>>, request: Request) -> Response {
	let fault = {
		let mut hub = hub.lock().unwrap();
		let text = |name| {
			let value = request.headers().get(name)?;
			Some(value.to_str().unwrap().to_owned())
		};
		let path = request.uri().path().to_owned();
		let content = request.method() == Method::GET && path.starts_with("/storage/");
		hub.seen.push(Seen {
			method: request.method().clone(),
			path,
			range: text(header::RANGE),
			token: text(header::AUTHORIZATION),
		});
		content.then(|| hub.faults.pop_front()).flatten()
	};
	if let Some(Fault::Wait(reached, go_on)) = &fault {
		reached.send(()).unwrap();
		go_on.notified().await;
	}
	let hub = hub.lock().unwrap();
	match hub.status {
		Some(status) => StatusCode::from_u16(status).unwrap().into_response(),
		None => serve(&hub, &request, fault),
	}
}

fn serve(hub: &Hub, request: &Request, fault: Option<Fault>) -> Response {
	let path = request.uri().path();
	if let Some(revision) = path.strip_prefix(&format!("/api/models/{REPO}/revision/")) {
		if revision != "main" && revision != hub.commit {
			return StatusCode::NOT_FOUND.into_response();
		}
		let names = hub
			.files
			.iter()
			.map(|(name, _)| json!({ "rfilename": name }));
		let siblings: Vec<_> = names.collect();
		return axum::Json(json!({
			"sha": hub.commit, "siblings": siblings, "cardData": { "license": "mit" }, "private": false
		}))
		.into_response();
	}
	let resolve = format!("/{REPO}/resolve/{}/", hub.commit);
	let (name, stored) = match (path.strip_prefix(&resolve), path.strip_prefix("/storage/")) {
		(Some(name), _) => (name, false),
		(_, Some(name)) => (name, true),
		_ => return StatusCode::NOT_FOUND.into_response(),
	};
	let name = name.replace("%20", " ");
	let Some((_, bytes)) = hub.files.iter().find(|file| file.0 == name) else {
		return StatusCode::NOT_FOUND.into_response();
	};
	let mut headers = HeaderMap::new();
	if !stored {
		let commit = hub.other_commit.as_ref().unwrap_or(&hub.commit);
		headers.insert("X-Repo-Commit", commit.parse().unwrap());
	}
	if !stored && bytes.len() >= 1000 {
		let host = hub.storage.clone().unwrap_or_default();
		let linked = format!("\"{}\"", sha256(bytes));
		headers.insert("X-Linked-Etag", linked.parse().unwrap());
		headers.insert("X-Linked-Size", bytes.len().into());
		let target = format!("{host}/storage/{name}").replace(' ', "%20");
		headers.insert(header::LOCATION, target.parse().unwrap());
		return (StatusCode::FOUND, headers, "elsewhere").into_response();
	}
	let tag = format!("\"{}\"", git_hash(bytes));
	headers.insert(header::ETAG, tag.parse().unwrap());
	content(bytes.clone(), request.headers(), headers, fault)
}

fn content(
	mut bytes: Vec<u8>,
	asked: &HeaderMap,
	mut headers: HeaderMap,
	fault: Option<Fault>,
) -> Response {
	let range = asked.get(header::RANGE).map(|range| {
		let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
		range.strip_suffix('-').unwrap().parse::<usize>().unwrap()
	});
	let mut from = range.unwrap_or(0);
	let mut status = StatusCode::OK;
	match fault {
		Some(Fault::Status(status)) => {
			return StatusCode::from_u16(status).unwrap().into_response();
		}
		Some(Fault::Corrupt) => bytes[7] ^= 1,
		Some(Fault::IgnoreRange) => from = 0,
		_ if range.is_some() => {
			status = StatusCode::PARTIAL_CONTENT;
			let text = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
			headers.insert(header::CONTENT_RANGE, text.parse().unwrap());
		}
		_ => {}
	}
	let bytes = Bytes::from(bytes).slice(from..);
	headers.insert(header::CONTENT_LENGTH, bytes.len().into());
	let Some(Fault::Cut(after)) = fault else {
		return (status, headers, bytes).into_response();
	};
	let stream = async_stream::stream! {
		yield Ok(bytes.slice(..after));
		// What was yielded must leave before the connection breaks.
		tokio::time::sleep(std::time::Duration::from_millis(50)).await;
		yield Err(std::io::Error::other("cut"));
	};
	(status, headers, Body::from_stream(stream)).into_response()
}
