//! A span as OpenTelemetry has it: what is told of a request follows the semantic conventions for HTTP servers (stable since 1.23).
//!
//! Queries are left out: they hold secrets too often. So are fields of the head, but for the name of the program that asks.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Context;
use super::wire::{bytes, eight, four, message, number};
use crate::http::grpc;
use crate::log::Told;
use crate::route::without_port;

/// What is known of a request beyond what a log is told.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Its place in its trace.
    pub context: Context,
    /// The other end of the connection; none if that is a unix socket.
    pub peer: Option<IpAddr>,
    /// Whether it came by TLS.
    pub secure: bool,
    /// When it was over, in nanoseconds since 1970.
    pub ended_ns: u64,
}

/// The methods that have a name of their own; others may be anything.
const METHODS: [&[u8]; 8] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"];

/// Text that a client chose is cut behind so many bytes.
const LONGEST: usize = 1024;

/// `SPAN_KIND_SERVER` and `STATUS_CODE_ERROR` of trace.proto.
const SERVER: u64 = 2;
const ERROR: u64 = 2;

/// The bits of `Span.flags` beyond those of the trace: whether the parent was somewhere else is known, and it was.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Writes a span, as the field of the list that it stands in: `ScopeSpans.spans`.
pub fn write(out: &mut Vec<u8>, around: &Around, told: &Told<'_>) {
    let (context, failure) = (&around.context, failure(told));
    message(out, 2, |out| {
        bytes(out, 1, &context.trace.to_be_bytes());
        bytes(out, 2, &context.span.to_be_bytes());
        if context.parent != 0 {
            state(out, told);
            bytes(out, 4, &context.parent.to_be_bytes());
        }
        bytes(out, 5, known_method(told).unwrap_or(b"HTTP"));
        number(out, 6, SERVER);
        eight(out, 7, around.ended_ns.saturating_sub(told.duration_us.saturating_mul(1000)));
        eight(out, 8, around.ended_ns);
        request(out, around, told);
        answer(out, told);
        if let Some(failure) = &failure {
            text(out, "error.type", failure.as_bytes());
            message(out, 15, |out| number(out, 3, ERROR));
        }
        let remote = if context.parent == 0 { 0 } else { IS_REMOTE };
        four(out, 16, u32::from(context.flags) | HAS_IS_REMOTE | remote);
    });
}

/// What others keep in the trace: it goes with the span as it came. One that begins a trace has none, whatever stood there.
fn state(out: &mut Vec<u8>, told: &Told<'_>) {
    let is_state = |name: &[u8]| name.eq_ignore_ascii_case(b"tracestate");
    let lines = told.request.fields.iter().filter(|field| is_state(field.name.of(told.head)));
    let lines: Vec<&[u8]> = lines.map(|field| field.value.of(told.head)).collect();
    if !lines.is_empty() {
        bytes(out, 3, readable(&lines.join(&b","[..])).as_bytes());
    }
}

fn request(out: &mut Vec<u8>, around: &Around, told: &Told<'_>) {
    let target = told.request.target.of(told.head);
    match known_method(told) {
        Some(method) => text(out, "http.request.method", method),
        None => {
            text(out, "http.request.method", b"_OTHER");
            text(out, "http.request.method_original", told.request.method.of(told.head));
        }
    }
    text(out, "url.scheme", if around.secure { b"https" } else { b"http" });
    text(out, "url.path", target.split(|b| *b == b'?').next().unwrap_or_default());
    if let Some(host) = told.request.host.map(|host| host.of(told.head)) {
        let name = without_port(host);
        text(out, "server.address", name);
        let port = host.get(name.len()..).and_then(|rest| rest.rsplit(|b| *b == b':').next());
        if let Some(port) = port.and_then(|port| std::str::from_utf8(port).ok()?.parse::<u16>().ok()) {
            whole(out, "server.port", u64::from(port));
        }
    }
    for (key, address) in [("client.address", told.client), ("network.peer.address", around.peer)] {
        if let Some(address) = address {
            shown(out, key, address);
        }
    }
    let version = match (told.http2, told.request.old) {
        (true, _) => "2",
        (false, true) => "1.0",
        (false, false) => "1.1",
    };
    text(out, "network.protocol.version", version.as_bytes());
    if let Some(agent) = told.header(b"user-agent") {
        text(out, "user_agent.original", agent);
    }
}

fn answer(out: &mut Vec<u8>, told: &Told<'_>) {
    let record = told.record;
    if record.status.get() != 0 {
        whole(out, "http.response.status_code", u64::from(record.status.get()));
    }
    if let Some(outcome) = record.outcome.get() {
        whole(out, "rpc.grpc.status_code", u64::from(outcome));
    }
    text(out, "cutover.service", told.service.as_bytes());
    if let Some((target, since_us)) = told.chosen {
        shown(out, "cutover.instance", &target.instance);
        whole(out, "cutover.release", u64::from(target.instance.release.0));
        shown(out, "cutover.upstream.address", target.address);
        if record.answered_us.get() != 0 {
            let waited_us = record.answered_us.get().saturating_sub(since_us);
            attribute(out, 9, "cutover.upstream.seconds", |out| eight(out, 4, (waited_us as f64 / 1e6).to_bits()));
        }
    }
    if record.retries.get() != 0 {
        whole(out, "cutover.retries", u64::from(record.retries.get()));
    }
}

/// Why it counts as failed, if it does: the proxy's reason, or the status. What is the client's fault is none of the server's failures.
fn failure(told: &Told<'_>) -> Option<Cow<'static, str>> {
    let (status, reason) = (told.record.status.get(), told.record.reason.get());
    let is_failed_call = told.record.outcome.get().is_some_and(grpc::is_failure);
    match reason {
        Some(reason) if status >= 500 || reason == "cut" => Some(reason.into()),
        _ if status >= 500 => Some(status.to_string().into()),
        _ if is_failed_call => told.record.outcome.get().map(|outcome| outcome.to_string().into()),
        _ => None,
    }
}

fn known_method(told: &Told<'_>) -> Option<&'static [u8]> {
    let method = told.request.method.of(told.head);
    METHODS.into_iter().find(|known| *known == method)
}

/// What a client sends may be any bytes; a text is UTF-8, and not without end.
fn readable(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&value[..value.len().min(LONGEST)])
}

fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    attribute(out, 9, key, |out| bytes(out, 1, readable(value).as_bytes()));
}

fn shown(out: &mut Vec<u8>, key: &str, value: impl std::fmt::Display) {
    text(out, key, value.to_string().as_bytes());
}

fn whole(out: &mut Vec<u8>, key: &str, value: u64) {
    attribute(out, 9, key, |out| number(out, 3, value));
}

/// A `KeyValue` in a list; the fields of its `AnyValue` are written by `value`.
pub fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |out| {
        bytes(out, 1, key.as_bytes());
        message(out, 2, value);
    });
}
