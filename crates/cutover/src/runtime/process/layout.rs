//! Where the process runtime keeps what it knows, below the agent's state directory:
//!
//! ```text
//! ports.lock                              held while a supervisor chooses a port
//! instances/web.r7.i12/lock               held while anything of the instance lives
//! instances/web.r7.i12/record.json        who runs it, on which port
//! instances/web.r7.i12/exit.json          how its last run ended
//! instances/web.r7.i12/stdout.log[.1 …]   what it wrote; stderr.log likewise
//! instances/web.r7.i12/supervisor.log     what its supervisor had to complain about
//! hooks/web.d3.1750000000000.before_start.json    who runs a hook
//! releases/web/7/digest                   the copy beside it is complete, and has this digest
//! releases/web/7/content/app.jar          the copy of the artifact
//! ```
//!
//! `instances` is for the agent's user alone. `releases` must be readable by the users that services run as, and so must
//! the way to it: the state directory itself needs `x` for them.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cutover_core::{InstanceId, ReleaseNo, ServiceName};
use serde::{Deserialize, Serialize};

/// The state directory, seen by this runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    root: PathBuf,
}

/// The directory of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceDir {
    path: PathBuf,
}

impl Layout {
    /// Below `root`, which need not exist yet.
    pub fn new(root: &Path) -> Self {
        // A supervisor leaves the agent's working directory, so that a relative path would mean something else there.
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    /// All instances.
    pub fn instances(&self) -> PathBuf {
        self.root.join("instances")
    }

    /// One instance.
    pub fn instance(&self, id: &InstanceId) -> InstanceDir {
        InstanceDir { path: self.instances().join(id.to_string()) }
    }

    /// Who runs the hooks that are under way.
    pub fn hooks(&self) -> PathBuf {
        self.root.join("hooks")
    }

    /// The lock under which ports are chosen.
    pub fn ports_lock(&self) -> PathBuf {
        self.root.join("ports.lock")
    }

    /// All releases of a service.
    pub fn releases(&self, service: &ServiceName) -> PathBuf {
        self.root.join("releases").join(service.as_str())
    }

    /// One release.
    pub fn release(&self, service: &ServiceName, release: ReleaseNo) -> PathBuf {
        self.releases(service).join(release.to_string())
    }

    /// The copy of a release's artifact. It keeps its name, so that `app.jar` is still called so.
    pub fn copy(&self, service: &ServiceName, release: ReleaseNo, artifact: &Path) -> PathBuf {
        let name = artifact.file_name().unwrap_or_else(|| "artifact".as_ref());
        self.release(service, release).join("content").join(name)
    }
}

impl InstanceDir {
    /// Makes the directory, for this user alone.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Held while anything of the instance lives.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Who runs it.
    pub fn record(&self) -> PathBuf {
        self.path.join("record.json")
    }

    /// How its last run ended.
    pub fn exit(&self) -> PathBuf {
        self.path.join("exit.json")
    }

    /// What it writes to its standard output.
    pub fn stdout(&self) -> PathBuf {
        self.path.join("stdout.log")
    }

    /// What it writes to its standard error.
    pub fn stderr(&self) -> PathBuf {
        self.path.join("stderr.log")
    }

    /// What its supervisor complains about.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }
}
