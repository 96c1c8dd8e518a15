//! `cutover pause`, `resume` and `promote`

use super::super::args::ServiceArgs;
use super::super::caller;
use super::super::context::Context;
use super::super::error::CliError;
use crate::agent::api::{Begun, Reason};
use crate::engine::Steer;

/// Asks something of a running deployment. Whoever follows it sees what comes of that.
pub async fn steer(args: &ServiceArgs, steer: Steer, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    let service = context.service(args.service.as_ref(), &client).await?;
    let (verb, answer) = match steer {
        Steer::Pause => {
            ("pause", "goes no further for now; `cutover resume` lets it go on, `cutover abort` turns it back")
        }
        Steer::Resume => ("resume", "goes on"),
        Steer::Promote => ("promote", "gives the new release all traffic, without further holds"),
    };
    let why = Reason { by: caller::name(), reason: String::new() };
    let begun: Begun = client.post(&format!("/v1/services/{service}/{verb}"), &why).await?;
    context.printer.value(&begun);
    context.printer.line(format!("deployment {} of {service} {answer}", begun.deployment));
    Ok(())
}
