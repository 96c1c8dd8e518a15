//! Files of environment variables.
//!
//! The grammar is the common part of what dotenv libraries read: `NAME=value`, `export` in front, comments, quotes; without
//! interpolation. It is written out for users on the reference page.
//!
//! **Invariant.** No finding shows a value, nor a line that may be one: only a name that stands before an `=`.

use super::finding::Findings;
use super::source::Source;

/// A line's fault, and what to do about it.
type Fault = (String, &'static str);

/// The variables of a file, in its order; what is wrong is added to `findings`.
pub(super) fn read(source: &Source, findings: &Findings) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let mut offset = 0;
    for line in source.text.split_inclusive('\n') {
        match variable(line.trim()) {
            Ok(variable) => variables.extend(variable),
            Err((message, hint)) => {
                findings.mistake(Some(source.place(offset)), message).hint(hint);
                // What follows may be the rest of a secret, and would be misread as names.
                if hint == UNCLOSED_HINT {
                    break;
                }
            }
        }
        offset += line.len();
    }
    variables
}

const UNCLOSED_HINT: &str = "a value ends on its line; write \\n for a line break, inside double quotes";

fn variable(line: &str) -> Result<Option<(String, String)>, Fault> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let Some((name, value)) = line.split_once('=') else {
        return Err(("this line has no `=`".to_owned(), "write NAME=value; the line is not shown, it may be secret"));
    };
    if !is_name(name) {
        let hint = "a name has letters, digits, `_`, `.` and `-`, and no space before the `=`";
        return Err(("what stands before the `=` is not a name".to_owned(), hint));
    }
    match unquoted(value.trim_start()) {
        Ok(value) if value.contains('\0') => Err((format!("{name}: the value contains a NUL"), "remove it")),
        Ok(value) => Ok(Some((name.to_owned(), value))),
        Err((what, hint)) => Err((format!("{name}: {what}"), hint)),
    }
}

/// Whether a text can name a variable. More than POSIX allows, as programs read such names too.
pub(super) fn is_name(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(rest)
}

fn unquoted(value: &str) -> Result<String, Fault> {
    let (text, rest) = match value.chars().next() {
        Some('\'') => single(&value[1..]),
        Some('"') => double(&value[1..]),
        _ => return Ok(bare(value)),
    }
    .ok_or(("the quote is not closed".to_owned(), UNCLOSED_HINT))?;
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(text)
    } else {
        Err((
            "something follows the closing quote".to_owned(),
            "quote the whole value, and write \\\" for a quote inside it",
        ))
    }
}

/// An unquoted value ends before a `#` that follows a blank.
fn bare(value: &str) -> String {
    let comment = value.match_indices('#').map(|(at, _)| at).find(|at| at == &0 || value[..*at].ends_with([' ', '\t']));
    value[..comment.unwrap_or(value.len())].trim_end().to_owned()
}

fn single(value: &str) -> Option<(String, &str)> {
    value.split_once('\'').map(|(text, rest)| (text.to_owned(), rest))
}

fn double(value: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = value.chars();
    loop {
        match chars.next()? {
            '"' => return Some((text, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                c @ ('"' | '\\' | '$') => text.push(c),
                c => text.extend(['\\', c]),
            },
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_documented() {
        let cases = [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("A= b c  # comment", "b c"),
            ("A=b#c", "b#c"),
            ("A=#c", ""),
            ("A=", ""),
            ("A='x \\n # $y'", "x \\n # $y"),
            (r#"A="x\n\"y\" \d" # z"#, "x\n\"y\" \\d"),
            ("A=a=b=c", "a=b=c"),
            ("A=it's", "it's"),
        ];
        for (line, value) in cases {
            assert_eq!(variable(line), Ok(Some(("A".to_owned(), value.to_owned()))), "{line}");
        }
        assert_eq!(variable("# A=b"), Ok(None));
    }

    #[test]
    fn a_bad_line_is_refused_without_showing_its_value() {
        for line in ["hunter2", "hun ter2=x", "A='hunter2", "A=\"hunter2\\\"", "A='x'hunter2", "=hunter2", "A =hunter2"]
        {
            let (message, hint) = variable(line).unwrap_err();
            assert!(!message.contains("hunter2") && !hint.contains("hunter2"), "{line}: {message}");
        }
    }
}
