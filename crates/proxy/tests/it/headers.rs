//! What an instance and a client get to see of each other's heads.

use cutover_core::table::Traffic;

use super::support::backend::Backend;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, service};

fn forwarded(trusted: bool, request: &str) -> String {
    let web = Backend::named("web");
    let proxy = Proxy::start();
    let mut listener = http(proxy.address, "web");
    if let Traffic::Http { trusted: networks, .. } = &mut listener.traffic {
        let ranges = if trusted { vec!["127.0.0.0/8".to_owned()] } else { vec!["10.0.0.0/8".to_owned()] };
        *networks = ranges.into_iter().map(|range| range.try_into().unwrap()).collect();
    }
    proxy.publish(vec![listener], vec![service("web", &[("web.r1.i1", web.address, SERVING)])]);
    let mut conn = proxy.connect();
    conn.send(request);
    assert_eq!(conn.answer().status, 200);
    web.seen().remove(0)
}

#[test]
fn what_concerns_one_connection_is_left_out() {
    let seen = forwarded(
        false,
        "GET /a?b HTTP/1.1\r\nHost: Shop:80\r\nConnection: keep-alive, X-Private, te\r\nKeep-Alive: 5\r\nX-Private: 1\r\n\
         TE: trailers, deflate\r\nProxy-Connection: close\r\nProxy: evil\r\nX_Forwarded_For: 9.9.9.9\r\nForwarded: for=1\r\n\
         X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 1.2.3.4\r\nAccept:*/*\r\ncutover-token: x\r\n\r\n",
    );
    let expected = "GET /a?b HTTP/1.1\r\nHost: Shop:80\r\nAccept: */*\r\nConnection: TE\r\nTE: trailers\r\n\
                    X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\
                    X-Forwarded-Host: Shop:80\r\n\r\n";
    assert_eq!(seen, expected);
}

#[test]
fn a_trusted_peer_is_believed_and_extended() {
    let seen = forwarded(
        true,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1\r\n\
         X-Forwarded-Host: b\r\nX-Real-IP: 1.2.3.4\r\n\r\n",
    );
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nForwarded: for=1\r\nX-Forwarded-Host: b\r\n\
                    X-Real-IP: 1.2.3.4\r\nX-Forwarded-For: 1.2.3.4, 127.0.0.1\r\n\r\n";
    assert_eq!(seen, expected);
}

#[test]
fn an_instance_cannot_speak_for_the_proxy() {
    let web = Backend::scripted(|mut peer| {
        while peer.request().is_some() {
            peer.conn.send(
                "HTTP/1.1 200 Fine\r\nDate: then\r\nServer: own\r\ncutover-instance: fake\r\ncutover-release: 9\r\n\
                 cutover-error: fake\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a\r\n\
                 Set-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
            );
        }
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let answer = proxy.connect().get("/");
    let expected = "HTTP/1.1 200 Fine\r\nDate: then\r\nServer: own\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
                    Content-Length: 2\r\n\r\n";
    assert_eq!((answer.head.as_str(), answer.text()), (expected, "ok"));
}
