//! `cargo xtask fuzz`: searches for bytes that break a parser of the proxy, with libFuzzer and the compiler's coverage counters.
//!
//! The properties stand in `cutover_proxy::fuzz`; what is found interesting is kept below the target directory, and the next
//! search begins with it. The flags are those that cargo-fuzz gives without a sanitizer, which a stable compiler takes: all of the code
//! is safe, so what a sanitizer would find is not there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler's flags: counters at every edge, and what comparisons compared.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

const CRATE: &str = "crates/proxy/fuzz";

/// How to search.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only these properties, by the names of the folders in crates/proxy/fuzz/seeds
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds for each of them
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Builds, searches, and says what was found.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let (program, work) = build()?;
    let mut found = Vec::new();
    for name in names()? {
        if !arguments.only.is_empty() && !arguments.only.contains(&name) {
            continue;
        }
        println!("== {name}");
        let (corpus, finds) = (work.join("corpus").join(&name), work.join("found").join(&name));
        for folder in [&corpus, &finds] {
            std::fs::create_dir_all(folder).map_err(|error| format!("could not make {}: {error}", folder.display()))?;
        }
        let mut command = Command::new(&program);
        command.env("PROPERTY", &name).arg(&corpus).arg(Path::new(CRATE).join("seeds").join(&name));
        command.arg(format!("-max_total_time={}", arguments.seconds)).args(["-max_len=4096", "-verbosity=0"]);
        command.args(["-print_final_stats=1", &format!("-artifact_prefix={}/", finds.display())]);
        let status = command.status().map_err(|error| format!("could not run {}: {error}", program.display()))?;
        if !status.success() {
            found.push(format!("{name}: the bytes lie in {}", finds.display()));
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("a property does not hold:\n{}", found.join("\n"))) }
}

fn names() -> Result<Vec<String>, String> {
    let folder = Path::new(CRATE).join("seeds");
    let read = std::fs::read_dir(&folder).map_err(|error| format!("could not read {}: {error}", folder.display()))?;
    let mut names: Vec<String> = read.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// The program, and a folder for what it finds.
fn build() -> Result<(PathBuf, PathBuf), String> {
    let host = host()?;
    let work = crate::test::target().join("fuzz");
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--manifest-path"]).arg(Path::new(CRATE).join("Cargo.toml"));
    // With a target named, build scripts and macros are built without the flags.
    command.args(["--target", &host, "--target-dir"]).arg(&work).env("RUSTFLAGS", FLAGS);
    let status = command.status().map_err(|error| format!("could not run cargo: {error}"))?;
    if !status.success() {
        return Err("the search does not build; libFuzzer needs a C++ compiler (apt-get install -y g++)".to_owned());
    }
    Ok((work.join(host).join("release/cutover-proxy-fuzz"), work))
}

/// The machine that we are on, as the compiler calls it.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("could not run rustc: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what it compiles for".to_owned())
}
