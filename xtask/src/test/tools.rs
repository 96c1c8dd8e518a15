//! The tools that the checks need, and how they are come by.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of cargo-deny that is installed if none is there.
const DENY: &str = "0.20.2";

/// A program, what it is for, and the Debian package that has it.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("cc", "SQLite is built from source", "gcc"),
    ("python3", "tests deploy Python programs", "python3"),
    ("node", "a test of `init` starts a Node.js program", "nodejs"),
    ("javac", "a test of `init` builds and starts a jar", "default-jdk-headless"),
    ("jar", "a test of `init` builds and starts a jar", "default-jdk-headless"),
];

/// Sees to it that everything is there; returns where cargo-deny is.
pub fn provide() -> Result<PathBuf, String> {
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, ..)| !runs(Path::new(program))).collect();
    if !missing.is_empty() {
        let mut packages: Vec<&str> = missing.iter().map(|(.., package)| *package).collect();
        packages.dedup();
        missing.iter().for_each(|(program, why, _)| println!("{program} is missing ({why})"));
        install(&packages)?;
    }
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

/// The installed cargo-deny, or one built into the target directory: two minutes, once.
fn deny() -> Result<PathBuf, String> {
    let installed = PathBuf::from("cargo-deny");
    if runs(&installed) {
        return Ok(installed);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let root = target.join("tools");
    let built = root.join("bin/cargo-deny");
    if runs(&built) {
        return Ok(built);
    }
    println!("building cargo-deny {DENY} into {}", root.display());
    let mut command = Command::new("cargo");
    command.args(["install", "--quiet", "--locked", "cargo-deny", "--version", DENY, "--root"]).arg(&root);
    // Its own target directory: it is built once, and would only stand in the way of ours.
    super::passes(command.env_remove("CARGO_TARGET_DIR"))?;
    Ok(built)
}

fn runs(program: &Path) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
