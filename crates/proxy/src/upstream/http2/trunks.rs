//! The connections of HTTP/2 to instances, kept by each worker for itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::trunk::{Place, Trunk};
use crate::live::gate::Admits;
use crate::live::target::LiveTarget;

/// The trunks of one worker.
#[derive(Debug, Default)]
pub struct Trunks {
    shelves: RefCell<HashMap<u64, Shelf>>,
}

#[derive(Debug)]
struct Shelf {
    target: Arc<LiveTarget>,
    trunks: Vec<Trunk>,
    keep: Duration,
    /// Held by whoever opens another: a hundred requests that come at once share one.
    opening: Rc<Mutex<()>>,
}

/// How a place came about.
#[derive(Debug)]
pub struct Placed {
    /// The place.
    pub place: Place,
    /// Whether the connection carried others before.
    pub reused: bool,
}

impl Trunks {
    /// A place for a stream: on a connection that is there, or on a new one, which may take `limit` (zero is for ever) to come about. A
    /// connection without streams is kept for up to `keep`. `certain` asks the kernel whether one that is idle still stands.
    pub async fn place(
        &self,
        target: &Arc<LiveTarget>,
        limit: Duration,
        keep: Duration,
        certain: bool,
    ) -> io::Result<Placed> {
        if let Some(place) = self.free(target, certain) {
            return Ok(Placed { place, reused: true });
        }
        let opening = self.another(target, keep, certain);
        if limit.is_zero() {
            return opening.await;
        }
        tokio::time::timeout(limit, opening).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn another(&self, target: &Arc<LiveTarget>, keep: Duration, certain: bool) -> io::Result<Placed> {
        let opening = self.shelf(target, keep, |shelf| shelf.opening.clone());
        let _alone = opening.lock().await;
        // Somebody may have opened one meanwhile.
        if let Some(place) = self.free(target, certain) {
            return Ok(Placed { place, reused: true });
        }
        let trunk = Trunk::open(target).await?;
        let place = trunk.place(false).ok_or_else(|| io::Error::other("it allows no streams"))?;
        // A target that has retired meanwhile keeps nothing: the connection ends with this stream.
        if target.gate.admits(Admits::Named) {
            self.shelf(target, keep, |shelf| shelf.trunks.push(trunk));
        }
        Ok(Placed { place, reused: false })
    }

    fn shelf<T>(&self, target: &Arc<LiveTarget>, keep: Duration, with: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelves = self.shelves.borrow_mut();
        let new = || Shelf { target: target.clone(), trunks: Vec::new(), keep, opening: Rc::default() };
        let shelf = shelves.entry(target.serial).or_insert_with(new);
        shelf.keep = keep;
        with(shelf)
    }

    /// The oldest with room comes first, so that the surplus grows idle and is closed.
    fn free(&self, target: &LiveTarget, certain: bool) -> Option<Place> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.get_mut(&target.serial)?;
        shelf.trunks.retain(|trunk| !trunk.gone());
        shelf.trunks.iter().find_map(|trunk| trunk.place(certain))
    }

    /// Lets go of the connections to the targets for which `closed` holds: they end with their last stream, at once if they have none.
    pub fn purge(&self, closed: impl Fn(&LiveTarget) -> bool) {
        self.shelves.borrow_mut().retain(|_, shelf| !closed(&shelf.target));
    }

    /// Closes what has been idle for too long, and forgets what has ended. Gives the number of those that stay.
    pub fn sweep(&self, now: u64) -> usize {
        let mut kept = 0;
        self.shelves.borrow_mut().retain(|_, shelf| {
            let keep = shelf.keep;
            shelf.trunks.retain(|trunk| !trunk.gone() && !trunk.rests(now, keep));
            kept += shelf.trunks.len();
            !shelf.trunks.is_empty() || Rc::strong_count(&shelf.opening) > 1
        });
        kept
    }
}
