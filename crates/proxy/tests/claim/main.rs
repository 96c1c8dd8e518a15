//! The claim protocol under a scheduler that tries many interleavings.
//!
//! `gate.rs` is compiled a second time here, beside a `sync` whose atomics give the scheduler a say before each operation.
//! Such a scheduler explores sequentially consistent executions only; that suffices because the gate uses no others.

#![allow(dead_code, missing_docs)]

#[path = "../../src/live/gate.rs"]
mod gate;

mod sync {
    pub use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use gate::{Admits, Gate};
use shuttle::thread;

const INTERLEAVINGS: usize = 20_000;

/// What an instance sees: it must get nothing after it was retired.
#[derive(Default)]
struct Instance {
    stopped: AtomicBool,
}

impl Instance {
    fn receives(&self) {
        assert!(!self.stopped.load(SeqCst), "a request reached an instance that was retired and idle");
    }
}

fn request(gate: &Gate, instance: &Instance, stream: bool) {
    if !gate.enter(Admits::All) {
        return;
    }
    instance.receives();
    if stream {
        gate.stream();
        thread::yield_now();
        instance.receives();
        gate.leave_stream();
    } else {
        thread::yield_now();
        instance.receives();
        gate.leave();
    }
}

// Seen to fail with `enter` looking at the mode before counting, with `enter` not looking again, with `stream` counting out
// before in, and with `load` reading streams before requests.
#[test]
fn nothing_reaches_a_retired_instance() {
    let model = || {
        let (gate, instance) = (Arc::new(Gate::new()), Arc::new(Instance::default()));
        gate.set(Admits::All);
        let clients: Vec<_> = [false, true]
            .into_iter()
            .map(|stream| {
                let (gate, instance) = (gate.clone(), instance.clone());
                thread::spawn(move || request(&gate, &instance, stream))
            })
            .collect();
        gate.set(Admits::Nothing);
        let load = gate.load();
        if load.in_flight + load.streams == 0 {
            instance.stopped.store(true, SeqCst);
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
        let load = gate.load();
        assert_eq!((load.in_flight, load.streams), (0, 0), "a place was not given back");
    };
    shuttle::check_random(model, INTERLEAVINGS);
    shuttle::check_pct(model, INTERLEAVINGS, 3);
}
