//! One file from the hub to the disk: resumed, tried again, checked.

use super::{
	FileEntry, HubError, Result,
	client::{Client, shown},
	options::{Event, PullOptions},
	store::hash_file,
};
use std::{
	fs::File,
	io::{Read, Write},
	path::Path,
	time::Duration,
};

/// Bytes after which the attempts count anew: a server that sends a little each time must not hold the client forever.
const PROGRESS: u64 = 1 << 20;

/// Runs `task` until it succeeds or fails otherwise than by the network.
///
/// It fails after `retries` attempts in a row that brought less than 1 MiB together.
pub(super) fn attempt<T>(
	options: &PullOptions,
	report: &mut dyn FnMut(Event<'_>),
	mut task: impl FnMut(&mut dyn FnMut(Event<'_>)) -> Result<T>,
) -> Result<T> {
	let mut failures = 0;
	let mut counted = None;
	let mut most = 0;
	loop {
		let result = task(&mut |event| {
			match event {
				Event::File { have, .. } => {
					counted.get_or_insert(have);
				}
				Event::Bytes(bytes) => most = most.max(bytes),
				_ => {}
			}
			report(event);
		});
		match result {
			Err(error @ HubError::Network { .. }) => {
				if most >= counted.unwrap_or(0).saturating_add(PROGRESS) {
					failures = 0;
					counted = Some(most);
				}
				failures += 1;
				if failures > options.retries {
					return Err(error);
				}
				report(Event::Retry(&error));
				let pause = options.pause.saturating_mul(1 << (failures - 1).min(5));
				std::thread::sleep(pause.min(Duration::from_secs(30)));
			}
			other => return other,
		}
	}
}

/// Fetches what is missing of `part`, checks size and hash, and moves it to `path`.
///
/// # Errors
/// [`HubError::Network`] keeps what came, for the next attempt; [`HubError::Wrong`] removes it.
pub(super) fn download(
	client: &Client,
	url: &str,
	part: &Path,
	path: &Path,
	file: &FileEntry,
	report: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
	for parent in [part.parent(), path.parent()].into_iter().flatten() {
		std::fs::create_dir_all(parent).map_err(HubError::io(parent))?;
	}
	let mut out = File::options()
		.create(true)
		.append(true)
		.open(part)
		.map_err(HubError::io(part))?;
	let restart = |out: &File| out.set_len(0).map_err(HubError::io(part));
	let mut have = out.metadata().map_err(HubError::io(part))?.len();
	if have > file.size {
		restart(&out)?;
		have = 0;
	}
	report(Event::File {
		name: &file.path,
		size: file.size,
		have,
	});
	let network = |reason: String| HubError::Network {
		url: shown(url),
		reason,
	};
	if have < file.size {
		let response = client.get(url, (have > 0).then_some(have), &file.path)?;
		let status = response.status().as_u16();
		if have > 0 && !(status == 206 && start_of(&response) == Some(have)) {
			restart(&out)?;
			have = 0;
		}
		// The whole file where a range was requested is as good.
		if have == 0 && status != 200 {
			let reason = format!("status {status} can't be gone on with; starting over");
			return Err(network(reason));
		}
		// One byte more than announced shows a body that is too long.
		let mut body = response
			.into_body()
			.into_reader()
			.take(file.size - have + 1);
		let mut buffer = vec![0; 1 << 18];
		loop {
			let count = body
				.read(&mut buffer)
				.map_err(|error| network(error.to_string()))?;
			let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
				break;
			};
			out.write_all(bytes).map_err(HubError::io(part))?;
			have += count as u64;
			report(Event::Bytes(have.min(file.size)));
		}
	}
	let wrong = |reason: String| -> Result<()> {
		std::fs::remove_file(part).map_err(HubError::io(part))?;
		Err(HubError::Wrong {
			file: file.path.clone(),
			reason,
		})
	};
	if have > file.size {
		return wrong(format!("more than {} bytes", file.size));
	}
	if have < file.size {
		let reason = format!("the connection ended after {have} of {} bytes", file.size);
		return Err(network(reason));
	}
	let hash = hash_file(part, &file.hash)?;
	if hash != file.hash {
		return wrong(format!("hash {hash} instead of {}", file.hash));
	}
	out.sync_all().map_err(HubError::io(part))?;
	std::fs::rename(part, path).map_err(HubError::io(path))
}

/// First byte of a partial answer.
fn start_of(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
	let range = response.headers().get("content-range")?.to_str().ok()?;
	let (from, _) = range.strip_prefix("bytes ")?.split_once('-')?;
	from.parse().ok()
}
