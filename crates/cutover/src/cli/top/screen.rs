//! The terminal while it is ours.

use std::io::Write;

use console::{Term, truncate_str};

/// The other screen of the terminal, with the cursor hidden. What was there before comes back when this is dropped.
pub struct Screen {
    term: Term,
}

impl Screen {
    /// Takes the screen.
    pub fn enter() -> Self {
        let mut term = Term::stdout();
        let _ = term.write_all(b"\x1b[?1049h\x1b[?25l");
        Self { term }
    }

    /// Draws over what is there, without clearing it first, so that nothing flickers. What does not fit is left out and said.
    pub fn show(&mut self, text: &str) {
        let (rows, columns) = self.term.size();
        let (rows, columns) = (usize::from(rows).max(2), usize::from(columns).max(20));
        let lines: Vec<&str> = text.lines().collect();
        let mut frame = String::from("\x1b[H");
        let fits = if lines.len() > rows { rows - 1 } else { lines.len() };
        for (index, line) in lines.iter().take(fits).enumerate() {
            if index > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(&truncate_str(line, columns, "…"));
            frame.push_str("\x1b[0m\x1b[K");
        }
        if fits < lines.len() {
            frame.push_str(&format!(
                "\r\n… {} more lines: name a service, or make the window larger\x1b[K",
                lines.len() - fits
            ));
        }
        frame.push_str("\x1b[J");
        let _ = self.term.write_all(frame.as_bytes()).and_then(|()| self.term.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.term.write_all(b"\x1b[?25h\x1b[?1049l");
    }
}
