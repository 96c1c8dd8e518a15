//! Starts an instance: a record, the networks, the container, its start, its address. Whatever of that was done by an earlier
//! call that was cut short is found and taken up.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use cutover_core::Failure;
use cutover_core::spec::{ContainerSpec, MountKind, Reach};

use super::engine::{is_missing, refused};
use super::record::Record;
use super::settings::{Choice, body, endpoint};
use super::{DockerRuntime, network};
use crate::engine::port::StartOrder;
use crate::runtime::sockets;

/// What a program that this host's processor cannot run means.
pub(super) const OTHER_PROCESSOR: &str =
    "the image is for another processor: build it for this host's (`docker version` names it)";

impl DockerRuntime {
    /// Starts the instance, or finds it started.
    pub(super) async fn start_container(
        &self,
        order: &StartOrder,
        spec: &ContainerSpec,
    ) -> Result<SocketAddr, Failure> {
        // Addresses and ports are chosen one instance at a time.
        let _choosing = self.choosing.lock().await;
        let known = self.read(&order.instance)?;
        if let Some((found, address)) = known.as_ref().and_then(|known| Some((known, known.address?)))
            && found.attempt >= order.attempt
        {
            return Ok(address);
        }
        let docker = self.docker().await?;
        if let (0, Some(container)) = (order.attempt, spec.adopted.get(&order.instance.number)) {
            return self.take_over(&docker, order, spec, container).await;
        }
        let record = self.announce(order, spec, known)?;
        self.clear_earlier(&docker, &record).await?;
        for attachment in &spec.networks {
            network::provide(&docker, attachment).await?;
        }
        make_folders(spec)?;
        let choice = self.choose(&docker, order, spec).await?;
        create(&docker, &record.container, &choice).await?;
        start(&docker, &record.container, &choice).await?;
        let started = inspect(&docker, &record.container).await?;
        let address = address(&started, spec, choice.published)?;
        let started_at = started.state.and_then(|state| state.started_at);
        self.write(&Record { address: Some(address), started_at, ..record })?;
        Ok(address)
    }

    /// Writes down what is about to be made.
    fn announce(&self, order: &StartOrder, spec: &ContainerSpec, known: Option<Record>) -> Result<Record, Failure> {
        if let Some(begun) = known.as_ref().filter(|known| known.attempt == order.attempt) {
            return Ok(begun.clone());
        }
        let record = Record {
            instance: order.instance.clone(),
            attempt: order.attempt,
            container: self.container_name(order),
            port: spec.port.unwrap_or(0),
            address: None,
            started_at: None,
            stopped: false,
            adopted: false,
            previous: known.map(|known| known.container),
        };
        self.write(&record)?;
        Ok(record)
    }

    /// What an earlier attempt left must not run beside its successor, also if somebody else started it again.
    async fn clear_earlier(&self, docker: &Docker, record: &Record) -> Result<(), Failure> {
        let Some(previous) = &record.previous else { return Ok(()) };
        let kill = KillContainerOptionsBuilder::default().signal("KILL").build();
        match docker.kill_container(previous, Some(kill)).await {
            Err(error) if super::engine::status(&error).is_none() => {
                return Err(refused(format!("could not end {previous}"), &error));
            }
            _ => {}
        }
        // Its own predecessor has been looked at long enough.
        let seen = self.containers_of(docker, &record.instance).await?;
        let keep = [previous.as_str(), record.container.as_str()];
        for name in seen.iter().filter(|name| !keep.contains(&name.as_str())) {
            remove(docker, name).await?;
        }
        Ok(())
    }

    async fn choose<'a>(
        &'a self,
        docker: &Docker,
        order: &'a StartOrder,
        spec: &'a ContainerSpec,
    ) -> Result<Choice<'a>, Failure> {
        let reserved = self.reserved(&order.instance)?;
        let ips: HashSet<IpAddr> = reserved.iter().map(SocketAddr::ip).collect();
        let mut addresses = HashMap::new();
        for attachment in &spec.networks {
            if let Some(address) = network::free_address(docker, attachment, &ips).await? {
                addresses.insert(attachment.network.clone(), address);
            }
        }
        let image = order.fingerprint.clone().unwrap_or_else(|| spec.image.reference.clone());
        let (instance, attempt, state) = (&order.instance, order.attempt, self.mark.as_str());
        let published = free_port(docker, &spec.reach, &reserved).await?;
        Ok(Choice { instance, attempt, spec, image, addresses, published, state })
    }

    /// The addresses of our other instances that should run.
    fn reserved(&self, instance: &cutover_core::InstanceId) -> Result<HashSet<SocketAddr>, Failure> {
        let records = self.all()?;
        let others = records.into_iter().filter(|record| record.instance != *instance && !record.stopped);
        Ok(others.filter_map(|record| record.address).collect())
    }
}

async fn create(docker: &Docker, name: &str, choice: &Choice<'_>) -> Result<(), Failure> {
    match docker.inspect_container(name, None).await {
        Ok(_) => return Ok(()),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(refused(format!("could not look for {name}"), &error)),
    }
    let mut options = CreateContainerOptionsBuilder::default().name(name);
    if let Some(platform) = &choice.spec.image.platform {
        options = options.platform(platform);
    }
    let created = docker.create_container(Some(options.build()), body(choice)).await;
    created.map_err(|error| refused(format!("the engine did not make the container {name}"), &error))?;
    Ok(())
}

pub(super) async fn start(docker: &Docker, name: &str, choice: &Choice<'_>) -> Result<(), Failure> {
    for further in choice.spec.networks.iter().skip(1) {
        let request =
            NetworkConnectRequest { container: name.to_owned(), endpoint_config: Some(endpoint(further, choice)) };
        match docker.connect_network(&further.network, request).await {
            // It is attached already, by a call that was cut short.
            Ok(()) => {}
            Err(error) if super::engine::status(&error) == Some(403) => {}
            Err(error) => return Err(refused(format!("could not attach {name} to {}", further.network), &error)),
        }
    }
    match docker.start_container(name, None).await {
        Ok(()) => Ok(()),
        Err(error) if super::engine::is_so(&error) => Ok(()),
        Err(error) => Err(explained(docker, name, &error).await),
    }
}

/// The engine's words, and what they mean.
async fn explained(docker: &Docker, name: &str, error: &bollard::errors::Error) -> Failure {
    let failure = refused(format!("the engine did not start {name}"), error);
    let says = |text: &str| failure.summary.contains(text);
    let hint = if says("exec format error") {
        Some(OTHER_PROCESSOR.to_owned())
    } else if says("executable file not found") || says("no such file or directory") {
        Some("the image has no such program: look at `command` and `entrypoint`".to_owned())
    } else if says("port is already allocated") || says("address already in use") {
        match port_in(&failure.summary) {
            Some(port) => Some(format!("port {port} is held by {}", holder(docker, port).await)),
            None => None,
        }
    } else {
        None
    };
    Failure { hint: hint.or(failure.hint.clone()), ..failure }
}

/// The port that the engine could not have: it stands behind a colon (`0.0.0.0:5432 failed`, `0.0.0.0:5432: bind`).
fn port_in(said: &str) -> Option<u16> {
    said.split(':').skip(1).find_map(|part| part.split(' ').next()?.parse().ok())
}

/// The container as it is.
pub(super) async fn inspect(docker: &Docker, name: &str) -> Result<ContainerInspectResponse, Failure> {
    docker.inspect_container(name, None).await.map_err(|error| refused(format!("could not look at {name}"), &error))
}

/// Removes a container that does not run, with the volumes that have no name.
pub(super) async fn remove(docker: &Docker, name: &str) -> Result<(), Failure> {
    let options = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
    match docker.remove_container(name, Some(options)).await {
        Err(error) if !is_missing(&error) => Err(refused(format!("could not remove the container {name}"), &error)),
        _ => Ok(()),
    }
}

/// Where it is reached.
pub(super) fn address(
    seen: &ContainerInspectResponse,
    spec: &ContainerSpec,
    published: Option<SocketAddr>,
) -> Result<SocketAddr, Failure> {
    let port = spec.port.unwrap_or(0);
    match (&spec.reach, published) {
        (Reach::HostNetwork, _) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        (_, Some(at)) if at.ip().is_unspecified() => Ok((Ipv4Addr::LOCALHOST, at.port()).into()),
        (_, Some(at)) => Ok(at),
        (_, None) => {
            let network = spec.networks.first().map_or("bridge", |first| first.network.as_str());
            let networks = seen.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
            let endpoint = networks.and_then(|networks| networks.get(network).or_else(|| networks.values().next()));
            let ips = endpoint.map(|e| [e.ip_address.clone(), e.global_ipv6_address.clone()]).into_iter().flatten();
            let ip: Option<IpAddr> = ips.flatten().find_map(|text| text.parse().ok());
            match ip {
                Some(ip) => Ok((ip, port).into()),
                // A worker needs no address, and one that ended at once has none any more.
                None if !is_running(seen) || spec.port.is_none() => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
                None => Err(Failure::new(format!("the container has no address in the network {network}"))),
            }
        }
    }
}

pub(super) fn is_running(seen: &ContainerInspectResponse) -> bool {
    seen.state.as_ref().and_then(|state| state.running).unwrap_or(false)
}

/// A port of the host that nobody has.
async fn free_port(
    docker: &Docker,
    reach: &Reach,
    reserved: &HashSet<SocketAddr>,
) -> Result<Option<SocketAddr>, Failure> {
    let Reach::Published { ip, ports } = reach else { return Ok(None) };
    let mut taken = Vec::new();
    for port in ports {
        let at = SocketAddr::new(*ip, *port);
        let ours = reserved.iter().any(|other| other.port() == *port);
        if !ours && std::net::TcpListener::bind(at).is_ok() {
            return Ok(Some(at));
        }
        taken.push(format!("{port} by {}", holder(docker, *port).await));
    }
    Err(Failure::new(format!("none of the ports to publish on is free: {}", taken.join(", ")))
        .hint("give more ports: twice as many as there are replicas"))
}

/// Who has a port: a container, before the process that only stands in for it.
async fn holder(docker: &Docker, port: u16) -> String {
    let running = docker.list_containers(None).await.unwrap_or_default();
    let publishes = |container: &&bollard::models::ContainerSummary| {
        container.ports.iter().flatten().any(|published| published.public_port == Some(port))
    };
    let container = running.iter().find(publishes).and_then(|container| container.names.as_ref()?.first());
    match container {
        Some(name) => format!("the container {}", name.trim_start_matches('/')),
        None => sockets::holder(port).unwrap_or_else(|| "a stranger".to_owned()),
    }
}

/// Compose makes missing folders of the host; the engine's mounts do not.
pub(super) fn make_folders(spec: &ContainerSpec) -> Result<(), Failure> {
    for mount in &spec.mounts {
        if let MountKind::Bind { source, create: true, .. } = &mount.kind
            && !source.exists()
        {
            std::fs::create_dir_all(source)
                .map_err(|error| Failure::because(format!("could not make {}", source.display()), &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_what_engines_say() {
        let said = [
            "driver failed programming external connectivity on endpoint x (1a2b): Bind for 0.0.0.0:5432 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint x: Error starting userland proxy: listen tcp4 0.0.0.0:5432: bind: address already in use",
        ];
        assert_eq!(said.map(port_in), [Some(5432); 2]);
        assert_eq!(port_in("no such image: web:latest"), None);
    }
}
