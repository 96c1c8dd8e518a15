//! The process that becomes the program. It takes limits, user and directory upon itself, which needs no unsafe code here,
//! unlike in a forked child of somebody else; and until it has read its whole launch it runs nothing.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use cutover_core::spec::LimitSpec;
use nix::unistd::User;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::environment::{fill, variables};
use super::{channel, null};
use crate::runtime::process::order::{Launch, Report};

pub fn main() -> ExitCode {
    let Ok((launch, mut supervisor)) = receive() else { return ExitCode::FAILURE };
    let report = become_program(&launch);
    // The supervisor is the only one who would hear of it.
    let _ = serde_json::to_vec(&report).map(|text| supervisor.write_all(&text));
    ExitCode::FAILURE
}

/// Fails if the supervisor died before it had said everything: then this process must not become anything.
fn receive() -> io::Result<(Launch, UnixStream)> {
    let mut supervisor = channel(io::stdin())?;
    rustix::stdio::dup2_stdin(null()?)?;
    let mut text = Vec::new();
    supervisor.read_to_end(&mut text)?;
    Ok((serde_json::from_slice(&text)?, supervisor))
}

/// Does not return if it succeeds.
fn become_program(launch: &Launch) -> Report {
    match prepare(launch) {
        Err(report) => report,
        Ok(mut command) => {
            let error = command.exec();
            Report::NoProgram(command.get_program().to_string_lossy().into_owned(), error.into())
        }
    }
}

fn prepare(launch: &Launch) -> Result<Command, Report> {
    if launch.hook {
        // So that whatever it starts is found by that, and no terminal takes it along.
        rustix::process::setsid().map_err(|error| failed("could not lead a session".to_owned())(error.into()))?;
    }
    let user = launch.spec.user.as_deref().map(find).transpose()?;
    set_limits(&launch.spec.limits)?;
    if let Some(user) = &user {
        switch(user).map_err(failed(format!("could not become the user {}", user.name)))?;
    }
    let directory = directory(launch);
    std::env::set_current_dir(&directory)
        .map_err(failed(format!("could not enter the working directory {}", directory.display())))?;
    let words: Vec<String> = launch.spec.command.iter().map(|word| fill(word, launch)).collect();
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| failed("could not start the program".to_owned())(io::Error::other("its command is empty")))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables(launch, user.as_ref()));
    Ok(command)
}

fn failed(what: String) -> impl FnOnce(io::Error) -> Report {
    move |error| Report::Failed(what, error.into())
}

fn find(name: &str) -> Result<User, Report> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no such user");
    let found = User::from_name(name).map_err(io::Error::from).and_then(|user| user.ok_or_else(missing));
    found.map_err(failed(format!("could not look up the user {name}")))
}

fn switch(user: &User) -> io::Result<()> {
    // An agent that is not root can still run things as itself.
    if nix::unistd::geteuid() == user.uid {
        return Ok(());
    }
    let name = CString::new(user.name.as_str())?;
    nix::unistd::initgroups(&name, user.gid)?;
    nix::unistd::setgid(user.gid)?;
    nix::unistd::setuid(user.uid)?;
    Ok(())
}

fn set_limits(limits: &LimitSpec) -> Result<(), Report> {
    if let Some(files) = limits.open_files {
        limit(Resource::Nofile, files).map_err(failed(format!("could not set the limit open_files = {files}")))?;
    }
    if let Some(memory) = limits.memory {
        limit(Resource::Data, memory.0).map_err(failed(format!("could not set the limit memory = {memory}")))?;
    }
    Ok(())
}

/// Both the soft and the hard limit, so that the program cannot raise it again.
fn limit(resource: Resource, value: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// The working directory: as specified, else the artifact's copy if that is a directory, else the root.
fn directory(launch: &Launch) -> PathBuf {
    let copy = launch.artifact.as_ref().filter(|copy| copy.is_dir());
    launch.spec.directory.as_ref().or(copy).cloned().unwrap_or_else(|| PathBuf::from("/"))
}
