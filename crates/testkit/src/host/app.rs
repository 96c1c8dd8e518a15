//! The service that is deployed: the sample, told how to behave, and the settings of its rollout.

use super::Host;

/// What `cutover.toml` says. The times are short, because nothing here needs long to prove itself.
#[derive(Debug, Clone)]
pub struct App {
    /// How many instances.
    pub replicas: u16,
    /// More arguments of the sample.
    pub arguments: Vec<String>,
    /// Another command altogether.
    pub command: Option<Vec<String>>,
    /// The line that says what is asked of it before it is ready.
    pub check: String,
    /// How long it must stay ready.
    pub stable_for: &'static str,
    /// How often in a row it must be found ready.
    pub passes: u32,
    /// How long it may take to be ready.
    pub within: &'static str,
    /// How long the new release is observed.
    pub watch: &'static str,
    /// How long requests may take to finish.
    pub drain: &'static str,
    /// How long streams may stay on the old release.
    pub stream_drain: &'static str,
    /// A command that tries the new release.
    pub smoke: Option<Vec<String>>,
    /// Where the proxy listens for it, if not at the address of the host.
    pub listen: Option<String>,
    /// Any other lines of its route.
    pub route: String,
    /// Any other lines of the service's own table.
    pub own: String,
    /// Any other lines, at the end of the file.
    pub more: String,
}

impl Default for App {
    fn default() -> Self {
        Self {
            replicas: 1,
            arguments: Vec::new(),
            command: None,
            check: "http = \"/healthz\"".to_owned(),
            stable_for: "50ms",
            passes: 2,
            within: "20s",
            watch: "300ms",
            drain: "10s",
            stream_drain: "1h",
            smoke: None,
            listen: None,
            route: String::new(),
            own: String::new(),
            more: String::new(),
        }
    }
}

impl App {
    /// The sample with these arguments besides its own.
    pub fn with(arguments: &[&str]) -> Self {
        Self { arguments: arguments.iter().map(ToString::to_string).collect(), ..Self::default() }
    }

    /// A command that is not the sample.
    pub fn running(command: &[&str]) -> Self {
        Self { command: Some(command.iter().map(ToString::to_string).collect()), ..Self::default() }
    }

    pub(super) fn render(&self, host: &Host) -> String {
        let command = self.command.clone().unwrap_or_else(|| self.sample(host));
        let smoke = self.smoke.as_ref().map(|command| format!("smoke = {command:?}\n")).unwrap_or_default();
        let Self { replicas, check, stable_for, passes, within, watch, drain, stream_drain, route, own, more, .. } =
            self;
        let (artifact, listen) = (host.artifact(), self.listen.clone().unwrap_or_else(|| host.address().to_string()));
        format!(
            "project = \"test\"\n\n[service.sample]\ncommand = {command:?}\nartifact = {artifact:?}\nreplicas = {replicas}\n{own}\n\
             [service.sample.ready]\n{check}\nstable_for = {stable_for:?}\npasses = {passes}\nwithin = {within:?}\n\n\
             [service.sample.route]\nlisten = \"{listen}\"\n{route}\n\
             [service.sample.rollout]\nwatch = {watch:?}\ndrain = {drain:?}\nstream_drain = {stream_drain:?}\n{smoke}\n{more}"
        )
    }

    fn sample(&self, host: &Host) -> Vec<String> {
        let mut command = vec![host.binary().display().to_string()];
        let own = ["sample", "--port", "{port}", "--release", "{release}", "--instance", "{instance}", "--ledger"];
        command.extend(own.map(str::to_owned));
        command.push(host.ledger().display().to_string());
        command.extend(self.arguments.iter().cloned());
        command
    }
}
