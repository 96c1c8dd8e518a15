//! `cutover logs`

use super::super::args::LogsArgs;
use super::super::context::Context;
use super::super::error::CliError;
use crate::agent::api::LogEntry;

/// Shows what instances wrote, and goes on if asked.
pub async fn logs(args: &LogsArgs, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    let service = context.service(args.service.as_ref(), &client).await?;
    let mut query = format!("/v1/services/{service}/logs?lines={}&follow={}", args.lines, args.follow);
    for (key, value) in [("release", args.release), ("instance", args.instance)] {
        if let Some(value) = value {
            query.push_str(&format!("&{key}={value}"));
        }
    }
    let mut lines = client.lines::<LogEntry>(&query).await?;
    let mut told = 0;
    while let Some(entry) = lines.next().await? {
        told += 1;
        context.printer.value(&entry);
        context.printer.line(format!("{} | {}", entry.instance, entry.text));
    }
    if told == 0 {
        context.printer.remark(format!("the chosen instances of {service} wrote nothing, or none of them is kept"));
    }
    Ok(())
}
