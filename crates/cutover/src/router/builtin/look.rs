//! Looks through the proxy, as a client would: on its public address, by the service's own route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::listen::{ListenAddress, Peer};
use cutover_core::spec::RouteKind;
use cutover_core::{Failure, InstanceId};
use cutover_proxy::tls::LOOKING;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::engine::port::Glance;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the request. An answer that names no instance is the proxy's own: nobody could take it.
pub(super) async fn look(glance: &Glance<'_>) -> Result<Option<InstanceId>, Failure> {
    let Some(route) = glance.route.proxy() else { return Ok(None) };
    let RouteKind::Http { hosts, path, more } = &route.kind else { return Ok(None) };
    let address = reachable(&route.listen);
    let unnamed = || address.tcp().map_or_else(|| "localhost".to_owned(), |address| address.to_string());
    // Any name below a wildcard will do.
    let host = hosts.first().map_or_else(unnamed, |host| host.replacen('*', "cutover", 1));
    let is_ours = std::iter::once(path).chain(more).any(|path| glance.path.starts_with(path.as_str()));
    let path = if is_ours { glance.path } else { path };
    let summary = || format!("a request through the proxy ({host}{path} at {address}) was not answered as it should");
    let asked = tokio::time::timeout(PATIENCE, ask(glance, &address, &host, path)).await;
    match asked {
        Ok(Ok(Some(instance))) => Ok(Some(instance)),
        Ok(Ok(None)) => Err(Failure::new(format!("{}: no instance answered", summary()))),
        Ok(Err(error)) => Err(Failure::because(summary(), error.as_ref())),
        Err(_) => Err(Failure::new(format!("{}: nothing came within 5s", summary()))),
    }
}

async fn ask(
    glance: &Glance<'_>,
    address: &ListenAddress,
    host: &str,
    path: &str,
) -> Result<Option<InstanceId>, Box<dyn std::error::Error + Send + Sync>> {
    let plain = connect(address, glance.route.proxy().map_or(&[], |route| &route.introduced)).await?;
    let stream: Box<dyn Both> = match glance.route.proxy().and_then(|route| route.tls.as_ref()) {
        Some(_) => Box::new(secure(plain, host).await?),
        None => plain,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::get(path).header("host", host).header("cutover-token", glance.token);
    if let Some(instance) = glance.instance {
        request = request.header("cutover-instance", instance.to_string());
    }
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    driver.abort();
    let named = answer.headers().get("cutover-instance").and_then(|name| name.to_str().ok());
    Ok(named.and_then(|name| name.parse().ok()))
}

/// Connects as a client of its own. Where we come from, everybody may have to begin with a header of the PROXY protocol.
async fn connect(address: &ListenAddress, introduced: &[Peer]) -> std::io::Result<Box<dyn Both>> {
    let (mut plain, own): (Box<dyn Both>, _) = match address {
        ListenAddress::Tcp(address) => {
            let tcp = TcpStream::connect(address).await?;
            let own = tcp.local_addr()?.ip();
            (Box::new(tcp), Some(own))
        }
        ListenAddress::Unix(path) => (Box::new(UnixStream::connect(path).await?), None),
    };
    if introduced.iter().any(|peer| peer.is(own)) {
        plain.write_all(b"PROXY UNKNOWN\r\n").await?;
    }
    Ok(plain)
}

/// What can be read and written.
trait Both: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

/// Speaks TLS with our own proxy, as one who asks for this host. The question is who answers behind it, not whether a stranger
/// would believe the certificate: an expired one must not keep a deployment from being turned back, nor one that is still being
/// ordered the first from succeeding.
async fn secure(
    plain: Box<dyn Both>,
    host: &str,
) -> Result<TlsStream<Box<dyn Both>>, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let mut config =
        config.dangerous().with_custom_certificate_verifier(Arc::new(Ours(provider))).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec(), LOOKING.to_vec()];
    let name = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(name, _)| name);
    let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, plain).await?)
}

/// Takes any certificate, but not any signature: whoever shows it must have its key.
#[derive(Debug)]
struct Ours(Arc<CryptoProvider>);

impl ServerCertVerifier for Ours {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// An address that listens everywhere is reached here.
fn reachable(listen: &ListenAddress) -> ListenAddress {
    let ListenAddress::Tcp(listen) = listen else { return listen.clone() };
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port()).into()
}
