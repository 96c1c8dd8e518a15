//! Which certificate a client is shown: by the name that it asks for (SNI, RFC 6066, 3).
//!
//! A name of the configuration wins over one that only stands in a certificate, an exact one over a wildcard. Who names nobody, or
//! somebody that is not here, is shown the default: the request is routed by its `Host` field in any case, and a client that
//! minds says so itself. For a name that is here and has no certificate yet, nobody else's stands in.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;

/// The TLS of one listener. What is behind it changes while it is used.
#[derive(Debug, Default)]
pub struct Door {
    choices: RwLock<Arc<Choices>>,
}

/// One certificate, ready to be used.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The names of the configuration; empty for the default.
    pub hosts: Vec<String>,
    /// The names in the certificate.
    pub names: Vec<String>,
    /// How its clients are served; none while it cannot be loaded.
    pub config: Option<Arc<ServerConfig>>,
}

/// All certificates of a listener by name.
#[derive(Debug, Default)]
pub struct Choices {
    exact: HashMap<String, Arc<ServerConfig>>,
    /// By what stands behind the `*.`.
    wildcard: HashMap<String, Arc<ServerConfig>>,
    /// Names of the configuration whose certificate is not there.
    missing: HashSet<String>,
    default: Option<Arc<ServerConfig>>,
}

impl Door {
    /// Uses these from the next client on.
    pub fn set(&self, choices: Choices) {
        *self.choices.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(choices);
    }

    /// How a client that asks for this name is served; none if there is no certificate at all.
    pub fn choose(&self, name: Option<&str>) -> Option<Arc<ServerConfig>> {
        let choices = self.choices.read().unwrap_or_else(PoisonError::into_inner).clone();
        choices.choose(name).cloned()
    }

    /// How this host is served by a certificate that is meant for it; none if it only gets that of everybody.
    pub fn named(&self, host: &str) -> Option<Arc<ServerConfig>> {
        self.choices.read().unwrap_or_else(PoisonError::into_inner).named(host).cloned()
    }
}

impl Choices {
    /// In the order of the configuration: the first to claim a name has it.
    pub fn new(choices: &[Choice]) -> Self {
        let mut all = Self::default();
        let usable = || choices.iter().filter_map(|choice| Some((choice, choice.config.as_ref()?)));
        for (choice, config) in usable() {
            all.add(&choice.hosts, config);
        }
        for (choice, config) in usable() {
            all.add(&choice.names, config);
        }
        let default = usable().find(|(choice, _)| choice.hosts.is_empty()).or_else(|| usable().next());
        all.default = default.map(|(_, config)| config.clone());
        let without = choices.iter().filter(|choice| choice.config.is_none());
        all.missing = without.flat_map(|choice| choice.hosts.iter().cloned()).collect();
        all
    }

    fn add(&mut self, names: &[String], config: &Arc<ServerConfig>) {
        for name in names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            map.entry(name.to_owned()).or_insert_with(|| config.clone());
        }
    }

    fn choose(&self, name: Option<&str>) -> Option<&Arc<ServerConfig>> {
        // rustls gives the name in lower case and without a final dot.
        let default = || self.default.as_ref().filter(|_| name.is_none_or(|name| !self.missing.contains(name)));
        name.and_then(|name| self.named(name)).or_else(default)
    }

    fn named(&self, name: &str) -> Option<&Arc<ServerConfig>> {
        let parent = || name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(name).or_else(|| self.wildcard.get(parent()?))
    }
}
