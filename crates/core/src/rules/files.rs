//! Files that the proxy sends itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A folder whose files are sent for the paths below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The prefix, beginning with `/`, without a slash at the end but for `/` itself.
    pub path: String,
    /// The folder; absolute. Nothing outside of it is ever sent, also not by way of a symbolic link.
    pub directory: PathBuf,
    /// What becomes of a request for a file that is not there.
    #[serde(default)]
    pub missing: Missing,
    /// The value of `Cache-Control`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
}

/// What becomes of a request for a file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// 404.
    #[default]
    Refuse,
    /// The service gets it.
    Pass,
    /// The folder's own `index.html`, for applications that look at the path in the browser.
    Index,
}

impl Files {
    /// What is wrong with it.
    pub fn fault(&self) -> Result<(), String> {
        if !self.path.starts_with('/')
            || (self.path.len() > 1 && self.path.ends_with('/'))
            || self.path.contains(['?', '#', '%'])
        {
            return Err(format!("sends files for {:?}, which is not the beginning of a path", self.path));
        }
        if !self.directory.is_absolute() || self.directory.parent().is_none() {
            return Err(format!("sends files of {}, which is not a folder of its own", self.directory.display()));
        }
        match &self.cache_control {
            Some(value) => super::FieldRules::value_fault("Cache-Control", value).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }
}
