//! `cutover lock`

use super::super::args::LockArgs;
use super::super::caller;
use super::super::context::Context;
use super::super::error::CliError;
use crate::agent::api::{LockFor, Reason};
use cutover_core::unit::duration;

/// Keeps others from deploying, for a while that ends by itself.
pub async fn lock(args: &LockArgs, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    let service = context.service(args.service.as_ref(), &client).await?;
    let (by, reason) = (caller::name(), args.reason.clone());
    let value: serde_json::Value = if args.release {
        client.post(&format!("/v1/services/{service}/unlock"), &Reason { by, reason }).await?
    } else {
        let lock = LockFor { by, reason, seconds: args.time.as_secs().max(1) };
        client.post(&format!("/v1/services/{service}/lock"), &lock).await?
    };
    context.printer.value(&value);
    context.printer.line(if args.release {
        format!("{service} is not locked any more")
    } else {
        format!("{service} is locked for {}; `cutover lock {service} --release` ends it", duration::text(args.time))
    });
    Ok(())
}
