//! A release: one immutable version of a service.

use serde::{Deserialize, Serialize};

use crate::id::ReleaseNo;
use crate::spec::ServiceSpec;
use crate::unit::Timestamp;

/// All that is needed to run this version again. It holds the environment with its secrets, so it lives in the agent's
/// private store and never in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number within the service.
    pub number: ReleaseNo,
    /// When it was made.
    pub made: Timestamp,
    /// The digest of its artifact; `None` if it runs in place.
    pub fingerprint: Option<String>,
    /// What it runs and how.
    pub spec: ServiceSpec,
}

impl Release {
    /// Whether deploying this would give the same running thing: the same specification and the same known content.
    pub fn same_as(&self, spec: &ServiceSpec, fingerprint: Option<&str>) -> bool {
        let same_content = self.fingerprint.is_some() && self.fingerprint.as_deref() == fingerprint;
        same_content && self.spec.without_login() == spec.without_login()
    }
}
