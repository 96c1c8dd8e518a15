//! The labels by which containers are found again, whatever they are called.

use std::collections::HashMap;

use cutover_core::InstanceId;
use cutover_core::spec::{ComposeOrigin, ContainerSpec};

/// The state directory of the agent that made it: two agents of one engine leave each other's containers alone.
pub const STATE: &str = "cutover.state";
/// The instance: `web.r7.i12`.
pub const INSTANCE: &str = "cutover.instance";
/// The attempt.
pub const ATTEMPT: &str = "cutover.attempt";
/// The key of the hook that it runs, if it is no instance.
pub const HOOK: &str = "cutover.hook";
/// The service.
pub const SERVICE: &str = "cutover.service";
/// The release.
pub const RELEASE: &str = "cutover.release";

/// All labels of an instance's container: the user's, those of Compose if it is a copy of a Compose service, and ours.
pub fn all(spec: &ContainerSpec, instance: &InstanceId, attempt: u32, state: &str) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    if let Some(origin) = &spec.compose {
        labels.extend(of_compose(origin, instance));
    }
    let ours = [
        (STATE, state.to_owned()),
        (INSTANCE, instance.to_string()),
        (ATTEMPT, attempt.to_string()),
        (SERVICE, instance.service.to_string()),
        (RELEASE, instance.release.to_string()),
    ];
    labels.extend(ours.map(|(key, value)| (key.to_owned(), value)));
    labels
}

/// What Compose knows its own containers by, version 1 and 2. The number tells the containers of a service apart: ours are counted
/// on from 1000, so that they never meet one of Compose's own.
fn of_compose(origin: &ComposeOrigin, instance: &InstanceId) -> HashMap<String, String> {
    let files: Vec<String> = origin.files.iter().map(|file| file.display().to_string()).collect();
    let label = |name: &str, value: String| (format!("com.docker.compose.{name}"), value);
    let mut labels = HashMap::from([
        label("project", origin.project.clone()),
        label("service", origin.service.clone()),
        label("container-number", (1000 + instance.number).to_string()),
        label("oneoff", "False".to_owned()),
        label("project.config_files", files.join(",")),
        label("project.working_dir", origin.directory.display().to_string()),
        label("version", origin.version.clone()),
    ]);
    if let Some(hash) = &origin.config_hash {
        labels.extend([label("config-hash", hash.clone())]);
    }
    labels
}

/// A filter for the engine: containers with all of these labels.
pub fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let labels = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    HashMap::from([("label".to_owned(), labels)])
}
