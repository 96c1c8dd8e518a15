//! A program whose last line is a number.

use std::time::Duration;

use crate::engine::port::Subject;
use crate::probe::command::measure;

/// Runs it. A status other than 0 is no answer, whatever was written.
pub(super) async fn ask(words: &[String], of: &Subject, within: Duration) -> Result<Option<f64>, String> {
    let previous = of.previous.map(|release| release.to_string()).unwrap_or_default();
    let variables = [
        ("CUTOVER_SERVICE", of.service.to_string()),
        ("CUTOVER_RELEASE", of.release.to_string()),
        ("CUTOVER_PREVIOUS", previous),
    ];
    let last = measure(words, variables, within).await?;
    super::number(last.as_deref().unwrap_or_default())
}
