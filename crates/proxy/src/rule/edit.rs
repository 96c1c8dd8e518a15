//! Changing a head that is written already: lines ended by CR LF, a colon and one blank behind each name, an empty line at the end.

use cutover_core::rules::FieldRules;

/// Header rules, as bytes.
#[derive(Debug, Default)]
pub struct Edit {
    /// Names that are left out, in lower case and without underscores.
    without: Vec<Vec<u8>>,
    /// Lines that are written behind the others.
    lines: Vec<u8>,
}

impl Edit {
    /// Compiles rules.
    pub fn new(rules: &FieldRules) -> Self {
        let removed = rules.remove.iter().chain(rules.set.iter().map(|(name, _)| name));
        let without = removed.map(|name| name.bytes().map(folded).collect()).collect();
        let lines =
            rules.set.iter().chain(&rules.add).flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes());
        Self { without, lines: lines.collect() }
    }

    /// Changes a head.
    pub fn apply(&self, head: &mut Vec<u8>) {
        if !self.without.is_empty() {
            without(head, |name| self.without.iter().any(|gone| is(gone, name)));
        }
        append(head, &self.lines);
    }
}

/// Takes out the field lines whose name satisfies `gone`.
pub fn without(head: &mut Vec<u8>, gone: impl Fn(&[u8]) -> bool) {
    let line = |head: &[u8], at: usize| memchr::memchr(b'\n', &head[at..]).map_or(head.len(), |found| at + found + 1);
    let mut to = line(head, 0);
    let mut at = to;
    while at < head.len() {
        let end = line(head, at);
        let name = head[at..end].split(|&b| b == b':').next().unwrap_or_default();
        if !gone(name) {
            head.copy_within(at..end, to);
            to += end - at;
        }
        at = end;
    }
    head.truncate(to);
}

/// Writes field lines before the empty line.
pub fn append(head: &mut Vec<u8>, lines: &[u8]) {
    if !lines.is_empty() {
        head.truncate(head.len().saturating_sub(2));
        head.extend_from_slice(lines);
        head.extend_from_slice(b"\r\n");
    }
}

/// The value of the first field of this name.
pub fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let lines = head.split(|&b| b == b'\n').skip(1).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut fields = lines.filter_map(|line| line.split_at_checked(name.len()));
    fields.find_map(|(found, rest)| rest.strip_prefix(b": ").filter(|_| found.eq_ignore_ascii_case(name)))
}

/// Applications that fold "_" into "-" would otherwise get by another name what was taken out.
fn folded(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn is(folded_name: &[u8], name: &[u8]) -> bool {
    folded_name.len() == name.len() && folded_name.iter().zip(name).all(|(a, b)| *a == folded(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(rules: &FieldRules, head: &str) -> String {
        let mut head = head.as_bytes().to_vec();
        Edit::new(rules).apply(&mut head);
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn a_head_is_changed_in_place() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let rules =
            FieldRules { remove: vec!["Server".into()], set: vec![pair("X-A", "1")], add: vec![pair("Vary", "b")] };
        let head = "HTTP/1.1 200 OK\r\nServer: x\r\nVary: a\r\nx_a: 0\r\nX-A: 9\r\nX-Ab: 2\r\n\r\n";
        assert_eq!(edited(&rules, head), "HTTP/1.1 200 OK\r\nVary: a\r\nX-Ab: 2\r\nX-A: 1\r\nVary: b\r\n\r\n");
        assert_eq!(edited(&rules, "HTTP/1.1 200 OK\r\n\r\n"), "HTTP/1.1 200 OK\r\nX-A: 1\r\nVary: b\r\n\r\n");
        assert_eq!(edited(&FieldRules::default(), head), head);
        assert_eq!(value(head.as_bytes(), b"vary"), Some(&b"a"[..]));
        assert_eq!(value(head.as_bytes(), b"va"), None);
    }
}
