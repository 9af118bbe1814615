//! Accepts connections, with or without TLS, and bounds what each may cost.
//!
//! HTTP/1.1 alone: it is what OpenAI's clients speak, and a connection then has one request at a time.

use super::Limits;
use axum::Router;
use hyper::{
	Request,
	body::Incoming,
	server::conn::http1,
	service::{Service, service_fn},
};
use hyper_util::{
	rt::{TokioIo, TokioTimer},
	server::graceful::{GracefulShutdown, Watcher},
	service::TowerToHyperService,
};
use std::{
	io,
	pin::Pin,
	sync::{
		Arc,
		atomic::{AtomicUsize, Ordering},
	},
	task::{Context, Poll, ready},
	time::Duration,
};
use tokio::{
	io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
	net::{TcpListener, TcpStream},
	sync::Semaphore,
	time::{Instant, Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// Most headers of a request, and most bytes of all of them.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Most bytes that are buffered of a connection's requests, beside bodies.
const MAX_BUFFER: usize = 64 * 1024;
/// Pause after an error of the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a connection that we have closed is listened to while nothing comes.
const SILENCE: Duration = Duration::from_secs(1);
/// Bytes that are then read and dropped, unless more were announced.
const LINGERING: usize = 1 << 20;
/// What a connection too many is told.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves until `shutdown`, then until the answers under way have ended.
pub async fn serve(
	listener: TcpListener,
	router: Router,
	tls: Option<TlsAcceptor>,
	limits: Limits,
	shutdown: impl Future<Output = ()>,
) {
	let places = Arc::new(Semaphore::new(limits.connections));
	let graceful = GracefulShutdown::new();
	let mut shutdown = std::pin::pin!(shutdown);
	loop {
		let accepted = tokio::select! {
			accepted = listener.accept() => accepted,
			() = &mut shutdown => break,
		};
		let stream = match accepted {
			Ok((stream, _)) => stream,
			Err(error) => {
				tracing::warn!("can't accept a connection: {error}");
				sleep(PAUSE).await;
				continue;
			}
		};
		let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
		let place = places.clone().try_acquire_owned();
		tokio::spawn(async move {
			match (place, tls) {
				(Ok(_place), tls) => connection(stream, router, tls, limits, watcher).await,
				(Err(_), None) => refuse(stream).await,
				// A handshake would cost what there is none of.
				(Err(_), Some(_)) => {}
			}
		});
	}
	drop(listener);
	graceful.shutdown().await;
}

/// Tells a connection too many to come again.
async fn refuse(mut stream: TcpStream) {
	// It fits into the system's buffer, or the other side is gone.
	drop(stream.try_write(BUSY));
	drop(timeout(PAUSE, stream.shutdown()).await);
}

async fn connection(
	stream: TcpStream,
	router: Router,
	tls: Option<TlsAcceptor>,
	limits: Limits,
	watcher: Watcher,
) {
	if let Err(error) = prepare(&stream, limits.write) {
		tracing::debug!("can't set up a connection: {error}");
	}
	match tls {
		None => requests(stream, router, limits, watcher).await,
		Some(tls) => match timeout(limits.header, tls.accept(stream)).await {
			Ok(Ok(stream)) => requests(stream, router, limits, watcher).await,
			Ok(Err(error)) => tracing::debug!("no TLS: {error}"),
			Err(_) => tracing::debug!("no TLS: the handshake took too long"),
		},
	}
}

/// Tokens leave one by one, and a peer that has vanished is noticed.
fn prepare(stream: &TcpStream, patience: Duration) -> io::Result<()> {
	stream.set_nodelay(true)?;
	#[cfg(target_os = "linux")]
	{
		use rustix::net::sockopt;
		sockopt::set_socket_keepalive(stream, true)?;
		sockopt::set_tcp_keepidle(stream, patience)?;
		sockopt::set_tcp_keepintvl(stream, patience / 4)?;
		let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
		sockopt::set_tcp_user_timeout(stream, milliseconds)?;
	}
	Ok(())
}

async fn requests<S>(stream: S, router: Router, limits: Limits, watcher: Watcher)
where
	S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
	let unread = Unread::default();
	let stream = TokioIo::new(Impatient {
		stream,
		limit: limits.write,
		stalled: None,
		unread: unread.clone(),
		lingering: None,
	});
	let router = TowerToHyperService::new(router);
	let service = service_fn(move |mut request: Request<Incoming>| {
		request.extensions_mut().insert(unread.clone());
		router.call(request)
	});
	// The time for headers is also that for which a connection may lie idle.
	let connection = http1::Builder::new()
		.timer(TokioTimer::new())
		.header_read_timeout(limits.header)
		.max_headers(MAX_HEADERS)
		.max_header_size(MAX_HEADER_BYTES)
		.max_buf_size(MAX_BUFFER)
		.serve_connection(stream, service);
	if let Err(error) = watcher.watch(connection).await {
		tracing::debug!("a connection ended: {error}");
	}
}

/// A connection whose writes fail when the other side takes nothing for too long, and which lingers at its end.
struct Impatient<S> {
	stream: S,
	limit: Duration,
	/// Since when nothing could be written.
	stalled: Option<Pin<Box<Sleep>>>,
	unread: Unread,
	/// Since our side of it was closed.
	lingering: Option<Lingering>,
}

/// Bytes that a connection's last request announced, which may still come when it was refused: a request's extension.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<AtomicUsize>);

impl Unread {
	/// Notes the length of a request's body.
	pub(super) fn set(&self, bytes: usize) {
		self.0.store(bytes, Ordering::Relaxed);
	}
}

/// What is left of a connection after our last byte. A socket that is closed with unread bytes is reset, and a client
/// that is still sending a refused body would lose the answer that says why.
struct Lingering {
	/// Bytes that are still read and dropped.
	bytes: usize,
	/// Until the other side counts as silent.
	silence: Pin<Box<Sleep>>,
	/// When it ends whatever comes.
	end: Instant,
}

impl Lingering {
	fn begin(unread: &Unread) -> Self {
		Self {
			bytes: LINGERING.max(unread.0.load(Ordering::Relaxed)),
			silence: Box::pin(sleep(SILENCE)),
			end: Instant::now() + 10 * SILENCE,
		}
	}

	/// Reads until the other side has closed as well, is silent, or sends without end.
	fn poll<S: AsyncRead + Unpin>(
		&mut self,
		mut stream: Pin<&mut S>,
		context: &mut Context<'_>,
	) -> Poll<()> {
		let mut dropped = [0; 8192];
		loop {
			let mut buffer = ReadBuf::new(&mut dropped);
			match stream.as_mut().poll_read(context, &mut buffer) {
				Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
				Poll::Ready(_) => return Poll::Ready(()),
				Poll::Pending => return self.silence.as_mut().poll(context),
			}
			let Some(bytes) = self.bytes.checked_sub(buffer.filled().len()) else {
				return Poll::Ready(());
			};
			self.bytes = bytes;
			self.silence
				.as_mut()
				.reset((Instant::now() + SILENCE).min(self.end));
		}
	}
}

impl<S> Impatient<S> {
	fn watch<T>(
		&mut self,
		context: &mut Context<'_>,
		result: Poll<io::Result<T>>,
	) -> Poll<io::Result<T>> {
		watch(&mut self.stalled, self.limit, context, result)
	}
}

fn watch<T>(
	stalled: &mut Option<Pin<Box<Sleep>>>,
	limit: Duration,
	context: &mut Context<'_>,
	result: Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
	if result.is_ready() {
		*stalled = None;
		return result;
	}
	let stalled = stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
	ready!(stalled.as_mut().poll(context));
	Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
	fn poll_read(
		mut self: Pin<&mut Self>,
		context: &mut Context<'_>,
		buffer: &mut ReadBuf<'_>,
	) -> Poll<io::Result<()>> {
		Pin::new(&mut self.stream).poll_read(context, buffer)
	}
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
	fn poll_write(
		mut self: Pin<&mut Self>,
		context: &mut Context<'_>,
		bytes: &[u8],
	) -> Poll<io::Result<usize>> {
		let result = Pin::new(&mut self.stream).poll_write(context, bytes);
		self.watch(context, result)
	}

	fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
		let result = Pin::new(&mut self.stream).poll_flush(context);
		self.watch(context, result)
	}

	fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
		let this = &mut *self;
		let lingering = match &mut this.lingering {
			Some(lingering) => lingering,
			none => {
				let result = Pin::new(&mut this.stream).poll_shutdown(context);
				ready!(watch(&mut this.stalled, this.limit, context, result))?;
				none.insert(Lingering::begin(&this.unread))
			}
		};
		lingering.poll(Pin::new(&mut this.stream), context).map(Ok)
	}

	fn poll_write_vectored(
		mut self: Pin<&mut Self>,
		context: &mut Context<'_>,
		buffers: &[io::IoSlice<'_>],
	) -> Poll<io::Result<usize>> {
		let result = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
		self.watch(context, result)
	}

	fn is_write_vectored(&self) -> bool {
		self.stream.is_write_vectored()
	}
}
