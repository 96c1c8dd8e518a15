//! The hook `before_build`: run on the side of whoever calls, before anything is asked of the agent.
//!
//! Nothing has begun by then, so nothing is journaled and nothing is undone: a failure is this command's. What it writes goes to the
//! standard error, as it comes, like what a builder writes.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use cutover_core::spec::{Hook, HookSpec, ServiceSpec};
use cutover_core::unit::duration;
use cutover_core::{Failure, ServiceName};

use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::follow::interrupted;
use super::deploy::chosen;
use crate::config::Config;
use crate::probe::command::Group;
use crate::runtime::process::identity::{ProcessId, boot};
use crate::runtime::process::members::Kin;
use crate::runtime::process::party;
use crate::runtime::process::record::{RUN_VARIABLE, RunId};

/// The configuration, read when the hooks of these services have run. Those of a service whose image was built elsewhere do not.
pub async fn configuration(services: &[ServiceName], builds: bool, context: &Context) -> Result<Config, CliError> {
    let config = context.configuration()?;
    let mut ran = false;
    for spec in chosen(&config, services)? {
        if let Some(hook) = spec.rollout.hooks.get(&Hook::BeforeBuild).filter(|_| builds) {
            context.printer.remark(format!("running before_build of {}", spec.name));
            run(hook, spec, &config).await?;
            ran = true;
        }
    }
    if !ran {
        return Ok(config);
    }
    // What it has built may be what the rest of the configuration speaks of.
    let config = context.configuration()?;
    chosen(&config, services)?.into_iter().try_for_each(artifact_is_there)?;
    Ok(config)
}

fn artifact_is_there(spec: &ServiceSpec) -> Result<(), CliError> {
    let artifact = spec.run.process().and_then(|process| process.artifact.as_ref());
    match artifact.filter(|artifact| !artifact.exists()) {
        Some(artifact) => Err(CliError::new(
            Kind::Failed,
            Failure::new(format!("before_build of {} has not made {}", spec.name, artifact.display())),
        )),
        None => Ok(()),
    }
}

async fn run(hook: &HookSpec, spec: &ServiceSpec, config: &Config) -> Result<(), CliError> {
    let shown = format!("before_build of {}, `{}`,", spec.name, hook.command.join(" "));
    let failed = |how: String| {
        let failure = Failure::new(format!("{shown} {how}"));
        CliError::new(Kind::Failed, failure.hint("its own message stands above; nothing was deployed"))
    };
    let could_not = |what: &'static str| {
        let failed = &failed;
        move |error: io::Error| failed(format!("could not be {what}: {error}"))
    };
    let run = RunId::random().map_err(could_not("run"))?;
    let mut command = command(hook, spec, config);
    command.env(RUN_VARIABLE, run.as_str());
    let child = tokio::process::Command::from(command).spawn();
    let mut group = Group(child.map_err(could_not("run"))?);
    let kin = kin(run, &group).map_err(could_not("run"))?;
    let cut_short = tokio::select! {
        ended = group.exited() => ended.map(|()| None).map_err(could_not("waited for"))?,
        () = tokio::time::sleep(hook.within) => Some(format!("took longer than {}", duration::text(hook.within))),
        () = interrupted() => Some("was interrupted".to_owned()),
    };
    party::kill_kin(&kin).await.map_err(could_not("ended"))?;
    let status = group.ended().await.map_err(could_not("waited for"))?;
    match cut_short {
        Some(how) => Err(failed(how)),
        None if status.success() => Ok(()),
        None => Err(failed(format!("failed: {status}"))),
    }
}

/// What tells its processes from others: all that it started is ended with it.
fn kin(run: RunId, group: &Group) -> io::Result<Kin> {
    let main = group.0.id().and_then(|pid| ProcessId::of(pid.cast_signed())).ok_or(io::ErrorKind::NotFound)?;
    Ok(Kin { run, boot: boot()?, main, held: true })
}

fn command(hook: &HookSpec, spec: &ServiceSpec, config: &Config) -> Command {
    let (program, arguments) = hook.command.split_first().expect("an empty command is a mistake of the configuration");
    let mut command = Command::new(program);
    // In a group of its own, so that all of it can be ended.
    command.args(arguments).stdin(Stdio::null()).stdout(std::io::stderr()).process_group(0);
    if let Some(folder) = config.path.parent() {
        command.current_dir(folder);
    }
    let name = Hook::BeforeBuild.name();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    command
        .env("CUTOVER_PROJECT", &spec.project)
        .env("CUTOVER_SERVICE", spec.name.as_str())
        .env("CUTOVER_HOOK", name)
        // Nobody repeats it, so each run has a key of its own.
        .env("CUTOVER_KEY", format!("{}.{}-{}.{name}", spec.name, now.as_millis(), std::process::id()));
    command
}
