//! `sample`: the sample service as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = cutover_sample::Options::from_env_and_args();
    cutover_sample::run_to_exit(options)
}
