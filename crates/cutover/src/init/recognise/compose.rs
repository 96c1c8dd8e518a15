//! A Compose project: its services that are built or published, as the file names them. Databases and the like stay Compose's.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{files, text};
use crate::init::candidate::{Candidate, Ready, Run};
use crate::init::name::fitting;

/// The names under which Compose looks for its file, in its order.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Images that a service depends on, rather than being one that is deployed.
const NEIGHBOURS: [&str; 18] = [
    "postgres",
    "postgis",
    "mysql",
    "mariadb",
    "mongo",
    "redis",
    "valkey",
    "memcached",
    "rabbitmq",
    "nats",
    "kafka",
    "zookeeper",
    "elasticsearch",
    "opensearch",
    "minio",
    "mailhog",
    "mailpit",
    "adminer",
];

/// What sends traffic to the services.
const FRONTS: [&str; 5] = ["nginx", "traefik", "caddy", "haproxy", "httpd"];

/// As much of a Compose file as is looked at.
#[derive(Debug, Deserialize)]
struct Project {
    #[serde(default)]
    services: BTreeMap<String, Service>,
}

#[derive(Debug, Default, Deserialize)]
struct Service {
    image: Option<String>,
    build: Option<Value>,
    #[serde(default)]
    ports: Vec<Value>,
    #[serde(default)]
    expose: Vec<Value>,
    healthcheck: Option<Value>,
}

/// The service of a Compose project that is deployed; others that could be follow as comments.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let file = NAMES.into_iter().find(|name| dir.join(name).is_file())?;
    let project: Project = serde_saphyr::from_str(&text(dir, file)?).ok()?;
    let mut deployed: Vec<(&String, &Service)> = project.services.iter().filter(|(_, s)| s.is_deployed()).collect();
    // The one that clients reach comes first.
    deployed.sort_by_key(|(_, service)| (service.ports.is_empty(), service.container_port().is_none()));
    let ((name, service), others) = deployed.split_first()?;
    let run = Run::Compose {
        file: file.to_owned(),
        service: (*name).clone(),
        port: service.container_port(),
        published: service.ports.iter().find_map(published),
    };
    let mut candidate = Candidate::web(format!("the service {name:?} of a Compose project ({file})"), run);
    candidate.service = fitting(name);
    if service.has_health_check() {
        candidate.ready = Ready::OwnCheck;
    }
    candidate.others =
        others.iter().map(|(name, _)| (fitting(name), format!("compose = {{ service = {name:?} }}"))).collect();
    if service.container_port().is_none() {
        candidate =
            candidate.note(format!("{file} names no port of {name:?}: put the one that it listens on into `port`."));
    }
    Some(match overlays(dir, file) {
        None => candidate,
        Some(overlays) => candidate.note(format!(
            "Beside {file} there is {overlays}. If you deploy with it, say so: compose = {{ files = [{file:?}, …] }}."
        )),
    })
}

/// Files that are laid over the first one only if they are named.
fn overlays(dir: &Path, file: &str) -> Option<String> {
    let is_overlay = |name: &String| {
        let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml")).unwrap_or_default();
        let rest = stem.strip_prefix("docker-compose.").or_else(|| stem.strip_prefix("compose."));
        name != file && rest.is_some_and(|rest| rest != "override")
    };
    let found: Vec<String> = files(dir).into_iter().filter(is_overlay).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

impl Service {
    /// Whether it is the team's own: it is built here, or it is an image that is no database, cache or web server.
    fn is_deployed(&self) -> bool {
        let image = self.image.as_deref().unwrap_or_default();
        let last = image.rsplit('/').next().unwrap_or_default();
        let base = last.split([':', '@']).next().unwrap_or_default();
        let known = |names: &[&str]| names.contains(&base);
        self.build.is_some() || (!image.is_empty() && !known(&NEIGHBOURS) && !known(&FRONTS))
    }

    /// The port that it listens on in its container.
    fn container_port(&self) -> Option<u16> {
        let exposed = |port: &Value| match port {
            Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
            other => number(other.as_str()?),
        };
        self.ports.iter().find_map(target).or_else(|| self.expose.iter().find_map(exposed))
    }

    fn has_health_check(&self) -> bool {
        let Some(check) = &self.healthcheck else { return false };
        let is_none = check["test"] == "NONE" || check["test"][0] == "NONE";
        !is_none && check["disable"] != true && !check["test"].is_null()
    }
}

/// The container's side of an entry of `ports`: `"127.0.0.1:8080:80/tcp"`, `80`, or a table.
fn target(port: &Value) -> Option<u16> {
    match port {
        Value::Object(table) => u16::try_from(table.get("target")?.as_u64()?).ok(),
        Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
        other => number(other.as_str()?.rsplit(':').next()?),
    }
}

/// The host's side of an entry of `ports`, if it is written out.
fn published(port: &Value) -> Option<u16> {
    match port {
        Value::Object(table) => match table.get("published")? {
            Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
            other => number(other.as_str()?),
        },
        other => number(other.as_str()?.rsplit(':').nth(1)?),
    }
}

fn number(text: &str) -> Option<u16> {
    text.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_read_in_all_their_forms() {
        let sides = |port| (published(&port), target(&port));
        assert_eq!(sides(json!("8080:80")), (Some(8080), Some(80)));
        assert_eq!(sides(json!("127.0.0.1:8080:80/tcp")), (Some(8080), Some(80)));
        assert_eq!(sides(json!("[::1]:8080:80")), (Some(8080), Some(80)));
        assert_eq!(sides(json!("80")), (None, Some(80)));
        assert_eq!(sides(json!(80)), (None, Some(80)));
        assert_eq!(sides(json!({ "target": 80, "published": "8080" })), (Some(8080), Some(80)));
        assert_eq!(sides(json!("${PORT}:80")), (None, Some(80)));
        assert_eq!(sides(json!("3000-3005")), (None, None));
    }

    #[test]
    fn neighbours_are_not_deployed() {
        let image = |image: &str| Service { image: Some(image.to_owned()), ..Service::default() }.is_deployed();
        assert!(image("registry.example.com:5000/shop/web:1"));
        assert!(!image("docker.io/library/postgres:16") && !image("nginx") && !image("redis@sha256:0"));
        assert!(
            Service { build: Some(json!(".")), image: Some("nginx".to_owned()), ..Service::default() }.is_deployed()
        );
    }
}
