//! `cutover proxy run|status|reopen|upgrade`

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cutover_core::Failure;
use cutover_proxy::client::{Client, ClientError, Upgrade};

use super::super::args::{ProxyRunArgs, ProxyUpgradeArgs};
use super::super::background;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::show;
use crate::agent::api::Status;

/// Is the proxy. The directory is its own, below the agent's: the agent names it.
pub fn run(args: &ProxyRunArgs, state: Option<&Path>) -> Result<(), CliError> {
    let state = state.ok_or_else(|| CliError::usage("the proxy needs --state with its own directory"))?;
    background::leave_session();
    background::begin_log();
    let options = cutover_proxy::Options {
        state: state.to_owned(),
        threads: args.threads,
        succeed: args.succeed,
        successor: successor(args, state),
        // The end of a container's first process is the end of the container.
        stay: args.stay || std::process::id() == 1,
    };
    cutover_proxy::run(options).map_err(|error| CliError::io("the proxy ended", &error))
}

/// The arguments of a successor. It need not stay: whoever watches the first process is content with that.
fn successor(args: &ProxyRunArgs, state: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["proxy", "run", "--succeed", "--state"].map(Into::into).to_vec();
    arguments.push(state.into());
    if let Some(threads) = args.threads {
        arguments.extend(["--threads".into(), threads.to_string().into()]);
    }
    arguments
}

/// Has the proxy open its access logs anew. It is asked on its own socket: logrotate needs no agent.
pub async fn reopen(context: &Context) -> Result<(), CliError> {
    let proxy = cutover_proxy::client::Client::of_state(&context.state.join("proxy"));
    proxy.reopen().await.map_err(|error| CliError::io("the access logs were not opened anew", &error))?;
    context.printer.value(&serde_json::json!({}));
    context.printer.line("the access logs are opened anew");
    Ok(())
}

/// Shows the proxy.
pub async fn status(context: &Context) -> Result<(), CliError> {
    let status: Status = context.client().get("/v1/status").await?;
    let gone = || CliError::new(Kind::Failed, Failure::new("the proxy does not answer"));
    let proxy = status.proxy.ok_or_else(gone)?;
    context.printer.value(&proxy);
    context.printer.line(show::status::proxy(&proxy));
    Ok(())
}

/// Has the proxy replaced. The proxy itself is asked, so that it works without an agent as well.
pub async fn upgrade(args: &ProxyUpgradeArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::of_state(&context.state.join("proxy"));
    let binary = binary(args.binary.as_deref())?;
    let wanted = Upgrade { binary, within_ms: millis(args.within), streams_ms: millis(args.stream_drain) };
    let upgraded = match client.upgrade(&wanted).await {
        Ok(upgraded) => upgraded,
        Err(error) => return Err(explain(&client, error).await),
    };
    context.printer.value(&upgraded);
    context.printer.line(format!(
        "process {} ({}) is the proxy after {} ms; process {} accepts nothing more, and leaves when its requests have ended and its \
         streams too, after {} s at most",
        upgraded.to,
        upgraded.version,
        upgraded.took_ms,
        upgraded.from,
        args.stream_drain.as_secs(),
    ));
    Ok(())
}

/// An absolute path, because the proxy looks from another directory. Our own file is the one of this name, also if it was
/// replaced since we were started.
fn binary(named: Option<&Path>) -> Result<PathBuf, CliError> {
    match named {
        Some(path) => path.canonicalize().map_err(|error| {
            let failure = Failure::because(format!("there is no program {}", path.display()), &error);
            CliError::new(Kind::Refused, failure.hint("nothing has changed"))
        }),
        None => crate::agent::executable().map_err(|error| CliError::io("could not find my own executable", &error)),
    }
}

async fn explain(client: &Client, error: ClientError) -> CliError {
    let (kind, hint) = match &error {
        ClientError::NotReplaced(_) => (Kind::Refused, "nothing has changed; see the log of the proxy".to_owned()),
        ClientError::NotReachable { .. } => match client.info().await {
            Ok(info) => (Kind::Failed, format!("process {} ({}) is the proxy now", info.pid, info.version)),
            Err(_) => (Kind::Failed, "no proxy runs with this state directory; --state names another one".to_owned()),
        },
        _ => (Kind::Failed, "`cutover proxy status` shows who is the proxy".to_owned()),
    };
    CliError::new(kind, Failure::because("could not upgrade the proxy", &error).hint(hint))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
