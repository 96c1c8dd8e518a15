//! `cargo xtask test`: every check there is, in the order in which they fail soonest. CI runs this and nothing else.
//!
//! Nothing is skipped in silence: what is missing is installed (Debian packages when run as root, cargo-deny below the target
//! directory), and what cannot be installed ends the run with the command that would.

mod stage;
mod tools;
mod tree;

use std::fs::File;
use std::path::Path;
use std::process::Command;

use stage::Stages;

/// Runs all checks, or those that need no long tests.
pub fn run(fast: bool) -> Result<(), String> {
    let mut stages = Stages::default();
    let deny = stages.run("tools", tools::provide)?;
    stages.run("tree", || tree::check(Path::new(".")))?;
    stages.run("format", || cargo(&["fmt", "--all", "--check"]))?;
    stages.run("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    stages.run("dependencies", || dependencies(&deny))?;
    if !fast {
        stages.run("build", build)?;
        stages.run("tests", tests)?;
        stages.run("documentation", documentation)?;
    }
    stages.summary();
    Ok(())
}

/// The examples are whole set-ups that mostly wait for something: they run beside the other tests. For the whole workspace, so that
/// nothing is built a second time with other features.
const EXAMPLES: [&str; 4] = ["test", "--workspace", "--test", "examples"];

fn build() -> Result<(), String> {
    cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    cargo(&[&EXAMPLES[..], &["--no-run", "--quiet"]].concat())
}

fn tests() -> Result<(), String> {
    let log = tools::folder().with_file_name("examples.log");
    let file = File::create(&log).map_err(|error| format!("could not write {}: {error}", log.display()))?;
    let errors = file.try_clone().map_err(|error| error.to_string())?;
    let mut examples = Command::new("cargo");
    let mut examples = examples
        .args(EXAMPLES)
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("could not run the examples: {error}"))?;
    let others = cargo(&["test", "--workspace", "--no-fail-fast"]);
    let status = examples.wait().map_err(|error| format!("the examples are lost: {error}"))?;
    println!("{}", std::fs::read_to_string(&log).unwrap_or_default());
    others?;
    if status.success() { Ok(()) } else { Err(format!("the examples failed: {status}")) }
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    passes(Command::new("cargo").args(arguments))
}

fn documentation() -> Result<(), String> {
    let mut command = Command::new("cargo");
    passes(
        command
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"),
    )
}

/// Licences, sources and bans must pass. So must the advisories, but their database is fetched from the network: where that
/// cannot be reached, this says so and goes on, for otherwise nobody could work offline.
fn dependencies(deny: &Path) -> Result<(), String> {
    passes(Command::new(deny).args(["--log-level", "error", "check", "licenses", "bans", "sources"]))?;
    let advisories = Command::new(deny).args(["--log-level", "error", "check", "advisories"]).output();
    let advisories = advisories.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&advisories.stderr);
    if advisories.status.success() {
        return Ok(());
    }
    if said.contains("failed to fetch advisory database") || said.contains("failed to load advisory database") {
        println!("!! ADVISORIES NOT CHECKED: their database cannot be reached from here");
        return Ok(());
    }
    Err(format!("there are advisories against what we build on:\n{said}"))
}

/// Runs a command that must succeed.
fn passes(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let status = command.status().map_err(|error| format!("could not run {shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} failed: {status}")) }
}
