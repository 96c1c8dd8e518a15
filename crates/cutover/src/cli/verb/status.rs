//! `cutover status`

use std::time::Duration;

use super::super::args::StatusArgs;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::show;
use crate::agent::api::Status;
use cutover_core::Failure;

/// Shows what is live, what is running and what is wrong; again and again if asked.
pub async fn status(args: &StatusArgs, context: &Context) -> Result<(), CliError> {
    let client = context.agent().await?;
    loop {
        let mut status: Status = client.get("/v1/status").await?;
        if let Some(service) = &args.service {
            status.services.retain(|found| found.name == *service);
            if status.services.is_empty() {
                let failure = Failure::new(format!("no service {service} is known here"));
                return Err(CliError::new(Kind::Failed, failure));
            }
        }
        if args.watch && context.printer.live() {
            let _ = console::Term::stdout().clear_screen();
        }
        context.printer.value(&status);
        context.printer.line(show::status::text(&status));
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
