//! The engine fails us: it is not there, may not be asked, has no room, or is restarted in the middle of a deployment. What serves goes on, and what
//! was tried says how it ended.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod docker_support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use cutover_testkit::host::{answers, until};
use docker_support::busybox;
use docker_support::engine::Engine;
use docker_support::place::Image;
use docker_support::registry::Registry;
use docker_support::shop::{Service, Shop};

/// Seen to fail with the hint for this host's own socket at any other, and when the cause and the hint of a runtime were dropped on their way
/// to the command.
#[test]
fn an_engine_that_is_not_there_is_said_with_what_to_do() {
    let mut shop = Shop::new();
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    shop.host.done(&["agent", "stop"]);
    let nowhere = shop.host.root().join("no.sock");
    shop.host.set("DOCKER_HOST", format!("unix://{}", nowhere.display()));
    shop.configure(2, "");
    shop.host.run(&["deploy"]).expect(1).says(&[
        "could not look at what sample would run",
        &format!("the Docker engine at unix://{} does not answer", nowhere.display()),
        "DOCKER_HOST names",
        "unset it",
        "release 1 of sample is live",
    ]);
    shop.get("/").expect("what serves goes on");
    shop.host.done(&["agent", "stop"]);
    shop.host.set("DOCKER_HOST", "tcp://127.0.0.1:1");
    shop.host
        .run(&["deploy"])
        .expect(1)
        .says(&["tcp://127.0.0.1:1 does not answer", "`DOCKER_HOST=tcp://127.0.0.1:1 docker version`"]);
    shop.host.done(&["agent", "stop"]);
    shop.host.set("DOCKER_HOST", "");
    shop.host.done(&["deploy"]);
    shop.host.rests_on(Some(2), 1);
}

/// Somebody who may not use the engine's socket, with an agent of their own.
///
/// Seen to fail with a hint that only says that the engine does not answer.
#[test]
fn who_may_not_ask_the_engine_is_told_the_command_that_lets_them() {
    let shop = Shop::new();
    shop.configure(1, "");
    let root = shop.host.root();
    let binary = root.join("cutover");
    std::fs::copy(shop.host.binary(), &binary).unwrap();
    for path in [root, &binary] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]).arg(&binary).arg("--state");
    command.arg(root.join("theirs")).arg("--config").arg(shop.host.config()).arg("deploy").current_dir(root);
    for name in ["HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CUTOVER_STATE", "CUTOVER_CONFIG"] {
        command.env_remove(name);
    }
    let output = command.output().expect("setpriv runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["does not answer", "no permission on /var/run/docker.sock", "usermod -aG docker nobody"] {
        assert!(said.contains(words), "it does not say {words:?}: {said}");
    }
}

/// An image of a program for another processor, and one whose label only says so.
///
/// Seen to fail with an image that is not looked at before it is started, and without a look at what the program's end says.
#[test]
fn an_image_for_another_processor_is_said() {
    let image = Image(format!("cutover-test/arm-{}", std::process::id()));
    let shop = Shop::new();
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    // The head of an executable for AArch64, in an image that says so. The engine's old builder loses the image of a step now and then when images are
    // removed beside it; the second time it begins anew.
    let script = "set -e; root=$(mktemp -d); mkdir -p $root/bin; \
         { printf '\\177ELF\\002\\001\\001'; head -c 9 /dev/zero; printf '\\002\\000\\267\\000\\001\\000\\000\\000'; head -c 104 /dev/zero; } > $root/bin/web; \
         chmod 755 $root/bin/web; printf 'FROM scratch\\nCOPY bin /bin\\nLABEL cutover.test=1\\nENTRYPOINT [\"/bin/web\"]\\n' > $root/Dockerfile; \
         build() { docker build --quiet --platform linux/arm64 --tag \"$0\" $root; }; build || build; rm -r $root";
    assert!(Command::new("sh").args(["-c", script, &image.0]).status().unwrap().success());
    let deploy = |more: &str, words: &[&str]| {
        let lines = format!("image = \"{}\"\nport = 80\n{more}", image.0);
        shop.write(&Service { lines, ready: "http = \"/\"\nwithin = \"20s\"".to_owned(), ..Service::default() });
        shop.turned_down(&[words, &["release 1 of sample is live"]].concat());
    };
    deploy("", &["is for arm64, and this host is", "build it with `--platform linux/"]);
    deploy("platform = \"linux/arm64\"", &["exec format error", "is for another processor"]);
    assert_eq!(shop.running().len(), 1);
}

/// Seen to fail when an image that is not to be pulled was asked of its registry.
#[test]
fn an_image_that_is_missing_is_said_before_anything_begins() {
    let shop = Shop::new();
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    for (image, words) in [
        (
            "cutover-test/nowhere:1\"\npull = \"never",
            &["there is no image cutover-test/nowhere:1", "`docker images`"][..],
        ),
        ("127.0.0.1:1/no/such:9", &["the registry 127.0.0.1:1 could not be reached", "try again when it is back"]),
    ] {
        let lines = format!("image = \"{image}\"\nport = 80");
        shop.write(&Service { lines, ..Service::default() });
        shop.host.run(&["deploy"]).expect(1).says(&[words, &["release 1 of sample is live"]].concat());
    }
    assert_eq!(shop.containers().len(), 1);
}

/// A shop whose containers run in another engine, with these images.
fn shop_on(engine: &Engine, images: &[u32]) -> Shop {
    let mut shop = Shop::new();
    shop.host.set("DOCKER_HOST", engine.address());
    images.iter().for_each(|number| engine.give(&docker_support::sample(shop.host.binary(), *number)));
    shop
}

/// The disk of the engine is full in the middle of a pull: said as such, what serves goes on, and with room it can be tried again.
///
/// Seen to fail when the engine's `no space left` was not told from other answers.
#[test]
fn a_full_disk_is_said_and_changes_nothing() {
    let registry = Registry::start(false);
    let large = registry.push_large("shop/web:1", 200);
    let engine = Engine::start(&[], Some("150m"));
    let shop = shop_on(&engine, &[]);
    engine.give(busybox());
    let small =
        "trap 'exit 0' TERM; mkdir /www; echo ok > /www/index.html; httpd -p 80 -h /www; while :; do sleep 0.05; done";
    let write = |image: &str| {
        let lines = format!("image = \"{image}\"\nport = 80\ncommand = [\"sh\", \"-c\", {small:?}]");
        shop.write(&Service { lines, ready: "http = \"/\"\nstable_for = \"50ms\"".to_owned(), ..Service::default() });
    };
    write(busybox());
    shop.host.done(&["deploy"]);
    write(&large);
    shop.turned_down(&[
        "could not prepare release 2",
        &format!("there was no room for {large}"),
        "no space left on device",
        "docker system df",
        "release 1 of sample is live",
    ]);
    assert_eq!(shop.get("/").as_deref(), Some("ok"));
}

/// Begins a deployment that waits for a flag to be ready.
fn waits_for_a_flag(shop: &Shop, number: u32) -> std::path::PathBuf {
    let flag = shop.host.root().join("ready");
    shop.write(&Service {
        lines: shop.sample(number, ""),
        ready: format!("command = [\"test\", \"-e\", {flag:?}]\nstable_for = \"50ms\"\nwithin = \"50s\""),
        ..Service::default()
    });
    flag
}

/// The engine is restarted while the new release gets ready, and its containers live on: nobody notices.
///
/// Seen to fail when an engine that does not answer counted as the end of an instance.
#[test]
fn an_engine_that_restarts_around_its_containers_is_not_noticed() {
    let mut engine = Engine::start(&["--live-restore"], None);
    let shop = shop_on(&engine, &[1, 2]);
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    let meter = shop.host.meter(shop.host.load(100.0));
    let flag = waits_for_a_flag(&shop, 2);
    let mut deploy = shop.host.begin(&["--json", "deploy"]);
    deploy.read_to("\"kind\":\"step_started\",\"step\":2");
    engine.stop();
    answers(&meter, 50);
    // While it is away, nothing can be begun, and this is said.
    shop.host.run(&["restart"]).expect(3);
    engine.start_again();
    meter.allow_releases(&["1", "2"]);
    std::fs::write(&flag, "").unwrap();
    deploy.wait().expect(0);
    meter.expect_release("2");
    answers(&meter, 50);
    // It is away when a deployment would begin.
    engine.stop();
    shop.host.run(&["deploy", "--again"]).expect(1).says(&[
        "does not answer",
        "start the engine that is to be there",
        "release 2 of sample is live",
    ]);
    shop.host.run(&["restart"]).expect(4).says(&[
        "could not prepare",
        "does not answer",
        "release 2 of sample is live",
    ]);
    engine.start_again();
    // It leaves in the middle of anything else: done or undone, and nobody notices.
    shop.configure(1, "");
    for step in [1, 5, 8] {
        meter.allow_releases(&[]);
        let mut deploy = shop.host.begin(&["--json", "deploy", "--again"]);
        deploy.read_to(&format!("\"kind\":\"step_started\",\"step\":{step}"));
        engine.stop();
        engine.start_again();
        let told = deploy.wait();
        assert!(matches!(told.code, Some(0 | 4)), "it left at step {step}: {}{}", told.stdout, told.stderr);
        let live = shop.host.live();
        shop.host.rests_on(live, 1);
        meter.expect_release(&live.unwrap().to_string());
        answers(&meter, 50);
    }
    shop.host.clean_report(meter);
}

/// The engine takes its containers along when it leaves: the deployment is undone, and what was live comes back by itself.
///
/// Seen to fail when nobody waited for the end of a container.
#[test]
fn an_engine_that_takes_its_containers_along_ends_in_the_old_release() {
    let mut engine = Engine::start(&[], None);
    let shop = shop_on(&engine, &[1, 2]);
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    let meter = shop.host.meter(shop.host.load(50.0));
    waits_for_a_flag(&shop, 2);
    let mut deploy = shop.host.begin(&["--json", "deploy"]);
    deploy.read_to("\"kind\":\"step_started\",\"step\":2");
    engine.stop();
    engine.start_again();
    deploy.wait().expect(4).says(&["before it was ready", "release 1 of sample is live"]);
    shop.host.rests_on(Some(1), 1);
    answers(&meter, 50);
    let report = shop.host.report(meter);
    assert_eq!(report.ledger.as_ref().map(|ledger| ledger.duplicated), Some(0), "{report}");
    // Nobody of the deployment is left.
    let mark = format!("label=cutover.state={}", shop.host.state().display());
    until("one runs", || (engine.docker(&["ps", "--quiet", "--filter", &mark]).lines().count() == 1).then_some(()));
    shop.host.done(&["remove"]);
    assert_eq!(engine.docker(&["ps", "--all", "--quiet", "--filter", &mark]), "");
}
