//! A pace for bytes that are sent slowly: a number of pieces, and a pause before each.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::clock;

const PIECES: u32 = 16;

/// A pace. It lets a piece through, and then nothing for a while.
pub(super) struct Trickle {
    gap: Duration,
    pieces_left: u32,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Trickle {
    /// Spreads bytes over a span of time.
    pub(super) fn over(span: Duration) -> Trickle {
        let gap = span / PIECES;
        Trickle { gap, pieces_left: PIECES, pause: Some(Box::pin(clock::pause(gap))) }
    }

    /// The number of bytes, of those that are left, that may leave now.
    pub(super) fn poll_piece(&mut self, bytes: usize, context: &mut Context<'_>) -> Poll<usize> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
        }
        let piece = bytes.div_ceil(self.pieces_left.max(1) as usize);
        self.pieces_left = self.pieces_left.saturating_sub(1);
        self.pause = (self.pieces_left > 0).then(|| Box::pin(clock::pause(self.gap)) as _);
        Poll::Ready(piece)
    }
}

impl fmt::Debug for Trickle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trickle").field("gap", &self.gap).finish_non_exhaustive()
    }
}
