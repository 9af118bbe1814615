//! What answers `chat` and `infer`: a model in this process, or a server over HTTP. They see no difference.

use super::{
	exchange::{Question, Reply, Settings},
	interrupt::Interrupt,
	machine::Machine,
	remote::Remote,
	sampling::{micro, probability, temperature, top_p_micro},
};
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
use sp_core::{Pair, sr25519};
use std::{
	sync::Arc,
	time::{Duration, Instant},
};

/// What answers, and how.
#[derive(Args)]
pub(crate) struct ResponderArgs {
	/// GGUF file, Hugging Face folder, or the name of an installed model; with --url, the name of a model there.
	#[arg(long, env = "ARIA_MODEL")]
	model: Option<String>,
	/// Ask a running worker, or any other server with the OpenAI API, instead of running a model here.
	#[arg(long, value_name = "URL", env = "ARIA_URL")]
	url: Option<String>,
	/// API key of that server.
	#[arg(long, env = "ARIA_API_KEY", hide_env_values = true)]
	api_key: Option<String>,
	/// Maximum number of tokens in an answer.
	#[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
	max_tokens: u32,
	/// Sampling temperature; 0 always takes the most likely token.
	#[arg(long, default_value_t = 0.0, value_parser = temperature)]
	temperature: f64,
	/// Sample only from the most likely tokens whose probabilities add up to this; 0 always takes the most likely one.
	#[arg(long, default_value_t = 1.0, value_parser = probability)]
	top_p: f64,
	/// Seed of the sampler: the same seed gives the same answer.
	#[arg(long, default_value_t = 0)]
	seed: u64,
	/// Secret phrase or derivation path of the key that signs receipts when the model runs here.
	#[arg(
		long,
		env = "ARIA_WORKER_SURI",
		default_value = "//Alice",
		hide_env_values = true
	)]
	suri: String,
	/// Declared power of this machine under full load, in watts: used to estimate energy where it can't be measured.
	#[arg(long)]
	watts: Option<f64>,
	#[command(flatten)]
	machine: Machine,
}

/// A model in this process.
pub(super) struct Local {
	engine: EngineHandle,
	pair: sr25519::Pair,
}

/// What answers.
pub(super) enum Responder {
	Local(Box<Local>),
	Remote(Remote),
}

impl ResponderArgs {
	pub(super) fn settings(&self) -> Settings {
		Settings {
			max_tokens: self.max_tokens,
			temperature: self.temperature,
			top_p: self.top_p,
			seed: self.seed,
		}
	}

	/// Loads the model, or finds out what the server calls its.
	pub(super) fn responder(&self) -> Result<Responder> {
		if let Some(url) = &self.url {
			let remote = Remote::connect(url, self.api_key.clone(), self.model.clone())?;
			return Ok(Responder::Remote(remote));
		}
		let Some(model) = &self.model else {
			bail!("name a model with --model, or a running worker with --url");
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
		Ok(Responder::Local(Box::new(Local { engine, pair })))
	}
}

impl Responder {
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
	) -> Result<Reply> {
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
	) -> Result<Reply> {
		let model = self.engine.model();
		let prompt = match question {
			Question::Text(text) => model.tokenizer.encode(text, true, false)?,
			Question::Chat(messages) => api::chat_prompt(messages, model)?,
		};
		let request = GenerateRequest {
			prompt,
			max_tokens: settings.max_tokens,
			sampling: Sampling {
				temperature_micro: micro(settings.temperature),
				top_p_micro: top_p_micro(settings.top_p),
				seed: settings.seed,
				..Default::default()
			},
			..Default::default()
		};
		let start = Instant::now();
		let mut answer = Reply {
			finish: "cancelled".into(),
			model: model.name.clone(),
			..Reply::default()
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

	fn complete(&self, answer: &mut Reply, generation: &Generation) {
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
