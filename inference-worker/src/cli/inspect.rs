//! `aria-worker inspect`.

use anyhow::Result;
use aria_kernels::Packing;
use aria_worker::{engine::receipt::to_hex, model::Model};
use serde_json::json;
use std::{path::Path, process::ExitCode};

/// Shows a model.
pub(crate) fn run(file: &Path, as_json: bool) -> Result<ExitCode> {
	let model = Model::open(file, Packing::Dense)?;
	let report = json!({
		"name": model.name,
		"licence": model.licence,
		"model_root": to_hex(model.id.as_bytes()),
		"canonical_bytes": model.bytes,
		"config": model.config,
		"tokenizer": {
			"pre": model.tokenizer.pre(),
			"tokens": model.tokenizer.len(),
			"bos": model.tokenizer.bos(),
			"end_tokens": model.tokenizer.end_tokens(),
		},
		"chat_template": model.template.source().is_some(),
		"tied_head": model.tied,
		"operations": model.operations(),
	});
	if as_json {
		println!("{report}");
	} else {
		println!("{}", serde_json::to_string_pretty(&report)?);
	}
	Ok(ExitCode::SUCCESS)
}
