//! Files that the proxy sends itself.
//!
//! Everything that may wait for a disk (opening, looking, reading) happens on the runtime's threads for blocking work: a worker
//! that waited for a disk would hold up all its connections. What may be sent is decided twice: [`path`] reads the path strictly,
//! and the kernel is asked to resolve it beneath the folder ([`open`]), so that no symbolic link leads out of it.
//!
//! Deliberately absent: listings of folders, several ranges at once (the whole is sent, as RFC 9110, 14.2 allows), a cache of
//! descriptors: the page cache is one.

mod condition;
mod kind;
mod open;
mod path;
mod send;

use cutover_core::rules::{Files, Missing};

pub use condition::Asked;
pub use open::{Encodings, Found, Miss, open};
#[cfg(any(test, fuzzing))]
pub use path::file as file_of;
pub use send::send;

use crate::http::field::members;
use crate::http::request::Request;

/// A request for a file.
#[derive(Debug)]
pub struct Wanted {
    /// Where its files are.
    pub files: Files,
    /// Which: beneath the folder; none if no file can have this path.
    pub file: Option<Vec<u8>>,
    /// Whether the path ends with a slash, and so means a folder.
    pub folder: bool,
    /// The path and query as they were asked for.
    pub target: Vec<u8>,
    /// In which encodings it may be sent.
    pub encodings: Encodings,
    /// Under which conditions, and which part.
    pub asked: Asked,
}

/// What a request asks of these folders, the longest prefix first; none if of neither.
pub fn wanted(all: &[Files], head: &[u8], request: &Request) -> Option<Wanted> {
    let target = request.target.of(head);
    let path = target.split(|&b| b == b'?').next().unwrap_or_default();
    let (files, rest) = all.iter().find_map(|files| Some((files, path::below(&files.path, path)?)))?;
    let method = request.method.of(head);
    let reads = method == b"GET" || method == b"HEAD";
    if !reads && files.missing == Missing::Pass {
        return None;
    }
    let accepted = request.fields.iter().filter(|field| field.name.of(head).eq_ignore_ascii_case(b"accept-encoding"));
    Some(Wanted {
        files: files.clone(),
        file: path::file(rest),
        folder: rest.is_empty() || rest.ends_with(b"/"),
        target: target.to_vec(),
        encodings: Encodings::of(accepted.flat_map(|field| members(field.value.of(head)))),
        asked: Asked::of(head, request, reads),
    })
}
