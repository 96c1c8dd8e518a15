//! Releases that are no good: each is refused with its reason, and the one that serves is not touched.

use std::time::Duration;

use cutover_testkit::host::{App, Host, Told};

/// Deploys what is no good, and insists that the first release is live as before.
#[track_caller]
fn turned_down(host: &Host, app: &App, code: i32, words: &[&str]) -> Told {
    host.configure(app);
    host.build(&format!("{app:?}"));
    let told = host.run(&["deploy"]).expect(code).says(words);
    host.rests_on(Some(1), 1);
    told
}

/// Looks like a program, until it is run.
fn script_without_interpreter(host: &Host) -> String {
    let script = host.root().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("it can be written");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it can be made executable");
    script.display().to_string()
}

/// Seen to fail with the shift put before the readiness gate: 5xx from a release that was never ready.
#[test]
fn a_release_that_is_no_good_gets_no_request() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    host.done(&["deploy"]);
    let meter = host.meter(host.load(100.0));
    meter.expect_release("1");
    let live = "release 1 of sample is live, as before";

    let exits = App::with(&["--exit-at-start", "7"]);
    turned_down(&host, &exits, 4, &["exited with status 7", "its last lines", "release 2 cannot start", live]);
    let deaf = App { within: "700ms", ..App::with(&["--fail-health"]) };
    turned_down(&host, &deaf, 4, &["was not ready within 700ms", "503", "its last lines", "listens on", live]);
    let elsewhere =
        App { within: "700ms", ..App::running(&[&host.binary().to_string_lossy(), "sample", "--port", "0"]) };
    turned_down(&host, &elsewhere, 4, &["was not ready", "hint:", "use {port} in the command", live]);
    let smoke = ["sh", "-c", "echo the answer is wrong; exit 3"].map(str::to_owned).to_vec();
    let untested = App { smoke: Some(smoke), ..App::default() };
    turned_down(&host, &untested, 4, &["the smoke command", "status 3", "the answer is wrong", live]);
    turned_down(&host, &App::running(&["/no/such/program"]), 2, &["/no/such/program does not exist"]);
    turned_down(
        &host,
        &App::running(&[&script_without_interpreter(&host)]),
        4,
        &["did not start", "No such file", live],
    );

    host.configure(&App::default());
    std::fs::remove_file(host.artifact()).unwrap();
    host.run(&["deploy"]).expect(2).says(&["service.sample.artifact", "does not exist", "hint: build it first"]);
    host.rests_on(Some(1), 1);
    host.clean_report(meter);
}

/// What fails only when it serves: the old release, which was kept, gets the traffic back.
#[test]
fn a_release_that_fails_its_watch_is_turned_back_without_a_loss() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    host.done(&["deploy"]);
    let meter = host.meter(host.load(100.0));
    let flag = host.root().join("unhealthy");
    let check = format!("command = [\"test\", \"!\", \"-e\", {flag:?}]");
    host.configure(&App { check, watch: "30s", ..App::default() });
    host.build("second");
    let mut deploy = host.begin(&["--json", "deploy"]);
    deploy.read_to("\"kind\":\"step_done\",\"step\":5");
    std::fs::write(&flag, "").unwrap();
    deploy.wait().expect(4).says(&["fails its probe", "release 1 of sample is live, as before"]);
    meter.expect_release("1");
    host.rests_on(Some(1), 1);
    host.clean_report(meter);
}

/// A crash under load cannot be free: what it had in hand may be lost, and is said then. What comes after it waits a moment.
///
/// The slow uploads keep the old release draining. Seen to fail with a drain during which nobody looks at the new release:
/// nothing was answered for more than a second.
#[test]
fn a_release_that_dies_with_the_traffic_is_turned_back_at_once() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    host.done(&["deploy"]);
    let meter = host.meter(host.load(100.0));
    host.configure(&App { watch: "30s", ..App::with(&["--crash-after-requests", "50"]) });
    host.run(&["deploy"]).expect(4).says(&["exited with status 101 while it was watched", "its last lines"]);
    host.rests_on(Some(1), 1);
    let report = host.report(meter);
    assert!(report.requests.failed < 20, "{report}");
    assert!(report.longest_gap.length < Duration::from_millis(500), "{report}");
    let proof = host.story().summary.proof.expect("there is a proof");
    assert!(proof.failed > 0 || report.requests.failed == 0, "the proof hides the loss: {proof:?}\n{report}");
}
