//! The programs of tests, several at a time. Most tests wait for something (a probe, a clock, an nginx that lets go), which costs
//! nobody a core; run one program after the other, they leave half of the machine idle.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde::Deserialize;

/// Those that take long, longest first: none of them is to be left for the end.
const LONG: [&str; 12] = [
    "examples",
    "nginx_switch",
    "e2e_compose",
    "sim_sweep",
    "sim_seeds",
    "e2e_kills",
    "e2e_verdicts",
    "docker_kills",
    "it",
    "nginx_places",
    "nginx_failures",
    "docker_faults",
];

/// How many run beside one another for each core. Each runs as many tests at once as there are cores.
const FOR_EACH_CORE: usize = 2;

/// The one that takes longest, and hardly anything but time: it runs twice as many of its tests at once.
const PATIENT: &str = "examples";

/// One program.
#[derive(Debug)]
pub struct Program {
    name: String,
    executable: PathBuf,
    /// The folder of its crate, where it expects to run.
    folder: PathBuf,
}

/// A line that cargo writes for each thing it has built, as far as it matters here.
#[derive(Deserialize)]
struct Built {
    manifest_path: Option<PathBuf>,
    executable: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds what `cargo test` with these arguments would run.
pub fn build(arguments: &[&str]) -> Result<Vec<Program>, String> {
    let mut command = Command::new("cargo");
    command.arg("test").args(arguments).args(["--no-run", "--message-format=json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("could not run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("the tests do not build: {}", output.status));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let programs: Vec<Program> = lines.lines().filter_map(program).collect();
    if programs.is_empty() { Err("cargo names no programs of tests".to_owned()) } else { Ok(programs) }
}

fn program(line: &str) -> Option<Program> {
    let built: Built = serde_json::from_str(line).ok()?;
    let folder = built.manifest_path?.parent()?.to_owned();
    let executable = built.executable.filter(|_| built.profile.is_some_and(|profile| profile.test))?;
    Some(Program { name: built.target?.name, executable, folder })
}

/// Runs all of them, and gives the names of those that failed, with the tests in them: the last line of a log of thousands is the
/// one that is read. What a program says is shown when it has failed.
pub fn run(mut programs: Vec<Program>) -> Result<(), String> {
    programs.sort_by_key(|program| LONG.iter().position(|long| *long == program.name).unwrap_or(LONG.len()));
    let queue = Mutex::new(VecDeque::from(programs));
    let failed = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..cores() * FOR_EACH_CORE {
            scope.spawn(|| {
                while let Some(program) = next() {
                    if let Err(tests) = one(&program) {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(format!("{} ({tests})", program.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The error names what has failed in it.
fn one(program: &Program) -> Result<(), String> {
    let begun = Instant::now();
    let mut command = Command::new(&program.executable);
    if program.name == PATIENT {
        command.env("RUST_TEST_THREADS", (cores() * 2).to_string());
    }
    let output = command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder).output();
    let (passed, said) = match output {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        }
        Err(error) => (false, format!("could not run it: {error}")),
    };
    let result = said.lines().rfind(|line| line.starts_with("test result")).unwrap_or("no result");
    let (name, folder) = (&program.name, crate_of(&program.folder));
    // In one piece, so that the words of two programs do not mix.
    let more = if passed { String::new() } else { format!("\n{said}") };
    println!("{:>7.1} s  {folder}/{name}: {result}{more}", begun.elapsed().as_secs_f64());
    if passed { Ok(()) } else { Err(failures(&said)) }
}

/// As the harness lists them at its end; a program that was ended or never began lists none.
fn failures(said: &str) -> String {
    let after = said.rsplit_once("\nfailures:\n").map_or("", |(_, after)| after);
    let listed: Vec<&str> = after.lines().map_while(|line| line.strip_prefix("    ")).collect();
    if listed.is_empty() { "it did not get to its end".to_owned() } else { listed.join(", ") }
}

fn crate_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
