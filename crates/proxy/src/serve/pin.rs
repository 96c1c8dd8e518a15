//! Which release a client keeps to, and the cookie that says so.
//!
//! A client that cannot be told apart (no such header, an address that cannot be read) goes by the weights, like any request. A
//! cookie that cannot be read counts as none. The instances never see a cookie of ours, and nobody else's is touched.

use std::net::{IpAddr, SocketAddr};

use cutover_core::InstanceId;
use cutover_core::listen::Peer;
use cutover_core::pin::{COOKIE, PinBy};
use cutover_core::spread::{HashBy, STICKY, address_number, instance_number, number, sticky_name};
use cutover_core::table::Balance;
use memchr::memmem;

use crate::http::field::{Known, line, members};
use crate::http::head::Field;
use crate::http::request::Request;
use crate::live::count::ServiceCounts;
use crate::live::group::Wish;
use crate::live::pin::LivePin;
use crate::live::service::LiveService;

/// How the names of all our cookies begin.
const OURS: &[u8] = b"cutover-";

/// Which release a client keeps to, and which instance.
#[derive(Debug, Default)]
pub struct Pinned {
    /// Where it wants to go.
    pub wish: Wish,
    /// The cookie to give it.
    pub cookie: Option<Box<str>>,
    /// How it stays with its instance, if it is to.
    pub sticks: Option<Sticks>,
}

/// How a client stays with its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sticks {
    secure: bool,
}

impl Sticks {
    /// The value of `Set-Cookie` that names an instance, unless it is the one that the client named.
    pub fn cookie(self, instance: &InstanceId, named: Option<u64>) -> Option<String> {
        let number = instance_number(instance);
        let (name, secure) = (sticky_name(&instance.service), if self.secure { "; Secure" } else { "" });
        (named != Some(number)).then(|| format!("{name}={number:016x}; Path=/; HttpOnly; SameSite=Lax{secure}"))
    }
}

/// Who asks, and what.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The bytes of the head.
    pub head: &'a [u8],
    /// The request.
    pub request: &'a Request,
    /// The other end of the connection; none if that is a unix socket.
    pub peer: Option<IpAddr>,
    /// Whose word about other clients is believed, if this peer's is.
    pub trusted: Option<&'a [Peer]>,
    /// Whether it came by TLS.
    pub secure: bool,
}

impl Asker<'_> {
    /// Which release it keeps to by this pin. `path` is the route's.
    pub fn pinned(&self, pin: &LivePin, counts: &ServiceCounts, path: &[u8]) -> Pinned {
        let point = match &pin.spec.by {
            PinBy::Cookie => match self.cookie(pin) {
                Some(point) => Some(point),
                None => {
                    let point = counts.new_point();
                    let cookie = pin.set_cookie(point, path, self.is_https());
                    let wish = Wish { point: Some(point), ..Wish::default() };
                    return Pinned { wish, cookie: Some(cookie.into()), sticks: None };
                }
            },
            PinBy::Header(name) => self.header(name.as_bytes()).map(|value| pin.spec.point(value)),
            PinBy::Address => self.address().map(|address| pin.spec.point_of(address)),
        };
        Pinned { wish: Wish { point, ..Wish::default() }, ..Pinned::default() }
    }

    /// With what else its service wants to know of it to choose an instance.
    pub fn spread(&self, service: &LiveService, mut pinned: Pinned) -> Pinned {
        if service.spec.balance == Balance::Hash {
            pinned.wish.key = match &service.spec.spread.hash {
                HashBy::Address => self.address().map(address_number),
                HashBy::Header(name) => self.header(name.as_bytes()).map(|value| number(1, value)),
            };
        }
        if let Some(name) = &service.sticky {
            pinned.wish.sticky =
                self.values(|field| field.known == Known::Cookie).flat_map(cookies).find_map(|cookie| {
                    let value = cookie.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                    u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok()
                });
            pinned.sticks = Some(Sticks { secure: self.is_https() });
        }
        pinned
    }

    fn values(&self, of: impl Fn(&Field) -> bool) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.request.fields.iter().filter(move |field| of(field)).map(|field| field.value.of(self.head))
    }

    fn cookie(&self, pin: &LivePin) -> Option<u16> {
        let cookies = self.values(|field| field.known == Known::Cookie).flat_map(cookies);
        let ours = cookies.filter_map(|cookie| cookie.strip_prefix(pin.cookie.as_bytes())?.strip_prefix(b"="));
        ours.filter_map(|value| pin.spec.point_in(value)).next()
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let mut values = self.values(|field| field.name.of(self.head).eq_ignore_ascii_case(name));
        values.next().filter(|value| !value.is_empty())
    }

    /// The client's address: the last one in `X-Forwarded-For` that is not itself one of those believed. None if it cannot be read, or if
    /// the client came by a unix socket and nobody who is believed says more: rules by address let in neither.
    pub fn address(&self) -> Option<IpAddr> {
        let Some(trusted) = self.trusted else { return self.peer };
        let mut found = self.peer;
        for list in self.values(|field| field.known == Known::ForwardedFor).rev() {
            for member in members(list).collect::<Vec<_>>().into_iter().rev() {
                found = address(member);
                if found.is_none() || !trusted.iter().any(|believed| believed.is(found)) {
                    return found;
                }
            }
        }
        found
    }

    /// Whether the client came by https: to us, or to somebody who is believed.
    fn is_https(&self) -> bool {
        if self.secure {
            return true;
        }
        let proto = self.values(|field| field.known == Known::ForwardedProto).next();
        // Of several, the first is what the client used.
        let first = proto.and_then(|proto| members(proto).next());
        self.trusted.is_some() && first.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"))
    }
}

/// An address, with or without a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The cookies of a `Cookie` field (RFC 6265, 4.2.1).
fn cookies(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|&b| b == b';').map(<[u8]>::trim_ascii).filter(|cookie| !cookie.is_empty())
}

/// If there is a cookie of ours in a field, writes the field without it, or nothing if there is no other. False if there is none:
/// then nothing was written.
pub fn without_ours(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    let is_ours = |cookie: &[u8]| [COOKIE, STICKY].iter().any(|ours| cookie.starts_with(ours.as_bytes()));
    // Searching is quicker than taking the field apart, and there is nearly always nothing to find.
    if memmem::find(value, OURS).is_none() || !cookies(value).any(is_ours) {
        return false;
    }
    // The others stay byte for byte: some applications put into a cookie what does not belong there.
    let others = value.split(|&b| b == b';').filter(|cookie| !cookie.trim_ascii().is_empty());
    let others: Vec<&[u8]> = others.filter(|cookie| !is_ours(cookie.trim_ascii_start())).collect();
    if !others.is_empty() {
        line(out, name, others.join(&b';').trim_ascii());
    }
    true
}
