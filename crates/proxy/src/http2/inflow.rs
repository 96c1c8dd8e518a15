//! A body that comes by HTTP/2, as it would come by HTTP/1.1: in plain bytes, or in chunks with its trailers behind them.
//!
//! Data is taken from the library only where somebody has room for it, and only then is the other side given room for more. So a reader
//! that is slow, or away, holds no more than the window of its stream.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use crate::http::field::line;
use bytes::{Buf, Bytes};
use h2::RecvStream;
use tokio::io::ReadBuf;

/// One body.
#[derive(Debug)]
pub struct Inflow {
    body: RecvStream,
    chunked: bool,
    /// Whether all of it was taken from the library.
    whole: bool,
    /// What is to be read next.
    ready: VecDeque<Bytes>,
    /// How it broke off.
    broken: Option<h2::Error>,
}

impl Inflow {
    /// A body of which nothing was read; in chunks if `chunked`.
    pub fn new(body: RecvStream, chunked: bool) -> Self {
        Self { whole: body.is_end_stream(), body, chunked, ready: VecDeque::new(), broken: None }
    }

    /// The same with something else before it.
    pub fn behind(first: Bytes, body: RecvStream, chunked: bool) -> Self {
        let mut inflow = Self::new(body, chunked);
        inflow.ready.push_back(first);
        inflow
    }

    /// Whether everything was read.
    pub fn is_over(&self) -> bool {
        self.whole && self.ready.is_empty()
    }

    /// How it broke off, if it did.
    pub fn broken(&self) -> Option<&h2::Error> {
        self.broken.as_ref()
    }

    /// Reads as much as is there. Nothing, once it is over.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            self.hand_out(buf);
            if buf.remaining() == 0 || self.is_over() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(())) => {}
                // What came before goes first; the rest is asked for again.
                _ if buf.filled().len() > before => return Poll::Ready(Ok(())),
                other => return other,
            }
        }
    }

    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        while let Some(next) = self.ready.front_mut() {
            let count = next.len().min(buf.remaining());
            buf.put_slice(&next[..count]);
            next.advance(count);
            if !next.is_empty() {
                return;
            }
            self.ready.pop_front();
        }
    }

    /// Takes the next piece from the library.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = &self.broken {
            return Poll::Ready(Err(io::Error::other(error.to_string())));
        }
        match ready!(self.poll_piece(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => {
                let told = io::Error::other(error.to_string());
                self.broken = Some(error);
                Poll::Ready(Err(told))
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        if let Some(data) = ready!(self.body.poll_data(cx)) {
            let data = data?;
            self.body.flow_control().release_capacity(data.len())?;
            match self.chunked {
                // An empty chunk would be the end.
                _ if data.is_empty() => {}
                true => {
                    let size = format!("{:x}\r\n", data.len());
                    self.ready.extend([size.into(), data, Bytes::from_static(b"\r\n")]);
                }
                false => self.ready.push_back(data),
            }
            return Poll::Ready(Ok(()));
        }
        let trailers = ready!(self.body.poll_trailers(cx))?;
        self.whole = true;
        if self.chunked {
            let mut end = b"0\r\n".to_vec();
            for (name, value) in trailers.iter().flatten() {
                line(&mut end, name.as_str().as_bytes(), value.as_bytes());
            }
            end.extend_from_slice(b"\r\n");
            self.ready.push_back(end.into());
        }
        Poll::Ready(Ok(()))
    }
}
