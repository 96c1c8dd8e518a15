//! What every peer is given: the same certificate, instances and number of threads, and a directory of its own.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::backend::Backends;

/// The name that every client asks for.
pub const HOST: &str = "bench.example";

/// The surroundings of a peer.
#[derive(Debug)]
pub struct Site {
    /// A directory for all of them.
    pub dir: PathBuf,
    /// The instances.
    pub backends: Backends,
    /// Threads of each peer.
    pub threads: usize,
    /// Client connections that must fit.
    pub connections: usize,
    /// Whether a line is written to an access log for each request.
    pub logs: bool,
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// Where a peer listens.
#[derive(Debug, Clone, Copy)]
pub struct Doors {
    /// HTTP without TLS.
    pub http: SocketAddr,
    /// HTTP/1.1 and HTTP/2 by TLS.
    pub https: SocketAddr,
    /// Bytes.
    pub tcp: SocketAddr,
}

impl Site {
    /// Makes the certificate.
    pub fn new(
        dir: &Path,
        backends: Backends,
        threads: usize,
        connections: usize,
        logs: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let signed = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
        fs::write(&certificate, signed.cert.pem())?;
        fs::write(&key, signed.signing_key.serialize_pem())?;
        Ok(Self { dir: dir.to_owned(), backends, threads, connections, logs, certificate, key })
    }

    /// The directory of one peer.
    pub fn dir(&self, name: &str) -> std::io::Result<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

impl Doors {
    /// Three ports that are free now.
    pub fn free() -> std::io::Result<Self> {
        // All are held until each has its own.
        let held = (listen()?, listen()?, listen()?);
        Ok(Self { http: held.0.local_addr()?, https: held.1.local_addr()?, tcp: held.2.local_addr()? })
    }
}

fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0")
}
