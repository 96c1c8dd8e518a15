//! `cargo xtask test`: every check there is, in the order in which they fail soonest. CI runs this and nothing else.
//!
//! Nothing is skipped in silence: what is missing is installed (Debian packages when run as root, cargo-deny below the target
//! directory), and what cannot be installed ends the run with the command that would.

mod programs;
mod stage;
mod tools;
mod tree;

use std::path::Path;
use std::process::Command;

use programs::Program;
use stage::Stages;
pub use tools::target;

/// Runs what looks at the code, what runs it, or both.
pub fn run(looks: bool, tests: bool) -> Result<(), String> {
    let mut stages = Stages::default();
    let deny = stages.run("tools", tools::provide)?;
    if looks {
        stages.run("tree", || tree::check(Path::new(".")))?;
        stages.run("format", || cargo(&["fmt", "--all", "--check"]))?;
        stages.run("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
        stages.run("dependencies", || dependencies(&deny))?;
    }
    if tests {
        let programs = stages.run("build", build)?;
        stages.run("tests", || run_tests(programs))?;
    }
    if looks && tests {
        stages.run("documentation", documentation)?;
    }
    stages.summary();
    Ok(())
}

/// The examples are not among what `cargo test` runs. For the whole workspace, so that nothing is built a second time with other
/// features.
const EXAMPLES: [&str; 3] = ["--workspace", "--test", "examples"];

fn build() -> Result<Vec<Program>, String> {
    let mut programs = programs::build(&["--workspace"])?;
    programs.extend(programs::build(&EXAMPLES)?);
    Ok(programs)
}

fn run_tests(programs: Vec<Program>) -> Result<(), String> {
    programs::run(programs)?;
    cargo(&["test", "--workspace", "--doc", "--quiet"])
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
pub fn passes(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let status = command.status().map_err(|error| format!("could not run {shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} failed: {status}")) }
}
