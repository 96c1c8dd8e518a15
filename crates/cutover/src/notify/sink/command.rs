//! A command of the user's: the facts in its environment, and all of them as JSON on its standard input.

use super::{Answer, Message, process};

/// Runs it. Exit status 0 means that it was taken; after any other it is tried again.
pub(super) async fn run(command: &[String], message: &Message) -> Answer {
    let json = match serde_json::to_vec(message) {
        Ok(json) => json,
        Err(error) => return Answer::Never(format!("the message is no JSON: {error}")),
    };
    match process::run(command, &variables(message), &json).await {
        Ok(ended) if ended.code == Some(0) => Answer::Taken(ended.said),
        Ok(ended) => Answer::NotNow(ended.said, None),
        Err(failure) => Answer::NotNow(failure.to_string(), None),
    }
}

/// What is not known is empty.
fn variables(message: &Message) -> Vec<(&'static str, String)> {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let proof = message.proof.as_ref();
    vec![
        ("CUTOVER_EVENT", message.event.clone()),
        ("CUTOVER_EVENT_ID", message.id.clone()),
        ("CUTOVER_AT", message.at.clone()),
        ("CUTOVER_TEXT", message.text.clone()),
        ("CUTOVER_PROJECT", message.project.clone()),
        ("CUTOVER_SERVICE", text(message.service.as_ref())),
        ("CUTOVER_DEPLOYMENT", text(message.deployment)),
        ("CUTOVER_ACTION", text(message.action.map(|action| action.verb()))),
        ("CUTOVER_FROM", text(message.from)),
        ("CUTOVER_TO", text(message.to)),
        ("CUTOVER_BY", message.by.clone()),
        ("CUTOVER_LIVE", text(message.live)),
        ("CUTOVER_REASON", text(message.reason.as_ref())),
        ("CUTOVER_SERVED", text(proof.map(|proof| proof.served))),
        ("CUTOVER_FAILED", text(proof.map(|proof| proof.failed))),
        ("CUTOVER_LONGEST_GAP_US", text(proof.map(|proof| proof.longest_gap_us))),
    ]
}
