//! A TOML file as a tree whose every key and value knows its offset in the text.
//!
//! Built from the parser's own spanned tree. Ours differs in that tables keep the order of the file, numbers are read, and
//! nothing borrows from the text; so that an environment can be laid over it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::Findings;
use super::source::Source;

/// A byte offset in the text.
pub(super) type Offset = usize;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where the value begins.
    pub(super) at: Offset,
    /// The value.
    pub(super) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A whole number that fits into 64 bits.
    Integer(i64),
    /// `true` or `false`.
    Flag(bool),
    /// A float, a date, or a number too large to be meant: kept as written, only to be shown.
    Other(&'static str, String),
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A table, in the order of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Where its header, or its opening brace, stands.
    pub(super) at: Offset,
    /// Its keys and values.
    pub(super) entries: Vec<Entry>,
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) at: Offset,
    /// Its value.
    pub(super) node: Node,
}

/// Parses the text. `None`, with mistakes added, if it is not TOML.
pub(super) fn parse(source: &Source, findings: &Findings) -> Option<Table> {
    let (tree, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let place = error.span().map(|span| source.place(span.start));
        findings.mistake(place, format!("this is not TOML: {}", error.message()));
    }
    errors.is_empty().then(|| table(0, tree.get_ref()))
}

fn table(at: Offset, from: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = from.iter().map(|(key, value)| entry(key, value)).collect();
    entries.sort_by_key(|entry| entry.at);
    Table { at, entries }
}

fn entry(key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Entry {
    let mut node = node(value);
    // The span of a table under a [header] is not reliable across parser versions; its key is where a person looks.
    if let Value::Table(table) = &mut node.value {
        table.at = key.span().start;
    }
    Entry { key: key.get_ref().to_string(), at: key.span().start, node }
}

fn node(from: &Spanned<DeValue<'_>>) -> Node {
    let at = from.span().start;
    let value = match from.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("the number", number.to_string()),
        },
        DeValue::Float(number) => Value::Other("the number", number.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(date) => Value::Other("the date", date.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(node).collect()),
        DeValue::Table(entries) => Value::Table(table(at, entries)),
    };
    Node { at, value }
}

impl Table {
    /// The entry of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The table under a key, if it is one.
    pub(super) fn table(&self, key: &str) -> Option<&Table> {
        match &self.get(key)?.node.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl Value {
    /// The value as part of a sentence: `the text "60"`, `a list`.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Text(text) => format!("the text {:?}", shortened(text)),
            Self::Integer(number) => format!("the number {number}"),
            Self::Flag(flag) => format!("{flag}"),
            Self::Other(kind, written) => format!("{kind} {written}"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// The beginning of a text that may be long.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
