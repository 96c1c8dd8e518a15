//! Pages that clients see in place of the proxy's own words. Their text is in the table, so that they are there when everything
//! else is gone.

use serde::{Deserialize, Serialize};

use crate::table::Network;

/// The largest page, in bytes. Every table that is published carries all pages.
pub const MAX_PAGE: usize = 64 << 10;

/// The statuses of the proxy's own that may have a page.
pub const PAGED: [u16; 8] = [401, 403, 404, 413, 429, 502, 503, 504];

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Its content type.
    pub kind: String,
    /// Its text.
    pub body: String,
}

/// A service that is down on purpose: every request is answered with 503 and a page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintenance {
    /// What clients see; a plain sentence if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// The value of `Retry-After`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// Clients that are served all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
}

impl Page {
    /// A page from the text of a file of this name; the ending says what it is.
    pub fn of(name: &str, body: String) -> Self {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        let kind = match ending.as_str() {
            "html" | "htm" => "text/html; charset=utf-8",
            "json" => "application/json",
            _ => "text/plain; charset=utf-8",
        };
        Self { kind: kind.to_owned(), body }
    }

    /// What is wrong with it.
    pub fn fault(&self, status: Option<u16>) -> Result<(), String> {
        if status.is_some_and(|status| !PAGED.contains(&status)) {
            return Err(format!("has a page for {}: use one of {PAGED:?}", status.unwrap_or_default()));
        }
        if self.body.len() > MAX_PAGE {
            return Err(format!("has a page of {} bytes, and {MAX_PAGE} is the limit", self.body.len()));
        }
        if self.kind.is_empty() || !self.kind.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(format!("has a page of the kind {:?}, which is none", self.kind));
        }
        Ok(())
    }
}

impl Maintenance {
    /// This one, with what somebody said when it began in place of what was configured.
    pub fn with(&self, said: &Self) -> Self {
        Self {
            page: said.page.clone().or_else(|| self.page.clone()),
            retry_after: said.retry_after.or(self.retry_after),
            allow: if said.allow.is_empty() { self.allow.clone() } else { said.allow.clone() },
        }
    }
}
