//! Which web pages may use the methods that are denied from outside.
//!
//! A browser lets every page open a WebSocket to this machine, and tells only with the header `Origin` who asks. Programs
//! send none.

use aria_worker::api::is_own;
use jsonrpsee::server::HttpRequest;
use sc_cli::RpcParams;
use sc_service::config::RpcEndpoint;

/// Pages that the operator has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
	/// `--rpc-cors all`.
	All,
	/// Those of these origins, and none else.
	Of(Vec<String>),
}

impl Pages {
	/// Those that the command line names for an endpoint. What `--rpc-cors` allows by default is for harmless methods.
	pub(super) fn named(params: &RpcParams, endpoint: &RpcEndpoint) -> Self {
		let named = if params.experimental_rpc_endpoint.is_empty() {
			params.rpc_cors.clone().map(Into::into)
		} else {
			endpoint.cors.clone().map(Some)
		};
		match named {
			Some(None) => Self::All,
			Some(Some(origins)) => Self::Of(origins),
			None => Self::Of(Vec::new()),
		}
	}

	/// Whether a request comes from a page that is neither named nor this server's own.
	pub(super) fn is_stranger<B>(&self, request: &HttpRequest<B>) -> bool {
		let headers = request.headers();
		let Some(origin) = headers.get("origin") else {
			return false;
		};
		let named = match self {
			Self::All => true,
			Self::Of(origins) => origins.iter().any(|named| origin == named.as_str()),
		};
		!named && !is_own(origin, headers.get("host"))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::Parser;

	#[derive(Parser)]
	struct Options {
		#[command(flatten)]
		rpc: RpcParams,
	}

	fn named(arguments: &[&str]) -> Pages {
		let words = ["aria"].iter().chain(arguments);
		let params = Options::try_parse_from(words).unwrap().rpc;
		let endpoints = params.rpc_addr(true, false, 9944).unwrap().unwrap();
		Pages::named(&params, &endpoints[0].clone().into())
	}

	fn strange(pages: &Pages, headers: &[(&str, &str)]) -> bool {
		let mut request = HttpRequest::builder();
		for (name, value) in headers {
			request = request.header(*name, *value);
		}
		pages.is_stranger(&request.body(()).unwrap())
	}

	#[test]
	fn pages_should_be_named_on_the_command_line_only() {
		// On development chains Substrate allows all by default.
		assert_eq!(named(&[]), Pages::Of(Vec::new()));
		assert_eq!(named(&["--rpc-cors", "all"]), Pages::All);
		let two = [
			"https://a.example".to_owned(),
			"https://b.example".to_owned(),
		];
		assert_eq!(
			named(&["--rpc-cors", "https://a.example,https://b.example"]),
			Pages::Of(two.into())
		);
		let endpoint = "listen-addr=127.0.0.1:9944,cors=https://a.example";
		assert_eq!(
			named(&["--experimental-rpc-endpoint", endpoint]),
			Pages::Of(vec!["https://a.example".into()])
		);
	}

	#[test]
	fn only_pages_should_be_strangers() {
		let host = ("host", "127.0.0.1:9944");
		let evil = ("origin", "https://evil.example");
		let nobody = Pages::Of(Vec::new());
		let one = Pages::Of(vec!["https://a.example".into()]);
		assert!(!strange(&nobody, &[host]));
		assert!(!strange(
			&nobody,
			&[host, ("origin", "http://127.0.0.1:9944")]
		));
		assert!(strange(&nobody, &[host, evil]));
		assert!(strange(&nobody, &[host, ("origin", "null")]));
		assert!(strange(
			&nobody,
			&[host, ("origin", "http://127.0.0.1:3000")]
		));
		// A name that leads to this machine.
		let rebound = [
			("host", "evil.example:9944"),
			("origin", "http://evil.example:9944"),
		];
		assert!(strange(&nobody, &rebound));
		assert!(strange(&one, &[host, evil]));
		assert!(!strange(&one, &[host, ("origin", "https://a.example")]));
		assert!(!strange(&Pages::All, &[host, evil]));
	}
}
