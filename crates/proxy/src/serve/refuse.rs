//! The proxy's own answers. Each says that it is the proxy who speaks, what is wrong and whose fault it is, and carries a
//! `cutover-error` field that a program can tell apart.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::rules::Page;

use super::reach::NotReached;
use crate::http::grpc;

/// An answer of the proxy itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The value of `cutover-error`.
    pub code: &'static str,
    text: Cow<'static, str>,
    retry_after: Option<u64>,
    page: Option<Arc<Page>>,
    fields: Cow<'static, str>,
    /// What it is to a client of gRPC, if its status does not tell.
    outcome: Option<u32>,
}

impl Refusal {
    fn new(status: u16, code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
            retry_after: None,
            page: None,
            fields: Cow::Borrowed(""),
            outcome: None,
        }
    }

    /// The request cannot be read in one way only.
    pub fn bad_request(status: u16, why: &str) -> Self {
        let status = if why == "has too many fields" { 431 } else { status };
        Self::new(status, "bad-request", format!("the request {why}"))
    }

    /// The client speaks without TLS where there is nothing without it.
    pub fn not_encrypted() -> Self {
        Self::new(400, "not-encrypted", "this port speaks TLS only: write https:// in front of the address")
    }

    /// The head is larger than is read.
    pub fn head_too_large() -> Self {
        Self::new(431, "head-too-large", "the request head is larger than 16 KiB")
    }

    /// The client stopped in the middle of a request.
    pub fn slow_client() -> Self {
        Self::new(408, "slow-request", "the rest of the request did not come in time")
    }

    /// The body is larger than the service takes.
    pub fn body_too_large(limit: impl Display) -> Self {
        Self::new(413, "body-too-large", format!("the request body is larger than {limit}, the limit of this service"))
    }

    /// Nothing is routed there.
    pub fn no_route(host: Option<&[u8]>, target: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let host = host.map_or_else(|| "this address".to_owned(), text);
        let path = text(target.split(|&b| b == b'?').next().unwrap_or_default());
        Self::new(404, "no-route", format!("no service is routed for {host} {path}"))
    }

    /// The service has no instance that takes requests.
    pub fn no_target(service: impl Display) -> Self {
        let refusal = Self::new(503, "no-target", format!("no instance of {service} takes requests now"));
        Self { retry_after: Some(1), ..refusal }
    }

    /// No release is being deployed, or it has no instance that could be asked yet.
    pub fn no_preview(service: impl Display) -> Self {
        let text =
            format!("there is no new release of {service} to look at now: this address shows one while it is deployed");
        Self { retry_after: Some(1), ..Self::new(503, "no-preview", text) }
    }

    /// The instance that the request names takes nothing.
    pub fn no_such_instance(instance: impl Display) -> Self {
        Self::new(503, "no-such-instance", format!("{instance} is not known here, or is draining"))
    }

    /// Too many requests wait for the service.
    pub fn hold_full(service: impl Display) -> Self {
        let refusal =
            Self::new(503, "hold-full", format!("{service} is being replaced and too many requests wait for it"));
        Self { retry_after: Some(1), ..refusal }
    }

    /// The request waited for the service as long as it may.
    pub fn hold_timeout(service: impl Display, wait: Duration) -> Self {
        let text = format!("{service} is being replaced and took no request within {wait:?}");
        Self { retry_after: Some(1), ..Self::new(503, "hold-timeout", text) }
    }

    /// No instance accepted a connection, or none of them TLS as it should be.
    pub fn unreachable(service: impl Display, last: &NotReached) -> Self {
        let code = if last.by_tls { "instance-tls" } else { "unreachable" };
        Self::new(502, code, format!("no instance of {service} could be reached; the last one tried: {}", last.what))
    }

    /// The instance closed the connection without an answer.
    pub fn no_answer(instance: impl Display) -> Self {
        Self::new(502, "no-answer", format!("{instance} closed the connection without an answer"))
    }

    /// The instance's answer cannot be read in one way only.
    pub fn bad_answer(instance: impl Display, why: &str) -> Self {
        Self::new(502, "bad-answer", format!("the answer of {instance} {why}"))
    }

    /// The instance took too long.
    pub fn answer_timeout(instance: impl Display, limit: Duration) -> Self {
        Self::new(504, "answer-timeout", format!("{instance} did not answer within {limit:?}"))
    }

    /// The instance gave the request up.
    pub fn given_up(instance: impl Display, why: h2::Reason) -> Self {
        let refusal = Self::new(502, "given-up", format!("{instance} gave the request up: {why}"));
        Self { outcome: Some(grpc::of_reset(why)), ..refusal }
    }

    /// The instance leaves, and its streams have used up their time.
    pub fn leaving(instance: impl Display) -> Self {
        Self::new(503, "leaving", format!("{instance} is leaving and its streams are ended"))
    }

    /// The client wants another protocol, and the instance is spoken to in HTTP/2.
    pub fn no_upgrade(instance: impl Display) -> Self {
        let text = format!("{instance} is spoken to in HTTP/2 (see protocol), where no other protocol can follow");
        Self::new(501, "no-upgrade", text)
    }

    /// The service is down on purpose.
    pub fn maintenance(retry_after: u64) -> Self {
        let refusal = Self::new(503, "maintenance", "this service is down for maintenance");
        Self { retry_after: Some(retry_after), ..refusal }
    }

    /// A file is asked to do what files do not do.
    pub fn not_a_reading_method() -> Self {
        let text = "this address has files, which can only be read: with GET and HEAD";
        Self { fields: Cow::Borrowed("Allow: GET, HEAD\r\n"), ..Self::new(405, "method-not-allowed", text) }
    }

    /// There is no such file.
    pub fn no_such_file() -> Self {
        Self::new(404, "no-file", "there is no such file")
    }

    /// The file is there, and the proxy may not read it.
    pub fn file_unreadable() -> Self {
        Self::new(403, "file-unreadable", "the proxy may not read this file: its user needs the right to")
    }

    /// The file cannot be read.
    pub fn file_broken() -> Self {
        Self::new(500, "file-broken", "the file cannot be read; the log of the proxy says why")
    }

    /// The client may not come.
    pub fn denied() -> Self {
        Self::new(403, "denied", "this address may not ask here")
    }

    /// The client has sent more than it may; in so many seconds it may send more.
    pub fn too_many_requests(seconds: u64) -> Self {
        let text = "this address has sent more requests than it may";
        Self { retry_after: Some(seconds), ..Self::new(429, "too-many-requests", text) }
    }

    /// The client has more requests in hand than it may.
    pub fn too_many_at_once() -> Self {
        let text = "this address has more requests in hand than it may";
        Self { retry_after: Some(1), ..Self::new(429, "too-many-at-once", text) }
    }

    /// A name and a password are needed, and right ones.
    pub fn password_needed(realm: &str) -> Self {
        let fields = format!("WWW-Authenticate: Basic realm=\"{realm}\", charset=\"UTF-8\"\r\n");
        Self { fields: fields.into(), ..Self::new(401, "password-needed", "a name and a password are needed here") }
    }

    /// Too many passwords wait to be looked at.
    pub fn logins_busy() -> Self {
        let text = "too many passwords are being looked at";
        Self { retry_after: Some(1), ..Self::new(503, "logins-busy", text) }
    }

    /// The file of passwords cannot be used.
    pub fn password_file() -> Self {
        let text = "nobody can log in: the file of passwords cannot be used, and the log of the proxy says why";
        Self::new(500, "password-file", text)
    }

    /// Whether it has a page already.
    pub fn has_page(&self) -> bool {
        self.page.is_some()
    }

    /// The same, with a page in place of the text.
    pub fn with_page(self, page: &Arc<Page>) -> Self {
        Self { page: Some(page.clone()), ..self }
    }

    /// What it is to a client of gRPC.
    pub fn outcome(&self) -> u32 {
        self.outcome.unwrap_or_else(|| grpc::of_status(self.status))
    }

    /// The whole answer to a call of gRPC, whose clients read nothing but trailers: by HTTP/2 this head is all there is.
    pub fn write_to_call(&self, keep: bool) -> Vec<u8> {
        let (outcome, message) = (self.outcome(), grpc::message(&format!("cutover: {}", self.text)));
        let close = if keep { "" } else { "Connection: close\r\n" };
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\ngrpc-status: {outcome}\r\n\
             grpc-message: {message}\r\ncutover-error: {}\r\n{close}\r\n",
            self.code
        )
        .into_bytes()
    }

    /// The whole answer on the wire.
    pub fn write(&self, keep: bool, bodiless: bool) -> Vec<u8> {
        let Self { status, code, text, retry_after, page, fields, .. } = self;
        let (kind, body) = match page {
            Some(page) => (page.kind.as_str(), Cow::Borrowed(page.body.as_str())),
            None => ("text/plain; charset=utf-8", Cow::Owned(format!("cutover: {text}\n"))),
        };
        let retry = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        let close = if keep { "" } else { "Connection: close\r\n" };
        let shown = if bodiless { "" } else { &body };
        let (reason, length) = (reason(*status), body.len());
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             cutover-error: {code}\r\n{fields}{retry}{close}\r\n{shown}"
        )
        .into_bytes()
    }
}

/// The words that belong to a status.
pub fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}
