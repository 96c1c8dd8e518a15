//! What containers mount.

use std::path::{Path, PathBuf};

use cutover_core::spec::{Mount, MountKind};
use cutover_core::unit::ByteSize;

use super::Place;
use crate::config::reader::{Located, Reader};

/// Reads `volumes`: `name:/path[:ro]`, `./folder:/path[:ro]`, or `/path` for a volume without a name.
pub(super) fn volumes(reader: &Reader, place: &Place) -> Vec<Mount> {
    let texts = reader.texts("volumes").map(|texts| texts.value).unwrap_or_default();
    texts.iter().filter_map(|text| volume(reader, place, text)).collect()
}

fn volume(reader: &Reader, place: &Place, text: &Located<&str>) -> Option<Mount> {
    let parts: Vec<&str> = text.value.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] => (None, target, "rw"),
        [source, target] => (Some(source), target, "rw"),
        [source, target, mode] => (Some(source), target, mode),
        _ => {
            wrong(reader, "volumes", text, "expected source:target or source:target:ro");
            return None;
        }
    };
    let target = inside(reader, "volumes", text, target)?;
    let read_only = match mode {
        "ro" => true,
        "rw" | "z" | "Z" => false,
        _ => {
            wrong(reader, "volumes", text, &format!("{mode:?} is not a mode: ro or rw"));
            return None;
        }
    };
    let kind = match source {
        Some(path) if path.starts_with(['.', '/', '~']) => bind(reader, place, text, path)?,
        Some(name) if is_volume(name) => MountKind::Volume { name: Some(name.to_owned()), no_copy: false },
        Some(name) => {
            wrong(reader, "volumes", text, &format!("{name:?} is not the name of a volume"));
            return None;
        }
        None => MountKind::Volume { name: None, no_copy: false },
    };
    Some(Mount { kind, target, read_only })
}

fn bind(reader: &Reader, place: &Place, text: &Located<&str>, path: &str) -> Option<MountKind> {
    let source = place.resolve(path);
    if !source.exists() {
        let hint = if path.starts_with('~') {
            "`~` is not replaced here; write the whole path".to_owned()
        } else {
            format!("make it, or correct the path; a volume has a name without `/`: {}", source.display())
        };
        reader.wrong_value("volumes", text.at, format_args!("{} does not exist", source.display())).hint(hint);
        return None;
    }
    Some(MountKind::Bind { source, propagation: None, create: false })
}

/// Reads `tmpfs`: `/path` or `/path:64MiB`.
pub(super) fn tmpfs(reader: &Reader) -> Vec<Mount> {
    let texts = reader.texts("tmpfs").map(|texts| texts.value).unwrap_or_default();
    let read = |text: &Located<&str>| {
        let (target, size) = match text.value.split_once(':') {
            Some((target, size)) => (target, Some(size)),
            None => (text.value, None),
        };
        let size = size.map(|size| {
            let size: Option<ByteSize> = size.parse().ok();
            if size.is_none() {
                wrong(reader, "tmpfs", text, "expected a path, or a path and a size such as /tmp:64MiB");
            }
            size
        });
        let target = inside(reader, "tmpfs", text, target)?;
        Some(Mount { kind: MountKind::Tmpfs { size: size.flatten(), mode: None }, target, read_only: false })
    };
    texts.iter().filter_map(read).collect()
}

/// Two mounts in one place hide each other.
pub(super) fn check_distinct(reader: &Reader, mounts: &[Mount]) {
    let mut targets: Vec<&Path> = mounts.iter().map(|mount| mount.target.as_path()).collect();
    targets.sort();
    if let Some(twice) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format_args!("{} is mounted twice", twice[0].display());
        reader.wrong_value("volumes", reader.place_of("volumes"), message).hint_if(None);
    }
}

fn inside(reader: &Reader, key: &str, text: &Located<&str>, target: &str) -> Option<PathBuf> {
    if !target.starts_with('/') {
        wrong(reader, key, text, &format!("{target:?} is not an absolute path in the container"));
        return None;
    }
    Some(PathBuf::from(target))
}

fn is_volume(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(inner)
}

fn wrong(reader: &Reader, key: &str, text: &Located<&str>, message: &str) {
    reader
        .wrong_value(key, text.at, message)
        .hint("write for example \"data:/var/lib/app\", \"./conf:/etc/app:ro\" or \"/tmp:64MiB\" (tmpfs)");
}
