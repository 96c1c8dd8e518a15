//! Session tickets that outlive the process.
//!
//! A ticket is the client's half of a finished handshake, sealed with a key that only we have; who brings it back is spared the
//! costly part of the next one. The keys lie in the state directory, for our own user only, so that a proxy that was restarted, or
//! its successor, still reads the tickets of the one before. A new key is made every twelve hours and each is kept for
//! thirty-six: whoever steals the file reads no recorded connection of TLS 1.3, and of TLS 1.2 only those of that time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

/// How old a key is when the next one is made.
const ROTATION: Duration = Duration::from_secs(12 * 3600);

/// How old a key is when its tickets are not taken any more.
const LIFE: Duration = Duration::from_secs(36 * 3600);

const FILE: &str = "tickets";
const MARK: &str = "cutover-tickets 1";
const NAME: usize = 16;
const SECRET: usize = 32;

/// The keys.
pub struct Tickets {
    path: PathBuf,
    random: SystemRandom,
    keys: RwLock<Vec<TicketKey>>,
}

/// One key, newest first in every list.
#[derive(Clone)]
struct TicketKey {
    name: [u8; NAME],
    secret: [u8; SECRET],
    made: Duration,
    sealing: LessSafeKey,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    /// The keys of this state directory. Those that cannot be read are made anew: it only costs clients a full handshake.
    pub fn of_state(state: &Path) -> Self {
        let tickets = Self { path: state.join(FILE), random: SystemRandom::new(), keys: RwLock::default() };
        tickets.rotate();
        tickets
    }

    /// Makes a new key if it is time, and forgets those that are too old. To be called now and then.
    pub fn rotate(&self) {
        let now = now();
        // The file may be newer than what we hold: a predecessor on its way out shares it.
        let mut keys = read(&self.path).unwrap_or_else(|| self.held());
        keys.retain(|key| now.saturating_sub(key.made) < LIFE && key.made <= now + ROTATION);
        let fresh = keys.first().is_some_and(|key| now.saturating_sub(key.made) < ROTATION);
        if !fresh && let Some(key) = self.make(now) {
            keys.insert(0, key);
            if let Err(error) = write(&self.path, &keys) {
                let path = self.path.display();
                tracing::warn!(%error, "cannot write {path}: sessions are not resumed after a restart");
            }
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn held(&self) -> Vec<TicketKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn make(&self, now: Duration) -> Option<TicketKey> {
        let (mut name, mut secret) = ([0; NAME], [0; SECRET]);
        self.random.fill(&mut name).ok()?;
        self.random.fill(&mut secret).ok()?;
        TicketKey::new(name, secret, now)
    }
}

impl TicketKey {
    fn new(name: [u8; NAME], secret: [u8; SECRET], made: Duration) -> Option<Self> {
        let sealing = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).ok()?);
        Some(Self { name, secret, made, sealing })
    }
}

/// A ticket is the key's name, a random nonce (fit for 2³² tickets of one key), and the sealed session.
impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from((LIFE - ROTATION).as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(key.name);
        key.sealing.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some([&key.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.iter().find(|key| key.name == *name)?;
        let mut session = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.sealing.open_in_place(nonce, Aad::from(key.name), &mut session).ok()?.len();
        session.truncate(length);
        Some(session)
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Writes the keys: one line each, `time name secret`, the time in seconds and the rest in hexadecimal.
fn write(path: &Path, keys: &[TicketKey]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{MARK}")?;
    for key in keys {
        writeln!(file, "{} {} {}", key.made.as_secs(), hex(&key.name), hex(&key.secret))?;
    }
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Reads the keys; none if there is no file, or if any of it is damaged.
fn read(path: &Path) -> Option<Vec<TicketKey>> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    lines.next().filter(|mark| *mark == MARK)?;
    lines.map(line).collect()
}

fn line(line: &str) -> Option<TicketKey> {
    let mut words = line.split(' ');
    let (made, name, secret) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    TicketKey::new(unhex(name)?, unhex(secret)?, Duration::from_secs(made))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Seen to fail with the keys made anew at each start, and with a ticket opened by whichever key is newest.
    #[test]
    fn tickets_are_read_by_a_successor_and_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let first = Tickets::of_state(dir.path());
        let ticket = first.encrypt(b"session").unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Tickets::of_state(dir.path());
        assert_eq!(second.decrypt(&ticket).unwrap(), b"session");
        let stranger = Tickets::of_state(tempfile::tempdir().unwrap().path());
        assert_eq!(stranger.decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut bad = ticket.clone();
            bad[at] ^= 1;
            assert_eq!(second.decrypt(&bad), None, "a wrong bit at {at}");
            assert_eq!(second.decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn keys_are_replaced_in_time_and_their_tickets_read_for_a_day_more() {
        let dir = tempfile::tempdir().unwrap();
        let tickets = Tickets::of_state(dir.path());
        let ticket = tickets.encrypt(b"session").unwrap();
        let age = |by: u64| {
            let mut keys = read(&tickets.path).unwrap();
            keys.iter_mut().for_each(|key| key.made = key.made.saturating_sub(Duration::from_secs(by * 3600)));
            write(&tickets.path, &keys).unwrap();
            tickets.rotate();
        };
        age(13);
        assert_eq!(tickets.held().len(), 2);
        assert_ne!(tickets.encrypt(b"session").unwrap()[..NAME], ticket[..NAME], "sealed with the new key");
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"session");
        age(24);
        assert_eq!(tickets.decrypt(&ticket), None, "37 hours old");
    }

    #[test]
    fn a_damaged_file_costs_no_more_than_the_sessions() {
        let dir = tempfile::tempdir().unwrap();
        Tickets::of_state(dir.path());
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() - 1 {
            fs::write(&path, &whole[..cut]).unwrap();
            let tickets = Tickets::of_state(dir.path());
            assert!(tickets.encrypt(b"x").is_some(), "cut at {cut}");
        }
    }
}
