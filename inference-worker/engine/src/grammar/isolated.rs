//! Grammars from strangers can keep the library busy without end, or overflow the stack. They are compiled in a process
//! of their own first, with limits: only that process ends when they do. What passed there is compiled here, which then
//! takes as little.

use super::{
	compile::{Compiled, Compiler},
	purpose::Purpose,
};
use crate::error::EngineError;
use aria_primitives::receipt::Grammar;
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use std::{
	ffi::OsStr,
	io::{self, Read, Write},
	path::PathBuf,
	process::{Command, Stdio, exit},
	sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
	thread,
	time::{Duration, Instant},
};

/// The argument that makes a program compile one grammar and end. The seconds that it may work follow.
const WORD: &str = "compile-grammar";
/// Memory of the process, with the program's own.
const MEMORY_MIB: u64 = 1024;
/// How much more time than work a process may take, on a machine that has more to do.
const PATIENCE: u32 = 5;
/// By how much others go first.
const NICE: i32 = 5;
/// Stack of the thread that compiles: there, and here, where it suffices for what passed there.
const STACK: usize = 16 << 20;
const OWN_STACK: usize = 32 << 20;
/// Grammars that wait for others to be compiled, and for how long at most.
const MAX_WAITING: usize = 32;
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Most bytes of an answer of the process.
const MAX_ANSWER: u64 = 64 << 10;

/// This program, if it takes [`WORD`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// From here on, this program compiles grammars in processes of their own first: itself again, called with an argument
/// by which this function compiles and ends the process. So it has to be called before arguments are read.
///
/// In programs that do not call it, the library's limits alone hold.
pub fn isolate() {
	let mut arguments = std::env::args_os().skip(1);
	if arguments.next().as_deref() == Some(OsStr::new(WORD)) {
		let seconds = arguments
			.next()
			.and_then(|text| text.to_str()?.parse().ok());
		exit(match serve(seconds.unwrap_or(1)) {
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

fn serve(seconds: u64) -> io::Result<()> {
	for (resource, limit) in [
		(Resource::As, MEMORY_MIB << 20),
		(Resource::Cpu, seconds),
		(Resource::Core, 0),
	] {
		let limit = Some(limit);
		let both = Rlimit {
			current: limit,
			maximum: limit,
		};
		setrlimit(resource, both)?;
	}
	nice(NICE)?;
	thread::spawn(move || {
		thread::sleep(Duration::from_secs(seconds) * PATIENCE);
		exit(1);
	});
	let grammar: Grammar = serde_json::from_reader(io::stdin().lock())?;
	let compile = move || Compiler::of_bytes()?.compile(&grammar).map(drop);
	let result = match with_stack(STACK, compile)? {
		Ok(()) => Ok(()),
		Err(EngineError::Grammar(message)) => Err(message),
		Err(error) => Err(error.to_string()),
	};
	let mut out = io::stdout().lock();
	serde_json::to_writer(&mut out, &result)?;
	out.flush()
}

/// Runs on a thread with a stack of so many bytes.
fn with_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> io::Result<T> {
	thread::scope(|scope| {
		let thread = thread::Builder::new()
			.name("grammar".into())
			.stack_size(bytes)
			.spawn_scoped(scope, work)?;
		thread.join().map_err(|_| io::Error::other("it failed"))
	})
}

/// Compiles a grammar, in a process of its own first if this program does that.
pub(super) fn compile(
	compiler: &Compiler,
	grammar: &Grammar,
	purpose: Purpose,
) -> Result<Compiled, EngineError> {
	let busy = |error: io::Error| EngineError::GrammarsBusy(error.to_string());
	let (gate, seconds) = match purpose {
		Purpose::Answer => (&ANSWERS, 2),
		Purpose::Claim => (&CLAIMS, 20),
	};
	let _turn = gate.wait()?;
	if let Some(program) = PROGRAM.get() {
		try_out(program, grammar, seconds)?;
	}
	with_stack(OWN_STACK, || compiler.compile(grammar)).map_err(busy)?
}

/// Compiles a grammar in a process of its own and leaves nothing behind.
fn try_out(program: &PathBuf, grammar: &Grammar, seconds: u64) -> Result<(), EngineError> {
	let busy = |error: io::Error| EngineError::GrammarsBusy(error.to_string());
	let mut child = Command::new(program)
		.args([WORD, &seconds.to_string()])
		.stdin(Stdio::piped())
		.stdout(Stdio::piped())
		// What a crash prints.
		.stderr(Stdio::null())
		.spawn()
		.map_err(busy)?;
	// It may end before it has read all.
	if let Some(stdin) = child.stdin.take() {
		serde_json::to_writer(io::BufWriter::new(stdin), grammar).ok();
	}
	let mut answer = Vec::new();
	let read = match child.stdout.take() {
		Some(stdout) => stdout.take(MAX_ANSWER).read_to_end(&mut answer),
		None => Ok(0),
	};
	let status = child.wait().map_err(busy)?;
	read.map_err(busy)?;
	let result: Result<Result<(), String>, _> = serde_json::from_slice(&answer);
	match result {
		Ok(result) if status.success() => result.map_err(EngineError::Grammar),
		_ => Err(EngineError::GrammarTooCostly {
			seconds,
			mebibytes: MEMORY_MIB,
		}),
	}
}

/// Those who compile, and those who wait for it.
struct Gate {
	at_once: usize,
	queue: Mutex<Queue>,
	freed: Condvar,
}

struct Queue {
	running: usize,
	waiting: usize,
}

/// Claims do not keep answers waiting, nor answers claims.
static ANSWERS: Gate = Gate::new(2);
static CLAIMS: Gate = Gate::new(1);

/// A turn to compile, for as long as it lives.
struct Turn<'a>(&'a Gate);

impl Gate {
	const fn new(at_once: usize) -> Self {
		Self {
			at_once,
			queue: Mutex::new(Queue {
				running: 0,
				waiting: 0,
			}),
			freed: Condvar::new(),
		}
	}

	fn queue(&self) -> MutexGuard<'_, Queue> {
		// Nothing is left half done there.
		self.queue.lock().unwrap_or_else(PoisonError::into_inner)
	}

	fn wait(&self) -> Result<Turn<'_>, EngineError> {
		let busy = || EngineError::GrammarsBusy("many others are being compiled".into());
		let mut queue = self.queue();
		if queue.waiting >= MAX_WAITING {
			return Err(busy());
		}
		let end = Instant::now() + MAX_WAIT;
		queue.waiting += 1;
		while queue.running >= self.at_once {
			let left = end.saturating_duration_since(Instant::now());
			if left.is_zero() {
				queue.waiting -= 1;
				return Err(busy());
			}
			queue = match self.freed.wait_timeout(queue, left) {
				Ok((queue, _)) => queue,
				Err(poisoned) => poisoned.into_inner().0,
			};
		}
		queue.waiting -= 1;
		queue.running += 1;
		Ok(Turn(self))
	}
}

impl Drop for Turn<'_> {
	fn drop(&mut self) {
		self.0.queue().running -= 1;
		self.0.freed.notify_one();
	}
}
