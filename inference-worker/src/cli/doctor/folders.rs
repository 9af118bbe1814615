//! The state folder, and the disk that it is on.

use super::check::{Check, size};
use serde_json::json;
use std::{io::Write, path::Path, time::Instant};

/// Bytes written to measure the disk.
const WRITE_BYTES: usize = 64 << 20;
const LITTLE_SPACE: u64 = 1 << 30;
const SCARCE_SPACE: u64 = 10 << 30;
/// Bytes a second below which a node falls behind.
const SLOW_DISK: f64 = 20e6;

/// The folder, or what is there of the way to it.
fn nearest(folder: &Path) -> &Path {
	folder
		.ancestors()
		.find(|path| path.is_dir())
		.unwrap_or(Path::new("/"))
}

pub(super) fn state_folder(folder: &Path) -> Check {
	const NAME: &str = "state folder";
	let shown = folder.display();
	if folder.exists() && !folder.is_dir() {
		return Check::fail(
			NAME,
			format!("{shown} is not a folder"),
			"remove it, or give another --state-dir",
		);
	}
	let place = nearest(folder);
	if let Err(error) = tempfile_in(place) {
		return Check::fail(
			NAME,
			format!("can't write in {}: {error}", place.display()),
			"give it to this user with chown, or give another --state-dir",
		);
	}
	if !folder.exists() {
		return Check::ok(NAME, format!("{shown}, made at the first start"));
	}
	#[cfg(unix)]
	if let Some(open) = open_to_others(folder) {
		return open;
	}
	Check::ok(NAME, format!("{shown}"))
}

/// The complaint about a folder of secrets that others may read.
#[cfg(unix)]
fn open_to_others(folder: &Path) -> Option<Check> {
	use std::os::unix::fs::PermissionsExt;
	let mode = |path: &Path| Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777);
	let key = folder.join("network.key");
	if mode(&key).is_some_and(|mode| mode & 0o077 != 0) {
		return Some(Check::fail(
			"state folder",
			format!("others may read {}", key.display()),
			format!(
				"run `chmod 600 {}`, and think of the key as known",
				key.display()
			),
		));
	}
	let open = mode(folder)?;
	(open & 0o077 != 0).then(|| {
		Check::warn(
			"state folder",
			format!(
				"{}, which others may look into (mode {open:o})",
				folder.display()
			),
			format!(
				"run `chmod 700 {}`: the journal there holds prompts",
				folder.display()
			),
		)
	})
}

/// A new file in a folder, removed from it at once.
fn tempfile_in(folder: &Path) -> std::io::Result<std::fs::File> {
	let path = folder.join(format!(".aria-doctor-{}", std::process::id()));
	let file = std::fs::File::create_new(&path)?;
	std::fs::remove_file(&path)?;
	Ok(file)
}

pub(super) fn disk(folder: &Path, measure: bool) -> Check {
	const NAME: &str = "disk";
	let place = nearest(folder);
	let free = match rustix::fs::statvfs(place) {
		Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
		Err(error) => {
			return Check::fail(
				NAME,
				format!("can't look at {}: {error}", place.display()),
				"give another --state-dir",
			);
		}
	};
	let mut found = format!("{} free in {}", size(free), place.display());
	// Never more than a part of what is left.
	let speed = (measure && free > LITTLE_SPACE).then(|| write_speed(place));
	let speed = match speed.transpose() {
		Ok(speed) => speed,
		Err(error) => {
			return Check::fail(
				NAME,
				format!("{found}, but writing fails: {error}"),
				"check the disk",
			);
		}
	};
	if let Some(speed) = speed {
		found += &format!(", writes {:.0} MB/s", speed / 1e6);
	}
	let values = json!({ "free_bytes": free, "write_bytes_per_second": speed });
	let check = if free < LITTLE_SPACE {
		Check::fail(
			NAME,
			found,
			"make room: a node's database alone takes more than that",
		)
	} else if free < SCARCE_SPACE {
		Check::warn(
			NAME,
			found,
			"make room: a model of 2 billion weights takes 1.2 GB, and the chain grows",
		)
	} else if speed.is_some_and(|speed| speed < SLOW_DISK) {
		Check::warn(
			NAME,
			found,
			"use a faster disk for a node; a worker alone can live with it",
		)
	} else {
		Check::ok(NAME, found)
	};
	check.with(values)
}

/// Bytes a second of a write that is on the disk at the end.
fn write_speed(folder: &Path) -> std::io::Result<f64> {
	let mut file = tempfile_in(folder)?;
	let block = vec![0xa5; 1 << 20];
	let start = Instant::now();
	for _ in 0..WRITE_BYTES / block.len() {
		file.write_all(&block)?;
	}
	file.sync_all()?;
	Ok(WRITE_BYTES as f64 / start.elapsed().as_secs_f64())
}
