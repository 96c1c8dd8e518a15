//! The three kinds of answer bodies: a text, a number of zeros, and a feed that another task writes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Zeros are sent in pieces of this size, so that a large answer needs no large memory.
const PIECE: u64 = 64 * 1024;
static ZEROS: [u8; PIECE as usize] = [b'0'; PIECE as usize];

/// An answer's body.
pub(crate) enum Answer {
    /// A text, with its length announced. Empty once it is sent.
    Text(Bytes),
    /// This many more bytes, with their number announced.
    Zeros(u64),
    /// Whatever comes, until the sender is dropped; sent in chunks.
    Feed(mpsc::Receiver<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut *self {
            Self::Text(text) if text.is_empty() => None,
            Self::Text(text) => Some(std::mem::take(text)),
            Self::Zeros(0) => None,
            Self::Zeros(left) => {
                let piece = PIECE.min(*left);
                *left -= piece;
                Some(Bytes::from_static(&ZEROS[..piece as usize]))
            }
            Self::Feed(feed) => match feed.poll_recv(cx) {
                Poll::Ready(data) => data,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Zeros(left) => *left == 0,
            Self::Feed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Zeros(left) => SizeHint::with_exact(*left),
            Self::Feed(_) => SizeHint::default(),
        }
    }
}
