//! Where there is nothing but the way to the same place by TLS.

use super::connection::{Client, Next};
use super::ident;
use super::refuse::Refusal;
use crate::http::body::Framing;
use crate::http::request::Request;
use crate::route::without_port;

/// Answers with the way to https at `port`. The head is the first `end` bytes of the inbox. 308 keeps method and body (RFC 9110,
/// 15.4.9): whoever posts does not lose what it posted.
pub async fn redirect(client: &mut Client, request: &Request, end: usize, port: u16) -> Next {
    let head = &client.inbox.data()[..end];
    let keep = request.keep && request.framing == Framing::Empty;
    let Some(host) = request.host.map(|host| without_port(host.of(head))).filter(|host| !host.is_empty()) else {
        let refusal = Refusal::bad_request(400, "names no host, so that nobody can say where it is to go by https");
        return client.refuse(&refusal, false).await;
    };
    let target = Some(request.target.of(head)).filter(|target| *target != b"*").unwrap_or(b"/");
    let mut answer = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://".to_vec();
    answer.extend_from_slice(host);
    if port != 443 {
        answer.extend_from_slice(format!(":{port}").as_bytes());
    }
    answer.extend_from_slice(target);
    answer.extend_from_slice(b"\r\nContent-Length: 0\r\n");
    let keep = keep && !client.slot.retired();
    answer.extend_from_slice(if keep { b"\r\n" } else { b"Connection: close\r\n\r\n" });
    ident::name(&mut answer, &client.record.id.borrow());
    client.inbox.consume(end);
    client.answer(&answer, keep).await
}
