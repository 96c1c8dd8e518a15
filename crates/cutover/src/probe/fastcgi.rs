//! One FastCGI request on a connection of its own, as nginx would make it: for php-fpm, which speaks no HTTP.

use std::net::SocketAddr;

use fastcgi_client::response::Content;
use fastcgi_client::{Client, ClientError, Params, Request};
use futures_util::StreamExt;
use hyper::StatusCode;

use super::http::{SEARCHED, find, judge, lacks};
use super::target::{connect, told};
use crate::engine::port::ProbeTarget;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Get<'a> {
    /// The script, or php-fpm's own ping page.
    pub script: &'a str,
    /// The query, without `?`.
    pub query: &'a str,
}

/// Asks, and judges the answer. The caller sets the limit.
pub async fn check(get: &Get<'_>, to: &ProbeTarget, status: (u16, u16), body: Option<&str>) -> Result<(), String> {
    let client = Client::new_tokio(connect(to).await?);
    let request = Request::new_tokio(params(get, to.address), tokio::io::empty());
    let mut parts = client.execute_once_stream(request).await.map_err(|error| failure(&error))?;
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    while let Some(part) = parts.next().await {
        let (into, bytes) = match part.map_err(|error| failure(&error))? {
            Content::Stdout(bytes) => (&mut answer, bytes),
            Content::Stderr(bytes) => (&mut complaint, bytes),
        };
        into.extend_from_slice(&bytes);
        if into.len() > SEARCHED {
            break;
        }
    }
    judge_answer(&answer, &complaint, status, body)
}

/// The variables of RFC 3875 that php-fpm goes by.
fn params<'a>(get: &Get<'a>, to: SocketAddr) -> Params<'a> {
    let uri = if get.query.is_empty() { get.script.to_owned() } else { format!("{}?{}", get.script, get.query) };
    Params::default()
        .gateway_interface("CGI/1.1")
        .server_software("cutover")
        .server_protocol("HTTP/1.1")
        .request_method("GET")
        .script_filename(get.script)
        .script_name(get.script)
        .query_string(get.query)
        .request_uri(uri)
        .remote_addr("127.0.0.1")
        .server_addr(to.ip().to_string())
        .server_port(to.port())
        .server_name("cutover")
}

fn judge_answer(answer: &[u8], complaint: &[u8], status: (u16, u16), body: Option<&str>) -> Result<(), String> {
    if answer.is_empty() && !complaint.is_empty() {
        return Err(format!("it complains: {}", String::from_utf8_lossy(complaint).trim()));
    }
    let (head, rest) = split(answer).ok_or("the answer has no end of its header")?;
    judge(status_of(&head)?, status).map_err(|why| match head.trim() {
        _ if complaint.is_empty() => why,
        _ => format!("{why}: {}", String::from_utf8_lossy(complaint).trim()),
    })?;
    match body {
        Some(text) if !text.is_empty() && !find(rest, text.as_bytes()) => Err(lacks(text)),
        _ => Ok(()),
    }
}

/// The header and what follows it. Lines may end with LF alone (RFC 3875, section 6.2).
fn split(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = |gap: &[u8]| answer.windows(gap.len()).position(|at| at == gap).map(|at| (at, at + gap.len()));
    let (head, rest) = [end(b"\r\n\r\n"), end(b"\n\n")].into_iter().flatten().min()?;
    Some((String::from_utf8_lossy(&answer[..head]).into_owned(), &answer[rest..]))
}

/// An answer without a status is a good one (RFC 3875, section 6.3.3).
fn status_of(head: &str) -> Result<StatusCode, String> {
    let status = head.lines().filter_map(|line| line.split_once(':'));
    let status = status.filter(|(name, _)| name.eq_ignore_ascii_case("status")).map(|(_, value)| value.trim()).next();
    let Some(status) = status else { return Ok(StatusCode::OK) };
    let code = status.split(' ').next().and_then(|code| code.parse().ok());
    code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| format!("the status {status:?} is none"))
}

fn failure(error: &ClientError) -> String {
    match error {
        ClientError::Io(error) => told(error),
        error => format!("what it answered is not FastCGI: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when a missing status counted as none, and when only CRLF ended a header.
    #[test]
    fn an_answer_is_judged_by_status_and_body() {
        let ok = (200, 399);
        for (answer, body, outcome) in [
            ("Content-type: text/html\r\n\r\npong", None, Ok(())),
            ("Content-type: text/html\n\npong", Some("pong"), Ok(())),
            ("Status: 404 Not Found\r\n\r\nFile not found.", None, Err("answered 404 Not Found instead of 200-399")),
            ("status: 503\r\n\r\n", None, Err("answered 503 Service Unavailable instead of 200-399")),
            ("A: b\r\n\r\nping", Some("pong"), Err("the body does not contain \"pong\"")),
            ("Status: soon\r\n\r\n", None, Err("the status \"soon\" is none")),
            ("no header", None, Err("the answer has no end of its header")),
        ] {
            let judged = judge_answer(answer.as_bytes(), b"", ok, body);
            assert_eq!(judged, outcome.map_err(str::to_owned), "{answer:?}");
        }
        let complains = judge_answer(b"", b"Primary script unknown\n", ok, None);
        assert_eq!(complains, Err("it complains: Primary script unknown".to_owned()));
    }
}
