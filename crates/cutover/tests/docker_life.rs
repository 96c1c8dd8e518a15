//! What happens to containers while they start and serve: they run out of memory, exit, are restarted or removed behind our back, and
//! their own health check changes its mind.

mod docker_support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use cutover_core::machine::Event;
use cutover_testkit::host::until;
use docker_support::place::Image;
use docker_support::shop::{Service, Shop};
use docker_support::{busybox, docker};

/// A container of busybox that answers on port 80 and does what the files in the host's folder `told` say: `leave` makes it
/// exit.
fn told_by_files(shop: &Shop, script: &str, more: &str) -> Service {
    let told = told(shop);
    std::fs::create_dir_all(&told).expect("a folder");
    let told = told.display();
    // The folder has one name inside and outside: so the command line says which host the process belongs to.
    let script = format!(
        "trap 'exit 0' TERM; echo $NAME began; mkdir /www; echo ok > /www/index.html; {script} httpd -p 80 -h /www; \
         while [ ! -e {told}/leave ]; do sleep 0.02; done; busybox rm {told}/leave; printf %s 'it leaves'; exit 7"
    );
    let lines = format!(
        "image = \"{}\"\nport = 80\ncommand = [\"sh\", \"-c\", {script:?}]\nvolumes = [\"{told}:{told}\"]\n\
         env = {{ NAME = \"{{instance}}\" }}\n{more}",
        busybox()
    );
    Service { lines, ready: "http = \"/\"\nstable_for = \"50ms\"\nwithin = \"5s\"".to_owned(), ..Service::default() }
}

fn told(shop: &Shop) -> PathBuf {
    shop.host.root().join("told")
}

fn times(shop: &Shop, is: impl Fn(&Event) -> bool) -> usize {
    shop.host.events(None).iter().filter(|record| is(&record.event)).count()
}

fn backs(shop: &Shop) -> usize {
    times(shop, |event| matches!(event, Event::InstanceBack { .. }))
}

/// The one container that runs is where the proxy sends requests, and answers them.
#[track_caller]
fn serves_from_its_container(shop: &Shop) -> String {
    shop.host.rests_on(Some(1), 1);
    let [container] = &shop.running()[..] else { panic!("not one container: {:?}", shop.running()) };
    let address = docker(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", container]);
    assert_eq!(shop.targets(), [format!("{address}:80")]);
    until("it answers", || shop.get("/"));
    container.clone()
}

/// Seen to fail when nobody waited for the end of a container (it was noticed when the time was up), with a hint that knows nothing of memory, and
/// without the last lines.
#[test]
fn one_that_needs_too_much_memory_is_refused_at_once() {
    let shop = Shop::new();
    shop.write(&told_by_files(&shop, "", ""));
    shop.host.done(&["deploy"]);
    let greedy = "echo loading the catalogue; exec dd if=/dev/zero of=/dev/null bs=100M count=1;";
    let service = told_by_files(&shop, greedy, "limits = { memory = \"16MiB\" }");
    shop.write(&Service { ready: "http = \"/\"\nwithin = \"50s\"".to_owned(), ..service });
    let begun = std::time::Instant::now();
    shop.turned_down(&[
        "sample.r2.i2",
        "SIGKILL",
        "137",
        "out of memory",
        "more than the 16MiB of memory",
        "loading the catalogue",
        "release 1 of sample is live",
    ]);
    assert!(begun.elapsed().as_secs() < 20, "it waited for its time to be up: {:?}", begun.elapsed());
    serves_from_its_container(&shop);
}

/// The last words have no end of line. Seen to fail when only the last attempt's container was read, with a follower that ends with the container
/// that it began with, and with nothing looked up when the engine ends what a follower reads: this engine keeps such words from it.
#[test]
fn one_that_exits_while_it_serves_comes_back_and_its_last_words_stay() {
    let shop = Shop::new();
    shop.write(&told_by_files(&shop, "", ""));
    shop.host.done(&["deploy"]);
    let first = serves_from_its_container(&shop);
    let mut follower = shop.host.begin(&["logs", "--follow"]);
    follower.read_to("sample.r1.i1 began");
    std::fs::write(told(&shop).join("leave"), "").expect("a word");
    follower.read_to("it leaves");
    follower.read_to("sample.r1.i1 began");
    until("it is back", || (backs(&shop) == 1).then_some(()));
    let second = serves_from_its_container(&shop);
    assert_ne!(first, second);
    let died =
        times(&shop, |event| matches!(event, Event::InstanceDied { exit, .. } if exit == "exited with status 7"));
    assert_eq!(died, 1);
    let logs = shop.host.done(&["logs"]).stdout;
    let lines: Vec<&str> = logs.lines().filter_map(|line| line.split(" | ").nth(1)).collect();
    assert_eq!(lines, ["sample.r1.i1 began", "it leaves", "sample.r1.i1 began"]);
}

/// Whatever somebody does to a container with the docker command: the instance is back in a container of ours, and the proxy knows where.
///
/// Seen to fail when a container that was started again by somebody else counted as the one that we started, when what an earlier attempt has left had
/// to run to be ended, and with a removal that left the containers which it had stopped itself.
#[test]
fn what_is_done_behind_our_back_is_made_good() {
    let shop = Shop::new();
    shop.write(&told_by_files(&shop, "", ""));
    shop.host.done(&["deploy"]);
    let mut container = serves_from_its_container(&shop);
    for (round, words) in
        [&["restart", "--time", "0"][..], &["kill"], &["rm", "--force"], &["stop", "--time", "0"]].iter().enumerate()
    {
        docker(&[words, &[container.as_str()][..]].concat());
        until(&format!("it is back after docker {words:?}"), || (backs(&shop) == round + 1).then_some(()));
        let next = serves_from_its_container(&shop);
        assert_ne!(next, container, "after docker {words:?}");
        container = next;
    }
    // What earlier attempts have left goes with the service.
    shop.host.done(&["remove"]);
    assert_eq!(shop.containers(), Vec::<String>::new());
}

/// An image with a health check that reads a file.
fn healthy_when_told(shop: &Shop, script: &str) -> Service {
    let service = told_by_files(shop, script, "");
    let told = told(shop);
    let command = format!("cd {}; cat health; test -e healthy", told.display());
    let health =
        format!("[service.sample.health]\ncommand = [\"sh\", \"-c\", {command:?}]\ninterval = \"100ms\"\nretries = 2");
    let ready = "health = true\nstable_for = \"50ms\"\nwithin = \"3s\"".to_owned();
    Service { ready, tables: format!("{}\n{health}", service.tables), ..service }
}

/// Seen to fail with a health check whose `unhealthy` counts as healthy, and without the output of the check.
#[test]
fn the_engines_own_health_check_decides() {
    let shop = Shop::new();
    let say = |healthy: bool, words: &str| {
        std::fs::write(told(&shop).join("health"), words).expect("words");
        let flag = told(&shop).join("healthy");
        if healthy { std::fs::write(flag, "").expect("a flag") } else { drop(std::fs::remove_file(flag)) }
    };
    shop.write(&healthy_when_told(&shop, ""));
    say(true, "all is well");
    shop.host.done(&["deploy"]);
    serves_from_its_container(&shop);
    // It becomes healthy only later.
    say(false, "warming up");
    let mut deploy = shop.host.begin(&["--json", "deploy", "--again"]);
    deploy.read_to("\"kind\":\"step_started\",\"step\":2");
    say(true, "all is well");
    deploy.wait().expect(0);
    // It never does.
    say(false, "the database is away");
    shop.host.run(&["deploy", "--again"]).expect(4).says(&[
        "was not ready within 3s",
        "unhealthy: the database is away",
        "release 2 of sample is live",
    ]);
}

/// The check of the image itself does as well; one that has none is told so at once.
///
/// Seen to fail with a probe that waits for its time to be up.
#[test]
fn the_images_own_health_check_does_as_well() {
    let image = Image(format!("cutover-test/health-{}", std::process::id()));
    let shop = Shop::new();
    let check = "HEALTHCHECK --interval=100ms CMD [\"/bin/true\"]";
    let container = docker(&["create", busybox(), "true"]);
    docker(&["commit", "--change", check, &container, &image.0]);
    docker(&["rm", &container]);
    let of_image = |image: &str| {
        let service = told_by_files(&shop, "", "");
        let ready = "health = true\nstable_for = \"50ms\"\nwithin = \"30s\"".to_owned();
        shop.write(&Service { lines: service.lines.replace(busybox(), image), ready, ..service });
    };
    of_image(&image.0);
    shop.host.done(&["deploy"]);
    of_image(busybox());
    let begun = std::time::Instant::now();
    shop.turned_down(&["can never be ready: its image has no health check", "[service.NAME.health]"]);
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
}

/// Streams outlive the removal of their service for a while; then its container goes as well.
///
/// Seen to fail when what retires after the removal was only stopped.
#[test]
fn a_service_that_is_removed_under_a_stream_leaves_nothing_in_the_end() {
    let shop = Shop::new();
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    let mut stream = TcpStream::connect(shop.host.address()).expect("the proxy listens");
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: sample\r\n\r\n").expect("write");
    stream.read_exact(&mut [0; 20]).expect("the stream begins");
    shop.host.done(&["remove"]);
    assert_eq!(shop.running().len(), 1, "the stream was cut");
    stream.read_exact(&mut [0; 20]).expect("the stream goes on");
    drop(stream);
    until("nothing is left", || shop.containers().is_empty().then_some(()));
}

/// Two agents of one engine, with services of one name: each sees and touches only its own.
///
/// Seen to fail when containers were looked for without the label of the state directory.
#[test]
fn two_agents_leave_each_others_containers_alone() {
    let (one, other) = (Shop::new(), Shop::new());
    for shop in [&one, &other] {
        shop.write(&told_by_files(shop, "", ""));
        shop.host.done(&["deploy"]);
    }
    let theirs = serves_from_its_container(&other);
    let mine = serves_from_its_container(&one);
    docker(&["kill", &mine]);
    until("it is back", || (backs(&one) == 1).then_some(()));
    one.host.done(&["deploy", "--again"]);
    one.host.kill_agent();
    one.host.done(&["deploy", "--again"]);
    one.host.done(&["remove"]);
    assert_eq!(one.containers(), Vec::<String>::new());
    assert_eq!(serves_from_its_container(&other), theirs);
    assert_eq!(backs(&other), 0);
}
