//! Rules about the path: where a request is sent instead, and in which form an instance gets it.
//!
//! Paths are compared byte for byte as they are written in the request: a redirect or a rewrite leads somewhere, it protects
//! nothing. What follows the star is taken over as it is, the query too.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The statuses that a redirect may have (RFC 9110, 15.4).
pub const STATUSES: [u16; 4] = [301, 302, 307, 308];

/// A path, or with `/*` at its end everything below it: `/old/*` takes `/old/` and `/old/a`, not `/old`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    path: String,
    below: bool,
}

/// Requests that are sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Only those for this host, lower case; `*.example.com` is every name below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only those for these paths.
    pub from: Pattern,
    /// Where to: a path, or a URL with `http://` or `https://`. A star at the end stands for what the star of `from` took.
    pub to: String,
    /// With this status, one of [`STATUSES`].
    pub status: u16,
}

/// Paths that the instance gets in another form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// Which, after a prefix was taken off.
    pub from: Pattern,
    /// What the instance gets. A star at the end stands for what the star of `from` took.
    pub to: String,
}

impl Pattern {
    /// What the star took, if this path is meant; nothing for one without a star.
    pub fn takes<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = path.strip_prefix(self.path.as_bytes())?;
        (self.below || rest.is_empty()).then_some(rest)
    }

    /// Whether it ends with a star.
    pub fn has_star(&self) -> bool {
        self.below
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, if self.below { "*" } else { "" })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.to_string()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let path = text.strip_suffix('*').unwrap_or(&text);
        let below = path.len() < text.len();
        if !path.starts_with('/') {
            return Err(format!("{text:?} does not begin with /"));
        }
        if path.contains(['*', '?', '#']) || (below && !path.ends_with('/')) || !is_plain(path) {
            return Err(format!("{text:?} is not a path, nor one that ends with /*"));
        }
        Ok(Self { path: path.to_owned(), below })
    }
}

/// Whether `to` can be where `from` leads. `whole` allows a URL.
pub fn check_goal(from: &Pattern, to: &str, whole: bool) -> Result<(), String> {
    let path = to.strip_suffix('*').unwrap_or(to);
    let has_star = path.len() < to.len();
    let authority = path.strip_prefix("https://").or_else(|| path.strip_prefix("http://")).filter(|_| whole);
    let fits = match authority {
        Some(rest) => {
            rest.split_once('/').is_some_and(|(host, _)| !host.is_empty() && !host.contains(['@', '\\', '?']))
        }
        // Two slashes, or one and its like, begin a host and not a path for a browser.
        None => path.starts_with('/') && !path[1..].starts_with(['/', '\\']),
    };
    if !fits {
        let form = if whole {
            "a path that begins with one /, nor a URL such as https://example.com/"
        } else {
            "a path that begins with one /"
        };
        return Err(format!("{to:?} is not {form}"));
    }
    if path.contains(['*', '#']) || !is_plain(path) {
        return Err(format!("{to:?} contains a character that cannot stand there"));
    }
    if has_star && !path.ends_with('/') {
        return Err(format!("{to:?} has a star that does not follow a /"));
    }
    if has_star && !from.has_star() {
        return Err(format!("{to:?} has a star, and {:?} has none for it to stand for", from.to_string()));
    }
    Ok(())
}

impl Redirect {
    /// What is wrong with it.
    pub fn fault(&self) -> Result<(), String> {
        check_goal(&self.from, &self.to, true)?;
        if !STATUSES.contains(&self.status) {
            return Err(format!("redirects {} with {}, which is no redirect", self.from, self.status));
        }
        if self.leads_to_itself() {
            return Err(format!("redirects {} to {}, which it would redirect again, without end", self.from, self.to));
        }
        Ok(())
    }

    fn leads_to_itself(&self) -> bool {
        let goal = self.to.strip_suffix('*').unwrap_or(&self.to);
        let path = goal.split('?').next().unwrap_or_default();
        path.starts_with('/') && self.from.takes(path.as_bytes()).is_some()
    }

    /// Where a request for this host (lower case, without port) and this path is sent, with its query.
    pub fn goal(&self, host: Option<&[u8]>, path: &[u8], query: Option<&[u8]>) -> Option<Vec<u8>> {
        if let Some(wanted) = &self.host
            && !host.is_some_and(|host| is_host(wanted, host))
        {
            return None;
        }
        Some(put(&self.to, self.from.takes(path)?, query))
    }
}

impl Rewrite {
    /// What is wrong with it.
    pub fn fault(&self) -> Result<(), String> {
        check_goal(&self.from, &self.to, false)
    }

    /// What becomes of a path, with its query.
    pub fn goal(&self, path: &[u8], query: Option<&[u8]>) -> Option<Vec<u8>> {
        Some(put(&self.to, self.from.takes(path)?, query))
    }
}

/// Puts a goal together: what the star took goes in its place, and the query behind.
fn put(to: &str, rest: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let mut goal = Vec::with_capacity(to.len() + rest.len() + query.map_or(0, |query| query.len() + 1));
    match to.strip_suffix('*') {
        Some(start) => {
            goal.extend_from_slice(start.as_bytes());
            // A goal of "/" and a rest of "/evil.example" must not become a URL of another host.
            let slashes = if start == "/" { rest.iter().take_while(|b| matches!(b, b'/' | b'\\')).count() } else { 0 };
            goal.extend_from_slice(&rest[slashes..]);
        }
        None => goal.extend_from_slice(to.as_bytes()),
    }
    if let Some(query) = query {
        goal.push(if to.contains('?') { b'&' } else { b'?' });
        goal.extend_from_slice(query);
    }
    goal
}

/// Whether a host is this one, or one below it for `*.name`.
fn is_host(wanted: &str, host: &[u8]) -> bool {
    match wanted.strip_prefix('*') {
        Some(below) => host.len() > below.len() && host.ends_with(below.as_bytes()),
        None => host == wanted.as_bytes(),
    }
}

/// Visible ASCII without quotes: what may stand in a target and in a `Location`.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(host: Option<&str>, from: &str, to: &str) -> Redirect {
        let from = Pattern::try_from(from.to_owned()).unwrap();
        Redirect { host: host.map(str::to_owned), from, to: to.to_owned(), status: 301 }
    }

    // Seen to fail with the slashes of the rest left in: "/old//evil.example" then leads to another host.
    #[test]
    fn a_goal_takes_over_the_rest_and_the_query() {
        let cases = [
            (None, "/old", "/new", "/old", Some("/new")),
            (None, "/old", "/new", "/old?a=b", Some("/new?a=b")),
            (None, "/old", "/new?x=1", "/old?a=b", Some("/new?x=1&a=b")),
            (None, "/old", "/new", "/old/", None),
            (None, "/old/*", "/new/*", "/old/a/b?c", Some("/new/a/b?c")),
            (None, "/old/*", "/new/*", "/old", None),
            (None, "/old/*", "/new", "/old/a", Some("/new")),
            (None, "/old/*", "/*", "/old//evil.example", Some("/evil.example")),
            (None, "/old/*", "/*", "/old/\\evil.example", Some("/evil.example")),
            (Some("www.a.example"), "/*", "https://a.example/*", "/x?y", Some("https://a.example/x?y")),
            (Some("*.a.example"), "/*", "https://a.example/*", "/x", Some("https://a.example/x")),
            (Some("*.b.example"), "/*", "https://a.example/*", "/x", None),
            (Some("a.example"), "/*", "https://b.example/*", "/x", None),
        ];
        for (host, from, to, target, goal) in cases {
            let (path, query) =
                target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.as_bytes())));
            let found = redirect(host, from, to).goal(Some(b"www.a.example"), path.as_bytes(), query);
            assert_eq!(found.as_deref(), goal.map(str::as_bytes), "{from} to {to} for {target}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for text in ["old", "/old*", "/*/x", "/a b", "/a?b", "", "*", "/ü"] {
            assert!(Pattern::try_from(text.to_owned()).is_err(), "{text:?} was taken for a pattern");
        }
        let cases = [
            ("/a", "//evil.example"),
            ("/a", "/\\evil.example"),
            ("/a", "b"),
            ("/a", "ftp://x/"),
            ("/a", "https://x"),
            ("/a", "https:///x"),
            ("/a", "/b/*"),
            ("/a/*", "https://x*"),
            ("/a/*", "/b*"),
            ("/a", "/b\r\nSet-Cookie: x"),
            ("/a/*", "/a/b"),
            ("/*", "/b/*"),
            ("/a", "/a?b"),
        ];
        for (from, to) in cases {
            assert!(redirect(None, from, to).fault().is_err(), "{from} to {to} passed");
        }
        assert!(redirect(None, "/a", "https://u@x/").fault().is_err());
        assert!(redirect(None, "/a/*", "/b/*").fault().is_ok());
    }
}
