//! Figures of others that a release is held against while it is observed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rule::verdict::Bounds;
use crate::unit::duration;

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// Its name, for people.
    pub name: String,
    /// Who is asked.
    pub source: MetricSource,
    /// What is good.
    pub bounds: Bounds,
    /// How often it is asked for; once more when the time is over.
    #[serde(with = "duration")]
    pub every: Duration,
    /// How long an answer may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// Who is asked for a figure. In an address and a query, `{service}`, `{release}` and `{previous}` are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricSource {
    /// A Prometheus, or what answers as it does.
    Prometheus {
        /// Its address.
        url: String,
        /// A query that gives one value.
        query: String,
    },
    /// Whatever answers with a number, or with JSON that holds one.
    Http {
        /// Its address.
        url: String,
        /// Where the number is: a JSON pointer (RFC 6901); the whole answer without one.
        field: Option<String>,
    },
    /// A program whose last line is a number.
    Command(Vec<String>),
}
