//! A TCP stream that can be told to end in a reset, and to be slow with an answer's headers.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::trickle::Trickle;

/// The wishes of a fault for its connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire(Arc<Mutex<Wanted>>);

#[derive(Debug, Default)]
struct Wanted {
    reset: bool,
    /// The pace of the next answer's headers.
    slow: Option<Trickle>,
}

impl Wire {
    /// Makes the connection end in a reset.
    pub(super) fn reset(&self) {
        self.wanted().reset = true;
    }

    /// Makes the headers of the next answer take so long.
    pub(super) fn slow_headers(&self, span: Duration) {
        self.wanted().slow = Some(Trickle::over(span));
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        crate::lock::locked(&self.0)
    }
}

/// A TCP stream. A stream that is to end in a reset is closed without lingering, so that the kernel
/// sends a RST instead of a FIN.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    wire: Wire,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, wire: Wire) -> Socket {
        Socket { stream, wire }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.wire.wanted().reset {
            // If this fails the peer is gone already.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wanted = self.wire.wanted();
        let Some(pace) = &mut wanted.slow else {
            drop(wanted);
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        // The headers end with an empty line. Bytes after it are sent at full speed.
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let piece = ready!(pace.poll_piece(end.unwrap_or(bytes.len()), context));
        if end.is_none_or(|end| end <= piece) {
            wanted.slow = None;
        }
        drop(wanted);
        Pin::new(&mut self.stream).poll_write(context, &bytes[..piece])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.wanted().reset {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
