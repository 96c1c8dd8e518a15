//! What the engine is asked for when an instance's container is made. Pure: everything that had to be chosen has been.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigCgroupnsModeEnum, HostConfigLogConfig, NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use cutover_core::InstanceId;
use cutover_core::spec::{Attachment, ContainerSpec, HealthSpec, HostSpec, LogDriver, Reach};

use super::{label, mounts};

/// An instance, with all that was chosen for it.
#[derive(Debug, Clone)]
pub struct Choice<'a> {
    /// The instance.
    pub instance: &'a InstanceId,
    /// Its attempt.
    pub attempt: u32,
    /// What it runs.
    pub spec: &'a ContainerSpec,
    /// The image, as something that cannot change.
    pub image: String,
    /// Its fixed addresses, by network.
    pub addresses: HashMap<String, IpAddr>,
    /// The host's address that its port is published on.
    pub published: Option<SocketAddr>,
    /// The mark of the state directory.
    pub state: &'a str,
}

/// The container to be made.
pub fn body(choice: &Choice<'_>) -> ContainerCreateBody {
    let (spec, host) = (choice.spec, &choice.spec.host);
    let first = spec.networks.first();
    let endpoint = first.map(|first| (first.network.clone(), endpoint(first, choice)));
    let (hostname, domainname, user) = (host.hostname.clone(), host.domainname.clone(), host.user.clone());
    ContainerCreateBody {
        image: Some(choice.image.clone()),
        cmd: spec.command.as_ref().map(|words| words.iter().map(|word| filled(word, choice)).collect()),
        entrypoint: spec.entrypoint.clone(),
        env: Some(environment(choice)),
        labels: Some(label::all(spec, choice.instance, choice.attempt, choice.state)),
        hostname,
        domainname,
        user,
        working_dir: host.directory.as_ref().map(|path| path.display().to_string()),
        tty: Some(host.tty),
        open_stdin: Some(host.stdin_open),
        healthcheck: spec.health.as_ref().map(health),
        stop_signal: Some(format!("SIG{}", spec.stop.signal.trim_start_matches("SIG"))),
        stop_timeout: i64::try_from(spec.stop.grace.as_secs()).ok(),
        exposed_ports: Some(bindings(choice).into_keys().collect()),
        host_config: Some(host_config(choice)),
        networking_config: endpoint
            .map(|(name, settings)| NetworkingConfig { endpoints_config: Some(HashMap::from([(name, settings)])) }),
        ..ContainerCreateBody::default()
    }
}

/// How it is attached to a network.
pub fn endpoint(attachment: &Attachment, choice: &Choice<'_>) -> EndpointSettings {
    let fixed = choice.addresses.get(&attachment.network);
    let ipam = fixed.map(|address| EndpointIpamConfig {
        ipv4_address: address.is_ipv4().then(|| address.to_string()),
        ipv6_address: address.is_ipv6().then(|| address.to_string()),
        ..EndpointIpamConfig::default()
    });
    let aliases = (!attachment.aliases.is_empty()).then(|| attachment.aliases.clone());
    EndpointSettings { ipam_config: ipam, aliases, ..EndpointSettings::default() }
}

/// `{port}`, `{release}` and `{instance}` in an argument or a value.
fn filled(text: &str, choice: &Choice<'_>) -> String {
    let port = choice.spec.port.map(|port| port.to_string()).unwrap_or_default();
    let text = text.replace("{port}", &port).replace("{release}", &choice.instance.release.to_string());
    text.replace("{instance}", &choice.instance.to_string())
}

/// The variables, and `PORT`.
fn environment(choice: &Choice<'_>) -> Vec<String> {
    let spec = choice.spec;
    let port = spec.port.filter(|_| !spec.env.contains_key("PORT")).map(|port| format!("PORT={port}"));
    let own = spec.env.iter().map(|(name, value)| format!("{name}={}", filled(value.reveal(), choice)));
    own.chain(port).collect()
}

fn host_config(choice: &Choice<'_>) -> HostConfig {
    let (spec, host) = (choice.spec, &choice.spec.host);
    let bytes = |size: Option<cutover_core::unit::ByteSize>| size.and_then(|size| i64::try_from(size.0).ok());
    HostConfig {
        mounts: Some(mounts::all(&spec.mounts)),
        network_mode: network_mode(spec),
        port_bindings: Some(bindings(choice)),
        // The agent restarts what dies: see `ContainerSpec::restart`.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        log_config: Some(log(&spec.log)),
        memory: bytes(host.memory),
        memory_reservation: bytes(host.memory_reservation),
        memory_swap: host.memory_swap,
        nano_cpus: host.cpu_thousandths.and_then(|cpu| i64::try_from(cpu * 1_000_000).ok()),
        cpu_shares: host.cpu_shares,
        cpuset_cpus: host.cpuset.clone(),
        cgroup_parent: host.cgroup_parent.clone(),
        pids_limit: host.pids,
        oom_score_adj: host.oom_score_adj,
        shm_size: bytes(host.shm_size),
        cgroupns_mode: host.cgroupns.as_deref().and_then(cgroupns),
        ulimits: list(&host.ulimits.iter().map(ulimit).collect::<Vec<_>>()),
        devices: list(&host.devices.iter().map(|device| self::device(device)).collect::<Vec<_>>()),
        ..surroundings(host)
    }
}

/// The part of the host's configuration that is taken over as it is.
fn surroundings(host: &HostSpec) -> HostConfig {
    HostConfig {
        group_add: list(&host.groups),
        extra_hosts: list(&host.extra_hosts),
        dns: list(&host.dns),
        dns_search: list(&host.dns_search),
        dns_options: list(&host.dns_options),
        cap_add: list(&host.cap_add),
        cap_drop: list(&host.cap_drop),
        privileged: Some(host.privileged),
        security_opt: list(&host.security_opt),
        init: host.init,
        readonly_rootfs: Some(host.read_only),
        pid_mode: host.pid.clone(),
        ipc_mode: host.ipc.clone(),
        userns_mode: host.userns.clone(),
        runtime: host.runtime.clone(),
        sysctls: (!host.sysctls.is_empty()).then(|| host.sysctls.clone().into_iter().collect()),
        ..HostConfig::default()
    }
}

fn list<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}

fn network_mode(spec: &ContainerSpec) -> Option<String> {
    match (&spec.reach, spec.networks.first()) {
        (Reach::HostNetwork, _) => Some("host".to_owned()),
        (_, Some(first)) => Some(first.network.clone()),
        (_, None) => None,
    }
}

fn bindings(choice: &Choice<'_>) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    let chosen = choice.published.zip(choice.spec.port);
    for (to, port) in choice.spec.publish.iter().copied().chain(chosen) {
        let binding = PortBinding { host_ip: Some(to.ip().to_string()), host_port: Some(to.port().to_string()) };
        bindings.entry(format!("{port}/tcp")).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

fn log(driver: &LogDriver) -> HostConfigLogConfig {
    let (name, options) = match driver {
        LogDriver::Files(files) => {
            let options = [("max-size", format!("{}", files.max_size.0)), ("max-file", files.keep.to_string())];
            ("json-file".to_owned(), options.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())
        }
        LogDriver::Other { driver, options } => (driver.clone(), options.clone().into_iter().collect()),
    };
    HostConfigLogConfig { typ: Some(name), config: Some(options) }
}

fn health(spec: &HealthSpec) -> HealthConfig {
    let nanos = |time: Option<Duration>| time.and_then(|time| i64::try_from(time.as_nanos()).ok());
    HealthConfig {
        test: Some(spec.test.clone()),
        interval: nanos(spec.interval),
        timeout: nanos(spec.timeout),
        retries: spec.retries.map(i64::from),
        start_period: nanos(spec.start_period),
        ..HealthConfig::default()
    }
}

fn cgroupns(mode: &str) -> Option<HostConfigCgroupnsModeEnum> {
    match mode {
        "host" => Some(HostConfigCgroupnsModeEnum::HOST),
        "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
        _ => None,
    }
}

fn ulimit((name, (soft, hard)): (&String, &(i64, i64))) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.clone()), soft: Some(*soft), hard: Some(*hard) }
}

/// `host[:container[:permissions]]`
fn device(text: &str) -> DeviceMapping {
    let mut parts = text.split(':');
    let host = parts.next().unwrap_or_default().to_owned();
    let inside = parts.next().map_or_else(|| host.clone(), str::to_owned);
    let permissions = parts.next().unwrap_or("rwm").to_owned();
    DeviceMapping { path_on_host: Some(host), path_in_container: Some(inside), cgroup_permissions: Some(permissions) }
}
