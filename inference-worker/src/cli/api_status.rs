//! `aria-worker api status`.

use super::{onchain::print, output, remote::Remote};
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct StatusArgs {
	/// URL of the worker.
	#[arg(
		long,
		value_name = "URL",
		env = "ARIA_URL",
		default_value = "http://127.0.0.1:3000"
	)]
	url: String,
	/// Its API key, if it needs one.
	#[arg(long, env = "ARIA_API_KEY", hide_env_values = true)]
	api_key: Option<String>,
	/// Print one JSON object.
	#[arg(long)]
	json: bool,
}

/// Shows whether a worker is ready.
pub(super) fn run(args: &StatusArgs) -> Result<ExitCode> {
	let server = Remote::new(&args.url, args.api_key.clone())?;
	let health = server.health()?;
	let models = server.get("/models")?;
	let models = models.get("data").and_then(Value::as_array);
	let models: Vec<Value> = models
		.into_iter()
		.flatten()
		.map(|model| {
			json!({
				"id": model.get("id"),
				"ready": model.get("ready"),
				"context_length": model.pointer("/meta/context_length"),
				"model_root": model.pointer("/meta/model_root"),
			})
		})
		.collect();
	let ready = health == "ok";
	let status = json!({ "url": args.url, "ready": ready, "status": health, "models": models });
	let printed = if args.json {
		print(&status, true)
	} else {
		let state = if ready { "ready" } else { &health };
		output::line(format_args!("{} is {state}", args.url))
			.and_then(|()| print(&Value::Array(models), false))
	};
	output::finding(ExitCode::from(u8::from(!ready)), printed)
}
