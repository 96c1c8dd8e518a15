//! The `cutover` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, so that a supervisor never touches what the other verbs need: it stays small for as long as it lives.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "supervise") {
        return cutover::supervise::main();
    }
    cutover::cli::main()
}
