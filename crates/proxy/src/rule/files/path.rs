//! From the path of a request to that of a file, strictly: there is one reading, and what has another is no file.

/// What of a path lies below a prefix; none if it lies elsewhere.
pub fn below<'a>(prefix: &str, path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/').as_bytes())?;
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

/// The path of a file beneath its folder; empty for the folder itself, none if no file can have it.
///
/// Decoded once. A segment that decodes to something with a slash, a backslash, a control character or a dot at its beginning is
/// none: `..` in all its spellings, and the hidden files that nobody means to publish (`.git`, `.env`). `.well-known` is the one
/// exception (RFC 8615).
pub fn file(path: &[u8]) -> Option<Vec<u8>> {
    let mut file = Vec::with_capacity(path.len());
    for segment in path.split(|&b| b == b'/').filter(|segment| !segment.is_empty()) {
        let name = decoded(segment)?;
        let hidden = name[0] == b'.' && name != b".well-known";
        if hidden || name.iter().any(|&b| b == b'/' || b == b'\\' || b.is_ascii_control()) {
            return None;
        }
        if !file.is_empty() {
            file.push(b'/');
        }
        file.extend_from_slice(&name);
    }
    Some(file)
}

fn decoded(segment: &[u8]) -> Option<Vec<u8>> {
    let digit = |at: Option<&u8>| char::from(*at?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut name = Vec::with_capacity(segment.len());
    let mut at = 0;
    while at < segment.len() {
        if segment[at] == b'%' {
            name.push(digit(segment.get(at + 1))? << 4 | digit(segment.get(at + 2))?);
            at += 3;
        } else {
            name.push(segment[at]);
            at += 1;
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Seen failing with the dots looked at before decoding, and with the encoded slash let through.
    #[test]
    fn nothing_leads_out_of_the_folder() {
        let bad = [
            "/..",
            "/../x",
            "/a/../x",
            "/%2e%2e/x",
            "/%2E%2e/x",
            "/.%2e/x",
            "/a/%2e",
            "/..%2fx",
            "/%2e%2e%2fx",
            "/a%2fb",
            "/..%5cx",
            "/a%5cb",
            "/a\\..\\b",
            "/a%00",
            "/%00",
            "/a%0a",
            "/%",
            "/%2",
            "/%zz",
            "/.git/config",
            "/%2egit",
            "/a/.env",
            "/.well-known/.x",
            "/.well-known2",
            "/...",
        ];
        for path in bad {
            assert_eq!(file(path.as_bytes()), None, "{path} is a file");
        }
    }

    #[test]
    fn a_path_is_decoded_once() {
        let good = [
            ("/a.css", "a.css"),
            ("/a%20b/c", "a b/c"),
            ("//a///b/", "a/b"),
            ("/%252e%252e/x", "%2e%2e/x"),
            ("/%c3%bc", "ü"),
            ("/.well-known/x", ".well-known/x"),
            ("/a..b", "a..b"),
            ("", ""),
            ("/", ""),
        ];
        for (path, name) in good {
            assert_eq!(file(path.as_bytes()).as_deref(), Some(name.as_bytes()), "{path}");
        }
        assert_eq!(below("/assets", b"/assets"), Some(&b""[..]));
        assert_eq!(below("/assets", b"/assets/x"), Some(&b"/x"[..]));
        assert_eq!(below("/assets", b"/assetsx"), None);
        assert_eq!(below("/", b"/x"), Some(&b"/x"[..]));
    }
}
