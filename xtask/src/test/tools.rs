//! The tools that the checks need, and how they are come by.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of cargo-deny that is installed if none is there.
const DENY: &str = "0.20.2";

/// A program (`*` stands for a version at the end of its name), what it is for, and the Debian package that has it.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("cc", "SQLite is built from source", "gcc"),
    ("python3", "tests deploy Python programs", "python3"),
    ("node", "a test of `init` starts a Node.js program", "nodejs"),
    ("javac", "a test of `init` builds and starts a jar", "default-jdk-headless"),
    ("jar", "a test of `init` builds and starts a jar", "default-jdk-headless"),
    ("docker", "tests run containers", "docker.io"),
    ("dockerd", "tests restart an engine of their own", "docker.io"),
    ("setpriv", "a test runs as somebody who may not use Docker", "util-linux"),
    ("git", "a test builds images from a repository", "git"),
    ("docker-compose", "tests deploy services of Compose projects", "docker-compose"),
    ("busybox", "the tests' images are made of it", "busybox-static"),
    ("docker-registry", "tests pull from a registry and push to it", "docker-registry"),
    ("htpasswd", "a registry with a login", "apache2-utils"),
    ("debootstrap", "the images of the examples are made with it", "debootstrap"),
    ("ansible-playbook", "an example is deployed by Ansible", "ansible-core"),
    ("openssl", "an example has a certificate", "openssl"),
    ("pebble", "tests order certificates from it", "pebble"),
    ("h2load", "tests load the proxy by HTTP/2", "nghttp2-client"),
    ("curl", "the examples ask their services", "curl"),
    ("ip", "the examples look for free networks", "iproute2"),
    ("nginx", "tests switch it", "nginx-light"),
    ("sshd", "a test switches an nginx over ssh", "openssh-server"),
    ("ssh", "a test switches an nginx over ssh", "openssh-client"),
    (
        "/usr/lib/python3/dist-packages/prometheus_client/parser.py",
        "a test reads the proxy's counters with it",
        "python3-prometheus-client",
    ),
    ("/usr/lib/python3/dist-packages/grpc/__init__.py", "tests call and deploy gRPC with it", "python3-grpcio"),
    ("php-fpm*", "tests probe and deploy PHP over FastCGI", "php-fpm"),
];

/// Sees to it that everything is there; returns where cargo-deny is.
pub fn provide() -> Result<PathBuf, String> {
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, ..)| !is_installed(program)).collect();
    if !missing.is_empty() {
        let mut packages: Vec<&str> = missing.iter().map(|(.., package)| *package).collect();
        packages.dedup();
        missing.iter().for_each(|(program, why, _)| println!("{program} is missing ({why})"));
        install(&packages)?;
    }
    compose_2()?;
    deny()
}

fn install(packages: &[&str]) -> Result<(), String> {
    let by_hand = format!("apt-get install -y {}", packages.join(" "));
    if !rustix::process::geteuid().is_root() {
        return Err(format!("run as root: {by_hand}"));
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        super::passes(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
    };
    apt(&["update"])?;
    let arguments: Vec<&str> = ["install", "-y", "--no-install-recommends"].iter().chain(packages).copied().collect();
    apt(&arguments)
}

/// Compose 2 from Debian's next suite, unpacked beside the installed first version: users have either.
fn compose_2() -> Result<(), String> {
    let folder = folder().join("compose-2");
    if folder.join("usr/libexec/docker/cli-plugins/docker-compose").is_file() {
        return Ok(());
    }
    println!("unpacking Compose 2 into {}", folder.display());
    let script = "set -eu; mkdir -p \"$0\"; cd \"$0\"; mkdir -p apt/lists/partial apt/cache/archives/partial apt/etc
        sed -n '1,/^$/p' /etc/apt/sources.list.d/debian.sources | sed 's/^Suites:.*/Suites: trixie/' > apt/etc/next.sources
        options=\"-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/apt/etc -o Dir::State::lists=$PWD/apt/lists
            -o Dir::Cache=$PWD/apt/cache -o APT::Sandbox::User=root\"
        apt-get $options -qq update; apt-get $options -qq download docker-compose
        dpkg -x docker-compose_*.deb .; rm -r apt docker-compose_*.deb";
    super::passes(Command::new("sh").args(["-c", script]).arg(&folder))
}

/// Where tools are kept that are not installed.
pub fn folder() -> PathBuf {
    target().join("tools")
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    std::path::absolute(&target).unwrap_or(target)
}

/// The installed cargo-deny, or one built into the target directory, once and without optimization: it runs for seconds.
fn deny() -> Result<PathBuf, String> {
    let installed = PathBuf::from("cargo-deny");
    if runs(&installed) {
        return Ok(installed);
    }
    let root = folder();
    let built = root.join("bin/cargo-deny");
    if runs(&built) {
        return Ok(built);
    }
    println!("building cargo-deny {DENY} into {}", root.display());
    let mut command = Command::new("cargo");
    command.args(["install", "--quiet", "--debug", "--locked", "cargo-deny", "--version", DENY, "--root"]).arg(&root);
    // Its own target directory: it is built once, and would only stand in the way of ours.
    super::passes(command.env_remove("CARGO_TARGET_DIR"))?;
    Ok(built)
}

/// Daemons lie in folders that are not everybody's to search.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    match program.strip_suffix('*') {
        None => folders.map(|folder| folder.join(program)).any(|file| file.is_file()),
        Some(begins) => folders
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(begins)),
    }
}

fn runs(program: &Path) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
