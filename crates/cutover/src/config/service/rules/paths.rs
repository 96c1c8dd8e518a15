//! Prefixes that are taken off, redirects and rewrites.

use cutover_core::rules::{Pattern, Redirect, Rewrite, STATUSES};

use crate::config::reader::Reader;

/// The prefixes that are taken off: all of the route's, if so it says.
pub(super) fn strip<'a>(reader: &Reader, paths: impl Iterator<Item = &'a String>) -> Vec<String> {
    let Some(strip) = reader.flag("strip").filter(|strip| strip.value) else { return Vec::new() };
    let paths: Vec<String> = paths.filter(|path| *path != "/").cloned().collect();
    if paths.is_empty() {
        let message = "there is nothing to take off a route for every path";
        reader.wrong_value("strip", strip.at, message).hint("give the route a path such as \"/shop\", or remove strip");
    }
    paths
}

/// One redirect.
pub(super) fn redirect(reader: &Reader, hosts: &[String]) -> Option<Redirect> {
    let host = host(reader, hosts);
    let from = match reader.has("from") {
        true => pattern(reader)?,
        false if reader.has("host") => Pattern::try_from("/*".to_owned()).ok()?,
        false => {
            let message = format!("{}: missing", reader.path_of("from"));
            reader.mistake(reader.at, message).hint("write which path is meant, such as \"/old\" or \"/old/*\"");
            return None;
        }
    };
    let to = reader.plain("to")?;
    let status = reader.number("status", 100..=599u16).map_or(301, |status| status.value);
    if !STATUSES.contains(&status) {
        reader
            .wrong_value("status", reader.place_of("status"), format_args!("{status} is not a redirect"))
            .hint("write 301, 302, 307 or 308");
        return None;
    }
    let redirect = Redirect { host, from, to: to.value.to_owned(), status };
    match redirect.fault() {
        Ok(()) => Some(redirect),
        Err(fault) => {
            reader.wrong_value("to", to.at, fault).hint_if(None);
            None
        }
    }
}

/// One rewrite.
pub(super) fn rewrite(reader: &Reader) -> Option<Rewrite> {
    let (from, to) = (pattern(reader), reader.plain("to")?);
    let rewrite = Rewrite { from: from?, to: to.value.to_owned() };
    match rewrite.fault() {
        Ok(()) => Some(rewrite),
        Err(fault) => {
            reader.wrong_value("to", to.at, fault).hint_if(None);
            None
        }
    }
}

fn pattern(reader: &Reader) -> Option<Pattern> {
    let from = reader.plain("from")?;
    match Pattern::try_from(from.value.to_owned()) {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            reader.wrong_value("from", from.at, fault).hint("write \"/old\" for one path, \"/old/*\" for all below it");
            None
        }
    }
}

/// The host of a redirect. Requests for another than the route's do not come here.
fn host(reader: &Reader, hosts: &[String]) -> Option<String> {
    let host = reader.plain("host")?;
    let name = host.value.strip_suffix('.').unwrap_or(host.value).to_lowercase();
    let below =
        |wild: &String| wild.strip_prefix('*').is_some_and(|below| name.len() > below.len() && name.ends_with(below));
    if hosts.is_empty() || hosts.iter().any(|known| *known == name || below(known)) {
        return Some(name);
    }
    let message =
        format_args!("{:?} is not one of the hosts of this route, so that no request for it comes here", host.value);
    reader.wrong_value("host", host.at, message).hint("add it to hosts");
    None
}
