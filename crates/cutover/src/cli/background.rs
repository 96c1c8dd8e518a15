//! What the processes that outlive their caller do first.

/// Leaves the terminal's session, so that its end and its Ctrl-C do not reach us.
pub fn leave_session() {
    // Fails only for the leader of a process group, which whoever starts us in the background never makes us.
    let _ = rustix::process::setsid();
}

/// Writes what happens to standard error, which is a log file by then.
pub fn begin_log() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
}
