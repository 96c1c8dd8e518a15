//! The ids that follow a request.

use cutover_core::listen::Peer;
use cutover_core::table::Traffic;

use super::support::backend::{Backend, field};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, service, with};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn proxy(web: &Backend, trusting: bool, trace: bool) -> Proxy {
    let proxy = Proxy::start();
    let service = with(service("web", &[("web.r1.i1", web.address, SERVING)]), |service| {
        service.trail.request_id = true;
        service.trail.trace = trace;
        service.limits.max_body = cutover_core::ByteSize(5);
    });
    let mut listener = http(proxy.address, "web");
    if let (true, Traffic::Http { trusted, .. }) = (trusting, &mut listener.traffic) {
        trusted.push(Peer::try_from("127.0.0.1".to_owned()).unwrap());
    }
    proxy.publish(vec![listener], vec![service]);
    proxy
}

/// Seen to fail with the field passed on beside the new one, with everybody trusted, and with nobody.
#[test]
fn a_request_has_one_id_and_strangers_do_not_choose_it() {
    let web = Backend::named("web");
    let sent = |head: &str| head.lines().filter(|line| line.to_ascii_lowercase().starts_with("x-request-id:")).count();
    for trusting in [false, true] {
        let proxy = proxy(&web, trusting, false);
        let mut conn = proxy.connect();
        for (fields, kept) in [
            ("", false),
            ("X-Request-Id: abc\r\n", trusting),
            ("X-Request-Id: abc\r\nx-request-id: def\r\n", trusting),
            ("X-Request-Id: a b\r\n", false),
        ] {
            let answer = conn.get_with("/", fields);
            let seen = web.seen().pop().unwrap();
            let id = field(&seen, "x-request-id").unwrap();
            assert_eq!((sent(&seen), id == "abc"), (1, kept), "{seen}");
            assert!(kept || (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{id}");
            assert_eq!(answer.field("x-request-id"), Some(id.as_str()), "the answer names it");
        }
        let refused = conn.post("/", "larger");
        assert_eq!((refused.status, refused.field("x-request-id").map(str::len)), (413, Some(32)));
    }
}

/// Seen to fail with a good `traceparent` replaced, and with `tracestate` left when a bad one is.
#[test]
fn a_trace_goes_on_and_one_is_begun_only_if_asked() {
    let web = Backend::named("web");
    for trace in [false, true] {
        let proxy = proxy(&web, false, trace);
        let mut conn = proxy.connect();
        let mut seen = |fields: &str| {
            conn.get_with("/", fields);
            let seen = web.seen().pop().unwrap();
            (field(&seen, "traceparent"), field(&seen, "tracestate"))
        };
        let (parent, state) = seen(&format!("Traceparent: {PARENT}\r\ntracestate: a=b\r\n"));
        assert_eq!((parent.as_deref(), state.as_deref()), (Some(PARENT), Some("a=b")));
        let (parent, _) = seen("");
        assert_eq!(parent.as_ref().map(String::len), trace.then_some(55));
        let (parent, state) = seen("traceparent: nonsense\r\ntracestate: a=b\r\n");
        assert_eq!((parent.as_deref() == Some("nonsense"), state.is_some()), (!trace, !trace));
    }
}
