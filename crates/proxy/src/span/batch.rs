//! Spans that are sent together, as an `ExportTraceServiceRequest`.

use super::describe::attribute;
use super::wire::{bytes, message, number};

/// So many spans, or bytes of them, are enough.
const MOST: u64 = 512;
const LARGEST: usize = 256 << 10;

/// Whose conventions the names follow.
const SCHEMA: &[u8] = b"https://opentelemetry.io/schemas/1.37.0";

/// Some spans.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many.
    pub count: u64,
    spans: Vec<u8>,
}

impl Batch {
    /// Adds one, as a worker wrote it.
    pub fn add(&mut self, span: &[u8]) {
        self.count += 1;
        self.spans.extend_from_slice(span);
    }

    /// Whether it is time to send it, however new it is.
    pub fn is_full(&self) -> bool {
        self.count >= MOST || self.spans.len() >= LARGEST
    }

    /// What is sent: all of them are of one resource, this process, and one scope, ourselves.
    pub fn body(&self) -> Vec<u8> {
        let (version, system) = (env!("CARGO_PKG_VERSION"), rustix::system::uname());
        let host = system.nodename().to_string_lossy();
        let mut out = Vec::with_capacity(self.spans.len() + 512);
        message(&mut out, 1, |out| {
            message(out, 1, |out| {
                for (key, value) in
                    [("service.name", "cutover"), ("service.version", version), ("host.name", host.as_ref())]
                {
                    attribute(out, 1, key, |out| bytes(out, 1, value.as_bytes()));
                }
                attribute(out, 1, "process.pid", |out| number(out, 3, u64::from(std::process::id())));
            });
            message(out, 2, |out| {
                message(out, 1, |out| {
                    bytes(out, 1, b"cutover");
                    bytes(out, 2, version.as_bytes());
                });
                out.extend_from_slice(&self.spans);
                bytes(out, 3, SCHEMA);
            });
        });
        out
    }
}
