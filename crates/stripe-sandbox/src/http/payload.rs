//! A response body that may stop halfway, or be slow.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::trickle::Trickle;

/// A body. Its length, as announced in `Content-Length`, is always that of the whole.
#[derive(Debug)]
pub(super) struct Payload {
    rest: Bytes,
    announced: u64,
    /// How many bytes may leave before the body breaks off.
    cut: Option<Cut>,
    pace: Option<Trickle>,
}

#[derive(Debug)]
enum Cut {
    /// After so many bytes.
    After(usize),
    /// Those have been handed over; the connection gets a turn to send them.
    Flushing,
    Now,
}

impl Payload {
    /// The whole of it.
    pub(super) fn whole(body: impl Into<Bytes>) -> Payload {
        let rest = body.into();
        Payload { announced: rest.len() as u64, rest, cut: None, pace: None }
    }

    /// The first half of it, and then a broken connection.
    pub(super) fn half(body: impl Into<Bytes>) -> Payload {
        let whole = Payload::whole(body);
        Payload { cut: Some(Cut::After(whole.rest.len() / 2)), ..whole }
    }

    /// The whole of it, over so long a time.
    pub(super) fn slow(body: impl Into<Bytes>, span: Duration) -> Payload {
        Payload { pace: Some(Trickle::over(span)), ..Payload::whole(body) }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.cut {
            None if self.rest.is_empty() => Poll::Ready(None),
            None if self.pace.is_some() => {
                let left = self.rest.len();
                let pace = self.pace.as_mut().map(|pace| pace.poll_piece(left, context));
                let piece = ready!(pace.unwrap_or(Poll::Ready(left)));
                Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
            }
            None => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest))))),
            Some(Cut::After(bytes)) => {
                self.cut = Some(Cut::Flushing);
                Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(bytes)))))
            }
            Some(Cut::Flushing) => {
                self.cut = Some(Cut::Now);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Cut::Now) => Poll::Ready(Some(Err(Broken))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}

/// The connection ends here, on purpose.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault ended the connection")
    }
}

impl std::error::Error for Broken {}
