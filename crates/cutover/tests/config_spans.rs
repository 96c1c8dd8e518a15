//! Where spans go, as it is written in the file.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod config;

use config::Folder;
use cutover::config::Config;
use cutover_core::rule::verdict::Share;
use cutover_core::trail::Spans;

const ROUTE: &str = "project = \"shop\"\n[service.web]\ncommand = [\"./server\", \"{port}\"]\nready = { tcp = true }\n[service.web.route]\nlisten = 80\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.file("key", "Authorization: Bearer hunter2\n");
    folder.file("nonsense", "# a key\nhunter2\n");
    folder
}

fn load(lines: &str) -> Result<Config, String> {
    let loaded = folder().load(format!("{ROUTE}{lines}"), None);
    loaded.map_err(|errors| {
        let told = format!("{errors} {errors:?}");
        assert!(!told.contains("hunter2"), "a secret is shown: {told}");
        errors.to_string()
    })
}

fn spans(lines: &str) -> Spans {
    let config = load(&format!("[service.web.route.spans]\n{lines}")).unwrap_or_else(|errors| panic!("{errors}"));
    config.services[0].route.as_ref().unwrap().proxy().unwrap().trail.spans.clone().unwrap()
}

#[test]
fn nothing_is_sent_unless_it_is_asked_for() {
    let config = load("").unwrap();
    let route = config.services[0].route.as_ref().unwrap().proxy().unwrap().clone();
    assert_eq!(route.trail.spans, None);
    assert!(!serde_json::to_string(&route).unwrap().contains("spans"), "an older proxy reads the same table as before");
}

#[test]
fn an_endpoint_is_enough() {
    let plain = spans("endpoint = \"https://collector.example.com:4318\"");
    assert_eq!(plain.endpoint, "https://collector.example.com:4318/v1/traces");
    assert_eq!((plain.ratio, plain.anyone, plain.headers_file, plain.ca_file), (Share::ONE, true, None, None));
    for (written, meant) in [("http://[::1]:4318/", "http://[::1]:4318/v1/traces"), ("https://a/b", "https://a/b")] {
        assert_eq!(spans(&format!("endpoint = {written:?}")).endpoint, meant);
    }
    let all = spans(
        "endpoint = \"https://a\"\nratio = \"0.5%\"\nparent = \"trusted\"\nheaders_file = \"key\"\nca_file = \"web.pem\"",
    );
    assert_eq!((all.ratio, all.anyone), (Share::millionths(5000), false));
    assert!(all.headers_file.is_some_and(|file| file.is_absolute() && file.ends_with("key")));
    assert!(all.ca_file.is_some_and(|file| file.is_absolute() && file.ends_with("web.pem")));
}

/// Seen to fail with the address shown as other wrong values are.
#[test]
fn what_is_wrong_is_told_without_a_secret() {
    for (lines, told) in [
        ("spans = {}", "service.web.route.spans.endpoint: missing"),
        ("spans = { endpoint = \"\" }", "endpoint: is empty"),
        ("spans = { endpoint = \"collector:4318/hunter2\" }", "endpoint: does not begin with https:// or http://"),
        ("spans = { endpoint = \"https://me:hunter2@a\" }", "endpoint: has a user in it"),
        ("spans = { endpoint = \"https://a/b?key=hunter2\" }", "endpoint: has a query in it"),
        ("spans = { endpoint = \"https://a:99999\" }", "endpoint: has a port that is none"),
        ("spans = { endpoint = \"https://\" }", "endpoint: names no host"),
        ("spans = { endpoint = 7 }", "endpoint: expected a text in quotes"),
        ("spans = { endpoint = \"https://a\", ratio = \"101%\" }", "ratio: expected a percentage"),
        ("spans = { endpoint = \"https://a\", ratio = \"-1%\" }", "ratio: expected a percentage"),
        ("spans = { endpoint = \"https://a\", ratio = 0.5 }", "ratio: expected a"),
        ("spans = { endpoint = \"https://a\", parent = \"nobody\" }", "parent: expected one of"),
        ("spans = { endpoint = \"https://a\", headers_file = \"nonsense\" }", "line 2 of \"nonsense\" is no header"),
        ("spans = { endpoint = \"https://a\", headers = { a = \"hunter2\" } }", "unknown key \"headers\""),
        ("spans = { endpoint = \"https://a\", ca_file = \"key\" }", "there is no certificate in \"key\""),
        ("tcp = true\nspans = { endpoint = \"https://a\" }", "spans: has no meaning on a TCP route"),
    ] {
        let errors = load(lines).unwrap_err();
        assert!(errors.contains(told), "{told:?} is missing for {lines}:\n{errors}");
    }
}

#[test]
fn what_is_odd_is_told() {
    for (lines, told) in [
        ("endpoint = \"http://collector\"\nheaders_file = \"key\"", "without TLS"),
        ("endpoint = \"https://a\"\nheaders_file = \"gone\"", "\"gone\" cannot be read now"),
        ("endpoint = \"https://a\"\nca_file = \"gone.pem\"", "\"gone.pem\" cannot be read now"),
    ] {
        let config = load(&format!("[service.web.route.spans]\n{lines}")).unwrap();
        let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|warning| warning.contains(told)), "{told:?} is missing: {warnings:?}");
    }
    for quiet in ["http://127.0.0.1:4318", "http://localhost/", "http://[::1]:4318", "https://a"] {
        let config = load(&format!("[service.web.route.spans]\nendpoint = {quiet:?}\nheaders_file = \"key\"")).unwrap();
        assert!(config.warnings.iter().all(|warning| !warning.to_string().contains("TLS")), "{quiet}");
    }
}
