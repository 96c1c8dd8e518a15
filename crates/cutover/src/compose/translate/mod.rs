//! A service as Compose prints it, in our words. Version 1.29 prints what was written, version 2 a canonical form: both are read.

mod mounts;
mod networks;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use cutover_core::Failure;
use cutover_core::spec::{
    ComposeOrigin, ContainerSpec, HealthSpec, HostSpec, LogDriver, LogSpec, Reach, Secret, StopSpec,
};
use serde_json::{Map, Value};

use self::value::{Keys, plain, texts};
use super::neighbours::Neighbour;
use super::{Project, Resolved, Tool};

/// Keys that do not concern a copy, or that are read elsewhere here.
const PASSED_OVER: &[&str] = &[
    "depends_on",
    "scale",
    "deploy",
    "ports",
    "expose",
    "container_name",
    "restart",
    "profiles",
    "pull_policy",
    "build",
    "attach",
    "annotations",
    "develop",
    "links",
    "healthcheck",
    "logging",
    "networks",
    "network_mode",
    "volumes",
    "tmpfs",
    "secrets",
    "configs",
    "env_file",
    "environment",
    "ulimits",
    "stop_signal",
    "stop_grace_period",
];

/// All that is known of a service.
pub(super) struct Resolver<'a> {
    pub(super) tool: &'a Tool,
    pub(super) project: &'a Project,
    pub(super) whole: &'a Value,
    pub(super) service: &'a str,
    pub(super) hash: Option<String>,
}

impl Resolver<'_> {
    /// Translates the service.
    pub(super) fn translate(&self, body: &Value) -> Result<Resolved, Failure> {
        let keys = Keys::of(body, &format!("services.{}", self.service))?;
        let container = self.container(&keys)?;
        self.refuse_strangers(&keys)?;
        let published = keys.list("ports").iter().map(value::port_text).collect();
        Ok(Resolved {
            replicas: replicas(&keys),
            build: keys.has("build"),
            published,
            neighbours: neighbours(&keys),
            notes: self.notes(&keys),
            container,
        })
    }

    fn container(&self, keys: &Keys) -> Result<ContainerSpec, Failure> {
        let project = self.name();
        let image = match keys.text("image") {
            Some(image) => image,
            // How each version names what it builds.
            None if self.tool.is_first() => format!("{project}_{}", self.service),
            None => format!("{project}-{}", self.service),
        };
        let mut container = ContainerSpec::of_image(image);
        container.image.platform = keys.text("platform");
        container.command = keys.words("command")?;
        container.entrypoint = keys.words("entrypoint")?;
        container.env = keys.map("environment").into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        container.port = port(keys);
        container.mounts = mounts::all(self, keys)?;
        (container.reach, container.networks) = match keys.text("network_mode").as_deref() {
            Some("host") => (Reach::HostNetwork, Vec::new()),
            Some("bridge") => (Reach::Own, Vec::new()),
            Some(other) => {
                return Err(
                    keys.refused("network_mode", &format!("{other:?} leaves a copy without an address of its own"))
                );
            }
            None => (Reach::Own, networks::all(self, keys)?),
        };
        container.labels = keys.map("labels");
        container.host = host(keys)?;
        container.health = health(keys)?;
        container.stop = stop(keys)?;
        container.log = log(keys);
        container.compose = Some(ComposeOrigin {
            service: self.service.to_owned(),
            files: self.project.files.clone(),
            directory: self.project.directory.clone(),
            config_hash: self.hash.clone(),
            version: self.tool.version.clone(),
            project,
        });
        Ok(container)
    }

    /// The project's name. The first version does not print it; its rule for the folder's name is Compose's own.
    pub(super) fn name(&self) -> String {
        let printed = self.whole.get("name").and_then(Value::as_str).map(str::to_owned);
        let folder = self.project.files.first().and_then(|file| file.parent()).unwrap_or(&self.project.directory);
        let folder = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let folder: String = folder.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        let variable = || std::env::var("COMPOSE_PROJECT_NAME").ok().filter(|name| !name.is_empty());
        printed
            .or_else(|| self.project.name.clone())
            .or_else(variable)
            .or_else(|| self.name_in_env_file())
            .unwrap_or(folder)
    }

    fn name_in_env_file(&self) -> Option<String> {
        let folder = self.project.files.first().and_then(|file| file.parent()).unwrap_or(&self.project.directory);
        let files =
            if self.project.env_files.is_empty() { vec![folder.join(".env")] } else { self.project.env_files.clone() };
        let text: String = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let line = text.lines().rev().find_map(|line| line.strip_prefix("COMPOSE_PROJECT_NAME="))?;
        Some(line.trim().trim_matches(['"', '\'']).to_owned())
    }

    /// An entry of one of the project's own tables (`volumes`, `networks`, `secrets`, `configs`).
    pub(super) fn shared(&self, table: &str, name: &str) -> Option<&Map<String, Value>> {
        self.whole.get(table)?.get(name)?.as_object()
    }

    /// The engine's name for something of the project.
    pub(super) fn full_name(&self, table: &str, name: &str) -> (String, bool) {
        let entry = self.shared(table, name);
        let external = entry.and_then(|entry| entry.get("external"));
        let is_external = external.is_some_and(|external| external != &Value::Bool(false));
        let nested = external.and_then(|external| external.get("name")).and_then(Value::as_str);
        let named = entry.and_then(|entry| entry.get("name")).and_then(Value::as_str).or(nested);
        let full = match named {
            Some(name) => name.to_owned(),
            None if is_external => name.to_owned(),
            None => format!("{}_{name}", self.name()),
        };
        (full, is_external)
    }

    fn notes(&self, keys: &Keys) -> Vec<String> {
        let mut notes = Vec::new();
        let ports: Vec<String> = keys.list("ports").iter().map(value::port_text).collect();
        if !ports.is_empty() {
            notes.push(format!(
                "ports ({}) are not published by its copies: two of them cannot hold one port; `route.listen` takes their place",
                ports.join(", ")
            ));
        }
        if let Some(name) = keys.text("container_name") {
            notes.push(format!("container_name ({name}) is not given to its copies: two of them cannot have one name"));
        }
        if let Some(policy) = keys.text("restart").filter(|policy| policy != "no") {
            notes.push(format!(
                "restart ({policy}) is cutover's own business: it starts what dies, on a checked address"
            ));
        }
        notes
    }

    /// What we do not know of, and would therefore drop.
    fn refuse_strangers(&self, keys: &Keys) -> Result<(), Failure> {
        let unread: Vec<String> =
            keys.unread().into_iter().filter(|key| !PASSED_OVER.contains(&key.as_str())).collect();
        if unread.is_empty() {
            return Ok(());
        }
        let what = format!("services.{}: {} cannot be carried over to a copy", self.service, unread.join(", "));
        Err(Failure::new(what).hint("deploy it as a service with `image` and say it there, or leave it to Compose"))
    }
}

fn replicas(keys: &Keys) -> Option<u16> {
    let deploy = keys.table("deploy").and_then(|deploy| deploy.get("replicas").cloned());
    let count = keys.value("scale").cloned().or(deploy)?;
    plain(&count)?.parse().ok().filter(|count| *count > 0)
}

/// The one port that is published or exposed.
fn port(keys: &Keys) -> Option<u16> {
    let mut ports: Vec<u16> = keys.list("ports").iter().filter_map(value::port_target).collect();
    if ports.is_empty() {
        let exposed = keys.list("expose").iter().filter_map(plain).collect::<Vec<String>>();
        ports = exposed.iter().filter_map(|text| text.split('/').next()?.parse().ok()).collect();
    }
    ports.dedup();
    if let [only] = ports[..] { Some(only) } else { None }
}

fn neighbours(keys: &Keys) -> Vec<Neighbour> {
    match keys.value("depends_on") {
        Some(Value::Object(entries)) => {
            let condition =
                |entry: &Value| entry.get("condition").and_then(Value::as_str).unwrap_or_default().to_owned();
            entries.iter().map(|(name, entry)| Neighbour { name: name.clone(), condition: condition(entry) }).collect()
        }
        Some(list) => texts(list).into_iter().map(|name| Neighbour { name, condition: String::new() }).collect(),
        None => Vec::new(),
    }
}

fn host(keys: &Keys) -> Result<HostSpec, Failure> {
    let limits = keys.resources("limits");
    let reserved = keys.resources("reservations");
    let size = |table: &Map<String, Value>, key| table.get(key).map(|size| keys.size_of(key, size)).transpose();
    let memory = keys.size("mem_limit")?.or(size(&limits, "memory")?);
    let cpus = keys.text("cpus").or_else(|| limits.get("cpus").and_then(plain));
    let pids = keys.text("pids_limit").or_else(|| limits.get("pids").and_then(plain));
    // Any fraction of a processor that can be meant fits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = |cpus: String| cpus.parse::<f64>().ok().map(|cpus| (cpus * 1000.0).round() as u64);
    Ok(HostSpec {
        user: keys.text("user"),
        groups: keys.texts("group_add"),
        directory: keys.text("working_dir").map(PathBuf::from),
        hostname: keys.text("hostname"),
        domainname: keys.text("domainname"),
        // The second version writes `host=address`.
        extra_hosts: keys.pairs("extra_hosts").into_iter().map(|(host, address)| format!("{host}:{address}")).collect(),
        dns: keys.texts("dns"),
        dns_search: keys.texts("dns_search"),
        dns_options: keys.texts("dns_opt"),
        cap_add: keys.texts("cap_add"),
        cap_drop: keys.texts("cap_drop"),
        privileged: keys.flag("privileged").unwrap_or_default(),
        security_opt: keys.texts("security_opt"),
        devices: keys.list("devices").iter().filter_map(value::device).collect(),
        init: keys.flag("init"),
        read_only: keys.flag("read_only").unwrap_or_default(),
        tty: keys.flag("tty").unwrap_or_default(),
        stdin_open: keys.flag("stdin_open").unwrap_or_default(),
        pid: keys.text("pid"),
        ipc: keys.text("ipc"),
        userns: keys.text("userns_mode"),
        cgroupns: keys.text("cgroup"),
        cgroup_parent: keys.text("cgroup_parent"),
        runtime: keys.text("runtime"),
        sysctls: keys.map("sysctls"),
        ulimits: keys.ulimits()?,
        shm_size: keys.size("shm_size")?,
        memory,
        memory_reservation: keys.size("mem_reservation")?.or(size(&reserved, "memory")?),
        memory_swap: keys.size("memswap_limit")?.and_then(|size| i64::try_from(size.0).ok()),
        cpu_thousandths: cpus.and_then(thousandths).filter(|cpus| *cpus > 0),
        cpu_shares: keys.number("cpu_shares"),
        cpuset: keys.text("cpuset"),
        pids: pids.and_then(|pids| pids.parse().ok()).filter(|pids| *pids != 0),
        oom_score_adj: keys.number("oom_score_adj"),
    })
}

fn health(keys: &Keys) -> Result<Option<HealthSpec>, Failure> {
    let Some(check) = keys.table("healthcheck") else { return Ok(None) };
    let time = |key| check.get(key).map(|time| keys.duration_of(key, time)).transpose();
    let off = check.get("disable") == Some(&Value::Bool(true));
    let test = match check.get("test") {
        _ if off => vec!["NONE".to_owned()],
        Some(Value::String(command)) => vec!["CMD-SHELL".to_owned(), value::unescaped(command)],
        Some(list) => texts(list),
        None => Vec::new(),
    };
    Ok(Some(HealthSpec {
        test,
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start_period")?,
        retries: check.get("retries").and_then(plain).and_then(|retries| retries.parse().ok()),
    }))
}

fn stop(keys: &Keys) -> Result<StopSpec, Failure> {
    let default = StopSpec::default();
    let grace = keys.value("stop_grace_period").map(|time| keys.duration_of("stop_grace_period", time)).transpose()?;
    let signal = keys.text("stop_signal").map(|signal| signal.trim_start_matches("SIG").to_owned());
    Ok(StopSpec { signal: signal.unwrap_or(default.signal), grace: grace.unwrap_or(default.grace) })
}

fn log(keys: &Keys) -> LogDriver {
    let Some(logging) = keys.table("logging") else { return LogDriver::Files(LogSpec::default()) };
    let driver = logging.get("driver").and_then(plain).unwrap_or_else(|| "json-file".to_owned());
    let options: BTreeMap<String, String> = match logging.get("options") {
        Some(Value::Object(options)) => {
            options.iter().filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect()
        }
        _ => BTreeMap::new(),
    };
    LogDriver::Other { driver, options }
}
