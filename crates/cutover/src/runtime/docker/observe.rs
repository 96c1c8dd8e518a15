//! What has become of an instance.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use bollard::query_parameters::WaitContainerOptionsBuilder;
use cutover_core::{Failure, InstanceId};
use futures_util::StreamExt;

use super::DockerRuntime;
use super::engine::{is_missing, refused};
use super::record::Record;
use super::start::is_running;
use crate::engine::port::{Exit, Seen, Unhealthy};

/// The pause before an engine that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

impl DockerRuntime {
    /// The container of a record; `None` if it is not there (any more).
    pub(super) async fn look(&self, record: &Record) -> Result<Option<ContainerInspectResponse>, Failure> {
        let docker = self.docker().await?;
        match docker.inspect_container(&record.container, None).await {
            Ok(seen) => Ok(Some(seen)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(refused(format!("could not look at {}", record.container), &error)),
        }
    }

    /// All of this state directory.
    pub(super) async fn observe_all(&self) -> Result<Vec<Seen>, Failure> {
        let mut all = Vec::new();
        for record in self.all()? {
            let seen = self.look(&record).await?;
            let runs = seen.as_ref().filter(|seen| is_as_started(seen, &record));
            let pid = runs.and_then(|seen| u32::try_from(seen.state.as_ref()?.pid?).ok());
            let exit = match (&seen, pid) {
                (_, Some(_)) => None,
                (Some(seen), None) => Some(end_of(seen, &record)),
                (None, None) => Some(Exit::Unknown),
            };
            let address = record.address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
            all.push(Seen { instance: record.instance, attempt: record.attempt, address, pid, exit });
        }
        Ok(all)
    }

    /// Waits until it does not run as it was started, however often the engine goes away meanwhile.
    pub(super) async fn wait_for_end(&self, instance: &InstanceId) -> Exit {
        loop {
            match self.records.read(instance) {
                Ok(None) => return Exit::Unknown,
                Ok(Some(record)) => match self.look(&record).await {
                    Ok(None) => return Exit::Unknown,
                    Ok(Some(seen)) if !is_as_started(&seen, &record) => return end_of(&seen, &record),
                    Ok(Some(_)) => self.until_it_changes(&record).await,
                    Err(_) => tokio::time::sleep(ASK_AGAIN).await,
                },
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Waits until its container does not run.
    pub(super) async fn until_not_running(&self, record: &Record) {
        loop {
            match self.look(record).await {
                Ok(Some(seen)) if is_running(&seen) => self.until_it_changes(record).await,
                Ok(_) => return,
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Returns when the engine says that it ended, and when the engine goes away.
    async fn until_it_changes(&self, record: &Record) {
        let Ok(docker) = self.docker().await else { return tokio::time::sleep(ASK_AGAIN).await };
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut wait = std::pin::pin!(docker.wait_container(&record.container, Some(options)));
        // That it ended with another status than 0 is an error to the library, and as good an answer to us.
        if !matches!(wait.next().await, Some(Ok(_) | Err(bollard::errors::Error::DockerContainerWaitError { .. }))) {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// What the engine's own health check says.
    pub(super) async fn engine_health(&self, instance: &InstanceId) -> Result<(), Unhealthy> {
        let asked = |failure: Failure| Unhealthy::NotNow(failure.to_string());
        let record = self.read(instance).map_err(asked)?;
        let record = record.ok_or_else(|| Unhealthy::NotNow(format!("{instance} is not known here")))?;
        let seen = self.look(&record).await.map_err(asked)?;
        // One that has ended is not judged here.
        let Some(seen) = seen else { return Err(Unhealthy::NotNow(format!("{} is gone", record.container))) };
        let health = seen.state.and_then(|state| state.health);
        match health.as_ref().and_then(|health| health.status) {
            Some(HealthStatusEnum::HEALTHY) => Ok(()),
            Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Err(Unhealthy::Unchecked(
                "its image has no health check: give it one under [service.NAME.health], or ask in another way in \
                 [service.NAME.ready]"
                    .to_owned(),
            )),
            Some(status) => {
                let last = health.and_then(|health| health.log?.pop()?.output);
                let said = last.map(|output| output.trim().to_owned()).filter(|output| !output.is_empty());
                Err(Unhealthy::NotNow(said.map_or_else(|| status.to_string(), |said| format!("{status}: {said}"))))
            }
        }
    }
}

/// Whether it runs, and nobody has started it again since we did.
fn is_as_started(seen: &ContainerInspectResponse, record: &Record) -> bool {
    let started_at = seen.state.as_ref().and_then(|state| state.started_at.as_ref());
    is_running(seen) && (record.started_at.is_none() || started_at == record.started_at.as_ref())
}

/// How it ended; one that was started again by somebody else has ended in a way that nobody saw.
fn end_of(seen: &ContainerInspectResponse, record: &Record) -> Exit {
    let same_run = record.started_at.is_none()
        || seen.state.as_ref().and_then(|state| state.started_at.as_ref()) == record.started_at.as_ref();
    if is_running(seen) || !same_run { Exit::Unknown } else { exit(seen) }
}

/// How a container ended. A status above 128 stands for a signal, as a shell tells it.
pub(super) fn exit(seen: &ContainerInspectResponse) -> Exit {
    let state = seen.state.as_ref();
    let code = state.and_then(|state| i32::try_from(state.exit_code?).ok());
    match code {
        _ if state.and_then(|state| state.oom_killed) == Some(true) => Exit::Signal(9),
        Some(code) if (129..=192).contains(&code) => Exit::Signal(code - 128),
        Some(code) => Exit::Code(code),
        None => Exit::Unknown,
    }
}
