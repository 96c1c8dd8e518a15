//! A webhook as Slack has them.

use super::Message;

/// The text, with the three characters escaped that mean something there
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>): nobody can call a whole channel by the reason of a
/// failure.
pub(super) fn body(message: &Message) -> Vec<u8> {
    let text = message.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    serde_json::json!({ "text": text }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use cutover_core::Timestamp;

    use crate::notify::message;

    /// Seen to fail without the escapes.
    #[test]
    fn nobody_is_called_by_a_text() {
        let message = message::test("1".to_owned(), "shop", "<!channel> & co", "ann", Timestamp(0));
        let body = String::from_utf8(super::body(&message)).unwrap();
        assert!(body.contains("&lt;!channel&gt; &amp; co"), "{body}");
    }
}
