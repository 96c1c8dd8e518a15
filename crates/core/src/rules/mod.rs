//! What the proxy does with the requests of one service besides passing them on: redirects, rewrites, header rules, pages,
//! files, access, compression. Plain data in the table; the proxy compiles it when a table is published.
//!
//! A service without any of it has none of this in the table, and pays nothing for it.

mod access;
mod compress;
mod field;
mod files;
mod page;
mod path;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use access::{Access, Password, Rate};
pub use compress::{Coding, Compress};
pub use field::{FieldRules, Side};
pub use files::{Files, Missing};
pub use page::{MAX_PAGE, Maintenance, PAGED, Page};
pub use path::{Pattern, Redirect, Rewrite, STATUSES, check_goal};

/// The rules of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Path prefixes that are taken off before the request is passed on, without a slash at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strip: Vec<String>,
    /// Requests that are sent elsewhere; the first that fits counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// Paths that the instance gets in another form; the first that fits counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<Rewrite>,
    /// What is changed in the head that the instance gets.
    #[serde(skip_serializing_if = "FieldRules::is_empty")]
    pub request_fields: FieldRules,
    /// What is changed in the head that the client gets.
    #[serde(skip_serializing_if = "FieldRules::is_empty")]
    pub answer_fields: FieldRules,
    /// What clients see in place of the proxy's own words, by status.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pages: BTreeMap<u16, Page>,
    /// Folders whose files the proxy sends itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Files>,
    /// Who may ask, and how much.
    #[serde(skip_serializing_if = "Access::is_empty")]
    pub access: Access,
    /// How answers are compressed, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<Compress>,
    /// In a specification: how the service is taken down for maintenance, once somebody does. In a table: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

impl Rules {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same, with the service down for maintenance or not.
    pub fn under(&self, maintenance: Option<Maintenance>) -> Self {
        Self { maintenance, ..self.clone() }
    }

    /// What is wrong with them, as sentences without a subject; empty if nothing is. The configuration says the same with the
    /// line; this is for a table that somebody else made.
    pub fn faults(&self) -> Vec<String> {
        let strip = self.strip.iter().filter(|path| !path.starts_with('/') || path.ends_with('/'));
        let mut faults: Vec<String> =
            strip.map(|path| format!("takes off the prefix {path:?}, which is none")).collect();
        faults.extend(self.redirects.iter().filter_map(|redirect| redirect.fault().err()));
        faults.extend(self.rewrites.iter().filter_map(|rewrite| rewrite.fault().err()));
        faults.extend(self.files.iter().filter_map(|files| files.fault().err()));
        faults.extend(self.access.fault().err());
        faults.extend(self.request_fields.faults(Side::Request));
        faults.extend(self.answer_fields.faults(Side::Answer));
        let pages = self.pages.iter().map(|(status, page)| (Some(*status), page));
        let down = self.maintenance.iter().filter_map(|down| Some((None, down.page.as_ref()?)));
        faults.extend(pages.chain(down).filter_map(|(status, page)| page.fault(status).err()));
        faults
    }
}
