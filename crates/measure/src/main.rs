//! What is measured, and what takes too long for the tests: `cargo xtask bench` and `cargo xtask soak` build and run this, optimized.
//!
//! A crate of its own, because it needs nearly everything there is: `xtask`, by which every run of the tests begins, needs next to
//! nothing and is built in seconds.

#![allow(clippy::print_stdout, reason = "printing is what these commands are for")]

mod bench;
mod soak;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measurements of cutover.
#[derive(Parser)]
enum Arguments {
    /// Measures cutover against its peers
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Runs what takes too long for the tests: deployments under load, kills, simulation, latency
    Soak(soak::Soak),
}

/// The binary as users get it, which was built together with this one.
fn binary() -> Result<PathBuf, String> {
    let ours = std::env::current_exe().map_err(|error| format!("where are we? {error}"))?;
    let binary = ours.with_file_name("cutover");
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("{} is not there: `cargo xtask` builds it", binary.display()))
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse() {
        Arguments::Bench { what } => bench::run(what).map_err(|error| error.to_string()),
        Arguments::Soak(soak) => soak::run(&soak),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
