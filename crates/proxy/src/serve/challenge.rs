//! Where an authority asks by HTTP whether a name is ours (RFC 8555, 8.3).

use super::connection::{Client, Next};
use crate::http::body::Framing;
use crate::http::request::Request;

pub use crate::acme::answer::PATH;

/// What the request asks for, if we have it. What we do not have may be the application's own: it is served as anything else.
pub async fn answer(client: &Client, request: &Request, end: usize) -> Option<String> {
    let head = &client.inbox.data()[..end];
    let answers = &client.worker.shared.answers;
    let token =
        answers.token(request.target.of(head)).filter(|_| matches!(request.method.of(head), b"GET" | b"HEAD"))?;
    answers.for_token(token).await
}

/// Gives it. The head is the first `end` bytes of the inbox.
pub async fn give(client: &mut Client, request: &Request, end: usize, text: &str) -> Next {
    let keep = request.keep && request.framing == Framing::Empty && !client.slot.retired();
    let bodiless = request.method.of(&client.inbox.data()[..end]) == b"HEAD";
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n", text.len()).into_bytes();
    answer.extend_from_slice(if keep { b"\r\n" } else { b"Connection: close\r\n\r\n" });
    if !bodiless {
        answer.extend_from_slice(text.as_bytes());
    }
    client.inbox.consume(end);
    client.answer(&answer, keep).await
}
