//! Conditions and ranges (RFC 9110, 13 and 14).

use std::time::{Duration, SystemTime};

use crate::http::field::members;
use crate::http::request::Request;

/// What a request asks besides which file.
#[derive(Debug, Default)]
pub struct Asked {
    /// Whether it is `GET` or `HEAD`.
    pub reads: bool,
    whole: bool,
    if_match: Option<Vec<u8>>,
    if_unmodified: Option<Vec<u8>>,
    if_none_match: Option<Vec<u8>>,
    if_modified: Option<Vec<u8>>,
    if_range: Option<Vec<u8>>,
    range: Option<Vec<u8>>,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All of it.
    Whole,
    /// So many bytes from here on.
    Part {
        /// The first byte.
        start: u64,
        /// How many; never zero.
        length: u64,
    },
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client means.
    Failed,
    /// 416: there is no such part.
    NoSuchPart,
}

impl Asked {
    /// What this request asks. Lists that came in several fields are joined.
    pub fn of(head: &[u8], request: &Request, reads: bool) -> Self {
        let value = |name: &str| {
            let mut fields = request.fields.iter().filter(|f| f.name.of(head).eq_ignore_ascii_case(name.as_bytes()));
            let first = fields.next()?.value.of(head).to_vec();
            Some(fields.fold(first, |all, field| [&all[..], b", ", field.value.of(head)].concat()))
        };
        Self {
            reads,
            whole: request.method.of(head) != b"GET",
            if_match: value("if-match"),
            if_unmodified: value("if-unmodified-since"),
            if_none_match: value("if-none-match"),
            if_modified: value("if-modified-since"),
            if_range: value("if-range"),
            range: value("range"),
        }
    }

    /// What is sent of a file with this tag (in quotes), time and size, in the order of RFC 9110, 13.2.2.
    pub fn answer(&self, tag: &str, modified: SystemTime, size: u64) -> Sent {
        let lists = |list: &[u8], weak: bool| {
            list == b"*"
                || members(list)
                    .any(|one| one == tag.as_bytes() || (weak && one.strip_prefix(b"W/") == Some(tag.as_bytes())))
        };
        let since =
            |date: &Option<Vec<u8>>| date.as_deref().and_then(|date| Some(seconds(modified) > seconds(parsed(date)?)));
        let met = match &self.if_match {
            Some(list) => lists(list, false),
            None => since(&self.if_unmodified) != Some(true),
        };
        if !met {
            return Sent::Failed;
        }
        let had = match &self.if_none_match {
            Some(list) => lists(list, true),
            None => since(&self.if_modified) == Some(false),
        };
        if had {
            return Sent::NotModified;
        }
        let range_counts =
            !self.whole && self.if_range.as_deref().is_none_or(|condition| is_current(condition, tag, modified));
        self.range.as_deref().filter(|_| range_counts).map_or(Sent::Whole, |range| part(range, size))
    }
}

/// Whether `If-Range` means this very version: a strong tag, or its time to the second.
fn is_current(condition: &[u8], tag: &str, modified: SystemTime) -> bool {
    condition == tag.as_bytes() || parsed(condition).is_some_and(|date| seconds(date) == seconds(modified))
}

fn parsed(date: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(date).ok()?).ok()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// The one part that is asked for. Of several, or of one that cannot be read, nothing: the whole is sent.
fn part(range: &[u8], size: u64) -> Sent {
    let one = || {
        let range = std::str::from_utf8(range).ok()?;
        let (unit, range) = range.split_once('=')?;
        let (first, last) = range.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            // A number beyond all files is larger than this one, too.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match (first, last) {
            ("", last) => {
                Some((size.saturating_sub(number(last)?), size.checked_sub(1).filter(|_| number(last) != Some(0))))
            }
            (first, "") => Some((number(first)?, size.checked_sub(1))),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then(|| (first, size.checked_sub(1).map(|end| end.min(last))))
            }
        }
    };
    match one() {
        None => Sent::Whole,
        Some((start, Some(last))) if start <= last => Sent::Part { start, length: last - start + 1 },
        Some(_) => Sent::NoSuchPart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-0", Sent::Part { start: 0, length: 1 }),
            ("bytes=2-", Sent::Part { start: 2, length: 8 }),
            ("bytes=2-99", Sent::Part { start: 2, length: 8 }),
            ("bytes=-3", Sent::Part { start: 7, length: 3 }),
            ("bytes=-99", Sent::Part { start: 0, length: 10 }),
            ("bytes=9-99999999999999999999999", Sent::Part { start: 9, length: 1 }),
            ("bytes=10-", Sent::NoSuchPart),
            ("bytes=99999999999999999999999-", Sent::NoSuchPart),
            ("bytes=-0", Sent::NoSuchPart),
            ("bytes=5-2", Sent::Whole),
            ("bytes=0-1,3-4", Sent::Whole),
            ("bytes=a-b", Sent::Whole),
            ("bytes=+1-2", Sent::Whole),
            ("lines=0-1", Sent::Whole),
            ("bytes", Sent::Whole),
        ];
        for (range, sent) in cases {
            assert_eq!(part(range.as_bytes(), 10), sent, "{range}");
        }
        assert_eq!(part(b"bytes=0-", 0), Sent::NoSuchPart);
    }

    // Seen failing with If-Modified-Since asked although there is If-None-Match.
    #[test]
    fn conditions_in_their_order() {
        let (tag, time) = ("\"a\"", SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_500));
        let same = httpdate::fmt_http_date(time);
        let before = httpdate::fmt_http_date(time - Duration::from_secs(5));
        let some = |text: &str| Some(text.as_bytes().to_vec());
        let answer = |asked: Asked| asked.answer(tag, time, 10);
        assert_eq!(answer(Asked { if_none_match: some("\"b\", W/\"a\""), ..Asked::default() }), Sent::NotModified);
        assert_eq!(answer(Asked { if_none_match: some("*"), ..Asked::default() }), Sent::NotModified);
        assert_eq!(answer(Asked { if_modified: some(&same), ..Asked::default() }), Sent::NotModified);
        assert_eq!(answer(Asked { if_modified: some(&before), ..Asked::default() }), Sent::Whole);
        assert_eq!(answer(Asked { if_modified: some("nonsense"), ..Asked::default() }), Sent::Whole);
        let both = Asked { if_none_match: some("\"b\""), if_modified: some(&same), ..Asked::default() };
        assert_eq!(answer(both), Sent::Whole, "the tag counts, not the time");
        assert_eq!(answer(Asked { if_match: some("\"b\""), ..Asked::default() }), Sent::Failed);
        assert_eq!(answer(Asked { if_match: some("W/\"a\""), ..Asked::default() }), Sent::Failed);
        assert_eq!(answer(Asked { if_unmodified: some(&before), ..Asked::default() }), Sent::Failed);
        let range = || some("bytes=0-1");
        let part = Sent::Part { start: 0, length: 2 };
        assert_eq!(answer(Asked { range: range(), ..Asked::default() }), part);
        assert_eq!(answer(Asked { range: range(), if_range: some(tag), ..Asked::default() }), part);
        assert_eq!(answer(Asked { range: range(), if_range: some(&same), ..Asked::default() }), part);
        for old in ["\"b\"", "W/\"a\"", &before] {
            assert_eq!(answer(Asked { range: range(), if_range: some(old), ..Asked::default() }), Sent::Whole, "{old}");
        }
        assert_eq!(answer(Asked { range: range(), whole: true, ..Asked::default() }), Sent::Whole, "HEAD");
    }
}
