//! Reads the keys of one table, and collects what is wrong with them instead of stopping.
//!
//! Each method takes a key's name and gives its value, or `None` if it is missing or wrong; in the latter case the mistake has
//! been added. What was expected is said by the table of keys.

mod scalar;

pub(super) use scalar::Zero;

use cutover_core::ServiceName;

use super::finding::{Added, Findings};
use super::keys::{Section, nearest};
use super::source::Source;
use super::tree::{Entry, Node, Offset, Table, Value};
use super::unknown::missing;

/// A table, and where its mistakes go.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    /// The name of the table: for `[service.web]`, `web`.
    pub(super) name: &'a str,
    /// Where the table, or the nearest one around it that is written, stands.
    pub(super) at: Offset,
    table: Option<&'a Table>,
    section: &'static Section,
    path: String,
    source: &'a Source,
    findings: &'a Findings,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located<T> {
    /// The value.
    pub(super) value: T,
    /// Where it stands.
    pub(super) at: Offset,
}

impl<'a> Reader<'a> {
    /// The reader of the whole file.
    pub(super) fn top(file: &'a Table, source: &'a Source, findings: &'a Findings) -> Self {
        let section = Section::of("").expect("the table of keys begins with the top of the file");
        let reader = Self { name: "", at: file.at, table: Some(file), section, path: String::new(), source, findings };
        reader.require();
        reader
    }

    /// The reader of a table under this one; of an empty one if it is not there.
    pub(super) fn section(&self, key: &'static str) -> Reader<'a> {
        let section = self.section.below(key).expect("a section is read by a name from the table of keys");
        let entry = self.entry(key);
        let table = entry.and_then(|entry| match &entry.node.value {
            Value::Table(table) => Some(table),
            _ => {
                self.wrong(key, &entry.node);
                None
            }
        });
        let at = table.map_or(self.at, |table| table.at);
        let reader = Reader { name: key, at, table, section, path: self.path_of(key), ..self.clone() };
        reader.require();
        reader
    }

    /// The readers of the tables by name under a key.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Reader<'a>> {
        let section = self.section.below(key).or_else(|| self.section.below(&format!("{key}.NAME")));
        let section = section.expect("tables are read by a name from the table of keys");
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Value::Table(named) = &entry.node.value else {
            self.wrong(key, &entry.node);
            return Vec::new();
        };
        if named.entries.is_empty() {
            self.mistake(entry.at, format!("{}: there is none in this table", self.path_of(key)));
        }
        named.entries.iter().filter_map(|named| self.named(key, named, section)).collect()
    }

    /// The readers of the tables in a list.
    pub(super) fn list(&self, key: &'static str) -> Vec<Reader<'a>> {
        let section = self.section.below(key).expect("a list is read by a name from the table of keys");
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Value::List(items) = &entry.node.value else {
            self.wrong(key, &entry.node);
            return Vec::new();
        };
        let read = |(index, item): (usize, &'a Node)| {
            let Value::Table(table) = &item.value else {
                self.wrong(key, item);
                return None;
            };
            let path = format!("{}[{}]", self.path_of(key), index + 1);
            let reader = Reader { name: key, at: table.at, table: Some(table), section, path, ..self.clone() };
            reader.require();
            Some(reader)
        };
        items.iter().enumerate().filter_map(read).collect()
    }

    fn named(&self, key: &str, entry: &'a Entry, section: &'static Section) -> Option<Reader<'a>> {
        let path = format!("{}.{}", self.path_of(key), entry.key);
        let Value::Table(table) = &entry.node.value else {
            let found = entry.node.value.described();
            self.mistake(entry.node.at, format!("{path}: expected a table, found {found}"))
                .hint(format!("begin a table with [{path}]"));
            return None;
        };
        let reader = Reader { name: &entry.key, at: table.at, table: Some(table), section, path, ..self.clone() };
        reader.require();
        Some(reader)
    }

    fn require(&self) {
        let Some(table) = self.table else { return };
        for key in missing(table, self.section) {
            self.mistake(self.at, format!("{}: missing", self.path_of(key.name)))
                .hint(format!("expected {}", key.form.expected()));
        }
    }

    /// The project's name.
    pub(super) fn project(&self) -> Option<String> {
        let project = self.text("project")?;
        match ServiceName::new(project.value) {
            Ok(name) => Some(name.to_string()),
            Err(_) => {
                self.mistake(project.at, format!("project: {:?} is not a name", project.value))
                    .hint("use 1 to 40 of a-z, 0-9, '-' and '_', beginning with a letter");
                None
            }
        }
    }

    /// Whether the key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Whether the table itself is written.
    pub(super) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// Where a key's value stands; where the table does if it is not written.
    pub(super) fn place_of(&self, key: &str) -> Offset {
        self.entry(key).map_or(self.at, |entry| entry.node.at)
    }

    /// Adds a mistake about a key: its path, a colon, and the message.
    pub(super) fn wrong_value(&self, key: &str, at: Offset, message: impl std::fmt::Display) -> Added<'a> {
        self.mistake(at, format!("{}: {message}", self.path_of(key)))
    }

    /// Adds a warning about a key.
    pub(super) fn odd_value(&self, key: &str, at: Offset, message: impl std::fmt::Display) -> Added<'a> {
        self.findings.warning(Some(self.source.place(at)), format!("{}: {message}", self.path_of(key)))
    }

    /// Adds a mistake at a place.
    pub(super) fn mistake(&self, at: Offset, message: impl Into<String>) -> Added<'a> {
        self.findings.mistake(Some(self.source.place(at)), message)
    }

    /// Where findings about other files go.
    pub(super) fn findings(&self) -> &'a Findings {
        self.findings
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        debug_assert!(
            self.section.key(key).is_some(),
            "{key} is missing from the table of keys of {}",
            self.section.path
        );
        self.table?.get(key)
    }

    /// The dotted path of this table.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The dotted path of a key of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn expected(&self, key: &str) -> String {
        self.section.key(key).map(|key| key.form.expected()).unwrap_or_default()
    }

    /// Adds a mistake about a value of the wrong form.
    pub(super) fn wrong(&self, key: &str, node: &Node) -> Added<'a> {
        self.wrong_value(
            key,
            node.at,
            format_args!("expected {}, found {}", self.expected(key), node.value.described()),
        )
    }

    /// One of a few words, given with what each stands for.
    pub(super) fn one_of<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text(key)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word.value) {
            return Some(choice.clone());
        }
        let names = || choices.iter().map(|(name, _)| *name);
        let meant = nearest(word.value, names()).or_else(|| names().find(|name| word.value.ends_with(name)));
        self.wrong_value(key, word.at, format_args!("expected {}, found {:?}", self.expected(key), word.value))
            .hint_if(meant.map(|meant| format!("did you mean {meant:?}?")));
        None
    }
}
