//! Words for a shell at another place.

use super::command::Output;
use super::{PlaceError, Turn};

/// How a script ends whose first command failed. Neither nginx nor a shell ends so by itself.
const FIRST_FAILED: i32 = 113;

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command as a shell takes it.
pub(super) fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A command with its input, for a shell that goes on reading its own.
pub(super) fn with_input(words: &[String], input: &[u8]) -> Vec<u8> {
    if input.is_empty() {
        return format!("{} </dev/null", line(words)).into_bytes();
    }
    let quoted = input.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&br"'\''"[..]);
    [b"printf %s '", &quoted[..], format!("' | {}", line(words)).as_bytes()].concat()
}

/// A script of two commands, of which the second follows the first.
pub(super) fn in_turn(first: &[String], then: &[String]) -> String {
    format!("{{ {} || exit {FIRST_FAILED}; {}; }} </dev/null", line(first), line(then))
}

/// How such a script went.
pub(super) fn turn(done: Result<Output, PlaceError>) -> Turn {
    match done {
        Ok(output) if output.status.code() == Some(FIRST_FAILED) => Turn::First(Ok(output)),
        done => Turn::Both(done),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn words_survive_a_shell() {
        for word in ["", "a b", "it's", "$(rm -rf /)", "*", "a\nb", "plain-1.2/x"] {
            let said = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output();
            assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), word);
        }
    }

    /// Seen to fail with an input that is not quoted.
    #[test]
    fn an_input_arrives_as_it_is() {
        for input in [&b""[..], b"a 'b' %s \\n $(x)\n\n", b"\xe4\xff"] {
            let script = with_input(&["cat".to_owned()], input);
            let said = std::process::Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output();
            assert_eq!(said.unwrap().stdout, input);
        }
    }
}
