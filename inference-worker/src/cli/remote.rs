//! A worker, or any other server of the OpenAI API, over HTTP.

use super::{
	exchange::{Question, Reply, Settings},
	interrupt::Interrupt,
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
	io::{BufRead, BufReader, Read},
	sync::mpsc::{self, RecvTimeoutError},
	time::{Duration, Instant},
};
use ureq::{Agent, Body, http::Response};

/// Longest line of a stream, and longest body, bytes. The last chunk has a receipt with all token ids.
const MAX_LINE: u64 = 64 << 20;
/// How long to wait for a model that the server loads.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often Ctrl-C is looked at.
const TICK: Duration = Duration::from_millis(50);

/// A server.
pub(super) struct Remote {
	agent: Agent,
	/// With `/v1`, without a slash at the end.
	base: String,
	key: Option<String>,
	model: String,
}

/// The address with `/v1`, whether it was given with it or not.
fn base(url: &str) -> Result<String> {
	let url = url.trim().trim_end_matches('/');
	let scheme = url.strip_prefix("http://").or(url.strip_prefix("https://"));
	if scheme.is_none_or(str::is_empty) {
		bail!("{url:?} is not an address: give one such as http://127.0.0.1:3000");
	}
	Ok(if url.ends_with("/v1") {
		url.to_owned()
	} else {
		format!("{url}/v1")
	})
}

/// Sends a request; again, when the server says that it will soon have the model.
fn post(agent: &Agent, url: &str, bearer: &str, body: &str) -> Result<Response<Body>, ureq::Error> {
	let start = Instant::now();
	loop {
		let request = agent
			.post(url)
			.header("authorization", bearer)
			.header("content-type", "application/json");
		let answer = request.send(body)?;
		let wait = answer.headers().get("retry-after").and_then(|seconds| {
			let seconds: u64 = seconds.to_str().ok()?.parse().ok()?;
			// What lasts for hours, such as a closed window of the owner's consent, is for people to hear.
			let soon = answer.status() == 503 && seconds < PATIENCE.as_secs();
			soon.then_some(Duration::from_secs(seconds.clamp(1, 60)))
		});
		match wait {
			Some(wait) if start.elapsed() + wait < PATIENCE => std::thread::sleep(wait),
			_ => return Ok(answer),
		}
	}
}

impl Remote {
	/// A server at an address; nothing is asked yet.
	pub(super) fn new(url: &str, key: Option<String>) -> Result<Self> {
		let config = Agent::config_builder()
			.http_status_as_error(false)
			.timeout_connect(Some(Duration::from_secs(10)))
			.build();
		Ok(Self {
			agent: Agent::new_with_config(config),
			base: base(url)?,
			key,
			model: String::new(),
		})
	}

	/// Looks whether somebody answers there, and takes the server's first model if none is named.
	pub(super) fn connect(url: &str, key: Option<String>, model: Option<String>) -> Result<Self> {
		let mut remote = Self::new(url, key)?;
		let models = remote.get("/models")?;
		let ids = models.get("data").and_then(Value::as_array);
		let ids = ids.into_iter().flatten();
		let ids: Vec<&str> = ids.filter_map(|model| model.get("id")?.as_str()).collect();
		remote.model = match (model, ids.as_slice()) {
			(Some(model), _) => model,
			(None, [first, ..]) => (*first).to_owned(),
			(None, []) => bail!("{} shows no model: name one with --model", remote.base),
		};
		Ok(remote)
	}

	pub(super) fn model(&self) -> &str {
		&self.model
	}

	fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
		anyhow::anyhow!(
			"can't reach {}: {error}; is a worker running there? `aria-worker serve --model MODEL --offline` starts one",
			self.base
		)
	}

	fn bearer(&self) -> String {
		// Servers without keys accept any.
		format!("Bearer {}", self.key.as_deref().unwrap_or("none"))
	}

	/// The answer to a GET below `/v1`.
	pub(super) fn get(&self, path: &str) -> Result<Value> {
		let answer = self.response(path)?;
		self.json(answer)
	}

	/// What the server says of itself: `ok`, `loading` or `stuck`.
	pub(super) fn health(&self) -> Result<String> {
		let mut answer = self.response("/health")?;
		let (ready, body) = (answer.status().is_success(), answer.body_mut());
		let body = body.with_config().limit(MAX_LINE).read_to_string();
		let body: Option<Value> = body.ok().and_then(|text| serde_json::from_str(&text).ok());
		let word = body.as_ref().and_then(|body| body.get("status")?.as_str());
		// Other servers use other words.
		Ok(word
			.unwrap_or(if ready { "ok" } else { "not ready" })
			.to_owned())
	}

	fn response(&self, path: &str) -> Result<Response<Body>> {
		let request = self.agent.get(format!("{}{path}", self.base));
		let answer = request
			.header("authorization", self.bearer())
			.config()
			.timeout_global(Some(Duration::from_secs(20)))
			.build()
			.call();
		answer.map_err(|error| self.unreachable(&error))
	}

	/// The body, or the server's error in words.
	fn json(&self, mut answer: Response<Body>) -> Result<Value> {
		let status = answer.status();
		let retry = answer.headers().get("retry-after");
		let retry = retry
			.and_then(|value| value.to_str().ok())
			.map(str::to_owned);
		let mut text = String::new();
		let body = answer.body_mut().as_reader();
		body.take(MAX_LINE)
			.read_to_string(&mut text)
			.with_context(|| format!("{} broke off its answer; try again", self.base))?;
		let value: Option<Value> = serde_json::from_str(&text).ok();
		if status.is_success() {
			return value.with_context(|| {
				format!(
					"{} does not speak the OpenAI API: its answer is not JSON",
					self.base
				)
			});
		}
		let said = value
			.as_ref()
			.and_then(|value| value.pointer("/error/message")?.as_str());
		let said = said.unwrap_or("no reason given");
		let hint = match status.as_u16() {
			401 | 403 => "; give the server's key with --api-key or ARIA_API_KEY".into(),
			429 | 503 => format!("; try again in {} s", retry.as_deref().unwrap_or("a few")),
			_ => String::new(),
		};
		bail!(
			"{} says: {said} (status {}){hint}",
			self.base,
			status.as_u16()
		)
	}

	/// Asks, with the answer streamed.
	pub(super) fn ask(
		&self,
		question: &Question<'_>,
		settings: &Settings,
		interrupt: &Interrupt,
		show: &mut dyn FnMut(&str) -> Result<()>,
	) -> Result<Reply> {
		let mut body = json!({
			"model": self.model,
			"stream": true,
			"stream_options": { "include_usage": true },
			"max_tokens": settings.max_tokens,
			"temperature": settings.temperature,
			"top_p": settings.top_p,
			"seed": settings.seed,
		});
		let path = match question {
			Question::Chat(messages) => {
				body["messages"] = json!(messages);
				"/chat/completions"
			}
			Question::Text(text) => {
				body["prompt"] = json!(text);
				"/completions"
			}
		};
		let start = Instant::now();
		let (agent, url, bearer) = (
			self.agent.clone(),
			format!("{}{path}", self.base),
			self.bearer(),
		);
		// The thread waits for the server, so that this one can look at Ctrl-C. It ends when nobody listens any more.
		let (sender, chunks) = mpsc::channel();
		let body = body.to_string();
		std::thread::spawn(move || {
			let answer = match post(&agent, &url, &bearer, &body) {
				Ok(answer) => answer,
				Err(error) => return drop(sender.send(Part::Unreachable(error))),
			};
			let stream = answer.headers().get("content-type");
			let stream = stream.and_then(|kind| kind.to_str().ok());
			if !answer.status().is_success()
				|| !stream.is_some_and(|kind| kind.contains("event-stream"))
			{
				return drop(sender.send(Part::Whole(Box::new(answer))));
			}
			let mut lines = BufReader::new(answer.into_body().into_reader());
			loop {
				let mut line = Vec::new();
				let part = match (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line) {
					Ok(0) => return,
					Ok(_) => Part::Line(line),
					Err(error) => Part::Broken(error),
				};
				let last = matches!(part, Part::Broken(_));
				if sender.send(part).is_err() || last {
					return;
				}
			}
		});
		let mut answer = Reply {
			finish: "cancelled".into(),
			model: self.model.clone(),
			..Reply::default()
		};
		let mut done = false;
		while !done && !interrupt.pressed() {
			let part = match chunks.recv_timeout(TICK) {
				Ok(part) => part,
				Err(RecvTimeoutError::Timeout) => continue,
				Err(RecvTimeoutError::Disconnected) => {
					bail!("{} ended its answer early; try again", self.base)
				}
			};
			let chunk = match part {
				Part::Unreachable(error) => return Err(self.unreachable(&error)),
				Part::Broken(error) => bail!("the connection to {} broke: {error}", self.base),
				Part::Whole(response) => {
					done = true;
					self.json(*response)?
				}
				Part::Line(line) => {
					let line = String::from_utf8_lossy(&line);
					let Some(data) = line.strip_prefix("data:").map(str::trim) else {
						// Comments that keep the connection open, and empty lines.
						continue;
					};
					if data == "[DONE]" {
						break;
					}
					serde_json::from_str(data)
						.with_context(|| format!("{} sent a chunk that is not JSON", self.base))?
				}
			};
			if let Some(message) = chunk.pointer("/error/message").and_then(Value::as_str) {
				bail!("{} says: {message}", self.base);
			}
			let text = read(&chunk, &mut answer);
			if !text.is_empty() {
				answer
					.first_text
					.get_or_insert(start.elapsed().as_secs_f64());
				answer.text.push_str(text);
				show(text)?;
			}
		}
		answer.seconds = start.elapsed().as_secs_f64();
		Ok(answer)
	}
}

/// What the reading thread has to say.
enum Part {
	Unreachable(ureq::Error),
	/// Not a stream.
	Whole(Box<Response<Body>>),
	Line(Vec<u8>),
	Broken(std::io::Error),
}

/// Takes what a chunk, or a whole answer, says; returns its text.
fn read<'a>(chunk: &'a Value, answer: &mut Reply) -> &'a str {
	if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
		let number = |name: &str| usage.get(name).and_then(Value::as_f64);
		let count = |name: &str| usage.get(name).and_then(Value::as_u64);
		answer.prompt_tokens = count("prompt_tokens");
		answer.output_tokens = count("completion_tokens");
		answer.tokens_per_second = number("tokens_per_second");
		answer.energy = number("energy_mj");
	}
	if let Some(receipt) = chunk.pointer("/aria/receipt_file") {
		answer.receipt = Some(receipt.clone());
	}
	if let Some(reason) = chunk
		.pointer("/choices/0/finish_reason")
		.and_then(Value::as_str)
	{
		reason.clone_into(&mut answer.finish);
	}
	[
		"/choices/0/delta/content",
		"/choices/0/text",
		"/choices/0/message/content",
	]
	.iter()
	.find_map(|path| chunk.pointer(path)?.as_str())
	.unwrap_or_default()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn addresses_should_be_taken_with_and_without_version() {
		for url in [
			"http://a:1",
			"http://a:1/",
			"http://a:1/v1",
			" http://a:1/v1/ ",
		] {
			assert_eq!(base(url).unwrap(), "http://a:1/v1");
		}
		for url in ["", "a:1", "http://", "file:///etc/passwd"] {
			assert!(base(url).is_err(), "{url}");
		}
	}
}
