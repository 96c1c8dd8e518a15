//! What the proxy does with requests besides passing them on, as it is written in the file.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod config;

use std::time::Duration;

use config::Folder;
use cutover_core::ByteSize;
use cutover_core::rules::{Coding, Compress, MAX_PAGE, Missing, Rules};
use cutover_core::spec::{ProxyRoute, RouteKind};

const SERVICE: &str = "project = \"shop\"\n[service.web]\ncommand = [\"./server\", \"{port}\"]\nready = { tcp = true }\n[service.web.route]\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.file("errors/down.html", "<p>down</p>");
    folder.file("soon.txt", "soon");
    folder.file("users", "ann:$2y$05$x\n");
    folder.file("md5", "# old\nann:$apr1$hunter2$hunter2\n");
    folder.file("nonsense", "hunter2\n");
    folder.file("large.html", "x".repeat(MAX_PAGE + 1));
    folder.file("binary.html", [0xff, 0xfe]);
    folder
}

fn route(lines: &str) -> ProxyRoute {
    let config = folder().load(format!("{SERVICE}{lines}"), None).unwrap_or_else(|errors| panic!("{errors}"));
    config.services[0].route.as_ref().unwrap().proxy().unwrap().clone()
}

fn rules(lines: &str) -> Rules {
    *route(&format!("listen = 80\n{lines}")).rules
}

/// Everything that is wrong with each of these, as a person sees it.
fn transcript(cases: &[&str]) -> String {
    let told = cases.iter().map(|case| {
        let errors = folder().load(format!("{SERVICE}{case}"), None).map(|_| "nothing is wrong".to_owned());
        let errors = errors.map_err(|errors| errors.to_string());
        assert!(!format!("{errors:?}").contains("hunter2"), "a secret is shown");
        format!("{case}\n---\n{}\n", errors.unwrap_or_else(|errors| errors))
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_route_without_rules_has_none() {
    assert!(rules("").is_empty());
    let written = serde_json::to_string(&route("listen = 80")).unwrap();
    assert!(!written.contains("rules") && !written.contains("more"), "{written}");
}

#[test]
fn hosts_and_paths_may_be_several() {
    let route = route(
        "listen = 80\nhosts = [\"*.Example.com\", \"example.com.\"]\npath = [\"/b/\", \"/a\", \"/a\"]\nstrip = true",
    );
    let hosts = vec!["*.example.com".to_owned(), "example.com".to_owned()];
    assert_eq!(route.kind, RouteKind::Http { hosts, path: "/a".into(), more: vec!["/b".into()] });
    assert_eq!(route.rules.strip, ["/a", "/b"]);
}

#[test]
fn redirects_and_rewrites() {
    let rules = rules(
        "hosts = [\"example.com\", \"www.example.com\"]\n\
         [[service.web.route.redirect]]\nhost = \"WWW.example.com\"\nto = \"https://example.com/*\"\nstatus = 308\n\
         [[service.web.route.redirect]]\nfrom = \"/old/*\"\nto = \"/new/*\"\n\
         [[service.web.route.rewrite]]\nfrom = \"/v1/*\"\nto = \"/api/v1/*\"",
    );
    let redirect = &rules.redirects[0];
    assert_eq!((redirect.host.as_deref(), redirect.from.to_string().as_str()), (Some("www.example.com"), "/*"));
    assert_eq!((redirect.to.as_str(), redirect.status), ("https://example.com/*", 308));
    assert_eq!((rules.redirects[1].from.to_string().as_str(), rules.redirects[1].status), ("/old/*", 301));
    assert_eq!(rules.rewrites[0].to, "/api/v1/*");
}

#[test]
fn headers_pages_and_maintenance() {
    let rules = rules(
        "pages = { 502 = \"errors/down.html\" }\n\
         request_headers = { set = { X-Env = \"prod\" }, remove = [\"X-Debug\"] }\n\
         response_headers = { add = { Vary = \"Accept\" } }\n\
         [service.web.route.maintenance]\npage = \"soon.txt\"\nretry_after = \"10m\"\nallow = [\"10.0.0.0/8\", \"::1\"]",
    );
    assert_eq!(
        (rules.pages[&502].kind.as_str(), rules.pages[&502].body.as_str()),
        ("text/html; charset=utf-8", "<p>down</p>")
    );
    assert_eq!(rules.request_fields.set, [("X-Env".to_owned(), "prod".to_owned())]);
    assert_eq!(rules.request_fields.remove, ["X-Debug"]);
    assert_eq!(rules.answer_fields.add, [("Vary".to_owned(), "Accept".to_owned())]);
    let down = rules.maintenance.unwrap();
    assert_eq!((down.page.unwrap().body.as_str(), down.retry_after, down.allow.len()), ("soon", Some(600), 2));
}

#[test]
fn files() {
    let rules = rules("[[service.web.route.files]]\npath = \"/assets/\"\ndirectory = \"bin\"\nmissing = \"pass\"");
    assert_eq!((rules.files[0].path.as_str(), rules.files[0].missing), ("/assets", Missing::Pass));
    assert!(rules.files[0].directory.ends_with("bin") && rules.files[0].directory.is_absolute());
    let config = folder()
        .load(format!("{SERVICE}listen = 80\nfiles = [{{ path = \"/\", directory = \"gone\" }}]"), None)
        .unwrap();
    assert!(config.warnings.iter().any(|warning| warning.to_string().contains("\"gone\" is not a folder now")));
}

#[test]
fn compression_is_off_unless_asked_for() {
    assert_eq!(rules("").compress, None);
    assert_eq!(
        rules("compress = {}").compress,
        Some(Compress { codings: Coding::ALL.to_vec(), min_size: ByteSize(1024) })
    );
    let some = rules("compress = { codings = [\"gzip\", \"br\"], min_size = 10 }").compress.unwrap();
    assert_eq!((some.codings, some.min_size), (vec![Coding::Gzip, Coding::Br], ByteSize(10)));
    let limits = route("listen = 80\nlimits = { head = \"5s\", client_idle = \"10s\", body_pause = \"7s\" }").limits;
    assert_eq!([limits.head, limits.client_idle, limits.body_pause].map(|time| time.as_secs()), [5, 10, 7]);
}

#[test]
fn who_may_ask_and_how_much() {
    let access = rules(
        "access = { allow = [\"10.0.0.0/8\"], rate = \"600/m\", at_once = 5 }\npassword = { file = \"users\", realm = \"shop\" }",
    )
    .access;
    let rate = access.rate.unwrap();
    assert_eq!((rate.requests, rate.per, rate.burst), (600, Duration::from_secs(60), 20));
    assert_eq!((access.allow.len(), access.at_once), (1, Some(5)));
    let password = access.password.unwrap();
    assert_eq!((password.file.ends_with("users"), password.realm.as_str()), (true, "shop"));
    let config = folder().load(format!("{SERVICE}listen = 80\npassword = {{ file = \"gone\" }}"), None).unwrap();
    assert!(config.warnings.iter().any(|warning| warning.to_string().contains("\"gone\" cannot be read now")));
}

#[test]
fn what_is_wrong_is_told() {
    let told = transcript(&[
        "listen = 80\nstrip = true",
        "listen = 80\nredirect = { from = \"/a\", to = \"/b\" }",
        "listen = 80\nredirect = [7]",
        "listen = 80\n[[service.web.route.redirect]]\nto = \"/b\"",
        "listen = 80\n[[service.web.route.redirect]]\nfrom = \"/a\"",
        "listen = 80\n[[service.web.route.redirect]]\nfrom = \"/a\"\nto = \"/b\"\n[[service.web.route.redirect]]\nfrom = \"a\"\nto = \"/b\"\nstatus = 200",
        "listen = 80\n[[service.web.route.redirect]]\nfrom = \"/a/*\"\nto = \"/a/b\"",
        "listen = 80\n[[service.web.route.redirect]]\nfrom = \"/a\"\nto = \"//evil.example/*\"",
        "listen = 80\n[[service.web.route.redirect]]\nfrom = \"/a\"\nto = \"/b\"\ncode = 301",
        "listen = 80\nhosts = [\"a\"]\n[[service.web.route.redirect]]\nhost = \"www.a\"\nto = \"http://a/*\"",
        "listen = 80\n[[service.web.route.rewrite]]\nfrom = \"/a/*\"\nto = \"http://x/\"",
        "listen = 80\nrequest_headers = { set = { Host = \"x\", X-Forwarded-For = \"y\", \"a b\" = \"c\" }, remove = [\"Content_Length\"] }",
        "listen = 80\nresponse_headers = { set = { Transfer-Encoding = \"x\", X = \"a\\nb\", cutover-error = \"no\" } }",
        "listen = 80\npages = { 404 = \"errors/down.html\", 502 = \"missing.html\", 503 = \"large.html\", 504 = \"binary.html\" }",
        "listen = 80\npages = { 502 = \"errors\" }",
        "listen = 80\n[service.web.route.maintenance]\nretry_after = 5\nallow = [\"here\"]\npage = \"missing\"\nexcept = []",
        "listen = 80\ntcp = true\nstrip = true\npages = {}\n[[service.web.route.redirect]]\nfrom = \"/a\"\nto = \"/b\"",
        "strip = true\n[service.web.route.nginx]\nfile = \"/x\"\nupstream = \"web\"",
        "listen = 80\n[[service.web.route.files]]\npath = \"assets\"\ndirectory = \"/\"\n[[service.web.route.files]]\npath = \"/a\"\nroot = \"x\"",
        "listen = 80\n[[service.web.route.files]]\npath = \"/a/\"\ndirectory = \"bin\"\n[[service.web.route.files]]\npath = \"/a\"\ndirectory = \"/\"\nmissing = \"404\"",
        "listen = 80\naccess = { allow = [\"x\"], deny = 7, rate = \"10\", burst = 0, at_once = 0 }",
        "listen = 80\naccess = { rate = \"0/s\" }",
        "listen = 80\naccess = { rate = \"10/day\", users = \"x\" }",
        "listen = 80\naccess = { burst = 5 }",
        "listen = 80\n[service.web.route.password]\nrealm = \"a \\\"b\\\"\"",
        "listen = 80\npassword = { file = \"md5\" }",
        "listen = 80\npassword = { file = \"nonsense\" }",
        "listen = 80\ncompress = { codings = [\"gzip\", \"gzip\", \"deflate\"], min_size = \"x\" }",
        "listen = 80\ncompress = true",
        "listen = 80\nlimits = { head = 30, client_idle = \"75\", body_pause = true }",
    ]);
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(told) });
}
