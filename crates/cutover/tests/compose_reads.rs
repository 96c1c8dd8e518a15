//! A service of a Compose project as a specification, by both versions of Compose.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cutover::compose::{Project, Resolved, Tool, resolve};
use cutover_core::spec::{LogDriver, MountKind};
use cutover_core::unit::ByteSize;

const FILE: &str = r#"
version: "3.8"
services:
  app:
    image: shop/app:${TAG:-1}
    ports: ["8080:9000"]
    environment: {A: "1", PASSWORD: "pa$$word"}
    env_file: [app.env]
    volumes: ["data:/data", "./conf:/etc/app:ro", "/anon", {type: tmpfs, target: /t, tmpfs: {size: 1000000}}]
    networks: {front: {aliases: [www]}, default: null}
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "true"], interval: 5s, retries: 3, start_period: 1m30s}
    stop_signal: SIGQUIT
    stop_grace_period: 1m30s
    deploy: {replicas: 2, resources: {limits: {cpus: "0.5", memory: 64M}}}
    ulimits: {nofile: {soft: 10, hard: 20}, nproc: 5}
    logging: {driver: json-file, options: {max-size: 10m}}
    restart: always
    command: php-fpm -F "two words"
    entrypoint: ["/entry.sh"]
    user: "1000"
    working_dir: /srv
    labels: {team: shop}
    extra_hosts: ["h:1.2.3.4"]
    secrets: [tok]
    init: true
    shm_size: 64m
    tmpfs: [/run]
    cap_add: [NET_ADMIN]
    sysctls: {net.core.somaxconn: 1024}
  db: {image: db, healthcheck: {test: ["CMD", "true"]}}
networks: {front: {ipam: {config: [{subnet: 172.29.5.0/24}]}}}
volumes: {data: {}}
secrets: {tok: {file: ./tok}}
"#;

/// Compose 1.29 as it is installed, and Compose 2 as `cargo xtask test` unpacks it beside the target directory's binaries.
fn tools() -> [Tool; 2] {
    let target = Path::new(env!("CARGO_BIN_EXE_cutover")).ancestors().nth(2).unwrap();
    let second = target.join("tools/compose-2/usr/libexec/docker/cli-plugins/docker-compose");
    let words = [OsString::from("docker-compose"), second.into_os_string()];
    let tools = words.map(|word| {
        Tool::at(vec![word.clone()]).unwrap_or_else(|| panic!("{word:?} is no Compose: run `cargo xtask test`"))
    });
    assert!(tools[0].is_first() && !tools[1].is_first(), "{tools:?}");
    tools
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(file: &str) -> Self {
        let folder = Self(tempfile::Builder::new().prefix("shop").tempdir().unwrap());
        for (name, text) in
            [("docker-compose.yml", file), ("app.env", "X=1\n"), ("tok", "t"), (".env", "COMPOSE_PROJECT_NAME=shop\n")]
        {
            std::fs::write(folder.0.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.0.path().join("conf")).unwrap();
        folder
    }

    fn project(&self) -> Project {
        let files = vec![self.0.path().join("docker-compose.yml")];
        Project { files, directory: self.0.path().to_owned(), ..Project::default() }
    }

    fn resolve(&self, tool: &Tool) -> Result<Resolved, String> {
        resolve(tool, &self.project(), "app")
            .map_err(|failure| format!("{failure} {:?} {:?}", failure.hint, failure.log))
    }
}

/// Seen to fail with `$$` left as it is, and with networks without the project's name in front.
#[test]
fn every_setting_is_carried_over_by_both_versions() {
    let folder = Folder::with(FILE);
    for tool in tools() {
        let resolved = folder.resolve(&tool).unwrap();
        let app = &resolved.container;
        assert_eq!(app.image.reference, "shop/app:1");
        assert_eq!(app.command.as_deref().unwrap(), ["php-fpm", "-F", "two words"], "{}", tool.version);
        assert_eq!(app.entrypoint.as_deref().unwrap(), ["/entry.sh"]);
        let env: BTreeMap<&str, &str> = app.env.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
        assert_eq!(env, BTreeMap::from([("A", "1"), ("PASSWORD", "pa$word"), ("X", "1")]));
        assert_eq!((app.port, resolved.replicas), (Some(9000), Some(2)));
        let mut networks: Vec<&str> = app.networks.iter().map(|network| network.network.as_str()).collect();
        networks.sort_unstable();
        assert_eq!(networks, ["shop_default", "shop_front"]);
        let front = app.networks.iter().find(|network| network.network == "shop_front").unwrap();
        assert_eq!(front.aliases, ["app", "www"]);
        let made = front.create.as_ref().unwrap();
        assert_eq!(made.subnet.as_deref(), Some("172.29.5.0/24"));
        assert_eq!(made.labels["com.docker.compose.project"], "shop");
        let mut targets: Vec<PathBuf> = app.mounts.iter().map(|mount| mount.target.clone()).collect();
        targets.sort();
        assert_eq!(targets, ["/anon", "/data", "/etc/app", "/run", "/run/secrets/tok", "/t"].map(PathBuf::from));
        let at = |target: &str| app.mounts.iter().find(|mount| mount.target == Path::new(target)).unwrap();
        assert_eq!(at("/data").kind, MountKind::Volume { name: Some("shop_data".into()), no_copy: false });
        assert!(
            at("/etc/app").read_only
                && matches!(&at("/etc/app").kind, MountKind::Bind { source, .. } if source.ends_with("conf"))
        );
        assert_eq!(at("/t").kind, MountKind::Tmpfs { size: Some(ByteSize(1_000_000)), mode: None });
        let health = app.health.as_ref().unwrap();
        assert_eq!(
            (health.test.as_slice(), health.start_period),
            (["CMD", "true"].map(str::to_owned).as_slice(), Some(Duration::from_secs(90)))
        );
        assert_eq!((app.stop.signal.as_str(), app.stop.grace), ("QUIT", Duration::from_secs(90)));
        assert_eq!((app.host.memory, app.host.cpu_thousandths), (Some(ByteSize(64 << 20)), Some(500)));
        assert_eq!(app.host.ulimits, BTreeMap::from([("nofile".into(), (10, 20)), ("nproc".into(), (5, 5))]));
        assert_eq!(app.host.extra_hosts, ["h:1.2.3.4"]);
        assert_eq!(
            (app.host.init, app.host.shm_size, app.host.user.as_deref()),
            (Some(true), Some(ByteSize(64 << 20)), Some("1000"))
        );
        assert!(matches!(&app.log, LogDriver::Other { options, .. } if options["max-size"] == "10m"));
        assert_eq!(app.labels, BTreeMap::from([("team".into(), "shop".into())]));
        assert_eq!(resolved.neighbours[0].condition, "service_healthy");
        let origin = app.compose.as_ref().unwrap();
        assert_eq!((origin.project.as_str(), origin.config_hash.as_ref().map(String::len)), ("shop", Some(64)));
        assert!(resolved.notes.iter().any(|note| note.contains("8080:9000")), "{:?}", resolved.notes);
    }
}

/// Each mistake, and what is said of it.
#[test]
fn what_cannot_be_carried_over_is_refused_by_name() {
    let service = |more: &str| format!("version: \"3.8\"\nservices:\n  app:\n    image: a\n{more}\n");
    for (more, says) in [
        ("    network_mode: none", "network_mode"),
        ("    networks: {default: {ipv4_address: 172.29.7.7}}", "fixed address"),
        ("    volumes_from: [db]\n  db: {image: b}", "volumes_from"),
    ] {
        let folder = Folder::with(&service(more));
        for tool in tools() {
            let error = folder.resolve(&tool).unwrap_err();
            assert!(error.contains(says), "{} {more}: {error}", tool.version);
        }
    }
}

#[test]
fn composes_own_message_is_shown() {
    let folder = Folder::with("version: \"3.8\"\nservices:\n  app:\n    image: a\n    prots: [80]\n");
    for tool in tools() {
        let error = folder.resolve(&tool).unwrap_err();
        assert!(error.contains("prots"), "{}: {error}", tool.version);
    }
    let broken = Folder::with("services:\n  app: [\n");
    for tool in tools() {
        let error = broken.resolve(&tool).unwrap_err();
        assert!(error.contains("line"), "{}: {error}", tool.version);
    }
}

#[test]
fn a_service_that_is_not_there_has_a_nearest_one() {
    let folder = Folder::with("version: \"3.8\"\nservices:\n  apps: {image: a}\n");
    for tool in tools() {
        let error = folder.resolve(&tool).unwrap_err();
        assert!(error.contains("did you mean \\\"apps\\\"?"), "{}: {error}", tool.version);
    }
}
