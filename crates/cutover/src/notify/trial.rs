//! A test message to each receiver, for whoever has just written the configuration. Nothing of it is kept or tried again.

use cutover_core::spec::NotifySpec;
use futures_util::future::join_all;

use super::deliver::Notifier;
use super::message;
use super::sink::{self, Answer};
use crate::agent::api::SinkAnswer;

impl Notifier {
    /// Tells all of them at once, and says what came back from each.
    pub async fn test(&self, notify: &NotifySpec, by: &str) -> Vec<SinkAnswer> {
        let now = self.clock.now();
        let journal = self.journal.notifier().await.map(|(name, _)| name).unwrap_or_default();
        let tests = notify.sinks.iter().map(|sink| {
            let id = format!("{journal}-test-{}-{}", sink.name, now.0);
            let message = message::test(id, &notify.project, &sink.name, by, now);
            async move {
                let answer = sink::tell(sink, &message, now).await;
                let taken = matches!(answer, Answer::Taken(_));
                let (sink, kind) = (sink.name.clone(), sink.way.kind().to_owned());
                SinkAnswer { sink, kind, taken, said: answer.said().to_owned() }
            }
        });
        join_all(tests).await
    }
}
