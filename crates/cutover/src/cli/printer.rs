//! The only place that writes to the terminal.

use std::io::Write;

use console::style;
use serde::Serialize;

use super::error::CliError;

/// Writes to the user, in words or in JSON. A reader that hangs up is not an error: what was begun goes on.
#[derive(Debug, Clone)]
pub struct Printer {
    json: bool,
}

impl Printer {
    /// For words, or for JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether values are wanted instead of words.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether a person watches as it is written.
    pub fn live(&self) -> bool {
        !self.json && console::Term::stdout().is_term() && console::Term::stderr().is_term()
    }

    /// A line of words, on standard output. Nothing in JSON.
    pub fn line(&self, line: impl AsRef<str>) {
        if !self.json {
            self.raw(format!("{}\n", line.as_ref().trim_end()).as_bytes());
        }
    }

    /// A remark beside the result, on standard error. Nothing in JSON.
    pub fn remark(&self, line: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
        }
    }

    /// A value, on a line of its own. Nothing in words.
    pub fn value(&self, value: &impl Serialize) {
        if self.json {
            let mut text = serde_json::to_vec(value).unwrap_or_default();
            text.push(b'\n');
            self.raw(&text);
        }
    }

    /// Bytes as they are.
    pub fn raw(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// An error: what, why, the last lines of whoever is to blame, what is live, what to do.
    pub fn error(&self, error: &CliError) {
        if self.json {
            let failure = &error.failure;
            self.value(&serde_json::json!({ "error": error.kind, "failure": failure, "live": error.live }));
            return;
        }
        let mut text = format!("{} {}\n", style("error:").red().bold().for_stderr(), error.failure.summary);
        for cause in &error.failure.causes {
            text.push_str(&format!("  because: {cause}\n"));
        }
        if !error.failure.log.is_empty() {
            text.push_str("  --- its last lines ---\n");
            error.failure.log.iter().for_each(|line| text.push_str(&format!("  | {line}\n")));
            text.push_str("  ----------------------\n");
        }
        for (label, told) in [("live:", &error.live), ("hint:", &error.failure.hint)] {
            if let Some(told) = told {
                text.push_str(&format!("{} {told}\n", style(label).cyan().bold().for_stderr()));
            }
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
