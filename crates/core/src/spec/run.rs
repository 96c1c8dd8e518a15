//! What an instance is.

use serde::{Deserialize, Serialize};

use super::{ContainerSpec, ProcessSpec, RestartSpec, StopSpec};

/// What an instance is, and how it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunSpec {
    /// A plain process under a supervisor of ours.
    Process(Box<ProcessSpec>),
    /// A container of the Docker engine. A service of a Compose project is one too: its settings are resolved when the
    /// configuration is read, so that a release is complete.
    Container(Box<ContainerSpec>),
}

/// The addresses that instances share out among themselves, when there is only a fixed number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// How many instances can run at once.
    pub count: usize,
    /// What is shared out, in the plural: `ports`, `addresses`.
    pub what: &'static str,
}

impl RunSpec {
    /// How it is stopped.
    pub fn stop(&self) -> &StopSpec {
        match self {
            Self::Process(process) => &process.stop,
            Self::Container(container) => &container.stop,
        }
    }

    /// What happens when it dies while it serves.
    pub fn restart(&self) -> &RestartSpec {
        match self {
            Self::Process(process) => &process.restart,
            Self::Container(container) => &container.restart,
        }
    }

    /// How many instances can run at once, if that is limited by ports or addresses given one by one.
    pub fn places(&self) -> Option<Places> {
        match self {
            Self::Process(process) => process.ports.fixed().map(|ports| Places { count: ports.len(), what: "ports" }),
            Self::Container(container) => container.places(),
        }
    }

    /// It in a few words: its command line, or its image.
    pub fn title(&self) -> String {
        match self {
            Self::Process(process) => process.command.join(" "),
            Self::Container(container) => container.image.reference.clone(),
        }
    }

    /// The process, if it is one.
    pub fn process(&self) -> Option<&ProcessSpec> {
        match self {
            Self::Process(process) => Some(process),
            Self::Container(_) => None,
        }
    }

    /// The container, if it is one.
    pub fn container(&self) -> Option<&ContainerSpec> {
        match self {
            Self::Process(_) => None,
            Self::Container(container) => Some(container),
        }
    }
}
