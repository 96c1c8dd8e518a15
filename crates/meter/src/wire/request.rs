//! How a request is written.

use std::fmt::Write;

use crate::load::Load;

/// A request that is the same each time, but for its id.
pub(crate) struct Template {
    /// As in `GET /`, for the report.
    pub name: String,
    head: String,
    id_header: Option<String>,
    text: String,
}

impl Template {
    /// `own` are the headers of this kind of request, as complete lines.
    pub(crate) fn new(load: &Load, method: &str, path: &str, own: &str) -> Self {
        let host = load.host.clone().unwrap_or_else(|| load.url.authority());
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{own}");
        for (name, value) in &load.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let id_header = load.expect.id_header.clone();
        Self { name: format!("{method} {path}"), head, id_header, text: String::new() }
    }

    /// The request with this id, head and body.
    pub(crate) fn render(&mut self, id: &str, body: &str) -> &[u8] {
        self.text.clear();
        self.text.push_str(&self.head);
        if let Some(name) = &self.id_header {
            let _ = write!(self.text, "{name}: {id}\r\n");
        }
        self.text.push_str("\r\n");
        self.text.push_str(body);
        self.text.as_bytes()
    }
}
