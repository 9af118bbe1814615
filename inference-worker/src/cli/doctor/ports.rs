//! Ports: free, taken by a worker or node of ours, or taken by another program.

use super::check::Check;
use serde_json::{Value, json};
use std::{
	net::{Ipv4Addr, TcpListener},
	time::Duration,
};

fn is_free(port: u16) -> std::io::Result<()> {
	TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

fn agent() -> ureq::Agent {
	let config = ureq::Agent::config_builder()
		.http_status_as_error(false)
		.timeout_global(Some(Duration::from_secs(3)))
		.build();
	ureq::Agent::new_with_config(config)
}

fn port(name: &'static str, port: u16, option: &str, ours: Option<String>) -> Check {
	let error = match is_free(port) {
		Ok(()) => return Check::ok(name, format!("{port}, free")),
		Err(error) => error,
	};
	match ours {
		Some(who) => Check::ok(name, format!("{port}, {who} answers there")),
		None if error.kind() == std::io::ErrorKind::PermissionDenied => Check::fail(
			name,
			format!("{port}, not for this user"),
			format!("choose one above 1023 with {option}"),
		),
		None => Check::fail(
			name,
			format!("{port}, taken by another program"),
			format!("choose another with {option}; `ss -ltnp 'sport = :{port}'` shows who has it"),
		),
	}
}

pub(super) fn api_port(number: u16) -> Check {
	// Its list of models says whose it is, or that a key is needed, in words of the OpenAI API.
	let ask = || {
		let url = format!("http://127.0.0.1:{number}/v1/models");
		let text = agent()
			.get(url)
			.call()
			.ok()?
			.body_mut()
			.read_to_string()
			.ok()?;
		let value: Value = serde_json::from_str(&text).ok()?;
		let owner = value.pointer("/data/0/owned_by").and_then(Value::as_str);
		let locked = value.pointer("/error/type").is_some();
		match owner {
			Some("aria") => Some("a worker".to_owned()),
			Some(_) => None,
			None => locked.then(|| "an OpenAI API with a key".to_owned()),
		}
	};
	port("API port", number, "--api-port", ask())
}

/// The name of the node whose JSON-RPC is at a port.
fn node_at(number: u16) -> Option<String> {
	let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "system_name", "params": [] });
	let mut answer = agent()
		.post(format!("http://127.0.0.1:{number}"))
		.header("content-type", "application/json")
		.send(body.to_string())
		.ok()?;
	let value: Value = serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?;
	let name = value.get("result")?.as_str()?;
	name.contains("ARIA").then(|| "a node".to_owned())
}

pub(super) fn rpc_port(number: u16) -> Check {
	port("RPC port", number, "--rpc-port", node_at(number))
}

pub(super) fn peer_port(number: u16, rpc: u16) -> Check {
	// Who is there can't be asked; a node here will have it.
	port(
		"peer port",
		number,
		"--port",
		node_at(rpc).map(|_| "presumably that node".into()),
	)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::cli::doctor::Status;

	#[test]
	fn taken_port_should_be_a_fault_and_a_free_one_not() {
		let taken = TcpListener::bind("127.0.0.1:0").unwrap();
		let number = taken.local_addr().unwrap().port();
		let check = port("API port", number, "--api-port", None);
		assert_eq!(check.status, Status::Fail);
		assert!(check.advice.unwrap().contains("--api-port"));
		assert_eq!(
			port("API port", number, "--api-port", Some("a worker".into())).status,
			Status::Ok
		);
		drop(taken);
		assert_eq!(
			port("API port", number, "--api-port", None).status,
			Status::Ok
		);
	}
}
