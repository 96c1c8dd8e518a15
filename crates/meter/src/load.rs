//! What to send, how fast, and what to hold the answers to.

use std::ops::Range;
use std::time::Duration;

use crate::address::Url;

/// A load, complete. Build one with [`Load::new`] for any website or [`Load::sample`] for the sample service, and change
/// what should differ.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where all of it goes. Its path is what GET requests ask for, unless `paths.get` is set.
    pub url: Url,
    /// Requests per second over all request connections, sent on schedule whether or not earlier ones were answered
    /// (an open loop). 0 sends the next as soon as the last is answered (a closed loop), after the `think` time.
    pub rate: f64,
    /// Keep-alive connections that write the next request without looking whether the connection still stands.
    pub reused: usize,
    /// Keep-alive connections that look for a close before each request, as careful clients do.
    pub peek: usize,
    /// Workers that open a new connection for each request.
    pub fresh: usize,
    /// The share of requests, from 0 to 1, that are POSTs with a body and an id of their own.
    pub post_share: f64,
    /// The length of a POST's body.
    pub body_bytes: usize,
    /// Server-sent event streams held open.
    pub sse: usize,
    /// WebSockets held open.
    pub websockets: usize,
    /// How often each WebSocket sends a message.
    pub message_every: Duration,
    /// Slow uploads running at any time, each on a new connection.
    pub uploads: usize,
    /// The length of an upload.
    pub upload_bytes: usize,
    /// The time an upload takes to be sent.
    pub upload_for: Duration,
    /// How long a request may take from its first byte to the end of the answer; an upload has `upload_for` on top.
    /// Also how long a stream may be silent.
    pub timeout: Duration,
    /// The pause before each request in a closed loop, chosen evenly from this range.
    pub think: Range<Duration>,
    /// What each kind of client asks for.
    pub paths: Paths,
    /// Sent with every request, as they stand. At first only a `user-agent`, without which some sites refuse.
    pub headers: Vec<(String, String)>,
    /// The `host` header, when it should differ from the address.
    pub host: Option<String>,
    /// What every answer must say about itself.
    pub expect: Expect,
    /// How many failures are kept in full; all of them are counted.
    pub failures_kept: usize,
}

/// What each kind of client asks for, with query.
#[derive(Debug, Clone)]
pub struct Paths {
    /// GET requests; the address's path when `None`.
    pub get: Option<String>,
    /// POST requests.
    pub post: String,
    /// Event streams.
    pub sse: String,
    /// WebSockets.
    pub websocket: String,
    /// Slow uploads.
    pub upload: String,
}

/// What every answer must say about itself. Header names are compared without regard to case; an expectation that is
/// `None` is not checked.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// The header that names the release that answered. What is allowed in it is told while the load runs.
    pub release_header: Option<String>,
    /// The header that names the service, and the only right value.
    pub service: Option<(String, String)>,
    /// The header in which a request sends its id and the answer must return it.
    pub id_header: Option<String>,
    /// The header in which an answer to a body says `LENGTH:CRC32` of what has arrived.
    pub body_header: Option<String>,
    /// The number that the first event of a stream must have; the following ones are consecutive.
    pub first_event: Option<u64>,
}

impl Load {
    /// GETs for any website: 100 per second over 8 careless, 4 careful and 4 new-connection clients. No ids, no streams.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            rate: 100.0,
            reused: 8,
            peek: 4,
            fresh: 4,
            post_share: 0.0,
            body_bytes: 256,
            sse: 0,
            websockets: 0,
            message_every: Duration::from_millis(100),
            uploads: 0,
            upload_bytes: 64 * 1024,
            upload_for: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            think: Duration::ZERO..Duration::ZERO,
            paths: Paths::default(),
            headers: vec![("user-agent".into(), "cutover-meter".into())],
            host: None,
            expect: Expect::default(),
            failures_kept: 50,
        }
    }

    /// The load for the sample service: half of the requests are orders with ids, two clients of each kind of stream,
    /// two slow uploads, and every check that the sample's answers allow.
    pub fn sample(url: Url) -> Self {
        let expect = Expect {
            release_header: Some("x-sample-release".into()),
            service: Some(("x-sample-service".into(), "sample".into())),
            id_header: Some("x-request-id".into()),
            body_header: Some("x-sample-body".into()),
            first_event: Some(1),
        };
        Self { post_share: 0.5, sse: 2, websockets: 2, uploads: 2, expect, ..Self::new(url) }
    }

    pub(crate) fn request_clients(&self) -> usize {
        self.reused + self.peek + self.fresh
    }

    pub(crate) fn get_path(&self) -> &str {
        self.paths.get.as_deref().unwrap_or(self.url.path())
    }

    /// What makes no sense in this load, if anything.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        let paths = [self.get_path(), &self.paths.post, &self.paths.sse, &self.paths.websocket, &self.paths.upload];
        let texts = self.headers.iter().flat_map(|(name, value)| [name, value]).chain(&self.host);
        if self.request_clients() + self.sse + self.websockets + self.uploads == 0 {
            Some("there is no client of any kind")
        } else if !(self.rate >= 0.0 && self.rate.is_finite()) {
            Some("the rate is not a number from 0 up")
        } else if !(0.0..=1.0).contains(&self.post_share) {
            Some("the share of POSTs is not between 0 and 1")
        } else if paths.iter().any(|path| !path.starts_with('/') || path.contains(|c: char| c <= ' ')) {
            Some("a path does not begin with / or contains a blank")
        } else if texts.into_iter().any(|text| text.contains(['\r', '\n'])) {
            Some("a header contains a line break")
        } else {
            None
        }
    }
}

impl Default for Paths {
    /// Those of the sample service.
    fn default() -> Self {
        Self {
            get: None,
            post: "/orders".into(),
            sse: "/events".into(),
            websocket: "/ws".into(),
            upload: "/upload".into(),
        }
    }
}
