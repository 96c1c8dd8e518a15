//! How instances run as containers: image, command, network, volumes, and what the engine lets them have.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use cutover_core::spec::{
    Attachment, ContainerSpec, HealthSpec, HostSpec, ImageSpec, LogDriver, LogSpec, Login, NetworkSpec, ProcessSpec,
    Pull, Reach, Secret,
};
use cutover_core::table::Network;

use super::{Place, command, mounts, ports};
use crate::config::reader::{Located, Reader, Zero};
use crate::image::Reference;

/// Reads everything that only a container has. What it shares with a process was read before: `shared`. Of a service,
/// `most` instances run at the same time; an accessory has only the one.
pub(super) fn read(reader: &Reader, place: &Place, most: Option<usize>, shared: &ProcessSpec) -> ContainerSpec {
    let limits = reader.section("limits");
    let image = image(reader, place);
    let entrypoint = command::read(reader, "entrypoint").map(|words| command::into_words(Some(words)));
    let host = HostSpec {
        user: reader.plain("user").map(|user| user.value.to_owned()),
        directory: reader.plain("directory").map(|directory| PathBuf::from(directory.value)),
        memory: shared.limits.memory,
        cpu_thousandths: cpus(&limits),
        pids: limits.number("pids", 1..=4_194_304i64).map(|pids| pids.value),
        ..host(&reader.section("container"))
    };
    let port = reader.number("port", 1..=u16::MAX).map(|port| port.value);
    let mut mounts = mounts::volumes(reader, place);
    mounts.extend(mounts::tmpfs(&reader.section("container")));
    mounts::check_distinct(reader, &mounts);
    ContainerSpec {
        image,
        command: (!shared.command.is_empty()).then(|| shared.command.clone()),
        entrypoint,
        env: shared.env.clone(),
        port,
        publish: Vec::new(),
        reach: most.map_or(Reach::Own, |most| reach(reader, most, port)),
        mounts,
        networks: networks(reader, most.unwrap_or(0)),
        labels: texts_of(reader.values("labels")),
        host,
        health: health(&reader.section("health")),
        stop: shared.stop.clone(),
        restart: shared.restart.clone(),
        log: log(&reader.section("logs"), &shared.logs),
        compose: None,
        adopted: BTreeMap::new(),
    }
}

fn texts_of(values: BTreeMap<&str, Located<String>>) -> BTreeMap<String, String> {
    values.into_iter().map(|(name, value)| (name.to_owned(), value.value)).collect()
}

fn image(reader: &Reader, place: &Place) -> ImageSpec {
    let reference = reader.plain("image").map(|image| {
        if let Err(wrong) = Reference::parse(image.value) {
            reader.wrong_value("image", image.at, wrong).hint("write for example registry.example.com/shop/web:1.4");
        }
        image.value.to_owned()
    });
    let pull = [("auto", Pull::Auto), ("always", Pull::Always), ("never", Pull::Never)];
    ImageSpec {
        reference: reference.unwrap_or_default(),
        pull: reader.one_of("pull", &pull).unwrap_or_default(),
        platform: reader.plain("platform").map(|platform| platform.value.to_owned()),
        login: login(&reader.section("login"), place),
    }
}

fn login(reader: &Reader, place: &Place) -> Option<Login> {
    let (variable, file) = (reader.plain("password_env"), reader.plain("password_file"));
    let user = reader.plain("user")?;
    let password = match (variable, file) {
        (Some(variable), None) => place.surroundings.variables.get(variable.value).cloned().or_else(|| {
            reader
                .wrong_value("password_env", variable.at, format_args!("the variable {} is not set", variable.value))
                .hint("set it for whoever runs cutover");
            None
        }),
        (None, Some(file)) => match std::fs::read_to_string(place.resolve(file.value)) {
            Ok(text) => text.lines().next().map(str::to_owned),
            Err(error) => {
                let path = place.resolve(file.value);
                let message = format_args!("could not read {}: {error}", path.display());
                reader.wrong_value("password_file", file.at, message).hint_if(None);
                None
            }
        },
        _ => {
            reader
                .wrong_value("user", user.at, "needs one of password_env and password_file")
                .hint("a password does not belong into this file");
            None
        }
    }?;
    Some(Login { user: user.value.to_owned(), password: Secret::new(password) })
}

/// `1.5`, in thousandths of a processor.
fn cpus(limits: &Reader) -> Option<u64> {
    let text = limits.plain("cpus")?;
    let cpus = text.value.parse::<f64>().ok().filter(|cpus| (0.001..=10_000.0).contains(cpus));
    if cpus.is_none() {
        limits
            .wrong_value("cpus", text.at, format_args!("expected a number of processors, found {:?}", text.value))
            .hint("write for example \"1.5\"");
    }
    // At most ten million: the number has no fraction that matters, and fits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    cpus.map(|cpus| (cpus * 1000.0).round() as u64)
}

fn reach(reader: &Reader, most: usize, port: Option<u16>) -> Reach {
    let on = reader.plain("publish_on").and_then(|text| address(reader, "publish_on", &text));
    let Some(node) = reader.node("publish") else { return Reach::Own };
    let ports = ports::fixed(reader, "publish", node, most);
    if port.is_none() {
        reader
            .wrong_value("publish", node.at, "there is no port to publish")
            .hint("add port = …: the port on which it listens inside the container");
    }
    reader
        .odd_value("publish", node.at, "a published port accepts connections before the program listens")
        .hint("so `ready` must ask for an answer, not for a connection; without `publish` the container's own address is used");
    Reach::Published { ip: on.unwrap_or(IpAddr::from([127, 0, 0, 1])), ports: ports.unwrap_or_default() }
}

fn address(reader: &Reader, key: &str, text: &Located<&str>) -> Option<IpAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        reader
            .wrong_value(key, text.at, format_args!("{:?} is not an address", text.value))
            .hint("write for example 172.20.0.2");
    }
    address
}

fn networks(reader: &Reader, most: usize) -> Vec<Attachment> {
    let first = network(&reader.section("network"), most);
    let names = reader.texts("networks").map(|names| names.value).unwrap_or_default();
    let further = names.into_iter().map(|name| Attachment {
        network: name.value.to_owned(),
        aliases: Vec::new(),
        addresses: Vec::new(),
        create: None,
    });
    first.into_iter().chain(further).collect()
}

fn network(reader: &Reader, most: usize) -> Option<Attachment> {
    let texts = |key: &'static str| reader.texts(key).map(|texts| texts.value).unwrap_or_default();
    let subnet = reader.plain("subnet").and_then(|subnet| range(reader, "subnet", &subnet));
    let ip_range = reader.plain("ip_range").and_then(|range| self::range(reader, "ip_range", &range));
    let gateway = reader.plain("gateway").and_then(|gateway| address(reader, "gateway", &gateway));
    let internal = reader.flag("internal").is_some_and(|internal| internal.value);
    let addresses: Vec<IpAddr> = texts("addresses")
        .iter()
        .filter_map(|text| {
            let address = address(reader, "addresses", text)?;
            if let Some(subnet) = subnet.filter(|subnet| !subnet.contains(address)) {
                let message = format_args!("{address} is not in {}", String::from(subnet));
                reader.wrong_value("addresses", text.at, message).hint_if(None);
            }
            Some(address)
        })
        .collect();
    if !addresses.is_empty() && addresses.len() < most {
        let message = format_args!("{}, and {most} are needed", addresses.len());
        reader.wrong_value("addresses", reader.place_of("addresses"), message).hint(ports::side_by_side(most));
    }
    let aliases = texts("aliases").iter().map(|alias| alias.value.to_owned()).collect();
    let name = reader.plain("name")?;
    let text = |network: Option<Network>| network.map(String::from);
    let create = subnet.is_some().then(|| NetworkSpec {
        subnet: text(subnet),
        gateway,
        ip_range: text(ip_range),
        internal,
        ..NetworkSpec::default()
    });
    Some(Attachment { network: name.value.to_owned(), aliases, addresses, create })
}

fn range(reader: &Reader, key: &str, text: &Located<&str>) -> Option<Network> {
    match Network::try_from(text.value.to_owned()) {
        Ok(network) => Some(network),
        Err(wrong) => {
            reader.wrong_value(key, text.at, wrong).hint("write for example 172.20.0.0/16");
            None
        }
    }
}

fn health(reader: &Reader) -> Option<HealthSpec> {
    let time = |key| reader.duration(key, Zero::Refused);
    let (interval, timeout, start_period) = (time("interval"), time("timeout"), time("start_period"));
    let retries = reader.number("retries", 1..=1000u32).map(|retries| retries.value);
    let command = command::into_words(command::read(reader, "command"));
    reader.is_written().then(|| HealthSpec {
        test: std::iter::once("CMD".to_owned()).chain(command).collect(),
        interval,
        timeout,
        start_period,
        retries,
    })
}

fn log(reader: &Reader, files: &LogSpec) -> LogDriver {
    let options = texts_of(reader.values("options"));
    match reader.plain("driver").filter(|driver| driver.value != "json-file") {
        Some(driver) => LogDriver::Other { driver: driver.value.to_owned(), options },
        None => LogDriver::Files(files.clone()),
    }
}

fn host(reader: &Reader) -> HostSpec {
    let text = |key| reader.plain(key).map(|text| text.value.to_owned());
    let texts = |key| {
        let texts = reader.texts(key).map(|texts| texts.value).unwrap_or_default();
        texts.into_iter().map(|text| text.value.to_owned()).collect::<Vec<String>>()
    };
    let flag = |key| reader.flag(key).map(|flag| flag.value);
    HostSpec {
        hostname: text("hostname"),
        extra_hosts: texts("extra_hosts"),
        dns: texts("dns"),
        dns_search: texts("dns_search"),
        groups: texts("groups"),
        cap_add: texts("cap_add"),
        cap_drop: texts("cap_drop"),
        privileged: flag("privileged").unwrap_or_default(),
        security_opt: texts("security_opt"),
        devices: texts("devices"),
        init: flag("init"),
        read_only: flag("read_only").unwrap_or_default(),
        shm_size: reader.size("shm_size", 1 << 10),
        sysctls: texts_of(reader.values("sysctls")),
        ulimits: ulimits(reader),
        runtime: text("runtime"),
        ..HostSpec::default()
    }
}

/// `soft:hard`, or one number for both.
fn ulimits(reader: &Reader) -> BTreeMap<String, (i64, i64)> {
    let read = |(name, value): (&str, Located<String>)| {
        let (soft, hard) = value.value.split_once(':').unwrap_or((&value.value, &value.value));
        let limits = soft.parse().ok().zip(hard.parse().ok());
        if limits.is_none() {
            let message = format_args!("{name}: expected \"soft:hard\" or a number, found {:?}", value.value);
            reader.wrong_value("ulimits", value.at, message).hint_if(None);
        }
        Some((name.to_owned(), limits?))
    };
    reader.values("ulimits").into_iter().filter_map(read).collect()
}
