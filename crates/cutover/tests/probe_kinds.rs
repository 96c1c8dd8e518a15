//! Each kind of probe passes and fails, and a failure says what came back.
#![allow(clippy::unwrap_used, reason = "a test may panic, its fixtures too")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cutover::engine::port::{ProbeTarget, Prober, SmokeFailure};
use cutover::probe::NetProber;
use cutover::runtime::process::identity::ProcessId;
use cutover_core::spec::{Check, WarmUp};
use rustix::net::{AddressFamily, SocketType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(5);

fn at(address: SocketAddr) -> ProbeTarget {
    ProbeTarget { instance: "web.r7.i12".parse().unwrap(), address, tls: None, socket: None }
}

fn http(path: &str, status: (u16, u16), body: Option<&str>) -> Check {
    let headers = BTreeMap::from([("x-probe".to_owned(), "yes".to_owned())]);
    Check::Http {
        path: path.into(),
        host: Some("shop.example.com".into()),
        headers,
        status,
        body: body.map(Into::into),
    }
}

fn words(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(ToOwned::to_owned).to_vec()
}

async fn probe(check: &Check, address: SocketAddr) -> Result<(), String> {
    NetProber.probe(check, &at(address), LIMIT).await
}

/// A server that keeps what it was asked, one entry for each connection, and gives each request the same answer.
async fn server(answer: &str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (answer, shared) = (answer.to_owned(), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let number = shared.lock().unwrap().len();
            shared.lock().unwrap().push(String::new());
            let (answer, shared) = (answer.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut part).await {
                    shared.lock().unwrap()[number].push_str(&String::from_utf8_lossy(&part[..length]));
                    if !answer.is_empty() {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                }
            });
        }
    });
    (address, asked)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An address on which nobody listens, nor will: it is bound until the tests end.
fn nobody() -> SocketAddr {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
    std::mem::forget(socket);
    address
}

/// Broken on purpose: host and headers left out; the range taken for open at its upper end.
#[tokio::test]
async fn http_passes_by_status_and_asks_as_told() {
    let (address, asked) = server(&answer("204 No Content", "")).await;
    probe(&http("/healthz?deep=1", (200, 204), None), address).await.unwrap();
    let asked = asked.lock().unwrap()[0].to_lowercase();
    assert!(asked.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{asked}");
    assert!(asked.contains("host: shop.example.com\r\n") && asked.contains("x-probe: yes\r\n"), "{asked}");
}

/// On a unix socket, too; the address of such an instance means nothing. Seen to fail with the address asked.
#[tokio::test]
async fn an_instance_on_a_socket_is_asked_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.r7.i12");
    let target = ProbeTarget { socket: Some(path.clone()), ..at(nobody()) };
    let asks = |check: Check| {
        let target = target.clone();
        async move { NetProber.probe(&check, &target, LIMIT).await }
    };
    assert_eq!(asks(Check::Tcp).await, Err("there is no such socket yet".to_owned()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut part = [0; 4096];
                while let Ok(1..) = stream.read(&mut part).await {
                    let _ = stream.write_all(answer("204 No Content", "").as_bytes()).await;
                }
            });
        }
    });
    assert_eq!(asks(Check::Tcp).await, Ok(()));
    assert_eq!(asks(http("/healthz", (200, 204), None)).await, Ok(()));
    let script = format!("test $CUTOVER_SOCKET = {0} && test $CUTOVER_ADDRESS = unix:{0}", path.display());
    assert_eq!(asks(Check::Command(words(&script))).await, Ok(()));
}

#[tokio::test]
async fn http_failures_say_what_came_back() {
    let (broken, _) = server(&answer("500 Internal Server Error", "")).await;
    let (moved, _) = server("HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n").await;
    let (silent, _) = server("").await;
    let (strange, _) = server("SSH-2.0-OpenSSH_9.2\r\n").await;
    let cases = [
        (broken, "answered 500 Internal Server Error instead of 200-399"),
        (nobody(), "connection refused"),
        (moved, "answered 302 Found instead of 200"),
    ];
    for (address, expected) in cases {
        let highest = if address == moved { 200 } else { 399 };
        assert_eq!(probe(&http("/", (200, highest), None), address).await.unwrap_err(), expected);
    }
    let late = NetProber.probe(&http("/", (200, 399), None), &at(silent), Duration::from_millis(50)).await;
    assert_eq!(late.unwrap_err(), "no answer within 50ms");
    let told = probe(&http("/", (200, 399), None), strange).await.unwrap_err();
    assert!(told.starts_with("what it answered is not HTTP"), "{told}");
}

#[tokio::test]
async fn a_closed_connection_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let told = probe(&http("/", (200, 399), None), address).await.unwrap_err();
    assert_eq!(told, "the connection was closed before an answer came");
}

/// Broken on purpose: the search not limited (finds the text beyond it), or each piece searched alone.
#[tokio::test]
async fn the_body_is_searched_up_to_its_limit() {
    let (address, _) = server(&answer("200 OK", "all is ok here")).await;
    probe(&http("/", (200, 200), Some("is ok")), address).await.unwrap();
    let told = probe(&http("/", (200, 200), Some("fine")), address).await.unwrap_err();
    assert_eq!(told, "the body does not contain \"fine\"");
    let far = format!("{}ok", " ".repeat(64 << 10));
    let (address, _) = server(&answer("200 OK", &far)).await;
    assert!(probe(&http("/", (200, 200), Some("ok")), address).await.is_err());
}

/// Broken on purpose: the limit put around the connection alone. A server that trickles its body then holds the probe.
#[tokio::test]
async fn the_limit_holds_for_the_whole_try() {
    let (address, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun").await;
    let begun = Instant::now();
    let told = NetProber.probe(&http("/", (200, 200), Some("end")), &at(address), Duration::from_millis(100)).await;
    assert_eq!(told.unwrap_err(), "no answer within 100ms");
    assert!(begun.elapsed() < LIMIT);
}

#[tokio::test]
async fn tcp_file_and_running() {
    let (address, _) = server("").await;
    probe(&Check::Tcp, address).await.unwrap();
    assert_eq!(probe(&Check::Tcp, nobody()).await.unwrap_err(), "connection refused");
    probe(&Check::Running, nobody()).await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    let check = Check::File(directory.path().join("{instance}-{release}.ready"));
    let file: PathBuf = directory.path().join("web.r7.i12-7.ready");
    let told = probe(&check, address).await.unwrap_err();
    assert_eq!(told, format!("there is no file {}", file.display()));
    std::fs::write(file, "").unwrap();
    probe(&check, address).await.unwrap();
}

#[tokio::test]
async fn a_command_gets_the_address_and_tells_its_last_line() {
    let address = nobody();
    let port = address.port();
    let script = format!(
        "test $CUTOVER_ADDRESS = 127.0.0.1:{port} && test $CUTOVER_PORT = {port} \
         && test $CUTOVER_RELEASE = 7 && test $CUTOVER_INSTANCE = web.r7.i12"
    );
    probe(&Check::Command(words(&script)), address).await.unwrap();
    let told = probe(&Check::Command(words("echo first; echo no table users >&2; exit 3")), address).await.unwrap_err();
    assert_eq!(told, "the command exited with status 3: no table users");
    let missing = Check::Command(vec!["no-such-probe".into()]);
    assert!(probe(&missing, address).await.unwrap_err().contains("could not be run: no-such-probe: No such file"));
}

/// Broken on purpose: only the command killed, not its group; the group not killed when the probe is dropped.
#[tokio::test]
async fn nothing_of_a_command_stays() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let script = format!("sleep 1000 & echo $! > {0}.tmp; mv {0}.tmp {0}; wait", pids.display());
    let check = Check::Command(words(&script));
    let quick = format!("sleep 1000 & echo $! > {0}.tmp; mv {0}.tmp {0}", pids.display());
    for (way, check) in [("late", &check), ("dropped", &check), ("done", &Check::Command(words(&quick)))] {
        let _ = std::fs::remove_file(&pids);
        let begun = Instant::now();
        let limit = if way == "late" { Duration::from_millis(300) } else { LIMIT * 10 };
        let target = at(nobody());
        let trial = NetProber.probe(check, &target, limit);
        match way {
            "late" => assert_eq!(trial.await.unwrap_err(), "the command took longer than 300ms"),
            "done" => trial.await.unwrap(),
            _ => drop(tokio::time::timeout(Duration::from_millis(300), trial).await),
        }
        assert!(begun.elapsed() < LIMIT, "{way}");
        let pid: i32 = std::fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
        let until = Instant::now() + LIMIT;
        while ProcessId::of(pid).is_some_and(ProcessId::lives) {
            assert!(Instant::now() < until, "{way}: the command's child outlived it");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Broken on purpose: a new connection for each request.
#[tokio::test]
async fn warm_up_asks_each_path_in_turn_over_one_connection() {
    let (address, asked) = server(&answer("500 Internal Server Error", "not yet")).await;
    let warm_up = WarmUp { paths: vec!["/a".into(), "/b".into()], requests: 5 };
    NetProber.warm_up(&warm_up, &at(address)).await;
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let paths: Vec<&str> = asked[0].lines().filter_map(|line| line.strip_prefix("GET ")).collect();
    assert_eq!(paths, ["/a HTTP/1.1", "/b HTTP/1.1", "/a HTTP/1.1", "/b HTTP/1.1", "/a HTTP/1.1"]);
    // Nobody there: it ends all the same.
    NetProber.warm_up(&warm_up, &at(nobody())).await;
}

#[tokio::test]
async fn smoke_passes_and_fails_with_its_last_lines() {
    let target = at("127.0.0.1:8080".parse().unwrap());
    let script =
        "test $CUTOVER_PREVIEW_URL = http://127.0.0.1:8080 && test $CUTOVER_SERVICE = web && test $CUTOVER_RELEASE = 7";
    NetProber.smoke(&words(script), &target, LIMIT).await.unwrap();
    let SmokeFailure { summary, log } =
        NetProber.smoke(&words("seq 1 100000; echo end >&2; exit 1"), &target, LIMIT).await.unwrap_err();
    assert_eq!(summary, "exited with status 1");
    assert_eq!(log.len(), 20);
    assert_eq!(log[18..], ["100000", "end"]);
    let late =
        NetProber.smoke(&words("echo begun; sleep 1000"), &target, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(late, SmokeFailure { summary: "took longer than 300ms".into(), log: vec!["begun".into()] });
}

/// Broken on purpose: the output read to its end.
#[tokio::test]
async fn a_grandchild_that_keeps_the_output_open_does_not_hold_the_smoke_test() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let script = format!(
        "echo said; setsid sh -c 'echo $$ > {0}; exec sleep 1000' & while ! test -s {0}; do :; done; exit 4",
        pid.display()
    );
    let target = at(nobody());
    let command = words(&script);
    let failure = tokio::time::timeout(LIMIT, NetProber.smoke(&command, &target, LIMIT * 10)).await;
    let pid = rustix::process::Pid::from_raw(std::fs::read_to_string(pid).unwrap().trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let failure = failure.expect("the smoke test waits for a stranger").unwrap_err();
    assert_eq!(failure, SmokeFailure { summary: "exited with status 4".into(), log: vec!["said".into()] });
}
