//! `cutover show` and `cutover verdict explain`

use super::super::args::{ExplainArgs, ShowArgs};
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::show;
use crate::agent::api::{Status, Story};
use cutover_core::Failure;

/// Shows one deployment step by step: the one that is named, else the newest of all.
pub async fn show(args: &ShowArgs, context: &Context) -> Result<(), CliError> {
    let story = story(args.deployment, context).await?;
    context.printer.value(&story);
    context.printer.line(if args.chart { show::chart::text(&story) } else { show::story::text(&story) });
    Ok(())
}

/// Shows what each comparison of the new release with the old one found last.
pub async fn verdict(args: &ExplainArgs, context: &Context) -> Result<(), CliError> {
    let story = story(args.deployment, context).await?;
    let judged: Vec<_> = show::verdict::last(&story.events);
    context.printer.value(&judged);
    context.printer.line(show::verdict::text(&story, &judged));
    Ok(())
}

async fn story(named: Option<u64>, context: &Context) -> Result<Story, CliError> {
    let client = context.agent().await?;
    let deployment = match named {
        Some(deployment) => deployment,
        None => {
            let status: Status = client.get("/v1/status").await?;
            let running = status.services.iter().filter_map(|s| s.deployment.as_ref().map(|d| d.id.0));
            let last = status.services.iter().filter_map(|s| s.last.as_ref().map(|last| last.deployment.0));
            let newest = running.chain(last).max();
            newest.ok_or_else(|| CliError::new(Kind::Failed, Failure::new("nothing has been deployed here yet")))?
        }
    };
    Ok(client.get(&format!("/v1/deployments/{deployment}")).await?)
}
