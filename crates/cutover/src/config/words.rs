//! A command line as a list of words: taken apart the way a shell would, and written the way TOML wants it.
//!
//! Deliberately absent: everything else a shell does. A line that needs it is recognised by [`needs_shell`].

/// The words of a line; quotes and backslashes as in a POSIX shell. `None` if a quote is not closed.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => quoted(&mut chars, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut chars, '"', word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            c if c == quote => return Some(()),
            '\\' if quote == '"' => match chars.next()? {
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

/// Whether a line does more than run one program with arguments.
pub(crate) fn needs_shell(line: &str) -> bool {
    line.contains(['|', ';', '&', '<', '>', '`', '$', '*', '(', ')', '~'])
        || line.split_whitespace().next().is_some_and(|first| first.contains('='))
}

/// Words as a TOML list on one line.
pub(crate) fn toml_list<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words.iter().map(|word| toml_text(word.as_ref())).collect();
    format!("[{}]", words.join(", "))
}

/// A text as TOML writes it, on one line.
pub(crate) fn toml_text(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => written.extend(['\\', c]),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            c if c.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => written.push(c),
        }
    }
    written.push('"');
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_a_shell_would() {
        let words = |line| split(line).map(|words| words.join("|"));
        assert_eq!(words("java  -jar 'my app.jar'").as_deref(), Some("java|-jar|my app.jar"));
        assert_eq!(words(r#"a "b \" c" d\ e ''"#).as_deref(), Some(r#"a|b " c|d e|"#));
        assert_eq!(words("a 'b"), None);
        assert_eq!(words("").as_deref(), Some(""));
    }

    #[test]
    fn a_list_reads_back_as_written() {
        let words = ["a\"b", "c\\d", "e\nf", "\u{1}", "ü"];
        let read: toml::Table = toml::from_str(&format!("x = {}", toml_list(&words))).unwrap();
        let read: Vec<&str> = read["x"].as_array().unwrap().iter().filter_map(|word| word.as_str()).collect();
        assert_eq!(read, words);
    }
}
