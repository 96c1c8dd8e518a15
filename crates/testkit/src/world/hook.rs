//! Hooks that go as their command line says. What an agent that died has left of one goes on for ever, unless it is ended.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover::engine::port::{HookFilter, HookOrder, HookRun, RuntimeError};
use cutover_core::spec::{Hook, HookSpec};
use cutover_core::unit::duration;

use super::runtime::failed;
use super::{Call, Inner, Port};
use crate::invariants::SECRET;

/// How long a simulated hook may take.
pub const WITHIN: Duration = Duration::from_secs(4);

/// How a hook goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookLife {
    /// It ends well after so many milliseconds.
    Ends(u64),
    /// It exits with status 1 after so many milliseconds.
    Fails(u64),
    /// It never ends by itself.
    Hangs,
}

/// What is known of a hook of one deployment.
#[derive(Debug, Clone, Default)]
pub struct SimHook {
    /// Whether something of it runs.
    pub running: bool,
    /// The lives of the agent in which it was begun.
    pub begun: Vec<u64>,
    /// Whether it ended well.
    pub succeeded: bool,
}

impl HookLife {
    /// What stands in a specification for a hook that goes like this.
    pub fn spec(self) -> HookSpec {
        let word = match self {
            Self::Ends(after) => format!("ends={after}"),
            Self::Fails(after) => format!("fails={after}"),
            Self::Hangs => "hangs".to_owned(),
        };
        HookSpec { command: vec!["hook".to_owned(), word], within: WITHIN }
    }

    fn of(command: &[String]) -> Self {
        let number = |text: &str| text.parse().unwrap_or_default();
        match command.get(1).map(|word| word.split_once('=').unwrap_or((word, ""))) {
            Some(("ends", after)) => Self::Ends(number(after)),
            Some(("fails", after)) => Self::Fails(number(after)),
            _ => Self::Hangs,
        }
    }
}

/// The hooks of a build.
pub type Hooks = BTreeMap<Hook, HookLife>;

impl Port {
    /// Runs a hook in virtual time.
    pub(super) async fn run_hook(&self, order: &HookOrder) -> Result<HookRun, RuntimeError> {
        let (epoch, mut again) = (self.epoch, false);
        let begin = |inner: &mut Inner| {
            // A call that is done twice is one run still.
            if !std::mem::replace(&mut again, true) {
                inner.check_hook(order, epoch);
            }
            let hook = inner.hooks.entry(order.key.clone()).or_default();
            hook.running = true;
            if hook.begun.last() != Some(&epoch) {
                hook.begun.push(epoch);
            }
            Ok(())
        };
        self.call(Call::Hook, &|| order.key.to_string(), failed, begin).await?;
        let within = u64::try_from(order.within.as_millis()).unwrap_or(u64::MAX);
        let (after, failed) = match HookLife::of(&order.command) {
            HookLife::Ends(after) if after < within => (after, None),
            HookLife::Fails(after) if after < within => (after, Some("exited with status 1".to_owned())),
            _ => (within, Some(format!("took longer than {}", duration::text(order.within)))),
        };
        self.pause(after).await;
        let ended = self.take_effect(|inner| {
            let hook = inner.hooks.entry(order.key.clone()).or_default();
            (hook.running, hook.succeeded) = (false, failed.is_none());
        });
        if ended.is_none() {
            std::future::pending::<()>().await;
        }
        Ok(HookRun { failed, output: vec![format!("connecting as postgres://app:{SECRET}@db/shop")] })
    }

    /// Ends what is left.
    pub(super) async fn end_hooks(&self, of: &HookFilter<'_>) -> Result<(), RuntimeError> {
        let end = |inner: &mut Inner| {
            let mut ended = Vec::new();
            for (key, hook) in inner.hooks.iter_mut().filter(|(key, hook)| hook.running && of(key)) {
                hook.running = false;
                ended.push(format!("what is left of {key} is ended"));
            }
            for line in ended {
                inner.coverage.count("hook: leftovers ended");
                inner.note(line);
            }
            Ok(())
        };
        self.call(Call::EndHooks, &String::new, failed, end).await
    }
}
