//! Which files of a repository make a model.

use super::{HubError, Result, Source, client::Description, source::is_safe};

/// Files that a model in safetensors needs, where present.
const SIDE_FILES: [&str; 8] = [
	"config.json",
	"generation_config.json",
	"tokenizer.json",
	"tokenizer.model",
	"tokenizer_config.json",
	"special_tokens_map.json",
	"chat_template.jinja",
	INDEX,
];
const INDEX: &str = "model.safetensors.index.json";
/// Markers of ternary types in names of GGUF files; the first that fits counts.
const TERNARY: [&str; 6] = ["i2_s", "tq2_0", "tq1_0", "q2_0_g64", "pq2_0", "q2_0"];

/// Files to download and the one to open (`None` for the folder).
pub(super) fn choose(
	source: &Source,
	description: &Description,
) -> Result<(Vec<String>, Option<String>)> {
	let all: Vec<&str> = description
		.siblings
		.iter()
		.map(|file| file.rfilename.as_str())
		.collect();
	// A hub that names one such file is not trusted with the others either.
	if let Some(name) = all.iter().find(|name| !is_safe(name)) {
		return Err(HubError::UnsafeFile((*name).to_owned()));
	}
	let one = |name: &str| Ok((vec![name.to_owned()], Some(name.to_owned())));
	if let Some(file) = &source.file {
		if !all.contains(&file.as_str()) {
			let what = format!("file {file} in {}", source.repo);
			return Err(HubError::NotFound(what));
		}
		return one(file);
	}
	let ggufs: Vec<&str> = all
		.iter()
		.copied()
		.filter(|name| name.ends_with(".gguf") && !name.contains("mmproj"))
		.collect();
	match ggufs.as_slice() {
		[] => folder(source, &all),
		[name] => one(name),
		many => {
			let mut found = TERNARY.iter().map(|kind| {
				let has = |name: &&&str| name.to_ascii_lowercase().contains(kind);
				many.iter().filter(has).collect::<Vec<_>>()
			});
			match found.find(|names| !names.is_empty()).as_deref() {
				Some([name]) => one(name),
				_ => Err(HubError::Ambiguous {
					repo: source.repo.clone(),
					files: many.iter().take(20).copied().collect::<Vec<_>>().join(", "),
				}),
			}
		}
	}
}

fn folder(source: &Source, all: &[&str]) -> Result<(Vec<String>, Option<String>)> {
	let weights: Vec<&str> = if all.contains(&INDEX) {
		let plain = |name: &&str| name.ends_with(".safetensors") && !name.contains('/');
		let tensors: Vec<&str> = all.iter().copied().filter(plain).collect();
		let shard = |name: &&str| name.starts_with("model-");
		let shards: Vec<&str> = tensors.iter().copied().filter(shard).collect();
		// Other weights may lie beside the shards, in another layout.
		if shards.is_empty() { tensors } else { shards }
	} else {
		let single = |name: &&str| *name == "model.safetensors";
		all.iter().copied().filter(single).collect()
	};
	if weights.is_empty() || !all.contains(&"config.json") {
		return Err(HubError::NothingUsable {
			repo: source.repo.clone(),
			wanted: "a GGUF file nor config.json with safetensors".into(),
		});
	}
	let sides = SIDE_FILES.iter().copied().filter(|name| all.contains(name));
	Ok((sides.chain(weights).map(str::to_owned).collect(), None))
}
