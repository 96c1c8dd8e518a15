//! The way of bytes from the workers to whoever writes or sends them on: a ring for each worker, which it alone fills, without a lock and
//! without waiting. What a worker puts there is whole, and says by a number where it goes.

use std::sync::{Mutex, PoisonError};

use rtrb::{Consumer, Producer, RingBuffer};

/// The size of a ring. The memory is used only once something is put there.
const SIZE: usize = 1 << 20;

/// What stands before each entry: its number and its length.
const HEADER: usize = 8;

/// Both ends of all rings, until they are taken.
#[derive(Debug)]
pub struct Rings {
    producers: Mutex<Vec<Option<Producer<u8>>>>,
    consumers: Mutex<Vec<Consumer<u8>>>,
}

/// A worker's end.
#[derive(Debug)]
pub struct Mouth {
    ring: Option<Producer<u8>>,
    entry: Vec<u8>,
}

impl Rings {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        let (producers, consumers) =
            (0..workers).map(|_| RingBuffer::new(SIZE)).map(|(producer, consumer)| (Some(producer), consumer)).unzip();
        Self { producers: Mutex::new(producers), consumers: Mutex::new(consumers) }
    }

    /// The end of this worker.
    pub fn mouth(&self, worker: usize) -> Mouth {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        Mouth { ring: producers.get_mut(worker).and_then(Option::take), entry: Vec::new() }
    }

    /// The other ends.
    pub fn ends(&self) -> Vec<Consumer<u8>> {
        std::mem::take(&mut *self.consumers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Mouth {
    /// Puts there what `write` appends. False if there is no room.
    pub fn put(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Self { ring, entry } = self;
        entry.clear();
        entry.extend_from_slice(&number.to_le_bytes());
        entry.extend_from_slice(&[0; 4]);
        write(entry);
        let length = u32::try_from(entry.len() - HEADER).unwrap_or(u32::MAX);
        entry[4..HEADER].copy_from_slice(&length.to_le_bytes());
        ring.as_mut().is_some_and(|ring| ring.push_entire_slice(entry).is_ok())
    }
}

/// Takes everything that is there.
pub fn take(ends: &mut [Consumer<u8>], mut each: impl FnMut(u32, &[u8])) {
    for ring in ends {
        let ready = ring.slots();
        let Ok(chunk) = ring.read_chunk(ready) else { continue };
        let (first, second) = chunk.as_slices();
        if second.is_empty() {
            split(first, &mut each);
        } else {
            split(&[first, second].concat(), &mut each);
        }
        chunk.commit_all();
    }
}

fn split(mut bytes: &[u8], each: &mut impl FnMut(u32, &[u8])) {
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = usize::try_from(number(4)).unwrap_or(usize::MAX);
        let Some((entry, after)) = rest.split_at_checked(length) else { return };
        each(number(0), entry);
        bytes = after;
    }
}
