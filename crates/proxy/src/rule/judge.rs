//! Looking at the head of a request, once: what becomes of it.

use std::net::IpAddr;
use std::sync::Arc;

use cutover_core::rules::Password;

use super::LiveRules;
use super::access::{self, Login, Permit, Verdict};
use super::files::{self, Wanted};
use crate::http::body::Framing;
use crate::http::request::Request;
use crate::live::count::ServiceCounts;
use crate::route::without_port;
use crate::serve::claim::Preview;
use crate::serve::refuse::Refusal;

/// A request, as its rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The bytes of the head.
    pub head: &'a [u8],
    /// What was read there.
    pub request: &'a Request,
    /// The client's address; none if a believed proxy wrote something that is none.
    pub address: Option<IpAddr>,
    /// Whether it looks through the proxy, and how.
    pub preview: Option<&'a Preview>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Ruling {
    /// It is passed on.
    Pass,
    /// The proxy refuses it.
    Refuse(Refusal),
    /// The client is sent elsewhere.
    Redirect {
        /// With this status.
        status: u16,
        /// To this place.
        location: Vec<u8>,
    },
    /// The proxy sends a file, if there is one.
    File(Box<Wanted>),
    /// First it has to be known whether this login is right.
    Login(Login, Box<Ruling>),
}

/// A ruling, and what counts the request while it is served.
#[derive(Debug)]
pub struct Judged {
    /// What becomes of it.
    pub ruling: Ruling,
    /// One of the requests that its client may have at once.
    pub permit: Option<Permit>,
}

impl From<Ruling> for Judged {
    fn from(ruling: Ruling) -> Self {
        Self { ruling, permit: None }
    }
}

impl Visitor<'_> {
    /// Whether another request may follow on the connection if this one is answered without reading its body.
    pub fn keeps(&self) -> bool {
        self.request.keep && self.request.framing == Framing::Empty
    }

    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let field = self.request.fields.iter().find(|field| field.name.of(self.head).eq_ignore_ascii_case(name));
        field.map(|field| field.value.of(self.head))
    }

    fn host(&self) -> Option<Vec<u8>> {
        self.request.host.map(|host| without_port(host.of(self.head)).to_ascii_lowercase())
    }

    /// Whether this is a client like any other.
    fn is_client(&self) -> bool {
        self.preview.is_none()
    }

    /// Whether it is the agent.
    fn is_agent(&self) -> bool {
        self.preview.is_some_and(|preview| !matches!(preview, Preview::New(_)))
    }
}

impl LiveRules {
    /// What becomes of a request: first whether its client may come, then whether it may come now, then what it wants.
    pub fn judge(&self, visitor: &Visitor<'_>, counts: &Arc<ServiceCounts>, now_us: u64) -> Judged {
        if visitor.is_agent() {
            return Ruling::Pass.into();
        }
        if !visitor.is_client() {
            return self.wish(visitor).into();
        }
        if !access::admits(&self.spec.access, visitor.address) {
            return Ruling::Refuse(Refusal::denied()).into();
        }
        if let Some(refusal) = self.down(visitor.address) {
            return Ruling::Refuse(refusal).into();
        }
        match access::count(&self.spec.access, counts, visitor.address, now_us) {
            Ok(permit) => Judged { ruling: self.with_password(visitor, counts, now_us), permit },
            Err(refusal) => Ruling::Refuse(refusal).into(),
        }
    }

    fn with_password(&self, visitor: &Visitor<'_>, counts: &ServiceCounts, now_us: u64) -> Ruling {
        let wish = self.wish(visitor);
        // Where a client is only sent elsewhere, it is asked for its password there.
        let Some(password) = self.spec.access.password.as_ref().filter(|_| !matches!(wish, Ruling::Redirect { .. }))
        else {
            return wish;
        };
        match counts.memory.passwords.known(password, visitor.value(b"authorization"), now_us) {
            Verdict::Right => wish,
            Verdict::Unknown(login) => Ruling::Login(login, Box::new(wish)),
            verdict => Ruling::Refuse(verdict.refusal(&password.realm)),
        }
    }

    /// What it wants: to go elsewhere, a file, or the service.
    fn wish(&self, visitor: &Visitor<'_>) -> Ruling {
        let file = || Some(Ruling::File(Box::new(files::wanted(&self.files, visitor.head, visitor.request)?)));
        self.redirect(visitor).or_else(file).unwrap_or(Ruling::Pass)
    }

    /// The names and passwords, if they are needed.
    pub(super) fn password(&self) -> Option<&Password> {
        self.spec.access.password.as_ref()
    }

    /// The page of a service that is down for maintenance, unless this client is let through.
    fn down(&self, address: Option<IpAddr>) -> Option<Refusal> {
        let down = self.spec.maintenance.as_ref()?;
        let is_allowed = |address| down.allow.iter().any(|network| network.contains(address));
        if address.is_some_and(is_allowed) {
            return None;
        }
        let refusal = Refusal::maintenance(down.retry_after.unwrap_or(120).into());
        Some(match &self.maintenance {
            Some(page) => refusal.with_page(page),
            None => refusal,
        })
    }

    fn redirect(&self, visitor: &Visitor<'_>) -> Option<Ruling> {
        if self.spec.redirects.is_empty() {
            return None;
        }
        let target = visitor.request.target.of(visitor.head);
        // A preview is reached by an address, and a redirect by host would lead away from it.
        let (status, location) = self.sent_to(visitor.host().as_deref(), target, visitor.is_client())?;
        Some(Ruling::Redirect { status, location })
    }
}
