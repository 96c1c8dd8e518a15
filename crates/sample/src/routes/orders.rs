//! The routes that take a body: orders are counted by their id, uploads by their bytes.
//!
//! A body is read to its end and summed up as it comes, so its size costs no memory. The answer carries
//! `x-sample-body: LENGTH:CRC32` (both of what has arrived; the CRC in hexadecimal), by which a client knows that
//! nothing was cut or mixed on the way.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, StatusCode};

use crate::reply::{Reply, ok, request_id, text};
use crate::state::State;

const BODY: HeaderName = HeaderName::from_static("x-sample-body");

/// `POST /orders`: processes an order once per time it arrives.
pub(super) async fn place(state: &State, request: Request<Incoming>) -> Reply {
    let id = request_id(request.headers());
    let sum = match sum(request).await {
        Ok(sum) => sum,
        Err(error) => return cut_short(&error),
    };
    let id = id.as_ref().and_then(|id| id.to_str().ok());
    if id.is_some_and(|id| id.is_empty() || id.contains(' ')) {
        return text(StatusCode::BAD_REQUEST, "an id is one word\n");
    }
    match state.ledger.record(id, &state.options.release) {
        Ok(()) => sum.reply(),
        Err(error) => text(StatusCode::INSUFFICIENT_STORAGE, format!("could not write the ledger: {error}\n")),
    }
}

/// `PUT` or `POST /upload`: counts the bytes, however slowly they come.
pub(super) async fn upload(request: Request<Incoming>) -> Reply {
    match sum(request).await {
        Ok(sum) => sum.reply(),
        Err(error) => cut_short(&error),
    }
}

/// `GET /orders/count`: what this process has counted.
pub(super) fn count(state: &State) -> Reply {
    let count = state.ledger.count();
    ok(format!("{{\"orders\":{},\"duplicates\":{}}}\n", count.orders, count.duplicates))
}

/// Length and checksum of a body.
struct Sum {
    length: u64,
    crc: u32,
}

impl Sum {
    fn reply(&self) -> Reply {
        let mut reply = ok(format!("{}\n", self.length));
        let value = format!("{}:{:08x}", self.length, self.crc);
        reply.headers_mut().insert(BODY, HeaderValue::from_str(&value).expect("digits are a header's value"));
        reply
    }
}

async fn sum(request: Request<Incoming>) -> Result<Sum, hyper::Error> {
    let mut body = request.into_body();
    let (mut length, mut crc) = (0, crc32fast::Hasher::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            length += data.len() as u64;
            crc.update(&data);
        }
    }
    Ok(Sum { length, crc: crc.finalize() })
}

fn cut_short(error: &hyper::Error) -> Reply {
    text(StatusCode::BAD_REQUEST, format!("the body did not arrive whole: {error}\n"))
}
