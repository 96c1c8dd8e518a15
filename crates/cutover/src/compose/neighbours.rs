//! The services that a Compose service depends on: brought up by Compose itself, once, and never touched while they run.

use std::time::{Duration, Instant};

use bollard::models::HealthStatusEnum;
use bollard::query_parameters::ListContainersOptionsBuilder;
use cutover_core::Failure;
use cutover_core::spec::ComposeOrigin;
use std::collections::HashMap;

use super::{Project, Tool};
use crate::runtime::docker::connect;

/// How long a neighbour may take to be healthy.
const HEALTHY_WITHIN: Duration = Duration::from_secs(300);

/// A service that another one depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// `service_started`, `service_healthy` or `service_completed_successfully`; empty counts as the first.
    pub condition: String,
}

/// Brings up those that do not run, and waits for those that must be healthy.
pub async fn bring_up(
    tool: &Tool,
    project: &Project,
    origin: &ComposeOrigin,
    neighbours: &[Neighbour],
) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for neighbour in neighbours {
        if states(origin, &neighbour.name).await?.is_empty() {
            missing.push(neighbour.name.as_str());
        }
    }
    if !missing.is_empty() {
        let mut words = vec!["up", "--detach", "--no-recreate"];
        words.extend(&missing);
        tool.run(project, &words)?;
    }
    for neighbour in neighbours.iter().filter(|neighbour| neighbour.condition == "service_healthy") {
        until_healthy(origin, &neighbour.name).await?;
    }
    Ok(())
}

async fn until_healthy(origin: &ComposeOrigin, name: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let states = states(origin, name).await?;
        if states.contains(&Some(HealthStatusEnum::HEALTHY)) {
            return Ok(());
        }
        if begun.elapsed() > HEALTHY_WITHIN {
            return Err(Failure::new(format!("{name}, on which {} depends, is not healthy after 5m", origin.service))
                .hint(format!("`docker compose logs {name}` may say why; nothing was deployed")));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The health of each running container of a service.
async fn states(origin: &ComposeOrigin, name: &str) -> Result<Vec<Option<HealthStatusEnum>>, Failure> {
    let docker = connect().await?;
    let labels =
        vec![format!("com.docker.compose.project={}", origin.project), format!("com.docker.compose.service={name}")];
    let options = ListContainersOptionsBuilder::default().filters(&HashMap::from([("label", labels)])).build();
    let failed = |error| Failure::because(format!("could not look for containers of {name}"), &error);
    let mut states = Vec::new();
    for container in docker.list_containers(Some(options)).await.map_err(failed)? {
        let Some(id) = container.id else { continue };
        let seen = docker.inspect_container(&id, None).await.map_err(failed)?;
        states.push(seen.state.and_then(|state| state.health?.status));
    }
    Ok(states)
}
