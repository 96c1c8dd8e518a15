//! A host whose service runs as containers: the sample by default.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

use cutover_testkit::host::{Host, Told};

use super::{Containers, docker, sample};

/// A host with a service of containers.
pub struct Shop {
    // In this order: the agent leaves before the containers that it would start again.
    pub host: Host,
    _containers: Containers,
}

/// What the configuration says of the service.
pub struct Service {
    /// Its keys.
    pub lines: String,
    /// When it is ready.
    pub ready: String,
    /// How it moves.
    pub rollout: String,
    /// More tables.
    pub tables: String,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            lines: String::new(),
            ready: "http = \"/healthz\"\nstable_for = \"50ms\"\nwithin = \"20s\"".to_owned(),
            rollout: "watch = \"300ms\"\ndrain = \"10s\"".to_owned(),
            tables: "[service.sample.restart]\nfirst = \"50ms\"".to_owned(),
        }
    }
}

impl Shop {
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
        SWEPT.call_once(sweep);
        let containers = Containers(host.state());
        std::fs::write(host.ledger(), "").expect("the ledger");
        Self { host, _containers: containers }
    }

    /// Writes a configuration of the sample with the image of this number.
    pub fn configure(&self, number: u32, more: &str) {
        self.write(&Service { lines: self.sample(number, more), ..Service::default() });
    }

    /// The keys of a service that is the sample.
    pub fn sample(&self, number: u32, more: &str) -> String {
        let host = &self.host;
        let (image, binary) = (sample(host.binary(), number), host.binary().display());
        let (root, ledger) = (host.root().display(), host.ledger());
        format!(
            "image = \"{image}\"\nport = 8080\n\
             command = [\"/cutover\", \"sample\", \"--bind\", \"0.0.0.0\", \"--port\", \"{{port}}\", \"--release\", \"{{release}}\", \
             \"--instance\", \"{{instance}}\", \"--ledger\", {ledger:?}]\n\
             volumes = [\"{binary}:/cutover:ro\", \"{root}:{root}\"]\n{more}"
        )
    }

    /// Writes the configuration.
    pub fn write(&self, service: &Service) {
        let Service { lines, ready, rollout, tables } = service;
        let toml = format!(
            "project = \"test\"\n[service.sample]\n{lines}\n[service.sample.ready]\n{ready}\n\
             [service.sample.route]\nlisten = \"{}\"\n[service.sample.rollout]\n{rollout}\n{tables}\n",
            self.host.address()
        );
        std::fs::write(self.host.config(), toml).expect("the configuration");
    }

    /// Deploys what is no good: it is undone, and says this.
    #[track_caller]
    pub fn turned_down(&self, words: &[&str]) -> Told {
        self.host.run(&["deploy"]).expect(4).says(words)
    }

    /// What a deployment says that is refused while it is planned, and so does the plan.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) {
        self.host.run(&["plan"]).expect(3).says(words);
        self.host.run(&["deploy"]).expect(3).says(words);
    }

    /// What a deployment says that is turned down though nothing has changed.
    #[track_caller]
    pub fn turned_down_again(&self, words: &[&str]) -> Told {
        self.host.run(&["deploy", "--again"]).expect(4).says(words)
    }

    /// Its containers that run, by id.
    pub fn running(&self) -> Vec<String> {
        self.list(&["ps", "--quiet", "--no-trunc"])
    }

    /// All of its containers, by id.
    pub fn containers(&self) -> Vec<String> {
        self.list(&["ps", "--all", "--quiet", "--no-trunc"])
    }

    fn list(&self, words: &[&str]) -> Vec<String> {
        let mark = format!("label=cutover.state={}", self.host.state().display());
        docker(&[words, &["--filter", &mark]].concat()).lines().map(str::to_owned).collect()
    }

    /// The addresses that the proxy gives requests to.
    pub fn targets(&self) -> Vec<String> {
        let table = self.host.table().unwrap_or_default();
        let targets = table.services.iter().flat_map(|service| &service.targets);
        targets.filter(|target| target.serves()).map(|target| target.address.to_string()).collect()
    }

    /// The body that a client gets for a path; `None` if it gets none, or another status than 200.
    pub fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://{}{path}", self.host.address());
        let output = Command::new("curl").args(["--silent", "--fail", "--max-time", "5", &url]).output();
        let output = output.expect("curl runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Removes the containers of hosts whose tests were killed.
fn sweep() {
    let format = "{{.ID}} {{.Label \"cutover.state\"}}";
    let all = docker(&["ps", "--all", "--filter", "label=cutover.state", "--format", format]);
    for (id, state) in all.lines().filter_map(|line| line.split_once(' ')) {
        let root = PathBuf::from(state.trim_end_matches("/state"));
        if state.contains("/cutover-host-") && !root.exists() {
            docker(&["rm", "--force", "--volumes", id]);
        }
    }
}
