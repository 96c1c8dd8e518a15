//! The real binary and a program that listens on a unix socket: found ready, served, replaced, killed.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod release_server;

use std::path::{Path, PathBuf};

use cutover_testkit::host::{App, Host, kill, until};
use release_server::{curl, program, replaced_under_requests};

/// The program, and the folder of its sockets.
fn app(host: &Host) -> (App, PathBuf) {
    let (server, folder) = (program(host, "unix.py"), host.root().join("s"));
    std::fs::create_dir(&folder).unwrap();
    let asks = "curl -sSf --unix-socket $CUTOVER_SOCKET $CUTOVER_PREVIEW_URL/";
    let app = App {
        check: "http = \"/healthz\"\nwarm_up = { requests = 3 }".to_owned(),
        own: format!("socket = \"{}/{{instance}}\"", folder.display()),
        within: "10s",
        smoke: Some(["/bin/sh", "-c", asks].map(str::to_owned).to_vec()),
        ..App::running(&["/usr/bin/python3", &server.display().to_string(), "{socket}"])
    };
    (app, folder)
}

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

fn sockets(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Requests without end while one release takes the place of another, and nothing left of those that have gone. Seen to fail with the socket
/// left where it is after the program has ended.
#[test]
fn a_program_on_a_socket_is_replaced_and_nobody_notices() {
    let host = host();
    let (app, folder) = app(&host);
    host.configure(&app);
    host.done(&["deploy"]);
    replaced_under_requests(&host);
    assert_eq!(host.story().summary.proof.map(|proof| proof.failed), Some(0));
    let status = host.run(&["status"]).expect(0);
    let serving = host.serving();
    let (name, path) = (serving[0].instance.to_string(), folder.join(serving[0].instance.to_string()));
    assert!(status.stdout.contains(&format!("unix:{}", path.display())), "{}", status.stdout);
    until("only its socket is left", || (sockets(&folder) == [name.clone()]).then_some(()));
}

/// A program that was killed leaves its socket, on which it could not listen again. Seen to fail with nobody removing it before it starts.
#[test]
fn a_program_that_was_killed_can_listen_again() {
    let host = host();
    let (app, _) = app(&host);
    host.configure(&App { replicas: 1, ..app });
    host.done(&["deploy"]);
    let before = host.a_serving_process();
    kill(before);
    until("another process serves", || (host.a_serving_process() != before && curl(&host).0).then_some(()));
}

/// What is wrong is said, and the release before goes on.
#[test]
fn a_program_that_listens_elsewhere_is_told_where_it_should() {
    let host = host();
    let (app, folder) = app(&host);
    host.configure(&app);
    host.done(&["deploy"]);
    let sleeps = App { within: "2s", command: Some(["/bin/sleep", "1000"].map(str::to_owned).to_vec()), ..app.clone() };
    host.configure(&sleeps);
    let place = format!("at unix:{}/sample.r2.i", folder.display());
    host.run(&["deploy"]).expect(4).says(&[
        &place,
        "there is no such socket yet",
        "use {socket} in the command, or the variable CUTOVER_SOCKET",
        "release 1 of sample is live, as before",
    ]);
    assert_eq!(curl(&host), (true, "release 1".to_owned()));
}
