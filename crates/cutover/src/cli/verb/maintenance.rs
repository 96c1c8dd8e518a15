//! `cutover maintenance`

use std::path::Path;

use cutover_core::Failure;
use cutover_core::rules::{Maintenance, Page};

use super::super::args::{MaintenanceVerb, OffArgs, OnArgs};
use super::super::caller;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use crate::agent::api::{Reason, TakeDown};
use crate::config::read_page;

/// Takes a service down or up.
pub async fn run(verb: &MaintenanceVerb, context: &Context) -> Result<(), CliError> {
    match verb {
        MaintenanceVerb::On(args) => on(args, context).await,
        MaintenanceVerb::Off(args) => off(args, context).await,
    }
}

async fn on(args: &OnArgs, context: &Context) -> Result<(), CliError> {
    let settings = Maintenance {
        page: args.page.as_deref().map(page).transpose()?,
        retry_after: args.retry_after.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)),
        allow: args.allow.clone(),
    };
    let client = context.agent().await?;
    let service = context.service(args.service.as_ref(), &client).await?;
    let take = TakeDown { by: caller::name(), reason: args.reason.clone(), settings };
    let value: serde_json::Value = client.post(&format!("/v1/services/{service}/maintenance/on"), &take).await?;
    context.printer.value(&value);
    context.printer.line(format!(
        "{service} is down for maintenance: the proxy answers 503; `cutover maintenance off {service}` takes it up again"
    ));
    Ok(())
}

async fn off(args: &OffArgs, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    let service = context.service(args.service.as_ref(), &client).await?;
    let reason = Reason { by: caller::name(), reason: String::new() };
    let value: serde_json::Value = client.post(&format!("/v1/services/{service}/maintenance/off"), &reason).await?;
    context.printer.value(&value);
    context.printer.line(format!("{service} is up"));
    Ok(())
}

fn page(file: &Path) -> Result<Page, CliError> {
    read_page(file).map_err(|fault| {
        let failure = Failure::new(format!("the page {} {fault}", file.display()));
        CliError::new(
            Kind::Usage,
            failure.hint("a page is a file of UTF-8 text of at most 64 KiB; nothing was changed"),
        )
    })
}
