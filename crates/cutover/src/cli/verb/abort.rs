//! `cutover abort`

use super::super::args::AbortArgs;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::{caller, follow};
use crate::agent::api::{Begun, Reason};

/// Turns a running deployment back, or tries a failed undo again, and follows that to its end.
pub async fn abort(args: &AbortArgs, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    let service = context.service(args.service.as_ref(), &client).await?;
    let why = Reason { by: caller::name(), reason: args.reason.clone() };
    let begun: Begun = client.post(&format!("/v1/services/{service}/abort"), &why).await?;
    match follow::to_the_end(context, &client, &service, begun.deployment).await {
        // That it was rolled back is what was asked for.
        Err(error) if matches!(error.kind, Kind::Aborted | Kind::RolledBack) => Ok(()),
        other => other,
    }
}
