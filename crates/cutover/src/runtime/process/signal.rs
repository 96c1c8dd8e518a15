//! The signals that ask a program to leave, by name.

use std::io;

use rustix::process::Signal;

use crate::engine::port::RuntimeError;

const NAMES: [(&str, Signal); 6] = [
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("HUP", Signal::HUP),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

/// The signal of this name, with or without `SIG` before it.
pub fn parse(name: &str) -> Result<Signal, RuntimeError> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let found = NAMES.iter().find(|(known, _)| *known == short).map(|(_, signal)| *signal);
    found.ok_or_else(|| RuntimeError::Io { what: format!("could not stop with signal {name:?}"), source: unknown() })
}

fn unknown() -> io::Error {
    let names = NAMES.map(|(name, _)| name).join(", ");
    io::Error::new(io::ErrorKind::InvalidInput, format!("no such signal; use one of {names}"))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_unknown_signal_names_the_known_ones() {
        assert_eq!(parse("SIGUSR1").unwrap(), Signal::USR1);
        let error = parse("KILL").unwrap_err();
        assert!(error.to_string().contains("KILL"));
        assert!(error.source().unwrap().to_string().contains("TERM, INT, QUIT, HUP, USR1, USR2"));
    }
}
