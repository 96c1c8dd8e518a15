//! When a request may be sent a second time.

use super::progress::Progress;
use crate::upstream::http2::call::Break;

/// How often a request goes elsewhere because an instance says that it has done nothing with it.
const REFUSALS: u32 = 3;

/// Whether a request whose connection ended without a byte of an answer may be sent once more.
///
/// Only on a connection that was used before: then the likely reason is that the instance closed it for being idle, at the
/// very moment we wrote. Only if nothing of the body is lost. And only if the request is idempotent (RFC 9110, 9.2.2:
/// a client, and with it a proxy, may repeat those automatically), or no byte of it was taken by the connection, so that
/// nobody can have processed it. A second time is the last time.
pub fn allowed(reused: bool, again: bool, idempotent: bool, progress: &Progress) -> bool {
    reused && !again && !progress.consumed.get() && (idempotent || !progress.written.get())
}

/// Whether a request may be sent once more that a connection of HTTP/2 did not take: the instance says so, of a stream (REFUSED_STREAM) or of
/// all beyond the last one that it took (GOAWAY), and so nobody has processed it, whatever its method is (RFC 9113, 8.7). Not without
/// end: an instance that refuses everything is no better than one that is away.
pub fn refused(broken: Option<Break>, before: u32, progress: &Progress) -> bool {
    broken == Some(Break::Refused) && before < REFUSALS && !progress.consumed.get()
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

    #[test]
    fn what_was_refused_may_go_elsewhere_but_not_for_ever() {
        let progress = Progress::default();
        progress.written.set(true);
        assert!(refused(Some(Break::Refused), 2, &progress));
        assert!(!refused(Some(Break::Refused), 3, &progress), "a fourth time");
        assert!(!refused(Some(Break::Lost), 0, &progress), "it may have been processed");
        assert!(!refused(Some(Break::Reset(h2::Reason::CANCEL)), 0, &progress), "it was processed");
        assert!(!refused(None, 0, &progress), "a connection of HTTP/1.1");
        progress.consumed.set(true);
        assert!(!refused(Some(Break::Refused), 0, &progress), "a body that is gone");
    }
}
