//! `cutover proxy run|status`

use std::path::Path;

use super::super::args::ProxyRunArgs;
use super::super::background;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::show;
use crate::agent::api::Status;
use cutover_core::Failure;

/// Is the proxy. The directory is its own, below the agent's: the agent names it.
pub fn run(args: &ProxyRunArgs, state: Option<&Path>) -> Result<(), CliError> {
    let state = state.ok_or_else(|| CliError::usage("the proxy needs --state with its own directory"))?;
    background::leave_session();
    background::begin_log();
    let options = cutover_proxy::Options { state: state.to_owned(), threads: args.threads };
    cutover_proxy::run(options).map_err(|error| CliError::io("the proxy ended", &error))
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
