//! Rules about header fields: what is removed, set and added.

use serde::{Deserialize, Serialize};

/// Which head is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that the instance gets.
    Request,
    /// The one that the client gets.
    Answer,
}

/// What is changed in a head: first is removed, then set, then added.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldRules {
    /// Fields that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Fields that have this value and no other, whatever came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// Fields that stand beside those of the same name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<(String, String)>,
}

/// Fields that delimit messages or concern one connection (RFC 9110, 7.6.1): with them two readings of one message begin.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields in which the proxy tells an instance who asked.
const FORWARDED: &[&str] = &["forwarded", "x-real-ip"];

impl FieldRules {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// What is wrong with them.
    pub fn faults(&self, side: Side) -> Vec<String> {
        let values = || self.set.iter().chain(&self.add);
        let names = self.remove.iter().chain(values().map(|(name, _)| name));
        let names = names.filter_map(|name| Self::fault_of(name, side));
        names.chain(values().filter_map(|(name, value)| Self::value_fault(name, value))).collect()
    }

    /// Why a field must not be touched, if it must not.
    pub fn fault_of(name: &str, side: Side) -> Option<String> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Some(format!("{name:?} is not the name of a header"));
        }
        // Applications that fold "_" into "-" would read one for the other.
        let plain = name.to_ascii_lowercase().replace('_', "-");
        if FRAMING.contains(&plain.as_str()) {
            return Some(format!(
                "{name} delimits messages or belongs to the connection, and is the proxy's own business"
            ));
        }
        if plain.starts_with("cutover-") {
            return Some(format!("{name} is a header of cutover's own"));
        }
        let tells_who = FORWARDED.contains(&plain.as_str()) || plain.starts_with("x-forwarded-");
        (tells_who && side == Side::Request)
            .then(|| format!("{name} says who asked: the proxy writes it, and `trusted` says whom it believes"))
    }

    /// Why a value cannot be written.
    pub fn value_fault(name: &str, value: &str) -> Option<String> {
        let bad = value.bytes().any(|b| b.is_ascii_control() && b != b'\t') || value.trim() != value;
        bad.then(|| format!("the value of {name} has a control character, or a blank at its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Seen to fail with underscores left as they are.
    #[test]
    fn what_belongs_to_the_proxy_is_not_touched() {
        for name in [
            "Host",
            "content-length",
            "Transfer_Encoding",
            "TE",
            "X-Forwarded-For",
            "x_forwarded_prefix",
            "cutover-token",
            "a b",
            "",
        ] {
            assert!(FieldRules::fault_of(name, Side::Request).is_some(), "{name:?} passed");
        }
        for name in ["Server", "X-Frame-Options", "Set-Cookie", "X-Forwarded-For"] {
            assert_eq!(FieldRules::fault_of(name, Side::Answer), None);
        }
        assert_eq!(FieldRules::fault_of("X-Request-Start", Side::Request), None);
        for value in ["a\r\nb", "a\0", " a", "a\n"] {
            assert!(FieldRules::value_fault("X", value).is_some(), "{value:?} passed");
        }
    }
}
