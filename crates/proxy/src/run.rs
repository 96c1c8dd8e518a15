//! The proxy process: start from the disk, serve, quit.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cutover_core::Timestamp;
use rustix::fs::{FlockOperation, Mode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::control::publish::Control;
use crate::control::{SOCKET, server};
use crate::disk::{self, LoadError};
use crate::worker::{self, Shared};

/// How long a quitting proxy waits for requests in flight.
const FINISH: Duration = Duration::from_secs(30);

/// How to run a proxy.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory for its table, lock and control socket. Made if it is missing.
    pub state: PathBuf,
    /// How many workers; as many as there are processors if not given.
    pub threads: Option<usize>,
}

/// Why a proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Its directory cannot be used.
    #[error("cannot use the state directory {}", path.display())]
    State {
        /// The directory, or a file in it.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is one already.
    #[error("another proxy runs with the state directory {}", .0.display())]
    Running(PathBuf),
    /// There is no table to start from.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The table cannot be served any more.
    #[error("cannot serve the stored table: {0}")]
    Table(String),
    /// The operating system refuses what every proxy needs.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

/// Runs a proxy until it is asked to quit: by SIGTERM, SIGINT, or through its socket. Blocks; the process should do nothing
/// else. SIGHUP is ignored, so that the proxy survives the terminal and the agent it was started from.
pub fn run(options: Options) -> Result<(), ProxyError> {
    let Options { state, threads } = options;
    let state_error = |source| ProxyError::State { path: state.clone(), source };
    fs::create_dir_all(&state).map_err(state_error)?;
    let _lock = lock(&state)?;
    raise_descriptor_limit();
    let table = disk::load(&state)?;
    let count = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1);
    let shared = Arc::new(Shared::new(count, now()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProxyError::Start)?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(ProxyError::Start)?;
        let workers = workers(count, &shared).map_err(ProxyError::Start)?;
        let control = Arc::new(Control::new(state.clone(), shared, workers));
        control.resume(table).await.map_err(|problem| ProxyError::Table(problem.message))?;
        let serving = tokio::spawn(server::serve(control.clone(), socket(&state).map_err(state_error)?));
        let watched = control.clone();
        let watching = tokio::spawn(async move { watched.certificates.watch().await });
        signals.or_asked(&control).await;
        watching.abort();
        serving.abort();
        let _ = fs::remove_file(state.join(SOCKET));
        if tokio::time::timeout(FINISH, control.finish()).await.is_err() {
            tracing::warn!("not everything was finished in {FINISH:?}; quitting all the same");
        }
        Ok(())
    })
}

/// Every client takes two descriptors. The soft limit is low for the sake of programs that use select(2).
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If it is refused, the proxy serves fewer clients at once.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Takes the lock of the state directory for as long as the file lives.
fn lock(state: &Path) -> Result<File, ProxyError> {
    let path = state.join("proxy.lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|source| ProxyError::State { path: path.clone(), source })?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ProxyError::Running(state.to_owned())),
        Err(error) => Err(ProxyError::State { path, source: error.into() }),
    }
}

/// The control socket, for our own user only. Whatever lies in its place is stale, for we have the lock.
fn socket(state: &Path) -> io::Result<UnixListener> {
    let path = state.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The mask makes the socket private from its first moment, not only after it could be opened.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(&path);
    rustix::process::umask(mask);
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    listener
}

/// Starts the workers.
fn workers(count: usize, shared: &Arc<Shared>) -> io::Result<Vec<mpsc::UnboundedSender<worker::order::Order>>> {
    let start = |index: usize| {
        let (orders, receiver) = mpsc::unbounded_channel();
        let shared = shared.clone();
        let name = format!("worker-{index}");
        std::thread::Builder::new().name(name).spawn(move || {
            if let Err(error) = worker::run(index, shared, receiver) {
                tracing::error!(index, %error, "a worker could not start");
            }
        })?;
        Ok(orders)
    };
    (0..count).map(start).collect()
}

/// The signals that a proxy obeys or ignores.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until somebody asks the process to quit.
    async fn or_asked(&mut self, control: &Control) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                () = control.quit.notified() => return,
                _ = self.hangup.recv() => {}
            }
        }
    }
}
