//! Answers that are compressed.

use cutover_core::ByteSize;
use cutover_core::rules::{Coding, Compress};

use crate::config::reader::Reader;

/// Reads the table; nothing is compressed without it.
pub(super) fn read(reader: &Reader) -> Option<Compress> {
    let min_size = reader.size("min_size", 0).unwrap_or(ByteSize(1 << 10));
    let mut codings = Vec::new();
    for name in reader.texts("codings").map(|names| names.value).unwrap_or_default() {
        match Coding::ALL.into_iter().find(|coding| coding.name() == name.value) {
            Some(coding) if !codings.contains(&coding) => codings.push(coding),
            Some(_) => {
                reader.wrong_value("codings", name.at, format_args!("{:?} is given twice", name.value)).hint_if(None)
            }
            None => {
                let message = format_args!("{:?} is not a coding", name.value);
                reader.wrong_value("codings", name.at, message).hint("write some of \"br\", \"zstd\" and \"gzip\"");
            }
        }
    }
    if codings.is_empty() {
        codings.extend(Coding::ALL);
    }
    reader.is_written().then_some(Compress { codings, min_size })
}
