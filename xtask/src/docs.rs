//! `cargo xtask docs`: writes the generated pages anew. Each has a test that fails when it is stale; told to, that same test
//! writes it, so that there is one piece of code that knows what belongs there.

use std::process::Command;

/// The tests that guard generated pages.
const GUARDS: &[&str] = &["config_reference", "docs_cli", "docs_api"];

/// Writes the pages.
pub fn run() -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.args(["test", "--package", "cutover", "--quiet"]).env("UPDATE_DOCS", "1");
    for guard in GUARDS {
        command.args(["--test", guard]);
    }
    crate::test::passes(&mut command)
}
