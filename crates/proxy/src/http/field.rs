//! The field names that mean something to the proxy. All others pass through untouched.

/// What the proxy knows about a field name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is passed on.
    Other,
    /// `Host`.
    Host,
    /// `Connection`: names further fields that concern this connection only.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Content-Type`: tells event streams apart.
    ContentType,
    /// `Cookie`: a cookie of the proxy's own is not passed on.
    Cookie,
    /// `Expect`: answered by the proxy, for it is the one who reads the body.
    Expect,
    /// `Upgrade`.
    Upgrade,
    /// `TE`: only `trailers` is passed on.
    Te,
    /// `X-Forwarded-For`.
    ForwardedFor,
    /// `X-Forwarded-Proto`.
    ForwardedProto,
    /// `X-Forwarded-Host`.
    ForwardedHost,
    /// `X-Forwarded-Prefix`.
    ForwardedPrefix,
    /// `X-Real-IP`.
    RealIp,
    /// `Forwarded` (RFC 7239): believed from trusted peers only.
    Forwarded,
    /// `cutover-token`.
    Token,
    /// `cutover-instance`.
    Instance,
    /// `cutover-release`, `cutover-error`: only the proxy says these.
    Ours,
    /// Concerns this connection only (RFC 9110, 7.6.1), or would be misunderstood behind a proxy: never passed on.
    Hop,
}

impl Known {
    /// Whether it concerns the connection, which HTTP/2 says in other ways (RFC 9113, 8.2.2), and not the message.
    pub fn is_of_connection(self) -> bool {
        matches!(self, Self::Connection | Self::TransferEncoding | Self::Upgrade | Self::Hop)
    }

    /// Looks a name up, in any case of letters.
    ///
    /// A name with `_` for `-` that would collide with a known one once an application has folded both (CGI and its
    /// descendants do) is a disguise: it is dropped like a hop-by-hop field.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        if !(2..=18).contains(&name.len()) {
            return Self::Other;
        }
        let exact = Self::lookup(name);
        if exact == Self::Other && memchr::memchr(b'_', name).is_some() { Self::disguised(name) } else { exact }
    }

    fn lookup(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match (name.len(), name[0] | 0x20) {
            (2, b't') if is("te") => Self::Te,
            (4, b'h') if is("host") => Self::Host,
            (5, b'p') if is("proxy") => Self::Hop,
            (6, b'c') if is("cookie") => Self::Cookie,
            (6, b'e') if is("expect") => Self::Expect,
            (7, b'u') if is("upgrade") => Self::Upgrade,
            (9, b'x') if is("x-real-ip") => Self::RealIp,
            (9, b'f') if is("forwarded") => Self::Forwarded,
            (10, b'c') if is("connection") => Self::Connection,
            (10, b'k') if is("keep-alive") => Self::Hop,
            (12, b'c') if is("content-type") => Self::ContentType,
            (13, b'c') if is("cutover-token") => Self::Token,
            (13, b'c') if is("cutover-error") => Self::Ours,
            (14, b'c') if is("content-length") => Self::ContentLength,
            (14, b'h') if is("http2-settings") => Self::Hop,
            (15, b'x') if is("x-forwarded-for") => Self::ForwardedFor,
            (15, b'c') if is("cutover-release") => Self::Ours,
            (16, b'x') if is("x-forwarded-host") => Self::ForwardedHost,
            (16, b'c') if is("cutover-instance") => Self::Instance,
            (16, b'p') if is("proxy-connection") => Self::Hop,
            (17, b'x') if is("x-forwarded-proto") => Self::ForwardedProto,
            (17, b't') if is("transfer-encoding") => Self::TransferEncoding,
            (18, b'x') if is("x-forwarded-prefix") => Self::ForwardedPrefix,
            _ => Self::Other,
        }
    }

    fn disguised(name: &[u8]) -> Self {
        let mut plain = [0; 18];
        for (to, from) in plain.iter_mut().zip(name) {
            *to = if *from == b'_' { b'-' } else { *from };
        }
        match Self::lookup(&plain[..name.len()]) {
            Self::Other | Self::ContentType => Self::Other,
            _ => Self::Hop,
        }
    }
}

/// Writes a field line.
#[inline]
pub fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    for piece in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(piece);
    }
}

/// The members of a comma-separated list, without blanks and empty members.
pub fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_disguise() {
        assert_eq!(Known::of(b"HOST"), Known::Host);
        assert_eq!(Known::of(b"transfer-Encoding"), Known::TransferEncoding);
        assert_eq!(Known::of(b"X_Forwarded_For"), Known::Hop);
        assert_eq!(Known::of(b"content_length"), Known::Hop);
        assert_eq!(Known::of(b"x_request_id"), Known::Other);
        assert_eq!(Known::of(b"Content_Type"), Known::Other);
    }
}
