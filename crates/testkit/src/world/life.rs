//! How an instance of a release lives. It is written in the release's command line, so that it comes back with a rollback or
//! a restart, and can be read in a trace.

use std::fmt;

/// What an instance does from the moment it is started. Times are milliseconds after that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The program cannot be started at all.
    pub refuses: bool,
    /// When it begins to answer; `None` for never.
    pub ready: Option<u64>,
    /// When it exits by itself, with status 1.
    pub exits: Option<u64>,
    /// The status that it exits with then.
    pub code: i32,
    /// A time in which it does not answer.
    pub unready: Option<(u64, u64)>,
    /// How long it takes to leave after its stop signal; `None` if it ignores that.
    pub leaves: Option<u64>,
    /// The smoke command does not like it.
    pub smells: bool,
}

impl Default for Life {
    fn default() -> Self {
        Self { refuses: false, ready: Some(120), exits: None, code: 1, unready: None, leaves: Some(30), smells: false }
    }
}

impl Life {
    /// Ready soon, and good for ever.
    pub fn good() -> Self {
        Self::default()
    }

    /// Whether a deployment of it should succeed if nothing else goes wrong.
    pub fn is_good(&self) -> bool {
        !self.refuses && self.ready.is_some_and(|at| at < 5000) && self.exits.is_none() && !self.smells
    }

    /// The command line that stands for it. `salt` makes it differ from others that live alike.
    pub fn command(&self, salt: u64) -> Vec<String> {
        let mut command = vec!["app".to_owned(), format!("salt={salt}"), self.to_string()];
        command.retain(|part| !part.is_empty());
        command
    }

    /// Reads the command line back; what it does not know it leaves at its default.
    pub fn of(command: &[String]) -> Self {
        let mut life = Self::default();
        for part in command.iter().flat_map(|part| part.split(' ')) {
            let number = |text: &str| text.parse::<u64>().ok();
            match part.split_once('=') {
                None if part == "refuses" => life.refuses = true,
                None if part == "smells" => life.smells = true,
                Some(("ready", at)) => life.ready = number(at),
                Some(("exits", at)) => life.exits = number(at),
                Some(("code", code)) => life.code = code.parse().unwrap_or(1),
                Some(("leaves", at)) => life.leaves = number(at),
                Some(("unready", span)) => {
                    life.unready = span.split_once('-').and_then(|(from, to)| Some((number(from)?, number(to)?)));
                }
                _ => {}
            }
        }
        life
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |at: Option<u64>| at.map_or("never".to_owned(), |at| at.to_string());
        write!(f, "ready={} leaves={}", text(self.ready), text(self.leaves))?;
        if let Some(at) = self.exits {
            write!(f, " exits={at} code={}", self.code)?;
        }
        if let Some((from, to)) = self.unready {
            write!(f, " unready={from}-{to}")?;
        }
        if self.refuses {
            f.write_str(" refuses")?;
        }
        if self.smells {
            f.write_str(" smells")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_reads_back_from_its_command() {
        let odd = Life {
            refuses: true,
            ready: None,
            exits: Some(7),
            code: 3,
            unready: Some((1, 2)),
            leaves: None,
            smells: true,
        };
        for life in [Life::good(), odd] {
            assert_eq!(Life::of(&life.command(3)), life);
        }
    }
}
