//! Volumes, memory file systems, secrets and configs of a service.

use std::path::{Path, PathBuf};

use cutover_core::Failure;
use cutover_core::spec::{Mount, MountKind};
use serde_json::{Map, Value};

use super::Resolver;
use super::value::{Keys, plain, size};

pub(super) fn all(resolver: &Resolver, keys: &Keys) -> Result<Vec<Mount>, Failure> {
    let mut mounts: Vec<Mount> =
        keys.list("volumes").iter().map(|volume| one(resolver, keys, volume)).collect::<Result<_, _>>()?;
    mounts.extend(keys.texts("tmpfs").iter().map(|text| tmpfs(text)));
    for (key, folder) in [("secrets", "/run/secrets"), ("configs", "")] {
        for entry in keys.list(key) {
            mounts.push(file(resolver, keys, key, folder, entry)?);
        }
    }
    Ok(mounts)
}

fn one(resolver: &Resolver, keys: &Keys, volume: &Value) -> Result<Mount, Failure> {
    match volume {
        Value::Object(entry) => long(resolver, keys, entry),
        other => short(resolver, keys, &plain(other).unwrap_or_default()),
    }
}

/// `source:target:mode`, `source:target`, or `target`.
fn short(resolver: &Resolver, keys: &Keys, text: &str) -> Result<Mount, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, mode] => (Some(source), target, mode),
        _ => return Err(keys.refused("volumes", &format!("{text:?} is not understood"))),
    };
    let modes: Vec<&str> = mode.split(',').collect();
    let kind = match source {
        None => MountKind::Volume { name: None, no_copy: false },
        Some(path) if path.starts_with(['.', '/', '~']) => {
            MountKind::Bind { source: absolute(resolver, path), propagation: None, create: true }
        }
        Some(name) => {
            MountKind::Volume { name: Some(resolver.full_name("volumes", name).0), no_copy: modes.contains(&"nocopy") }
        }
    };
    Ok(Mount { kind, target: PathBuf::from(target), read_only: modes.contains(&"ro") })
}

fn long(resolver: &Resolver, keys: &Keys, entry: &Map<String, Value>) -> Result<Mount, Failure> {
    let text = |key: &str| entry.get(key).and_then(plain).filter(|text| !text.is_empty());
    let under = |table: &str, key: &str| entry.get(table).and_then(|table| table.get(key)).cloned();
    let flag = |table: &str, key: &str| under(table, key) == Some(Value::Bool(true));
    let kind = match text("type").as_deref() {
        Some("volume") => MountKind::Volume {
            name: text("source").map(|name| resolver.full_name("volumes", &name).0),
            no_copy: flag("volume", "nocopy"),
        },
        Some("bind") => MountKind::Bind {
            source: absolute(resolver, &text("source").unwrap_or_default()),
            propagation: under("bind", "propagation").as_ref().and_then(plain),
            create: flag("bind", "create_host_path"),
        },
        Some("tmpfs") => MountKind::Tmpfs {
            size: under("tmpfs", "size").as_ref().and_then(plain).and_then(|text| size(&text)),
            mode: under("tmpfs", "mode").as_ref().and_then(plain).and_then(|mode| mode.parse().ok()),
        },
        other => return Err(keys.refused("volumes", &format!("the type {other:?} cannot be carried over"))),
    };
    let read_only = entry.get("read_only") == Some(&Value::Bool(true));
    Ok(Mount { kind, target: PathBuf::from(text("target").unwrap_or_default()), read_only })
}

/// `/path`, or `/path:size=64m,mode=755`.
fn tmpfs(text: &str) -> Mount {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let option = |name: &str| options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
    let mode = option("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let kind = MountKind::Tmpfs { size: option("size").and_then(size), mode };
    Mount { kind, target: PathBuf::from(target), read_only: false }
}

/// A secret or config that is a file.
fn file(resolver: &Resolver, keys: &Keys, table: &str, folder: &str, entry: &Value) -> Result<Mount, Failure> {
    let (source, target) = match entry {
        Value::Object(entry) => (entry.get("source").and_then(plain), entry.get("target").and_then(plain)),
        other => (plain(other), None),
    };
    let source = source.unwrap_or_default();
    let path = resolver.shared(table, &source).and_then(|shared| shared.get("file")).and_then(plain);
    let path =
        path.ok_or_else(|| keys.refused(table, &format!("{source} is not a file, and only files can be mounted")))?;
    let target = PathBuf::from(target.unwrap_or_else(|| source.clone()));
    let target =
        if target.is_absolute() { target } else { Path::new("/").join(folder.trim_start_matches('/')).join(target) };
    let kind = MountKind::Bind { source: absolute(resolver, &path), propagation: None, create: false };
    Ok(Mount { kind, target, read_only: true })
}

fn absolute(resolver: &Resolver, path: &str) -> PathBuf {
    crate::config::normal_path(&resolver.project.directory.join(path))
}
