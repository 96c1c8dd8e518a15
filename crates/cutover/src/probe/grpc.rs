//! One call of gRPC's own health service (`grpc.health.v1.Health/Check`) on a connection of its own, over HTTP/2, with or without TLS.
//!
//! The two messages have one field each, so they are written and read by hand: a compiler of protocols would be all that is needed of it.

use bytes::Bytes;
use cutover_core::table::Protocol;
use h2::client::{ResponseFuture, handshake};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request};

use super::target::{speak, told};
use crate::engine::port::ProbeTarget;

/// The most that is read of an answer.
const ANSWER: usize = 4 << 10;

/// Asks, and judges the answer. Without a `service` the server as a whole is asked for. The caller sets the limit.
pub async fn check(service: &str, to: &ProbeTarget) -> Result<(), String> {
    let stream = speak(to, Protocol::H2c).await?;
    let (client, connection) = handshake(stream).await.map_err(|error| failure(&error))?;
    let asked = async {
        let mut client = client.ready().await.map_err(|error| failure(&error))?;
        let (answer, mut body) = client.send_request(request(to)?, false).map_err(|error| failure(&error))?;
        body.send_data(question(service), true).map_err(|error| failure(&error))?;
        read(answer, service).await
    };
    let mut connection = std::pin::pin!(connection);
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        biased;
        judged = &mut asked => judged,
        ended = &mut connection => match ended {
            Err(error) => Err(failure(&error)),
            // What has come is there to be read.
            Ok(()) => asked.await,
        },
    }
}

fn request(to: &ProbeTarget) -> Result<Request<()>, String> {
    let request = Request::builder().method(Method::POST).uri(format!("{}/grpc.health.v1.Health/Check", to.url()));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    request.header("user-agent", "cutover").body(()).map_err(|error| format!("cannot be asked: {error}"))
}

/// `HealthCheckRequest { service = 1 }`, behind the five bytes that stand before each message.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        varint(service.len(), &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), &message].concat().into()
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

async fn read(answer: ResponseFuture, service: &str) -> Result<(), String> {
    let answer = answer.await.map_err(|error| failure(&error))?;
    if answer.status() != 200 {
        return Err(format!("answered {} instead of gRPC: is another program there?", answer.status()));
    }
    if let Some(status) = status(answer.headers()) {
        return judge(&status, &[], service);
    }
    let mut body = answer.into_body();
    let said = content(&mut body).await?;
    let trailers = body.trailers().await.map_err(|error| failure(&error))?.unwrap_or_default();
    let status = status(&trailers).ok_or("the answer has no grpc-status: it is not gRPC that answers")?;
    judge(&status, &said, service)
}

async fn content(body: &mut RecvStream) -> Result<Vec<u8>, String> {
    let mut said = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| failure(&error))?;
        // That it is gone is told by the next read.
        let _ = body.flow_control().release_capacity(data.len());
        said.extend_from_slice(&data);
        if said.len() > ANSWER {
            return Err("the answer is larger than any of the health service can be".to_owned());
        }
    }
    Ok(said)
}

/// How the call ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: u32,
    message: String,
}

fn status(fields: &HeaderMap) -> Option<Ended> {
    let text = |name: &str| fields.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().ok()?;
    Some(Ended { code, message: text("grpc-message").unwrap_or_default().to_owned() })
}

fn judge(ended: &Ended, said: &[u8], service: &str) -> Result<(), String> {
    let message = if ended.message.is_empty() { String::new() } else { format!(": {}", ended.message) };
    match ended.code {
        0 => serving(said, service),
        12 => Err("it has no grpc.health.v1.Health (UNIMPLEMENTED): add the health service that comes with gRPC, or \
                   check with tcp = true"
            .to_owned()),
        5 => Err(format!("its health service does not know {service:?} (NOT_FOUND){message}")),
        code => Err(format!("its health service ended with the status {code}{message}")),
    }
}

/// `HealthCheckResponse { status = 1 }`.
fn serving(said: &[u8], service: &str) -> Result<(), String> {
    let malformed = || "its health service answered something else than a status".to_owned();
    let message = match said {
        [0, a, b, c, d, message @ ..] if u32::from_be_bytes([*a, *b, *c, *d]) as usize == message.len() => message,
        _ => return Err(malformed()),
    };
    let of = if service.is_empty() { String::new() } else { format!(" of {service:?}") };
    match message {
        [8, 1] => Ok(()),
        [] | [8, 0] => Err(format!("says that the state{of} is UNKNOWN")),
        [8, 2] => Err(format!("says that the state{of} is NOT_SERVING")),
        [8, 3] => Err(format!("says that the state{of} is SERVICE_UNKNOWN")),
        _ => Err(malformed()),
    }
}

fn failure(error: &h2::Error) -> String {
    match (error.get_io(), error.reason()) {
        (Some(error), _) => told(error),
        (None, Some(reason)) if error.is_remote() => format!("gave the call up: {}", reason.description()),
        (None, Some(Reason::FRAME_SIZE_ERROR | Reason::PROTOCOL_ERROR)) => {
            "what it answered is not HTTP/2: it speaks HTTP/1.1, or TLS, or something else".to_owned()
        }
        _ => format!("what it answered is not gRPC: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_written_as_protobuf_has_it() {
        assert_eq!(question(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(question("a.B"), &[0, 0, 0, 0, 5, 10, 3, b'a', b'.', b'B'][..]);
        let long = question(&"x".repeat(300));
        assert_eq!(long[5..8], [10, 0xac, 2]);
    }

    #[test]
    fn an_answer_is_judged() {
        let ended = |code| Ended { code, message: "why".to_owned() };
        let said = |status: u8| vec![0, 0, 0, 0, 2, 8, status];
        assert_eq!(judge(&ended(0), &said(1), ""), Ok(()));
        for (code, said, expected) in [
            (0, said(2), "NOT_SERVING"),
            (0, said(3), "SERVICE_UNKNOWN"),
            (0, vec![0; 5], "UNKNOWN"),
            (0, vec![0, 0, 0, 0, 9, 8, 1], "something else"),
            (0, vec![], "something else"),
            (5, vec![], "does not know \"a.B\" (NOT_FOUND): why"),
            (12, vec![], "UNIMPLEMENTED"),
            (14, vec![], "status 14: why"),
        ] {
            let judged = judge(&ended(code), &said, "a.B").unwrap_err();
            assert!(judged.contains(expected), "{judged}");
        }
    }
}
