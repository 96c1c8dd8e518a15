//! The command line: reads what the user wants, asks the agent, and tells what came of it.
//!
//! It is thin: it decides nothing that the agent could decide. One file per verb in `verb/`, one per kind of output in `show/`.

mod args;
mod background;
mod caller;
mod context;
mod error;
mod follow;
mod printer;
mod reference;
mod show;
mod top;
mod verb;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use args::Arguments;
pub use error::{CliError, Kind};
pub use reference::reference;

use args::{Verb, VerdictVerb};
use context::Context;
use printer::Printer;

use crate::engine::Steer;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printer = Printer::new(arguments.json);
    match run(arguments, &printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            error.kind.exit_code()
        }
    }
}

fn run(arguments: Arguments, printer: &Printer) -> Result<(), CliError> {
    match arguments.verb {
        // Those that are processes of their own bring their own runtimes.
        Verb::Agent(args::AgentVerb { verb: args::AgentAction::Run(run) }) => {
            verb::agent::run(&run, arguments.state.as_deref())
        }
        Verb::Proxy(args::ProxyVerb { verb: args::ProxyAction::Run(run) }) => {
            verb::proxy::run(&run, arguments.state.as_deref())
        }
        Verb::Sample(options) => std::process::exit(sample(options)),
        verb => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| CliError::io("could not start", &error))?;
            let context = Context::new(arguments.config, arguments.env, arguments.state, printer.clone());
            runtime.block_on(dispatch(verb, &context))
        }
    }
}

async fn dispatch(verb: Verb, context: &Context) -> Result<(), CliError> {
    match verb {
        Verb::Init(args) => verb::init::init(&args, context),
        Verb::Check => verb::check::check(context),
        Verb::Plan(args) => verb::plan::plan(&args, context).await,
        Verb::Accessory(verb) => verb::accessory::run(&verb, context).await,
        Verb::Build(args) => verb::build::run(&args, context).await,
        Verb::Deploy(args) => verb::deploy::deploy(&args, context).await,
        Verb::Rollback(args) => verb::change::rollback(&args, context).await,
        Verb::Restart(args) => verb::change::restart(&args, context).await,
        Verb::Scale(args) => verb::change::scale(&args, context).await,
        Verb::Stop(args) => verb::change::stop(&args, context).await,
        Verb::Remove(args) => verb::change::remove(&args, context).await,
        Verb::Pause(args) => verb::steer::steer(&args, Steer::Pause, context).await,
        Verb::Resume(args) => verb::steer::steer(&args, Steer::Resume, context).await,
        Verb::Promote(args) => verb::steer::steer(&args, Steer::Promote, context).await,
        Verb::Abort(args) => verb::abort::abort(&args, context).await,
        Verb::Verdict(VerdictVerb::Explain(args)) => verb::show::verdict(&args, context).await,
        Verb::Lock(args) => verb::lock::lock(&args, context).await,
        Verb::Maintenance(verb) => verb::maintenance::run(&verb, context).await,
        Verb::Status(args) => verb::status::status(&args, context).await,
        Verb::Top(args) => top::top(&args, context).await,
        Verb::History(args) => verb::history::history(&args, context).await,
        Verb::Show(args) => verb::show::show(&args, context).await,
        Verb::Logs(args) => verb::logs::logs(&args, context).await,
        Verb::Events(args) => verb::events::events(&args, context).await,
        Verb::Notify(verb) => verb::notify::run(&verb, context).await,
        Verb::Meter(args) => verb::meter::meter(&args, context).await,
        Verb::Demo(args) => verb::demo::demo(&args, context).await,
        Verb::Agent(args) => verb::agent::agent(&args, context).await,
        Verb::Proxy(args::ProxyVerb { verb: args::ProxyAction::Upgrade(args) }) => {
            verb::proxy::upgrade(&args, context).await
        }
        Verb::Proxy(args::ProxyVerb { verb: args::ProxyAction::Reopen }) => verb::proxy::reopen(context).await,
        Verb::Proxy(_) => verb::proxy::status(context).await,
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "cutover", &mut script);
            context.printer.raw(&script);
            Ok(())
        }
        Verb::Sample(_) => unreachable!("handled before there was a runtime"),
    }
}

fn sample(options: cutover_sample::Options) -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let status = runtime.and_then(|runtime| runtime.block_on(cutover_sample::run(options)));
    status.map_or(1, i32::from)
}
