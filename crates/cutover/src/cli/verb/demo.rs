//! `cutover demo`

use super::super::args::DemoArgs;
use super::super::context::Context;
use super::super::error::CliError;

/// See it work.
pub async fn demo(_args: &DemoArgs, _context: &Context) -> Result<(), CliError> {
    Err(CliError::usage("not yet"))
}
