//! Templates from strangers are programs, and their language has ways to grow and to recurse without end. They run in a
//! process of their own with limits: only that process ends when they do.

use super::{
	TemplateError,
	run::{self, Job},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{
	ffi::OsStr,
	io::{self, Read, Write},
	path::{Path, PathBuf},
	process::{Command, Stdio},
	sync::OnceLock,
};

/// The argument that makes a program render one template and end.
const WORD: &str = "render-chat-template";
/// Most bytes that a prompt may have: far more than fit any context.
const MAX_PROMPT: u64 = 64 << 20;
/// Limits of the process: bytes of memory with the program's own, and seconds of work.
const MEMORY: u64 = 1 << 30;
const SECONDS: u64 = 5;

/// This program, if it takes [`WORD`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// From here on, this program runs the templates of model files in processes of their own: itself again, called with an
/// argument by which this function renders and ends the process. So it has to be called before arguments are read.
///
/// Programs that do not call it run templates themselves.
pub fn isolate() {
	if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(WORD)) {
		std::process::exit(match serve() {
			Ok(()) => 0,
			Err(_) => 1,
		});
	}
	// Linux's name stays right when the file is replaced by a newer one.
	let itself = match cfg!(target_os = "linux") {
		true => Ok(PathBuf::from("/proc/self/exe")),
		false => std::env::current_exe(),
	};
	if let Ok(path) = itself {
		PROGRAM.get_or_init(|| path);
	}
}

fn serve() -> io::Result<()> {
	for (resource, limit) in [
		(Resource::As, MEMORY),
		(Resource::Cpu, SECONDS),
		(Resource::Core, 0),
	] {
		let limit = Some(limit);
		let both = Rlimit {
			current: limit,
			maximum: limit,
		};
		setrlimit(resource, both)?;
	}
	let job: Job = serde_json::from_reader(io::stdin().lock())?;
	let result = run::render(&job);
	let mut out = io::stdout().lock();
	serde_json::to_writer(&mut out, &result)?;
	out.flush()
}

/// Renders in a process of its own, or here if this program does not do that.
pub(super) fn render(job: &Job) -> Result<String, TemplateError> {
	match PROGRAM.get() {
		Some(program) => render_by(program, job),
		None => run::render(job),
	}
}

/// What fails here and not in the template is the machine's fault: it may be short of processes, files or memory.
fn render_by(program: &Path, job: &Job) -> Result<String, TemplateError> {
	let failed = |error: io::Error| TemplateError::Unavailable(error.to_string());
	call(program, job).map_err(failed)?
}

fn call(program: &Path, job: &Job) -> io::Result<Result<String, TemplateError>> {
	let mut child = Command::new(program)
		.arg(WORD)
		.stdin(Stdio::piped())
		.stdout(Stdio::piped())
		// What a crash prints.
		.stderr(Stdio::null())
		.spawn()?;
	let written = match child.stdin.take() {
		Some(stdin) => serde_json::to_writer(io::BufWriter::new(stdin), job),
		None => Ok(()),
	};
	let mut answer = Vec::new();
	let read = match child.stdout.take() {
		Some(stdout) => stdout.take(MAX_PROMPT).read_to_end(&mut answer),
		None => Ok(0),
	};
	// Where there is more than that, it waits for us to take it.
	if answer.len() as u64 == MAX_PROMPT {
		child.kill()?;
	}
	let status = child.wait()?;
	// It failed before it rendered: its own word for that, or the system's.
	if let Some(1 | 126 | 127) = status.code() {
		return Err(io::Error::other("its process could not begin"));
	}
	if !status.success() {
		let reason = "it takes too much memory, or never ends";
		return Ok(Err(TemplateError::Render(reason.into())));
	}
	written?;
	read?;
	Ok(serde_json::from_slice(&answer)?)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn process_that_can_not_begin_should_be_no_fault_of_the_template() {
		let job = Job {
			source: "x".into(),
			bos: String::new(),
			eos: String::new(),
			messages: Vec::new(),
			tools: Vec::new(),
		};
		for program in ["/nowhere/to-be-found", "/bin/false"] {
			let result = render_by(Path::new(program), &job);
			assert!(
				matches!(result, Err(TemplateError::Unavailable(_))),
				"{program}: {result:?}"
			);
		}
	}
}
