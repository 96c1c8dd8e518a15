//! One way to run what lies in a folder.

use crate::config::words::{toml_list, toml_text};

/// How a service could be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What was recognised, with the file that gave it away.
    pub(super) found: String,
    /// The name of the service.
    pub(super) service: String,
    /// What runs.
    pub(super) run: Run,
    /// What is copied into a release, relative to the folder.
    pub(super) artifact: Option<String>,
    /// How it is asked whether it is ready.
    pub(super) ready: Ready,
    /// Services of the same folder that are only written as comments: name, and the line that says what runs.
    pub(super) others: Vec<(String, String)>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// A program and its arguments.
    Command(Vec<String>),
    /// An image that is built here.
    Image {
        /// The name to give it.
        name: String,
        /// The Dockerfile, if it has another name.
        dockerfile: Option<String>,
        /// The port that it exposes.
        port: Option<u16>,
    },
    /// A service of a Compose project.
    Compose {
        /// The project's file.
        file: String,
        /// The service's name in it.
        service: String,
        /// The port inside its container.
        port: Option<u16>,
        /// The port of the host that Compose publishes.
        published: Option<u16>,
    },
}

impl Default for Run {
    fn default() -> Self {
        Self::Command(Vec::new())
    }
}

impl From<Vec<String>> for Run {
    fn from(command: Vec<String>) -> Self {
        Self::Command(command)
    }
}

impl Run {
    /// The key that says it, as TOML.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Command(command) => format!("command = {}", toml_list(command)),
            Self::Image { name, dockerfile: None, .. } => {
                format!("image = {}\nbuild = {{ context = \".\" }}", toml_text(name))
            }
            Self::Image { name, dockerfile: Some(file), .. } => {
                format!("image = {}\nbuild = {{ context = \".\", dockerfile = {} }}", toml_text(name), toml_text(file))
            }
            Self::Compose { service, .. } => format!("compose = {{ service = {} }}", toml_text(service)),
        }
    }
}

/// How a service is asked whether it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Ready {
    /// A page that is known to tell health.
    Health(&'static str),
    /// The front page, for want of a better one.
    #[default]
    FrontPage,
    /// The health check that its image or its Compose file has.
    OwnCheck,
    /// It gets no traffic.
    Worker,
}

impl Candidate {
    /// A web service.
    pub(super) fn web(found: impl Into<String>, run: impl Into<Run>) -> Self {
        Self { found: found.into(), service: "web".to_owned(), run: run.into(), ..Self::default() }
    }

    /// Copies this path into each release.
    pub(super) fn artifact(self, path: impl Into<String>) -> Self {
        Self { artifact: Some(path.into()), ..self }
    }

    /// Adds what the user should know.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Whether its command takes the port as an argument; else it must read `PORT`.
    pub(super) fn takes_port(&self) -> bool {
        self.command().iter().any(|word| word.contains("{port}"))
    }

    /// The words of its command, if that is what runs.
    pub(super) fn command(&self) -> &[String] {
        match &self.run {
            Run::Command(command) => command,
            _ => &[],
        }
    }
}

/// Words as a command.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
