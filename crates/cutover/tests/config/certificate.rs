//! Certificates of our own making.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Writes a certificate that is good from the day before yesterday until so many days from now, and its key, as `NAME.pem` and
/// `NAME.key` in a folder.
pub fn write(folder: &Path, name: &str, hosts: &[&str], days: i64) {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
    let mut params = rcgen::CertificateParams::new(hosts).expect("names");
    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let shift = |days: i64| match u32::try_from(days) {
        Ok(days) => now + days * day + day / 2,
        Err(_) => now - u32::try_from(-days).expect("few days") * day,
    };
    (params.not_before, params.not_after) = (shift(-2).into(), shift(days).into());
    let key = rcgen::KeyPair::generate().expect("a key");
    let signed = params.self_signed(&key).expect("a certificate");
    fs::write(folder.join(format!("{name}.pem")), signed.pem()).expect("a file");
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
}
