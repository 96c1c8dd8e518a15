//! What the engine asks of a runtime when a hook of the user's is to run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use cutover_core::spec::{Hook, RunSpec};
use cutover_core::{DeploymentId, ReleaseNo, ServiceName, Timestamp};

/// Names one hook of one deployment, the same for each time that it runs: `web.d12.1750000000000.before_start`. The moment at which
/// the deployment began tells it from one of the same number in another state directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookKey {
    /// The service.
    pub service: ServiceName,
    /// The deployment.
    pub deployment: DeploymentId,
    /// When that began.
    pub began: Timestamp,
    /// The hook.
    pub hook: Hook,
}

/// Chooses among hooks.
pub type HookFilter<'a> = dyn Fn(&HookKey) -> bool + Send + Sync + 'a;

/// Which hook to run, and where.
#[derive(Debug, Clone)]
pub struct HookOrder {
    /// Which.
    pub key: HookKey,
    /// The release in whose surroundings it runs.
    pub release: ReleaseNo,
    /// What that release runs.
    pub spec: RunSpec,
    /// The digest of that, as the release has it.
    pub fingerprint: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The facts, beside the variables of the service.
    pub variables: BTreeMap<String, String>,
    /// How long it may take.
    pub within: Duration,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookRun {
    /// What came back if it failed: `exited with status 1`, `took longer than 5m`.
    pub failed: Option<String>,
    /// The first and the last lines that it wrote.
    pub output: Vec<String>,
}

impl fmt::Display for HookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.d{}.{}.{}", self.service, self.deployment, self.began.0, self.hook.name())
    }
}

impl FromStr for HookKey {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let parse = || {
            let mut parts = text.split('.');
            let service = ServiceName::new(parts.next()?).ok()?;
            let deployment = DeploymentId(parts.next()?.strip_prefix('d')?.parse().ok()?);
            let began = Timestamp(parts.next()?.parse().ok()?);
            let name = parts.next()?;
            let hook = Hook::ALL.into_iter().find(|hook| hook.name() == name)?;
            parts.next().is_none().then_some(Self { service, deployment, began, hook })
        };
        parse().ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_written() {
        let service = ServiceName::new("web-2").unwrap();
        let key = HookKey { service, deployment: DeploymentId(12), began: Timestamp(99), hook: Hook::AfterWatch };
        assert_eq!(key.to_string(), "web-2.d12.99.after_watch");
        assert_eq!(key.to_string().parse(), Ok(key));
        for text in [
            "",
            "web",
            "web.d1.2",
            "web.1.2.after_watch",
            "web.d1.2.never",
            "web.d1.2.after_watch.x",
            "../x.d1.2.on_failure",
        ] {
            assert!(text.parse::<HookKey>().is_err(), "{text}");
        }
    }
}
