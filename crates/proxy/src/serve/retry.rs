//! When a request may be sent a second time.

use super::progress::Progress;

/// Whether a request whose connection ended without a byte of an answer may be sent once more.
///
/// Only on a connection that was used before: then the likely reason is that the instance closed it for being idle, at the
/// very moment we wrote. Only if nothing of the body is lost. And only if the request is idempotent (RFC 9110, 9.2.2:
/// a client, and with it a proxy, may repeat those automatically), or no byte of it was taken by the connection, so that
/// nobody can have processed it. A second time is the last time.
pub fn allowed(reused: bool, again: bool, idempotent: bool, progress: &Progress) -> bool {
    reused && !again && !progress.consumed.get() && (idempotent || !progress.written.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_provably_was_not_processed_or_may_be_repeated() {
        let progress = |written, consumed| {
            let progress = Progress::default();
            progress.written.set(written);
            progress.consumed.set(consumed);
            progress
        };
        assert!(allowed(true, false, true, &progress(true, false)), "an idempotent request");
        assert!(allowed(true, false, false, &progress(false, false)), "a POST of which nothing was written");
        assert!(!allowed(true, false, false, &progress(true, false)), "a POST that may have been processed");
        assert!(!allowed(false, false, true, &progress(true, false)), "a new connection");
        assert!(!allowed(true, true, true, &progress(true, false)), "a third time");
        assert!(!allowed(true, false, true, &progress(true, true)), "a body that is gone");
    }
}
