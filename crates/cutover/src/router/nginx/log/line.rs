//! One line of an access log: what it says of the answer, and of who gave it.
//!
//! A client chooses much of what stands in a line. nginx writes a quotation mark of a client as `\x22` or `\"`, so a client's words stay within
//! their quotation marks, and only what is outside of them, or under its own key in JSON, is believed.

use std::net::SocketAddr;

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status that the client got.
    pub(super) status: u16,
    /// Who gave it: the last of those that nginx tried. `None` if the line does not say.
    pub(super) by: Option<SocketAddr>,
}

/// Reads a line in nginx's `combined` format or one like it, or in JSON with the keys `status` and `upstream_addr`. `None` if
/// there is no status in it.
pub(super) fn read(line: &str) -> Option<Answer> {
    if line.starts_with('{') { of_json(line) } else { of_words(line) }
}

fn of_json(line: &str) -> Option<Answer> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    let text = |key: &str| fields.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    Some(Answer { status: status(&text("status")?)?, by: text("upstream_addr").and_then(|tried| last_of(&tried)) })
}

/// The first number of three digits behind a quoted text is the status: the request line is quoted. The last address outside of
/// quotation marks is the upstream's; a client's own has no port.
fn of_words(line: &str) -> Option<Answer> {
    let unquoted: Vec<&str> = line.split('"').step_by(2).collect();
    let behind = unquoted.iter().skip(1);
    let status = behind.flat_map(|part| part.split_ascii_whitespace()).find_map(status)?;
    Some(Answer { status, by: unquoted.iter().rev().find_map(|part| last_of(part)) })
}

fn status(word: &str) -> Option<u16> {
    word.parse().ok().filter(|status| word.len() == 3 && (100..600).contains(status))
}

/// The last address among words: of several tries the last gave the answer.
fn last_of(text: &str) -> Option<SocketAddr> {
    let words = text.split(|c: char| c.is_ascii_whitespace() || c == ',' || c == '=');
    words.rev().find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<(u16, Option<String>)> {
        read(line).map(|answer| (answer.status, answer.by.map(|by| by.to_string())))
    }

    // Seen to fail with the whole line searched for an address, and with the first address of several taken.
    #[test]
    fn the_status_and_who_gave_it() {
        let combined = r#"192.0.2.1 - - [21/Nov/2026:10:00:00 +0000] "GET /a?b=500 HTTP/1.1" 502 157 "-" "curl/7.88""#;
        assert_eq!(told(combined), Some((502, None)));
        let with = |end: &str| told(&format!("{combined} {end}"));
        assert_eq!(with("10.0.0.7:8080"), Some((502, Some("10.0.0.7:8080".into()))));
        assert_eq!(with("rt=0.004 upstream=10.0.0.6:80, 10.0.0.7:80 0.001"), Some((502, Some("10.0.0.7:80".into()))));
        assert_eq!(with("upstream=[fd00::1]:80"), Some((502, Some("[fd00::1]:80".into()))));
        assert_eq!(with("upstream=-"), Some((502, None)), "nginx answered by itself");
        let forged = r#"192.0.2.1 - - [x] "GET / HTTP/1.1" 200 5 "-" "upstream=10.0.0.7:80 \x22 10.0.0.7:80" -"#;
        assert_eq!(told(forged), Some((200, None)));
    }

    #[test]
    fn json_by_its_keys() {
        let line = |status: &str| {
            format!(
                r#"{{"agent":"\"upstream_addr\":\"10.0.0.9:1\"","status":{status},"upstream_addr":"10.0.0.6:80, 10.0.0.7:80"}}"#
            )
        };
        assert_eq!(told(&line("503")), Some((503, Some("10.0.0.7:80".into()))));
        assert_eq!(told(&line("\"204\"")), Some((204, Some("10.0.0.7:80".into()))));
        assert_eq!(told(r#"{"status":200,"upstream_addr":"-"}"#), Some((200, None)));
    }

    #[test]
    fn what_is_no_such_line_tells_nothing() {
        for line in ["", "nonsense", "{", r#"{"status":7}"#, r#"a "GET / HTTP/1.1" 99 1"#, r#"a "GET / HTTP/1.1""#] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
