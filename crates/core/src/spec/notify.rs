//! Who is told what becomes of a service's deployments.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::unit::duration;

/// Everybody who is told of a service. It belongs to the service, not to a release: going back to an old release does not go back
/// to whom one told then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifySpec {
    /// The project that the service belongs to.
    pub project: String,
    /// Who is told.
    pub sinks: Vec<SinkSpec>,
}

/// Somebody who is told, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// Its name in the configuration.
    pub name: String,
    /// What it is told.
    pub on: BTreeSet<Occasion>,
    /// How long one try may take.
    #[serde(with = "duration")]
    pub within: Duration,
    /// How it is told.
    pub way: Way,
}

/// How somebody is told. Addresses are secrets: who knows the one of a Slack channel can write there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Way {
    /// A webhook as Slack has them; Mattermost, Rocket.Chat and others take the same.
    Slack {
        /// Its address.
        url: Secret,
    },
    /// A webhook of Discord.
    Discord {
        /// Its address.
        url: Secret,
    },
    /// Any other receiver of JSON, which can check that it comes from us.
    Webhook {
        /// Its address.
        url: Secret,
        /// What the signature is made with.
        secret: Secret,
    },
    /// A command of the user's.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// An e-mail, by whatever stands for sendmail on this machine.
    Email {
        /// The sender.
        from: String,
        /// The receivers.
        to: Vec<String>,
        /// The program, which takes the whole message with its header.
        sendmail: Vec<String>,
    },
}

/// What somebody can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A deployment has begun.
    Started,
    /// The new release has all the traffic, and is watched.
    Promoted,
    /// It stands still until a person does something.
    NeedsYou,
    /// A step failed; from here on it is undone.
    Failed,
    /// It was undone, whoever or whatever wanted that.
    RolledBack,
    /// It did what was asked.
    Done,
}

impl Occasion {
    /// All of them, in the order in which they can happen.
    pub const ALL: [Self; 6] =
        [Self::Started, Self::Promoted, Self::NeedsYou, Self::Failed, Self::RolledBack, Self::Done];

    /// What somebody is told who has not chosen: how each deployment ended, once, and that a person is needed.
    pub const CHOSEN: [Self; 3] = [Self::NeedsYou, Self::RolledBack, Self::Done];

    /// Its name, as it is configured and sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Promoted => "promoted",
            Self::NeedsYou => "needs_you",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Done => "done",
        }
    }
}

impl Way {
    /// Its name, as it is configured.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Discord { .. } => "discord",
            Self::Webhook { .. } => "webhook",
            Self::Command { .. } => "command",
            Self::Email { .. } => "email",
        }
    }

    /// What must not be seen of it.
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Slack { url } | Self::Discord { url } => vec![url],
            Self::Webhook { url, secret } => vec![url, secret],
            Self::Command { .. } | Self::Email { .. } => Vec::new(),
        }
    }
}
