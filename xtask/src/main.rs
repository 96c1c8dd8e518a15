//! Development commands.

#![allow(clippy::print_stdout, reason = "printing is what these commands are for")]

mod bench;
mod docs;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development commands of cutover.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is needed and runs every check
    Test {
        /// Only those that need no tests to run
        #[arg(long)]
        fast: bool,
    },
    /// Measures cutover against its peers
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Writes the generated pages of the documentation anew
    Docs,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test { fast } => test::run(fast),
        Command::Bench { what } => bench::run(what).map_err(|error| error.to_string()),
        Command::Docs => docs::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
