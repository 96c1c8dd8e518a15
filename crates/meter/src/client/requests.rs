//! The client that asks, waits for the answer, and asks again, over a kept connection or a new one.

use tokio::time::{Instant, timeout};

use super::{Seat, late, met};
use crate::failure::{Fault, Kind};
use crate::judge::{Asked, judge};
use crate::pace::Pace;
use crate::wire::{Decoder, Head, Template, Wire};

/// A client of one of the three kinds that send plain requests.
pub(crate) struct RequestClient {
    seat: Seat,
    pace: Pace,
    wire: Option<Wire>,
    get: Template,
    post: Template,
}

/// A complete answer, not judged yet.
struct Answer {
    head: Head,
    keep: bool,
}

impl RequestClient {
    pub(crate) fn new(seat: Seat, pace: Pace) -> Self {
        let load = &seat.context.load;
        // Says what it will do, so that the server closes first and keeps the waiting time that TCP asks for.
        let close = if seat.kind == Kind::Fresh { "connection: close\r\n" } else { "" };
        let get = Template::new(load, "GET", load.get_path(), close);
        let own = format!("{close}content-length: {}\r\n", load.body_bytes);
        let post = Template::new(load, "POST", &load.paths.post, &own);
        Self { seat, pace, wire: None, get, post }
    }

    /// Sends requests until it is time to stop. The one under way then is finished.
    pub(crate) async fn run(mut self) {
        while let Some(due) = self.pace.next(&mut self.seat.stop).await {
            self.look();
            let is_post = self.pace.chance().unit() < self.seat.context.load.post_share;
            let answered = if is_post { self.post(due).await } else { self.get(due).await };
            if !answered {
                self.pace.failed();
            }
        }
    }

    /// The careful client looks before it writes.
    fn look(&mut self) {
        if self.seat.kind == Kind::Peek && self.wire.as_ref().is_some_and(Wire::looks_closed) {
            self.wire = None;
            self.seat.context.tally().requests.closes_noticed += 1;
        }
    }

    async fn get(&mut self, due: Instant) -> bool {
        let id = self.seat.context.book.other_id();
        self.ask(due, &id, None).await
    }

    async fn post(&mut self, due: Instant) -> bool {
        let context = self.seat.context.clone();
        let order = context.book.order();
        let id = context.book.order_id(order);
        // The id over and over, so that a body that ends up with another request is known by its checksum.
        let body: String = id.chars().chain(" ".chars()).cycle().take(context.load.body_bytes).collect();
        let answered = self.ask(due, &id, Some(&body)).await;
        if answered {
            context.book.answered(order);
        }
        answered
    }

    /// Makes one request, counts how it went, and says whether it went well.
    async fn ask(&mut self, due: Instant, id: &str, body: Option<&str>) -> bool {
        let context = self.seat.context.clone();
        {
            let mut tally = context.tally();
            tally.requests.sent += 1;
            tally.requests.posts += u64::from(body.is_some());
        }
        let limit = context.load.timeout;
        let begun = Instant::now();
        let outcome = timeout(limit, self.exchange(id, body)).await.unwrap_or_else(|_| Err(late(limit)));
        let took = due.elapsed();
        let met = met(self.wire.as_ref());
        let body = body.map(|body| (body.len(), crc32fast::hash(body.as_bytes())));
        match self.conclude(outcome, &Asked { begun, id, body }) {
            Ok(release) => {
                context.tally().answer(release, Some(took), context.started.elapsed());
                true
            }
            Err(fault) => {
                let name = if body.is_some() { &self.post.name } else { &self.get.name };
                context.fail(self.seat.kind, name, Some(id), met, fault);
                false
            }
        }
    }

    /// The release that has answered well, or what was wrong. Also decides whether the connection is kept.
    fn conclude(&mut self, outcome: Result<Answer, Fault>, asked: &Asked<'_>) -> Result<String, Fault> {
        match outcome {
            Ok(answer) => {
                self.settle(answer.keep)?;
                judge(&self.seat.context, &answer.head, asked)
            }
            Err(fault) => {
                self.wire = None;
                Err(fault)
            }
        }
    }

    /// Sends the request once and reads the whole answer.
    async fn exchange(&mut self, id: &str, body: Option<&str>) -> Result<Answer, Fault> {
        let wire = match &mut self.wire {
            Some(wire) => wire,
            none => none.insert(Wire::connect(self.seat.context.address).await?),
        };
        let template = if body.is_some() { &mut self.post } else { &mut self.get };
        let written = wire.write(template.render(id, body.unwrap_or_default())).await;
        let head = wire.head(false).await?;
        let mut decoder = Decoder::new(head.framing);
        while wire.piece(&mut decoder).await?.is_some() {}
        let keep = head.keep_alive && written.is_ok();
        Ok(Answer { head, keep })
    }

    /// Keeps the connection for the next request, or not.
    fn settle(&mut self, keep: bool) -> Result<(), Fault> {
        let finished = self.wire.as_mut().map_or(Ok(()), Wire::finish);
        if !keep || finished.is_err() || self.seat.kind == Kind::Fresh {
            self.wire = None;
        }
        finished
    }
}
