//! A request from its head to the moment it is ready to be sent: parsed, routed, rewritten, a small body read.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::challenge;
use super::claim::Preview;
use super::connection::{Client, Next, guarded};
use super::exchange::Exchange;
use super::forward;
use super::https;
use super::ident;
use super::pin::{Asker, Pinned};
use super::refuse::Refusal;
use crate::http::body::{Body, Framing};
use crate::http::field::Known;
use crate::http::grpc;
use crate::http::request::Request;
use crate::live::service::LiveService;
use crate::live::table::LiveTraffic;
use crate::route::Prefix;
use crate::rule::{self, Judged, Manners, Visitor};
use crate::worker::stock::Scratch;
use cutover_core::listen::Peer;
use cutover_core::rules::Coding;
use tokio::io::AsyncWriteExt;

/// What must be remembered of a request once its head is rewritten.
#[derive(Debug)]
pub struct Ask {
    /// The client speaks HTTP/1.0.
    pub old: bool,
    /// The client wants to keep the connection.
    pub keep: bool,
    /// The answer has no body: the method is `HEAD`.
    pub bodiless: bool,
    /// It may be done twice.
    pub idempotent: bool,
    /// It asks for another protocol.
    pub upgrade: bool,
    /// It carries the service's token, or came where a release is previewed.
    pub preview: Option<Preview>,
    /// Which release its client keeps to.
    pub pinned: Pinned,
    /// What a browser is to remember of TLS.
    pub hsts: Option<Arc<str>>,
    /// Who asks, as far as somebody says who is believed; the other end of the connection where nobody wants to know. None if that is a
    /// unix socket.
    pub client: Option<IpAddr>,
    /// The coding in which its answer may be compressed.
    pub coding: Option<Coding>,
    /// If it is a call of gRPC: what must be known of it.
    pub call: Option<Call>,
}

/// A call of gRPC.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// How long it may take, if it says so.
    pub deadline: Option<Duration>,
}

impl Ask {
    /// Whether it is traffic of the service, and not a person who looks at what is not there for everybody yet.
    pub fn is_traffic(&self) -> bool {
        !matches!(self.preview, Some(Preview::New(_)))
    }
}

/// Where a request goes.
struct Routed {
    service: Arc<LiveService>,
    /// Whether the client's word about other clients is believed.
    trusted: bool,
    pinned: Pinned,
    preview: Option<Preview>,
    https: Option<u16>,
    hsts: Option<Arc<str>>,
    /// The client's address, if a rule may ask for it.
    address: Option<IpAddr>,
    client: Option<IpAddr>,
}

/// What became of reading a small body.
enum Buffered {
    /// It is ready to be sent, though perhaps more is to follow.
    Ready,
    /// The client left.
    Gone,
    /// It is refused.
    Refused(Refusal),
}

/// Serves the request whose head is the first `end` bytes of the inbox.
pub async fn serve(client: &mut Client, scratch: &mut Scratch, end: usize) -> Next {
    let began_us = client.worker.shared.now_us();
    client.record.begin(end);
    let head = &client.inbox.data()[..end];
    if let Err(refused) = scratch.request.parse(head) {
        return client.refuse(&Refusal::bad_request(refused.status, refused.why), false).await;
    }
    let request = &scratch.request;
    // Boxed: one request in many millions has to wait here.
    if request.target.of(head).starts_with(challenge::PATH)
        && let Some(text) = Box::pin(challenge::answer(client, request, end)).await
    {
        return challenge::give(client, request, end, &text).await;
    }
    let call = client.stream.stream().and_then(|_| call(head, request));
    client.record.call.set(call.is_some());
    let Some(routed) = route(client, head, request) else {
        let refusal = Refusal::no_route(request.host.map(|host| host.of(head)), request.target.of(head));
        let (keep, bodiless) = (request.keep && request.framing == Framing::Empty, request.method.of(head) == b"HEAD");
        client.inbox.consume(end);
        return client.refuse_to(&refusal, keep, bodiless).await;
    };
    let https = routed.https;
    let trusted = routed.trusted;
    let (service, ask, address) = ask(head, request, routed, call);
    let framing = request.framing;
    scratch.sent.clear();
    let trail = &service.spec.trail;
    let counts = ask.preview.is_none();
    let made = (!trail.is_empty()).then(|| ident::find(scratch, head, trail, trusted, counts, client));
    if service.log.is_some() || client.record.span.get().is_some() {
        scratch.head.clear();
        scratch.head.extend_from_slice(head);
    }
    if let Some(port) = https {
        let next = https::redirect(client, &scratch.request, end, port).await;
        client.over(scratch, &service, &ask, began_us, None);
        return next;
    }
    let (request, name) = (&scratch.request, service.spec.name.as_str());
    forward::request(&mut scratch.sent, head, request, client.peer, trusted, client.stream.is_secure(), name);
    if let Some(made) = made {
        ident::write(scratch, &client.record.id.borrow(), made);
    }
    let judged = service.rules.as_ref().map(|rules| {
        rules.edit_request(&mut scratch.sent);
        let visitor = Visitor { head, request: &scratch.request, address, preview: ask.preview.as_ref() };
        let manners = Manners { keep: visitor.keeps(), old: ask.old, bodiless: ask.bodiless };
        (rules.judge(&visitor, &service.counts, began_us), manners)
    });
    client.inbox.consume(end);
    let mut _permit = None;
    if let Some((Judged { ruling, permit }, manners)) = judged {
        _permit = permit;
        if let Some(next) = rule::act(client, &service, ruling, manners).await {
            client.over(scratch, &service, &ask, began_us, None);
            return next;
        }
    }
    let mut body = Body::new(framing, framing == Framing::Chunked);
    if !body.done() {
        match buffer(client, scratch, &service, framing, &mut body).await {
            Buffered::Ready => {}
            Buffered::Gone => {
                client.record.read(body.received());
                client.over(scratch, &service, &ask, began_us, None);
                return Next::Drop;
            }
            Buffered::Refused(refusal) => {
                let next = client.refuse_to(&service.dress(refusal), false, ask.bodiless).await;
                client.record.read(body.received());
                client.over(scratch, &service, &ask, began_us, None);
                return next;
            }
        }
    }
    Exchange { client, scratch, service, ask, body, began_us, chosen: None }.run().await
}

fn route(client: &Client, head: &[u8], request: &Request) -> Option<Routed> {
    let believed = |peers: &[Peer]| peers.iter().any(|believed| believed.is(client.peer));
    client.worker.table(|table| match &table.listener(&client.listener)?.traffic {
        LiveTraffic::Http(router) => {
            let Prefix { path, service, https, hsts } =
                router.find(request.host.map(|host| host.of(head)), request.target.of(head))?;
            let trusted = believed(&router.trusted);
            let (peer, secure) = (client.peer, client.stream.is_secure());
            let peers = trusted.then_some(router.trusted.as_slice());
            let asker = Asker { head, request, peer, trusted: peers, secure };
            let pin = service.pin.as_ref();
            let pinned = pin.map_or_else(Pinned::default, |pin| asker.pinned(pin, &service.counts, path));
            let pinned = if service.asks_for_clients() { asker.spread(service, pinned) } else { pinned };
            let address = (service.rules.is_some() || service.log.is_some()).then(|| asker.address()).flatten();
            let (hsts, client) = (hsts.clone().filter(|_| secure), address.or(peer));
            let (service, https) = (service.clone(), *https);
            Some(Routed { service, trusted, pinned, preview: None, https, hsts, address, client })
        }
        LiveTraffic::Preview { service, release, trusted } => Some(Routed {
            service: service.clone(),
            trusted: believed(trusted),
            pinned: Pinned::default(),
            preview: Some(Preview::New(*release)),
            https: None,
            hsts: None,
            address: None,
            client: client.peer,
        }),
        LiveTraffic::Tcp(_) => None,
    })
}

/// Where it goes, what is remembered of it, and the address that rules may ask for.
fn ask(head: &[u8], request: &Request, routed: Routed, call: Option<Call>) -> (Arc<LiveService>, Ask, Option<IpAddr>) {
    let Routed { service, pinned, preview, client, hsts, address, .. } = routed;
    let method = request.method.of(head);
    let token = || self::preview(head, request, service.spec.token.as_ref()?.as_bytes());
    let preview = preview.or_else(token);
    // The agent looks at the service as a whole, not as one of its clients.
    let pinned = if preview.is_none() { pinned } else { Pinned::default() };
    let ask = Ask {
        old: request.old,
        keep: request.keep,
        bodiless: method == b"HEAD",
        idempotent: Request::idempotent(method),
        upgrade: request.upgrade.is_some(),
        preview,
        pinned,
        client,
        hsts,
        coding: service.rules.as_ref().and_then(|rules| rules.accepted(head, request)),
        call,
    };
    (service, ask, address)
}

/// Whether it is a call of gRPC. Those come by HTTP/2.
fn call(head: &[u8], request: &Request) -> Option<Call> {
    let value = |name: &[u8]| {
        let mut fields = request.fields.iter().filter(|field| field.name.of(head).eq_ignore_ascii_case(name));
        fields.next().map(|field| field.value.of(head))
    };
    let is_call = value(b"content-type").is_some_and(grpc::is_call);
    is_call.then(|| Call { deadline: value(b"grpc-timeout").and_then(grpc::timeout) })
}

fn preview(head: &[u8], request: &Request, token: &[u8]) -> Option<Preview> {
    let value = |known| request.fields.iter().find(|field| field.known == known).map(|field| field.value.of(head));
    if !same(value(Known::Token)?, token) {
        return None;
    }
    let Some(instance) = value(Known::Instance) else { return Some(Preview::Any) };
    let text = String::from_utf8_lossy(instance);
    Some(text.parse().map_or_else(|_| Preview::Unreadable(text.into_owned()), Preview::Named))
}

/// Compares in a time that does not tell how much is right.
fn same(given: &[u8], secret: &[u8]) -> bool {
    let differences = given.iter().zip(secret).fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == secret.len() && differences == 0 && !secret.is_empty()
}

/// Reads a small body in full, so that a slow client holds no instance. A larger one is left for later. So is what has not come yet of one that
/// may be answered before it ends: its client may wait for that.
async fn buffer(
    client: &mut Client,
    scratch: &mut Scratch,
    service: &LiveService,
    framing: Framing,
    body: &mut Body,
) -> Buffered {
    let limits = service.limits();
    // A stream of messages has no size; who takes them limits each.
    let max_body = if client.record.call.get() { u64::MAX } else { limits.max_body.0 };
    let small = match framing {
        Framing::Length(length) if length > max_body => {
            return Buffered::Refused(Refusal::body_too_large(limits.max_body));
        }
        Framing::Length(length) => length <= limits.buffer_body.0,
        _ => true,
    };
    let mut invited = !scratch.request.expects;
    let waits = !(service.both_ways && framing == Framing::Chunked);
    loop {
        if small {
            match body.pass(client.inbox.data(), &mut scratch.sent) {
                Ok(count) => client.inbox.consume(count),
                Err(bad) => return Buffered::Refused(Refusal::bad_request(400, bad.0)),
            }
        }
        if body.received() > max_body {
            return Buffered::Refused(Refusal::body_too_large(limits.max_body));
        }
        client.slot.within(client.worker.shared.now_ms(), limits.body_pause);
        if !std::mem::replace(&mut invited, true) && client.inbox.is_empty() && !body.done() {
            let invite = client.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            if !matches!(guarded(&client.slot, invite).await, Ok(Ok(()))) {
                return Buffered::Gone;
            }
        }
        if !small || body.done() || body.received() > limits.buffer_body.0 {
            return Buffered::Ready;
        }
        let read = if waits {
            guarded(&client.slot, client.inbox.fill(&mut client.stream)).await
        } else {
            match at_once(client).await {
                Some(read) => Ok(read),
                None => return Buffered::Ready,
            }
        };
        match read {
            Ok(Ok(0) | Err(_)) => return Buffered::Gone,
            Ok(Ok(_)) => {}
            Err(_) => return Buffered::Refused(Refusal::slow_client()),
        }
    }
}

/// Reads once, if there is something to be read.
async fn at_once(client: &mut Client) -> Option<std::io::Result<usize>> {
    poll_fn(|cx| match client.inbox.poll_fill(cx, &mut client.stream) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
