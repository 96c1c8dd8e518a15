//! Development commands.

#![allow(clippy::print_stdout, reason = "printing is what these commands are for")]

mod bench;

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
    /// Measures cutover against its peers.
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
}

fn main() -> ExitCode {
    let Arguments { command: Command::Bench { what } } = Arguments::parse();
    match bench::run(what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
