//! WebSocket frames as a client writes and reads them (RFC 6455, section 5). Strict: extensions were not asked for, so their
//! bits are errors, and so is a masked frame from a server.

use crate::failure::Fault;

/// A message longer than this is refused.
const LONGEST: u64 = 1024 * 1024;

const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

/// What a server has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A whole text or binary message.
    Message(Vec<u8>),
    /// A ping, to be answered with the same bytes.
    Ping(Vec<u8>),
    /// A pong that nobody has asked for.
    Pong,
    /// The end, with its code if it has one.
    Close(Option<u16>),
}

/// Puts fragments together.
#[derive(Default)]
pub(super) struct Reader {
    fragments: Option<Vec<u8>>,
}

/// Writes one frame. A client's frames are masked.
pub(super) fn write(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

impl Reader {
    /// Reads one frame from the beginning of `bytes`. `None` when more bytes are needed; else its length, and what it
    /// completes, if anything.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<(usize, Option<Incoming>)>, Fault> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 || second & 0x80 != 0 {
            return Err(Fault::malformed("a frame has reserved bits or a mask"));
        }
        let Some((length, from)) = length(second & 0x7f, rest) else {
            return Ok(None);
        };
        if opcode >= CLOSE && (length > 125 || !is_last) {
            return Err(Fault::malformed("a control frame is too long or in fragments"));
        }
        if length > LONGEST {
            return Err(Fault::malformed("a frame is longer than this meter reads"));
        }
        let from = 2 + from;
        let Some(payload) = bytes.get(from..from + length as usize) else {
            return Ok(None);
        };
        Ok(Some((from + payload.len(), self.take(opcode, is_last, payload)?)))
    }

    fn take(&mut self, opcode: u8, is_last: bool, payload: &[u8]) -> Result<Option<Incoming>, Fault> {
        match (opcode, self.fragments.take()) {
            (TEXT | BINARY, None) => Ok(self.fragment(payload.to_vec(), is_last)),
            (CONTINUATION, Some(mut begun)) if begun.len() as u64 <= LONGEST => {
                begun.extend(payload);
                Ok(self.fragment(begun, is_last))
            }
            (CLOSE | PING | PONG, begun) => {
                // Control frames may come between the fragments of a message.
                self.fragments = begun;
                control(opcode, payload).map(Some)
            }
            (opcode, _) => Err(Fault::malformed(format!("a frame with opcode {opcode} has no place here"))),
        }
    }

    fn fragment(&mut self, message: Vec<u8>, is_last: bool) -> Option<Incoming> {
        if is_last {
            return Some(Incoming::Message(message));
        }
        self.fragments = Some(message);
        None
    }
}

fn control(opcode: u8, payload: &[u8]) -> Result<Incoming, Fault> {
    match (opcode, payload) {
        (PING, _) => Ok(Incoming::Ping(payload.to_vec())),
        (PONG, _) => Ok(Incoming::Pong),
        (_, []) => Ok(Incoming::Close(None)),
        (_, [high, low, ..]) => Ok(Incoming::Close(Some(u16::from_be_bytes([*high, *low])))),
        (_, [_]) => Err(Fault::malformed("a close frame has half a code")),
    }
}

/// A frame's length and the number of bytes that it took to say so, beyond the first two.
fn length(short: u8, rest: &[u8]) -> Option<(u64, usize)> {
    match short {
        126 => rest.first_chunk().map(|bytes| (u64::from(u16::from_be_bytes(*bytes)), 2)),
        127 => rest.first_chunk().map(|bytes| (u64::from_be_bytes(*bytes), 8)),
        short => Some((u64::from(short), 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_at_any_cut() {
        let frames = [&[0x01, 2, b'a', b'b'][..], &[0x89, 1, b'p'], &[0x80, 1, b'c'], &[0x88, 2, 0x03, 0xf4]].concat();
        let (mut reader, mut seen, mut from) = (Reader::default(), Vec::new(), 0);
        for to in 0..=frames.len() {
            while let Some((length, incoming)) = reader.read(&frames[from..to]).unwrap() {
                from += length;
                seen.extend(incoming);
            }
        }
        let message = Incoming::Message(b"abc".to_vec());
        assert_eq!(seen, [Incoming::Ping(b"p".to_vec()), message, Incoming::Close(Some(1012))]);
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        for frame in
            [&[0xc1, 0][..], &[0x81, 0x80], &[0x09, 0], &[0x89, 126, 0, 126], &[0x80, 0], &[0x83, 0], &[0x88, 1, 3]]
        {
            assert!(Reader::default().read(frame).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn long_frames_say_their_length() {
        for length in [125, 126, 65_535, 65_536] {
            let mut frame = write(TEXT, &vec![7; length], [0; 4]);
            frame[1] &= 0x7f;
            let header = frame.len() - length;
            frame.drain(header - 4..header);
            let read = Reader::default().read(&frame).unwrap();
            assert_eq!(read, Some((frame.len(), Some(Incoming::Message(vec![7; length])))));
        }
    }
}
