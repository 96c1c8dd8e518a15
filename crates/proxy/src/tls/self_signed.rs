//! Certificates of our own making. No client of a service is ever shown one.

use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::crypto::ring as provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::acme::answer::PROTOCOL;

/// For an authority that asks in a handshake whether a name is ours: the answer stands in an extension (RFC 8737, 3).
pub fn proof(name: &str, answer: &str) -> Option<Arc<ServerConfig>> {
    let extension = CustomExtension::new_acme_identifier(digest(&SHA256, answer.as_bytes()).as_ref());
    made(name, vec![extension], PROTOCOL)
}

/// For our own agent, which looks who answers behind a listener that has no certificate yet. It believes anything.
pub fn blank() -> Option<Arc<ServerConfig>> {
    static BLANK: OnceLock<Option<Arc<ServerConfig>>> = OnceLock::new();
    BLANK.get_or_init(|| made("cutover.invalid", Vec::new(), b"http/1.1")).clone()
}

fn made(name: &str, extensions: Vec<CustomExtension>, protocol: &[u8]) -> Option<Arc<ServerConfig>> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).ok()?;
    params.custom_extensions = extensions;
    let key = KeyPair::generate().ok()?;
    let certificate = params.self_signed(&key).ok()?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()));
    let config = config.with_safe_default_protocol_versions().ok()?.with_no_client_auth();
    let signing = provider::default_provider().key_provider.load_private_key(private).ok()?;
    // Not looked at any more: rustls itself does not know what the extension means, and would refuse it.
    let pair = CertifiedKey::new(vec![certificate.der().clone()], signing);
    let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![protocol.to_vec()];
    Some(Arc::new(config))
}
