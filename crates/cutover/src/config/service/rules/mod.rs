//! What the proxy does with requests besides passing them on, one file here for each subject.

mod access;
mod compress;
mod fields;
mod files;
mod pages;
mod paths;

use cutover_core::rules::{Rules, Side};
use cutover_core::spec::RouteKind;

use super::Place;
use crate::config::reader::Reader;

pub(crate) use pages::read_page;

/// The keys of a route that are read here. None of them has a meaning on a TCP route or beside an nginx.
pub(super) const KEYS: &[&str] = &[
    "strip",
    "redirect",
    "rewrite",
    "request_headers",
    "response_headers",
    "pages",
    "files",
    "access",
    "password",
    "compress",
    "maintenance",
];

/// Reads the rules of a route. Those of a TCP route are refused elsewhere.
pub(super) fn read(reader: &Reader, place: &Place, kind: &RouteKind) -> Rules {
    let RouteKind::Http { hosts, path, more } = kind else { return Rules::default() };
    Rules {
        strip: paths::strip(reader, std::iter::once(path).chain(more)),
        redirects: reader.list("redirect").iter().filter_map(|redirect| paths::redirect(redirect, hosts)).collect(),
        rewrites: reader.list("rewrite").iter().filter_map(paths::rewrite).collect(),
        request_fields: fields::read(&reader.section("request_headers"), Side::Request),
        answer_fields: fields::read(&reader.section("response_headers"), Side::Answer),
        files: files::read(reader, place),
        access: access::read(&reader.section("access"), &reader.section("password"), place),
        compress: compress::read(&reader.section("compress")),
        pages: pages::by_status(reader, place),
        maintenance: pages::maintenance(&reader.section("maintenance"), place),
    }
}
