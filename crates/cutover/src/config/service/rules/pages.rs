//! Pages of one's own, and what clients get during maintenance. Their files are read here, so that a release has its pages as it has
//! its artifact.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use cutover_core::rules::{MAX_PAGE, Maintenance, PAGED, Page};

use super::Place;
use crate::config::reader::{Reader, Zero};
use crate::config::service::listen::networks;
use crate::config::tree::Offset;

/// The pages by status.
pub(super) fn by_status(reader: &Reader, place: &Place) -> BTreeMap<u16, Page> {
    let mut pages = BTreeMap::new();
    for (name, file) in reader.values("pages") {
        match name.parse().ok().filter(|status| PAGED.contains(status)) {
            Some(status) => pages.extend(page(reader, place, "pages", &file.value, file.at).map(|page| (status, page))),
            None => reader
                .wrong_value(
                    "pages",
                    file.at,
                    format_args!("{name:?} is not a status that the proxy answers with itself"),
                )
                .hint("pages can be given for 401, 403, 404, 413, 429, 502, 503 and 504"),
        }
    }
    pages
}

/// What clients get during maintenance, if anything is written of it.
pub(super) fn maintenance(reader: &Reader, place: &Place) -> Option<Maintenance> {
    let page = reader.plain("page").and_then(|file| page(reader, place, "page", file.value, file.at));
    let retry_after = Some(reader.duration("retry_after", Zero::Refused).map_or(120, seconds));
    let allow = networks(reader, "allow");
    reader.is_written().then_some(Maintenance { page, retry_after, allow })
}

/// Whole seconds, at least one.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)
}

fn page(reader: &Reader, place: &Place, key: &str, file: &str, at: Offset) -> Option<Page> {
    match read_page(&place.resolve(file)) {
        Ok(page) => Some(page),
        Err(fault) => {
            reader.wrong_value(key, at, format_args!("{file:?} {fault}")).hint_if(None);
            None
        }
    }
}

/// Reads a page; what is wrong completes "the file ...".
pub(crate) fn read_page(path: &Path) -> Result<Page, String> {
    // What is no file might keep us waiting for ever.
    let kind = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !kind.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    // One byte more than may be, so that a file that grows, or a device, is not read to its end.
    file.take(MAX_PAGE as u64 + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > MAX_PAGE {
        return Err("is larger than 64 KiB, the limit for a page".to_owned());
    }
    let body = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    Ok(Page::of(&path.to_string_lossy(), body))
}
