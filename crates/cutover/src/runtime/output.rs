//! Keeps the beginning and the end of what a program writes, however much that is.

/// How many bytes of the beginning are kept, and how many of the end.
const HEAD: usize = 4 << 10;
const TAIL: usize = 12 << 10;

/// What is kept.
#[derive(Debug, Default)]
pub struct Kept {
    head: Vec<u8>,
    tail: Vec<u8>,
    written: u64,
}

impl Kept {
    /// Takes in what comes next.
    pub fn take(&mut self, part: &[u8]) {
        self.written += part.len() as u64;
        let to_head = (HEAD - self.head.len()).min(part.len());
        self.head.extend_from_slice(&part[..to_head]);
        let rest = &part[to_head..];
        self.tail.extend_from_slice(&rest[rest.len().saturating_sub(TAIL)..]);
        // Moved now and then, not at each part.
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    /// The lines of it. Where something was left out, a line says how much; a line that was cut there is left out as a whole, so that
    /// no half of a secret remains.
    pub fn lines(&self) -> Vec<String> {
        let tail = &self.tail[self.tail.len().saturating_sub(TAIL)..];
        let left_out = self.written - (self.head.len() + tail.len()) as u64;
        if left_out == 0 {
            return lines_of(&[&self.head[..], tail].concat());
        }
        let head_end = self.head.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let tail_start = tail.iter().position(|byte| *byte == b'\n').map_or(tail.len(), |at| at + 1);
        let left_out = left_out + (self.head.len() - head_end + tail_start) as u64;
        let mut lines = lines_of(&self.head[..head_end]);
        lines.push(format!("… {left_out} bytes left out …"));
        lines.extend(lines_of(&tail[tail_start..]));
        lines
    }
}

/// What is not text is replaced: a terminal is told nothing by a hook.
fn lines_of(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(|line| line.replace('\t', "    ").replace(char::is_control, "\u{fffd}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_is_kept_as_it_is() {
        let mut kept = Kept::default();
        for part in ["one\ntw", "o\n", "", "\u{1b}[31mthree"] {
            kept.take(part.as_bytes());
        }
        assert_eq!(kept.lines(), ["one", "two", "\u{fffd}[31mthree"]);
        assert_eq!(Kept::default().lines(), Vec::<String>::new());
    }

    /// Seen to fail with the half of a line shown.
    #[test]
    fn of_a_flood_the_beginning_and_the_end_are_kept() {
        let mut kept = Kept::default();
        let line = |number: u32| format!("line {number}\n");
        for number in 0..200_000 {
            kept.take(line(number).as_bytes());
            assert!(kept.head.len() + kept.tail.len() <= HEAD + 2 * TAIL + 20);
        }
        let lines = kept.lines();
        assert_eq!((lines[0].as_str(), lines[lines.len() - 1].as_str()), ("line 0", "line 199999"));
        let gap = lines.iter().position(|line| line.starts_with('…')).unwrap();
        let shown: usize = lines.iter().enumerate().filter(|(at, _)| *at != gap).map(|(_, line)| line.len() + 1).sum();
        assert_eq!(lines[gap], format!("… {} bytes left out …", kept.written - shown as u64));
        assert!(lines.iter().enumerate().all(|(at, line)| at == gap || line.starts_with("line ")), "{lines:?}");
        let mut one = Kept::default();
        (0..100).for_each(|_| one.take(&[b'x'; 1000]));
        assert_eq!(one.lines(), ["… 100000 bytes left out …"]);
    }
}
