//! The real binary listens on a unix socket: deployments, an upgrade of the proxy and its death, seen by clients that ask without end.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cutover::runtime::process::identity::ProcessId;
use cutover_testkit::host::{App, Host, Role, kill, until};

fn host() -> (Host, PathBuf) {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let path = host.root().join("web.sock");
    (host, path)
}

fn app(path: &Path) -> App {
    App { listen: Some(format!("unix:{}", path.display())), ..App::default() }
}

/// One request, on a connection that stays open if the answer does not say otherwise. What came back is good if it is 200.
fn ask(stream: &mut UnixStream) -> std::io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: sample\r\n\r\n")?;
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let wrong = |what: &str| Err(std::io::Error::other(what.to_owned()));
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let length = field("content-length:").and_then(|length| length.parse::<usize>().ok());
            match length {
                _ if !head.starts_with("http/1.1 200 ") => return wrong(head),
                None => return wrong("the answer has no length"),
                Some(length) if body.len() >= length => return Ok(field("connection:") != Some("close")),
                Some(_) => {}
            }
        }
        match stream.read(&mut buffer)? {
            0 => return wrong("the connection ended"),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}

fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Asks without end while something is done: two clients on connections that they keep, two on a new one for each request. Insists that none
/// of them notices.
fn unnoticed(path: &Path, work: impl FnOnce(&dyn Fn(usize))) {
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (done, asked) = (&done, &asked);
        for client in 0..4 {
            scope.spawn(move || {
                let mut kept = None;
                while !done.load(SeqCst) {
                    let mut one = || -> std::io::Result<_> {
                        let mut stream = kept.take().map_or_else(|| connect(path), Ok)?;
                        Ok(ask(&mut stream)?.then_some(stream))
                    };
                    let answered = one();
                    // Ends the others, too.
                    done.fetch_or(answered.is_err(), SeqCst);
                    kept = answered.unwrap().filter(|_| client % 2 == 0);
                    asked.fetch_add(1, SeqCst);
                }
            });
        }
        let more = |count: usize| {
            let before = asked.load(SeqCst);
            until("requests are answered", || (done.load(SeqCst) || asked.load(SeqCst) > before + count).then_some(()));
        };
        more(50);
        work(&more);
        more(50);
        done.store(true, SeqCst);
    });
}

fn release(host: &Host, number: u32) {
    host.build(&format!("build {number}"));
    host.done(&["deploy"]);
    host.rests_on(Some(number), 1);
}

/// Seen to fail with a process that was replaced removing the socket, and with the next one not removing what a killed one has left.
#[test]
fn deployments_an_upgrade_and_a_kill_pass_a_socket() {
    let (host, path) = host();
    host.configure(&app(&path));
    let shown = format!("unix:{}", path.display());
    host.done(&["plan"]).says(&[&shown]);
    host.done(&["deploy"]);
    host.done(&["status"]).says(&[&shown]);
    unnoticed(&path, |more| {
        release(&host, 2);
        host.build("build 3");
        let deploying = host.begin(&["deploy"]);
        host.done(&["proxy", "upgrade"]);
        deploying.wait().expect(0);
        host.rests_on(Some(3), 1);
        more(50);
        let first = host.processes_of(Role::Proxy);
        host.done(&["proxy", "upgrade"]);
        let left = |id: &&ProcessId| !id.lives();
        until("those that were replaced leave", || (first.iter().filter(left).count() == first.len()).then_some(()));
        more(50);
    });
    let proxy = until("there is one proxy", || host.only(Role::Proxy));
    kill(proxy);
    until("a new client is answered", || connect(&path).and_then(|mut stream| ask(&mut stream)).ok());
    unnoticed(&path, |_| release(&host, 4));
    host.done(&["remove"]);
    assert!(!path.exists(), "it is gone with its service");
}

/// Refused before anything has changed. Seen to fail with the path looked at only by the proxy.
#[test]
fn what_lies_in_the_way_is_named() {
    let (host, path) = host();
    host.configure(&app(&path));
    let theirs = UnixListener::bind(&path).unwrap();
    let own = format!("process {}, ", std::process::id());
    host.run(&["deploy"]).expect(3).says(&["another process does already", &path.display().to_string(), &own]);
    drop(theirs);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "keep me").unwrap();
    host.run(&["deploy"]).expect(3).says(&["what lies there is no socket", "remove it, or write another path"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "keep me");
    std::fs::remove_file(&path).unwrap();
    // A dead process has left it.
    drop(UnixListener::bind(&path).unwrap());
    host.done(&["deploy"]);
    assert!(ask(&mut connect(&path).unwrap()).unwrap());
}

/// The agent looks through the proxy as a client, and comes from where every connection is introduced. Seen to fail with the header left out
/// by the agent.
#[test]
fn the_agent_introduces_itself_where_everybody_must() {
    let (host, path) = host();
    for (number, app) in [app(&path), App::default()].into_iter().enumerate() {
        let from = if number == 0 { "unix:" } else { "127.0.0.1" };
        host.configure(&App { route: format!("proxy_from = [{from:?}]"), ..app });
        release(&host, u32::try_from(number).unwrap() + 1);
        if number == 0 {
            let mut stream = connect(&path).unwrap();
            stream.write_all(b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\n").unwrap();
            assert!(ask(&mut stream).unwrap());
        }
    }
    assert!(!path.exists(), "the service has left it");
}
