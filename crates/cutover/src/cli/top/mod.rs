//! `cutover top`: what happens right now.
//!
//! Two readings of the counters make a view ([`view`]), which is a value: it is drawn on a terminal or printed in a pipe ([`draw`]), or goes
//! out as a line of JSON. The screen is plain ANSI, kept apart from what was there before, and given back whatever ends the command.

mod draw;
mod screen;
mod view;

use std::time::Duration;

use cutover_core::stats::Stats;

use super::args::TopArgs;
use super::context::Context;
use super::error::{CliError, Kind};
use crate::agent::api::Status;
use crate::client::Client;
use cutover_core::Failure;
use screen::Screen;
use view::{Reading, View};

/// Looks again and again, until it is interrupted or has looked as often as it should.
pub async fn top(args: &TopArgs, context: &Context) -> Result<(), CliError> {
    if args.interval < Duration::from_millis(100) {
        return Err(CliError::usage("--interval must be at least 100ms"));
    }
    let client = context.agent().await?;
    let mut before = read(&client).await?;
    check(args, &before)?;
    let mut screen = context.printer.live().then(Screen::enter);
    let mut looks = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(args.interval) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let now = read(&client).await?;
        let view = View::between(&before, &now, args.service.as_ref());
        match &mut screen {
            Some(screen) => screen.show(&draw::text(&view)),
            None => {
                context.printer.value(&view);
                context.printer.line(draw::text(&view));
            }
        }
        looks += 1;
        if args.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        before = now;
    }
}

async fn read(client: &Client) -> Result<Reading, CliError> {
    let status: Status = client.get("/v1/status").await?;
    let stats: Stats = client.get("/v1/stats").await?;
    Ok(Reading { at: std::time::Instant::now(), status, stats })
}

fn check(args: &TopArgs, reading: &Reading) -> Result<(), CliError> {
    match &args.service {
        Some(service) if !reading.status.services.iter().any(|found| found.name == *service) => {
            Err(CliError::new(Kind::Failed, Failure::new(format!("no service {service} is known here"))))
        }
        _ => Ok(()),
    }
}
