//! The body of a stream of events: it ends in time, and events that are there leave together, in one write.

use super::ApiError;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::{
	pin::Pin,
	task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::Span;

/// Bytes of events that leave together.
const MAX_TOGETHER: usize = 64 * 1024;

/// Events of one answer.
pub(super) struct Events {
	body: Body,
	/// The request's, around all that is done for it.
	span: Span,
	deadline: Pin<Box<Sleep>>,
	ended: bool,
}

impl Events {
	/// The events of a body, which must end by `deadline`.
	pub(super) fn new(body: Body, deadline: Instant) -> Self {
		Self {
			body,
			span: Span::current(),
			deadline: Box::pin(sleep_until(deadline)),
			ended: false,
		}
	}

	/// All events that are there; ready when there are some, or no more will come.
	fn gather(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, axum::Error>> {
		let mut together = Vec::new();
		while together.len() < MAX_TOGETHER {
			match Pin::new(&mut self.body).poll_frame(context) {
				Poll::Ready(Some(frame)) => {
					if let Ok(data) = frame?.into_data() {
						together.extend_from_slice(&data);
					}
				}
				Poll::Ready(None) => {
					self.ended = true;
					break;
				}
				Poll::Pending if together.is_empty() => return Poll::Pending,
				Poll::Pending => break,
			}
		}
		Poll::Ready(Ok(together.into()))
	}
}

impl HttpBody for Events {
	type Data = Bytes;
	type Error = axum::Error;

	fn poll_frame(
		mut self: Pin<&mut Self>,
		context: &mut Context<'_>,
	) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
		if self.ended {
			return Poll::Ready(None);
		}
		let span = self.span.clone();
		if let Poll::Ready(events) = span.in_scope(|| self.gather(context)) {
			let nothing = matches!(&events, Ok(events) if events.is_empty());
			return Poll::Ready((!nothing).then(|| events.map(Frame::data)));
		}
		ready!(self.deadline.as_mut().poll(context));
		// The answer is dropped, and with it what is generated for it.
		self.body = Body::empty();
		self.ended = true;
		let event = format!("data: {}\n\n", ApiError::took_too_long().body());
		Poll::Ready(Some(Ok(Frame::data(event.into()))))
	}

	fn is_end_stream(&self) -> bool {
		self.ended
	}

	fn size_hint(&self) -> SizeHint {
		SizeHint::default()
	}
}
