//! `cutover agent run|status|stop`

use std::path::Path;

use super::super::args::{AgentAction, AgentRunArgs, AgentVerb};
use super::super::background;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::show;
use crate::agent::api::Status;
use crate::agent::{self, StateDir};

/// Is the agent.
pub fn run(args: &AgentRunArgs, state: Option<&Path>) -> Result<(), CliError> {
    if args.detached {
        background::leave_session();
    }
    background::begin_log();
    let state = state.map_or_else(StateDir::default_path, Path::to_owned);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("could not start the agent", &error))?;
    let options = agent::Options { state, socket_group: args.socket_group.clone() };
    runtime.block_on(agent::run(options)).map_err(CliError::from)
}

/// Shows the agent, or lets it leave.
pub async fn agent(args: &AgentVerb, context: &Context) -> Result<(), CliError> {
    let client = context.client();
    match args.verb {
        AgentAction::Stop => {
            let answer: serde_json::Value = client.post("/v1/stop", &serde_json::json!({})).await?;
            context.printer.value(&answer);
            context
                .printer
                .line("the agent leaves; instances and proxy go on, and the next command starts a new agent");
        }
        AgentAction::Status | AgentAction::Run(_) => {
            let status: Status = client.get("/v1/status").await?;
            context.printer.value(&status.agent);
            context.printer.line(show::status::agent(&status.agent));
        }
    }
    Ok(())
}
