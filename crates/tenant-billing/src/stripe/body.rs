//! A request body that looks at the clock before it lets itself be sent.
//!
//! The key of a creation was young enough when its age was read. Between that reading and the first
//! byte on the wire lie queues, a name lookup, a handshake, perhaps a laptop's lid; whoever waits for
//! them cannot see from outside when the sending begins. The body can: hyper asks for it exactly when
//! the connection is up and this request's turn has come, in the same poll that then writes head and
//! body. If it fails there, the connection is dropped with its buffer, and the head does not leave
//! either.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tenant_billing_core::ports::Clock;

pub(super) struct TimedBody {
    /// What is still to be handed over: all of it, or nothing.
    bytes: Option<Bytes>,
    begin_by: Duration,
    clock: Arc<dyn Clock>,
}

/// The request was not begun in time, so it was not sent.
#[derive(Debug, thiserror::Error)]
#[error("not sent, since the time to begin had passed")]
pub(super) struct WindowClosed;

impl TimedBody {
    pub(super) fn new(text: String, begin_by: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { bytes: Some(text.into()), begin_by, clock }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = WindowClosed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WindowClosed>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        if self.clock.uptime() > self.begin_by {
            return Poll::Ready(Some(Err(WindowClosed)));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// Never before the first poll, not even of an empty body: it is the poll that looks.
    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// Exact, so that hyper sends `Content-Length` and not chunks.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
