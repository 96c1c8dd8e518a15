//! Telling of a request that is over: to the counters, and to the access log and whoever collects traces, if there are any.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::live::service::LiveService;
use crate::live::target::Claim;
use crate::log::Told;
use crate::socket::Socket;
use crate::span::{Around, Context};
use crate::worker::stock::Scratch;

use super::connection::Client;
use super::exchange::Exchange;
use super::request::Ask;

impl Exchange<'_> {
    /// Remembers who was chosen, if somebody will ask.
    pub(super) fn note(&mut self, claim: Claim) -> Claim {
        if self.service.log.is_some() || self.client.record.span.get().is_some() {
            self.chosen = Some((claim.target().clone(), claim.since_us()));
        }
        claim
    }

    /// Tells of the request.
    pub(super) fn over(&self) {
        self.client.record.read(self.body.received());
        let chosen = self.chosen.as_ref().map(|(target, since)| (&**target, *since));
        self.client.over(self.scratch, &self.service, &self.ask, self.began_us, chosen);
    }
}

impl Client {
    /// Tells of a request of a service. The agent's own looks, and those of people at a preview, are not traffic and not counted; but a
    /// log that is to show who was here shows them too.
    pub(super) fn over(
        &self,
        scratch: &Scratch,
        service: &LiveService,
        ask: &Ask,
        began_us: u64,
        chosen: Option<(&crate::live::target::LiveTarget, u64)>,
    ) {
        let record = &self.record;
        record.told.set(true);
        if ask.preview.is_none() {
            let shard = service.counts.shard(self.worker.index);
            shard.over(record.status.get(), record.received.get(), record.sent.get());
            if let Some(reason) = record.reason.get() {
                shard.refused(reason);
            }
        }
        let log = service.log.zip(service.spec.trail.log.as_ref());
        let span = record.span.get().zip(service.spans);
        if log.is_none() && span.is_none() {
            return;
        }
        let told = Told {
            head: &scratch.head,
            request: &scratch.request,
            record,
            client: ask.client,
            service: service.spec.name.as_str(),
            chosen,
            duration_us: self.worker.shared.now_us().saturating_sub(began_us),
            id: &record.id.borrow(),
            trace: &scratch.trace,
            query: log.is_some_and(|(_, log)| log.query),
            http2: matches!(self.stream, Socket::Stream(_)),
        };
        if let Some((file, log)) = log
            && !self.worker.pen.write(file, &log.format, &told)
        {
            self.worker.counts().unlogged();
        }
        if let Some((context, receiver)) = span {
            self.worker.spans.write(receiver, &self.around(context), &told);
        }
    }

    fn around(&self, context: Context) -> Around {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ended_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Around { context, peer: self.peer, secure: self.stream.is_secure(), ended_ns }
    }

    /// Counts a request that was refused before its service was known.
    pub(super) fn tell_of_no_service(&self) {
        if let Some(reason) = self.record.reason.get().filter(|_| !self.record.told.get()) {
            self.worker.counts().refused(reason);
        }
    }
}
