//! The forms that a single value may have: texts, numbers, durations, sizes, lists of texts.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use cutover_core::rule::verdict::Share;
use cutover_core::unit::{ByteSize, duration};

use super::{Located, Reader};
use crate::config::tree::{Node, Value};

/// No wait is longer. Beyond it, adding a duration to a moment could overflow somewhere.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Whether a duration may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Zero {
    /// It may.
    Allowed,
    /// It would make no sense.
    Refused,
}

impl<'a> Reader<'a> {
    /// The value as it is written, whatever it is.
    pub(in crate::config) fn node(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A text.
    pub(in crate::config) fn text(&self, key: &str) -> Option<Located<&'a str>> {
        let node = self.node(key)?;
        match &node.value {
            Value::Text(text) => Some(Located { value: text, at: node.at }),
            _ => {
                self.wrong(key, node);
                None
            }
        }
    }

    /// A text that is not empty and has no control characters: a path, a name, a header.
    pub(in crate::config) fn plain(&self, key: &str) -> Option<Located<&'a str>> {
        let text = self.text(key)?;
        self.is_plain(key, &text).then_some(text)
    }

    fn is_plain(&self, key: &str, text: &Located<&str>) -> bool {
        let fault = match text.value {
            "" => "is empty",
            value if value.contains(char::is_control) => "contains a control character",
            _ => return true,
        };
        self.wrong_value(key, text.at, fault);
        false
    }

    /// `true` or `false`.
    pub(in crate::config) fn flag(&self, key: &str) -> Option<Located<bool>> {
        let node = self.node(key)?;
        match node.value {
            Value::Flag(flag) => Some(Located { value: flag, at: node.at }),
            _ => {
                self.wrong(key, node);
                None
            }
        }
    }

    /// A whole number within limits.
    pub(in crate::config) fn number<N>(&self, key: &str, limits: RangeInclusive<N>) -> Option<Located<N>>
    where
        N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let node = self.node(key)?;
        let Value::Integer(number) = node.value else {
            self.wrong(key, node);
            return None;
        };
        if let Some(value) = N::try_from(number).ok().filter(|value| limits.contains(value)) {
            return Some(Located { value, at: node.at });
        }
        let (low, high) = limits.into_inner();
        self.wrong_value(key, node.at, format_args!("expected a whole number from {low} to {high}, found {number}"));
        None
    }

    /// A percentage, as a share.
    pub(in crate::config) fn percentage(&self, key: &str) -> Option<Share> {
        let text = self.text(key)?;
        let number = text.value.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        let share = number.and_then(|number| Share::try_from(number / 100.0).ok());
        if share.is_none() {
            let message = format!("expected {}, found {:?}", self.expected(key), text.value);
            self.wrong_value(key, text.at, message).hint_if(None);
        }
        share
    }

    /// A number, whole or not.
    pub(in crate::config) fn decimal(&self, key: &str) -> Option<Located<f64>> {
        let node = self.node(key)?;
        let number = match &node.value {
            Value::Integer(number) => Some(*number as f64),
            // Floats are kept as they are written.
            Value::Other(_, text) => text.replace('_', "").parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.wrong(key, node).hint_if(None);
        }
        Some(Located { value: number?, at: node.at })
    }

    /// A whole number of per cent, which may be more than a hundred.
    pub(in crate::config) fn percent(&self, key: &str, most: u32) -> Option<u32> {
        let text = self.text(key)?;
        let number = text.value.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let percent = number.filter(|percent| *percent <= most);
        if percent.is_none() {
            let message = format!("expected {}, found {:?}", self.expected(key), text.value);
            self.wrong_value(key, text.at, message).hint_if(None);
        }
        percent
    }

    /// A duration.
    pub(in crate::config) fn duration(&self, key: &str, zero: Zero) -> Option<Duration> {
        let node = self.node(key)?;
        let Value::Text(text) = &node.value else {
            let hint = match node.value {
                Value::Integer(number) if number >= 0 => Some(format!("write \"{number}s\" if seconds are meant")),
                _ => None,
            };
            self.wrong(key, node).hint_if(hint);
            return None;
        };
        match duration::parse(text) {
            Err(_) => self.wrong(key, node).hint("the units are ms, s, m, h and d; no fractions"),
            Ok(time) if time > LONGEST => self.wrong_value(key, node.at, "is longer than a year (366d)").hint_if(None),
            Ok(Duration::ZERO) if zero == Zero::Refused => {
                self.wrong_value(key, node.at, "must not be zero").hint_if(None)
            }
            Ok(time) => return Some(time),
        }
        None
    }

    /// A size of at least `least` bytes.
    pub(in crate::config) fn size(&self, key: &str, least: u64) -> Option<ByteSize> {
        let node = self.node(key)?;
        let size = match &node.value {
            Value::Text(text) => text.parse().ok(),
            Value::Integer(bytes) => u64::try_from(*bytes).ok().map(ByteSize),
            _ => None,
        };
        match size {
            None => self.wrong(key, node).hint_if(None),
            Some(size) if size.0 < least => {
                let least = ByteSize(least);
                self.wrong_value(key, node.at, format_args!("must be at least {least}")).hint_if(None);
            }
            Some(size) => return Some(size),
        }
        None
    }

    /// A list of texts; those of its items that are texts.
    pub(in crate::config) fn texts(&self, key: &str) -> Option<Located<Vec<Located<&'a str>>>> {
        let node = self.node(key)?;
        let Value::List(items) = &node.value else {
            let hint = match &node.value {
                Value::Text(text) if text.len() < 80 => Some(format!("write [{text:?}]")),
                _ => None,
            };
            self.wrong(key, node).hint_if(hint);
            return None;
        };
        Some(Located { value: items.iter().filter_map(|item| self.item(key, item)).collect(), at: node.at })
    }

    /// One text of a list.
    fn item(&self, key: &str, item: &'a Node) -> Option<Located<&'a str>> {
        let Value::Text(text) = &item.value else {
            let hint = match item.value {
                Value::Integer(number) => Some(format!("write \"{number}\"")),
                _ => None,
            };
            let found = item.value.described();
            self.wrong_value(key, item.at, format_args!("expected a text in quotes, found {found}")).hint_if(hint);
            return None;
        };
        Some(Located { value: text.as_str(), at: item.at })
    }

    /// One text, or a list of them; each not empty and without control characters.
    pub(in crate::config) fn one_or_more(&self, key: &str) -> Vec<Located<&'a str>> {
        let texts = match self.node(key).map(|node| &node.value) {
            Some(Value::Text(_)) => self.text(key).into_iter().collect(),
            Some(_) => self.texts(key).map(|texts| texts.value).unwrap_or_default(),
            None => Vec::new(),
        };
        texts.into_iter().filter(|text| self.is_plain(key, text)).collect()
    }

    /// Names and values. Numbers and flags count as their text. What is wrong is told without the value, which may be secret.
    pub(in crate::config) fn values(&self, key: &str) -> BTreeMap<&'a str, Located<String>> {
        let Some(node) = self.node(key) else { return BTreeMap::new() };
        let Value::Table(table) = &node.value else {
            self.wrong_value(key, node.at, format_args!("expected {}", self.expected(key)));
            return BTreeMap::new();
        };
        let read = |entry: &'a crate::config::tree::Entry| {
            let value = match &entry.node.value {
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
                _ => {
                    self.wrong_value(key, entry.node.at, format_args!("{}: expected a text in quotes", entry.key));
                    return None;
                }
            };
            Some((entry.key.as_str(), Located { value, at: entry.node.at }))
        };
        table.entries.iter().filter_map(read).collect()
    }
}
