//! The client that sends a body slowly, and then another.

use std::ops::Range;

use tokio::time::{Instant, timeout};

use super::{Seat, late, met};
use crate::failure::Fault;
use crate::judge::{Asked, judge};
use crate::pace;
use crate::wire::{Decoder, Head, Template, Wire};

/// In how many pieces an upload is sent.
const PIECES: usize = 50;

/// Uploads until it is time to stop; what is left of the one under way is then sent at once.
pub(crate) async fn run(mut seat: Seat) {
    let load = &seat.context.load;
    let own = format!("connection: close\r\ncontent-length: {}\r\n", load.upload_bytes);
    let mut template = Template::new(load, "POST", &load.paths.upload, &own);
    while !seat.must_stop() {
        upload(&mut seat, &mut template).await;
        if seat.between_streams().await.is_none() {
            return;
        }
    }
}

async fn upload(seat: &mut Seat, template: &mut Template) {
    let context = seat.context.clone();
    {
        let mut tally = context.tally();
        tally.requests.sent += 1;
        tally.requests.posts += 1;
        tally.uploads.begun += 1;
    }
    let id = context.book.other_id();
    let body: Vec<u8> = id.bytes().cycle().take(context.load.upload_bytes).collect();
    let (begun, limit) = (Instant::now(), context.load.upload_for + context.load.timeout);
    let mut wire = None;
    let exchange = exchange(seat, template, &mut wire, &id, &body);
    let outcome = timeout(limit, exchange).await.unwrap_or_else(|_| Err(late(limit)));
    let asked = Asked { begun, id: &id, body: Some((body.len(), crc32fast::hash(&body))) };
    match outcome.and_then(|head| judge(&context, &head, &asked)) {
        Ok(release) => {
            let mut tally = context.tally();
            tally.uploads.done += 1;
            tally.answer(release, None, context.started.elapsed());
        }
        Err(fault) => context.fail(seat.kind, &template.name, Some(&id), met(wire.as_ref()), fault),
    }
}

async fn exchange(
    seat: &mut Seat,
    template: &mut Template,
    slot: &mut Option<Wire>,
    id: &str,
    body: &[u8],
) -> Result<Head, Fault> {
    let wire = slot.insert(Wire::connect(seat.context.address).await?);
    // If writing fails, reading tells why: there may be an answer already.
    if wire.write(template.render(id, "")).await.is_ok() {
        trickle(seat, wire, body).await;
    }
    let head = wire.head(false).await?;
    let mut decoder = Decoder::new(head.framing);
    while wire.piece(&mut decoder).await?.is_some() {}
    Ok(head)
}

/// Sends the body piece by piece, until all is sent or the server has said something before the end.
async fn trickle(seat: &mut Seat, wire: &mut Wire, body: &[u8]) {
    let pause = seat.context.load.upload_for / PIECES as u32;
    let begun = Instant::now();
    for (index, piece) in pieces(body.len()).enumerate() {
        // The schedule is kept even if a write takes long, so an upload takes the time that was asked for.
        let due = begun + pause * index as u32;
        tokio::select! {
            _ = pace::pause(due, &mut seat.stop) => {}
            () = wire.readable() => {}
        }
        if wire.looks_closed() || wire.write(&body[piece]).await.is_err() {
            return;
        }
    }
}

/// The parts of a body of this length: no more than [`PIECES`], and none of them empty.
fn pieces(length: usize) -> impl Iterator<Item = Range<usize>> {
    let size = length.div_ceil(PIECES).max(1);
    (0..length).step_by(size).map(move |from| from..(from + size).min(length))
}
