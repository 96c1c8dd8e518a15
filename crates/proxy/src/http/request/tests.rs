//! Whatever arrives, what is written on has one reading, and it is the one it was read in.

use proptest::prelude::*;

use super::*;
use crate::serve::forward;

/// Lines of requests, most of them good, so that random sequences of them are often accepted.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let good: Vec<&[u8]> = vec![
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close, x, content-length, host\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"X: 1\r\n",
        b"x:\t 2 \r\n",
        b"TE: trailers\r\n",
        b"Content_Length: 7\r\n",
    ];
    let bad: Vec<&[u8]> = vec![
        b"Host: b\r\n",
        b"Transfer-Encoding: identity\r\n",
        b" folded\r\n",
        b"X : 1\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b"\0",
    ];
    let any = prop::collection::vec(any::<u8>(), 1..4);
    let known = |lines: Vec<&'static [u8]>| prop::sample::select(lines).prop_map(<[u8]>::to_vec);
    prop_oneof![16 => known(good), 1 => known(bad), 1 => any]
}

fn start() -> impl Strategy<Value = &'static [u8]> {
    let starts: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST /a?b HTTP/1.0\r\n",
        b"GET http://a:1/ HTTP/1.1\r\nHost: A:1\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: b\r\n",
    ];
    prop::sample::select(starts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    // Seen to fail with `Connection` obeyed where it names `Content-Length`, with `Transfer-Encoding` not written on, and with
    // folded lines accepted.
    #[test]
    fn what_is_written_reads_as_what_was_read(start in start(), lines in prop::collection::vec(line(), 0..4)) {
        let head = [start, &lines.concat(), b"\r\n"].concat();
        let Ok(Some(end)) = head::Scan::default().end(&head) else { return Ok(()) };
        let mut first = Request::default();
        if first.parse(&head[..end]).is_err() {
            return Ok(());
        }
        let mut written = Vec::new();
        forward::request(&mut written, &head[..end], &first, Some([127, 0, 0, 1].into()), false, false, "web");
        let mut second = Request::default();
        prop_assert_eq!(second.parse(&written), Ok(()), "{}", String::from_utf8_lossy(&written));
        prop_assert_eq!(second.framing, first.framing);
        prop_assert_eq!(second.method.of(&written), first.method.of(&head));
        prop_assert_eq!(second.target.of(&written), first.target.of(&head));
        prop_assert_eq!(second.upgrade.map(|u| u.of(&written)), first.upgrade.map(|u| u.of(&head)));
        if let Some(host) = first.host {
            prop_assert_eq!(second.host.map(|h| h.of(&written)), Some(host.of(&head)));
        }
    }
}
