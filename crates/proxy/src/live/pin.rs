//! Binding clients to a release while a canary is held: what is worked out once for each table.

use cutover_core::ServiceName;
use cutover_core::pin::{Pin, cookie_name};

/// The pin of one service of one table.
#[derive(Debug)]
pub struct LivePin {
    /// What was published.
    pub spec: Pin,
    /// The name of the cookie.
    pub cookie: String,
}

impl LivePin {
    /// Of the service of this name.
    pub fn new(spec: &Pin, service: &ServiceName) -> Self {
        Self { spec: spec.clone(), cookie: cookie_name(service) }
    }

    /// The value of `Set-Cookie` that gives a client a point. `path` is the route's.
    pub fn set_cookie(&self, point: u16, path: &[u8], secure: bool) -> String {
        let plain = |path: &&str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b';');
        // A path that cannot stand in a cookie is left out by naming all of the site.
        let path = std::str::from_utf8(path).ok().filter(plain).unwrap_or("/");
        let (name, value, life) = (&self.cookie, self.spec.cookie(point), self.spec.life.as_secs());
        let secure = if secure { "; Secure" } else { "" };
        format!("{name}={value}; Path={path}; Max-Age={life}; HttpOnly; SameSite=Lax{secure}")
    }
}
