//! An e-mail, handed to whatever stands for sendmail on this machine: it knows how mail leaves, and keeps it when that fails.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Answer, Message, process};

/// The statuses of `sysexits.h`. All but these three say that trying again changes nothing.
const SYSEXITS: std::ops::RangeInclusive<i32> = 64..=78;
const MAY_PASS: [i32; 3] = [71, 74, 75];

/// How many bytes of a text fit into one encoded word (RFC 2047, section 2: at most 75 characters with all around it).
const ENCODED_BYTES: usize = 45;

/// Hands it over.
pub(super) async fn send(from: &str, to: &[String], sendmail: &[String], message: &Message) -> Answer {
    match process::run(sendmail, &[], compose(from, to, message).as_bytes()).await {
        Ok(ended) if ended.code == Some(0) => Answer::Taken(ended.said),
        Ok(ended) if ended.code.is_some_and(|code| SYSEXITS.contains(&code) && !MAY_PASS.contains(&code)) => {
            Answer::Never(ended.said)
        }
        Ok(ended) => Answer::NotNow(ended.said, None),
        Err(failure) => Answer::NotNow(failure.to_string(), None),
    }
}

/// The message with its header. Lines end as on Unix, as sendmail wants them.
fn compose(from: &str, to: &[String], message: &Message) -> String {
    let id = &message.id;
    let header = [
        ("From", from.to_owned()),
        ("To", to.join(", ")),
        ("Subject", subject(message)),
        ("Message-ID", format!("<{id}@cutover>")),
        ("Date", date(&message.at)),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Cutover-Event", message.event.clone()),
        ("X-Cutover-Event-Id", id.clone()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "base64".to_owned()),
    ];
    let header: String = header.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{header}\n{}", wrapped(&BASE64_STANDARD.encode(body(message))))
}

/// `[shop] web: deploy 1 → 2 is done`, encoded, so that nothing in it can end the line.
fn subject(message: &Message) -> String {
    let what = message.service.as_ref().map(|service| format!("{service}: "));
    let action = message.action.map(|action| format!("{} ", action.verb()));
    let event = message.event.replace('_', " ");
    let text = format!("[{}] {}{}{event}", message.project, what.unwrap_or_default(), action.unwrap_or_default());
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) { text } else { encoded(&text) }
}

/// A text as encoded words, each of whole characters.
fn encoded(text: &str) -> String {
    let mut words = vec![String::new()];
    for c in text.chars() {
        if words.last().is_some_and(|word| word.len() + c.len_utf8() > ENCODED_BYTES) {
            words.push(String::new());
        }
        words.last_mut().expect("there is one from the beginning").push(c);
    }
    let words = words.iter().map(|word| format!("=?utf-8?b?{}?=", BASE64_STANDARD.encode(word)));
    words.collect::<Vec<_>>().join("\n ")
}

fn body(message: &Message) -> String {
    let mut text = format!("{}\n\n", message.text);
    if let Some(deployment) = message.deployment {
        text.push_str(&format!("`cutover show {deployment}` tells it step by step.\n"));
    }
    text.push_str(&format!("{}, event {}\n", message.at, message.id));
    text
}

fn wrapped(encoded: &str) -> String {
    let lines = encoded.as_bytes().chunks(76).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    lines.collect()
}

/// As RFC 5322 has it.
fn date(at: &str) -> String {
    let moment = at.parse::<jiff::Timestamp>().unwrap_or_else(|_| jiff::Timestamp::now());
    moment.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use cutover_core::Timestamp;

    use super::*;
    use crate::notify::message;

    /// Seen to fail with the text in the subject as it is.
    #[test]
    fn nothing_in_a_message_adds_a_header() {
        let project = "shop\nBcc: all@example.com → ".repeat(4);
        let message = message::test("j-1".to_owned(), &project, "ops", "ann\nBcc: b", Timestamp(0));
        let mail = compose("cutover@example.com", &["a@example.com".to_owned(), "b@example.com".to_owned()], &message);
        assert!(!mail.contains("Bcc"), "{mail}");
        assert!(
            mail.lines().all(|line| line.len() <= 998) && mail.contains("To: a@example.com, b@example.com\n"),
            "{mail}"
        );
        assert!(mail.contains("Date: Thu, 01 Jan 1970 00:00:00 +0000\n"), "{mail}");
        let body = mail.split_once("\n\n").map(|(_, body)| body.replace('\n', "")).unwrap_or_default();
        let body = String::from_utf8(BASE64_STANDARD.decode(body).unwrap()).unwrap();
        assert!(body.starts_with(&message.text), "{body}");
    }
}
