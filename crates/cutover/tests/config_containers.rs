//! What a configuration of containers means, and what is said of one that is wrong.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod config;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use config::Folder;
use cutover_core::spec::{Check, ContainerSpec, LogDriver, MountKind, Pull, Reach};

fn with_files(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn read(folder: &Folder, toml: &str) -> ContainerSpec {
    let toml = format!("project = \"shop\"\n[service.web]\n{toml}");
    let config = folder.load(&toml, None).unwrap_or_else(|errors| panic!("{toml}\n{errors}"));
    config.services[0].run.container().unwrap().clone()
}

fn mistakes(folder: &Folder, toml: &str) -> String {
    folder.load(format!("project = \"shop\"\n[service.web]\n{toml}"), None).expect_err("mistakes").to_string()
}

#[test]
fn an_image_is_enough() {
    let web = read(&Folder::new(), "image = \"shop/web:1\"");
    assert_eq!(web, ContainerSpec::of_image("shop/web:1"));
}

/// Seen to fail with the networks in the other order: instances are reached in the first.
#[test]
fn everything_that_is_written_is_there() {
    let folder = with_files(&[("conf/app.ini", ""), ("secret", "hush\n"), (".env", "A=1\n")]);
    let web = read(
        &folder,
        r#"
        image = "r.example.com/shop/web"
        pull = "never"
        port = 8080
        command = ["serve", "--release={release}"]
        entrypoint = ["/app"]
        env_file = ".env"
        env = { B = "two" }
        volumes = ["data:/data", "./conf:/etc/app:ro", "/scratch"]
        networks = ["backend"]
        labels = { team = "shop" }
        user = "1000:1000"
        directory = "/srv"
        platform = "linux/arm64"
        [service.web.network]
        name = "deploy"
        subnet = "172.20.0.0/16"
        addresses = ["172.20.0.2", "172.20.0.3"]
        aliases = ["web"]
        [service.web.container]
        tmpfs = ["/tmp:64MiB"]
        cap_drop = ["ALL"]
        init = true
        ulimits = { nofile = "1024:4096", core = 0 }
        [service.web.limits]
        memory = "256MiB"
        cpus = "1.5"
        [service.web.health]
        command = ["/app", "check"]
        interval = "2s"
        [service.web.logs]
        driver = "journald"
        [service.web.login]
        user = "ann"
        password_file = "secret"
        [service.web.stop]
        signal = "QUIT"
        [service.web.ready]
        health = true
        "#,
    );
    assert_eq!((web.image.pull, web.port), (Pull::Never, Some(8080)));
    let login = web.image.login.as_ref().unwrap();
    assert_eq!((login.user.as_str(), login.password.reveal()), ("ann", "hush"));
    assert_eq!(web.entrypoint, Some(vec!["/app".to_owned()]));
    assert_eq!(web.env.keys().collect::<Vec<_>>(), ["A", "B"]);
    let networks: Vec<&str> = web.networks.iter().map(|network| network.network.as_str()).collect();
    assert_eq!(networks, ["deploy", "backend"]);
    assert_eq!(web.networks[0].addresses, ["172.20.0.2", "172.20.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    assert!(web.networks[0].create.is_some() && web.networks[1].create.is_none());
    let targets: Vec<PathBuf> = web.mounts.iter().map(|mount| mount.target.clone()).collect();
    assert_eq!(targets, ["/data", "/etc/app", "/scratch", "/tmp"].map(PathBuf::from));
    assert!(matches!(&web.mounts[1].kind, MountKind::Bind { source, .. } if *source == folder.path().join("conf")));
    assert!(web.mounts[1].read_only && !web.mounts[0].read_only);
    assert_eq!(web.host.cpu_thousandths, Some(1500));
    assert_eq!(web.host.ulimits, BTreeMap::from([("nofile".into(), (1024, 4096)), ("core".into(), (0, 0))]));
    assert_eq!(web.health.as_ref().unwrap().test, ["CMD", "/app", "check"]);
    assert!(matches!(&web.log, LogDriver::Other { driver, .. } if driver == "journald"));
    assert_eq!(web.stop.signal, "QUIT");
    assert_eq!(cutover_core::spec::RunSpec::Container(Box::new(web)).places().unwrap().count, 2);
}

#[test]
fn probes_of_containers_are_read() {
    let check = |ready: &str| {
        let toml = format!("project = \"shop\"\n[service.web]\nimage = \"web\"\nport = 9000\nready = {{ {ready} }}");
        Folder::new().load(toml, None).unwrap().services[0].ready.check.clone()
    };
    assert_eq!(check("health = true"), Check::Health);
    let Check::FastCgi { script, query, status, body } = check("fastcgi = \"/srv/up.php?deep=1\", body = \"well\"")
    else {
        panic!("not FastCGI");
    };
    assert_eq!(
        (script.as_str(), query.as_str(), status, body.as_deref()),
        ("/srv/up.php", "deep=1", (200, 399), Some("well"))
    );
}

#[test]
fn ports_can_be_published() {
    let web = read(&Folder::new(), "image = \"web\"\nport = 80\npublish = [8080, 8081]\npublish_on = \"10.0.0.1\"");
    assert_eq!(web.reach, Reach::Published { ip: [10, 0, 0, 1].into(), ports: vec![8080, 8081] });
}

#[test]
fn a_build_names_its_image() {
    let folder = with_files(&[("app/Dockerfile", "FROM scratch")]);
    let toml = "project = \"shop\"\n[service.web]\nimage = \"r.example.com/web\"\n[service.web.build]\ncontext = \"app\"\nargs = { V = 1 }";
    let config = folder.load(toml, None).unwrap();
    let build = config.builds.values().next().unwrap();
    assert_eq!((build.repository.as_str(), &build.context), ("r.example.com/web", &folder.path().join("app")));
    assert_eq!(build.args["V"].reveal(), "1");
}

/// Each line is a mistake, and a part of what is said of it. Seen to fail with the checks taken out one by one.
#[test]
fn what_is_wrong_is_said() {
    let folder = with_files(&[("Dockerfile", "FROM scratch")]);
    for (toml, says) in [
        ("image = \"Shop/Web\"", "lower case"),
        ("image = \"web\"\nartifact = \".\"", "processes only"),
        ("command = [\"true\"]\nvolumes = [\"a:/b\"]", "containers only"),
        ("image = \"web\"\nvolumes = [\"./nowhere:/x\"]", "does not exist"),
        ("image = \"web\"\nvolumes = [\"a:b\"]", "not an absolute path"),
        ("image = \"web\"\nvolumes = [\"a:/x\", \"b:/x\"]", "mounted twice"),
        ("image = \"web\"\nvolumes = [\"a:/x:rx\"]", "not a mode"),
        (
            "image = \"web\"\nnetwork = { name = \"n\", subnet = \"10.0.0.0/24\", addresses = [\"10.0.1.2\", \"10.0.0.3\"] }",
            "is not in",
        ),
        ("image = \"web\"\nnetwork = { name = \"n\", addresses = [\"10.0.1.2\"] }", "2 are needed"),
        ("image = \"web\"\nnetwork = { name = \"n\", subnet = \"10.0.0.0/99\" }", "address range"),
        ("image = \"web\"\npublish = [8080, 8081]", "no port to publish"),
        ("image = \"web\"\nport = 80\npublish = [8080]", "2 are needed"),
        ("image = \"web\"\nroute = { listen = 8080 }", "port: missing"),
        ("image = \"web\"\nlimits = { cpus = \"many\" }", "number of processors"),
        ("image = \"web\"\nlogin = { user = \"ann\" }", "password_env and password_file"),
        ("image = \"web\"\nlogin = { user = \"ann\", password_env = \"NO_SUCH\" }", "NO_SUCH is not set"),
        ("image = \"web:1\"\nbuild = { context = \".\" }", "has a tag"),
        ("build = { context = \".\" }", "needs a name"),
        ("command = [\"true\"]\nready = { health = true }", "only a container"),
        ("image = \"web\"\ncontainer = { ulimits = { nofile = \"x\" } }", "soft:hard"),
    ] {
        let told = mistakes(&folder, toml);
        assert!(told.contains(says), "{toml}\nshould say {says:?} but says\n{told}");
    }
}
