//! How an image is built from source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

/// A build, as `docker build` takes it. It is carried out by the command line before anything is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// The image's name without a tag.
    pub repository: String,
    /// The folder that is sent to the builder; absolute.
    pub context: PathBuf,
    /// The Dockerfile; absolute. `Dockerfile` in the context if not given.
    pub dockerfile: Option<PathBuf>,
    /// Build arguments. They end up in the image's history, but not in ours.
    pub args: BTreeMap<String, Secret>,
    /// The stage to build.
    pub target: Option<String>,
    /// The platform, as `os/architecture`.
    pub platform: Option<String>,
    /// The tag; a new one for each build if not given.
    pub tag: Option<String>,
    /// Whether it is pushed to its registry.
    pub push: bool,
}
