//! Takes over containers that ran before us.

use std::net::SocketAddr;

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use cutover_core::Failure;
use cutover_core::spec::ContainerSpec;

use super::engine::refused;
use super::record::Record;
use super::start::{address, inspect, is_running};
use super::{DockerRuntime, label};
use crate::engine::port::{Adoptable, StartOrder};

impl DockerRuntime {
    /// The containers of the same Compose service that run, and are nobody's but Compose's.
    pub(super) async fn strangers(&self, spec: &ContainerSpec) -> Result<Vec<Adoptable>, Failure> {
        let Some(origin) = &spec.compose else { return Ok(Vec::new()) };
        let labels = [
            ("com.docker.compose.project", origin.project.as_str()),
            ("com.docker.compose.service", origin.service.as_str()),
            ("com.docker.compose.oneoff", "False"),
        ];
        let options = ListContainersOptionsBuilder::default().filters(&label::filter(&labels)).build();
        let seen = self.docker().await?.list_containers(Some(options)).await;
        let seen = seen.map_err(|error| {
            refused(format!("could not look for containers of {} in {}", origin.service, origin.project), &error)
        })?;
        let ours = |container: &ContainerSummary| {
            container.labels.as_ref().is_some_and(|labels| labels.contains_key(label::INSTANCE))
        };
        let taken: Vec<String> = self.all()?.into_iter().map(|record| record.container).collect();
        let found = seen.into_iter().filter(|container| !ours(container)).filter_map(|container| {
            let (container, fingerprint) = (container.id?, container.image_id?);
            (!taken.contains(&container)).then_some(Adoptable { container, fingerprint })
        });
        Ok(found.collect())
    }

    /// Writes the record of a container that runs already.
    pub(super) async fn take_over(
        &self,
        docker: &Docker,
        order: &StartOrder,
        spec: &ContainerSpec,
        container: &str,
    ) -> Result<SocketAddr, Failure> {
        let seen = inspect(docker, container).await?;
        if !is_running(&seen) {
            return Err(Failure::new(format!(
                "the container {container}, which was to be taken over, does not run any more"
            )));
        }
        let address = address(&seen, spec, None)?;
        self.write(&Record {
            instance: order.instance.clone(),
            attempt: order.attempt,
            container: container.to_owned(),
            port: spec.port.unwrap_or(0),
            address: Some(address),
            started_at: seen.state.and_then(|state| state.started_at),
            stopped: false,
            adopted: true,
            previous: None,
        })?;
        Ok(address)
    }
}
