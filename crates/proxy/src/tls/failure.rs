//! Why a handshake with an instance failed, in words that say what to do about it.

use std::io;
use std::net::SocketAddr;

use cutover_core::tls::InstanceTls;
use rustls::{AlertDescription, CertificateError, Error};

/// Tells of a failed handshake, as a fragment that completes "no TLS with the instance: ".
pub fn told(error: &io::Error, spec: &InstanceTls, address: SocketAddr) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(why)) => certificate(why, spec, address),
        Some(Error::AlertReceived(alert)) => alerted(*alert, spec),
        Some(Error::InvalidMessage(_)) => "what it answers is not TLS".to_owned(),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection in the middle of the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

/// Whether an alert says that the handshake did not count, so that nothing that was sent after it has been looked at. In TLS 1.3 our side
/// of the handshake is over before the instance has looked at our certificate (RFC 8446, 4.4.2.4 and 6.2).
pub fn undoes_handshake(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::HandshakeFailure
            | A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError
            | A::CertificateRequired
    )
}

fn certificate(why: &CertificateError, spec: &InstanceTls, address: SocketAddr) -> String {
    use CertificateError as C;
    let wanted = || spec.name.clone().unwrap_or_else(|| address.ip().to_string());
    match why {
        // The second is what an authority of the same name does.
        C::UnknownIssuer | C::BadSignature => match &spec.ca_file {
            Some(file) => format!("its certificate is not signed by an authority in {}", file.display()),
            None => {
                "its certificate is not signed by an authority that this machine believes (ca_file names others)".into()
            }
        },
        C::NotValidForName => format!("its certificate is not for {}", wanted()),
        C::NotValidForNameContext { presented, .. } => {
            let named = presented.iter().map(|name| name.rsplit_once('(').map_or(name.as_str(), |(_, rest)| rest));
            let named = named.map(|name| name.trim_matches(|c: char| "\")".contains(c))).collect::<Vec<_>>().join(", ");
            let named = if named.is_empty() { "nobody" } else { &named };
            format!("its certificate is for {named}, not for {} (name says what is expected)", wanted())
        }
        C::Expired | C::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        C::NotValidYet | C::NotValidYetContext { .. } => {
            "its certificate is not good yet; are the clocks right?".to_owned()
        }
        why if why.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of an authority (CA:TRUE), not one for a server that this authority has signed"
                .into()
        }
        why => format!("its certificate cannot be believed: {why}"),
    }
}

fn alerted(alert: AlertDescription, spec: &InstanceTls) -> String {
    let name = alert.as_str().unwrap_or("unknown");
    match (alert, &spec.shown) {
        (AlertDescription::NoApplicationProtocol, _) => {
            format!("it does not speak this version of HTTP inside TLS (alert: {name}); look at protocol")
        }
        (alert, Some(files)) if undoes_handshake(alert) => {
            format!("it refuses the certificate in {} (alert: {name})", files.certificate.display())
        }
        (alert, None) if undoes_handshake(alert) => {
            format!("it refuses the handshake (alert: {name}); if it wants a certificate, certificate and key name one")
        }
        _ => format!("it ended the handshake (alert: {name})"),
    }
}
