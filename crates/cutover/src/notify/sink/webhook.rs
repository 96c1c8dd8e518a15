//! JSON for any receiver, signed as <https://www.standardwebhooks.com> has it: there are libraries for that in most languages,
//! and without one it takes a line.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cutover_core::Timestamp;
use cutover_core::spec::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Answer, Message, http};

/// A secret that begins like this is a key in base64.
const ENCODED: &str = "whsec_";

/// Sends the message with its signature. The time is that of this try: a receiver refuses what is old.
pub(super) async fn post(url: &Secret, secret: &Secret, message: &Message, now: Timestamp) -> Answer {
    let body = match serde_json::to_vec(message) {
        Ok(body) => body,
        Err(error) => return Answer::Never(format!("the message is no JSON: {error}")),
    };
    let time = (now.0 / 1000).to_string();
    let Some(signature) = signature(secret, &message.id, &time, &body) else {
        return Answer::Never(format!("the secret begins with {ENCODED}, but the rest is not base64"));
    };
    let headers = vec![("webhook-timestamp", time), ("webhook-signature", signature)];
    http::post(url, &message.id, headers, body).await
}

fn signature(secret: &Secret, id: &str, time: &str, body: &[u8]) -> Option<String> {
    let key = key(secret.reveal())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

/// The bytes that are signed with.
fn key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix(ENCODED) {
        Some(encoded) => BASE64_STANDARD.decode(encoded).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn it_signs_as_the_specification_does() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(signature(&Secret::new("whsec_?"), "1", "1", body), None);
    }
}
