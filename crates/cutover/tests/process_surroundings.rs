//! What a program is given: environment, user, limits; and what may be wrong with it, told from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic, its fixtures too")]

mod process_support;

use cutover::engine::port::{Exit, Runtime, RuntimeError, StartOrder};
use cutover::runtime::process::identity::all;
use cutover_core::ByteSize;
use cutover_core::spec::{LimitSpec, Ports, ProcessSpec, StopSpec};
use process_support::*;

/// Runs a script to its end.
async fn output(world: &World, spec: ProcessSpec) -> Vec<String> {
    let order = order("job.r3.i4", spec);
    world.start(&order).await;
    within("the end", world.runtime.exited(&order.instance)).await;
    world.last_lines(&order.instance, 100).await
}

/// Broken on purpose: the agent's whole environment handed on (by the agent and by the entry: each keeps it back); the configured `PORT` let win; `{port}` not replaced.
#[tokio::test]
async fn a_program_gets_its_environment_and_no_other() {
    let world = World::new();
    let mut spec = shell("env; echo args: $0 $1; pwd");
    spec.command.extend(["{instance}:{release}".into(), "{port}{artifact}".into()]);
    spec.env.insert("URL".into(), secret("http://localhost:{port}/"));
    spec.env.insert("PORT".into(), secret("1"));
    spec.env.insert("TZ".into(), secret("Europe/Tallinn"));
    spec.directory = Some("/usr".into());
    spec.ports = Ports::Fixed(vec![18_231, 18_232, 18_233, 18_234]);
    let lines = output(&world, spec).await;
    let port = world.record(&id("job.r3.i4")).port;
    let expected = [
        format!("PORT={port}"),
        format!("URL=http://localhost:{port}/"),
        "TZ=Europe/Tallinn".into(),
        "CUTOVER_SERVICE=job".into(),
        "CUTOVER_RELEASE=3".into(),
        "CUTOVER_INSTANCE=job.r3.i4".into(),
        format!("args: job.r3.i4:3 {port}{{artifact}}"),
        "/usr".into(),
    ];
    for line in expected {
        assert!(lines.contains(&line), "{line} is not in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "the agent's environment leaked");
}

/// Broken on purpose: the order passed as an argument; the order kept in the record.
#[tokio::test]
async fn secrets_are_in_no_argument_and_no_file() {
    let world = World::new();
    let text = format!("hush-{:x}", std::process::id());
    let got = world.path("got");
    let mut spec = shell(&format!("echo ${{#KEY}} > {}; exec sleep 1000", got.display()));
    spec.env.insert("KEY".into(), secret(&text));
    let order = order("web.r1.i1", spec);
    world.start(&order).await;
    assert_eq!(text_of(&got).await.trim(), text.len().to_string());
    let supervisor = world.record(&order.instance).supervisor.pid;
    for pid in all() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!contains(&line, text.as_bytes()), "in the arguments of process {pid}");
    }
    let environment = std::fs::read(format!("/proc/{supervisor}/environ")).unwrap();
    assert!(!contains(&environment, text.as_bytes()), "in the supervisor's environment");
    let mut directories = vec![world.state.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else {
                let file = std::fs::read(entry.path()).unwrap();
                assert!(!contains(&file, text.as_bytes()), "in {}", entry.path().display());
            }
        }
    }
}

/// Broken on purpose: the groups left as they were; the log not given to the user.
#[tokio::test]
async fn another_user_gets_a_home_and_none_of_roots_groups() {
    if !root("another user") {
        return;
    }
    // A group that the agent has, and the program must not have.
    nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(0), nix::unistd::Gid::from_raw(4)]).unwrap();
    let world = World::new();
    let mut spec = shell("id -un; id -G; echo $HOME $USER; echo reopened > /dev/stderr");
    spec.user = Some("nobody".into());
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let lines = output(&world, spec).await;
    let home = format!("{} nobody", nobody.dir.display());
    assert_eq!(lines, ["nobody".to_owned(), nobody.gid.to_string(), home, "reopened".to_owned()]);
    let mut spec = shell("true");
    spec.user = Some("no-such-user".into());
    let error = world.runtime.start(&order("web.r1.i1", spec)).await.unwrap_err();
    assert!(error.to_string().contains("could not look up the user no-such-user"), "{error}");
    assert!(world.runtime.observe().await.unwrap().len() == 1, "the failed start left a record");
}

/// Broken on purpose: each limit left out.
#[tokio::test]
async fn limits_hold_for_the_program_and_not_for_its_supervisor() {
    let world = World::new();
    let limits = LimitSpec { memory: Some(ByteSize(96 << 20)), open_files: Some(77) };
    let lines =
        output(&world, ProcessSpec { limits: limits.clone(), ..shell("ulimit -n; ulimit -Hn; ulimit -d") }).await;
    assert_eq!(lines, ["77", "77", &(96 << 10).to_string()]);
    let greedy = ["python3", "-c", "x = bytearray(256 << 20); print('got it')"];
    let order = order("hog.r1.i1", ProcessSpec { limits, ..spec(&greedy) });
    world.start(&order).await;
    assert_eq!(within("the end", world.runtime.exited(&order.instance)).await, Exit::Code(1));
    let last = world.last_lines(&order.instance, 1).await;
    assert_eq!(last, ["MemoryError"]);
    assert!(!is_limited(&std::fs::read_to_string("/proc/self/limits").unwrap()), "the test's own limit is the same");
    let order = order_of("web.r1.i1", LimitSpec { memory: None, open_files: Some(77) });
    world.start(&order).await;
    let record = world.record(&order.instance);
    let limits = [record.main, record.supervisor].map(|id| std::fs::read_to_string(format!("/proc/{}/limits", id.pid)));
    assert_eq!(limits.map(|limits| is_limited(&limits.unwrap())), [true, false]);
}

fn order_of(instance: &str, limits: LimitSpec) -> StartOrder {
    order(instance, ProcessSpec { limits, ..spec(&["sleep", "1000"]) })
}

fn is_limited(limits: &str) -> bool {
    limits.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().starts_with(&["Max", "open", "files", "77"]))
}

#[tokio::test]
async fn a_missing_directory_is_not_taken_for_a_missing_program() {
    let world = World::new();
    let spec = ProcessSpec { directory: Some("/no/such/directory".into()), ..shell("true") };
    let error = world.runtime.start(&order("web.r1.i1", spec)).await.unwrap_err();
    let RuntimeError::Io { what, source } = error else { panic!("{error:?}") };
    assert_eq!(what, "could not start web.r1.i1: could not enter the working directory /no/such/directory");
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn what_may_be_wrong_is_told() {
    let world = World::new();
    let listen = |at: &str| {
        let code =
            format!("import socket, time; s = socket.create_server({at}); print('up', flush=True); time.sleep(1000)");
        spec(&["python3", "-c", &code])
    };
    let cases = [
        (1, listen("('127.0.0.1', {port})"), None),
        (2, listen("('127.0.0.1', 0)"), Some("but cutover expects")),
        (3, listen("('127.0.0.2', {port})"), Some("it listens only on 127.0.0.2:")),
        (4, shell("echo up; sleep 1000"), Some("it listens on no port yet")),
        (5, shell("echo up; echo 'Error: listen EADDRINUSE :::80' >&2; exit 1"), Some("its address is in use already")),
        // The one that listens is a child.
        (6, shell("python3 -m http.server 0 & echo up; wait"), Some("but cutover expects")),
    ];
    for (number, spec, expected) in cases {
        let order = order(&format!("web.r1.i{number}"), spec);
        world.start(&order).await;
        let file = world.layout().instance(&order.instance).stdout();
        until("it is up", || std::fs::read_to_string(&file).ok().filter(|text| text.contains("up"))).await;
        let begun = std::time::Instant::now();
        let told = loop {
            let told = world.runtime.diagnose(&order.instance).await;
            let as_expected = match (&told, expected) {
                (Some(told), Some(expected)) => told.contains(expected),
                (None, None) => true,
                _ => false,
            };
            if as_expected || begun.elapsed() > LIMIT {
                break told;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        match (told, expected) {
            (Some(told), Some(expected)) => assert!(told.contains(expected), "case {number}: {told}"),
            (told, expected) => assert_eq!(told.is_some(), expected.is_some(), "case {number}: {told:?}"),
        }
        world.runtime.stop(&order.instance, &StopSpec::default()).await.unwrap();
    }
}
