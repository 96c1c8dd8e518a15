//! Spans of requests for those who collect traces: where they are sent, and of which requests there are any.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::rule::verdict::Share;

/// Where the spans of one service go. Secrets are in a file of their own, so that none is in a table or a journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spans {
    /// The whole address, with its path: `https://collector.example.com:4318/v1/traces`.
    pub endpoint: String,
    /// Of the requests that belong to no trace yet, so many are recorded.
    pub ratio: Share,
    /// Whether the word of a parent counts, whoever it comes from; else only that of a trusted peer does.
    pub anyone: bool,
    /// Lines of `Name: value` that are sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// Who vouches for the receiver, in place of those whom the machine believes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Fields that are ours to write.
const OURS: [&str; 5] = ["content-type", "content-length", "host", "transfer-encoding", "connection"];

impl Spans {
    /// Why an address cannot be an endpoint. It does not repeat the address: whoever errs may have written a secret into it.
    pub fn fault(endpoint: &str) -> Option<&'static str> {
        let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        let Some(rest) = rest else { return Some("does not begin with https:// or http://") };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Some("has a user in it: secrets go to headers_file");
        }
        if path.contains(['?', '#']) {
            return Some("has a query in it: secrets go to headers_file");
        }
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return Some("has a port that is none");
        }
        let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
        if host.is_empty() || !is_host {
            return Some("names no host");
        }
        (!path.bytes().all(|b| b.is_ascii_graphic())).then_some("has a path with characters that must be escaped")
    }

    /// Reads a file of headers: names and values, or the number of the first line that is none. A line that begins with `#` is left out.
    pub fn headers(text: &str) -> Result<Vec<(&str, &str)>, usize> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let written = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        written.map(|(number, line)| header(line).ok_or(number)).collect()
    }
}

fn header(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-_!#$%&'*+.^`|~".contains(&b);
    let (name, value) = (name.trim_end(), value.trim());
    let is_good = !name.is_empty() && name.bytes().all(is_token) && value.bytes().all(|b| (b' '..=b'~').contains(&b));
    (is_good && !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with the user, and with the query, let through.
    #[test]
    fn only_addresses_without_secrets_are_endpoints() {
        for good in [
            "https://collector.example.com:4318/v1/traces",
            "http://127.0.0.1:4318/v1/traces",
            "http://[::1]/a",
            "http://[::1]:80/a",
            "https://collector",
        ] {
            assert_eq!(Spans::fault(good), None, "{good}");
        }
        for bad in [
            "",
            "collector:4318",
            "ftp://collector",
            "https://",
            "https:///v1/traces",
            "https://me:hunter2@collector",
            "https://collector/v1/traces?key=hunter2",
            "https://collector?key=hunter2",
            "https://collector:0/",
            "https://collector:70000/",
            "https://collector:http/",
            "https://col lector/",
            "https://collector/a b",
            "https://sammler-ä/",
        ] {
            let fault = Spans::fault(bad);
            assert!(fault.is_some_and(|fault| !fault.contains("hunter2")), "{bad}: {fault:?}");
        }
        for secret in ["https://me:hunter2@collector", "https://collector?key=hunter2"] {
            assert!(
                Spans::fault(secret).is_some_and(|fault| fault.ends_with("secrets go to headers_file")),
                "{secret}"
            );
        }
    }

    #[test]
    fn headers_are_lines() {
        let text = "# the key of shop\nAuthorization: Bearer a:b\n\n x-tenant:1 \r\nEmpty:\n";
        assert_eq!(Spans::headers(text), Ok(vec![("Authorization", "Bearer a:b"), ("x-tenant", "1"), ("Empty", "")]));
        for (bad, line) in [("a b: c", 1), ("# x\nnothing", 2), (": a", 1), ("a: \u{e9}", 1), ("a: b\nHost: c", 2)] {
            assert_eq!(Spans::headers(bad), Err(line), "{bad}");
        }
    }
}
