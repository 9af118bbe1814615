//! What fuzz targets and tests do with bytes from strangers: every reader is run, and so is what it made. A panic is a
//! bug, and so is more memory than the bytes justify. Each says whether its input was taken.

use aria_engine::host::System as Host;
use aria_engine::{
	GenerateRequest,
	answers::alone::generate,
	gguf::Gguf,
	model::{
		Model,
		template::{ChatTemplate, Message},
	},
	tokenizer::Tokenizer,
};
use aria_kernels::{Backend, Isa, Packing};
use std::{
	alloc::{GlobalAlloc, Layout, System},
	path::Path,
	sync::{
		LazyLock, Mutex, MutexGuard, PoisonError,
		atomic::{AtomicUsize, Ordering::Relaxed},
	},
};
use tempfile::TempDir;

/// Between the parts of an input that stands for several files.
pub(crate) const BREAK: &[u8] = b"\0\xff\0\xff";
/// Files of an input that stands for a folder, in this order.
pub(crate) const FILES: [&str; 6] = [
	"config.json",
	"model.safetensors",
	"model.safetensors.index.json",
	"tokenizer.json",
	"tokenizer_config.json",
	"chat_template.jinja",
];

/// The system's allocator, counting bytes.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
	unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
		let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
		PEAK.fetch_max(now, Relaxed);
		// SAFETY: the caller's promise.
		unsafe { System.alloc(layout) }
	}

	unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
		let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
		PEAK.fetch_max(now, Relaxed);
		// SAFETY: the caller's promise.
		unsafe { System.alloc_zeroed(layout) }
	}

	unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
		let now = NOW.fetch_add(len, Relaxed) + len;
		PEAK.fetch_max(now, Relaxed);
		NOW.fetch_sub(layout.size(), Relaxed);
		// SAFETY: the caller's promise.
		unsafe { System.realloc(pointer, layout, len) }
	}

	unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
		NOW.fetch_sub(layout.size(), Relaxed);
		// SAFETY: the caller's promise.
		unsafe { System.dealloc(pointer, layout) }
	}
}

/// Most bytes that `work` may hold at once: so many, and so many for each byte of its input.
fn bounded<T>(len: usize, constant: usize, factor: usize, work: impl FnOnce() -> T) -> T {
	// One at a time: the count is of the whole program.
	static ALONE: Mutex<()> = Mutex::new(());
	let _alone: MutexGuard<'_, ()> = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
	let before = NOW.load(Relaxed);
	PEAK.store(before, Relaxed);
	let result = work();
	let used = PEAK.load(Relaxed).saturating_sub(before);
	let limit = constant + factor * len;
	assert!(
		used <= limit,
		"{used} bytes for an input of {len}; {limit} would be justified"
	);
	result
}

fn parts(bytes: &[u8]) -> Vec<&[u8]> {
	let mut parts = Vec::new();
	let mut rest = bytes;
	while let Some(at) = rest.windows(BREAK.len()).position(|part| part == BREAK) {
		parts.push(&rest[..at]);
		rest = &rest[at + BREAK.len()..];
	}
	parts.push(rest);
	parts
}

/// Puts the parts of an input into the files of a folder; parts that are empty are absent.
fn write_files(folder: &Path, names: &[&str], parts: &[&[u8]]) {
	for (name, part) in names
		.iter()
		.zip(parts.iter().chain(std::iter::repeat(&&[][..])))
	{
		let path = folder.join(name);
		let result = if part.is_empty() {
			std::fs::remove_file(path).or_else(|error| match error.kind() {
				std::io::ErrorKind::NotFound => Ok(()),
				_ => Err(error),
			})
		} else {
			std::fs::write(path, part)
		};
		result.expect("the temporary folder takes files");
	}
}

static FOLDER: LazyLock<TempDir> =
	LazyLock::new(|| tempfile::tempdir().expect("there is room for a temporary folder"));
static BACKEND: LazyLock<Backend> = LazyLock::new(|| Backend::new(Isa::detect(), 1));

/// A model that was taken must answer, or say why not.
fn ask(model: &Model) {
	let request = GenerateRequest {
		prompt: vec![0, model.config().vocab as u32 - 1],
		max_tokens: 2,
		..Default::default()
	};
	let host = Host;
	let answer = generate(model, &BACKEND, &host, request, &mut |_| {}, &|| false);
	if let Ok(answer) = answer {
		assert!(answer.tokens.len() <= 2);
	}
}

/// A tokenizer that was taken must take any text, or say why not.
fn cut(tokenizer: &Tokenizer, text: &[u8]) {
	let text = String::from_utf8_lossy(text);
	for special in [false, true] {
		let Ok(ids) = tokenizer.encode(&text, true, special) else {
			continue;
		};
		assert!(ids.iter().all(|id| (*id as usize) < tokenizer.len()));
		tokenizer.decode(&ids);
	}
	tokenizer.canonical();
}

/// What was taken, or why it was not.
pub(crate) type Outcome = Result<(), String>;

fn taken<T>(result: Result<T, impl std::fmt::Display>, then: impl FnOnce(&T)) -> Outcome {
	result
		.inspect(then)
		.map(drop)
		.map_err(|error| error.to_string())
}

/// A GGUF file.
pub(crate) fn gguf(bytes: &[u8]) -> Outcome {
	bounded(bytes.len(), 1 << 20, 64, || {
		taken(Gguf::parse(bytes), |_| {})
	})?;
	for packing in [Packing::TwoBit, Packing::Dense] {
		bounded(bytes.len(), 160 << 20, 64, || {
			taken(Model::from_bytes(bytes, "", packing), ask)
		})?;
	}
	Ok(())
}

/// A Hugging Face folder.
pub(crate) fn folder(bytes: &[u8]) -> Outcome {
	let folder = FOLDER.path();
	bounded(bytes.len(), 160 << 20, 64, || {
		write_files(folder, &FILES, &parts(bytes));
		taken(Model::open(folder, Packing::TwoBit), ask)
	})
}

/// A GGUF file's vocabulary and a text.
pub(crate) fn vocabulary(bytes: &[u8]) -> Outcome {
	let parts = parts(bytes);
	let text = parts.get(1).copied().unwrap_or_default();
	bounded(bytes.len(), 4 << 20, 512, || {
		let gguf = Gguf::parse(parts[0]).map_err(|error| error.to_string())?;
		taken(Tokenizer::from_gguf(&gguf), |tokenizer| {
			cut(tokenizer, text)
		})
	})
}

/// `tokenizer.json`, the files beside it and a text.
pub(crate) fn tokenizer(bytes: &[u8]) -> Outcome {
	let (folder, parts) = (FOLDER.path(), parts(bytes));
	let names = ["tokenizer.json", "tokenizer_config.json", "config.json"];
	let text = parts.get(3).copied().unwrap_or_default();
	bounded(bytes.len(), 160 << 20, 512, || {
		write_files(folder, &names, &parts);
		let tokenizer = Tokenizer::from_tokenizer_json(&folder.join("tokenizer.json"), None);
		taken(tokenizer, |tokenizer| cut(tokenizer, text))
	})
}

/// A chat template and messages. What takes too much memory is for the limits of the process that programs render in.
pub(crate) fn template(bytes: &[u8]) -> Outcome {
	let parts = parts(bytes);
	let texts: Vec<_> = parts.into_iter().map(String::from_utf8_lossy).collect();
	let roles = ["system", "user", "assistant"].iter().cycle();
	let messages = texts[1..].iter().zip(roles);
	let messages: Vec<Message> = messages
		.map(|(content, role)| Message {
			role: (*role).to_owned(),
			content: content.clone().into_owned(),
			..Message::default()
		})
		.collect();
	let template = ChatTemplate::new(Some(&texts[0]), "<s>", "</s>");
	let rendered = template.and_then(|template| template.render(&messages, &[], 0));
	taken(rendered, |_| {})
}
