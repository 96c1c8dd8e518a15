//! `cutover init`

use super::super::args::InitArgs;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use crate::init;
use cutover_core::Failure;

/// Writes a first configuration.
pub fn init(args: &InitArgs, context: &Context) -> Result<(), CliError> {
    let printer = &context.printer;
    let proposal = if args.print {
        let proposal = init::propose(&args.directory);
        printer.raw(proposal.file.as_bytes());
        return Ok(());
    } else {
        init::write(&args.directory, args.force).map_err(|error| {
            let failure = Failure::because("could not write a configuration", &error);
            let hint = matches!(error, init::InitError::Exists(_)).then(|| "--force replaces it".to_owned());
            CliError::new(Kind::Failed, Failure { hint, ..failure })
        })?
    };
    let path = args.directory.join("cutover.toml");
    printer.value(&serde_json::json!({ "path": path, "found": proposal.found, "notes": proposal.notes }));
    for found in &proposal.found {
        printer.line(format!("found {found}"));
    }
    printer.line(format!("wrote {}", path.display()));
    proposal.notes.iter().for_each(|note| printer.line(format!("  {note}")));
    Ok(())
}
