//! The forms in which Compose prints values, and what has been read of a table.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cutover_core::Failure;
use cutover_core::unit::ByteSize;
use serde_json::{Map, Value};

/// A table whose keys are remembered when they are read.
pub(super) struct Keys<'a> {
    table: &'a Map<String, Value>,
    path: String,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Keys<'a> {
    /// A table at a path.
    pub(super) fn of(value: &'a Value, path: &str) -> Result<Self, Failure> {
        let table = value.as_object().ok_or_else(|| Failure::new(format!("{path} is no table")))?;
        Ok(Self { table, path: path.to_owned(), read: RefCell::default() })
    }

    /// The keys that nobody has read, but for extensions (`x-…`).
    pub(super) fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        let unread =
            self.table.iter().filter(|(key, value)| !read.contains(*key) && !key.starts_with("x-") && !is_empty(value));
        unread.map(|(key, _)| key.clone()).collect()
    }

    /// A key that is refused, with the reason.
    pub(super) fn refused(&self, key: &str, why: &str) -> Failure {
        Failure::new(format!("{}.{key}: {why}", self.path))
    }

    /// Whether a key is there and says something.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The value of a key.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key.to_owned());
        self.table.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn table(&self, key: &str) -> Option<&'a Map<String, Value>> {
        self.value(key)?.as_object()
    }

    pub(super) fn list(&self, key: &str) -> &'a [Value] {
        self.value(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.value(key).and_then(plain).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.value(key)?.as_bool()
    }

    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok().filter(|number| *number != 0)
    }

    /// One text, or several.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        self.value(key).map(texts).unwrap_or_default()
    }

    /// Names and values: a table, or a list of `name=value`.
    pub(super) fn map(&self, key: &str) -> BTreeMap<String, String> {
        self.pairs(key).into_iter().collect()
    }

    /// The same, in order; `name:value` counts too, as `extra_hosts` has it.
    pub(super) fn pairs(&self, key: &str) -> Vec<(String, String)> {
        match self.value(key) {
            Some(Value::Object(entries)) => {
                entries.iter().filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect()
            }
            Some(list) => {
                let pair = |text: String| {
                    let at = text.find(['=', ':'])?;
                    Some((text[..at].to_owned(), text[at + 1..].to_owned()))
                };
                texts(list).into_iter().filter_map(pair).collect()
            }
            None => Vec::new(),
        }
    }

    /// A command: a list, or a line that is cut as a shell would cut it.
    pub(super) fn words(&self, key: &str) -> Result<Option<Vec<String>>, Failure> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(line)) => {
                let line = unescaped(line);
                let words = crate::config::words::split(&line);
                words.map(Some).ok_or_else(|| self.refused(key, &format!("{line:?} has a quote that does not end")))
            }
            Some(list) => Ok(Some(texts(list))),
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<ByteSize>, Failure> {
        let size = self.value(key).map(|size| self.size_of(key, size)).transpose()?;
        Ok(size.filter(|size| size.0 > 0))
    }

    /// Bytes, or a number with one of Docker's units, which count in 1024.
    pub(super) fn size_of(&self, key: &str, value: &Value) -> Result<ByteSize, Failure> {
        let text = plain(value).unwrap_or_default();
        size(&text).ok_or_else(|| self.refused(key, &format!("{text:?} is not a size")))
    }

    /// `1m30s`, or `90s`.
    pub(super) fn duration_of(&self, key: &str, value: &Value) -> Result<Duration, Failure> {
        let text = plain(value).unwrap_or_default();
        duration(&text).ok_or_else(|| self.refused(key, &format!("{text:?} is not a duration")))
    }

    /// `deploy.resources.limits` or `.reservations`.
    pub(super) fn resources(&self, kind: &str) -> Map<String, Value> {
        let resources = self.table("deploy").and_then(|deploy| deploy.get("resources")?.get(kind)?.as_object());
        resources.cloned().unwrap_or_default()
    }

    pub(super) fn ulimits(&self) -> Result<BTreeMap<String, (i64, i64)>, Failure> {
        let Some(table) = self.table("ulimits") else { return Ok(BTreeMap::new()) };
        let number = |value: &Value| plain(value).and_then(|text| text.parse::<i64>().ok());
        let read = |(name, value): (&String, &Value)| {
            let both = match value {
                Value::Object(both) => both.get("soft").and_then(number).zip(both.get("hard").and_then(number)),
                one => number(one).map(|one| (one, one)),
            };
            Ok((name.clone(), both.ok_or_else(|| self.refused("ulimits", &format!("{name} is no limit")))?))
        };
        table.iter().map(read).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Compose writes `$$` for `$` in what it prints, so that it can read it again.
pub(super) fn unescaped(text: &str) -> String {
    text.replace("$$", "$")
}

/// A single value as text.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(unescaped(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// One text, or several.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(plain).collect(),
        one => plain(one).into_iter().collect(),
    }
}

pub(super) fn size(text: &str) -> Option<ByteSize> {
    let text = text.trim().to_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let factor: f64 = match text[end..].trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = text[..end].parse().ok()?;
    // Sizes that machines have fit.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(ByteSize((number * factor) as u64))
}

/// Go's durations: `1h2m3.5s`, `250ms`, `10us`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text.trim(), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let tail = &rest[end..];
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        total += number
            * match &tail[..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &tail[unit_end..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// A published port as text: `8080:9000`.
pub(super) fn port_text(port: &Value) -> String {
    match port {
        Value::Object(entry) => {
            let part = |key| entry.get(key).and_then(plain).filter(|text| !text.is_empty());
            let parts = [part("host_ip"), part("published"), part("target")];
            parts.into_iter().flatten().collect::<Vec<String>>().join(":")
        }
        other => plain(other).unwrap_or_default(),
    }
}

/// The port inside the container.
pub(super) fn port_target(port: &Value) -> Option<u16> {
    match port {
        Value::Object(entry) => plain(entry.get("target")?)?.parse().ok(),
        other => plain(other)?.split('/').next()?.rsplit(':').next()?.parse().ok(),
    }
}

/// A device, as `host:container:permissions`.
pub(super) fn device(device: &Value) -> Option<String> {
    match device {
        Value::Object(entry) => {
            let part = |key| entry.get(key).and_then(plain);
            let parts = [part("source"), part("target"), part("permissions")];
            Some(parts.into_iter().flatten().collect::<Vec<String>>().join(":"))
        }
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_composes_own() {
        for (text, bytes) in
            [("64M", 64 << 20), ("67108864", 64 << 20), ("1g", 1 << 30), ("0.5k", 512), ("10mb", 10 << 20)]
        {
            assert_eq!(size(text), Some(ByteSize(bytes)), "{text}");
        }
        for (text, millis) in [("1m30s", 90_000), ("90s", 90_000), ("1.5s", 1500), ("250ms", 250)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!((size("many"), duration("10"), duration("")), (None, None, None));
    }

    #[test]
    fn ports_have_many_forms() {
        let long = serde_json::json!({ "target": 9000, "published": "8080", "host_ip": "127.0.0.1" });
        assert_eq!((port_target(&long), port_text(&long)), (Some(9000), "127.0.0.1:8080:9000".to_owned()));
        for text in ["9000", "8080:9000", "127.0.0.1:8080:9000/tcp"] {
            assert_eq!(port_target(&Value::String(text.into())), Some(9000), "{text}");
        }
    }
}
