//! A request body that checks the clock before it lets itself be sent.
//!
//! When the age of a creation's key was read, the key was young enough. Between that reading and
//! the first byte on the wire lie queues, a name lookup, a handshake, and perhaps a laptop that is
//! suspended, and a caller cannot see from outside when sending begins. The body can: hyper asks
//! for it when the connection is up and this request is next, in the same poll that then writes
//! head and body. If the body fails there, the connection is dropped with its buffer, so the head
//! is not sent either.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tenant_billing_core::ports::Clock;

/// A body that fails with [`TooLate`] if it is first asked for after `begin_by`.
pub(super) struct TimedBody {
    /// The whole body, until it is handed over.
    bytes: Option<Bytes>,
    begin_by: Duration,
    clock: Arc<dyn Clock>,
}

/// The body was asked for too late, so the request was not sent.
#[derive(Debug, thiserror::Error)]
#[error("not sent, since the time to begin had passed")]
pub(super) struct TooLate;

impl TimedBody {
    pub(super) fn new(text: String, begin_by: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { bytes: Some(text.into()), begin_by, clock }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        if self.clock.uptime() > self.begin_by {
            return Poll::Ready(Some(Err(TooLate)));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// False before the first poll even if the body is empty, since the poll checks the clock.
    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// The exact size, so that hyper sends `Content-Length` and not chunks.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
