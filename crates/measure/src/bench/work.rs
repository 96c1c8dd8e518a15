//! What is measured, and what is to be reached.

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// Small requests on connections that are kept.
    Small,
    /// The same on a single connection: what a proxy adds to an answer.
    Alone,
    /// Answers of 10 KiB.
    Kib10,
    /// Answers of 1 MiB.
    Mib1,
    /// Bodies of 1 MiB.
    Upload,
    /// A new connection for each request.
    Connect,
    /// Small requests by TLS, on connections that are kept.
    Tls,
    /// A new connection by TLS for each request, with a full handshake.
    Handshake,
    /// The same, but each resumes a session.
    Resume,
    /// HTTP/2 by TLS, a hundred streams at once on each of four connections.
    Http2,
    /// Messages of 64 bytes on WebSockets, there and back.
    Websocket,
    /// The same on a TCP route.
    Tcp,
    /// Memory with connections that are kept and say nothing.
    Idle,
}

/// Against whom a figure is held.
#[derive(Debug, Clone, Copy)]
pub struct Aim {
    /// Processor time per request, or memory: at most so many times the better of nginx and HAProxy.
    pub best: f64,
    /// At most so many times Caddy's.
    pub caddy: f64,
}

impl Work {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 13] = [
        Self::Small,
        Self::Alone,
        Self::Kib10,
        Self::Mib1,
        Self::Upload,
        Self::Connect,
        Self::Tls,
        Self::Handshake,
        Self::Resume,
        Self::Http2,
        Self::Websocket,
        Self::Tcp,
        Self::Idle,
    ];

    /// How many connections it takes if nothing else is said.
    pub fn connections(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::Http2 => 4,
            Self::Connect | Self::Handshake | Self::Resume | Self::Mib1 | Self::Upload => 16,
            Self::Idle => 10_000,
            _ => 64,
        }
    }

    /// What is to be reached.
    pub fn aim(self) -> Aim {
        match self {
            Self::Small => Aim { best: 1.0, caddy: 0.25 },
            Self::Idle => Aim { best: 1.0, caddy: 0.3 },
            _ => Aim { best: 1.0, caddy: 0.5 },
        }
    }

    /// Who can do it.
    pub fn peers(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["cutover", "haproxy", "copy"],
            _ => &["cutover", "nginx", "haproxy", "caddy"],
        }
    }

    /// Its name, and what it is.
    pub fn title(self) -> &'static str {
        match self {
            Self::Small => "small GET, keep-alive",
            Self::Alone => "small GET, one connection",
            Self::Kib10 => "10 KiB answers",
            Self::Mib1 => "1 MiB answers",
            Self::Upload => "1 MiB uploads",
            Self::Connect => "a connection per request",
            Self::Tls => "TLS, keep-alive",
            Self::Handshake => "TLS, full handshakes",
            Self::Resume => "TLS, resumed handshakes",
            Self::Http2 => "HTTP/2, 100 streams",
            Self::Websocket => "WebSocket messages",
            Self::Tcp => "TCP route, messages",
            Self::Idle => "idle connections",
        }
    }
}
