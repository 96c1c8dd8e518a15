//! Spans, as a receiver of OTLP reads them: with the definitions that OpenTelemetry publishes, not with ours.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cutover_core::rule::verdict::Share;
use cutover_core::table::Service;
use cutover_core::trail;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::metrics::{metrics, scrape, value};
use super::support::backend::{Backend, field};
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, service, with};
use super::support::tls::{Authority, secured};
use super::support::{comes_to, free_address, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/// What a receiver got: heads, and what came with them.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, ExportTraceServiceRequest)>>>);

impl Seen {
    fn posts(&self) -> Vec<(String, ExportTraceServiceRequest)> {
        self.0.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Span> {
        let scopes = self.posts().into_iter().flat_map(|(_, request)| request.resource_spans);
        scopes.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

/// A receiver, and what it answers to the nth batch; nothing at all if that is none.
fn receiver(answer: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static) -> (Backend, Seen) {
    let seen = Seen::default();
    let ours = seen.clone();
    let backend = Backend::scripted(move |mut peer| {
        while let Some(head) = peer.request() {
            let body = peer.conn.exactly(field(&head, "content-length").unwrap().parse().unwrap());
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let nth = {
                let mut seen = ours.0.lock().unwrap();
                seen.push((head, request));
                seen.len() - 1
            };
            match answer(nth) {
                Some(answer) => peer.conn.send(answer),
                None => drop(peer.conn.rest()),
            }
        }
    });
    (backend, seen)
}

fn to(address: SocketAddr) -> trail::Spans {
    let endpoint = format!("http://{address}/v1/traces");
    trail::Spans { endpoint, ratio: Share::ONE, anyone: true, headers_file: None, ca_file: None }
}

fn recorded(name: &str, web: &Backend, spans: trail::Spans) -> Service {
    let target = format!("{name}.r1.i1");
    with(service(name, &[(target.as_str(), web.address, SERVING)]), |service| service.trail.spans = Some(spans))
}

fn tracing(web: &Backend, spans: trail::Spans) -> (Proxy, SocketAddr) {
    let (proxy, at) = (Proxy::start(), free_address());
    proxy.publish(vec![http(proxy.address, "web"), metrics(at, &["web"])], vec![recorded("web", web, spans)]);
    (proxy, at)
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let mut named = attributes.iter().filter(|attribute| attribute.key == key);
    let value = named.next().and_then(|attribute| attribute.value.clone()?.value);
    assert!(named.next().is_none(), "{key} is there twice");
    value
}

fn text(span: &Span, key: &str) -> Option<String> {
    match attribute(&span.attributes, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

fn whole(span: &Span, key: &str) -> Option<i64> {
    match attribute(&span.attributes, key)? {
        Value::IntValue(number) => Some(number),
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn nanos() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

/// Seen to fail with a query left in, with text that is not made UTF-8, with the parent's id told to the instance, and with lists in other
/// fields.
#[test]
fn a_span_tells_what_became_of_a_request() {
    let web = Backend::scripted(|mut peer| {
        while let Some(head) = peer.request() {
            match head.split(' ').nth(1) {
                Some("/bad") => peer.conn.send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
                Some("/none") => peer.conn.send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
                _ => peer.ok("hello"),
            }
        }
    });
    let (collector, seen) = receiver(|_| Some(TAKEN));
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "# the key\nAuthorization: Bearer hunter2\n").unwrap();
    let spans = trail::Spans { headers_file: Some(keys.path().to_owned()), ..to(collector.address) };
    let ((proxy, at), before) = (tracing(&web, spans), nanos());
    let mut conn = proxy.connect();
    conn.send(
        [
            format!(
                "GET /cart?token=hunter2 HTTP/1.1\r\nHost: shop.example:81\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n"
            )
            .as_bytes(),
            b"tracestate: a=b\r\nUser-Agent: curl \xff\r\n\r\n",
        ]
        .concat(),
    );
    assert_eq!(conn.answer().status, 200);
    for request in ["GET /bad", "BREW /none"] {
        conn.send(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(conn.answer().status >= 404);
    }
    comes_to(3, || seen.spans().len());
    let (posts, spans) = (seen.posts(), seen.spans());
    assert!(posts[0].0.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", posts[0].0);
    assert_eq!(field(&posts[0].0, "content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(field(&posts[0].0, "authorization").as_deref(), Some("Bearer hunter2"));
    let resource = &posts[0].1.resource_spans[0].resource.as_ref().unwrap().attributes;
    assert_eq!(attribute(resource, "service.name"), Some(Value::StringValue("cutover".to_owned())));
    assert!(!format!("{spans:?}").contains("hunter2"), "a query is told: {spans:?}");

    let [first, bad, none] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((hex(&first.trace_id).as_str(), hex(&first.parent_span_id).as_str()), (TRACE, PARENT));
    assert_eq!((first.name.as_str(), first.kind, first.trace_state.as_str()), ("GET", 2, "a=b"));
    assert!(before <= first.start_time_unix_nano && first.start_time_unix_nano < first.end_time_unix_nano);
    assert!(first.end_time_unix_nano <= nanos());
    assert_eq!((first.status.as_ref(), first.flags), (None, 0x301));
    for (key, told) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.path", "/cart"),
        ("server.address", "shop.example"),
        ("client.address", "127.0.0.1"),
        ("network.peer.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl \u{fffd}"),
        ("cutover.service", "web"),
        ("cutover.instance", "web.r1.i1"),
        ("cutover.upstream.address", web.address.to_string().as_str()),
    ] {
        assert_eq!(text(first, key).as_deref(), Some(told), "{key}");
    }
    let numbers = ["server.port", "http.response.status_code", "cutover.release"].map(|key| whole(first, key));
    assert_eq!(numbers, [Some(81), Some(200), Some(1)]);
    assert!(matches!(
        attribute(&first.attributes, "cutover.upstream.seconds"),
        Some(Value::DoubleValue(seconds)) if (0.0..10.0).contains(&seconds)
    ));
    assert_eq!((bad.status.as_ref().map(|status| status.code), text(bad, "error.type")), (Some(2), Some("500".into())));
    assert_eq!((bad.parent_span_id.len(), whole(bad, "server.port")), (0, None));
    assert_eq!((none.status.as_ref(), none.name.as_str()), (None, "HTTP"), "404 is no failure of the server");
    let method = ["http.request.method", "http.request.method_original"].map(|key| text(none, key));
    assert_eq!(method, [Some("_OTHER".to_owned()), Some("BREW".to_owned())]);
    let told: Vec<_> = web.seen().iter().map(|head| field(head, "traceparent").unwrap()).collect();
    let meant = spans.iter().map(|span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)));
    assert_eq!(told, meant.collect::<Vec<_>>(), "the instance's parent is the span that was sent");
    comes_to(3.0, || value(&scrape(at, "*/*"), "cutover_spans_sent_total"));
}

/// Seen to fail with the parent's flag left out, with the word of strangers believed, and with the agent's looks recorded.
#[test]
fn what_is_recorded_follows_the_parent_and_the_share() {
    let web = Backend::named("web");
    let (sampled, unsampled) = (format!("00-{TRACE}-{PARENT}-01"), format!("00-{TRACE}-{PARENT}-00"));
    let beside = |value: &str| format!("traceparent: {value}\r\ntracestate: a=b\r\n");
    let cases = [
        // The share, whose word counts, what comes; whether it is recorded, and whether it goes on as it came.
        (0.0, true, beside(&sampled), true, false),
        (1.0, true, beside(&unsampled), false, true),
        (0.0, true, String::new(), false, false),
        (1.0, true, String::new(), true, false),
        (1.0, true, beside("nonsense"), true, false),
        (0.0, false, beside(&sampled), false, false),
        (1.0, false, beside(&unsampled), true, false),
        (1.0, true, format!("{}cutover-token: secret\r\n", beside(&sampled)), false, true),
    ];
    for (ratio, anyone, fields, is_recorded, as_it_came) in cases {
        let (collector, seen) = receiver(|_| Some(TAKEN));
        let spans = trail::Spans { ratio: Share::try_from(ratio).unwrap(), anyone, ..to(collector.address) };
        let (proxy, _) = tracing(&web, spans);
        let mut conn = proxy.connect();
        assert_eq!(conn.get_with("/", &fields).status, 200);
        let head = web.seen().pop().unwrap();
        let parent = field(&head, "traceparent").unwrap();
        let what = format!("{ratio} {anyone} {fields}: {head}");
        assert_eq!(parent == sampled || parent == unsampled, as_it_came, "{what}");
        assert_eq!(parent.ends_with("-01"), is_recorded || (as_it_came && parent == sampled), "{what}");
        let goes_on = fields.contains(TRACE);
        assert_eq!((parent.contains(TRACE), field(&head, "tracestate").is_some()), (goes_on, goes_on), "{what}");
        // Behind it on the same connection comes one that is recorded in any case.
        proxy.replace(recorded("web", &web, to(collector.address)));
        conn.get_with("/last", &beside(&sampled));
        until("the last one has arrived", || {
            seen.spans().iter().any(|span| text(span, "url.path").as_deref() == Some("/last"))
        });
        assert_eq!(seen.spans().len(), 1 + usize::from(is_recorded), "{what}");
    }
}

#[test]
fn a_share_of_half_records_about_half() {
    let (web, (collector, _seen)) = (Backend::named("web"), receiver(|_| Some(TAKEN)));
    let (proxy, _) = tracing(&web, trail::Spans { ratio: Share::try_from(0.5).unwrap(), ..to(collector.address) });
    let mut conn = proxy.connect();
    (0..400).for_each(|_| drop(conn.get("/")));
    let recorded = web.seen().iter().filter(|head| field(head, "traceparent").unwrap().ends_with("-01")).count();
    assert!((120..280).contains(&recorded), "{recorded} of 400");
}

/// Asks so many times at once, and gives the longest time of an answer.
fn ask(address: SocketAddr, times: usize, fields: &str) -> Duration {
    let client = |_| {
        let fields = fields.to_owned();
        std::thread::spawn(move || {
            let mut conn = Conn::to(address);
            let once = |_| {
                let began = Instant::now();
                assert_eq!(conn.get_with("/", &fields).status, 200);
                began.elapsed()
            };
            (0..times / 8).map(once).max().unwrap_or_default()
        })
    };
    let clients: Vec<_> = (0..8).map(client).collect();
    clients.into_iter().map(|client| client.join().unwrap()).max().unwrap()
}

/// Seen to fail with queues in which is waited for room (the clients wait), and with what is refused tried again.
#[test]
fn a_receiver_that_is_slow_or_wrong_harms_no_request_and_what_is_lost_is_counted() {
    let web = Backend::named("web");
    let garbage = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.send("what do you want?\r\n\r\n");
    });
    let (refusing, refused) = receiver(|_| Some("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno!"));
    let (silent, unanswered) = receiver(|_| None);
    let dropped = |reason: &str| format!("cutover_spans_dropped_total{{reason=\"{reason}\"}}");
    for address in [free_address(), garbage.address, refusing.address] {
        let (proxy, at) = tracing(&web, to(address));
        let longest = ask(proxy.address, 160, "");
        assert!(longest < Duration::from_secs(2), "{longest:?}");
        if address == refusing.address {
            comes_to(160.0, || value(&scrape(at, "*/*"), &dropped("refused")));
            assert_eq!(refused.spans().len(), 160, "what is refused is not sent again");
        }
    }
    // Large ones, so that all room is taken soon.
    let (proxy, at) = tracing(&web, to(silent.address));
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: {}\r\n", "t".repeat(2000));
    let fields = format!("{parent}User-Agent: {}\r\n", "u".repeat(2000));
    let mut asked = 0;
    until("there is no room any more", || {
        let longest = ask(proxy.address, 400, &fields);
        assert!(longest < Duration::from_secs(2), "{longest:?}");
        asked += 400;
        value(&scrape(at, "*/*"), &dropped("queue-full")) > 0.0
    });
    assert!(unanswered.posts().len() <= 2, "one batch at a time");
    comes_to(f64::from(asked), || value(&scrape(at, "*/*"), "cutover_requests_total{service=\"web\",code=\"2xx\"}"));
}

/// Seen to fail with the pause that is asked for not kept, and with 503 taken for a refusal.
#[test]
fn who_cannot_take_them_now_gets_them_later() {
    const LATER: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = times.clone();
    let (collector, seen) = receiver(move |nth| {
        noted.lock().unwrap().push(Instant::now());
        Some(if nth == 0 { LATER } else { TAKEN })
    });
    let (proxy, at) = tracing(&Backend::named("web"), to(collector.address));
    ask(proxy.address, 16, "");
    comes_to(16.0, || value(&scrape(at, "*/*"), "cutover_spans_sent_total"));
    let (posts, times) = (seen.posts(), times.lock().unwrap().clone());
    assert_eq!(posts[0].1, posts[1].1, "the same batch comes again");
    assert!(times[1] - times[0] >= Duration::from_millis(1900), "{:?}", times[1] - times[0]);
    assert!(!scrape(at, "*/*").contains("cutover_spans_dropped_total{"));
}

/// Seen to fail with a proxy that quits without a word.
#[test]
fn the_last_spans_are_sent_before_the_process_ends() {
    let (collector, seen) = receiver(|_| Some(TAKEN));
    let (mut proxy, _) = tracing(&Backend::named("web"), to(collector.address));
    ask(proxy.address, 8, "");
    proxy.ask(|client| async move { client.quit().await }).unwrap();
    assert!(proxy.wait().success());
    assert_eq!(seen.spans().len(), 8);
}

/// A receiver behind TLS: the proxy itself, before a plain one. Seen to fail with a connector that believes everybody.
#[test]
fn a_receiver_by_tls_is_who_it_says_or_gets_nothing() {
    let ((good, bad), (collector, seen)) = ((Authority::new(), Authority::new()), receiver(|_| Some(TAKEN)));
    let web = Backend::named("web");
    let (proxy, at, tls) = (Proxy::start(), free_address(), free_address());
    let (other, third) = (free_address(), free_address());
    let by = |authority: &Authority| trail::Spans {
        endpoint: format!("https://localhost:{}/v1/traces", tls.port()),
        ca_file: Some(authority.ca()),
        ..to(tls)
    };
    let services = vec![
        recorded("web", &web, by(&good)),
        recorded("other", &web, by(&bad)),
        recorded("third", &web, to(free_address())),
        service("collector", &[("collector.r1.i1", collector.address, SERVING)]),
    ];
    let identity = good.sign("collector", &["localhost"]).identity("collector", &["localhost"]);
    let listeners = vec![
        http(proxy.address, "web"),
        http(other, "other"),
        http(third, "third"),
        secured(http(tls, "collector"), vec![identity]),
        metrics(at, &["web"]),
    ];
    proxy.publish(listeners, services);
    for address in [other, third, proxy.address] {
        ask(address, 8, "");
    }
    comes_to(8, || seen.spans().len());
    // Five tries, with pauses between them.
    let (began, lost) = (Instant::now(), "cutover_spans_dropped_total{reason=\"unreachable\"}");
    while value(&scrape(at, "*/*"), lost) < 16.0 {
        assert!(began.elapsed() < Duration::from_secs(60), "they are not given up");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(seen.spans().iter().all(|span| text(span, "cutover.service").as_deref() == Some("web")));
}

/// What cannot be a receiver is refused with the table, and nothing of it is repeated.
#[test]
fn a_table_with_a_bad_receiver_is_refused() {
    let (proxy, web) = (Proxy::start(), Backend::named("web"));
    for endpoint in ["", "localhost:4318", "https://me:hunter2@a/", "https://a/?key=hunter2", "http://a b/"] {
        let spans = trail::Spans { endpoint: endpoint.to_owned(), ..to(free_address()) };
        let table = super::support::table::table(vec![http(proxy.address, "web")], vec![recorded("web", &web, spans)]);
        let error = proxy.try_publish(table).unwrap_err().to_string();
        assert!(error.contains("where the spans of service web are to go") && !error.contains("hunter2"), "{error}");
    }
    let spans = trail::Spans { headers_file: Some("key".into()), ..to(free_address()) };
    let table = super::support::table::table(vec![http(proxy.address, "web")], vec![recorded("web", &web, spans)]);
    assert!(proxy.try_publish(table).unwrap_err().to_string().contains("key of service web is not an absolute path"));
}
