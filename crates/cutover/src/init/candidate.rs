//! One way to run what lies in a folder.

/// How a service could be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What was recognised, with the file that gave it away.
    pub(super) found: String,
    /// The name of the service.
    pub(super) service: String,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// What is copied into a release, relative to the folder.
    pub(super) artifact: Option<String>,
    /// How it is asked whether it is ready.
    pub(super) ready: Ready,
    /// Services of the same folder that are only written as comments: name and command.
    pub(super) others: Vec<(String, Vec<String>)>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// How a service is asked whether it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Ready {
    /// A page that is known to tell health.
    Health(&'static str),
    /// The front page, for want of a better one.
    #[default]
    FrontPage,
    /// It gets no traffic.
    Worker,
}

impl Candidate {
    /// A web service.
    pub(super) fn web(found: impl Into<String>, command: Vec<String>) -> Self {
        Self { found: found.into(), service: "web".to_owned(), command, ..Self::default() }
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
        self.command.iter().any(|word| word.contains("{port}"))
    }
}

/// Words as a command.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
