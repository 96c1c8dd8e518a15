//! A webhook of Discord.

use super::Message;

/// The longest text that Discord takes (<https://discord.com/developers/docs/resources/webhook#execute-webhook>).
const LONGEST: usize = 2000;

/// The text. Nobody is called by it, whatever stands in it.
pub(super) fn body(message: &Message) -> Vec<u8> {
    let content: String = message.text.chars().take(LONGEST).collect();
    serde_json::json!({ "content": content, "allowed_mentions": { "parse": [] } }).to_string().into_bytes()
}
