//! The life of one sample: start, accept, be told to stop, end.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::connection;
use crate::faults::CRASHED;
use crate::options::{OnTerm, Options};
use crate::state::{Phase, State};

/// The status of a process that SIGTERM has ended, as a shell reports it.
const TERMINATED: u8 = 143;

/// Runs a sample on a small runtime of its own and gives the process's exit status. For a `main`.
pub fn run_to_exit(options: Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(options))) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("sample: could not run: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Listens where the options say, until SIGTERM. Gives the exit status.
///
/// # Errors
/// When the address cannot be listened on, or the ledger cannot be opened.
pub async fn run(options: Options) -> io::Result<u8> {
    if let Some(code) = options.exit_at_start {
        fail_to_start(&options);
        return Ok(code);
    }
    // Taken before the sample listens: whoever sees the port open may send the signal.
    let mut term = signal(SignalKind::terminate())?;
    if let Some(wait) = options.listen_after {
        tokio::time::sleep(wait).await;
    }
    let listener = TcpListener::bind(SocketAddr::new(options.bind, options.port)).await?;
    run_on(listener, options, async move {
        term.recv().await;
    })
    .await
}

/// Serves on a listener that is there already, until `term` is done. Gives the exit status. For tests in the same process.
///
/// # Errors
/// When the ledger cannot be opened.
pub async fn run_on(listener: TcpListener, options: Options, term: impl Future<Output = ()>) -> io::Result<u8> {
    let state = Arc::new(State::new(options)?);
    let who = format!("{} release {} instance {}", state.options.service, state.options.release, state.instance);
    log(&format!("sample: {who} listens on {}", listener.local_addr()?));
    // Dropped at each return below, which cuts the connections that are left.
    let mut connections = JoinSet::new();
    let told = tokio::select! {
        () = accept(&listener, &state, &mut connections) => None,
        code = doomed(&state) => Some(code),
        () = heeded(term, state.options.on_term) => None,
    };
    drop(listener);
    let code = match (told, state.options.on_term) {
        (Some(code), _) => code,
        (None, OnTerm::Exit) => TERMINATED,
        (None, _) => tokio::select! {
            () = finish(&state, connections) => 0,
            code = doomed(&state) => code,
        },
    };
    log(&format!("sample: {who} stops with status {code}"));
    Ok(code)
}

async fn accept(listener: &TcpListener, state: &Arc<State>, connections: &mut JoinSet<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection::serve(stream, state.clone()));
            }
            // Out of descriptors, most likely. Waiting a little keeps this from becoming a busy loop.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Done when the sample is to die by one of its own faults.
async fn doomed(state: &State) -> u8 {
    let timed = async {
        match state.options.exit_after {
            Some(after) => tokio::time::sleep_until((state.started + after).into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = timed => state.options.exit_code,
        () = state.reached(Phase::Crashed) => CRASHED,
    }
}

async fn heeded(term: impl Future<Output = ()>, on_term: OnTerm) {
    term.await;
    if on_term == OnTerm::Ignore {
        log("sample: was told to stop, and goes on");
        std::future::pending::<()>().await;
    }
}

async fn finish(state: &State, mut connections: JoinSet<()>) {
    state.enter(Phase::Stopping);
    state.idle().await;
    state.enter(Phase::Closing);
    while connections.join_next().await.is_some() {}
}

fn fail_to_start(options: &Options) {
    complain("sample: loading the configuration");
    complain(&format!("sample: error: release {} cannot start", options.release));
    complain("sample:   caused by: --exit-at-start was given");
}

/// A closed stdout must not take the service down, so the result is dropped.
fn log(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
