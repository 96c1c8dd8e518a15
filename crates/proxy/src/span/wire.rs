//! Protocol Buffers, as far as spans need them: four kinds of fields are written, and nothing is read.
//!
//! Source: the description of its encoding (protobuf.dev/programming-guides/encoding). Which number a field has stands where it is written.

/// A whole number.
pub fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, 0);
    varint(out, value);
}

/// Eight bytes: a time, or a fraction.
pub fn eight(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Four bytes.
pub fn four(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Bytes.
pub fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A message in the message.
pub fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, 2);
    let begin = out.len();
    write(out);
    // Its length stands before it, and is known only now.
    let length = out.len() - begin;
    varint(out, length as u64);
    let end = out.len() - begin - length;
    out[begin..].rotate_right(end);
}

fn tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}

/// Seven bits in a byte, the lowest first; the eighth says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the description.
    #[test]
    fn it_is_written_as_it_is_described() {
        let mut out = Vec::new();
        number(&mut out, 1, 150);
        bytes(&mut out, 2, b"testing");
        assert_eq!(out, b"\x08\x96\x01\x12\x07testing");
        let mut out = Vec::new();
        message(&mut out, 3, |out| number(out, 1, 150));
        assert_eq!(out, b"\x1a\x03\x08\x96\x01");
        let mut out = Vec::new();
        message(&mut out, 1, |out| bytes(out, 1, &[7; 200]));
        assert_eq!((&out[..6], out.len()), (&b"\x0a\xcb\x01\x0a\xc8\x01"[..], 206));
    }
}
