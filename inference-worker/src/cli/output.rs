//! Standard output and standard error: everything that a command prints goes through here.
//!
//! `println!` panics once its reader is gone, as `head` is after its lines. SIGPIPE could end the program, as it ends
//! other Unix tools, but the same process writes to sockets and to the pipes of its template processes, where a closed
//! end is an error to be handled. So writing returns an error that ends the command quietly ([`is_closed`]), and
//! `clippy.toml` with the lints `print_stdout` and `print_stderr` forbids the macros that panic.

use anyhow::{Context, Result};
use std::{
	fmt::Display,
	io::{self, ErrorKind, Write},
	process::ExitCode,
};

/// The reader of standard output is gone.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct Closed;

/// Whether a command failed because the reader of its output is gone: that ends it, and is not a fault.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
	error.is::<Closed>()
}

/// Writes bytes to standard output as they are, at once.
///
/// # Errors
/// One that [`is_closed`] knows if the reader is gone; otherwise what the system says, for example that the disk is
/// full.
pub(super) fn write(bytes: &[u8]) -> Result<()> {
	finish(io::stdout().lock(), bytes)
}

/// Writes a line to standard output. Errors are those of [`write`].
pub(super) fn line(text: impl Display) -> Result<()> {
	write(format!("{text}\n").as_bytes())
}

/// Writes a line with styles to standard output, where they are shown only on a terminal. Errors are those of
/// [`write`].
pub(super) fn styled_line(text: impl Display) -> Result<()> {
	finish(anstream::stdout().lock(), format!("{text}\n").as_bytes())
}

/// Writes a line to standard error, with styles only on a terminal.
pub(super) fn note(text: impl Display) {
	prompt(format_args!("{text}\n"));
}

/// Writes to standard error without ending the line.
pub(super) fn prompt(text: impl Display) {
	let mut out = anstream::stderr().lock();
	let written = out
		.write_all(text.to_string().as_bytes())
		.and_then(|()| out.flush());
	// Where errors are shown there is no place to show this one, and the work is not in vain without its notes.
	drop(written);
}

/// Ends a command that has a finding: its exit code holds even if nobody reads the rest of the output.
pub(super) fn finding(code: ExitCode, printed: Result<()>) -> Result<ExitCode> {
	match printed {
		Err(error) if !is_closed(&error) => Err(error),
		_ => Ok(code),
	}
}

/// Whether standard error shows colours: a terminal does, unless the user says otherwise with NO_COLOR, CLICOLOR or
/// CLICOLOR_FORCE.
pub fn stderr_has_colours() -> bool {
	anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

fn finish(mut out: impl Write, bytes: &[u8]) -> Result<()> {
	match out.write_all(bytes).and_then(|()| out.flush()) {
		Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
		other => other.context("can't write to standard output"),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	/// A stream whose writes fail.
	struct Failing(ErrorKind);

	impl Write for Failing {
		fn write(&mut self, _: &[u8]) -> io::Result<usize> {
			Err(self.0.into())
		}

		fn flush(&mut self) -> io::Result<()> {
			Ok(())
		}
	}

	#[test]
	fn closed_output_should_be_told_from_other_errors() {
		let closed = finish(Failing(ErrorKind::BrokenPipe), b"x").unwrap_err();
		assert!(is_closed(&closed));
		assert!(is_closed(&closed.context("while listing")));
		let full = finish(Failing(ErrorKind::StorageFull), b"x").unwrap_err();
		assert!(!is_closed(&full));
		// A connection that breaks is an error of the command.
		let socket = anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe));
		assert!(!is_closed(&socket));
	}

	#[test]
	fn finding_should_outlive_its_output() {
		let closed = || finish(Failing(ErrorKind::BrokenPipe), b"x");
		let full = || finish(Failing(ErrorKind::StorageFull), b"x");
		assert_eq!(finding(1.into(), closed()).unwrap(), ExitCode::from(1));
		assert_eq!(finding(1.into(), Ok(())).unwrap(), ExitCode::from(1));
		assert!(finding(ExitCode::SUCCESS, full()).is_err());
	}
}
