//! What is wrong, or odd, in a configuration: collected while reading, sorted by place, printed for people and for machines.

use std::cell::RefCell;
use std::fmt;

use serde::Serialize;

/// One thing that is wrong or odd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Where; `None` when it concerns no line (a file that is not there).
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What was found, and what was expected: a lowercase fragment.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as a person at the current directory would write it.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// The column, in characters from 1.
    pub column: u32,
}

impl Finding {
    /// A finding that concerns no line.
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts it at a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Writes it under a label: `error` or `warning`.
    fn write(&self, label: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{label}: {self}")
    }
}

/// `cutover.toml:12:3: unknown key "replica"`, and the hint on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Every mistake of a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(pub Vec<Finding>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            mistake.write("error", f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<Finding> for ConfigErrors {
    fn from(mistake: Finding) -> Self {
        Self(vec![mistake])
    }
}

/// Where readers put what they find. Shared, so that many readers can add to it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    mistakes: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

/// A finding that was just added, to give it a hint.
pub(super) struct Added<'a> {
    list: &'a RefCell<Vec<Finding>>,
}

impl Added<'_> {
    /// Adds what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) {
        if let Some(last) = self.list.borrow_mut().last_mut() {
            last.hint = Some(hint.into());
        }
    }

    /// Adds what to do about it, if something is known.
    pub(super) fn hint_if(self, hint: Option<String>) {
        if let Some(hint) = hint {
            self.hint(hint);
        }
    }
}

impl Findings {
    /// Adds a mistake.
    pub(super) fn mistake(&self, place: Option<Place>, message: impl Into<String>) -> Added<'_> {
        Self::add(&self.mistakes, place, message.into())
    }

    /// Adds a warning.
    pub(super) fn warning(&self, place: Option<Place>, message: impl Into<String>) -> Added<'_> {
        Self::add(&self.warnings, place, message.into())
    }

    fn add(list: &RefCell<Vec<Finding>>, place: Option<Place>, message: String) -> Added<'_> {
        list.borrow_mut().push(Finding { place, message, hint: None });
        Added { list }
    }

    /// The configuration with its warnings, unless there are mistakes.
    pub(super) fn into_result(self, config: Option<super::Config>) -> Result<super::Config, ConfigErrors> {
        let mistakes = sorted(self.mistakes.into_inner());
        match config {
            Some(config) if mistakes.is_empty() => {
                Ok(super::Config { warnings: sorted(self.warnings.into_inner()), ..config })
            }
            _ => Err(ConfigErrors(mistakes)),
        }
    }
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.place.is_none(), a).cmp(&(b.place.is_none(), b)));
    findings.dedup();
    findings
}
