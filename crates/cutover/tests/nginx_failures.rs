//! What goes wrong with an nginx, and what is left of it: nothing, and a message that says what to do.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod nginx_support;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use cutover_meter::Load;
use cutover_testkit::host::{App, Host, Role, answers, kill, until};
use nginx_support::{Conf, Nginx, PASS, configure, including, status_of};

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

const OLD: &str = "upstream app { server 127.0.0.1:1; }\n";

/// An nginx with an upstream file, and the route to it with these further lines.
fn upstream(host: &Host, lines: &str) -> (Nginx, String) {
    let nginx = Nginx::prepare(host, &Conf { http: &including(host), server: PASS });
    let file = nginx.write("app.conf", OLD);
    nginx.run();
    let url = format!("http://{}/", host.address());
    let route = nginx.route(&file, &format!("upstream = \"app\"\nurl = {url:?}\n{lines}"));
    (nginx, route)
}

/// Seen to fail without the restoration: nginx's configuration was left broken.
#[test]
fn what_nginx_refuses_is_taken_back_and_its_own_words_are_shown() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    configure(&host, &App::default(), &route);
    host.done(&["deploy"]);
    let before = nginx.read("app.conf");
    let reloads = nginx.reloads();
    configure(&host, &App::default(), &format!("{route}directives = [\"no_such_thing 1\"]\n"));
    host.run(&["deploy"])
        .expect(4)
        .says(&["nginx refused what was written for sample", "unknown directive \"no_such_thing\""]);
    assert_eq!((nginx.read("app.conf"), nginx.reloads()), (before, reloads));
    assert!(nginx.call(&["-t"]).status.success());
    assert_eq!((host.live(), status_of(&host, "/")), (Some(1), Some(200)));
    // Nothing stands in the way of the next one.
    configure(&host, &App::default(), &route);
    host.build("another");
    host.done(&["deploy"]);
    assert_eq!(status_of(&host, "/"), Some(200));
}

/// Seen to fail without the look at what nginx says once the old content is back: the release was blamed.
#[test]
fn a_configuration_that_somebody_else_broke_is_left_as_it_is() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    configure(&host, &App::default(), &route);
    host.done(&["deploy"]);
    let before = nginx.read("app.conf");
    nginx.write("other.conf", "servr { }\n");
    host.build("another");
    host.run(&["deploy"]).expect(3).says(&["not good as it is", "unknown directive \"servr\"", "other.conf:1"]);
    std::fs::remove_file(nginx.file("other.conf")).unwrap();
    // The same, broken while the deployment runs.
    let breaks = format!("echo 'servr {{ }}' > {}", nginx.file("other.conf").display());
    let app = App { smoke: Some(["sh", "-c", &breaks].map(str::to_owned).into()), ..App::default() };
    configure(&host, &app, &route);
    host.run(&["deploy"]).expect(4).says(&["was not good before cutover touched it", "unknown directive \"servr\""]);
    assert_eq!((nginx.read("app.conf"), host.live()), (before, Some(1)));
    assert_eq!(status_of(&host, "/"), Some(200));
}

/// The words are right, and still nginx cannot go by them, which its own command for a reload does not see. Seen to fail without the test
/// before it: the release was stuck until somebody aborted it.
#[test]
fn what_only_a_test_can_tell_stops_nobody() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    configure(&host, &App::default(), &route);
    host.done(&["deploy"]);
    let before = nginx.read("app.conf");
    host.build("another");
    let (log, file) = (nginx.file("absent").join("x.log"), nginx.file("other.conf"));
    let breaks = format!("echo 'access_log {};' > {}", log.display(), file.display());
    configure(&host, &App { smoke: Some(["sh", "-c", &breaks].map(str::to_owned).into()), ..App::default() }, &route);
    host.run(&["deploy"]).expect(4).says(&["was not good before cutover touched it", "absent/x.log"]);
    assert_eq!((nginx.read("app.conf"), status_of(&host, "/")), (before, Some(200)));
    std::fs::remove_file(file).unwrap();
    configure(&host, &App::default(), &route);
    host.done(&["deploy"]);
    assert_eq!((host.live(), status_of(&host, "/")), (Some(3), Some(200)));
}

#[test]
fn what_is_missing_is_said_before_anything_has_begun() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    let with = |from: &str, to: &str| {
        configure(&host, &App::default(), &route.replace(from, to));
        host.run(&["deploy"]).expect(3)
    };
    with("conf.d/app.conf", "app.conf").says(&["nothing in nginx's configuration includes", "add `include "]);
    with("upstream = \"app\"", "upstream = \"web\"")
        .says(&["nothing in nginx's configuration uses the upstream web", "proxy_pass http://web;"]);
    with("upstream = \"app\"", "down = \"web\"").says(&["there is no block `upstream web { … }` in the file"]);
    with("upstream = \"app\"", "variable = \"app\"").says(&["is included in a block `http`, where it cannot stand"]);
    with("command = [\"nginx\"", "command = [\"no-such-nginx\"").says(&["no-such-nginx", "install nginx"]);
    with("conf.d/app.conf", "no/such/folder/app.conf").says(&["could not write"]);
    with("[service.sample.route.nginx]\n", "[service.sample.route.nginx]\ncontainer = \"cutover-no-such\"\n")
        .says(&["in the container cutover-no-such", "docker ps -a"]);
    with(
        "[service.sample.route.nginx]\n",
        "[service.sample.route.nginx]\nssh = \"nobody@127.0.0.1\"\nssh_options = [\"-p\", \"1\"]\n",
    )
    .says(&["could not reach the nginx on nobody@127.0.0.1", "ssh -o BatchMode=yes"]);
    assert!(nginx.read("app.conf") == OLD && host.status().services.is_empty());
    let master = nginx.master().unwrap();
    assert!(nginx.call(&["-s", "quit"]).status.success());
    until("nginx has left", || (!std::path::Path::new(&format!("/proc/{master}")).exists()).then_some(()));
    with("upstream", "upstream").says(&["no nginx runs on this host with this configuration"]);
}

/// As a user without rights: on the folder, and on the signal to nginx.
#[test]
fn who_may_not_is_told_which_command_lets_them() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    let open = |path: &std::path::Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    open(host.root());
    let binary = host.root().join("cutover");
    std::fs::copy(host.binary(), &binary).unwrap();
    let state = host.root().join("theirs");
    std::fs::create_dir(&state).unwrap();
    let nobody = 65534;
    std::os::unix::fs::chown(&state, Some(nobody), Some(nobody)).unwrap();
    let deploy = |route: &str| {
        configure(&host, &App { command: Some(vec!["sleep".to_owned(), "600".to_owned()]), ..App::default() }, route);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).arg("--state").arg(&state);
        command.arg("--config").arg(host.config()).arg("deploy").current_dir(host.root()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = deploy(&route);
    let folder = nginx.folder.join("conf.d");
    assert!(said.contains(&format!("may not write in {} on this host", folder.display())), "{said}");
    assert!(said.contains(&format!("sudo chown nobody {}", folder.display())), "{said}");
    std::os::unix::fs::chown(&folder, Some(nobody), Some(nobody)).unwrap();
    let said = deploy(&route);
    assert!(said.contains("ermission denied") && said.contains("NOPASSWD: /usr/sbin/nginx"), "{said}");
    assert_eq!(nginx.read("app.conf"), OLD);
    let mut stop = Command::new("setpriv");
    stop.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).arg("--state").arg(&state);
    assert!(stop.args(["agent", "stop"]).status().unwrap().success());
}

/// Seen to fail with a record that says after the write that nothing is owed: the new agent found the file right, and made no
/// reload.
#[test]
fn an_agent_that_is_killed_between_write_and_reload_is_finished_by_the_next() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    let (hold, at_it) = (host.root().join("hold"), host.root().join("at-it"));
    let own = nginx.command().join(" ");
    let script = format!(
        "touch {at_it:?}; if [ -e {hold:?} ]; then exec tail -f {hold:?}; fi; exec {own} -c {:?} -s reload",
        nginx.config()
    );
    configure(&host, &App::default(), &format!("{route}reload = [\"sh\", \"-c\", {script:?}]\n"));
    host.done(&["deploy"]);
    let meter = host.meter(Load { reused: 0, peek: 0, fresh: 8, sse: 0, websockets: 0, ..host.load(200.0) });
    std::fs::write(&hold, "").unwrap();
    std::fs::remove_file(&at_it).unwrap();
    host.build("another");
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    until("the file is written and the reload is not made", || at_it.exists().then_some(()));
    assert!(nginx.read("app.conf").contains("sample.r2."));
    let reloads = nginx.reloads();
    kill(host.only(Role::Agent).unwrap());
    std::fs::remove_file(&hold).unwrap();
    host.status();
    let _ = deploying.wait();
    until("the deployment has ended", || host.service().deployment.is_none().then_some(()));
    assert_eq!((host.live(), nginx.reloads()), (Some(2), reloads + 1));
    meter.expect_release("2");
    answers(&meter, 50);
    host.clean_report(meter);
}

/// Seen to fail with one publication for all services: the second waited for the first one's nginx.
#[test]
fn the_trouble_of_one_service_with_its_nginx_is_its_own() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    let hold = host.root().join("hold");
    let own = nginx.command().join(" ");
    let script =
        format!("if [ -e {hold:?} ]; then exec tail -f {hold:?}; fi; exec {own} -c {:?} -s reload", nginx.config());
    let port = host.another_port();
    let other = format!(
        "[service.other]\ncommand = [{:?}, \"sample\", \"--port\", \"{{port}}\", \"--release\", \"{{release}}\"]\n\
         [service.other.ready]\nhttp = \"/healthz\"\nstable_for = \"50ms\"\n[service.other.route]\n\
         listen = \"127.0.0.1:{port}\"\n[service.other.rollout]\nwatch = \"300ms\"\n",
        host.binary()
    );
    let app = App { more: other, ..App::default() };
    configure(&host, &app, &format!("{route}reload = [\"sh\", \"-c\", {script:?}]\n"));
    host.done(&["deploy"]);
    std::fs::write(&hold, "").unwrap();
    host.build("another");
    let stuck = host.begin(&["deploy", "sample"]);
    until("its file is written", || nginx.read("app.conf").contains("sample.r2.").then_some(()));
    host.done(&["deploy", "other", "--again"]);
    let status = host.status();
    let of = |name: &str| status.services.iter().find(|s| s.name.as_str() == name).unwrap();
    assert_eq!(of("other").live.map(|release| release.0), Some(2));
    assert!(of("sample").deployment.is_some());
    assert_eq!(status_of(&host, "/"), Some(200));
    std::fs::remove_file(&hold).unwrap();
    // The command that hung ends with its time; then the deployment goes back.
    stuck.wait().expect(4).says(&["no end within 30s"]);
    assert!(nginx.read("app.conf").contains("sample.r1."));
    assert_eq!(status_of(&host, "/"), Some(200));
}

/// nginx is recreated: it reads what is on disk.
fn start_anew(nginx: &Nginx) {
    let master = nginx.master().unwrap();
    assert!(nginx.call(&["-s", "stop"]).status.success());
    until("nginx has left", || (!std::path::Path::new(&format!("/proc/{master}")).exists()).then_some(()));
    nginx.run();
}

#[test]
fn an_edited_file_is_shown_and_kept_aside_and_an_nginx_that_starts_anew_finds_it_right() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    configure(&host, &App::default(), &route);
    host.done(&["deploy"]);
    assert!(host.service().notes.is_empty());
    let edited = format!("{}# a remark\n", nginx.read("app.conf"));
    nginx.write("app.conf", &edited);
    host.done(&["status"]).says(&["note:", "app.conf", "was edited since cutover wrote it"]);
    host.build("another");
    host.done(&["deploy"]);
    assert!(!nginx.read("app.conf").contains("a remark") && host.service().notes.is_empty());
    let kept = std::fs::read_dir(host.state().join("nginx")).unwrap().flatten().map(|entry| entry.path());
    let kept: Vec<_> = kept.filter(|path| path.extension().is_some_and(|e| e == "edited")).collect();
    assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), edited);
    start_anew(&nginx);
    assert_eq!(status_of(&host, "/"), Some(200));
}

/// What was there before us is the way back of a first deployment. Seen to fail without that: nginx answered with 502 from the
/// registration on.
#[test]
fn a_first_deployment_takes_nothing_away_and_gives_back_what_was_there() {
    let host = host();
    let (nginx, route) = upstream(&host, "");
    let port = host.another_port();
    let mut theirs = Command::new(host.binary());
    theirs.args(["sample", "--port", &port.to_string(), "--release", "theirs"]).stdout(Stdio::null());
    let mut theirs = theirs.spawn().unwrap();
    let file = format!("upstream app {{ server 127.0.0.1:{port}; }}\n");
    nginx.write("app.conf", &file);
    // Not by a reload: the old workers would answer a few requests more.
    start_anew(&nginx);
    until("theirs answers", || (status_of(&host, "/") == Some(200)).then_some(()));
    let load = Load { reused: 0, peek: 0, fresh: 4, sse: 0, websockets: 0, uploads: 0, ..host.load(200.0) };
    let meter = host.meter(load);
    // It is bad only once it serves.
    let flag = host.root().join("bad");
    let check = format!("command = [\"test\", \"!\", \"-e\", {flag:?}]");
    configure(&host, &App { check, watch: "20s", ..App::default() }, &route);
    let deploying = host.begin(&["deploy"]);
    until("it serves", || nginx.read("app.conf").contains("sample.r1.").then_some(()));
    std::fs::write(&flag, "").unwrap();
    deploying.wait().expect(4);
    assert_eq!(nginx.read("app.conf"), file);
    answers(&meter, 20);
    let report = meter.stop_blocking();
    assert_eq!(report.requests.failed, 0, "{report}\n{:#?}", report.failures);
    theirs.kill().unwrap();
    theirs.wait().unwrap();
}
