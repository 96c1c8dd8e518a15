//! Who may ask, and how much.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cutover_core::rules::{Access, Password, Rate};

use super::Place;
use crate::config::reader::Reader;
use crate::config::service::listen::networks;

/// The hashes that the proxy knows, by how they begin.
const KINDS: &[&str] = &["$2a$", "$2b$", "$2x$", "$2y$", "$argon2", "$5$", "$6$"];

/// Reads both tables.
pub(super) fn read(access: &Reader, password: &Reader, place: &Place) -> Access {
    Access {
        allow: networks(access, "allow"),
        deny: networks(access, "deny"),
        password: self::password(password, place),
        rate: rate(access),
        at_once: access.number("at_once", 1..=100_000u32).map(|most| most.value),
    }
}

fn rate(reader: &Reader) -> Option<Rate> {
    let burst = reader.number("burst", 1..=100_000u32).map_or(20, |burst| burst.value);
    if !reader.has("rate") {
        if reader.has("burst") {
            reader.wrong_value("burst", reader.place_of("burst"), "has no meaning without rate").hint_if(None);
        }
        return None;
    }
    let rate = reader.text("rate")?;
    let read = || {
        let (requests, unit) = rate.value.split_once('/')?;
        let requests: u32 = requests.trim().parse().ok().filter(|requests| (1..=1_000_000).contains(requests))?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Rate { requests, per: Duration::from_secs(seconds), burst })
    };
    let found = read();
    if found.is_none() {
        let message = format_args!("expected a rate such as \"10/s\", \"600/m\" or \"5000/h\", found {:?}", rate.value);
        reader.wrong_value("rate", rate.at, message).hint("from 1 to 1000000 in a second, a minute or an hour");
    }
    found
}

fn password(reader: &Reader, place: &Place) -> Option<Password> {
    let realm = reader.plain("realm").map_or_else(|| "restricted".to_owned(), |realm| realm.value.to_owned());
    if realm.contains(['"', '\\']) {
        reader.wrong_value("realm", reader.place_of("realm"), "contains a quote or a backslash").hint_if(None);
    }
    let written = reader.plain("file")?;
    let file: PathBuf = place.resolve(written.value);
    match look(&file) {
        Ok(()) => {}
        Err(Fault::Line(line, what)) => reader
            .wrong_value("file", written.at, format_args!("line {line} of {:?} {what}", written.value))
            .hint("make it anew with `htpasswd -B`: bcrypt, Argon2 and SHA-crypt are understood"),
        // It is the proxy who has to read it, and it may be another user on another day.
        Err(Fault::Unread(why)) => {
            let message =
                format_args!("{:?} cannot be read now: {why}; until the proxy can, nobody gets in", written.value);
            reader.odd_value("file", written.at, message).hint_if(None);
        }
    }
    Some(Password { file, realm })
}

enum Fault {
    Line(usize, &'static str),
    Unread(String),
}

/// Looks for lines that are none. Says nothing of what is in them.
fn look(file: &Path) -> Result<(), Fault> {
    let unread = |error: std::io::Error| Fault::Unread(error.to_string());
    if !std::fs::metadata(file).map_err(unread)?.is_file() {
        return Err(Fault::Unread("it is no file".to_owned()));
    }
    let text = std::fs::read_to_string(file).map_err(unread)?;
    for (index, line) in
        text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let Some((_, hash)) = line.split_once(':') else { return Err(Fault::Line(index + 1, "is not name:hash")) };
        if !KINDS.iter().any(|kind| hash.starts_with(kind)) {
            return Err(Fault::Line(index + 1, "has a hash of no kind that the proxy knows"));
        }
    }
    Ok(())
}
