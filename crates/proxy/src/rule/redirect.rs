//! Rules about the path: where a client is sent instead, and what an instance gets for it.

use super::LiveRules;
use super::edit;

impl LiveRules {
    /// Where a request is sent instead, and with which status. `host` is in lower case and without a port.
    pub(super) fn sent_to(&self, host: Option<&[u8]>, target: &[u8], any_host: bool) -> Option<(u16, Vec<u8>)> {
        let (path, query) = split(target);
        let redirects = self.spec.redirects.iter().filter(|redirect| any_host || redirect.host.is_none());
        redirects.into_iter().find_map(|redirect| Some((redirect.status, redirect.goal(host, path, query)?)))
    }

    /// Takes off the prefix and rewrites the path, in a head that is written already.
    pub(super) fn redirect_target(&self, head: &mut Vec<u8>) {
        let Some((start, end)) = target_of(head) else { return };
        if self.spec.strip.is_empty() && self.spec.rewrites.is_empty() {
            return;
        }
        let prefix = self.prefix_of(&head[start..end]).map(str::to_owned);
        if let Some(prefix) = &prefix {
            // The path that is left begins with one slash: with two, some applications take it for a host.
            let rest = &head[start + prefix.len()..end];
            let slashes = rest.iter().take_while(|&&b| b == b'/').count();
            head.splice(start..start + prefix.len() + slashes, [b'/']);
        }
        let end = target_of(head).map_or(start, |(_, end)| end);
        if let Some(goal) = self.rewritten(&head[start..end]) {
            head.splice(start..end, goal);
        }
        if let Some(prefix) = prefix {
            announce(head, &prefix);
        }
    }

    /// The longest prefix that is taken off this target.
    fn prefix_of(&self, target: &[u8]) -> Option<&str> {
        let covers = |prefix: &&str| {
            let rest = target.strip_prefix(prefix.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || matches!(rest[0], b'/' | b'?'))
        };
        self.spec.strip.iter().map(String::as_str).filter(covers).max_by_key(|prefix| prefix.len())
    }

    fn rewritten(&self, target: &[u8]) -> Option<Vec<u8>> {
        let (path, query) = split(target);
        self.spec.rewrites.iter().find_map(|rewrite| rewrite.goal(path, query))
    }
}

/// Tells the instance what was taken off. What a believed proxy in front has taken off stands before it.
fn announce(head: &mut Vec<u8>, prefix: &str) {
    const NAME: &[u8] = b"X-Forwarded-Prefix";
    let before = edit::value(head, NAME).unwrap_or_default();
    let line = [NAME, b": ", before.strip_suffix(b"/").unwrap_or(before), prefix.as_bytes(), b"\r\n"].concat();
    edit::without(head, |name| name.eq_ignore_ascii_case(NAME));
    edit::append(head, &line);
}

/// Where the target stands in a request's head.
fn target_of(head: &[u8]) -> Option<(usize, usize)> {
    let start = memchr::memchr(b' ', head)? + 1;
    Some((start, start + memchr::memchr(b' ', &head[start..])?))
}

/// Path and query.
fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}
