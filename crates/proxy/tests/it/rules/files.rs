//! Files that the proxy sends itself: every way out of the folder, conditions, ranges, encodings.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cutover_core::rules::{FieldRules, Files, Missing, Rules};
use tempfile::TempDir;

use super::{ruled, serving};
use crate::support::backend::Backend;
use crate::support::client::{Answer, Conn};
use crate::support::proxy::Proxy;

/// A folder with what the tests ask for, and beside it what nobody may get.
fn site() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for folder in ["site/docs", "site/empty", "site/.git", "site/.well-known", "elsewhere"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    let files = [
        ("secret", "secret"),
        ("elsewhere/secret", "secret"),
        ("site/index.html", "<p>home</p>"),
        ("site/docs/index.html", "<p>docs</p>"),
        ("site/a.txt", "0123456789"),
        ("site/a b%.css", "p{}"),
        ("site/app.js", "plain"),
        ("site/app.js.gz", "gzipped"),
        ("site/app.js.br", "brotli!"),
        ("site/.env", "secret"),
        ("site/.git/config", "secret"),
        ("site/.well-known/x", "known"),
    ];
    for (name, text) in files {
        fs::write(at(name), text).unwrap();
        let file = fs::File::options().write(true).open(at(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    }
    symlink("a.txt", at("site/inside")).unwrap();
    symlink("../secret", at("site/outside")).unwrap();
    symlink(at("secret"), at("site/absolute")).unwrap();
    symlink("../elsewhere", at("site/folder")).unwrap();
    symlink("loop", at("site/loop")).unwrap();
    symlink("/proc/self/root", at("site/magic")).unwrap();
    root
}

fn files(root: &Path, missing: Missing) -> Files {
    let cache_control = Some("max-age=60".to_owned());
    Files { path: "/assets".to_owned(), directory: root.join("site"), missing, cache_control }
}

fn sends(root: &Path, missing: Missing) -> (Backend, Proxy) {
    let web = Backend::named("web");
    let rules = Rules { files: vec![files(root, missing)], ..Rules::default() };
    let proxy = serving(&web, rules);
    (web, proxy)
}

/// A request whose path is not touched by anything on its way.
fn ask(conn: &mut Conn, method: &str, path: &str, fields: &str) -> Answer {
    conn.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    conn.answer()
}

// Seen failing with the path not checked, and with RESOLVE_BENEATH left out.
#[test]
fn nothing_outside_of_the_folder_is_sent() {
    let root = site();
    let (web, proxy) = sends(root.path(), Missing::Refuse);
    let mut conn = proxy.connect();
    let ways = [
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "%2E%2E%2Fsecret",
        ".%2e/secret",
        "docs/../../secret",
        "docs/%2e%2e/%2e%2e/secret",
        "%252e%252e/secret",
        "%252e%252e%252fsecret",
        "..%252fsecret",
        "..\\secret",
        "..%5csecret",
        "%2e%2e%5csecret",
        "..%c0%afsecret",
        "%c0%ae%c0%ae/secret",
        "a.txt%00",
        "%00",
        "a.txt%00.css",
        "outside",
        "absolute",
        "folder/secret",
        "folder",
        "loop",
        "magic/etc/passwd",
        ".env",
        "%2eenv",
        ".git/config",
        "docs/../.env",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "a.txt/",
        "a.txt/x",
        "empty/",
        "nothing",
        "a%2etxt%",
        "%zz",
    ];
    for way in ways {
        let answer = ask(&mut conn, "GET", &format!("/assets/{way}"), "");
        assert_eq!((answer.status, answer.field("cutover-error")), (404, Some("no-file")), "{way}: {answer:?}");
        assert_eq!(answer.text(), "cutover: there is no such file\n");
    }
    let long = "x".repeat(5000);
    assert_eq!(ask(&mut conn, "GET", &format!("/assets/{long}"), "").status, 404);
    assert!(web.seen().is_empty(), "none of them was passed on");
}

#[test]
fn a_file_is_sent_whole() {
    let root = site();
    let (web, proxy) = sends(root.path(), Missing::Refuse);
    let mut conn = proxy.connect();
    let answer = ask(&mut conn, "GET", "/assets/a.txt?v=1", "");
    let date = answer.field("date").unwrap().to_owned();
    let expected = format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\n\
         Accept-Ranges: bytes\r\nETag: \"de0b6b3a7640000-a\"\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n\
         Cache-Control: max-age=60\r\nVary: Accept-Encoding\r\n\r\n"
    );
    assert_eq!((answer.head.as_str(), answer.text()), (expected.as_str(), "0123456789"));
    let cases = [
        ("/assets/inside", "0123456789"),
        ("/assets/a%20b%25.css", "p{}"),
        ("/assets//a.txt", "0123456789"),
        ("/assets/", "<p>home</p>"),
        ("/assets/docs/", "<p>docs</p>"),
        ("/assets/.well-known/x", "known"),
        ("/other", "web"),
        ("/assetsx", "web"),
    ];
    for (path, text) in cases {
        assert_eq!(ask(&mut conn, "GET", path, "").text(), text, "{path}");
    }
    for (path, location) in [("/assets/docs", "/assets/docs/"), ("/assets/docs?a", "/assets/docs/?a")] {
        let answer = ask(&mut conn, "GET", path, "");
        assert_eq!((answer.status, answer.field("location")), (301, Some(location)));
    }
    conn.send("HEAD /assets/a.txt HTTP/1.1\r\nHost: test\r\nRange: bytes=0-1\r\n\r\n");
    assert!(conn.head().contains("200 OK\r\n"), "HEAD has no ranges");
    let answer = ask(&mut conn, "DELETE", "/assets/a.txt", "");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")), "no body followed the HEAD");
    assert_eq!(web.seen().len(), 2);
}

#[test]
fn conditions_and_ranges() {
    let root = site();
    let (_web, proxy) = sends(root.path(), Missing::Refuse);
    let mut conn = proxy.connect();
    let tag = "\"de0b6b3a7640000-a\"";
    let same = "Sun, 09 Sep 2001 01:46:40 GMT";
    let cases = [
        (format!("If-None-Match: {tag}\r\n"), 304, ""),
        (format!("If-None-Match: \"x\"\r\nIf-None-Match: W/{tag}\r\n"), 304, ""),
        (format!("If-Modified-Since: {same}\r\n"), 304, ""),
        ("If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n".to_owned(), 200, "0123456789"),
        ("If-Match: \"x\"\r\n".to_owned(), 412, ""),
        ("Range: bytes=2-4\r\n".to_owned(), 206, "234"),
        ("Range: bytes=-2\r\n".to_owned(), 206, "89"),
        ("Range: bytes=8-100\r\n".to_owned(), 206, "89"),
        ("Range: bytes=10-\r\n".to_owned(), 416, ""),
        ("Range: bytes=0-1,4-5\r\n".to_owned(), 200, "0123456789"),
        ("Range: bytes=0-1\r\nRange: bytes=4-5\r\n".to_owned(), 200, "0123456789"),
        (format!("Range: bytes=2-4\r\nIf-Range: {tag}\r\n"), 206, "234"),
        (format!("Range: bytes=2-4\r\nIf-Range: {same}\r\n"), 206, "234"),
        ("Range: bytes=2-4\r\nIf-Range: \"x\"\r\n".to_owned(), 200, "0123456789"),
    ];
    for (fields, status, text) in cases {
        let answer = ask(&mut conn, "GET", "/assets/a.txt", &fields);
        assert_eq!((answer.status, answer.text()), (status, text), "{fields}");
        match status {
            206 => assert!(answer.field("content-range").unwrap().ends_with("/10")),
            416 => assert_eq!(answer.field("content-range"), Some("bytes */10")),
            304 => assert!(answer.field("content-length").is_none() && answer.field("etag") == Some(tag)),
            _ => assert_eq!(answer.field("content-range"), None),
        }
    }
}

// Seen failing with the encodings chosen without looking at what the client accepts, and with one tag for all of them.
#[test]
fn a_file_that_lies_there_compressed_is_sent_so() {
    let root = site();
    let (_web, proxy) = sends(root.path(), Missing::Refuse);
    let mut conn = proxy.connect();
    let mut tags = std::collections::BTreeSet::new();
    let cases = [
        ("", None, "plain"),
        ("gzip", Some("gzip"), "gzipped"),
        ("gzip, deflate, br, zstd", Some("br"), "brotli!"),
        ("zstd", None, "plain"),
        ("br;q=0, gzip;q=0.5", Some("gzip"), "gzipped"),
        ("gzip;q=0.000", None, "plain"),
    ];
    for (accepts, coding, text) in cases {
        let answer = ask(&mut conn, "GET", "/assets/app.js", &format!("Accept-Encoding: {accepts}\r\n"));
        assert_eq!((answer.field("content-encoding"), answer.text()), (coding, text), "{accepts}");
        assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
        tags.insert(answer.field("etag").unwrap().to_owned());
    }
    assert_eq!(tags.len(), 3, "{tags:?}");
    let answer = ask(&mut conn, "GET", "/assets/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!(answer.field("content-encoding"), None, "there is none of this one");
}

#[test]
fn what_is_not_there_may_be_the_services_business() {
    let root = site();
    let (web, proxy) = sends(root.path(), Missing::Pass);
    let mut conn = proxy.connect();
    assert_eq!(ask(&mut conn, "GET", "/assets/a.txt", "").text(), "0123456789");
    for path in ["/assets/nothing", "/assets/%2e%2e/secret", "/assets/empty/"] {
        assert_eq!(ask(&mut conn, "GET", path, "").text(), "web", "{path}");
    }
    assert_eq!(conn.post("/assets/a.txt", "x").text(), "web");
    assert_eq!(web.seen().len(), 4);
    let index = Rules { files: vec![files(root.path(), Missing::Index)], ..Rules::default() };
    proxy.replace(ruled(&web, index));
    for path in ["/assets/users/7", "/assets", "/assets/../secret"] {
        let answer = ask(&mut conn, "GET", path, "");
        assert_eq!((answer.status, answer.text()), (200, "<p>home</p>"), "{path}");
    }
}

#[test]
fn header_rules_and_pages_hold_for_files_too() {
    let root = site();
    let web = Backend::named("web");
    let page = cutover_core::rules::Page::of("404.html", "<p>lost</p>".to_owned());
    let rules = Rules {
        files: vec![files(root.path(), Missing::Refuse)],
        answer_fields: FieldRules { set: vec![("X-Frame-Options".into(), "DENY".into())], ..FieldRules::default() },
        pages: [(404, page)].into(),
        ..Rules::default()
    };
    let proxy = serving(&web, rules);
    let mut conn = proxy.connect();
    assert_eq!(ask(&mut conn, "GET", "/assets/a.txt", "").field("x-frame-options"), Some("DENY"));
    assert_eq!(ask(&mut conn, "GET", "/assets/nothing", "").text(), "<p>lost</p>");
    assert_eq!((proxy.service("web").served, proxy.service("web").failed), (1, 0));
}

/// Root may read everything, so that the refusal of the kernel itself can only be tried by others.
#[test]
fn a_file_that_may_not_be_read_says_so() {
    let root = site();
    let (_web, proxy) = sends(root.path(), Missing::Refuse);
    fs::set_permissions(root.path().join("site/a.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    let answer = ask(&mut proxy.connect(), "GET", "/assets/a.txt", "");
    let expected = if rustix::process::geteuid().is_root() { 200 } else { 403 };
    assert_eq!(answer.status, expected);
    fs::remove_dir_all(root.path().join("site")).unwrap();
    assert_eq!(ask(&mut proxy.connect(), "GET", "/assets/a.txt", "").status, 404, "the folder itself is gone");
}

/// A pipe that nobody writes to would keep whoever opens it; a device would never end.
// Seen failing (never an answer) with O_NONBLOCK left out.
#[test]
fn what_is_no_file_is_not_opened() {
    let root = site();
    let pipe = root.path().join("site/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let (_web, proxy) = sends(root.path(), Missing::Refuse);
    assert_eq!(ask(&mut proxy.connect(), "GET", "/assets/pipe", "").status, 404);
}

/// Large files go in pieces, while others are served by the same worker.
#[test]
fn a_large_file_does_not_hold_up_others() {
    let root = site();
    let data: Vec<u8> = (0..40_000_000u32).map(|number| (number % 251) as u8).collect();
    fs::write(root.path().join("site/large.bin"), &data).unwrap();
    let (_web, proxy) = sends(root.path(), Missing::Refuse);
    let mut slow = [proxy.connect(), proxy.connect(), proxy.connect(), proxy.connect()];
    for conn in &mut slow {
        conn.send("GET /assets/large.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    let mut other = proxy.connect();
    for _ in 0..20 {
        assert_eq!(ask(&mut other, "GET", "/assets/a.txt", "").status, 200);
    }
    for conn in &mut slow[..1] {
        assert!(conn.answer().body == data, "the bytes differ");
    }
    let part = ask(&mut other, "GET", "/assets/large.bin", "Range: bytes=131000-400000\r\n");
    assert!(part.body == data[131_000..=400_000], "the bytes of the part differ");
    // Cut short while it is sent: the client must not take it for whole.
    let conn = &mut slow[1];
    conn.head();
    fs::File::options().write(true).open(root.path().join("site/large.bin")).unwrap().set_len(10).unwrap();
    assert!(conn.rest().map_or(0, |body| body.len()) < data.len());
}
