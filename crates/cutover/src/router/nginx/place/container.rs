//! A container of this host's engine: its files by the folder that is mounted into it, its commands by `docker exec`.
//!
//! The engine is spoken to by its own command, so that its contexts, `DOCKER_HOST` and logins count as they do for people. Each command costs a tenth of
//! a second, in the middle of a switch; so a container that runs on this host is remembered while its first process lives, and its processes
//! are read from `/proc`. And a shell is opened in it before it is needed: what a switch runs is only written to it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::command::{self, Output};
use super::session::Session;
use super::{Host, Place, PlaceError, Process, Turn, process, shell};
use crate::runtime::process::identity::ProcessId;

const SHELL: &str = "sh";

/// A container, by its name or by `project/service`.
#[derive(Debug)]
pub struct Container {
    name: String,
    known: Mutex<Option<Known>>,
    session: Session,
}

/// A container that runs on this host.
#[derive(Debug, Clone)]
struct Known {
    id: String,
    first: ProcessId,
}

#[derive(Deserialize)]
struct Mount {
    #[serde(rename = "Source")]
    source: PathBuf,
    #[serde(rename = "Destination")]
    destination: PathBuf,
}

impl Container {
    /// The container of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), known: Mutex::new(None), session: Session::default() }
    }

    async fn docker(&self, words: &[&str]) -> Result<Output, PlaceError> {
        let done = command::run(&docker(words), &[]).await;
        done.map_err(|error| self.unreachable(&format!("`docker {}`: {error}", words[0])))
    }

    async fn ask(&self, words: &[&str]) -> Result<String, PlaceError> {
        let output = self.docker(words).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let why = output.said();
        let hint = if why.contains("permission denied") {
            Some("allow it with `sudo usermod -aG docker USER`, and start the agent again".to_owned())
        } else if why.contains("No such") {
            Some("`docker ps -a` shows which containers there are".to_owned())
        } else {
            why.contains("is not running").then(|| format!("start it with `docker start {}`", self.name))
        };
        Err(PlaceError::Unreachable { place: self.name(), why, hint })
    }

    /// What was seen of it, if it still runs.
    fn known(&self) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| known.first.lives())
    }

    /// Its name for the engine, and what can be seen of it; `None` if its processes are not among those of `/proc`.
    async fn look(&self) -> Result<(String, Option<Known>), PlaceError> {
        if let Some(known) = self.known() {
            return Ok((known.id.clone(), Some(known)));
        }
        let container = self.container().await?;
        let told = self.ask(&["inspect", "--format", "{{.Id}} {{.State.Pid}}", &container]).await?;
        let seen = told.split_once(' ').and_then(|(id, pid)| seen(id, pid.parse().ok()?));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&seen);
        Ok((container, seen))
    }

    /// The container's own name, which a Compose service has by its labels.
    async fn container(&self) -> Result<String, PlaceError> {
        if let Some(known) = self.known() {
            return Ok(known.id);
        }
        let Some((project, service)) = self.name.split_once('/') else { return Ok(self.name.clone()) };
        let project = format!("label=com.docker.compose.project={project}");
        let service = format!("label=com.docker.compose.service={service}");
        let oneoff = "label=com.docker.compose.oneoff=False";
        let filters = ["ps", "-q", "--filter", &project, "--filter", &service, "--filter", oneoff];
        let found = self.ask(&filters).await?;
        let mut found = found.lines();
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.to_owned()),
            (None, _) => Err(self.unreachable("no container of it is running")),
            (Some(_), Some(_)) => {
                Err(self.unreachable("it has several containers, and which one is meant is not said"))
            }
        }
    }

    /// What a shell inside says to this.
    async fn by_shell(&self, script: &str) -> Result<Output, PlaceError> {
        let container = self.container().await?;
        let output = self.session.run(&shell_in(&container), script.as_bytes()).await;
        let output = output.map_err(|error| self.unreachable(&format!("`docker exec`: {error}")))?;
        self.reached(&container, output).await
    }

    /// What a command inside said, unless it is the engine that speaks.
    async fn reached(&self, container: &str, mut output: Output) -> Result<Output, PlaceError> {
        if matches!(output.status.code(), Some(126 | 127)) && output.stderr.trim().is_empty() {
            // That the program could not be run is told on the other stream by some versions.
            output.stderr = String::from_utf8_lossy(&output.stdout).into_owned();
        }
        let refused = ["Error response from daemon", "Error: No such", "Cannot connect", "permission denied while"];
        if refused.iter().any(|sign| output.stderr.contains(sign)) {
            let why = self.ask(&["inspect", container]).await.err();
            return Err(why.unwrap_or_else(|| self.unreachable(&output.said())));
        }
        Ok(output)
    }

    fn unreachable(&self, why: &str) -> PlaceError {
        PlaceError::Unreachable { place: self.name(), why: why.to_owned(), hint: None }
    }
}

#[async_trait]
impl Place for Container {
    fn name(&self) -> String {
        match self.name.split_once('/') {
            Some((project, service)) => format!("in the Compose service {service} of {project}"),
            None => format!("in the container {}", self.name),
        }
    }

    async fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
        Host.read(file).await
    }

    async fn write(&self, file: &Path, content: &[u8]) -> Result<(), PlaceError> {
        Host.write(file, content).await
    }

    async fn remove(&self, file: &Path) -> Result<(), PlaceError> {
        Host.remove(file).await
    }

    async fn may_write(&self, folder: &Path) -> Result<(), PlaceError> {
        Host.may_write(folder).await
    }

    async fn run(&self, words: &[String]) -> Result<Output, PlaceError> {
        let container = self.container().await?;
        let words: Vec<&str> = ["exec", &container].into_iter().chain(words.iter().map(String::as_str)).collect();
        let output = self.docker(&words).await?;
        self.reached(&container, output).await
    }

    /// By one command of the engine, where the container has a shell.
    async fn in_turn(&self, first: &[String], then: &[String]) -> Turn {
        match self.by_shell(&shell::in_turn(first, then)).await {
            Ok(output) if is_missing(&output, SHELL) => self.one_by_one(first, then).await,
            done => shell::turn(done),
        }
    }

    async fn expect_turn(&self) {
        if let Ok(container) = self.container().await {
            self.session.prepare(shell_in(&container));
        }
    }

    async fn processes(&self) -> Result<Vec<Process>, PlaceError> {
        let (container, known) = self.look().await?;
        if let Some(known) = known {
            let below = move || process::below(known.first.pid);
            return Ok(tokio::task::spawn_blocking(below).await.unwrap_or_default());
        }
        Ok(process::listed(&self.ask(&["top", &container, "-eo", "pid,ppid,args"]).await?))
    }

    async fn inside(&self, file: &Path) -> Result<PathBuf, PlaceError> {
        let container = self.container().await?;
        let mounts = self.ask(&["inspect", "--format", "{{json .Mounts}}", &container]).await?;
        let mounts: Vec<Mount> = serde_json::from_str(&mounts).map_err(|error| self.unreachable(&error.to_string()))?;
        inside(&mounts, file).map_err(|why| PlaceError::Other {
            what: format!("find {}", file.display()),
            place: self.name(),
            why,
        })
    }

    fn numbers_agree(&self) -> bool {
        // nginx counts inside the container, the engine tells the host's numbers.
        false
    }

    fn look_again(&self) -> Duration {
        if self.known().is_some() { Host.look_again() } else { Duration::from_millis(50) }
    }
}

/// The command for a shell in a container that does what it reads.
fn shell_in(container: &str) -> Vec<String> {
    docker(&["exec", "-i", container, SHELL])
}

fn docker(words: &[&str]) -> Vec<String> {
    std::iter::once("docker").chain(words.iter().copied()).map(str::to_owned).collect()
}

/// Whether there is no such program in the container.
fn is_missing(output: &Output, program: &str) -> bool {
    matches!(output.status.code(), Some(126 | 127)) && output.stderr.contains(&format!("exec: \"{program}\""))
}

/// The process, if it is the container's: where the engine counts in other numbers than we, another process has that one.
fn seen(id: &str, pid: i32) -> Option<Known> {
    ProcessId::in_group(pid, id).map(|first| Known { id: id.to_owned(), first })
}

/// The path inside of a file of the host: by the mount whose source holds it most closely.
fn inside(mounts: &[Mount], file: &Path) -> Result<PathBuf, String> {
    let real = file.canonicalize();
    let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
    let by_folder = folder.and_then(|folder| Some(folder.join(file.file_name()?)));
    let candidates = [Some(file.to_owned()), real.ok(), by_folder];
    let holds = |mount: &&Mount| candidates.iter().flatten().any(|path| path.starts_with(&mount.source));
    let mount = mounts.iter().filter(holds).max_by_key(|mount| mount.source.as_os_str().len());
    let mount =
        mount.ok_or("no folder of it is mounted into the container; mount one with `-v FOLDER:/etc/nginx/…`")?;
    let path = candidates.iter().flatten().find_map(|path| path.strip_prefix(&mount.source).ok());
    match path {
        Some(rest) if rest.as_os_str().is_empty() => {
            Err("the file itself is mounted, and the container would go on seeing the old one; mount its folder".into())
        }
        Some(rest) => Ok(mount.destination.join(rest)),
        None => Ok(file.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_mount_tells_the_path_inside() {
        let mount = |source: &str, destination: &str| Mount { source: source.into(), destination: destination.into() };
        let mounts =
            [mount("/srv", "/data"), mount("/srv/nginx", "/etc/nginx/conf.d"), mount("/x/one.inc", "/one.inc")];
        let of = |file: &str| inside(&mounts, Path::new(file)).map(|path| path.display().to_string());
        assert_eq!(of("/srv/nginx/up.conf").unwrap(), "/etc/nginx/conf.d/up.conf");
        assert_eq!(of("/srv/nginx.d/up.conf").unwrap(), "/data/nginx.d/up.conf");
        assert!(of("/x/one.inc").unwrap_err().contains("mount its folder"));
        assert!(of("/etc/up.conf").unwrap_err().contains("no folder of it is mounted"));
    }
}
