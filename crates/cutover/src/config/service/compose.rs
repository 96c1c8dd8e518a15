//! A service of a Compose project.

use std::path::PathBuf;

use cutover_core::spec::ContainerSpec;

use super::Place;
use crate::compose::{self, Project, Resolved, Tool};
use crate::config::Composed;
use crate::config::reader::Reader;

/// The keys of the `compose` table, as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The files; empty for Compose's own choice.
    pub(super) files: Vec<PathBuf>,
    /// The service's name.
    pub(super) service: String,
    /// The project's name, if it is given.
    pub(super) project: Option<String>,
    /// Files of variables.
    pub(super) env_files: Vec<PathBuf>,
    /// Profiles.
    pub(super) profiles: Vec<String>,
}

/// Reads the `compose` table; `None` if there is none.
pub(super) fn read(service: &Reader, place: &Place) -> Option<Written> {
    let reader = service.section("compose");
    let paths = |key: &str| {
        let files = reader.one_or_more(key);
        let resolve = |file: &crate::config::reader::Located<&str>| {
            let path = place.resolve(file.value);
            if !path.exists() {
                reader.wrong_value(key, file.at, format_args!("{} does not exist", path.display())).hint_if(None);
            }
            path
        };
        files.iter().map(resolve).collect::<Vec<PathBuf>>()
    };
    let (files, env_files) = (paths("files"), paths("env_files"));
    let named = reader.plain("service").map(|name| name.value.to_owned());
    let project = reader.plain("project").map(|name| name.value.to_owned());
    let profiles = reader.texts("profiles").map(|texts| texts.value).unwrap_or_default();
    let profiles = profiles.into_iter().map(|profile| profile.value.to_owned()).collect();
    let service = named.unwrap_or_else(|| service.name.to_owned());
    reader.is_written().then_some(Written { files, service, project, env_files, profiles })
}

/// What Compose makes of it, with what is written beside it laid over: variables, port, limits, stop.
pub(super) fn resolve(reader: &Reader, place: &Place, written: &Written, beside: &ContainerSpec) -> Option<Found> {
    let at = reader.place_of("compose");
    let project = Project {
        files: written.files.clone(),
        directory: place.folder.to_owned(),
        name: written.project.clone(),
        env_files: written.env_files.clone(),
        profiles: written.profiles.clone(),
    };
    let resolved = Tool::find().and_then(|tool| Ok((compose::resolve(&tool, &project, &written.service)?, tool)));
    let (resolved, tool) = match resolved {
        Ok(found) => found,
        Err(failure) => {
            let log = failure.log.join("\n  | ");
            let message = if failure.log.len() > 1 { format!("{failure}\n  | {log}") } else { failure.to_string() };
            reader.wrong_value("compose", at, message).hint_if(failure.hint);
            return None;
        }
    };
    for note in &resolved.notes {
        reader.odd_value("compose", at, note).hint_if(None);
    }
    let mut container = resolved.container.clone();
    container.env.extend(beside.env.clone());
    container.port = beside.port.or(container.port);
    container.image.pull = beside.image.pull;
    container.image.login = beside.image.login.clone();
    container.host.memory = beside.host.memory.or(container.host.memory);
    container.host.cpu_thousandths = beside.host.cpu_thousandths.or(container.host.cpu_thousandths);
    container.host.pids = beside.host.pids.or(container.host.pids);
    if reader.section("stop").is_written() {
        container.stop = beside.stop.clone();
    }
    container.restart = beside.restart.clone();
    Some(Found { container, resolved, project, tool })
}

impl From<Found> for Composed {
    fn from(found: Found) -> Self {
        let Found { resolved, project, tool, .. } = found;
        Self { tool, project, neighbours: resolved.neighbours, build: resolved.build }
    }
}

/// A service that was found in its project.
pub(super) struct Found {
    /// What its instances are.
    pub(super) container: ContainerSpec,
    /// What Compose says of it.
    pub(super) resolved: Resolved,
    /// The project.
    pub(super) project: Project,
    /// The tool.
    pub(super) tool: Tool,
}
