//! What can be written on the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cutover_core::ServiceName;
use cutover_core::table::Network;
use cutover_core::unit::duration;

/// Moves a service to its next release without losing a request.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Arguments {
    /// The configuration file; else cutover.toml here or in a folder above
    #[arg(long, short, global = true, env = "CUTOVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The environment whose settings overlay the others
    #[arg(long, short, global = true, env = "CUTOVER_ENV", value_name = "NAME")]
    pub env: Option<String>,
    /// Where the agent keeps its state
    #[arg(long, global = true, env = "CUTOVER_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Answer in JSON, one value a line
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// Shown below the help, and in the reference.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done (or nothing to do) · 1 failed · 2 wrong command line or configuration · 3 refused, nothing has changed ·
4 rolled back, what was live before still is · 5 stuck, a person is needed";

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the help texts of the arguments say it")]
pub enum Verb {
    /// Write a first cutover.toml for the program in this folder
    Init(InitArgs),
    /// Read the configuration and say everything that is wrong with it
    Check,
    /// Show what a deployment would do, and do nothing
    Plan(DeployArgs),
    /// Move services to a new release
    Deploy(DeployArgs),
    /// Go back to the release before, or to another one
    Rollback(RollbackArgs),
    /// What is live, what is running, what is wrong
    Status(StatusArgs),
    /// What happens right now: requests, errors, latencies, deployments; again and again
    Top(TopArgs),
    /// The releases and deployments of a service
    History(ServiceArgs),
    /// One deployment, step by step
    Show(ShowArgs),
    /// What the instances wrote
    Logs(LogsArgs),
    /// Replace the instances of the live release by new ones
    Restart(ServiceArgs),
    /// Long-lived neighbours: databases, caches, nginx
    #[command(subcommand)]
    Accessory(AccessoryVerb),
    /// Build the images of services, and push them if the configuration says so
    Build(BuildArgs),
    /// Run more or fewer instances
    Scale(ScaleArgs),
    /// Stop a service; its releases stay
    Stop(ServiceArgs),
    /// Stop a service and remove its releases and its route
    Remove(ServiceArgs),
    /// Turn a running deployment back
    Abort(AbortArgs),
    /// Let a running deployment go no further for now; its probes go on, and so does its way back
    Pause(ServiceArgs),
    /// Let a paused deployment go on
    Resume(ServiceArgs),
    /// Give the new release all traffic now, without the holds of a canary that are left
    Promote(ServiceArgs),
    /// What the comparison of a new release with the old one found
    #[command(subcommand)]
    Verdict(VerdictVerb),
    /// Keep others from deploying for a while
    Lock(LockArgs),
    /// Show clients a page instead of the service, or stop doing so
    #[command(subcommand)]
    Maintenance(MaintenanceVerb),
    /// What happened, from the journal
    Events(EventsArgs),
    /// Whoever is told of deployments
    #[command(subcommand)]
    Notify(NotifyVerb),
    /// Put a strict load on an address and count what is lost
    Meter(Box<MeterArgs>),
    /// See it work: deploy a sample program under load, in a temporary directory
    Demo(DemoArgs),
    /// The agent of this machine
    Agent(AgentVerb),
    /// The proxy of this machine
    Proxy(ProxyVerb),
    /// A completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    #[command(hide = true)]
    Sample(cutover_sample::Options),
}

/// For `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to look at
    #[arg(default_value = ".")]
    pub directory: PathBuf,
    /// Replace a cutover.toml that exists
    #[arg(long)]
    pub force: bool,
    /// Print the file instead of writing it
    #[arg(long)]
    pub print: bool,
}

/// For `plan` and `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The services; all of the configuration if none is named
    pub services: Vec<ServiceName>,
    /// Deploy even if nothing has changed, or if the same was taken back before
    #[arg(long)]
    pub again: bool,
    /// This image instead of the one that the configuration names; for one service
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,
    /// Wait while another deployment of the service is running
    #[arg(long)]
    pub wait: bool,
    /// Return as soon as it has begun
    #[arg(long, short)]
    pub detach: bool,
    /// Several services count together: all of them move to their new release, or none
    #[arg(long, conflicts_with = "detach")]
    pub all_or_nothing: bool,
}

/// What is done with accessories.
#[derive(Debug, Subcommand)]
pub enum AccessoryVerb {
    /// Which there are, whether they run, and whether their settings have changed
    List,
    /// Start those that are missing or stopped; `deploy` does it by itself
    Up,
    /// Make one anew with the settings of now: it stops first, its volumes stay
    Update {
        /// Which
        name: ServiceName,
    },
    /// Stop one
    Stop {
        /// Which
        name: ServiceName,
    },
    /// Remove one; its volumes stay
    Remove {
        /// Which
        name: ServiceName,
        /// Remove its volumes, with all data in them
        #[arg(long)]
        volumes: bool,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

/// For `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The services; all of the configuration if none is named
    pub services: Vec<ServiceName>,
}

/// For verbs that take one service.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// The service; not needed if there is only one
    pub service: Option<ServiceName>,
}

/// For `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The service; not needed if there is only one
    pub service: Option<ServiceName>,
    /// The release to go back to; else the newest that served before
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<u32>,
    /// Also past a release that was deployed with `no_rollback_past`
    #[arg(long)]
    pub past: bool,
}

/// For `scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// How many: `3`, or `web=3`
    #[arg(value_name = "[SERVICE=]REPLICAS")]
    pub replicas: String,
}

/// For `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only this service
    pub service: Option<ServiceName>,
    /// Look again every second
    #[arg(long, short)]
    pub watch: bool,
}

/// For `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Only this service
    pub service: Option<ServiceName>,
    /// How often it looks; the figures are those of the time between two looks
    #[arg(long, short = 'n', value_name = "TIME", default_value = "1s", value_parser = duration::parse)]
    pub interval: Duration,
    /// Look so many times, then end
    #[arg(long, value_name = "TIMES")]
    pub count: Option<u64>,
}

/// For `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The deployment's number; else the last one
    pub deployment: Option<u64>,
    /// Draw it: a line for each instance, the time from left to right
    #[arg(long)]
    pub chart: bool,
}

/// For `verdict explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The deployment's number; else the last one
    pub deployment: Option<u64>,
}

/// For `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The service; not needed if there is only one
    pub service: Option<ServiceName>,
    /// Of this release; else of the live one
    #[arg(long, short)]
    pub release: Option<u32>,
    /// Of this instance: the number behind the `i` of its name
    #[arg(long, short)]
    pub instance: Option<u32>,
    /// How many of the last lines of each instance
    #[arg(long, short = 'n', default_value_t = 100)]
    pub lines: usize,
    /// Go on with what is written from now on
    #[arg(long, short)]
    pub follow: bool,
}

/// For `abort`.
#[derive(Debug, Args)]
pub struct AbortArgs {
    /// The service; not needed if there is only one
    pub service: Option<ServiceName>,
    /// Why, for those who read the history
    #[arg(long, short = 'm', default_value = "by hand")]
    pub reason: String,
}

/// For `verdict`.
#[derive(Debug, Subcommand)]
pub enum VerdictVerb {
    /// The numbers that led to it, in words
    Explain(ExplainArgs),
}

/// For `lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The service; not needed if there is only one
    pub service: Option<ServiceName>,
    /// Why, for those who find it locked
    #[arg(long, short = 'm', default_value = "by hand")]
    pub reason: String,
    /// When the lock ends by itself
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    pub time: Duration,
    /// Release the lock instead
    #[arg(long)]
    pub release: bool,
}

/// For `maintenance`.
#[derive(Debug, Subcommand)]
pub enum MaintenanceVerb {
    /// Answer all clients with 503 and a page, until it is taken back; the instances go on
    On(OnArgs),
    /// Serve again
    Off(OffArgs),
}

/// For `maintenance on`.
#[derive(Debug, Args)]
pub struct OnArgs {
    /// The service; not needed if there is only one
    pub service: Option<ServiceName>,
    /// Why, for those who look
    #[arg(long, short = 'm', default_value = "by hand")]
    pub reason: String,
    /// The page, in place of the configured one: a file of UTF-8 text of at most 64 KiB
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// When clients are told to come back
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub retry_after: Option<Duration>,
    /// Clients that are served all the same, as an address or range; may be given several times
    #[arg(long, value_name = "RANGE", value_parser = |text: &str| Network::try_from(text.to_owned()))]
    pub allow: Vec<Network>,
}

/// For `maintenance off`.
#[derive(Debug, Args)]
pub struct OffArgs {
    /// The service; not needed if there is only one
    pub service: Option<ServiceName>,
}

/// For `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only of this service
    pub service: Option<ServiceName>,
    /// Only of this deployment
    #[arg(long, short)]
    pub deployment: Option<u64>,
    /// Only those behind this number
    #[arg(long, default_value_t = 0)]
    pub after: u64,
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub follow: bool,
}

/// What is done with notifications.
#[derive(Debug, Subcommand)]
pub enum NotifyVerb {
    /// Send a test message to each receiver of the configuration, and say what came back; fails if one did not take it
    Test {
        /// Only to this one
        name: Option<String>,
    },
}

/// For `meter`.
#[derive(Debug, Args)]
pub struct MeterArgs {
    /// The address: http://host[:port][/path]
    #[arg(long)]
    pub url: String,
    /// Requests a second, over all clients; 0 for as fast as they go
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Clients that reuse a connection without looking
    #[arg(long, default_value_t = 8)]
    pub reused: usize,
    /// Clients that look whether a connection was closed before they reuse it
    #[arg(long, default_value_t = 4)]
    pub peek: usize,
    /// Clients that open a connection for each request
    #[arg(long, default_value_t = 4)]
    pub fresh: usize,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// How long to measure, if no command is given
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub time: Duration,
    /// The Host header
    #[arg(long)]
    pub host: Option<String>,
    /// A header of the answers that names the release
    #[arg(long, value_name = "HEADER")]
    pub release_header: Option<String>,
    /// The program to run meanwhile: how many requests does it drop?
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// For `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Requests a second
    #[arg(long, default_value_t = 500.0)]
    pub rate: f64,
    /// Leave everything running and say where, instead of cleaning up
    #[arg(long)]
    pub keep: bool,
}

/// `agent …`
#[derive(Debug, Args)]
pub struct AgentVerb {
    /// What to do
    #[command(subcommand)]
    pub verb: AgentAction,
}

/// What an agent can be asked.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the help texts of the arguments say it")]
pub enum AgentAction {
    /// Be the agent, in the foreground
    Run(AgentRunArgs),
    /// Who the agent is, and how it fares
    Status,
    /// Let the agent leave; instances and proxy go on
    Stop,
}

/// For `agent run`.
#[derive(Debug, Args)]
pub struct AgentRunArgs {
    /// Let the members of this group use the socket
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Leave the terminal's session
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// `proxy …`
#[derive(Debug, Args)]
pub struct ProxyVerb {
    /// What to do
    #[command(subcommand)]
    pub verb: ProxyAction,
}

/// What can be asked about the proxy.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the help texts of the arguments say it")]
pub enum ProxyAction {
    /// Be the proxy, in the foreground: the agent does this by itself
    Run(ProxyRunArgs),
    /// Who the proxy is, what it serves, and how much
    Status,
    /// Replace the running proxy by another process, without closing a connection
    Upgrade(ProxyUpgradeArgs),
    /// Open the access logs anew by their names, after something else has moved them
    Reopen,
}

/// For `proxy run`.
#[derive(Debug, Args)]
pub struct ProxyRunArgs {
    /// How many threads; as many as there are processors if not given
    #[arg(long)]
    pub threads: Option<usize>,
    /// Stay after an upgrade until the successor has ended too: for whoever watches the process that it started. The first
    /// process of a container does so by itself
    #[arg(long)]
    pub stay: bool,
    /// Take over from the proxy that starts this process
    #[arg(long, hide = true)]
    pub succeed: bool,
}

/// For `proxy upgrade`.
#[derive(Debug, Args)]
pub struct ProxyUpgradeArgs {
    /// The program to replace it by; else this very one
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// How long it may take to be ready; after that the old one goes on
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub within: Duration,
    /// How long streams may stay with the old one
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    pub stream_drain: Duration,
}
