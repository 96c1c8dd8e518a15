//! The agent: the control plane of one machine, behind a socket.
//!
//! It opens the state directory, puts the engine together with its adapters, and answers. When it leaves or dies, instances and
//! proxy go on; the next agent takes up what it left, from the journal.

pub mod api;
mod history;
mod server;
mod state_dir;
mod status;
mod tell;
mod world;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use cutover_core::{Failure, ServiceName, Timestamp};
use tokio::net::UnixListener;
use tokio::sync::Notify;

pub use state_dir::{StateDir, StateDirError};
pub use status::address;
pub use world::executable;

use crate::engine::port::Runtime;
use crate::engine::{Engine, Identity};
use crate::notify::Notifier;
use crate::router::{BuiltinRouter, Routers};
use crate::runtime::Runtimes;
use crate::store::SqliteJournal;

/// How an agent is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it keeps its state.
    pub state: PathBuf,
    /// A group whose members may use the socket; only the owner if not given.
    pub socket_group: Option<String>,
}

/// A running agent.
pub struct Agent {
    engine: Engine,
    journal: Arc<SqliteJournal>,
    router: Arc<BuiltinRouter>,
    notifier: Notifier,
    state: StateDir,
    started: Timestamp,
}

/// Runs an agent until it is asked to leave, by the socket or by SIGTERM or SIGINT.
pub async fn run(options: Options) -> Result<(), Failure> {
    let state = StateDir::open(&options.state).map_err(|error| state_failure(&error))?;
    let occupied = state.occupy().map_err(|error| state_failure(&error))?;
    let agent = Arc::new(Agent::open(state.clone()).await?);
    // Only now: whoever connects is answered, and an agent that cannot begin says so by how it ends.
    let listener = listen(&state, options.socket_group.as_deref())?;
    let leave = Arc::new(Notify::new());
    // A task of its own, that nothing waits for: it ends with the agent, and the next one goes on.
    tokio::spawn(agent.notifier.clone().run());
    tracing::info!("agent {} at {}", std::process::id(), state.path().display());
    let served = axum::serve(listener, server::routes(agent, leave.clone()));
    tokio::select! {
        _ = served => {}
        () = leave.notified() => tracing::info!("asked to leave"),
        () = asked_by_signal() => tracing::info!("asked to leave by a signal"),
    }
    let _ = std::fs::remove_file(state.socket());
    drop(occupied);
    Ok(())
}

impl Agent {
    async fn open(state: StateDir) -> Result<Self, Failure> {
        let journal = SqliteJournal::open(state.path()).map_err(|error| {
            let hint = error.hint();
            Failure::because("the agent cannot begin", &error).hint(hint)
        })?;
        let journal = Arc::new(journal);
        let token = state.token().map_err(|error| state_failure(&error))?;
        let starts = journal.count_start().await.map_err(|error| error.0)?;
        let executable = world::executable().map_err(|e| Failure::because("could not find my own executable", &e))?;
        let runtime: Arc<dyn Runtime> = Arc::new(Runtimes::new(state.path(), &executable));
        let router = BuiltinRouter::start(state.proxy(), executable).await?;
        let routers = Routers::new(router.clone(), state.path(), runtime.clone());
        let world = world::real(journal.clone(), runtime, Arc::new(routers));
        let (clock, started) = (world.clock.clone(), world.clock.now());
        let engine = Engine::open(world, Identity { token, starts }).await.map_err(|error| error.0)?;
        let notifier = Notifier::new(journal.clone(), engine.ledger().clone(), clock);
        Ok(Self { engine, journal, router, notifier, state, started })
    }

    /// What is live of a service, in a sentence: it ends every error.
    fn live_line(&self, service: &ServiceName) -> Option<String> {
        let state = self.engine.ledger().view().services.get(service).filter(|state| !state.removed).cloned()?;
        Some(match state.live {
            Some(release) => format!("release {release} of {service} is live, untouched by this"),
            None => format!("nothing of {service} is live"),
        })
    }
}

/// Listens on the agent's socket, in place of one that a dead agent left.
fn listen(state: &StateDir, group: Option<&str>) -> Result<UnixListener, Failure> {
    let path = state.socket();
    let failed = |error: &std::io::Error| Failure::because(format!("could not listen on {}", path.display()), error);
    let _ = std::fs::remove_file(&path);
    // Bound under another name first: nobody can connect before the permissions are right.
    let hidden = path.with_extension("new");
    let _ = std::fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden).map_err(|error| failed(&error))?;
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(mode)).map_err(|error| failed(&error))?;
    if let Some(group) = group {
        give_to_group(&hidden, group)?;
    }
    std::fs::rename(&hidden, &path).map_err(|error| failed(&error))?;
    Ok(listener)
}

/// Members of the group may connect.
fn give_to_group(socket: &std::path::Path, group: &str) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(format!("could not give the socket to the group {group}: {why}"));
    let found = nix::unistd::Group::from_name(group).map_err(|error| failed(error.to_string()))?;
    let gid = found.ok_or_else(|| failed("there is no such group".to_owned()))?.gid.as_raw();
    std::os::unix::fs::chown(socket, None, Some(gid)).map_err(|error| failed(error.to_string()))
}

fn state_failure(error: &StateDirError) -> Failure {
    let failure = Failure::because("the agent cannot use its state directory", error);
    Failure { hint: error.hint().map(str::to_owned), ..failure }
}

async fn asked_by_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
