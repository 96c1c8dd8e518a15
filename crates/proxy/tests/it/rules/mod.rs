//! What is done with requests besides passing them on, byte for byte.

mod access;
mod compress;
mod files;
mod pages;
mod paths;

use cutover_core::rules::{Pattern, Redirect, Rewrite, Rules};
use cutover_core::table::{Listener, Service, Traffic};

use super::support::backend::Backend;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service};

/// A service of one instance with rules.
pub fn ruled(web: &Backend, rules: Rules) -> Service {
    Service { rules: Some(Box::new(rules)), ..service("web", &[("web.r1.i1", web.address, SERVING)]) }
}

/// A proxy that serves one.
pub fn serving(web: &Backend, rules: Rules) -> Proxy {
    Proxy::serving(ruled(web, rules))
}

/// The same listener, believing its neighbours.
pub fn trusting(mut listener: Listener) -> Listener {
    if let Traffic::Http { trusted, .. } = &mut listener.traffic {
        trusted.push("127.0.0.0/8".to_owned().try_into().unwrap());
    }
    listener
}

fn pattern(from: &str) -> Pattern {
    Pattern::try_from(from.to_owned()).unwrap()
}

/// A redirect.
pub fn redirect(host: Option<&str>, from: &str, to: &str, status: u16) -> Redirect {
    Redirect { host: host.map(str::to_owned), from: pattern(from), to: to.to_owned(), status }
}

/// A rewrite.
pub fn rewrite(from: &str, to: &str) -> Rewrite {
    Rewrite { from: pattern(from), to: to.to_owned() }
}
