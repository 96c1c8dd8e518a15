//! The client that holds a WebSocket open, sends numbered messages, and expects each of them back, in order.

use std::collections::VecDeque;

use tokio::time::{Instant, sleep_until, timeout};

use super::frames::{self, Incoming, Reader};
use super::{End, Seat, late};
use crate::chance::Chance;
use crate::context::Context;
use crate::failure::{Class, Fault};
use crate::judge;
use crate::wire::{Template, Wire};

/// The example of RFC 6455, section 1.3. The key is no secret; with a fixed one, the right answer is known without SHA-1.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// We are done (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
/// Done, going away, restarting, and "come back later": all of them say that the end was meant.
const PROPER: [u16; 4] = [NORMAL, 1001, 1012, 1013];

/// Holds one WebSocket after another until it is time to stop.
pub(crate) async fn run(mut seat: Seat, mut chance: Chance) {
    let own = format!(
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n"
    );
    let load = &seat.context.load;
    let mut template = Template::new(load, "GET", &load.paths.websocket, &own);
    while !seat.must_stop() {
        let mut slot = None;
        match open(&seat.context, &mut template, &mut slot).await {
            Ok(wire) => {
                seat.opened();
                let prefix = seat.context.book.other_id();
                let mut talk = Talk::new(&mut seat, wire, &template.name, prefix, &mut chance);
                let result = talk.run().await;
                talk.seat.context.tally().websockets.unanswered += talk.waiting.len() as u64;
                talk.seat.closed(talk.name, Some(&talk.wire), true, result);
            }
            Err(fault) => seat.closed(&template.name, slot.as_ref(), false, Err(fault)),
        }
        if seat.between_streams().await.is_none() {
            return;
        }
    }
}

/// Opens a WebSocket. When that fails, the connection is left in `slot` for the report.
async fn open(context: &Context, template: &mut Template, slot: &mut Option<Wire>) -> Result<Wire, Fault> {
    let (begun, limit) = (Instant::now(), context.load.timeout);
    let id = context.book.other_id();
    let ask = async {
        let wire = slot.insert(Wire::connect(context.address).await?);
        let _ = wire.write(template.render(&id, "")).await;
        wire.head(true).await
    };
    let head = timeout(limit, ask).await.unwrap_or_else(|_| Err(late(limit)))?;
    judge::origin(context, &head, begun, false)?;
    judge::status(&head)?;
    if head.status != 101 {
        return Err(Fault::new(Class::StatusOther, format!("status {} instead of 101", head.status)));
    }
    judge::origin(context, &head, begun, true)?;
    if head.get("sec-websocket-accept") != Some(ACCEPT) || !head.lists("upgrade", "websocket") {
        return Err(Fault::malformed("the upgrade was not agreed to as RFC 6455 asks"));
    }
    Ok(slot.take().expect("a head has come over a connection"))
}

/// One open WebSocket.
struct Talk<'a> {
    seat: &'a mut Seat,
    wire: Wire,
    name: &'a str,
    prefix: String,
    chance: &'a mut Chance,
    reader: Reader,
    next: u64,
    /// Messages that have not come back: number and time of sending.
    waiting: VecDeque<(u64, Instant)>,
    closing: bool,
}

impl<'a> Talk<'a> {
    fn new(seat: &'a mut Seat, wire: Wire, name: &'a str, prefix: String, chance: &'a mut Chance) -> Self {
        let (reader, waiting) = (Reader::default(), VecDeque::new());
        Self { seat, wire, name, prefix, chance, reader, next: 0, waiting, closing: false }
    }

    /// Talks until either side ends it. Told to stop, it waits for what is under way and then closes.
    async fn run(&mut self) -> Result<End, Fault> {
        let limit = self.seat.context.load.timeout;
        let (mut due, mut stopping) = (Instant::now(), false);
        let mut close_by = None;
        loop {
            while let Some((length, incoming)) = self.reader.read(self.wire.unread())? {
                self.wire.consume(length);
                if let Some(end) = self.take(incoming).await? {
                    return Ok(end);
                }
            }
            if stopping && self.waiting.is_empty() && !self.closing {
                self.closing = true;
                close_by = Some(Instant::now() + limit);
                self.send(frames::CLOSE, &NORMAL.to_be_bytes()).await;
            }
            let overdue = close_by.or(self.waiting.front().map(|(_, sent)| *sent + limit));
            tokio::select! {
                filled = self.wire.fill() => if filled? == 0 { return Err(self.wire.ended()) },
                () = sleep_until(overdue.unwrap_or(due)), if overdue.is_some() => return Err(late(limit)),
                () = crate::pace::stopped(&mut self.seat.stop), if !stopping => stopping = true,
                () = sleep_until(due), if !stopping => {
                    self.say().await;
                    due = Instant::now() + self.seat.context.load.message_every;
                }
            }
        }
    }

    async fn say(&mut self) {
        let message = format!("{} {}", self.prefix, self.next);
        self.waiting.push_back((self.next, Instant::now()));
        self.next += 1;
        self.seat.context.tally().websockets.sent += 1;
        self.send(frames::TEXT, message.as_bytes()).await;
    }

    /// Sends one frame. If that fails, reading will tell how the connection ended.
    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mask = (self.chance.next() as u32).to_be_bytes();
        let _ = self.wire.write(&frames::write(opcode, payload, mask)).await;
    }

    async fn take(&mut self, incoming: Option<Incoming>) -> Result<Option<End>, Fault> {
        match incoming {
            Some(Incoming::Message(message)) => self.message(&message),
            Some(Incoming::Ping(payload)) => self.send(frames::PONG, &payload).await,
            Some(Incoming::Pong) | None => {}
            Some(Incoming::Close(_)) if self.closing => return Ok(Some(End::Ours)),
            Some(Incoming::Close(code)) => {
                self.send(frames::CLOSE, &code.unwrap_or(NORMAL).to_be_bytes()).await;
                return match code {
                    Some(code) if !PROPER.contains(&code) => {
                        Err(Fault::new(Class::Cut, format!("closed with the error code {code}")))
                    }
                    Some(code) => Ok(Some(End::Theirs(format!("close code {code}")))),
                    None => Ok(Some(End::Theirs("close without a code".into()))),
                };
            }
        }
        Ok(None)
    }

    /// Compares a message that came back with the one that should be next.
    fn message(&mut self, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        let number = text.strip_prefix(&self.prefix).and_then(|rest| rest.trim_start().parse::<u64>().ok());
        let Some(number) = number else {
            self.seat.context.tally().websockets.received += 1;
            return;
        };
        let lost = self.waiting.iter().take_while(|(waiting, _)| *waiting < number).count();
        let lost: Vec<u64> = self.waiting.drain(..lost).map(|(number, _)| number).collect();
        for missing in lost {
            self.seat.gap(self.name, &self.wire, format!("message {missing} did not come back, but {number} did"));
        }
        if self.waiting.front().is_some_and(|(waiting, _)| *waiting == number) {
            self.waiting.pop_front();
            self.seat.context.tally().websockets.echoed += 1;
        } else {
            self.seat.gap(self.name, &self.wire, format!("message {number} came back twice or was never sent"));
        }
    }
}
