//! Just enough of WebSocket (RFC 6455) to end a connection in its own words.
//!
//! A close frame may stand only between two frames. So the proxy follows the frames that pass, by their lengths alone; if a
//! stream is to end while it stands between frames, it gets a close frame, and the client reconnects at once instead
//! of taking it for a network failure.

/// To the client: a close frame with code 1012, "service restart".
pub const CLOSE_CLIENT: [u8; 4] = [0x88, 2, 0x03, 0xf4];

/// To the instance: a close frame with code 1001, "going away", masked with zeros as a client's frames must be masked.
pub const CLOSE_INSTANCE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub struct Frames {
    header: Vec<u8>,
    payload: u64,
}

impl Frames {
    /// Bytes pass.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skip = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skip as u64;
                bytes = &bytes[skip..];
            } else {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                if let Some(payload) = payload(&self.header) {
                    self.payload = payload;
                    self.header.clear();
                }
            }
        }
    }

    /// Whether the last frame is whole and no other has begun.
    pub fn between(&self) -> bool {
        self.payload == 0 && self.header.is_empty()
    }
}

/// The length of the payload (RFC 6455, 5.2), once the header is whole.
fn payload(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if header.len() < 2 + extended + mask {
        return None;
    }
    let number = header[2..2 + extended].iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    Some(if extended == 0 { u64::from(second & 0x7f) } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_followed_byte_by_byte() {
        let mut stream = vec![0x81, 3, b'a', b'b', b'c', 0x82, 126, 1, 0];
        stream.extend([7; 256]);
        stream.extend([0x81, 0x82, 1, 2, 3, 4, 5, 6, 0x89, 0, 0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
        let mut between = vec![];
        let mut frames = Frames::default();
        for (index, byte) in stream.iter().enumerate() {
            frames.pass(&[*byte]);
            if frames.between() {
                between.push(index + 1);
            }
        }
        assert_eq!(between, [5, 265, 273, 275, stream.len()]);
    }
}
