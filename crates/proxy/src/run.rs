//! The proxy process: start from the disk or as the successor of another, serve, quit or be succeeded.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cutover_core::Timestamp;
use rustix::fs::{FlockOperation, Mode};
use rustix::process::{Resource, Rlimit, WaitOptions, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::control::client::Client;
use crate::control::publish::{Control, Seat};
use crate::control::server::{self, Door};
use crate::control::{Farewell, Problem, SOCKET};
use crate::disk::{self, LoadError};
use crate::log::Logs;
use crate::notify;
use crate::span;
use crate::succession::{Heir, leaving};
use crate::worker::order::Order;
use crate::worker::{self, Shared};

/// How long a quitting proxy waits for requests in flight.
const FINISH: Duration = Duration::from_secs(30);

/// How a process that was replaced closes the streams that have used up their time: spread over this.
const STREAMS_OVER: Duration = Duration::from_secs(5);

/// How often it looks whether it is done.
const LOOK: Duration = Duration::from_millis(50);

/// How long it waits for the last lines of its access logs.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How to run a proxy.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory for its table, lock and control socket. Made if it is missing.
    pub state: PathBuf,
    /// How many workers; as many as there are processors if not given.
    pub threads: Option<usize>,
    /// Whether it succeeds the proxy that started it, which is at its standard input.
    pub succeed: bool,
    /// The arguments with which its own successor is to be started: those of this process, and whatever makes it succeed.
    pub successor: Vec<OsString>,
    /// Whether it stays, once it was replaced and is done, until all that came after it has ended: for whoever
    /// watches this very process, and would take its end for the proxy's.
    pub stay: bool,
}

impl Options {
    /// A proxy of this directory that cannot be replaced.
    pub fn of(state: PathBuf) -> Self {
        Self { state, threads: None, succeed: false, successor: Vec::new(), stay: false }
    }
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
    /// It was to succeed another proxy, and that came to nothing.
    #[error(
        "cannot take over from the proxy that runs; only that starts a successor, when `cutover proxy upgrade` asks it to"
    )]
    Inherit(#[source] io::Error),
    /// The operating system refuses what every proxy needs.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

/// Runs a proxy until it is asked to quit: by SIGTERM, SIGINT, or through its socket; or until it was replaced and is done. Blocks; the
/// process should do nothing else. SIGHUP is ignored, so that the proxy survives the terminal and the agent it was started from.
pub fn run(options: Options) -> Result<(), ProxyError> {
    make(&options.state).map_err(|source| ProxyError::State { path: options.state.clone(), source })?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProxyError::Start)?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(ProxyError::Start)?;
        let control = if options.succeed { succeed(options).await } else { begin(options).await }?;
        let socket = main_socket(&control).map_err(ProxyError::Start)?;
        let serving = server::begin(control.clone(), Door::Main, socket);
        tokio::spawn(span::run(control.shared.live.spans().clone()));
        let watched = control.clone();
        // Also while it leaves: its clients may shake hands again.
        tokio::spawn(async move { watched.certificates.watch().await });
        control.certificates.upkeep.begin();
        notify::ready(std::process::id());
        let departed = signals.or_asked_or_departed(&control).await;
        control.certificates.upkeep.end();
        serving.abort();
        if departed {
            leave(&control, &mut signals).await;
        } else {
            quit(&control).await;
        }
        write_last_lines(control.shared.live.logs()).await;
        Ok(())
    })
}

/// Waits until the access logs are written. One that blocks must not keep a process that is done.
async fn write_last_lines(logs: &Logs) {
    logs.quit();
    let written = async {
        while !logs.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(LAST_LINES, written).await.is_err() {
        tracing::warn!("the last lines of the access logs could not be written in {LAST_LINES:?}");
    }
}

/// Makes the directory, for our own user only; what leads there is for everybody to pass.
fn make(state: &Path) -> io::Result<()> {
    state.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state)
}

/// Begins as the only one.
async fn begin(options: Options) -> Result<Arc<Control>, ProxyError> {
    let state = options.state.clone();
    let lock = lock(&state)?;
    let table = disk::load(&state)?;
    let control = control(options, now())?;
    let listeners = control.ready_to_resume(&table, HashMap::new()).map_err(unfit)?;
    control.resume(table, listeners).await;
    let path = state.join(SOCKET);
    let socket = private_socket(&path).and_then(UnixListener::into_std);
    let socket = socket.map_err(|source| ProxyError::State { path, source })?;
    take_seat(&control, Seat { lock, socket });
    Ok(control)
}

/// Begins as the successor of the one that started this process. Nothing is accepted before its turn has come.
async fn succeed(options: Options) -> Result<Arc<Control>, ProxyError> {
    let heir = Heir::greet().await.map_err(ProxyError::Inherit)?;
    let prepared = async {
        let estate = heir.inherit().await.map_err(ProxyError::Inherit)?;
        let table = disk::load(&options.state)?;
        let control = control(options, estate.since)?;
        let listeners = control.ready_to_resume(&table, estate.listening).map_err(unfit)?;
        control.resume(table.clone(), Vec::new()).await;
        Ok((control, table, listeners, estate.seat, estate.stderr))
    };
    let (control, table, listeners, seat, stderr) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            heir.failed(said_in_full(&error)).await;
            return Err(error);
        }
    };
    let past = heir.turn(table.generation).await.map_err(ProxyError::Inherit)?;
    *control.past() = past;
    control.resume(table, listeners).await;
    take_seat(&control, seat);
    heir.serving().await;
    // If that fails, what we have to say goes on into the file where it began.
    let _ = rustix::stdio::dup2_stderr(stderr);
    Ok(control)
}

fn unfit(problem: Problem) -> ProxyError {
    ProxyError::Table(problem.message)
}

fn said_in_full(error: &ProxyError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn control(options: Options, since: Timestamp) -> Result<Arc<Control>, ProxyError> {
    let processors = || std::thread::available_parallelism().ok().map(usize::from);
    let count = options.threads.or_else(processors).unwrap_or(1).max(1);
    let shared = Arc::new(Shared::new(count, now()));
    crate::log::start(shared.clone()).map_err(ProxyError::Start)?;
    let workers = workers(count, &shared).map_err(ProxyError::Start)?;
    Ok(Arc::new(Control::new(options, shared, workers, since)))
}

/// From here on this process is the proxy. The lock's file names it.
fn take_seat(control: &Control, mut seat: Seat) {
    let named = seat.lock.set_len(0).and_then(|()| {
        seat.lock.rewind()?;
        seat.lock.write_all(std::process::id().to_string().as_bytes())
    });
    if let Err(error) = named {
        tracing::warn!(%error, "the lock does not name this process");
    }
    *control.seat.lock().unwrap_or_else(PoisonError::into_inner) = Some(seat);
}

fn main_socket(control: &Control) -> io::Result<UnixListener> {
    let seat = control.seat.lock().unwrap_or_else(PoisonError::into_inner);
    let socket = seat.as_ref().ok_or_else(|| io::Error::other("the control socket is gone"))?.socket.try_clone()?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

/// Quits as the proxy, and with it all that was the proxy before.
async fn quit(control: &Control) {
    leaving::ask(control.state(), |client| async move { client.quit().await }).await;
    finish(control).await;
    if control.has_left() {
        // A successor took over in the same moment.
        let _ = Client::of_state(control.state()).quit().await;
    } else {
        let _ = fs::remove_file(control.state().join(SOCKET));
    }
}

async fn finish(control: &Control) {
    if tokio::time::timeout(FINISH, control.finish()).await.is_err() {
        tracing::warn!("not everything was finished in {FINISH:?}; quitting all the same");
    }
    control.shared.live.spans().finish().await;
}

/// Leaves, after a successor has taken over: when all connections have ended, or soon after the streams have used up their time, or when
/// asked to.
async fn leave(control: &Control, signals: &mut Signals) {
    let streams = *control.streams.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::select! {
        () = ended(control, streams) => {}
        () = signals.or_asked(control) => {}
    }
    finish(control).await;
    let stats = control.own_in_full();
    let farewell = Farewell { pid: std::process::id(), stats };
    if let Err(error) = Client::of_state(control.state()).farewell(&farewell).await {
        tracing::warn!(%error, "nobody was told what this process has counted");
    }
    let _ = fs::remove_file(leaving::socket(control.state(), std::process::id()));
    // The answer to whoever asked for the upgrade, and to whoever asks what we have in hand.
    let answered = async {
        while control.conversations.load(SeqCst) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), answered).await;
    tracing::info!("everything is finished; leaving");
    if control.options.stay {
        signals.until_all_has_ended(control).await;
    }
}

/// Waits until no connection is left. Streams are ended when they have used up their time, counted from now.
async fn ended(control: &Control, streams: Duration) {
    if tokio::time::timeout(streams, no_connection(control)).await.is_err() {
        let targets = control.shared.live.targets();
        control.order(|| Order::CloseStreams { targets: targets.clone(), over: STREAMS_OVER });
        let _ = tokio::time::timeout(STREAMS_OVER, no_connection(control)).await;
    }
}

async fn no_connection(control: &Control) {
    loop {
        tokio::time::sleep(LOOK).await;
        if control.shared.connections.load(SeqCst) == 0 {
            return;
        }
    }
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

/// A socket for our own user only. Whatever lies in its place is stale.
pub fn private_socket(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The mask makes the socket private from its first moment, not only after it could be opened.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(mask);
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
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
    child: tokio::signal::unix::Signal,
    /// Access logs were moved, by logrotate or others: nginx knows the same signal.
    user: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            child: signal(SignalKind::child())?,
            user: signal(SignalKind::user_defined1())?,
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
                _ = self.user.recv() => control.shared.live.logs().reopen(),
            }
        }
    }

    /// The same, or until a successor has taken over: then true.
    async fn or_asked_or_departed(&mut self, control: &Control) -> bool {
        tokio::select! {
            () = self.or_asked(control) => false,
            () = control.departed.notified() => true,
        }
    }

    /// Waits until every process that came after this one has ended, and passes on the wish to quit.
    async fn until_all_has_ended(&mut self, control: &Control) {
        while children_left() {
            tokio::select! {
                _ = self.terminate.recv() => ask_to_quit(control).await,
                _ = self.interrupt.recv() => ask_to_quit(control).await,
                _ = self.child.recv() => {}
            }
        }
    }
}

/// Takes note of children that have ended. Whether others are left.
fn children_left() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

async fn ask_to_quit(control: &Control) {
    if let Err(error) = Client::of_state(control.state()).quit().await {
        tracing::warn!(%error, "the proxy that came after this process was not told to quit");
    }
}
