//! Mounts, in the engine's words.

use bollard::models::{
    Mount as Body, MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountTmpfsOptions, MountType,
    MountVolumeOptions,
};
use cutover_core::spec::{Mount, MountKind};

/// All mounts of a container.
pub fn all(mounts: &[Mount]) -> Vec<Body> {
    mounts.iter().map(one).collect()
}

fn one(mount: &Mount) -> Body {
    let body =
        Body { target: Some(mount.target.display().to_string()), read_only: Some(mount.read_only), ..Body::default() };
    match &mount.kind {
        MountKind::Volume { name, no_copy } => Body {
            typ: Some(MountType::VOLUME),
            source: name.clone(),
            volume_options: Some(MountVolumeOptions { no_copy: Some(*no_copy), ..MountVolumeOptions::default() }),
            ..body
        },
        MountKind::Bind { source, propagation: mode, .. } => Body {
            typ: Some(MountType::BIND),
            source: Some(source.display().to_string()),
            bind_options: mode
                .as_deref()
                .map(|mode| MountBindOptions { propagation: Some(propagation(mode)), ..MountBindOptions::default() }),
            ..body
        },
        MountKind::Tmpfs { size, mode } => Body {
            typ: Some(MountType::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: size.and_then(|size| i64::try_from(size.0).ok()),
                mode: mode.map(i64::from),
                ..MountTmpfsOptions::default()
            }),
            ..body
        },
    }
}

fn propagation(mode: &str) -> Propagation {
    match mode {
        "private" => Propagation::PRIVATE,
        "shared" => Propagation::SHARED,
        "rshared" => Propagation::RSHARED,
        "slave" => Propagation::SLAVE,
        "rslave" => Propagation::RSLAVE,
        _ => Propagation::RPRIVATE,
    }
}
