//! Plain processes.
