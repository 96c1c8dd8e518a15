//! `cutover meter`

use cutover_meter::{Load, Meter, Url, run_during};

use super::super::args::MeterArgs;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use cutover_core::Failure;

/// Puts a load on an address, for a while or while a command runs, and says what was lost.
pub async fn meter(args: &MeterArgs, context: &Context) -> Result<(), CliError> {
    let load = load(args)?;
    let (report, command) = if args.command.is_empty() {
        let running = Meter::start(load).map_err(|error| CliError::io("could not start the meter", &error))?;
        tokio::select! {
            () = tokio::time::sleep(args.time) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        (running.stop().await, None)
    } else {
        let ran = run_during(load, &args.command).await;
        let (report, status) = ran.map_err(|error| CliError::io("could not measure", &error))?;
        (report, Some(status))
    };
    context.printer.value(&report);
    context.printer.line(report.to_string());
    if let Some(status) = command.filter(|status| !status.success()) {
        return Err(CliError::new(Kind::Failed, Failure::new(format!("the command failed: {status}"))));
    }
    if report.clean() { Ok(()) } else { Err(CliError::new(Kind::Failed, Failure::new("something was lost"))) }
}

fn load(args: &MeterArgs) -> Result<Load, CliError> {
    let url: Url = args.url.parse().map_err(|error| CliError::usage(format!("--url {}: {error}", args.url)))?;
    let mut load = Load::new(url);
    load.rate = args.rate;
    (load.reused, load.peek, load.fresh) = (args.reused, args.peek, args.fresh);
    load.timeout = args.timeout;
    load.host.clone_from(&args.host);
    load.expect.release_header.clone_from(&args.release_header);
    Ok(load)
}
