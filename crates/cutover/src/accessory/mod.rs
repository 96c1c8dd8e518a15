//! Accessories: containers that live longer than any release.
//!
//! They are brought up by whoever calls, like a build: they have no router state and nothing to roll back, so there is nothing to
//! journal, and a password of theirs never leaves the caller's process but for the engine. They are found again by label.
//!
//! Deliberately absent: updating them in passing. Changed settings are shown, and take effect when somebody asks.

mod decide;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use bollard::Docker;
use bollard::models::{HealthStatusEnum, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, StopContainerOptionsBuilder,
};
use cutover_core::spec::{AccessorySpec, Check, MountKind};
use cutover_core::{Failure, InstanceId, ReleaseNo};
use sha2::{Digest, Sha256};

pub use self::decide::{Action, Found, bring_up};
use crate::engine::port::{ProbeTarget, Prober, Progress};
use crate::image::Images;
use crate::probe::NetProber;
use crate::runtime::docker::{self, neighbour, start_neighbour};

/// `project/name`.
const ACCESSORY: &str = "cutover.accessory";
/// A salted digest of the settings that it was made with.
const SETTINGS: &str = "cutover.settings";

/// The accessories of a configuration, and the engine.
pub struct Accessories {
    docker: Docker,
}

impl Accessories {
    /// Connects to the engine.
    pub async fn open() -> Result<Self, Failure> {
        Ok(Self { docker: docker::connect().await? })
    }

    /// The container of an accessory.
    pub async fn find(&self, spec: &AccessorySpec) -> Result<Option<Found>, Failure> {
        let label = format!("{ACCESSORY}={}/{}", spec.project, spec.name);
        let options =
            ListContainersOptionsBuilder::default().all(true).filters(&HashMap::from([("label", vec![label])]));
        let seen = self.docker.list_containers(Some(options.build())).await;
        let seen = seen.map_err(|error| Failure::because(format!("could not look for {}", spec.name), &error))?;
        Ok(seen.into_iter().next().and_then(|container| {
            Some(Found {
                container: container.id?,
                runs: container.state.is_some_and(|state| state.to_string() == "running"),
                settings: container.labels.and_then(|labels| labels.get(SETTINGS).cloned()).unwrap_or_default(),
            })
        }))
    }

    /// Brings one up if it is not, and waits until it is ready.
    pub async fn up(&self, spec: &AccessorySpec, progress: &Progress) -> Result<Action, Failure> {
        let found = self.find(spec).await?;
        let action = bring_up(found.as_ref());
        let container = match (action, found) {
            (Action::Leave, _) => return Ok(action),
            (Action::Start, Some(found)) => found.container,
            _ => self.create(spec, progress).await?,
        };
        start_neighbour(&self.docker, &container_name(spec), &spec.container, &instance(spec)).await?;
        self.until_ready(spec, &container).await?;
        Ok(action)
    }

    /// Makes it anew, with the settings of now. It stops first: its volumes, ports and addresses can only have one owner.
    pub async fn update(&self, spec: &AccessorySpec, progress: &Progress) -> Result<(), Failure> {
        let resolved = Images::new(self.docker.clone());
        let image = resolved.resolve(&spec.container.image).await?;
        // Before it stops: a registry that is down must not cost a database.
        resolved.ensure(&spec.container.image, &image, progress).await?;
        self.remove(spec, false).await?;
        self.up(spec, progress).await.map(drop)
    }

    /// Stops it, and leaves it where it is. Fine if it does not run.
    pub async fn stop(&self, spec: &AccessorySpec) -> Result<(), Failure> {
        let Some(found) = self.find(spec).await? else { return Ok(()) };
        let grace = i32::try_from(spec.container.stop.grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(grace).build();
        match self.docker.stop_container(&found.container, Some(options)).await {
            Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 304, .. }) => Ok(()),
            Err(error) => Err(Failure::because(format!("could not stop {}", spec.name), &error)),
        }
    }

    /// Removes its container; its volumes only if asked.
    pub async fn remove(&self, spec: &AccessorySpec, volumes: bool) -> Result<(), Failure> {
        self.stop(spec).await?;
        if let Some(found) = self.find(spec).await? {
            let removed = self.docker.remove_container(&found.container, None).await;
            removed.map_err(|error| Failure::because(format!("could not remove {}", spec.name), &error))?;
        }
        for name in volume_names(spec).filter(|_| volumes) {
            match self.docker.remove_volume(name, None::<bollard::query_parameters::RemoveVolumeOptions>).await {
                Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
                Err(error) => return Err(Failure::because(format!("could not remove the volume {name}"), &error)),
            }
        }
        Ok(())
    }

    async fn create(&self, spec: &AccessorySpec, progress: &Progress) -> Result<String, Failure> {
        let images = Images::new(self.docker.clone());
        let image = images.resolve(&spec.container.image).await?;
        images.ensure(&spec.container.image, &image, progress).await?;
        let mut body = neighbour(&self.docker, &spec.container, &instance(spec), image).await?;
        let labels = body.labels.get_or_insert_default();
        labels.clear();
        labels.extend(spec.container.labels.clone());
        labels.insert(ACCESSORY.to_owned(), format!("{}/{}", spec.project, spec.name));
        labels.insert(SETTINGS.to_owned(), digest(spec, &salt()));
        if let Some(host) = &mut body.host_config {
            let name = Some(RestartPolicyNameEnum::UNLESS_STOPPED);
            host.restart_policy = Some(RestartPolicy { name, maximum_retry_count: None });
        }
        let options = CreateContainerOptionsBuilder::default().name(&container_name(spec)).build();
        let made = self.docker.create_container(Some(options), body).await;
        let made = made.map_err(|error| docker::refused(format!("the engine did not make {}", spec.name), &error))?;
        Ok(made.id)
    }

    async fn until_ready(&self, spec: &AccessorySpec, container: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let last = match self.look(spec, container).await? {
                Ok(()) => return Ok(()),
                Err(last) => last,
            };
            if begun.elapsed() > spec.ready.within {
                let summary = format!("{} was not ready within {:?}: {last}", spec.name, spec.ready.within);
                return Err(Failure::new(summary).hint(format!("`docker logs {}` may say why", container_name(spec))));
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// One look: `Err` inside says what is missing yet.
    async fn look(&self, spec: &AccessorySpec, container: &str) -> Result<Result<(), String>, Failure> {
        let seen = self.docker.inspect_container(container, None).await;
        let seen = seen.map_err(|error| Failure::because(format!("could not look at {}", spec.name), &error))?;
        let state = seen.state.clone().unwrap_or_default();
        if state.running != Some(true) {
            let code = state.exit_code.unwrap_or_default();
            let hint = format!("`docker logs {}` may say why", container_name(spec));
            return Err(Failure::new(format!("{} exited with status {code}", spec.name)).hint(hint));
        }
        if spec.ready.check == Check::Health {
            let health = state.health.and_then(|health| health.status);
            let healthy = health == Some(HealthStatusEnum::HEALTHY);
            return Ok(healthy
                .then_some(())
                .ok_or_else(|| health.map_or("no health check".to_owned(), |h| h.to_string())));
        }
        let address: SocketAddr = docker::address_of(&seen, &spec.container)?;
        let target = ProbeTarget { instance: instance(spec), address, tls: None, socket: None };
        Ok(NetProber.probe(&spec.ready.check, &target, spec.ready.timeout).await)
    }
}

/// Whether a container was made with these settings.
pub fn is_current(spec: &AccessorySpec, found: &Found) -> bool {
    found.settings.split_once(':').is_some_and(|(salt, _)| digest(spec, salt) == found.settings)
}

/// The volumes that have a name.
pub fn volume_names(spec: &AccessorySpec) -> impl Iterator<Item = &str> {
    spec.container.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name: Some(name), .. } => Some(name.as_str()),
        _ => None,
    })
}

/// With a salt, so that equal settings do not show as equal, and a password cannot be looked up. The login is not among them.
fn digest(spec: &AccessorySpec, salt: &str) -> String {
    let mut plain = spec.clone();
    plain.container.image.login = None;
    let text = serde_json::to_vec(&plain).unwrap_or_default();
    let digest = Sha256::new().chain_update(salt).chain_update(text).finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{salt}:{hex}")
}

fn salt() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

fn container_name(spec: &AccessorySpec) -> String {
    format!("{}-{}", spec.project, spec.name)
}

/// Probes speak of instances; this is its only one.
fn instance(spec: &AccessorySpec) -> InstanceId {
    InstanceId { service: spec.name.clone(), release: ReleaseNo(0), number: 0 }
}
