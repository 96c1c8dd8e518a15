//! `cutover notify`, and the part of `deploy` that hands over who is told.

use cutover_core::spec::NotifySpec;
use cutover_core::{Failure, ServiceName};

use super::super::args::NotifyVerb;
use super::super::caller;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use crate::agent::api::{Notify, SinkAnswer, TestNotify};
use crate::client::{Client, ClientError};
use crate::config::Config;

/// Does what is asked.
pub async fn run(verb: &NotifyVerb, context: &Context) -> Result<(), CliError> {
    let NotifyVerb::Test { name } = verb;
    let config = context.configuration()?;
    config.warnings.iter().for_each(|warning| context.printer.remark(warning.to_string()));
    let test = TestNotify { notify: chosen(&config, name.as_deref())?, by: caller::name() };
    let client = context.agent().await?;
    let answers: Vec<SinkAnswer> = client.post("/v1/notify/test", &test).await?;
    for answer in &answers {
        let (mark, SinkAnswer { sink, kind, said, .. }) = (if answer.taken { "✓" } else { "✗" }, answer);
        context.printer.value(answer);
        context.printer.line(format!("{mark} {sink} ({kind}): {said}"));
    }
    let silent: Vec<&str> = answers.iter().filter(|answer| !answer.taken).map(|answer| answer.sink.as_str()).collect();
    match silent[..] {
        [] => Ok(()),
        _ => Err(CliError::new(Kind::Failed, Failure::new(format!("{} could not be told", silent.join(", "))))),
    }
}

/// The receiver that is named, or all. To test is no promise to be told, so `on` and `services` do not matter.
fn chosen(config: &Config, name: Option<&str>) -> Result<NotifySpec, CliError> {
    let named = |sink: &&crate::config::Sink| name.is_none_or(|name| sink.spec.name == name);
    let sinks: Vec<_> = config.sinks.iter().filter(named).map(|sink| sink.spec.clone()).collect();
    if sinks.is_empty() {
        let known: Vec<&str> = config.sinks.iter().map(|sink| sink.spec.name.as_str()).collect();
        let path = config.path.display();
        return Err(CliError::usage(match (name, &known[..]) {
            (_, []) => format!("{path} has no [notify.NAME] table"),
            (name, _) => {
                format!("{path} has no notification {}; it has {}", name.unwrap_or_default(), known.join(", "))
            }
        }));
    }
    Ok(NotifySpec { project: config.project.clone(), sinks })
}

/// Tells the agent who is told of a service from here on. An agent of an older version knows of no such thing: it is fine if there
/// is nobody.
pub async fn hand_over(config: &Config, service: &ServiceName, client: &Client) -> Result<(), CliError> {
    let notify = config.notify_of(service);
    let nobody = notify.sinks.is_empty();
    let path = format!("/v1/services/{service}/notify");
    match client.post::<serde_json::Value>(&path, &Notify { notify }).await {
        Err(ClientError::Problem(_)) if nobody => Ok(()),
        handed => Ok(handed.map(drop)?),
    }
}
