//! Hosts, prefixes, redirects, rewrites and header rules.

use cutover_core::rules::{FieldRules, Rules};

use super::{redirect, rewrite, ruled, serving, trusting};
use crate::support::backend::Backend;
use crate::support::free_address;
use crate::support::proxy::Proxy;
use crate::support::table::{SERVING, http, preview, routes, service, table};

// Seen failing with the wildcards looked up before the exact names, and with the shortest wildcard first.
#[test]
fn wildcards_come_behind_exact_names_and_before_any() {
    let names = ["exact", "below", "deep", "any"];
    let backends = names.map(Backend::named);
    let proxy = Proxy::start();
    let services =
        names.iter().zip(&backends).map(|(name, b)| service(name, &[(&*format!("{name}.r1.i1"), b.address, SERVING)]));
    let listener = routes(
        proxy.address,
        &[
            (&["*.test"], "/", "below"),
            (&[], "/", "any"),
            (&["*.b.test"], "/x", "deep"),
            (&["shop.test"], "/", "exact"),
        ],
    );
    proxy.publish(vec![listener], services.collect());
    let mut conn = proxy.connect();
    let cases = [
        ("shop.test", "/", "exact"),
        ("SHOP.TEST:80", "/", "exact"),
        ("a.test", "/", "below"),
        ("a.shop.test.", "/", "below"),
        ("a.b.test", "/x/y", "deep"),
        ("a.b.test", "/y", "below"),
        ("test", "/", "any"),
        ("atest", "/", "any"),
    ];
    for (host, path, expected) in cases {
        conn.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(conn.answer().text(), expected, "{host}{path}");
    }
}

fn seen(web: &Backend) -> String {
    web.seen().pop().unwrap()
}

// Seen failing with the prefix taken off without being announced, and with the client's own announcement left in.
#[test]
fn a_prefix_is_taken_off_and_announced() {
    let web = Backend::named("web");
    let rules = Rules { strip: vec!["/shop".into(), "/shop/eu".into()], ..Rules::default() };
    let proxy = serving(&web, rules.clone());
    let mut conn = proxy.connect();
    let cases = [
        ("/shop", "/", Some("/shop")),
        ("/shop/", "/", Some("/shop")),
        ("/shop?a=/shop", "/?a=/shop", Some("/shop")),
        ("/shop/a%2Fb?c", "/a%2Fb?c", Some("/shop")),
        ("/shop/eu/x", "/x", Some("/shop/eu")),
        ("/shop//evil.example/x", "/evil.example/x", Some("/shop")),
        ("/shopping", "/shopping", None),
    ];
    for (asked, got, prefix) in cases {
        assert_eq!(conn.get_with(asked, "X-Forwarded-Prefix: /forged\r\nX_Forwarded_Prefix: /f\r\n").status, 200);
        let announced = prefix.map(|prefix| format!("X-Forwarded-Prefix: {prefix}\r\n")).unwrap_or_default();
        let expected = format!(
            "GET {got} HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-Host: test\r\n{announced}\r\n"
        );
        assert_eq!(seen(&web), expected, "{asked}");
    }
    proxy.publish(vec![trusting(http(proxy.address, "web"))], vec![ruled(&web, rules)]);
    conn.get_with("/shop/x", "X-Forwarded-Prefix: /outer\r\n");
    assert!(seen(&web).ends_with("X-Forwarded-Prefix: /outer/shop\r\n\r\n"), "{}", seen(&web));
}

#[test]
fn a_path_is_rewritten_behind_the_prefix() {
    let web = Backend::named("web");
    let rewrites = vec![rewrite("/v1/*", "/api/v1/*"), rewrite("/only", "/else?x=1"), rewrite("/v1/never", "/n")];
    let proxy = serving(&web, Rules { strip: vec!["/shop".into()], rewrites, ..Rules::default() });
    let mut conn = proxy.connect();
    let cases = [
        ("/v1/a?b", "/api/v1/a?b"),
        ("/shop/v1/a", "/api/v1/a"),
        ("/shop/only?q", "/else?x=1&q"),
        ("/v1", "/v1"),
        ("/v1/never", "/api/v1/never"),
    ];
    for (asked, got) in cases {
        conn.get(asked);
        assert_eq!(seen(&web).split(' ').nth(1), Some(got), "{asked}");
    }
    conn.send("POST /v1/x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(conn.answer().status, 200, "a body follows a changed head");
    assert!(seen(&web).starts_with("POST /api/v1/x HTTP/1.1\r\n"));
}

// Seen failing with the query left out, and with the connection closed after each.
#[test]
fn a_client_is_sent_elsewhere() {
    let web = Backend::named("web");
    let redirects = vec![
        redirect(Some("www.test"), "/*", "https://test/*", 308),
        redirect(None, "/old", "/new", 301),
        redirect(None, "/old/*", "/*", 302),
        redirect(None, "/gone/*", "https://other.example/there?from=gone", 307),
    ];
    let answer_fields = FieldRules { set: vec![("X-Kind".into(), "moved".into())], ..FieldRules::default() };
    let proxy = serving(&web, Rules { redirects, answer_fields, ..Rules::default() });
    let mut conn = proxy.connect();
    conn.send("GET /a/b?c=d HTTP/1.1\r\nHost: WWW.test:80\r\n\r\n");
    let expected = "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://test/a/b?c=d\r\nContent-Length: 0\r\nX-Kind: moved\r\n\r\n";
    assert_eq!(conn.answer().head, expected);
    let cases = [
        ("/old?a", 301, "/new?a"),
        ("/old/x/y?a", 302, "/x/y?a"),
        ("/old//evil.example/", 302, "/evil.example/"),
        ("/old/\\evil.example", 302, "/evil.example"),
        ("/gone/x?y", 307, "https://other.example/there?from=gone&y"),
    ];
    for (path, status, location) in cases {
        let answer = conn.get(path);
        assert_eq!((answer.status, answer.field("location")), (status, Some(location)), "{path}");
    }
    assert_eq!(conn.get("/older").text(), "web", "the connection goes on, and what is not meant is passed on");
    conn.send("POST /old HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.field("connection")), (301, Some("close")), "its body was not read");
    let mut old = proxy.connect();
    old.send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.answer().field("connection"), Some("keep-alive"));
    let mut agent = proxy.connect();
    assert_eq!(agent.get_with("/old", "cutover-token: secret\r\n").text(), "web", "the agent asks who serves");
    assert_eq!(web.seen().len(), 2);
}

#[test]
fn a_preview_is_not_sent_to_another_host() {
    let web = Backend::named("web");
    let proxy = Proxy::start();
    let at = free_address();
    let redirects = vec![redirect(Some("*.test"), "/*", "https://test/*", 301), redirect(None, "/old", "/new", 301)];
    let rules = Rules { redirects, strip: vec!["/shop".into()], ..Rules::default() };
    proxy.publish(vec![http(proxy.address, "web"), preview(at, "web", Some(1))], vec![ruled(&web, rules)]);
    let mut person = crate::support::client::Conn::to(at);
    person.send("GET /shop/x HTTP/1.1\r\nHost: www.test\r\n\r\n");
    assert_eq!(person.answer().text(), "web");
    assert!(seen(&web).starts_with("GET /x HTTP/1.1\r\n"));
    assert_eq!(person.get("/old").status, 301);
}

// Seen failing with `set` that leaves what came, and with names compared without folding the underscore.
#[test]
fn fields_are_removed_set_and_added() {
    let web = Backend::scripted(|mut peer| {
        while peer.request().is_some() {
            peer.conn
                .send("HTTP/1.1 200 OK\r\nServer: own\r\nX-Powered-By: x\r\nVary: a\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let rules = Rules {
        request_fields: FieldRules {
            remove: vec!["X-Debug".into()],
            set: vec![pair("X-User", "nobody")],
            add: vec![pair("X-Via", "us")],
        },
        answer_fields: FieldRules {
            remove: vec!["server".into(), "X-Powered-By".into()],
            set: vec![pair("Strict-Transport-Security", "max-age=1")],
            add: vec![pair("Vary", "b")],
        },
        ..Rules::default()
    };
    let proxy = serving(&web, rules);
    let answer = proxy.connect().get_with("/", "X_USER: root\r\nX-User: root\r\nX-Via: them\r\nX-Debug: 1\r\n");
    let expected =
        "HTTP/1.1 200 OK\r\nVary: a\r\nContent-Length: 2\r\nStrict-Transport-Security: max-age=1\r\nVary: b\r\n\r\n";
    assert_eq!((answer.head.as_str(), answer.text()), (expected, "ok"));
    let expected = "GET / HTTP/1.1\r\nHost: test\r\nX-Via: them\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n\
                    X-Forwarded-Proto: http\r\nX-Forwarded-Host: test\r\nX-User: nobody\r\nX-Via: us\r\n\r\n";
    assert_eq!(seen(&web), expected);
}

#[test]
fn a_table_with_rules_that_cannot_be_kept_is_refused() {
    let web = Backend::named("web");
    let proxy = serving(&web, Rules::default());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let rules = Rules {
        strip: vec!["shop".into()],
        redirects: vec![redirect(None, "/a/*", "/a/b", 301), redirect(None, "/b", "/c", 200)],
        rewrites: vec![rewrite("/a", "https://x/")],
        request_fields: FieldRules { set: vec![pair("Host", "x"), pair("X", "a\r\nb")], ..FieldRules::default() },
        ..Rules::default()
    };
    let refused = proxy.try_publish(table(vec![http(proxy.address, "web")], vec![ruled(&web, rules)])).unwrap_err();
    let refused = refused.to_string();
    for piece in ["\"shop\"", "without end", "with 200", "https://x/", "Host delimits", "value of X"] {
        assert!(refused.contains(piece), "{piece:?} is missing in:\n{refused}");
    }
    assert_eq!(proxy.connect().get("/").text(), "web", "the table before is served");
}
