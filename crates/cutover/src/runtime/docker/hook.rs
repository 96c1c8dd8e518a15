//! Runs a hook as a container of its own, once, from the image of its release and with all that its instances have, but what would make
//! it one of them: it has no port, no name that others know it by, no fixed address, no label of the user's and no health check.
//!
//! Its command takes the place of the image's program and arguments. What it writes goes to whoever is attached, and is kept nowhere: a
//! part of it is taken here. It is made removable before it is made: a note on disk says that there may be one, and its label which.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use cutover_core::spec::{Attachment, ContainerSpec, HealthSpec, HostSpec, LogDriver, Reach, Secret};
use cutover_core::unit::duration;
use cutover_core::{Failure, InstanceId};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::engine::refused;
use super::settings::{Choice, body};
use super::start::{inspect, is_running, make_folders, remove, start};
use super::{DockerRuntime, label, network, observe, tag};
use crate::engine::port::{Exit, HookFilter, HookKey, HookOrder, HookRun};
use crate::runtime::output::Kept;
use crate::runtime::process::durable;

/// After a hook has ended its output is waited for this long.
const REST_WITHIN: Duration = Duration::from_millis(500);

/// The pause before an engine that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

impl DockerRuntime {
    /// Runs it to its end, and removes its container.
    pub(super) async fn run_hook(&self, order: &HookOrder, spec: &ContainerSpec) -> Result<HookRun, Failure> {
        let docker = self.docker().await?;
        let spec = one_off(spec, &order.command, &order.variables);
        for attachment in &spec.networks {
            network::provide(&docker, attachment).await?;
        }
        make_folders(&spec)?;
        self.note_hook(&order.key)?;
        let name = self.hook_name(order, &spec);
        let instance = InstanceId { service: order.key.service.clone(), release: order.release, number: 0 };
        let image = order.fingerprint.clone().unwrap_or_else(|| spec.image.reference.clone());
        let (addresses, state) = (HashMap::new(), self.mark.as_str());
        let choice = Choice { instance: &instance, attempt: 0, spec: &spec, image, addresses, published: None, state };
        create(&docker, &name, &choice, self.hook_labels(order)).await?;
        let output = attach(&docker, &name).await?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let reading = Reading(tokio::spawn(read(output, kept.clone())));
        start(&docker, &name, &choice).await?;
        let failed = outcome(&docker, &name, order.within).await;
        remove(&docker, &name).await?;
        reading.rest().await;
        self.forget_hook(&order.key)?;
        let output = kept.lock().unwrap_or_else(PoisonError::into_inner).lines();
        Ok(HookRun { failed, output })
    }

    /// Removes the containers of hooks, whoever began them. An engine is asked only if there may be one.
    pub(super) async fn remove_hooks(&self, of: &HookFilter<'_>) -> Result<(), Failure> {
        let keys = self.hooks_noted().map_err(|error| Failure::because("could not read the notes of hooks", &error))?;
        for key in keys.iter().filter(|key| of(key)) {
            let docker = self.docker().await?;
            let filter = label::filter(&[(label::STATE, &self.mark), (label::HOOK, &key.to_string())]);
            let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
            let seen = docker.list_containers(Some(options)).await;
            let seen = seen.map_err(|error| refused(format!("could not look for the container of {key}"), &error))?;
            for id in seen.into_iter().filter_map(|container| container.id) {
                remove(&docker, &id).await?;
            }
            self.forget_hook(key)?;
        }
        Ok(())
    }

    fn hook_name(&self, order: &HookOrder, spec: &ContainerSpec) -> String {
        let project = spec.compose.as_ref().map(|origin| format!("{}-", origin.project)).unwrap_or_default();
        let HookKey { service, deployment, hook, .. } = &order.key;
        format!("{project}{service}-d{deployment}-{}-{}", hook.name(), tag(&self.mark))
    }

    fn hook_labels(&self, order: &HookOrder) -> HashMap<String, String> {
        let labels = [
            (label::STATE, self.mark.clone()),
            (label::HOOK, order.key.to_string()),
            (label::SERVICE, order.key.service.to_string()),
            (label::RELEASE, order.release.to_string()),
        ];
        labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn note_of(&self, key: &HookKey) -> PathBuf {
        self.hooks.join(format!("{key}.json"))
    }

    fn note_hook(&self, key: &HookKey) -> Result<(), Failure> {
        let noted =
            std::fs::create_dir_all(&self.hooks).and_then(|()| durable::write(&self.note_of(key), &key.to_string()));
        noted.map_err(|error| Failure::because(format!("could not note {key}"), &error))
    }

    fn forget_hook(&self, key: &HookKey) -> Result<(), Failure> {
        let removed = durable::remove(&self.note_of(key));
        removed.map_err(|error| Failure::because(format!("could not remove the note of {key}"), &error))
    }

    fn hooks_noted(&self) -> io::Result<BTreeSet<HookKey>> {
        let entries = match Path::new(&self.hooks).read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(error),
        };
        let name = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        Ok(entries.flatten().filter_map(name).collect())
    }
}

/// The same surroundings for another command.
fn one_off(spec: &ContainerSpec, command: &[String], variables: &BTreeMap<String, String>) -> ContainerSpec {
    let (program, arguments) = command.split_at(command.len().min(1));
    let mut env = spec.env.clone();
    env.extend(variables.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))));
    let unnamed =
        |attachment: &Attachment| Attachment { aliases: Vec::new(), addresses: Vec::new(), ..attachment.clone() };
    let none = ["NONE".to_owned()].to_vec();
    ContainerSpec {
        entrypoint: Some(program.to_vec()),
        command: Some(arguments.to_vec()),
        env,
        port: None,
        publish: Vec::new(),
        reach: if spec.reach == Reach::HostNetwork { Reach::HostNetwork } else { Reach::Own },
        networks: spec.networks.iter().map(unnamed).collect(),
        labels: BTreeMap::new(),
        host: HostSpec { hostname: None, tty: false, stdin_open: false, ..spec.host.clone() },
        health: Some(HealthSpec { test: none, interval: None, timeout: None, start_period: None, retries: None }),
        log: LogDriver::Other { driver: "none".to_owned(), options: BTreeMap::new() },
        adopted: BTreeMap::new(),
        ..spec.clone()
    }
}

async fn create(
    docker: &Docker,
    name: &str,
    choice: &Choice<'_>,
    labels: HashMap<String, String>,
) -> Result<(), Failure> {
    let mut options = CreateContainerOptionsBuilder::default().name(name);
    if let Some(platform) = &choice.spec.image.platform {
        options = options.platform(platform);
    }
    let body = ContainerCreateBody { labels: Some(labels), ..body(choice) };
    let created = docker.create_container(Some(options.build()), body).await;
    created.map(drop).map_err(|error| refused(format!("the engine did not make the container {name}"), &error))
}

/// Before it starts, so that nothing of its output is missed.
async fn attach(docker: &Docker, name: &str) -> Result<BoxStream<'static, Result<LogOutput, Error>>, Failure> {
    let options = AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
    let attached = docker.attach_container(name, Some(options)).await;
    let attached = attached.map_err(|error| refused(format!("could not attach to {name}"), &error))?;
    Ok(attached.output.boxed())
}

async fn read(mut output: BoxStream<'static, Result<LogOutput, Error>>, kept: Arc<Mutex<Kept>>) {
    while let Some(Ok(part)) = output.next().await {
        kept.lock().unwrap_or_else(PoisonError::into_inner).take(&part.into_bytes());
    }
}

/// The task that reads; it ends with this.
struct Reading(tokio::task::JoinHandle<()>);

impl Reading {
    async fn rest(mut self) {
        let _ = tokio::time::timeout(REST_WITHIN, &mut self.0).await;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How it failed; `None` if it ended well in time.
async fn outcome(docker: &Docker, name: &str, within: Duration) -> Option<String> {
    match tokio::time::timeout(within, ended(docker, name)).await {
        Ok(Exit::Code(0)) => None,
        Ok(exit) => Some(exit.to_string()),
        Err(_) => Some(format!("took longer than {}", duration::text(within))),
    }
}

/// Waits until it does not run, however often the engine goes away meanwhile.
async fn ended(docker: &Docker, name: &str) -> Exit {
    loop {
        match inspect(docker, name).await {
            Ok(seen) if is_running(&seen) => {
                let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
                let mut wait = std::pin::pin!(docker.wait_container(name, Some(options)));
                // That it ended with another status than 0 is an error to the library, and as good an answer to us.
                if !matches!(wait.next().await, Some(Ok(_) | Err(Error::DockerContainerWaitError { .. }))) {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
            Ok(seen) => return observe::exit(&seen),
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with the aliases kept: the neighbours of a service would have sent their requests to its migration.
    #[test]
    fn a_hook_is_not_taken_for_an_instance() {
        let attachment = Attachment {
            network: "shop".to_owned(),
            aliases: vec!["web".to_owned()],
            addresses: vec!["10.1.2.3".parse().unwrap()],
            create: None,
        };
        let spec = ContainerSpec {
            port: Some(80),
            publish: vec![("127.0.0.1:1".parse().unwrap(), 80)],
            networks: vec![attachment],
            labels: BTreeMap::from([("traefik.enable".to_owned(), "true".to_owned())]),
            env: BTreeMap::from([("DATABASE".to_owned(), Secret::new("db"))]),
            ..ContainerSpec::of_image("shop/web")
        };
        let command = ["migrate", "expand"].map(str::to_owned);
        let hook = one_off(&spec, &command, &BTreeMap::from([("CUTOVER_KEY".to_owned(), "k".to_owned())]));
        assert_eq!((hook.port, hook.publish, hook.labels), (None, Vec::new(), BTreeMap::new()));
        assert_eq!((&hook.networks[0].aliases, &hook.networks[0].addresses), (&Vec::new(), &Vec::new()));
        assert_eq!(hook.networks[0].network, "shop");
        assert_eq!(
            (hook.entrypoint, hook.command),
            (Some(vec!["migrate".to_owned()]), Some(vec!["expand".to_owned()]))
        );
        assert_eq!(hook.env.keys().collect::<Vec<_>>(), ["CUTOVER_KEY", "DATABASE"]);
    }
}
