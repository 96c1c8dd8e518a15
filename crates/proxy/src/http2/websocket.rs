//! WebSocket over a stream of HTTP/2 (RFC 8441), as the upgrade that instances know (RFC 6455).
//!
//! The handshake of HTTP/1.1 has a key and an answer to it, the one of HTTP/2 has not. So the key is the proxy's own, and so is the look at
//! the answer. From there on the bytes are the same.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// What every server adds to the key (RFC 6455, 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An upgrade that was asked for.
#[derive(Debug)]
pub struct Upgrade {
    accept: String,
}

impl Upgrade {
    /// One with a key made of these bytes, and the key.
    pub fn new(nonce: [u8; 16]) -> (Self, String) {
        let key = STANDARD.encode(nonce);
        let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), MAGIC].concat());
        (Self { accept: STANDARD.encode(sum) }, key)
    }

    /// Whether the instance has understood what it was asked. What only HTTP/1.1 says is taken out.
    pub fn check(&self, fields: &mut HeaderMap) -> io::Result<()> {
        fields.remove(SEC_WEBSOCKET_KEY);
        match fields.remove(SEC_WEBSOCKET_ACCEPT) {
            Some(accept) if accept.as_bytes() == self.accept.as_bytes() => Ok(()),
            _ => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the instance did not answer the key of the WebSocket"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    #[test]
    fn a_key_is_answered_as_the_standard_says() {
        let (upgrade, key) = Upgrade::new(*b"the sample nonce");
        assert_eq!(key, "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
