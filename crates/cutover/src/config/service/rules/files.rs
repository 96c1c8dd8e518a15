//! Files that the proxy sends itself.

use std::path::PathBuf;

use cutover_core::rules::{FieldRules, Files, Missing};

use super::Place;
use crate::config::reader::{Located, Reader};

/// Reads all of them.
pub(super) fn read(route: &Reader, place: &Place) -> Vec<Files> {
    let mut all: Vec<Files> = Vec::new();
    for reader in route.list("files") {
        let Some(files) = one(&reader, place) else { continue };
        if all.iter().any(|other| other.path == files.path) {
            let message = format_args!("{:?} is given twice", files.path);
            reader.wrong_value("path", reader.place_of("path"), message).hint("only one folder can be meant");
        }
        all.push(files);
    }
    all
}

fn one(reader: &Reader, place: &Place) -> Option<Files> {
    let words = [("refuse", Missing::Refuse), ("pass", Missing::Pass), ("index", Missing::Index)];
    let missing = reader.one_of("missing", &words).unwrap_or_default();
    let (path, directory) = (path(reader), directory(reader, place));
    let files = Files { path: path?, directory: directory?, missing, cache_control: cache_control(reader) };
    match files.fault() {
        Ok(()) => Some(files),
        Err(fault) => {
            reader
                .mistake(reader.at, format!("{}: {fault}", reader.path()))
                .hint("name a folder of its own, such as \"public\"");
            None
        }
    }
}

fn path(reader: &Reader) -> Option<String> {
    let path = reader.plain("path")?;
    if !path.value.starts_with('/') || path.value.contains(['?', '#', '%', '*', ' ']) {
        let message = format_args!("{:?} is not the beginning of a path", path.value);
        reader.wrong_value("path", path.at, message).hint("write for example \"/assets\"");
        return None;
    }
    let trimmed = path.value.trim_end_matches('/');
    Some(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}

/// The folder. One that is not there may be made by the deployment, but is most often a slip.
fn directory(reader: &Reader, place: &Place) -> Option<PathBuf> {
    let written: Located<&str> = reader.plain("directory")?;
    let directory = place.resolve(written.value);
    if !directory.is_dir() {
        let message =
            format_args!("{:?} is not a folder now: requests for its files will be answered with 404", written.value);
        reader.odd_value("directory", written.at, message);
    }
    Some(directory)
}

fn cache_control(reader: &Reader) -> Option<String> {
    let value = reader.plain("cache_control")?;
    if let Some(fault) = FieldRules::value_fault("Cache-Control", value.value) {
        reader.wrong_value("cache_control", value.at, fault).hint_if(None);
        return None;
    }
    Some(value.value.to_owned())
}
