//! What must hold of every parser of ours for any bytes at all. The tests try it on the seeds in `fuzz/seeds` and on mutations of
//! them; `cargo xtask fuzz` searches for bytes that break it, for as long as it is told.
//!
//! A property panics if it does not hold. None of them touches a socket, a clock or a disk.

use cutover_core::table::Table;
use cutover_core::trail::Format;

use crate::check::check;
use crate::http::body::{Body, Framing};
use crate::http::field;
use crate::http::head::{Field, Scan};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::rule::file_of;
use crate::stream::preamble;

/// A property, and what is thrown at it.
pub type Property = fn(&[u8]);

/// All of them, by the names of their seed folders.
pub const PROPERTIES: [(&str, Property); 8] = [
    ("request", request),
    ("answer", answer),
    ("chunked", chunked),
    ("introduction", introduction),
    ("path", path),
    ("table", table),
    ("stored", stored),
    ("template", template),
];

/// A request is read in one way: wherever the bytes are cut, again when it is written down again, and as another strict parser
/// reads it.
fn request(bytes: &[u8]) {
    let Some(head) = head(bytes) else { return };
    let (mut first, mut again) = (Request::default(), Request::default());
    if first.parse(head).is_err() {
        return;
    }
    let written = written(
        &format!("{} {} HTTP/1.{}", text(first.method.of(head)), text(first.target.of(head)), u8::from(!first.old)),
        &first.fields,
        head,
    );
    again.parse(&written).expect("what was read once is read again");
    assert_eq!(meaning(&first, head), meaning(&again, &written));
    // Bytes above 127 in a target, which browsers send unescaped, pass here and not there.
    if !first.target.of(head).is_ascii() {
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 200];
    let mut other = httparse::Request::new(&mut fields);
    match other.parse(head) {
        Ok(httparse::Status::Complete(length)) => assert_eq!(length, head.len(), "it ends elsewhere for somebody else"),
        read => panic!("somebody else reads {read:?}"),
    }
    assert_eq!(other.method.map(str::as_bytes), Some(first.method.of(head)));
    assert_eq!(other.headers.len(), first.fields.len(), "somebody else sees other fields");
    for (theirs, ours) in other.headers.iter().zip(&first.fields) {
        assert_eq!((theirs.name.as_bytes(), theirs.value), (ours.name.of(head), ours.value.of(head)));
    }
}

/// The same of an answer.
fn answer(bytes: &[u8]) {
    let Some(head) = head(bytes) else { return };
    for bodiless in [false, true] {
        let (mut first, mut again) = (Response::default(), Response::default());
        if first.parse(head, bodiless).is_err() {
            continue;
        }
        let version = text(&head[..8]);
        let written = written(&format!("{version} {}", text(first.line.of(head))), &first.fields, head);
        again.parse(&written, bodiless).expect("what was read once is read again");
        let meaning = |answer: &Response| (answer.status, answer.framing, answer.keep, answer.events);
        assert_eq!(meaning(&first), meaning(&again));
    }
}

/// A body in chunks is read in one way, however it is cut, and its canonical form says the same and is its own canonical form.
fn chunked(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let (whole, step) = (recode(bytes, bytes.len().max(1)), usize::from(step).max(1));
    let content = |recoded: &Option<(Vec<u8>, Vec<u8>)>| recoded.as_ref().map(|(_, content)| content.clone());
    assert_eq!(content(&whole), content(&recode(bytes, step)), "in steps of {step}");
    let Some((chunks, content)) = whole else { return };
    let again = recode(&chunks, chunks.len());
    assert_eq!(again, Some((chunks, content)), "the canonical form is another message");
}

/// The canonical chunks, and the content; none if it is refused, or has no end.
fn recode(bytes: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut chunks, mut content) = (Vec::new(), Vec::new());
    let mut bodies = [Body::new(Framing::Chunked, true), Body::new(Framing::Chunked, false)];
    for (body, out) in bodies.iter_mut().zip([&mut chunks, &mut content]) {
        let (mut read, mut come) = (0, 0);
        while come < bytes.len() && !body.done() {
            come = (come + step).min(bytes.len());
            read += body.pass(&bytes[read..come], out).ok()?;
        }
    }
    let [chunked, plain] = &bodies;
    assert_eq!((chunked.done(), chunked.received()), (plain.done(), plain.received()));
    assert_eq!(plain.received(), content.len() as u64);
    chunked.done().then_some((chunks, content))
}

/// A header of the PROXY protocol: it ends where it says, more bytes do not change it, and written anew it names the same client.
fn introduction(bytes: &[u8]) {
    preamble::holds_for(bytes);
}

/// No path leads out of a folder or to a hidden file, and none holds what means something else to a kernel.
fn path(bytes: &[u8]) {
    let Some(file) = file_of(bytes) else { return };
    assert!(!file.starts_with(b"/") && !file.contains(&0) && !file.contains(&b'\\'));
    for segment in file.split(|&b| b == b'/') {
        assert!(segment.first() != Some(&b'.') || segment == b".well-known", "{:?}", text(segment));
    }
}

/// A table that can be read can be checked and written, and is then the same.
fn table(bytes: &[u8]) {
    let Ok(table) = serde_json::from_slice::<Table>(bytes) else { return };
    let _ = check(&table);
    let written = serde_json::to_vec(&table).expect("a table can be written");
    assert_eq!(serde_json::from_slice::<Table>(&written).expect("and read"), table);
}

/// A table at rest is one or none.
fn stored(bytes: &[u8]) {
    let _ = crate::disk::parse(bytes);
}

/// The template of an access log reads the same once it was written.
fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(format) = Format::parse(text) else { return };
    assert_eq!(Format::try_from(format.to_string()).expect("what was written is read"), format);
}

/// The head at the beginning of these bytes, if there is a whole one; cut anywhere, its end is found at the same place.
fn head(bytes: &[u8]) -> Option<&[u8]> {
    let end = Scan::default().end(bytes).ok()??;
    let cut = usize::from(bytes[0]) % bytes.len();
    let mut scan = Scan::default();
    let found = scan.end(&bytes[..cut]).expect("good bytes").or_else(|| scan.end(bytes).expect("good bytes"));
    assert_eq!(found, Some(end), "cut at {cut}");
    Some(&bytes[..end])
}

/// What a request means, besides its bytes.
fn meaning(request: &Request, head: &[u8]) -> impl PartialEq + std::fmt::Debug + use<> {
    let span = |span: Option<crate::http::head::Span>| span.map(|span| text(span.of(head)));
    let Request { old, keep, framing, expects, trailers, connection_names, .. } = *request;
    (
        (text(request.method.of(head)), text(request.target.of(head)), span(request.host), span(request.upgrade)),
        (old, keep, framing, expects, trailers, connection_names),
    )
}

/// A head of this line and these fields, in the form in which the proxy writes them.
fn written(line: &str, fields: &[Field], head: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = line.chars().map(|c| c as u8).collect();
    out.extend_from_slice(b"\r\n");
    for each in fields {
        field::line(&mut out, each.name.of(head), each.value.of(head));
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Each byte as a character, so that nothing is lost.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
        fs::read_dir(folder).unwrap().map(|seed| fs::read(seed.unwrap().path()).unwrap()).collect()
    }

    /// Of each property.
    static SEEDS: LazyLock<Vec<Vec<Vec<u8>>>> =
        LazyLock::new(|| PROPERTIES.iter().map(|(name, _)| seeds(name)).collect());

    #[test]
    fn every_property_holds_for_its_seeds() {
        for ((name, property), seeds) in PROPERTIES.iter().zip(&*SEEDS) {
            assert!(!seeds.is_empty(), "{name} has no seeds");
            seeds.iter().for_each(|seed| property(seed));
        }
        for seed in seeds("table") {
            serde_json::from_slice::<Table>(&seed).expect("a seed that is no table tries nothing");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A few bytes of a seed are replaced, doubled or left out.
        #[test]
        fn every_property_holds_for_what_is_nearly_right(
            which in 0..PROPERTIES.len(),
            seed: prop::sample::Index,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
        ) {
            let (_, property) = PROPERTIES[which];
            let mut bytes = seed.get(&SEEDS[which]).clone();
            for (at, byte, how) in changes {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, bytes[at]),
                    _ => drop(bytes.remove(at)),
                }
            }
            property(&bytes);
        }
    }
}
