//! The nginx of a route: where it runs, and what is written for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cutover_core::spec::{NginxAt, NginxProgram, NginxRoute, NginxShape};

use super::{Place, command};
use crate::config::reader::Reader;
use crate::config::tree::Value;

/// The keys that choose a shape, and those that only have a meaning with it.
const SHAPES: [(&str, &[&str]); 4] =
    [("upstream", &["directives", "server"]), ("variable", &["value"]), ("down", &[]), ("sites", &[])];

/// Reads the `nginx` table of a route.
pub(super) fn read(service: &Reader, reader: &Reader, place: &Place) -> Option<NginxRoute> {
    let at = at(reader);
    let file = path(reader, place, "file", reader.has("ssh"));
    let shape = shape(service, reader, place);
    let (url, advertise) = (url(reader), advertise(reader));
    let elsewhere = reader.has("ssh") || reader.has("container");
    let access_log = if reader.has("access_log") { path(reader, place, "access_log", elsewhere) } else { None };
    Some(NginxRoute { at: at?, shape: shape?, file: file?, url, advertise, access_log })
}

fn at(reader: &Reader) -> Option<NginxAt> {
    let default = NginxProgram::default();
    let words = |key| Some(command::into_words(command::read(reader, key))).filter(|words| !words.is_empty());
    let program = NginxProgram {
        config: reader.plain("config").map(|config| PathBuf::from(config.value)),
        command: words("command").unwrap_or(default.command),
        reload: words("reload"),
    };
    let options: Vec<String> =
        reader.texts("ssh_options").into_iter().flat_map(|o| o.value).map(|o| o.value.to_owned()).collect();
    if reader.has("ssh_options") && !reader.has("ssh") {
        only_with(reader, "ssh_options", "ssh");
    }
    match (reader.plain("container"), reader.plain("ssh")) {
        (Some(container), Some(_)) => {
            reader.wrong_value("container", container.at, "cannot stand beside ssh").hint(
                "a container on another host is reached by ssh with command = [\"docker\", \"exec\", NAME, \"nginx\"]",
            );
            None
        }
        (Some(name), None) => Some(NginxAt::Container { name: name.value.to_owned(), program }),
        (None, Some(ssh)) if ssh.value.starts_with('-') => {
            reader.wrong_value("ssh", ssh.at, "expected a host, found an option").hint("options go to ssh_options");
            None
        }
        (None, Some(ssh)) => Some(NginxAt::Ssh { destination: ssh.value.to_owned(), options, program }),
        (None, None) => Some(NginxAt::Host(program)),
    }
}

fn only_with(reader: &Reader, key: &str, other: &str) {
    let message = format!("has no meaning without {other}");
    reader.wrong_value(key, reader.place_of(key), message).hint_if(None);
}

/// A path where nginx runs. One of this host may be relative to the configuration's folder.
fn path(reader: &Reader, place: &Place, key: &str, elsewhere: bool) -> Option<PathBuf> {
    let written = reader.plain(key)?;
    if elsewhere && !Path::new(written.value).is_absolute() {
        let message = format_args!("{:?} is not a whole path, and lies on another host", written.value);
        reader.wrong_value(key, written.at, message).hint("begin it with \"/\"");
        return None;
    }
    Some(place.resolve(written.value))
}

fn shape(service: &Reader, reader: &Reader, place: &Place) -> Option<NginxShape> {
    let chosen: Vec<&str> = SHAPES.iter().map(|(key, _)| *key).filter(|key| reader.has(key)).collect();
    for (shape, keys) in SHAPES {
        for key in keys.iter().filter(|key| reader.has(key) && !reader.has(shape)) {
            let has_form = if *key == "directives" { reader.texts(key).is_some() } else { reader.plain(key).is_some() };
            if has_form {
                only_with(reader, key, shape);
            }
        }
    }
    match &chosen[..] {
        ["upstream"] => upstream(reader),
        ["variable"] => one_instance(service, reader, "variable").and_then(|()| variable(reader)),
        ["down"] => Some(NginxShape::Down { upstream: name(reader, "down")? }),
        ["sites"] => one_instance(service, reader, "sites").and_then(|()| sites(reader, place)),
        [] => {
            reader
                .mistake(reader.at, format!("{}: what is to be written is missing", reader.path_of("file")))
                .hint("add upstream = \"NAME\" (or variable, down, sites)");
            None
        }
        [.., second] => {
            let message = "only one of upstream, variable, down and sites can be written into a file";
            reader.wrong_value(second, reader.place_of(second), message).hint_if(None);
            None
        }
    }
}

/// What leads to one instance cannot serve several.
fn one_instance(service: &Reader, reader: &Reader, key: &str) -> Option<()> {
    let several = service.node("replicas").is_some_and(|node| matches!(node.value, Value::Integer(n) if n > 1));
    if several {
        let message = "leads to one instance, and replicas says more";
        reader.wrong_value(key, reader.place_of(key), message).hint("use upstream, or replicas = 1");
    }
    (!several).then_some(())
}

fn upstream(reader: &Reader) -> Option<NginxShape> {
    let directives = reader.texts("directives").map(|d| d.value).unwrap_or_default();
    for directive in &directives {
        if directive.value.trim_end().trim_end_matches(';').contains([';', '{', '}', '\n', '#']) {
            let message = format_args!("{:?} is not one directive", directive.value);
            reader.wrong_value("directives", directive.at, message).hint("write each as a text of its own");
        }
    }
    let server = reader.plain("server");
    if let Some(server) = server.as_ref().filter(|server| server.value.contains([';', '{', '}', '#'])) {
        reader.wrong_value("server", server.at, "expected parameters, without `;`").hint_if(None);
    }
    Some(NginxShape::Upstream {
        name: name(reader, "upstream")?,
        directives: directives.iter().map(|directive| directive.value.to_owned()).collect(),
        server: server.map(|server| server.value.to_owned()),
    })
}

fn name(reader: &Reader, key: &str) -> Option<String> {
    let name = reader.plain(key)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.value.chars().all(good) {
        return Some(name.value.to_owned());
    }
    let message = format_args!("{:?} is not the name of an upstream", name.value);
    reader.wrong_value(key, name.at, message).hint("write the name alone, as it stands behind `upstream`");
    None
}

fn variable(reader: &Reader) -> Option<NginxShape> {
    let name = reader.plain("variable")?;
    let bare = name.value.strip_prefix('$').unwrap_or(name.value);
    if bare.is_empty() || !bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let message = format_args!("{:?} is not the name of a variable", name.value);
        reader.wrong_value("variable", name.at, message).hint("write for example \"service_url\"");
        return None;
    }
    let value = reader.plain("value");
    let text = value.as_ref().map_or("http://{address}", |value| value.value);
    let rest = text.replace("{address}", "");
    if rest == text || rest.contains([';', '{', '}', '"', '\'', '#']) || rest.contains(char::is_whitespace) {
        let message = format_args!("{text:?} does not hold {{address}}, or holds what cannot stand in a value");
        let at = value.map_or(name.at, |value| value.at);
        reader.wrong_value("value", at, message).hint("write for example \"http://{address}\"");
        return None;
    }
    Some(NginxShape::Variable { name: bare.to_owned(), value: text.to_owned() })
}

fn sites(reader: &Reader, place: &Place) -> Option<NginxShape> {
    let mut choices = BTreeMap::new();
    for (key, file) in reader.values("sites") {
        let is_known = key.parse::<u16>().is_ok() || key.parse::<std::net::SocketAddr>().is_ok();
        if !is_known {
            let message = format_args!("{key:?} is neither a port nor an address with one");
            reader.wrong_value("sites", file.at, message).hint("write for example { 8080 = \"…\", 8081 = \"…\" }");
        }
        let path = if reader.has("ssh") { PathBuf::from(&file.value) } else { place.resolve(&file.value) };
        choices.insert(key.to_owned(), path);
    }
    (!choices.is_empty()).then_some(NginxShape::Site { choices })
}

fn url(reader: &Reader) -> Option<String> {
    let url = reader.plain("url")?;
    let rest = url.value.strip_prefix("http://").or_else(|| url.value.strip_prefix("https://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace)) {
        return Some(url.value.to_owned());
    }
    let message = format_args!("{:?} is not a URL", url.value);
    reader.wrong_value("url", url.at, message).hint("write for example \"http://shop.example.com/\"");
    None
}

fn advertise(reader: &Reader) -> Option<IpAddr> {
    let address = reader.plain("advertise")?;
    let parsed = address.value.parse();
    if parsed.is_err() {
        let message = format_args!("{:?} is not an address", address.value);
        reader.wrong_value("advertise", address.at, message).hint("write the address alone: \"192.0.2.7\"");
    }
    parsed.ok()
}
