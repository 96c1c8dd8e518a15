//! The networks of a service. They are made as Compose would make them, labels and all, so that it knows them as its own.

use std::collections::BTreeMap;

use cutover_core::Failure;
use cutover_core::spec::{Attachment, NetworkSpec};
use serde_json::{Map, Value};

use super::Resolver;
use super::value::{Keys, plain, texts};

pub(super) fn all(resolver: &Resolver, keys: &Keys) -> Result<Vec<Attachment>, Failure> {
    let mut written: Vec<(String, Map<String, Value>)> = match keys.value("networks") {
        Some(Value::Object(entries)) => {
            entries.iter().map(|(name, entry)| (name.clone(), entry.as_object().cloned().unwrap_or_default())).collect()
        }
        Some(list) => texts(list).into_iter().map(|name| (name, Map::new())).collect(),
        None => vec![("default".to_owned(), Map::new())],
    };
    let priority = |entry: &Map<String, Value>| entry.get("priority").and_then(Value::as_i64).unwrap_or(0);
    written.sort_by_key(|(_, entry)| std::cmp::Reverse(priority(entry)));
    written.iter().map(|(name, entry)| one(resolver, keys, name, entry)).collect()
}

fn one(resolver: &Resolver, keys: &Keys, name: &str, entry: &Map<String, Value>) -> Result<Attachment, Failure> {
    let (network, external) = resolver.full_name("networks", name);
    if entry.contains_key("ipv4_address") || entry.contains_key("ipv6_address") {
        let why = format!(
            "{name} gives it a fixed address, which two copies cannot share: take it out, and let others find it by name"
        );
        return Err(keys.refused("networks", &why));
    }
    // By its name in the project it is found by its neighbours.
    let mut aliases = vec![resolver.service.to_owned()];
    aliases.extend(entry.get("aliases").map(texts).unwrap_or_default());
    let create = (!external).then(|| spec(resolver, name));
    Ok(Attachment { network, aliases, addresses: Vec::new(), create })
}

fn spec(resolver: &Resolver, name: &str) -> NetworkSpec {
    let entry = resolver.shared("networks", name).cloned().unwrap_or_default();
    let ipam = entry.get("ipam").and_then(|ipam| ipam.get("config")?.get(0)?.as_object()).cloned().unwrap_or_default();
    let text = |table: &Map<String, Value>, key| table.get(key).and_then(plain).filter(|text| !text.is_empty());
    let map = |key: &str| -> BTreeMap<String, String> {
        let entries = entry.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        entries.iter().filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect()
    };
    let mut labels = map("labels");
    let own = [("network", name.to_owned()), ("project", resolver.name()), ("version", resolver.tool.version.clone())];
    labels.extend(own.map(|(key, value)| (format!("com.docker.compose.{key}"), value)));
    NetworkSpec {
        driver: text(&entry, "driver"),
        subnet: text(&ipam, "subnet"),
        gateway: text(&ipam, "gateway").and_then(|gateway| gateway.parse().ok()),
        ip_range: text(&ipam, "ip_range"),
        internal: entry.get("internal").and_then(Value::as_bool).unwrap_or_default(),
        options: map("driver_opts"),
        labels,
    }
}
