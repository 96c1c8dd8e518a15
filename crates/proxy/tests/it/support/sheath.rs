//! TLS before an instance that speaks none: whatever is in it is passed on, both ways.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncWriteExt, copy, split};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::tls::{Authority, Files};

/// One that listens on the loopback. Its thread ends with the test's process.
#[derive(Clone)]
pub struct Sheath {
    /// Where it listens.
    pub address: SocketAddr,
    said: Arc<Mutex<Vec<Said>>>,
    failed: Arc<Mutex<Vec<String>>>,
    accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

/// What came out of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The name that was asked for.
    pub name: Option<String>,
    /// What is spoken inside.
    pub inside: Option<String>,
    /// The certificate that the other side showed.
    pub shown: Option<Vec<u8>>,
    /// Whether a session was taken up again.
    pub resumed: bool,
}

/// How it is to be.
#[derive(Clone)]
pub struct Manner {
    /// What it shows.
    pub files: Files,
    /// What it speaks inside; empty if it has never heard of such a choice.
    pub inside: &'static [&'static str],
    /// Whose certificates it wants to see.
    pub wants: Option<RootCertStore>,
    /// The versions that it speaks.
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// Whether it hangs up without a farewell.
    pub abrupt: bool,
}

/// Both versions.
const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Each version alone.
pub const EACH: [&[&SupportedProtocolVersion]; 2] = [&[&TLS13], &[&TLS12]];

impl Manner {
    /// As most are.
    pub fn of(files: &Files) -> Self {
        Self { files: files.clone(), inside: &["http/1.1"], wants: None, versions: BOTH, abrupt: false }
    }

    /// One that wants a certificate of this authority.
    pub fn wanting(self, authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
        Self { wants: Some(roots), ..self }
    }

    fn config(&self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone());
        let config = config.with_protocol_versions(self.versions).unwrap();
        let config = match &self.wants {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => config.with_no_client_auth(),
        };
        let chain = CertificateDer::pem_file_iter(&self.files.certificate).unwrap().map(Result::unwrap).collect();
        let mut config =
            config.with_single_cert(chain, PrivateKeyDer::from_pem_file(&self.files.key).unwrap()).unwrap();
        config.alpn_protocols = self.inside.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

impl Sheath {
    /// TLS before this instance.
    pub fn before(instance: SocketAddr, manner: &Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (said, failed, accepted, ended) = Default::default();
        let sheath = Self { address, said, failed, accepted, ended };
        let (ours, acceptor, abrupt) = (sheath.clone(), TlsAcceptor::from(Arc::new(manner.config())), manner.abrupt);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    ours.accepted.fetch_add(1, SeqCst);
                    let (ended, connection) = (ours.ended.clone(), ours.clone());
                    let connection = connection.connection(tcp, acceptor.clone(), instance, abrupt);
                    tokio::spawn(async move {
                        connection.await;
                        ended.fetch_add(1, SeqCst);
                    });
                }
            });
        });
        sheath
    }

    async fn connection(self, tcp: TcpStream, acceptor: TlsAcceptor, instance: SocketAddr, abrupt: bool) {
        let tls = match acceptor.accept(tcp).await {
            Ok(tls) => tls,
            Err(error) => return self.failed.lock().unwrap().push(error.to_string()),
        };
        let session = tls.get_ref().1;
        self.said.lock().unwrap().push(Said {
            name: session.server_name().map(str::to_owned),
            inside: session.alpn_protocol().map(|inside| String::from_utf8(inside.to_vec()).unwrap()),
            shown: session.peer_certificates().map(|chain| chain[0].to_vec()),
            resumed: session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        });
        let (mut from_instance, mut to_instance) = TcpStream::connect(instance).await.unwrap().into_split();
        let (mut from_proxy, mut to_proxy) = split(tls);
        let there = async {
            let _ = copy(&mut from_proxy, &mut to_instance).await;
            let _ = to_instance.shutdown().await;
        };
        let back = async {
            let _ = copy(&mut from_instance, &mut to_proxy).await;
            if !abrupt {
                let _ = to_proxy.shutdown().await;
            }
        };
        // Whoever is done first ends both: an instance that hangs up is not to be waited for.
        tokio::select! {
            () = there => {}
            () = back => {}
        }
    }

    /// What came out of its handshakes.
    pub fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    /// Why handshakes failed, as it sees it.
    pub fn failed(&self) -> Vec<String> {
        self.failed.lock().unwrap().clone()
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.accepted.load(SeqCst) - self.ended.load(SeqCst)
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}
