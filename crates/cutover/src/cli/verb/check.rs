//! `cutover check`

use super::super::context::Context;
use super::super::error::CliError;

/// Reads the configuration and says what it found.
pub fn check(context: &Context) -> Result<(), CliError> {
    let config = context.configuration()?;
    let printer = &context.printer;
    let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    let value = serde_json::json!({ "path": config.path, "services": names, "warnings": config.warnings });
    printer.value(&value);
    config.warnings.iter().for_each(|warning| printer.line(warning.to_string()));
    printer.line(format!("{} is fine: {}", config.path.display(), names.join(", ")));
    Ok(())
}
