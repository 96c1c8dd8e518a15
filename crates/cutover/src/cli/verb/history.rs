//! `cutover history`

use super::super::args::ServiceArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::show;
use crate::agent::api::History;

/// Shows the releases and deployments of a service.
pub async fn history(args: &ServiceArgs, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    let service = context.service(args.service.as_ref(), &client).await?;
    let history: History = client.get(&format!("/v1/services/{service}/history")).await?;
    context.printer.value(&history);
    context.printer.line(show::history::text(&history));
    Ok(())
}
