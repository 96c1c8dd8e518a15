//! The user's own Compose: `docker compose` (version 2) or `docker-compose` (version 1.29, or 2 by itself).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cutover_core::Failure;

/// A Compose that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    words: Vec<OsString>,
    /// Its version, as `2.26.1` or `1.29.2`.
    pub version: String,
}

/// Which project it is to work on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// The files; empty for Compose's own choice in the folder.
    pub files: Vec<PathBuf>,
    /// Where it is called.
    pub directory: PathBuf,
    /// The project's name, if it is given.
    pub name: Option<String>,
    /// Files of variables.
    pub env_files: Vec<PathBuf>,
    /// Profiles.
    pub profiles: Vec<String>,
}

impl Tool {
    /// Finds it. `CUTOVER_COMPOSE` names another program.
    pub fn find() -> Result<Self, Failure> {
        if let Some(program) = std::env::var_os("CUTOVER_COMPOSE") {
            return Self::at(vec![program]).ok_or_else(|| {
                Failure::new("the program that CUTOVER_COMPOSE names is no Compose").hint("unset it for the usual one")
            });
        }
        let usual = [vec!["docker".into(), "compose".into()], vec!["docker-compose".into()]];
        usual.into_iter().find_map(Self::at).ok_or_else(|| {
            Failure::new("neither `docker compose` nor `docker-compose` works here")
                .hint("install Docker's compose plugin, or name the program in CUTOVER_COMPOSE")
        })
    }

    /// The one that is called by these words, if it is one.
    pub fn at(words: Vec<OsString>) -> Option<Self> {
        Some(Self { version: version(&words)?, words })
    }

    /// Whether it is the first version, whose output differs.
    pub fn is_first(&self) -> bool {
        self.version.starts_with("1.")
    }

    /// Runs it, and gives what it printed. What it complained about on the way is in the failure, word for word.
    pub fn ask(&self, project: &Project, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.command(project, arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| Failure::because("could not run Compose", &error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(complaint(&output, arguments))
    }

    /// Runs it for what it does; what it prints goes to this process's standard error.
    pub fn run(&self, project: &Project, arguments: &[&str]) -> Result<(), Failure> {
        let status = self.command(project, arguments).stdin(Stdio::null()).stdout(std::io::stderr()).status();
        let status = status.map_err(|error| Failure::because("could not run Compose", &error))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("`compose {}` failed: {status}", arguments.join(" ")))
            .hint("its own message stands above"))
    }

    fn command(&self, project: &Project, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).current_dir(&project.directory);
        let mut option = |name: &str, value: &Path| {
            command.arg(name).arg(value);
        };
        project.files.iter().for_each(|file| option("--file", file));
        project.env_files.iter().for_each(|file| option("--env-file", file));
        project.name.iter().for_each(|name| option("--project-name", Path::new(name)));
        project.profiles.iter().for_each(|profile| option("--profile", Path::new(profile)));
        command.args(arguments);
        command
    }
}

fn version(words: &[OsString]) -> Option<String> {
    let output =
        Command::new(&words[0]).args(&words[1..]).args(["version", "--short"]).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().trim_start_matches('v').to_owned();
    (output.status.success() && version.starts_with(|c: char| c.is_ascii_digit())).then_some(version)
}

fn complaint(output: &Output, arguments: &[&str]) -> Failure {
    let text = String::from_utf8_lossy(&output.stderr);
    // Warnings about variables and obsolete keys come first; what went wrong is at the end.
    let warns = |line: &&str| line.contains("level=warning") || line.starts_with("WARNING");
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    let last = lines.iter().map(String::as_str).rfind(|line| !warns(line));
    let what = last.map_or_else(|| output.status.to_string(), str::to_owned);
    Failure::new(format!("Compose refused `{}`: {what}", arguments.join(" "))).log(lines)
}
