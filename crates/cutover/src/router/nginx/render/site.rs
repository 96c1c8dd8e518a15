//! A whole file, copied from one of several that the user keeps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{RenderError, Wanted};

const SHAPE: &str = "a site file";

/// The file for whoever serves: the one given for its address, else for its port.
pub(super) fn choose<'a>(
    choices: &'a BTreeMap<String, PathBuf>,
    wanted: &Wanted,
) -> Result<Option<&'a Path>, RenderError> {
    let Some(server) = wanted.only(SHAPE)? else { return Ok(None) };
    let address = server.address;
    let chosen = choices.get(&address.to_string()).or_else(|| choices.get(&address.port().to_string()));
    let keys = || choices.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let none = || RenderError::File(format!("no site file is given for {address}; there are some for {}", keys()));
    chosen.map(|path| Some(path.as_path())).ok_or_else(none)
}
