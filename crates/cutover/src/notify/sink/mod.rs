//! The ways to tell somebody, one file each, and what comes back.

mod command;
mod discord;
mod email;
mod http;
mod process;
mod slack;
mod webhook;

pub(crate) use http::connector;

use std::time::Duration;

use cutover_core::Timestamp;
use cutover_core::spec::{SinkSpec, Way};
use cutover_core::unit::duration;

use super::message::Message;
use super::redact::redact;

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Taken(String),
    /// It was not, and may be another time; not before so long, if the receiver said so.
    NotNow(String, Option<Duration>),
    /// It was not, and trying again would change nothing.
    Never(String),
}

impl Answer {
    /// What came back, in words.
    pub fn said(&self) -> &str {
        match self {
            Self::Taken(said) | Self::NotNow(said, _) | Self::Never(said) => said,
        }
    }

    fn redacted(self, way: &Way) -> Self {
        match self {
            Self::Taken(said) => Self::Taken(redact(&said, way)),
            Self::NotNow(said, wait) => Self::NotNow(redact(&said, way), wait),
            Self::Never(said) => Self::Never(redact(&said, way)),
        }
    }
}

/// Tells somebody something, once. No secret is in what comes back.
pub async fn tell(sink: &SinkSpec, message: &Message, now: Timestamp) -> Answer {
    let told = async {
        match &sink.way {
            Way::Slack { url } => http::post(url, &message.id, Vec::new(), slack::body(message)).await,
            Way::Discord { url } => http::post(url, &message.id, Vec::new(), discord::body(message)).await,
            Way::Webhook { url, secret } => webhook::post(url, secret, message, now).await,
            Way::Command { command } => command::run(command, message).await,
            Way::Email { from, to, sendmail } => email::send(from, to, sendmail, message).await,
        }
    };
    let late = || Answer::NotNow(format!("no answer within {}", duration::text(sink.within)), None);
    tokio::time::timeout(sink.within, told).await.unwrap_or_else(|_| late()).redacted(&sink.way)
}
