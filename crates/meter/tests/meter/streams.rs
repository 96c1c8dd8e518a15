//! Streams that are cut, that lose something, and that end as they should.

use std::time::Duration;

use cutover_meter::{Class, Load, Meter, Url};

use crate::rogue::{Peer, Rogue};
use crate::{load, only, until};

const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const SOCKET: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn events(url: Url) -> Load {
    Load { reused: 0, sse: 1, ..load(url) }
}

fn sockets(url: Url) -> Load {
    Load { reused: 0, websockets: 1, message_every: Duration::from_millis(10), ..load(url) }
}

/// A server that sends these events in one chunk each, and then ends the body or just closes.
fn event_server(numbers: &'static [u64], proper: bool) -> Url {
    Rogue::start(move |mut peer| {
        peer.request();
        peer.send(EVENTS);
        for number in numbers {
            let event = format!("id: {number}\ndata: x\n\n");
            peer.send(&format!("{:x}\r\n{event}\r\n", event.len()));
        }
        if proper {
            peer.send("0\r\n\r\n");
        }
        peer.close();
    })
}

/// Seen to fail with a closed connection taken for the end of every body.
#[tokio::test]
async fn an_event_stream_that_just_stops_is_cut() {
    let report = only(events(event_server(&[1, 2], false)), Class::Cut).await;
    assert!(report.sse.cut > 0 && report.sse.ended_by_server == 0, "{report}");
    assert!(report.sse.opened == report.sse.cut + report.sse.kept, "{report}");
}

/// Seen to fail with `Events::end` always content.
#[tokio::test]
async fn an_event_stream_that_ends_within_an_event_is_cut() {
    let url = Rogue::start(|mut peer| {
        peer.request();
        peer.send(&format!("{EVENTS}6\r\nid: 1\n\r\n0\r\n\r\n"));
        peer.close();
    });
    only(events(url), Class::Cut).await;
}

/// Seen to fail with the proper end counted as a cut.
#[tokio::test]
async fn an_event_stream_that_ends_properly_is_not_cut() {
    let running = Meter::start(events(event_server(&[1, 2, 3], true))).unwrap();
    until(&running, "ends", |report| report.sse.ended_by_server >= 3).await;
    let report = running.stop().await;
    assert!(report.clean() && report.sse.received >= 9, "{report}");
    assert!(report.stream_ends.iter().all(|end| end.proper));
}

/// Seen to fail with the numbers not compared, and with the first one not expected.
#[tokio::test]
async fn missing_events_are_gaps() {
    for numbers in [&[1, 2, 4][..], &[2, 3], &[1, 1]] {
        let mut load = events(event_server(numbers, true));
        load.expect.first_event = Some(1);
        assert!(only(load, Class::Gap).await.sse.gaps > 0);
    }
}

/// Seen to fail with the silence of a stream not limited.
#[tokio::test]
async fn a_silent_event_stream_times_out() {
    let url = Rogue::start(|mut peer| {
        peer.request();
        peer.send(EVENTS);
        peer.request();
    });
    let report = only(Load { timeout: Duration::from_millis(100), ..events(url) }, Class::Timeout).await;
    assert!(report.sse.cut > 0);
}

/// Seen to fail with the content type not looked at.
#[tokio::test]
async fn what_is_no_event_stream_is_not_opened() {
    let url = Rogue::answering(|_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into());
    assert!(only(events(url), Class::Malformed).await.sse.not_opened > 0);
}

/// Accepts a WebSocket, and then does what `then` says with each message.
fn socket_server(then: impl Fn(&mut Peer, u64, &[u8]) -> bool + Send + Sync + 'static) -> Url {
    Rogue::start(move |mut peer| {
        peer.request();
        peer.send(SOCKET);
        let mut number = 0;
        while let Some(message) = peer.frame() {
            if !then(&mut peer, number, &message) {
                return peer.close();
            }
            number += 1;
        }
        // The client has closed; this is the answer.
        peer.send_bytes(&[0x88, 0]);
        peer.close();
    })
}

fn echo(peer: &mut Peer, message: &[u8]) -> bool {
    let head = [0x81, u8::try_from(message.len()).unwrap()];
    peer.send_bytes(&[&head, message].concat()).is_some()
}

/// Seen to fail with the end of the connection counted as the server's proper end.
#[tokio::test]
async fn a_websocket_that_just_stops_is_cut() {
    let url = socket_server(|peer, number, message| number < 3 && echo(peer, message));
    let report = only(sockets(url), Class::Cut).await;
    let seen = report.websockets;
    assert!(seen.cut > 0 && seen.unanswered > 0 && seen.ended_by_server == 0, "{report}");
    assert_eq!(seen.sent, seen.echoed + seen.unanswered, "{report}");
}

/// Seen to fail with every close frame, or none, taken for a proper end.
#[tokio::test]
async fn a_close_frame_is_an_end_unless_it_names_an_error() {
    for (code, proper) in [(1012u16, true), (1001, true), (1011, false), (1002, false)] {
        let url = socket_server(move |peer, number, message| {
            if number < 3 {
                return echo(peer, message);
            }
            peer.send_bytes(&[&[0x88, 2], &code.to_be_bytes()[..]].concat());
            false
        });
        let running = Meter::start(sockets(url)).unwrap();
        until(&running, "ends", |report| report.stream_ends.len() >= 2).await;
        let report = running.stop().await;
        assert_eq!(
            (report.websockets.ended_by_server > 0, report.websockets.cut == 0),
            (proper, proper),
            "{code} {report}"
        );
        assert_eq!(report.clean(), proper, "{code}");
        assert!(report.stream_ends[0].how.contains(&code.to_string()));
    }
}

/// Seen to fail with every message of ours taken for the one that is waited for.
#[tokio::test]
async fn messages_that_are_lost_or_doubled_are_gaps() {
    for doubled in [true, false] {
        let url = socket_server(move |peer, number, message| match (number % 4, doubled) {
            (2, false) => true,
            (2, true) => echo(peer, message) && echo(peer, message),
            _ => echo(peer, message),
        });
        assert!(only(sockets(url), Class::Gap).await.websockets.gaps > 0);
    }
}

/// Seen to fail with no limit to the wait for an echo.
#[tokio::test]
async fn a_websocket_that_does_not_echo_times_out() {
    let url = socket_server(|_, _, _| true);
    let report = only(Load { timeout: Duration::from_millis(100), ..sockets(url) }, Class::Timeout).await;
    assert!(report.websockets.cut > 0 && report.websockets.unanswered > 0, "{report}");
}
