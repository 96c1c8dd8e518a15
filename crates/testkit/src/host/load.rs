//! Puts load on a host's service, and judges what came of it.

use std::time::Duration;

use cutover_meter::{Load, Meter, Report, Running};

use super::{Host, until};

impl Host {
    /// The strictest load for the sample: half of the requests are orders, on connections of each kind.
    pub fn load(&self, rate: f64) -> Load {
        let url = self.address().into();
        Load { rate, timeout: Duration::from_secs(20), ..Load::sample(url) }
    }

    /// Starts it on a thread of its own, and returns when the first answers have come.
    #[track_caller]
    pub fn meter(&self, load: Load) -> Running {
        let running = Meter::start_on_thread(load).expect("the load can run");
        answers(&running, 20);
        running
    }

    /// Stops it, and compares what was answered with the orders that the sample took.
    #[track_caller]
    pub fn report(&self, running: Running) -> Report {
        let mut report = running.stop_blocking();
        report.check_ledger(&self.ledger()).expect("read the ledger");
        report
    }

    /// The same, and insists that nothing was lost, duplicated, misrouted or cut.
    #[track_caller]
    pub fn clean_report(&self, running: Running) -> Report {
        let report = self.report(running);
        assert!(report.clean(), "{report}\n{:#?}", report.failures);
        report
    }
}

/// Waits until so many more requests were answered.
#[track_caller]
pub fn answers(running: &Running, more: u64) {
    let before = running.snapshot().requests.answered;
    until("the service answers", || (running.snapshot().requests.answered >= before + more).then_some(()));
}
