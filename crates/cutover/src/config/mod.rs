//! Reads `cutover.toml`.
