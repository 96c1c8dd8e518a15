//! Deployments of the real binary behind a real nginx, in every shape, while strict clients use the service.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod nginx_support;

use cutover_meter::{Load, Running};
use cutover_testkit::host::{App, Host, answers, until};
use nginx_support::{Conf, Nginx, PASS, configure, including, status_of};

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

#[track_caller]
fn next_release(host: &Host, meter: &Running, number: u32) {
    let (old, new) = ((number - 1).to_string(), number.to_string());
    host.build(&format!("build {number}"));
    meter.allow_releases(&[&old, &new]);
    host.done(&["deploy"]);
    meter.expect_release(&new);
    answers(meter, 20);
}

/// Deploys several times under load (a new connection for each request, slow uploads and streams: what a reload of nginx must
/// not harm), and insists that nothing was lost and that each switch took one reload. Where two instances are all that can
/// run, streams are left out, and the old one has to be gone before the next deployment.
#[track_caller]
fn loses_nothing(host: &Host, nginx: &Nginx, until_gone: bool) {
    let before = nginx.reloads();
    let streams = if until_gone { 0 } else { 2 };
    let load = Load { reused: 0, peek: 0, fresh: 8, sse: streams, websockets: streams, ..host.load(300.0) };
    let meter = host.meter(load);
    for number in 2..=3 {
        next_release(host, &meter, number);
        if until_gone {
            until("the old release has gone", || (host.service().instances.len() == 1).then_some(()));
        }
    }
    assert_eq!(nginx.reloads() - before, 2, "one reload for each switch");
    host.clean_report(meter);
    assert_eq!(host.live(), Some(3));
}

#[test]
fn an_upstream_file_is_switched_and_nothing_is_lost() {
    let host = host();
    let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
    let old = "upstream app { server 127.0.0.1:1; }\n";
    let file = nginx.write("app.conf", old);
    nginx.run();
    let url = format!("http://{}/", host.address());
    let route = nginx.route(&file, &format!("upstream = \"app\"\nurl = {url:?}\ndirectives = [\"keepalive 8\"]"));
    configure(&host, &App { replicas: 2, ..App::default() }, &route);
    host.done(&["deploy"]);
    assert!(nginx.read("app.conf").contains("keepalive 8;"));
    loses_nothing(&host, &nginx, false);
    host.done(&["rollback"]);
    assert!(nginx.read("app.conf").contains("sample.r2."), "{}", nginx.read("app.conf"));
    // With nobody to serve the configuration is still good, and nginx says that nobody is there.
    host.done(&["stop", "sample"]);
    assert_eq!(status_of(&host, "/"), Some(502));
    assert!(nginx.call(&["-t"]).status.success());
}

#[test]
fn a_variable_in_a_location_is_switched_and_nothing_is_lost() {
    let host = host();
    let server = format!(
        "location / {{ include {}/nginx/conf.d/app.inc; proxy_pass $service_url; }} location = /static {{ return 204; }}",
        host.root().display()
    );
    let nginx = Nginx::prepare(&host, &Conf { http: "", server: &server });
    let file = nginx.write("app.inc", "set $service_url http://127.0.0.1:1;\n");
    nginx.run();
    let url = format!("http://{}/", host.address());
    configure(&host, &App::default(), &nginx.route(&file, &format!("variable = \"service_url\"\nurl = {url:?}")));
    host.done(&["deploy"]);
    loses_nothing(&host, &nginx, false);
    assert_eq!(status_of(&host, "/static"), Some(204));
}

#[test]
fn a_variable_in_a_server_needs_no_file_that_is_there_before() {
    let host = host();
    let include = format!("include {}/nginx/conf.d/app.inc;", host.root().display());
    let server = format!("{include} location / {{ proxy_pass $service_url; }}");
    let nginx = Nginx::start(&host, &Conf { http: "", server: "location / { return 503; }" });
    nginx.configure(&host, &Conf { http: "", server: &server });
    assert!(!nginx.call(&["-t"]).status.success(), "the file that is included is not there yet");
    let url = format!("http://{}/", host.address());
    let route = nginx.route(&nginx.file("app.inc"), &format!("variable = \"service_url\"\nurl = {url:?}"));
    configure(&host, &App::default(), &route);
    host.done(&["deploy"]);
    loses_nothing(&host, &nginx, false);
}

#[test]
fn down_moves_in_the_users_file_and_nothing_is_lost() {
    let host = host();
    let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
    let [blue, green] = two_ports(&host);
    let theirs =
        format!("# by hand\nupstream app {{\n  server 127.0.0.1:{blue};\n  server localhost:{green} down;\n}}\n");
    let file = nginx.write("app.conf", &theirs);
    nginx.run();
    let url = format!("http://{}/", host.address());
    configure(
        &host,
        &App::default(),
        &ports([blue, green], &nginx.route(&file, &format!("down = \"app\"\nurl = {url:?}"))),
    );
    host.done(&["deploy"]);
    assert_eq!(nginx.read("app.conf"), theirs, "the first instance is on the first port");
    loses_nothing(&host, &nginx, true);
    let now = nginx.read("app.conf");
    assert_eq!(now.replace(" down", ""), theirs.replace(" down", ""));
    assert!(now.contains(&format!("localhost:{green} down;")) && now.contains(&format!("127.0.0.1:{blue};")), "{now}");
}

/// As small boards do it: one instance leaves the users' own upstream, its successor starts on its port, then the other one.
/// Seen to fail with the connections counted of whoever has the port of one that was stopped.
#[test]
fn rolling_in_place_takes_one_out_at_a_time_and_nothing_is_lost() {
    let host = host();
    let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
    let [blue, green] = two_ports(&host);
    let theirs = format!(
        "upstream app {{\n  least_conn;\n  server 127.0.0.1:{blue};\n  server 127.0.0.1:{green};\n  keepalive 16;\n}}\n"
    );
    let file = nginx.write("app.conf", &theirs);
    nginx.run();
    let url = format!("http://{}/", host.address());
    let more = "strategy = \"rolling\"\nmax_surge = 0\nmax_unavailable = 1\n".to_owned();
    configure(
        &host,
        &App { replicas: 2, drain: "5s", more, ..App::default() },
        &ports([blue, green], &nginx.route(&file, &format!("down = \"app\"\nurl = {url:?}"))),
    );
    host.done(&["deploy"]);
    let before = nginx.reloads();
    let meter = host.meter(Load { reused: 0, peek: 0, fresh: 8, sse: 0, websockets: 0, ..host.load(300.0) });
    next_release(&host, &meter, 2);
    assert_eq!(nginx.reloads() - before, 4, "out and in again, for each of the two");
    host.clean_report(meter);
    assert_eq!(nginx.read("app.conf"), theirs);
    until("only the new release is left", || {
        let instances = host.service().instances;
        (instances.len() == 2 && instances.iter().all(|found| found.instance.release.0 == 2)).then_some(())
    });
}

#[test]
fn a_site_file_is_chosen_and_nothing_is_lost() {
    let host = host();
    let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
    let [blue, green] = two_ports(&host);
    for (name, port) in [("blue", blue), ("green", green)] {
        nginx.write(name, &format!("# {name}\nupstream app {{ server 127.0.0.1:{port}; }}\n"));
    }
    let file = nginx.write("app.conf", &nginx.read("green"));
    nginx.run();
    let sites = format!("sites = {{ {blue} = {:?}, {green} = {:?} }}", nginx.file("blue"), nginx.file("green"));
    configure(&host, &App::default(), &ports([blue, green], &nginx.route(&file, &sites)));
    host.done(&["deploy"]);
    assert_eq!(nginx.read("app.conf"), nginx.read("blue"));
    loses_nothing(&host, &nginx, true);
    assert_eq!(nginx.read("app.conf"), nginx.read("blue"));
}

/// The route, and before it the ports on which instances run in turn.
fn ports(ports: [u16; 2], route: &str) -> String {
    format!("[service.sample]\nports = {ports:?}\n\n{route}")
}

fn two_ports(host: &Host) -> [u16; 2] {
    [host.another_port(), host.another_port()]
}

/// The share of a canary is the weights in the upstream, one reload for each step; behind it, all are alike again.
#[test]
fn a_canary_has_its_share_and_nothing_is_lost() {
    let host = host();
    let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
    let file = nginx.write("app.conf", "upstream app { server 127.0.0.1:1; }\n");
    nginx.run();
    let more = "strategy = \"canary\"\nsteps = [\"10% for 10m\", \"40% for 10m\", \"100%\"]".to_owned();
    let url = format!("http://{}/", host.address());
    let route = nginx.route(&file, &format!("upstream = \"app\"\nurl = {url:?}"));
    configure(&host, &App { replicas: 2, more, ..App::default() }, &route);
    host.done(&["deploy"]);
    let before = nginx.reloads();
    let meter = host.meter(Load { reused: 0, peek: 0, fresh: 8, sse: 2, websockets: 2, ..host.load(300.0) });
    let of_the_new = || {
        let report = meter.snapshot();
        let new = report.releases.iter().find(|release| release.name == "2").map_or(0, |r| r.span.answers);
        (new, report.requests.answered)
    };
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    until("the canary is in use", || (of_the_new().0 > 0).then_some(()));
    let begun = of_the_new();
    answers(&meter, 3000);
    let now = of_the_new();
    let (new, all) = (now.0 - begun.0, now.1 - begun.1);
    let share = 100.0 * new as f64 / all as f64;
    assert!((share - 10.0).abs() < 2.0, "{new} of {all} answers are {share:.1} %");
    assert_eq!(nginx.reloads() - before, 1);
    host.done(&["promote"]);
    deploying.wait().expect(0);
    meter.expect_release("2");
    answers(&meter, 20);
    host.clean_report(meter);
    assert!(!nginx.read("app.conf").contains("weight"), "{}", nginx.read("app.conf"));
}

/// It passes every probe, and nginx passes on what it answers: only the access log tells. Seen to fail without the log. Whose line
/// is whose is a test of the log's own.
#[test]
fn a_release_that_answers_with_errors_is_found_in_the_access_log() {
    let host = host();
    let log = host.root().join("access.log");
    let http = format!(
        "log_format told '$remote_addr \"$request\" $status \"$http_user_agent\" $upstream_addr';\n{}",
        including(&host)
    );
    let server = format!("access_log {} told;\n{PASS}", log.display());
    let nginx = Nginx::prepare(&host, &Conf { http: &http, server: &server });
    let file = nginx.write("app.conf", "upstream app { server 127.0.0.1:1; }\n");
    nginx.run();
    let route = nginx.route(&file, &format!("upstream = \"app\"\naccess_log = {log:?}"));
    configure(&host, &App { watch: "20s", ..App::default() }, &route);
    host.done(&["deploy"]);
    let meter =
        host.meter(Load { uploads: 0, sse: 0, websockets: 0, reused: 0, peek: 0, fresh: 8, ..host.load(200.0) });
    answers(&meter, 600);
    configure(&host, &App { watch: "20s", ..App::with(&["--error-rate", "33"]) }, &route);
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    host.run(&["deploy"]).expect(4).says(&["the new release is worse", "errors:"]);
    meter.expect_release("1");
    answers(&meter, 20);
    meter.stop_blocking();
    host.done(&["verdict", "explain"]).says(&["fail: the new release is worse", "latency: not compared"]);
    assert_eq!(host.live(), Some(1));
    // A wrong path is found before anything begins.
    let wrong = route.replace("access.log", "excess.log");
    configure(&host, &App::default(), &wrong);
    host.run(&["plan"]).expect(3).says(&["cannot read nginx's access log", "excess.log"]);
}
