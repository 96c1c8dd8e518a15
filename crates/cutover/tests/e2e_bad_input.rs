//! What a machine or a person can get wrong around cutover. Each is said clearly, changes nothing, and stops no request.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use cutover_meter::Load;
use cutover_testkit::host::{App, Host, Role, answers, until};

/// A host with the first release live.
fn live() -> Host {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    host.done(&["deploy"]);
    host
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    let other = host.root().join("thesis");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.tex"), "\\end{document}").unwrap();
    for verb in ["status", "deploy", "history"] {
        host.run_on(&other, &[verb]).expect(1).says(&["holds files, and is not a state directory", "hint:"]);
    }
    assert_eq!(other.read_dir().unwrap().count(), 1, "something was written there");
}

#[test]
fn a_second_agent_is_refused_and_the_first_goes_on() {
    let host = live();
    let first = host.only(Role::Agent).expect("there is one agent");
    host.run(&["agent", "run"]).expect(1).says(&["another agent", &first.pid.to_string(), "hint:"]);
    assert_eq!(host.only(Role::Agent), Some(first));
    host.rests_on(Some(1), 1);
}

/// Seen to fail with an agent that does not remove what lies where its socket goes.
#[test]
fn what_a_dead_agent_left_is_in_nobodys_way() {
    let host = live();
    host.done(&["agent", "stop"]);
    until("it has left", || host.only(Role::Agent).is_none().then_some(()));
    std::fs::write(host.state().join("agent.sock"), "not a socket").unwrap();
    std::fs::write(host.state().join("agent.new"), "nor this").unwrap();
    std::fs::write(host.state().join("agent.lock"), "1").unwrap();
    host.done(&["status"]).says(&["started the agent"]);
    host.rests_on(Some(1), 1);
}

/// While the journal is unusable nothing can be deployed, and the proxy serves as before.
#[test]
fn a_journal_that_cannot_be_read_stops_no_request() {
    let host = live();
    let meter = host.meter(host.load(100.0));
    let journal = host.state().join("journal.db");
    without_agent(&host);
    let good = std::fs::read(&journal).unwrap();

    let newer = rusqlite::Connection::open(&journal).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    host.run(&["status"]).expect(1).says(&["has format 99", "use the cutover that wrote it"]);
    assert!(host.processes_of(Role::Agent).is_empty());

    for damage in [&good[..100], &vec![7; good.len()], &[&good[..4096], &vec![7; good.len() - 4096]].concat()] {
        put(&journal, damage);
        host.run(&["deploy"]).expect(1).says(&["journal.db is damaged", "the proxy goes on serving"]);
        assert_eq!(std::fs::read(&journal).unwrap(), damage, "the damaged journal was changed");
    }
    answers(&meter, 50);

    put(&journal, &good);
    host.rests_on(Some(1), 1);
    host.build("second");
    host.done(&["deploy"]);
    host.rests_on(Some(2), 1);
    host.clean_report(meter);
}

fn without_agent(host: &Host) {
    host.done(&["agent", "stop"]);
    until("the agent has left", || host.processes_of(Role::Agent).is_empty().then_some(()));
}

/// Puts a journal in place of another, with what belongs to that one.
fn put(journal: &Path, content: &[u8]) {
    for beside in ["db-wal", "db-shm"] {
        let _ = std::fs::remove_file(journal.with_extension(beside));
    }
    std::fs::write(journal, content).expect("write the journal");
}

/// Seen to fail with an engine that goes on when its journal cannot be written.
#[test]
fn on_a_full_disk_nothing_more_is_done_until_there_is_room() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let Some(disk) = Disk::mount(&host.state()) else { return };
    host.configure(&App::default());
    host.done(&["deploy"]);
    let meter = host.meter(Load { uploads: 0, ..host.load(100.0) });
    meter.expect_release("1");
    host.configure(&App { stable_for: "700ms", ..App::default() });
    host.build("second");
    let mut deploy = host.begin(&["--json", "deploy"]);
    deploy.read_to("instance_started");
    let filler = disk.fill();
    until("the agent says so", || host.status().agent.trouble);
    host.done(&["status"]).says(&["could not write the journal", "disk is full"]);
    assert_eq!(host.live(), Some(1));
    assert_eq!(host.routed(), ["sample.r1.i1"]);
    answers(&meter, 100);
    meter.allow_releases(&["1", "2"]);
    std::fs::remove_file(filler).unwrap();
    deploy.wait().expect(0);
    meter.expect_release("2");
    host.rests_on(Some(2), 1);
    answers(&meter, 20);
    host.clean_report(meter);
}

/// A small file system of its own.
struct Disk(PathBuf);

impl Disk {
    /// `None`, and said, where that is not allowed.
    fn mount(place: &Path) -> Option<Self> {
        std::fs::create_dir(place).expect("make a directory to mount it on");
        let options = ["-t", "tmpfs", "-o", "size=8m,mode=711", "cutover"];
        let mounted = Command::new("mount").args(options).arg(place).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(place.to_owned()));
        }
        // Past the capture of the test harness, which would swallow it.
        let mut console = std::io::stderr();
        let _ = console.write_all(b"SKIPPED: the test of a full disk may not mount one\n");
        None
    }

    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).expect("begin a file");
        for size in [1 << 16, 4096, 512, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still uses it is ended with the host.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_nobody_knows_is_named() {
    let host = live();
    host.run(&["deploy", "shop"]).expect(2).says(&["no service shop", "sample"]);
    for verb in ["rollback", "restart", "stop", "remove", "abort", "history", "logs", "lock"] {
        host.run(&[verb, "shop"]).expect(3).says(&["no service shop is known here", "hint:"]);
    }
    host.run(&["scale", "shop=2"]).expect(3).says(&["no service shop is known here"]);
    host.run(&["status", "shop"]).says(&["no service shop is known here"]);
    host.run(&["show", "77"]).expect(1).says(&["there is no deployment 77"]);
    host.rests_on(Some(1), 1);
}

#[test]
fn a_wrong_command_line_or_configuration_is_told_before_anything_is_done() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    for arguments in [&["deplyo"][..], &["deploy", "--agian"], &["scale"], &["scale", "many"], &["deploy", "No Name"]] {
        host.run(arguments).expect(2);
    }
    host.run(&["deploy"]).expect(2).says(&["cutover.toml"]);
    std::fs::write(host.config(), "project = \"shop\"\n[service.web]\ncomand = [\"true\"]\nreplicas = \"two\"\n")
        .unwrap();
    host.run(&["deploy"]).expect(2).says(&[
        "cutover.toml:3",
        "comand",
        "command",
        "cutover.toml:4",
        "a whole number",
        "mistakes",
    ]);
    let told = host.run(&["--json", "check"]).expect(2);
    assert!(told.stdout.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{}", told.stdout);
    assert!(!host.state().exists() || host.processes().is_empty(), "{:?}", host.processes());
}
