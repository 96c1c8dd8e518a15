//! A log that grows, is cut, and is set aside; read by the real shell.

use std::fs::{self, OpenOptions};
use std::io::Write;

use super::super::place::Host;
use super::*;

const OLD: &str = "10.0.0.1:80";
const NEW: &str = "10.0.0.2:80";

fn id(release: u32) -> InstanceId {
    format!("web.r{release}.i{release}").parse().unwrap()
}

fn who(alone: Option<u32>) -> Who {
    let addresses = [(OLD.parse().unwrap(), id(1)), (NEW.parse().unwrap(), id(2))];
    Who { addresses: addresses.into(), alone: alone.map(id) }
}

fn add(file: &Path, lines: &[(u16, &str)]) {
    let mut log = OpenOptions::new().create(true).append(true).open(file).unwrap();
    for (status, by) in lines {
        writeln!(log, "192.0.2.1 - - [x] \"GET / HTTP/1.1\" {status} 5 \"-\" \"-\" {by}").unwrap();
    }
}

fn of(inner: &Inner, release: u32) -> (u64, u64) {
    inner.answered.get(&id(release)).map_or((0, 0), |answered| (answered.served, answered.errors))
}

// Seen to fail with an unfinished line counted, with a new file read from the old position, and with the latest look's release
// taken for whoever is not named.
#[tokio::test]
async fn a_log_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let mut inner = Inner::default();
    assert!(inner.follow(&Host, &file, &who(None)).await.is_err(), "there is no log yet");
    add(&file, &[(200, OLD), (500, OLD), (404, NEW), (200, "10.9.9.9:1"), (200, "-")]);
    inner.follow(&Host, &file, &who(Some(1))).await.unwrap();
    assert_eq!((of(&inner, 1), of(&inner, 2)), ((2, 1), (1, 0)), "nobody served alone before the first look");
    inner.alone = Some(id(1));
    add(&file, &[(503, "-")]);
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"192.0.2.1 - - [x] \"GET / HT").unwrap();
    inner.follow(&Host, &file, &who(Some(2))).await.unwrap();
    assert_eq!((of(&inner, 1), of(&inner, 2)), ((3, 2), (1, 0)));
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"TP/1.1\" 502 5 10.0.0.2:80\n").unwrap();
    inner.follow(&Host, &file, &who(None)).await.unwrap();
    assert_eq!(of(&inner, 2), (2, 1), "the line was finished");
    fs::rename(&file, folder.path().join("access.log.1")).unwrap();
    // Longer already than the one before was.
    add(&file, &[(200, NEW); 10]);
    inner.follow(&Host, &file, &who(None)).await.unwrap();
    assert_eq!(of(&inner, 2), (12, 1), "a new file");
    fs::write(&file, b"").unwrap();
    inner.follow(&Host, &file, &who(None)).await.unwrap();
    add(&file, &[(200, NEW), (200, NEW)]);
    inner.follow(&Host, &file, &who(None)).await.unwrap();
    assert_eq!((of(&inner, 1), of(&inner, 2)), ((3, 2), (14, 1)), "emptied, and written again");
}

#[tokio::test]
async fn of_a_long_log_the_end_is_read_and_then_all_that_comes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let line = "192.0.2.1 - - [x] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\" 10.0.0.1:80\n".len();
    let many = vec![(200, OLD); (3 << 20) / line];
    add(&file, &many);
    let mut inner = Inner::default();
    inner.follow(&Host, &file, &who(None)).await.unwrap();
    let (last, _) = of(&inner, 1);
    assert_eq!(last, ((1 << 20) / line) as u64, "the last mebibyte, without the line that it begins in");
    add(&file, &many);
    inner.follow(&Host, &file, &who(None)).await.unwrap();
    assert_eq!(of(&inner, 1).0, last + many.len() as u64);
}

#[tokio::test]
async fn what_is_no_file_is_said() {
    let failure = read(&Host, Path::new("/dev/null"), None).await.unwrap_err();
    assert!(failure.summary.contains("/dev/null on this host: it is not a file"), "{failure}");
    let missing = read(&Host, Path::new("/nowhere/access.log"), None).await.unwrap_err();
    assert!(missing.hint.is_some_and(|hint| hint.contains("access_log")));
}
