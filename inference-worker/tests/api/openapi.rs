//! The document of the API, and its page, against the server.

use super::*;
use std::collections::BTreeSet;

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// Method and path of everything in the document.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
	let paths = document["paths"].as_object().unwrap();
	let each = paths.iter().flat_map(|(path, methods)| {
		let methods = methods.as_object().unwrap().keys();
		methods.map(|method| (method.clone(), path.clone()))
	});
	each.collect()
}

#[tokio::test]
async fn document_should_have_every_path_of_the_server_and_no_other() {
	let server = Server::start(&DEMO, 8, Some("secret")).await;
	// Both can be read without a key.
	let document = server.get("/openapi.json").await.json();
	assert_eq!(document["openapi"], "3.1.0");
	assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
	let described = operations(&document);
	for (method, path) in &described {
		for other in METHODS {
			let headers = "authorization: Bearer secret\r\n";
			let at = path.replace("{id}", "aria-demo");
			let reply = server
				.send(&other.to_uppercase(), &at, headers, b"{}")
				.await;
			let there = reply.status != 405;
			let expected = described.contains(&(other.to_owned(), path.clone()));
			assert_eq!(there, expected, "{other} {path}");
			assert!(!reply.body.contains("\"not_found\""), "{method} {path}");
			if !there {
				assert!(reply.header("allow").is_some(), "{other} {path}");
			}
		}
	}
	// The table in docs/api.md has the same paths.
	let table = include_str!("../../../docs/api.md");
	let listed: BTreeSet<(String, String)> = table
		.lines()
		.filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
		.flat_map(|(cell, _)| {
			let (method, paths) = cell.split_once(' ').unwrap_or(("", cell));
			let paths = paths.split("`, `");
			paths
				.map(|path| (method.to_lowercase(), path.to_owned()))
				.collect::<Vec<_>>()
		})
		.filter(|(method, _)| METHODS.contains(&method.as_str()))
		.collect();
	let aside =
		["/v1/health", "/openapi.json", "/docs"].map(|path| ("get".to_owned(), path.to_owned()));
	let aside = BTreeSet::from(aside);
	assert_eq!(described, &listed - &aside);
}

#[tokio::test]
async fn references_of_the_document_should_lead_somewhere() {
	fn check(value: &Value, whole: &Value) {
		match value {
			Value::Object(map) => {
				if let Some(Value::String(to)) = map.get("$ref") {
					let found = whole.pointer(to.strip_prefix('#').unwrap());
					assert!(found.is_some(), "{to}");
				}
				map.values().for_each(|value| check(value, whole));
			}
			Value::Array(list) => list.iter().for_each(|value| check(value, whole)),
			_ => {}
		}
	}
	let document = Server::demo().await.get("/openapi.json").await.json();
	check(&document, &document);
}

#[tokio::test]
async fn page_should_need_nothing_from_elsewhere() {
	let page = Server::demo().await.get("/docs").await;
	assert_eq!(page.status, 200);
	assert!(
		page.header("content-type")
			.unwrap()
			.starts_with("text/html")
	);
	let policy = page.header("content-security-policy").unwrap();
	assert!(policy.starts_with("default-src 'none'; connect-src 'self'"));
	assert!(!page.body.contains("http://") && !page.body.contains("https://"));
	assert!(page.body.contains("fetch(\"openapi.json\")"));
}
