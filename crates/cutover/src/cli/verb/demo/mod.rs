//! `cutover demo`: the whole tool at work, on a machine with nothing else.
//!
//! Real parts throughout: the agent and the proxy are the processes that serve production, the program is the sample that is
//! built in, and the load is the meter's. Only the directory is temporary.

mod stage;

use std::time::Duration;

use cutover_core::{Failure, ReleaseNo};
use cutover_meter::{Load, Meter, Report, Running};

use super::super::args::DemoArgs;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::follow;
use crate::agent::api::Want;
use stage::{Program, Stage};

/// Deploys four times under load, and fails if anything was lost, duplicated or misrouted.
pub async fn demo(args: &DemoArgs, context: &Context) -> Result<(), CliError> {
    let mut stage = Stage::set(&context.printer)?;
    let played = tokio::select! {
        played = play(&stage, args.rate) => played,
        () = follow::interrupted() => Err(CliError::new(Kind::Failed, Failure::new("interrupted"))),
    };
    if args.keep {
        stage.keep();
    } else {
        stage.clear().await;
    }
    let report = played?;
    context.printer.value(&serde_json::json!({ "clean": report.clean(), "meter": report }));
    context.printer.line(format!("\n{report}"));
    if report.clean() {
        context.printer.line("nothing was lost, duplicated or misrouted");
        return Ok(());
    }
    Err(CliError::new(Kind::Failed, Failure::new("something was lost, duplicated or misrouted")))
}

async fn play(stage: &Stage, rate: f64) -> Result<Report, CliError> {
    stage.say("1. the first release goes live");
    stage.deploy(Program::Good).await?;
    stage.say(format!("2. load: {rate} requests a second on reused and new connections, orders with ids, a slow upload, event streams, WebSockets"));
    let meter = start_meter(stage, rate)?;
    if !meter.answers(50, Duration::from_secs(10)).await {
        return Err(CliError::new(Kind::Failed, Failure::new("the load got no answers within 10s")));
    }
    stage.say("3. the second release takes over");
    meter.allow_releases(&["1", "2"]);
    stage.deploy(Program::Good).await?;
    meter.expect_release("2");
    stage.say("4. the third release is broken, and is refused while the second serves");
    refused(stage.deploy(Program::Broken).await)?;
    stage.say("5. back to the first");
    meter.allow_releases(&["1", "2"]);
    stage.change(Want::Rollback { to: Some(ReleaseNo(1)), past: false }).await?;
    meter.expect_release("1");
    let before = meter.snapshot().requests.answered;
    meter.answers(before + 50, Duration::from_secs(10)).await;
    let mut report = meter.stop().await;
    let ledger = report.check_ledger(&stage.ledger());
    ledger.map_err(|error| CliError::io("could not read the ledger of orders", &error))?;
    Ok(report)
}

fn start_meter(stage: &Stage, rate: f64) -> Result<Running, CliError> {
    let url = stage.address().into();
    let load = Load { rate, ..Load::sample(url) };
    Meter::start_on_thread(load).map_err(|error| CliError::io("could not start the load", &error))
}

/// The broken release must have been turned down: that it was is what the demonstration is about.
fn refused(deployed: Result<(), CliError>) -> Result<(), CliError> {
    match deployed {
        Err(error) if error.kind == Kind::RolledBack => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(CliError::new(Kind::Failed, Failure::new("the broken release was taken for a good one"))),
    }
}
