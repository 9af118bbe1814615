//! `aria-worker serve`.

use super::output::stderr_has_colours;
use crate::service::{self, Handle, ServiceArgs};
use anyhow::{Context, Result};
use prometheus::Registry;
use std::process::ExitCode;

/// Runs the service until it is told to end.
pub(crate) fn run(args: ServiceArgs) -> Result<ExitCode> {
	let filter = tracing_subscriber::EnvFilter::try_from_default_env()
		.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
	tracing_subscriber::fmt()
		.with_env_filter(filter)
		.with_ansi(stderr_has_colours())
		// It reports a log that nobody reads on standard error, and panics when nobody reads that.
		.log_internal_errors(false)
		.with_writer(std::io::stderr)
		.init();
	let runtime = tokio::runtime::Runtime::new().context("can't start the async runtime")?;
	let result = runtime.block_on(async {
		let shutdown = shutdown_signal()?;
		service::run(args, Registry::new(), Handle::default(), shutdown).await
	});
	// A file that is still being read does not hold up the end.
	runtime.shutdown_timeout(std::time::Duration::from_secs(2));
	result.map(|()| ExitCode::SUCCESS)
}

/// Resolves at Ctrl-C or a termination signal.
fn shutdown_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
	#[cfg(unix)]
	let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
	Ok(async move {
		#[cfg(unix)]
		tokio::select! {
			_ = tokio::signal::ctrl_c() => {}
			_ = terminate.recv() => {}
		}
		#[cfg(not(unix))]
		drop(tokio::signal::ctrl_c().await);
		tracing::info!("shutting down");
	})
}
