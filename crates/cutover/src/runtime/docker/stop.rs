//! Stops an instance: signal, grace, kill.

use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::KillContainerOptionsBuilder;
use cutover_core::spec::StopSpec;
use cutover_core::{Failure, InstanceId};

use super::engine::{is_conflict, is_missing, refused};
use super::record::Record;
use super::start::{is_running, remove};
use super::{DockerRuntime, observe};
use crate::engine::port::{Exit, Stopped};

/// A killed container is gone within this time, unless the engine is in trouble.
const GONE_WITHIN: Duration = Duration::from_secs(30);

impl DockerRuntime {
    /// Stops it. Fine if it does not run, or was never made.
    pub(super) async fn stop_container(&self, instance: &InstanceId, stop: &StopSpec) -> Result<Stopped, Failure> {
        let Some(record) = self.read(instance)? else {
            return Ok(Stopped { exit: Exit::Unknown, killed: false });
        };
        // From here on its address is not kept for it.
        self.write(&Record { stopped: true, ..record.clone() })?;
        let docker = self.docker().await?;
        if record.adopted {
            unbind(&docker, &record.container).await?;
        }
        signal(&docker, &record.container, &stop.signal).await?;
        let asked = tokio::time::timeout(stop.grace, self.until_not_running(&record)).await;
        let killed = asked.is_err();
        if killed {
            signal(&docker, &record.container, "KILL").await?;
            let gone = tokio::time::timeout(GONE_WITHIN, self.until_not_running(&record)).await;
            gone.map_err(|_| Failure::new(format!("{} was killed, but is still there", record.container)))?;
        }
        let seen = self.look(&record).await?;
        Ok(Stopped { exit: seen.map_or(Exit::Unknown, |seen| observe::exit(&seen)), killed })
    }

    /// Removes all containers of an instance that does not run.
    pub(super) async fn remove_containers(&self, record: &Record) -> Result<(), Failure> {
        let docker = self.docker().await?;
        for name in self.containers_of(&docker, &record.instance).await? {
            remove(&docker, &name).await?;
        }
        // One that was taken over has no label of ours.
        match self.look(record).await? {
            Some(seen) if !is_running(&seen) => remove(&docker, &record.container).await,
            _ => Ok(()),
        }
    }
}

async fn signal(docker: &Docker, container: &str, signal: &str) -> Result<(), Failure> {
    let name = format!("SIG{}", signal.trim_start_matches("SIG"));
    let options = KillContainerOptionsBuilder::default().signal(&name).build();
    match docker.kill_container(container, Some(options)).await {
        // It does not run, or is gone.
        Err(error) if !is_conflict(&error) && !is_missing(&error) => {
            Err(refused(format!("could not send {name} to {container}"), &error))
        }
        _ => Ok(()),
    }
}

/// Takes away the restart policy that somebody gave it, so that the engine does not start it again when it is told to stop.
async fn unbind(docker: &Docker, container: &str) -> Result<(), Failure> {
    let policy = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
    let update = ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
    match docker.update_container(container, update).await {
        Err(error) if !is_missing(&error) => {
            Err(refused(format!("could not take the restart policy from {container}"), &error))
        }
        _ => Ok(()),
    }
}
