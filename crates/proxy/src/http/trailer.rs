//! Fields behind a body (RFC 9110, 6.5).
//!
//! Whoever reads them may merge them into the head. So those that say how a message is framed, routed, authenticated, cached or understood
//! must not stand there (6.5.1), and are dropped: whoever looked at the head has decided already. All others pass, announced or not.

/// The names that must not be among trailers, besides those that the proxy knows as its own business (`field::Known`).
const HEAD_ONLY: [&str; 25] = [
    "age",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-range",
    "date",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "trailer",
    "vary",
    "warning",
    "www-authenticate",
];

/// Whether a field of this name may be passed on behind a body.
pub fn passes(name: &[u8]) -> bool {
    !HEAD_ONLY.iter().any(|head_only| name.eq_ignore_ascii_case(head_only.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_about_a_message_stands_in_its_head() {
        for name in ["Authorization", "set-cookie", "CACHE-CONTROL", "trailer", "content-encoding"] {
            assert!(!passes(name.as_bytes()), "{name}");
        }
        for name in ["grpc-status", "x-sum", "Server-Timing", "grpc-status-details-bin", "dated"] {
            assert!(passes(name.as_bytes()), "{name}");
        }
    }
}
