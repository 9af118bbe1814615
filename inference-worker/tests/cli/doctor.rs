//! `doctor`, and what commands say when there is no node.

use super::*;

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
	let checks = report["checks"].as_array().unwrap();
	checks.iter().find(|check| check["name"] == name).unwrap()
}

fn doctor(home: &Path, extra: &[&str]) -> (Option<i32>, Value) {
	let ports = [free_port(), free_port(), free_port()].map(|port| port.to_string());
	let mut arguments = vec![
		"doctor",
		"--json",
		"--rpc-port",
		&ports[1],
		"--port",
		&ports[2],
	];
	if !extra.contains(&"--api-port") {
		arguments.extend(["--api-port", &ports[0]]);
	}
	arguments.extend(extra);
	let done = run(home, &arguments);
	let report =
		serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", text(&done.stderr)));
	(done.status.code(), report)
}

#[test]
fn doctor_should_measure_this_machine() {
	let home = tempfile::tempdir().unwrap();
	let (code, report) = doctor(home.path(), &[]);
	for name in [
		"cpu",
		"memory speed",
		"memory",
		"huge pages",
		"energy",
		"clock",
		"open files",
		"state folder",
		"disk",
		"API port",
		"RPC port",
		"peer port",
		"node",
	] {
		let check = check(&report, name);
		assert!(!check["found"].as_str().unwrap().is_empty(), "{name}");
		// What is not well comes with what to do.
		assert_eq!(
			check["status"] == "ok",
			check["advice"].is_null(),
			"{check}"
		);
	}
	let speed = &check(&report, "memory speed")["values"];
	assert!(
		speed["one_thread_bytes_per_second"].as_f64().unwrap() > 1e8,
		"{speed}"
	);
	assert!(
		check(&report, "disk")["values"]["free_bytes"]
			.as_u64()
			.unwrap() > 0
	);
	assert_eq!(check(&report, "node")["status"], "warn");
	let faults = report["checks"]
		.as_array()
		.unwrap()
		.iter()
		.filter(|check| check["status"] == "fail")
		.count();
	assert_eq!(report["faults"], faults);
	assert_eq!(report["ok"], faults == 0);
	assert_eq!(code, Some(i32::from(faults > 0)), "{report}");
	// It leaves nothing behind.
	assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn doctor_should_fail_with_what_to_do() {
	let home = tempfile::tempdir().unwrap();
	let taken = TcpListener::bind("127.0.0.1:0").unwrap();
	let port = taken.local_addr().unwrap().port().to_string();
	let (code, report) = doctor(home.path(), &["--quick", "--api-port", &port]);
	assert_eq!(code, Some(1));
	let check_port = check(&report, "API port");
	assert_eq!(check_port["status"], "fail");
	assert!(
		check_port["advice"]
			.as_str()
			.unwrap()
			.contains("--api-port")
	);

	let file = home.path().join("file");
	std::fs::write(&file, "").unwrap();
	let (code, report) = doctor(
		home.path(),
		&["--quick", "--state-dir", file.to_str().unwrap()],
	);
	assert_eq!(code, Some(1));
	assert_eq!(check(&report, "state folder")["status"], "fail");

	let (code, report) = doctor(home.path(), &["--quick", "--node-url", "ws://127.0.0.1:1"]);
	assert_eq!(code, Some(1));
	assert_eq!(check(&report, "node")["status"], "fail");
}

#[cfg(unix)]
#[test]
fn doctor_should_notice_secrets_that_others_may_read() {
	use std::os::unix::fs::PermissionsExt;
	let home = tempfile::tempdir().unwrap();
	let state = home.path().join("state");
	std::fs::create_dir(&state).unwrap();
	let mode = |path: &Path, mode| {
		std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
	};
	let status = || {
		let (_, report) = doctor(
			home.path(),
			&["--quick", "--state-dir", state.to_str().unwrap()],
		);
		check(&report, "state folder")["status"]
			.as_str()
			.unwrap()
			.to_owned()
	};
	mode(&state, 0o700);
	assert_eq!(status(), "ok");
	mode(&state, 0o755);
	assert_eq!(status(), "warn");
	std::fs::write(state.join("network.key"), "secret").unwrap();
	mode(&state.join("network.key"), 0o644);
	assert_eq!(status(), "fail");
}

#[test]
fn doctor_should_know_a_worker_and_be_plain_in_a_pipe() {
	let home = tempfile::tempdir().unwrap();
	let worker = Worker::start(home.path(), &[]);
	let port = worker.url.rsplit(':').next().unwrap();
	let done = run(home.path(), &["doctor", "--quick", "--api-port", port]);
	let said = text(&done.stdout);
	assert!(
		said.contains(&format!("{port}, a worker answers there")),
		"{said}"
	);
	assert!(!said.contains('\u{1b}'), "{said}");
	let mut command = program(home.path());
	command
		.args(["doctor", "--quick"])
		.env("CLICOLOR_FORCE", "1");
	let coloured = command.output().unwrap();
	assert!(
		text(&coloured.stdout).contains('\u{1b}'),
		"{}",
		text(&coloured.stdout)
	);
	let plain = command
		.env("NO_COLOR", "1")
		.env_remove("CLICOLOR_FORCE")
		.output()
		.unwrap();
	assert!(!text(&plain.stdout).contains('\u{1b}'));
}

#[test]
fn commands_of_the_chain_should_say_what_to_do_without_a_node() {
	let home = tempfile::tempdir().unwrap();
	let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
	let hex = format!("0x{}", "d4".repeat(32));
	let commands: [&[&str]; 8] = [
		&["ledger", "stats"],
		&["ledger", "record", &hex],
		&["ledger", "worker", alice],
		&["ledger", "worker", &hex],
		&["ledger", "verify"],
		&["consent", "show", alice],
		&["sobriety", alice],
		&["network", "peers"],
	];
	for command in commands {
		let done = program(home.path())
			.args(command)
			.env("ARIA_NODE_URL", "ws://127.0.0.1:1")
			.output()
			.unwrap();
		let said = text(&done.stderr);
		assert_eq!(done.status.code(), Some(2), "{command:?}: {said}");
		assert!(
			said.contains("ws://127.0.0.1:1") && said.contains("--node-url"),
			"{command:?}: {said}"
		);
	}
	let refused: [(&[&str], &str); 6] = [
		(&["ledger", "record", "0x12"], "32 bytes"),
		(&["ledger", "worker", "5Grw"], "account"),
		(&["consent", "show"], "--worker-key"),
		(&["consent", "revoke"], "--worker-key"),
		(&["consent", "grant", "--schedule", "22-6"], "HH:MM"),
		(
			&["consent", "grant", "--worker-key", "nonsense"],
			"secret phrase",
		),
	];
	for (command, hint) in refused {
		let done = run(home.path(), command);
		let said = text(&done.stderr);
		assert_eq!(done.status.code(), Some(2), "{command:?}: {said}");
		assert!(said.contains(hint), "{command:?}: {said}");
	}
}
