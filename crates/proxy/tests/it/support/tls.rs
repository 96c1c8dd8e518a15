//! Certificates of our own making, and clients that look at them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cutover_core::table::{Listener, Service};
use cutover_core::tls::{CertificateFrom, Identity, InstanceTls, ShownFiles, TlsVersion};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore};
use tempfile::TempDir;

use super::client::Conn;
use super::table::name;

/// An authority, and a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Files {
    /// The chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir().join("ca.pem")
    }

    /// Signs a certificate for these names, and writes it with its key; over what is there.
    pub fn sign(&self, file: &str, names: &[&str]) -> Files {
        self.sign_for(file, names, Duration::from_secs(90 * 86_400))
    }

    /// The same, good from a year ago until so long after that.
    pub fn sign_for(&self, file: &str, names: &[&str], good: Duration) -> Files {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        let year = Duration::from_secs(365 * 86_400);
        let from = if good < year { SystemTime::now() - Duration::from_secs(86_400) } else { SystemTime::now() - year };
        params.not_before = from.into();
        params.not_after = (from + good).into();
        self.write(file, params)
    }

    /// One that ended yesterday.
    pub fn expired(&self, file: &str, names: &[&str]) -> Files {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        let day = Duration::from_secs(86_400);
        params.not_before = (SystemTime::now() - 30 * day).into();
        params.not_after = (SystemTime::now() - day).into();
        self.write(file, params)
    }

    /// Its own certificate, as one for a server.
    pub fn own(&self) -> Files {
        let files = Files { certificate: self.ca(), key: self.dir().join("ca.key") };
        std::fs::write(&files.key, self.issuer.key().serialize_pem()).unwrap();
        files
    }

    fn write(&self, file: &str, params: CertificateParams) -> Files {
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let files =
            Files { certificate: self.dir().join(format!("{file}.pem")), key: self.dir().join(format!("{file}.key")) };
        // As careful people do it: a new file in the place of the old one.
        for (path, text) in [(&files.key, key.serialize_pem()), (&files.certificate, signed.pem() + &self.issuer.pem())]
        {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, path).unwrap();
        }
        files
    }

    /// How instances are spoken to that have certificates of this authority.
    pub fn to_instances(&self) -> InstanceTls {
        InstanceTls { ca_file: Some(self.ca()), ..InstanceTls::default() }
    }

    /// A client that believes in this authority.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }
}

impl Files {
    /// The certificate itself.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_file(&self.certificate).unwrap().to_vec()
    }

    /// As instances are shown it.
    pub fn shown(&self) -> Option<ShownFiles> {
        let Self { certificate, key } = self.clone();
        Some(ShownFiles { certificate, key })
    }

    /// As a table has it.
    pub fn identity(&self, service: &str, hosts: &[&str]) -> Identity {
        let Self { certificate, key } = self.clone();
        Identity {
            service: name(service),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            from: CertificateFrom::Files { certificate, key },
            minimum: TlsVersion::V12,
        }
    }
}

/// A client that believes everybody.
pub fn blind() -> Arc<ClientConfig> {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::UnixTime;
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    struct Anybody;
    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
    Arc::new(config.with_no_client_auth())
}

/// The same service with TLS to its instances.
pub fn to_instances(mut service: Service, tls: &InstanceTls) -> Service {
    service.targets.iter_mut().for_each(|target| target.tls = Some(Box::new(tls.clone())));
    service
}

/// The same listener with TLS.
pub fn secured(listener: Listener, identities: Vec<Identity>) -> Listener {
    Listener { identities, ..listener }
}

impl Conn {
    /// Connects by TLS and shakes hands.
    pub fn secure(address: SocketAddr, config: &Arc<ClientConfig>, host: &str) -> Self {
        Self::try_secure(address, config, host).unwrap_or_else(|error| panic!("no handshake for {host}: {error}"))
    }

    /// The same, when it may fail.
    pub fn try_secure(address: SocketAddr, config: &Arc<ClientConfig>, host: &str) -> std::io::Result<Self> {
        Self::to(address).shaking_hands(config, host)
    }

    /// The same connection, by TLS.
    pub fn shaking_hands(self, config: &Arc<ClientConfig>, host: &str) -> std::io::Result<Self> {
        let mut conn = self;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut tls = ClientConnection::new(config.clone(), name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut conn.stream)?;
        }
        conn.tls = Some(Box::new(tls));
        Ok(conn)
    }

    /// The certificate that was shown.
    pub fn shown(&self) -> Vec<u8> {
        self.tls.as_ref().unwrap().peer_certificates().unwrap()[0].to_vec()
    }

    /// Whether the handshake was spared.
    pub fn resumed(&self) -> bool {
        self.tls.as_ref().unwrap().handshake_kind() == Some(HandshakeKind::Resumed)
    }
}
