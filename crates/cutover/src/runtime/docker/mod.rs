//! Runs instances as containers of a Docker engine.
//!
//! - A **record** on disk, written before the container is made, says that an instance is ours and what its container is called
//!   ([`record`]); so that can be asked while the engine is away.
//! - **Labels** say the same to whoever looks from the engine's side ([`label`]). Names are for people, and never parsed.
//! - A container is the instance that was started if the engine started it at the recorded moment. One that was started again by
//!   anybody else counts as having died: its address may have changed behind the router's back ([`observe`]).
//!
//! **Invariant.** An engine that does not answer has said nothing: no instance counts as dead because of it.
//!
//! Deliberately absent: the engine's restart policies for instances (see `ContainerSpec::restart`), and Compose, whose services are
//! containers like any other by the time they come here.

mod adopt;
mod connect;
mod diagnose;
mod engine;
mod hook;
mod label;
mod logs;
mod mounts;
mod network;
mod observe;
mod record;
mod settings;
mod start;
mod stop;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;
use cutover_core::spec::{ContainerSpec, RunSpec, StopSpec};
use cutover_core::{Failure, InstanceId, ReleaseNo, ServiceName};
use futures_util::stream::BoxStream;
use tokio::sync::Mutex;

pub use self::connect::{Surroundings, connect};
pub use self::engine::refused;
use self::record::{Record, Records};
use super::sockets;
use crate::engine::port::{
    Adoptable, Cramped, Exit, HookFilter, HookOrder, HookRun, LogLine, Progress, ReleaseOrder, Runtime, RuntimeError,
    Seen, StartOrder, Stopped, Unhealthy,
};
use crate::image::Images;
use crate::runtime::memory;
use crate::runtime::process::identity::ProcessId;

/// The runtime of containers.
#[derive(Clone)]
pub struct DockerRuntime {
    records: Records,
    /// Where it is kept which release runs which image.
    releases: PathBuf,
    /// Where it is kept which hooks may have a container.
    hooks: PathBuf,
    /// What marks containers as this state directory's.
    mark: String,
    /// The connection, once it was needed. Given up when the engine did not answer.
    docker: Arc<Mutex<Option<Docker>>>,
    /// Held while an address or a port is chosen and taken.
    choosing: Arc<Mutex<()>>,
}

impl DockerRuntime {
    /// Keeps its records below `state`. Does not connect yet: a host without Docker is fine.
    pub fn new(state: &Path) -> Self {
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        Self {
            records: Records::new(&state),
            releases: state.join("images"),
            hooks: state.join("hook-containers"),
            mark: state.display().to_string(),
            docker: Arc::default(),
            choosing: Arc::default(),
        }
    }

    /// Whether this runtime keeps a record of an instance.
    pub fn knows(&self, instance: &InstanceId) -> bool {
        self.records.has(instance)
    }

    /// The engine, connected to when it is first needed.
    pub async fn docker(&self) -> Result<Docker, Failure> {
        let mut held = self.docker.lock().await;
        if let Some(docker) = &*held {
            return Ok(docker.clone());
        }
        let docker = connect().await?;
        *held = Some(docker.clone());
        Ok(docker)
    }

    async fn images(&self) -> Result<Images, RuntimeError> {
        Ok(Images::new(self.docker().await.map_err(RuntimeError::Other)?))
    }

    fn container_name(&self, order: &StartOrder) -> String {
        let id = &order.instance;
        let project =
            order.spec.container().and_then(|spec| spec.compose.as_ref()).map(|origin| origin.project.clone());
        let project = project.map(|project| format!("{project}-")).unwrap_or_default();
        let again = if order.attempt > 0 { format!("-a{}", order.attempt) } else { String::new() };
        // Two agents of one engine may have services of one name.
        let tag = tag(&self.mark);
        format!("{project}{}-r{}-i{}{again}-{tag}", id.service, id.release, id.number)
    }

    fn read(&self, instance: &InstanceId) -> Result<Option<Record>, Failure> {
        let read = self.records.read(instance);
        read.map_err(|error| Failure::because(format!("could not read the record of {instance}"), &error))
    }

    fn write(&self, record: &Record) -> Result<(), Failure> {
        let written = self.records.write(record);
        written.map_err(|error| Failure::because(format!("could not write the record of {}", record.instance), &error))
    }

    fn all(&self) -> Result<Vec<Record>, Failure> {
        self.records.all().map_err(|error| Failure::because("could not read the records of the containers", &error))
    }

    /// The names of all containers of an instance, running or not.
    async fn containers_of(&self, docker: &Docker, instance: &InstanceId) -> Result<Vec<String>, Failure> {
        let filter = label::filter(&[(label::STATE, &self.mark), (label::INSTANCE, &instance.to_string())]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
        let seen = docker.list_containers(Some(options)).await;
        let seen =
            seen.map_err(|error| engine::refused(format!("could not look for containers of {instance}"), &error))?;
        let name = |names: Option<Vec<String>>| Some(names?.first()?.trim_start_matches('/').to_owned());
        Ok(seen.into_iter().filter_map(|container| name(container.names)).collect())
    }
}

/// What is to be made for an accessory, with its networks provided and its fixed address chosen.
pub async fn neighbour(
    docker: &Docker,
    spec: &ContainerSpec,
    instance: &InstanceId,
    image: String,
) -> Result<bollard::models::ContainerCreateBody, Failure> {
    start::make_folders(spec)?;
    let mut addresses = HashMap::new();
    for attachment in &spec.networks {
        network::provide(docker, attachment).await?;
        if let Some(address) = network::free_address(docker, attachment, &std::collections::HashSet::new()).await? {
            addresses.insert(attachment.network.clone(), address);
        }
    }
    let choice = settings::Choice { instance, attempt: 0, spec, image, addresses, published: None, state: "" };
    Ok(settings::body(&choice))
}

/// Attaches an accessory to the rest of its networks and starts it; fine if that was done before.
pub async fn start_neighbour(
    docker: &Docker,
    container: &str,
    spec: &ContainerSpec,
    instance: &InstanceId,
) -> Result<(), Failure> {
    // Only the first network has fixed addresses; they were chosen when it was made.
    let (image, addresses) = (String::new(), HashMap::new());
    let choice = settings::Choice { instance, attempt: 0, spec, image, addresses, published: None, state: "" };
    start::start(docker, container, &choice).await
}

/// Where a container that was not started here is reached.
pub fn address_of(
    seen: &bollard::models::ContainerInspectResponse,
    spec: &ContainerSpec,
) -> Result<SocketAddr, Failure> {
    start::address(seen, spec, None)
}

/// The container's main process, if that is one of this machine: the engine may live on another.
fn own_process(seen: &bollard::models::ContainerInspectResponse) -> Option<i32> {
    let pid = i32::try_from(seen.state.as_ref()?.pid?).ok()?;
    ProcessId::in_group(pid, seen.id.as_ref()?).map(|found| found.pid)
}

/// Six characters that tell state directories apart.
fn tag(mark: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    mark.hash(&mut hasher);
    format!("{:06x}", hasher.finish() & 0xff_ffff)
}

/// The container of a specification; whoever chose this runtime has looked that it is one.
fn container(spec: &RunSpec) -> Result<&ContainerSpec, RuntimeError> {
    spec.container().ok_or_else(|| RuntimeError::Other(Failure::new(format!("{} is not a container", spec.title()))))
}

#[async_trait]
impl Runtime for DockerRuntime {
    async fn fingerprint(&self, spec: &RunSpec) -> Result<Option<String>, RuntimeError> {
        let resolved = self.images().await?.resolve(&container(spec)?.image).await;
        resolved.map(Some).map_err(RuntimeError::Other)
    }

    async fn prepare(&self, order: &ReleaseOrder, progress: &Progress) -> Result<(), RuntimeError> {
        let image = &container(&order.spec)?.image;
        let images = self.images().await?;
        let resolved = match &order.fingerprint {
            Some(resolved) => resolved.clone(),
            None => images.resolve(image).await.map_err(RuntimeError::Other)?,
        };
        // Before the pull, so that what it brings is known to be this release's.
        self.note_image(&order.service, order.release, &resolved)?;
        images.ensure(image, &resolved, progress).await.map_err(RuntimeError::Other)
    }

    async fn start(&self, order: &StartOrder) -> Result<SocketAddr, RuntimeError> {
        self.start_container(order, container(&order.spec)?).await.map_err(RuntimeError::Other)
    }

    async fn stop(&self, instance: &InstanceId, stop: &StopSpec) -> Result<Stopped, RuntimeError> {
        self.stop_container(instance, stop).await.map_err(RuntimeError::Other)
    }

    async fn observe(&self) -> Result<Vec<Seen>, RuntimeError> {
        self.observe_all().await.map_err(RuntimeError::Other)
    }

    async fn exited(&self, instance: &InstanceId) -> Exit {
        self.wait_for_end(instance).await
    }

    async fn logs(&self, instance: &InstanceId, lines: usize) -> Vec<LogLine> {
        self.last_lines(instance, lines).await
    }

    fn follow(&self, instance: &InstanceId, lines: usize) -> BoxStream<'static, LogLine> {
        self.follow_all(instance, lines)
    }

    async fn connections(&self, instance: &InstanceId) -> Option<BTreeSet<SocketAddr>> {
        let record = self.records.read(instance).ok()??;
        let pid = own_process(&self.look(&record).await.ok()??)?;
        let address = SocketAddr::new(record.address?.ip(), record.port);
        tokio::task::spawn_blocking(move || sockets::peers(address, pid)).await.ok()?
    }

    async fn can_start(&self, spec: &RunSpec) -> Result<(), Failure> {
        let RunSpec::Container(spec) = spec else { return Ok(()) };
        let made = spec.networks.iter().filter(|network| network.create.is_some()).collect::<Vec<_>>();
        if made.is_empty() {
            return Ok(());
        }
        let docker = self.docker().await?;
        for network in made {
            network::can_provide(&docker, network).await?;
        }
        Ok(())
    }

    async fn cramped(&self, running: &[InstanceId], more: usize) -> Option<Cramped> {
        let mut pids = Vec::new();
        for instance in running {
            let Ok(Some(record)) = self.records.read(instance) else { continue };
            let seen = self.look(&record).await.ok().flatten();
            pids.extend(seen.as_ref().and_then(own_process));
        }
        tokio::task::spawn_blocking(move || memory::cramped(&pids, more)).await.ok().flatten()
    }

    async fn diagnose(&self, instance: &InstanceId) -> Option<String> {
        self.guess(instance).await
    }

    async fn health(&self, instance: &InstanceId) -> Result<(), Unhealthy> {
        self.engine_health(instance).await
    }

    async fn adoptable(&self, spec: &RunSpec) -> Result<Vec<Adoptable>, RuntimeError> {
        self.strangers(container(spec)?).await.map_err(RuntimeError::Other)
    }

    async fn let_go(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        self.records.remove(instance).map_err(failed_io(format!("could not let go of {instance}")))
    }

    async fn hook(&self, order: &HookOrder) -> Result<HookRun, RuntimeError> {
        self.run_hook(order, container(&order.spec)?).await.map_err(RuntimeError::Other)
    }

    async fn end_hooks(&self, of: &HookFilter<'_>) -> Result<(), RuntimeError> {
        self.remove_hooks(of).await.map_err(RuntimeError::Other)
    }

    async fn forget(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        if let Some(record) = self.read(instance).map_err(RuntimeError::Other)? {
            self.remove_containers(&record).await.map_err(RuntimeError::Other)?;
        }
        self.records.remove(instance).map_err(failed_io(format!("could not forget {instance}")))
    }

    async fn discard(&self, service: &ServiceName, release: ReleaseNo) -> Result<(), RuntimeError> {
        let noted = self.images_noted()?;
        let Some(image) = noted.get(&(service.clone(), release)).cloned() else { return Ok(()) };
        let others = noted.iter().filter(|(of, other)| **of != (service.clone(), release) && **other == image);
        if others.count() == 0 {
            self.images().await?.discard(&image).await.map_err(RuntimeError::Other)?;
        }
        let removed = crate::runtime::process::durable::remove(&self.image_note(service, release));
        removed.map_err(failed_io(format!("could not forget the image of release {release} of {service}")))
    }
}

/// Which release runs which image.
impl DockerRuntime {
    fn image_note(&self, service: &ServiceName, release: ReleaseNo) -> PathBuf {
        self.releases.join(format!("{service}.r{release}.json"))
    }

    fn note_image(&self, service: &ServiceName, release: ReleaseNo, image: &str) -> Result<(), RuntimeError> {
        let what = || failed_io(format!("could not note the image of release {release} of {service}"));
        std::fs::create_dir_all(&self.releases).map_err(what())?;
        crate::runtime::process::durable::write(&self.image_note(service, release), &image).map_err(what())
    }

    fn images_noted(&self) -> Result<HashMap<(ServiceName, ReleaseNo), String>, RuntimeError> {
        let entries = self.releases.read_dir().into_iter().flatten().flatten();
        let noted = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (service, release) = name.strip_suffix(".json")?.rsplit_once(".r")?;
            let of = (ServiceName::new(service).ok()?, ReleaseNo(release.parse().ok()?));
            Some((of, crate::runtime::process::durable::read(&entry.path()).ok()??))
        });
        Ok(noted.collect())
    }
}

fn failed_io(what: String) -> impl FnOnce(std::io::Error) -> RuntimeError {
    move |source| RuntimeError::Io { what, source }
}
