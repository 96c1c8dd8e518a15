//! Development commands.

#![allow(clippy::print_stdout, reason = "printing is what these commands are for")]

mod docs;
mod fuzz;
mod test;

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

/// Development commands of cutover.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Installs what is needed and runs every check
    Test {
        /// Only what needs no tests to run
        #[arg(long)]
        fast: bool,
        /// Only the tests
        #[arg(long, conflicts_with = "fast")]
        tests: bool,
    },
    /// Searches for bytes that break a parser of the proxy
    Fuzz(fuzz::Arguments),
    /// Writes the generated pages of the documentation anew
    Docs,
    /// `bench …` measures cutover against its peers, `soak …` runs what takes too long for the tests; `--help` behind them says more
    #[command(external_subcommand)]
    Measure(Vec<OsString>),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Verb::Test { fast, tests } => test::run(!tests, !fast),
        Verb::Fuzz(arguments) => fuzz::run(&arguments),
        Verb::Docs => docs::run(),
        Verb::Measure(words) => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what measures, optimized, and runs it with these words.
fn measure(words: &[OsString]) -> Result<(), String> {
    // Both at once: what each is built on has the same features then, and is built once.
    let both = ["build", "--quiet", "--release", "--package", "cutover", "--package", "cutover-measure"];
    test::passes(Command::new("cargo").args(both))?;
    test::passes(Command::new(test::target().join("release/cutover-measure")).args(words))
}
