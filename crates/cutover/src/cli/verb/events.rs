//! `cutover events`

use super::super::args::EventsArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::show;
use cutover_core::machine::Record;

/// Shows what happened, and goes on if asked.
pub async fn events(args: &EventsArgs, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    let mut query = format!("/v1/events?after={}&follow={}", args.after, args.follow);
    if let Some(service) = &args.service {
        query.push_str(&format!("&service={service}"));
    }
    if let Some(deployment) = args.deployment {
        query.push_str(&format!("&deployment={deployment}"));
    }
    let mut records = client.lines::<Record>(&query).await?;
    while let Some(record) = records.next().await? {
        context.printer.value(&record);
        context.printer.line(show::event::line(&record));
    }
    Ok(())
}
