//! How instances run as containers.
//!
//! Everything is resolved and absolute: a release must mean the same years later. What Compose or an image would fill in by
//! itself is left out here, so that the engine does it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run::Places;
use super::{LogSpec, RestartSpec, Secret, StopSpec};
use crate::unit::{ByteSize, duration};

/// A container and its surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// What it runs.
    pub image: ImageSpec,
    /// Arguments, in place of the image's `CMD`.
    pub command: Option<Vec<String>>,
    /// The program, in place of the image's `ENTRYPOINT`.
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables, from `env` and the env files. `PORT` is added if there is a port.
    pub env: BTreeMap<String, Secret>,
    /// The port on which it takes traffic, inside the container; `None` for a worker.
    pub port: Option<u16>,
    /// Ports that are always published, as `address:port` of the host and the port inside. For accessories: of an instance there
    /// may be two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<(SocketAddr, u16)>,
    /// How it is reached.
    pub reach: Reach,
    /// Volumes, bind mounts and memory file systems.
    pub mounts: Vec<Mount>,
    /// The networks it is attached to. The first one is where it is probed and routed to, unless `reach` says otherwise.
    /// Empty: the engine's default bridge.
    pub networks: Vec<Attachment>,
    /// Labels of the user's, beside our own.
    pub labels: BTreeMap<String, String>,
    /// What the engine lets it do and have.
    pub host: HostSpec,
    /// The engine's own health check, in place of the image's.
    pub health: Option<HealthSpec>,
    /// How it is stopped.
    pub stop: StopSpec,
    /// What happens when it dies while it serves. The engine's own restart policy is always `no`: a container that it
    /// starts again may come back on another address, behind the router's back.
    pub restart: RestartSpec,
    /// How its output is kept.
    pub log: LogDriver,
    /// The Compose service that it is a copy of.
    pub compose: Option<ComposeOrigin>,
    /// The containers that ran before anybody asked us: the number of the instance that each became, and its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adopted: BTreeMap<u32, String>,
}

/// Which image, and how it is got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The reference as the user wrote it (`registry.example.com/shop/web:1.4`), or as the build named it.
    pub reference: String,
    /// When it is pulled.
    pub pull: Pull,
    /// The platform, as `os/architecture[/variant]`; the engine's own if not given.
    pub platform: Option<String>,
    /// The login for its registry; from Docker's own store if not given.
    pub login: Option<Login>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// The registry is asked what the tag means; an image that only exists locally is taken as it is.
    #[default]
    Auto,
    /// The registry must have it.
    Always,
    /// Only what is there already.
    Never,
}

/// A login for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// How traffic and probes get to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// On the container's own address in its first network.
    #[default]
    Own,
    /// On one of these ports of the host, each published to the container's port; a free one is taken. A published port
    /// accepts connections before the program listens, so a TCP probe proves nothing there.
    Published {
        /// The host's address.
        ip: IpAddr,
        /// The ports; a service needs twice as many as it has replicas.
        ports: Vec<u16>,
    },
    /// In the host's own network, on the container's port (`network_mode: host`): one instance at a time.
    HostNetwork,
}

/// One place of the container's file system that comes from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where in the container; absolute.
    pub target: PathBuf,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A named volume, made if it is missing; without a name, one of the container's own.
    Volume {
        /// Its name in the engine.
        name: Option<String>,
        /// Whether what the image has in that place is not copied in.
        no_copy: bool,
    },
    /// A file or folder of the host.
    Bind {
        /// Absolute.
        source: PathBuf,
        /// `rprivate`, `rshared`, …
        propagation: Option<String>,
        /// Whether a folder is made if it is missing.
        create: bool,
    },
    /// Memory.
    Tmpfs {
        /// The most it may hold.
        size: Option<ByteSize>,
        /// Its mode.
        mode: Option<u32>,
    },
}

/// A network that a container is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name in the engine.
    pub network: String,
    /// Other names for it there. They are shared by all instances.
    pub aliases: Vec<String>,
    /// Its addresses, if they are fixed: each instance takes one that is free, so a service needs twice as many as it has
    /// replicas.
    pub addresses: Vec<IpAddr>,
    /// How the network is made if it is missing; `None` if it must be there.
    pub create: Option<NetworkSpec>,
}

/// How a network is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    /// The driver; `bridge` if not given.
    pub driver: Option<String>,
    /// Its address range, as `address/prefix`.
    pub subnet: Option<String>,
    /// The gateway's address.
    pub gateway: Option<IpAddr>,
    /// The range that addresses which are not fixed come from.
    pub ip_range: Option<String>,
    /// Without a way out.
    pub internal: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// What the engine lets a container do and have. The defaults are the engine's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostSpec {
    /// The user, as `name`, `uid` or `uid:gid`.
    pub user: Option<String>,
    /// Further groups.
    pub groups: Vec<String>,
    /// The working directory.
    pub directory: Option<PathBuf>,
    /// Its host name; the container's id if not given.
    pub hostname: Option<String>,
    /// Its domain name.
    pub domainname: Option<String>,
    /// `host:address` lines for its hosts file.
    pub extra_hosts: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Security options.
    pub security_opt: Vec<String>,
    /// Devices, as `host:container[:permissions]`.
    pub devices: Vec<String>,
    /// An init process as PID 1 that hands signals on and reaps.
    pub init: Option<bool>,
    /// A file system that cannot be written.
    pub read_only: bool,
    /// A terminal.
    pub tty: bool,
    /// Standard input stays open.
    pub stdin_open: bool,
    /// `host` or `container:NAME`.
    pub pid: Option<String>,
    /// `host`, `shareable`, …
    pub ipc: Option<String>,
    /// `host`.
    pub userns: Option<String>,
    /// `host` or `private`.
    pub cgroupns: Option<String>,
    /// The parent control group.
    pub cgroup_parent: Option<String>,
    /// The engine's runtime (`runc`, …).
    pub runtime: Option<String>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Limits of the kernel: name to soft and hard.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// The size of `/dev/shm`.
    pub shm_size: Option<ByteSize>,
    /// The most memory. Beyond it the kernel kills.
    pub memory: Option<ByteSize>,
    /// Memory that is asked for but not guaranteed.
    pub memory_reservation: Option<ByteSize>,
    /// Memory and swap together, in bytes; -1 for any.
    pub memory_swap: Option<i64>,
    /// Processors, in thousandths of one.
    pub cpu_thousandths: Option<u64>,
    /// The share of processor time relative to others.
    pub cpu_shares: Option<i64>,
    /// Which processors, as `0-3` or `0,1`.
    pub cpuset: Option<String>,
    /// The most processes.
    pub pids: Option<i64>,
    /// How soon the kernel chooses it when memory is short; -1000 to 1000.
    pub oom_score_adj: Option<i64>,
}

/// The engine's own health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// As the engine takes it: `["CMD", …]`, `["CMD-SHELL", "…"]`, or `["NONE"]`. Empty: the image's.
    pub test: Vec<String>,
    /// The pause between two checks.
    #[serde(default, with = "duration::optional")]
    pub interval: Option<Duration>,
    /// How long one may take.
    #[serde(default, with = "duration::optional")]
    pub timeout: Option<Duration>,
    /// Failures before this do not count.
    #[serde(default, with = "duration::optional")]
    pub start_period: Option<Duration>,
    /// How many failures in a row make it unhealthy.
    pub retries: Option<u32>,
}

/// How a container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogDriver {
    /// The engine's `json-file`, cut as the user says; `cutover logs` reads it.
    Files(LogSpec),
    /// Another driver of the engine. `cutover logs` shows what that driver lets be read.
    Other {
        /// Its name.
        driver: String,
        /// Its options.
        options: BTreeMap<String, String>,
    },
}

/// The Compose service that a container is a copy of. It gets the labels that make it part of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeOrigin {
    /// The project's name.
    pub project: String,
    /// The service's name in it.
    pub service: String,
    /// The files, in order; absolute.
    pub files: Vec<PathBuf>,
    /// The project's folder.
    pub directory: PathBuf,
    /// The hash of the service's settings, as Compose would label it, if it could be asked for.
    pub config_hash: Option<String>,
    /// The Compose tool's version.
    pub version: String,
}

impl ContainerSpec {
    /// A container of this image with the engine's defaults.
    pub fn of_image(reference: impl Into<String>) -> Self {
        let image = ImageSpec { reference: reference.into(), pull: Pull::Auto, platform: None, login: None };
        Self {
            image,
            command: None,
            entrypoint: None,
            env: BTreeMap::new(),
            port: None,
            publish: Vec::new(),
            reach: Reach::Own,
            mounts: Vec::new(),
            networks: Vec::new(),
            labels: BTreeMap::new(),
            host: HostSpec::default(),
            health: None,
            stop: StopSpec::default(),
            restart: RestartSpec::default(),
            log: LogDriver::Files(LogSpec::default()),
            compose: None,
            adopted: BTreeMap::new(),
        }
    }

    /// How many instances can run at once.
    pub(super) fn places(&self) -> Option<Places> {
        let published = match &self.reach {
            Reach::Own => None,
            Reach::Published { ports, .. } => Some(Places { count: ports.len(), what: "ports" }),
            Reach::HostNetwork => Some(Places { count: 1, what: "ports" }),
        };
        let fixed = self.networks.iter().filter(|network| !network.addresses.is_empty());
        let fixed = fixed.map(|network| Places { count: network.addresses.len(), what: "addresses" });
        fixed.chain(published).min_by_key(|places| places.count)
    }
}
