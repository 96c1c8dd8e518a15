//! The little of gRPC that a proxy must know: which requests are calls, how a call says how it ended, how long it may take.
//!
//! Source: the protocol over HTTP/2 as gRPC describes it ("gRPC over HTTP2"), and its list of status codes. What a message contains is
//! nobody's business here. Calls of gRPC-Web are requests like any others.

use std::time::Duration;

/// `UNAVAILABLE`: nobody could be asked; trying again may help.
pub const UNAVAILABLE: u32 = 14;

/// Whether a content type is that of a call.
pub fn is_call(content_type: &[u8]) -> bool {
    let Some((kind, rest)) = content_type.split_at_checked(b"application/grpc".len()) else { return false };
    kind.eq_ignore_ascii_case(b"application/grpc") && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The status that a field line says, if it is the line that says it.
pub fn outcome(line: &[u8]) -> Option<u32> {
    let (name, value) = line.split_at_checked(b"grpc-status:".len())?;
    let value = std::str::from_utf8(value.trim_ascii()).ok()?;
    name.eq_ignore_ascii_case(b"grpc-status:").then(|| value.parse().ok())?
}

/// Whether a status is what an answer with 500 to 599 is in HTTP: the instance failed, not whoever asked.
pub fn is_failure(outcome: u32) -> bool {
    const UNKNOWN: u32 = 2;
    const DEADLINE_EXCEEDED: u32 = 4;
    const UNIMPLEMENTED: u32 = 12;
    const INTERNAL: u32 = 13;
    const DATA_LOSS: u32 = 15;
    matches!(outcome, UNKNOWN | DEADLINE_EXCEEDED | UNIMPLEMENTED | INTERNAL | UNAVAILABLE | DATA_LOSS)
}

/// The status of a call that was refused with a status of HTTP. Where the two lists of gRPC leave it open, the one that says more.
pub fn of_status(status: u16) -> u32 {
    match status {
        400 | 431 | 505 => 13,
        401 => 16,
        403 => 7,
        404 | 405 | 501 => 12,
        408 | 504 => 4,
        413 | 429 => 8,
        417 => 9,
        _ => UNAVAILABLE,
    }
}

/// The status of a call whose stream was reset, as the protocol over HTTP/2 lists it.
pub fn of_reset(reason: h2::Reason) -> u32 {
    match reason {
        h2::Reason::REFUSED_STREAM => UNAVAILABLE,
        h2::Reason::CANCEL => 1,
        h2::Reason::ENHANCE_YOUR_CALM => 8,
        h2::Reason::INADEQUATE_SECURITY => 7,
        _ => 13,
    }
}

/// How long a call may take, as its `grpc-timeout` says: up to eight digits and a unit.
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let digits = std::str::from_utf8(digits).ok().filter(|text| (1..=8).contains(&text.len()))?;
    let number: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A message for people as `grpc-message` has it: what is not plain ASCII, and the percent sign, as %XX.
pub fn message(text: &str) -> String {
    let plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'%';
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_their_content_type() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"] {
            assert!(is_call(kind.as_bytes()), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc-web+proto", "application/json", "", "application/grpcx"]
        {
            assert!(!is_call(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn a_call_says_how_it_ended_and_how_long_it_may_take() {
        assert_eq!(outcome(b"grpc-status: 14"), Some(14));
        assert_eq!(outcome(b"Grpc-Status:0"), Some(0));
        assert_eq!(outcome(b"grpc-status-details-bin: 14"), None);
        assert_eq!(timeout(b"1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(timeout(b"2H"), Some(Duration::from_secs(7200)));
        for bad in ["", "S", "123456789S", "-1S", "1x", "1"] {
            assert_eq!(timeout(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn messages_are_plain_ascii() {
        assert_eq!(message("web: 50 % \u{fc}ber\n"), "web: 50 %25 %C3%BCber%0A");
    }
}
