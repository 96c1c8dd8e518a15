//! Names of things, each a type of its own so that a release number cannot stand where an instance belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a service: 1 to 40 of `a-z`, `0-9`, `-` and `_`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

/// Why a text is not a name or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text cannot name a service.
    #[error("{0:?} is not a service name: use 1 to 40 of a-z, 0-9, '-' and '_', beginning with a letter")]
    ServiceName(String),
    /// The text is not of the form `service.r7.i12`.
    #[error("{0:?} is not an instance id: expected the form web.r7.i12")]
    InstanceId(String),
}

impl ServiceName {
    /// Checks and wraps a name.
    pub fn new(name: impl Into<String>) -> Result<Self, IdError> {
        let name = name.into();
        let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let valid = name.len() <= 40 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(rest);
        if valid { Ok(Self(name)) } else { Err(IdError::ServiceName(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = IdError;
    fn from_str(name: &str) -> Result<Self, IdError> {
        Self::new(name)
    }
}

impl TryFrom<String> for ServiceName {
    type Error = IdError;
    fn try_from(name: String) -> Result<Self, IdError> {
        Self::new(name)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// The number of a release within its service, counted from 1. It never comes back, also not after a failure.
    ReleaseNo(u32)
);
number!(
    /// The number of a deployment, counted over all services of one agent, from 1.
    DeploymentId(u64)
);
number!(
    /// The version of the route table. The proxy refuses a table whose generation is lower than the one it serves.
    Generation(u64)
);

/// One running copy of a release: `web.r7.i12`.
///
/// The last number is counted within the service and never used again, so that a second copy of the same release (after a
/// rollback, say) cannot be taken for one that is still draining.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// The service it belongs to.
    pub service: ServiceName,
    /// The release it runs.
    pub release: ReleaseNo,
    /// Its number within the service.
    pub number: u32,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.r{}.i{}", self.service, self.release, self.number))
    }
}

impl FromStr for InstanceId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let mut parts = text.split('.');
            let service = ServiceName::new(parts.next()?).ok()?;
            let release = ReleaseNo(parts.next()?.strip_prefix('r')?.parse().ok()?);
            let number = parts.next()?.strip_prefix('i')?.parse().ok()?;
            parts.next().is_none().then_some(Self { service, release, number })
        };
        parse().ok_or_else(|| IdError::InstanceId(text.to_owned()))
    }
}

impl TryFrom<String> for InstanceId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_reads_back_as_written() {
        let id = InstanceId { service: ServiceName::new("web-2").unwrap(), release: ReleaseNo(7), number: 12 };
        assert_eq!(id.to_string(), "web-2.r7.i12");
        assert_eq!("web-2.r7.i12".parse(), Ok(id));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "web", "web.r7", "web.7.12", "web.r7.i12.x", "Web.r7.i1", "web.r-1.i2", "../x.r1.i1"] {
            assert!(text.parse::<InstanceId>().is_err(), "{text:?} was taken for an id");
        }
        for name in ["", "9web", "we b", "../etc", "Web", &"a".repeat(41)] {
            assert!(ServiceName::new(name).is_err(), "{name:?} was taken for a name");
        }
    }
}
