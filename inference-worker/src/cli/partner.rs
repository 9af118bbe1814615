//! Who answers: a model in this process, or a worker over HTTP. `chat` and `infer` see no difference.

use super::{Machine, interrupt::Interrupt, remote::Remote};
use crate::{
	api,
	energy::Meter,
	hub::resolve,
	models::engine::{Engine, EngineHandle},
	receipts::file::ReceiptFile,
};
use anyhow::{Context, Result, bail};
use aria_engine::{Event, FinishReason, GenerateRequest, Generation, Options, model::Model};
use aria_primitives::{H256, energy::EvidenceGrade, receipt::Sampling};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use sp_core::{Pair, sr25519};
use std::{
	sync::Arc,
	time::{Duration, Instant},
};

/// Who answers, and how.
#[derive(Args)]
pub(crate) struct PartnerArgs {
	/// GGUF file, Hugging Face folder, or the name of an installed model; with --url, the name of one of the worker's.
	#[arg(long, env = "ARIA_MODEL")]
	model: Option<String>,
	/// Ask a running worker, or any other server of the OpenAI API, instead of running a model here.
	#[arg(long, value_name = "URL", env = "ARIA_URL")]
	url: Option<String>,
	/// Key of that server.
	#[arg(long, env = "ARIA_API_KEY", hide_env_values = true)]
	api_key: Option<String>,
	/// Most tokens of an answer.
	#[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
	max_tokens: u32,
	/// 0 always takes the likeliest token.
	#[arg(long, default_value_t = 0.0, value_parser = hundredfold)]
	temperature: f64,
	/// Keep the likeliest tokens that make up this probability.
	#[arg(long, default_value_t = 1.0, value_parser = share)]
	top_p: f64,
	/// Key of the sampler.
	#[arg(long, default_value_t = 0)]
	seed: u64,
	/// Secret phrase or derivation path of the key that signs receipts of a model run here.
	#[arg(
		long,
		env = "ARIA_WORKER_SURI",
		default_value = "//Alice",
		hide_env_values = true
	)]
	suri: String,
	/// Declared power of this machine with all processors at work, watts: for an estimate where nothing is measured.
	#[arg(long)]
	watts: Option<f64>,
	#[command(flatten)]
	machine: Machine,
}

fn hundredfold(text: &str) -> Result<f64, String> {
	between(text, 100.0)
}

fn share(text: &str) -> Result<f64, String> {
	between(text, 1.0)
}

fn between(text: &str, most: f64) -> Result<f64, String> {
	text.parse()
		.ok()
		.filter(|value| (0.0..=most).contains(value))
		.ok_or_else(|| format!("expected a number between 0 and {most}"))
}

/// What is asked.
pub(super) enum Question<'a> {
	/// A conversation, each message as `{"role", "content"}`.
	Chat(&'a [Value]),
	/// A text to continue.
	Text(&'a str),
}

/// How answers are made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
	pub(super) max_tokens: u32,
	pub(super) temperature: f64,
	pub(super) top_p: f64,
	pub(super) seed: u64,
}

/// An answer, and what it took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
	pub(super) text: String,
	/// `stop`, `length` or `cancelled`.
	pub(super) finish: String,
	pub(super) model: String,
	pub(super) prompt_tokens: Option<u64>,
	pub(super) output_tokens: Option<u64>,
	pub(super) tokens_per_second: Option<f64>,
	/// Millijoules.
	pub(super) energy: Option<f64>,
	/// Until the first text, seconds.
	pub(super) first_text: Option<f64>,
	/// Until the end, seconds.
	pub(super) seconds: f64,
	/// The signed receipt as `verify` reads it.
	pub(super) receipt: Option<Value>,
}

impl Answer {
	pub(super) fn to_json(&self) -> Value {
		json!({
			"text": self.text,
			"finish_reason": self.finish,
			"model": self.model,
			"usage": {
				"prompt_tokens": self.prompt_tokens,
				"completion_tokens": self.output_tokens,
				"tokens_per_second": self.tokens_per_second,
				"energy_mj": self.energy,
			},
			"seconds": { "first_text": self.first_text, "total": self.seconds },
			"aria": { "receipt_file": self.receipt },
		})
	}

	/// One line for people.
	pub(super) fn stats(&self) -> String {
		let mut parts = Vec::new();
		if let Some(tokens) = self.output_tokens {
			parts.push(format!("{tokens} tokens"));
		}
		if let Some(rate) = self.tokens_per_second {
			parts.push(format!("{rate:.1} tokens/s"));
		}
		if let Some(first) = self.first_text {
			parts.push(format!("first after {first:.2} s"));
		}
		parts.push(match self.energy {
			Some(energy) => match self.output_tokens.filter(|tokens| *tokens > 0) {
				Some(tokens) => format!("{energy:.0} mJ ({:.1} mJ/token)", energy / tokens as f64),
				None => format!("{energy:.0} mJ"),
			},
			None => "energy not known".into(),
		});
		parts.join(", ")
	}
}

/// A model in this process.
pub(super) struct Local {
	engine: EngineHandle,
	pair: sr25519::Pair,
}

/// Who answers.
pub(super) enum Partner {
	Local(Box<Local>),
	Remote(Remote),
}

impl PartnerArgs {
	pub(super) fn settings(&self) -> Settings {
		Settings {
			max_tokens: self.max_tokens,
			temperature: self.temperature,
			top_p: self.top_p,
			seed: self.seed,
		}
	}

	/// Loads the model, or finds out what the server calls its.
	pub(super) fn partner(&self) -> Result<Partner> {
		if let Some(url) = &self.url {
			let remote = Remote::connect(url, self.api_key.clone(), self.model.clone())?;
			return Ok(Partner::Remote(remote));
		}
		let Some(model) = &self.model else {
			bail!("give a --model, or the --url of a running worker");
		};
		let pair = sr25519::Pair::from_string(&self.suri, None)
			.map_err(|_| anyhow::anyhow!("--suri is not a secret phrase or derivation path"))?;
		let backend = self.machine.backend()?;
		let path = resolve(model)?;
		// Large models take a while; only a terminal shows this.
		let bar = ProgressBar::new_spinner().with_message(format!("loading {}", path.display()));
		bar.enable_steady_tick(Duration::from_millis(100));
		let model = Model::open(&path, self.machine.load_options(&backend))
			.with_context(|| format!("can't load {}", path.display()))?;
		bar.finish_and_clear();
		let options = Options {
			parallel: 1,
			queue: 1,
			..Options::default()
		};
		let engine = Engine::spawn(
			Arc::new(model),
			backend,
			Meter::discover(self.watts),
			options,
		)?;
		Ok(Partner::Local(Box::new(Local { engine, pair })))
	}
}

impl Partner {
	/// The model's name.
	pub(super) fn model(&self) -> &str {
		match self {
			Self::Local(local) => &local.engine.model().name,
			Self::Remote(remote) => remote.model(),
		}
	}

	/// Answers; `show` sees each piece of text as it becomes certain.
	pub(super) fn ask(
		&self,
		question: &Question<'_>,
		settings: &Settings,
		interrupt: &Interrupt,
		show: &mut dyn FnMut(&str) -> Result<()>,
	) -> Result<Answer> {
		match self {
			Self::Local(local) => local.ask(question, settings, interrupt, show),
			Self::Remote(remote) => remote.ask(question, settings, interrupt, show),
		}
	}
}

impl Local {
	fn ask(
		&self,
		question: &Question<'_>,
		settings: &Settings,
		interrupt: &Interrupt,
		show: &mut dyn FnMut(&str) -> Result<()>,
	) -> Result<Answer> {
		let model = self.engine.model();
		let prompt = match question {
			Question::Text(text) => model.tokenizer.encode(text, true, false)?,
			Question::Chat(messages) => api::chat_prompt(messages, model)?,
		};
		let micro = |value: f64| (value * 1e6).round() as u32;
		let request = GenerateRequest {
			prompt,
			max_tokens: settings.max_tokens,
			sampling: Sampling {
				temperature_micro: micro(settings.temperature),
				top_p_micro: micro(settings.top_p),
				seed: settings.seed,
				..Default::default()
			},
			..Default::default()
		};
		let start = Instant::now();
		let mut answer = Answer {
			finish: "cancelled".into(),
			model: model.name.clone(),
			..Answer::default()
		};
		// Dropped when interrupted: that cancels the request.
		let mut events = self.engine.submit(request)?;
		while let Some(event) = events.blocking_recv() {
			match event {
				Event::Token(token) if token.text.is_empty() => {}
				Event::Token(token) => {
					answer
						.first_text
						.get_or_insert(start.elapsed().as_secs_f64());
					answer.text.push_str(&token.text);
					show(&token.text)?;
				}
				Event::Done(generation) => {
					self.complete(&mut answer, &generation);
					break;
				}
				Event::Error(error) => return Err(error.into()),
				Event::Checked(_) => {}
			}
			if interrupt.pressed() {
				break;
			}
		}
		answer.seconds = start.elapsed().as_secs_f64();
		Ok(answer)
	}

	fn complete(&self, answer: &mut Answer, generation: &Generation) {
		answer.text.clone_from(&generation.text);
		answer.finish = match generation.finish {
			FinishReason::Stop => "stop",
			FinishReason::Length => "length",
			FinishReason::Grammar => "grammar",
			FinishReason::Cancelled => "cancelled",
		}
		.into();
		let output = generation.tokens.len();
		answer.prompt_tokens = Some(generation.prompt.len() as u64);
		answer.output_tokens = Some(output as u64);
		// The first token belongs to the prompt's pass, so one token alone has no rate.
		answer.tokens_per_second = (output > 1 && generation.timings.decode_seconds > 0.0)
			.then(|| (output - 1) as f64 / generation.timings.decode_seconds);
		let energy = generation.energy;
		answer.energy =
			(energy.grade != EvidenceGrade::Unknown).then(|| energy.microjoules as f64 / 1000.0);
		let salt = H256(rand::random());
		let file = ReceiptFile::sign(generation, self.engine.model().id, 0, salt, &self.pair);
		answer.receipt = Some(file.to_json());
	}
}
