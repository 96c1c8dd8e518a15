//! Programs that say which release they are, and clients that ask them without end while one takes the place of another.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use cutover_testkit::host::{Host, until};

/// One of the programs of this folder, in the directory of the host, where what belongs to it lies.
pub fn program(host: &Host, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/release_server");
    for file in ["answers.py", name] {
        std::fs::copy(folder.join(file), host.root().join(file)).unwrap();
    }
    host.root().join(name)
}

/// Asks through the proxy: whether that went well, and what was said.
pub fn curl(host: &Host) -> (bool, String) {
    let url = format!("http://{}/", host.address());
    let run = Command::new("curl").args(["-sS", "--fail-with-body", &url]).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

/// Two more releases, one after the other, while clients ask all the time. Each must be answered by a release.
pub fn replaced_under_requests(host: &Host) {
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let (well, said) = curl(host);
                    // Ends the others, too.
                    done.fetch_or(!well, SeqCst);
                    assert!(well && said.starts_with("release "), "{said}");
                    asked.fetch_add(1, SeqCst);
                }
            });
        }
        for release in 2..=3 {
            host.build(&format!("build {release}"));
            host.done(&["deploy"]);
            let wanted = format!("release {release}");
            until("the new release answers", || (curl(host).1 == wanted).then_some(()));
        }
        done.store(true, SeqCst);
    });
    assert!(asked.load(SeqCst) > 10, "{asked:?}");
}
