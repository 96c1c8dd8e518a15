//! Instances that speak HTTP/2 without TLS, and clients that know them.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cutover_core::table::{Mode, Protocol, Service};
use h2::client::SendRequest;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use super::LIMIT;
use super::table::{service, with};

/// An instance. Its threads end with the test's process.
#[derive(Clone)]
pub struct Instance {
    /// Where it listens.
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
    goodbye: Arc<Notify>,
}

impl Instance {
    /// One that treats each stream by a script.
    pub fn scripted<F>(script: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::built(Builder::new(), script)
    }

    /// The same, with other settings.
    pub fn built<F>(
        builder: Builder,
        script: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, closed) = (Arc::default(), Arc::default());
        let instance = Self { address, accepted, closed, seen: Arc::default(), goodbye: Arc::default() };
        let ours = instance.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            runtime.block_on(local.run_until(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let script = std::rc::Rc::new(script);
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    ours.accepted.fetch_add(1, SeqCst);
                    tokio::task::spawn_local(ours.clone().connection(tcp, builder.clone(), script.clone()));
                }
            }));
        });
        instance
    }

    async fn connection<F>(
        self,
        tcp: tokio::net::TcpStream,
        builder: Builder,
        script: std::rc::Rc<impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F>,
    ) where
        F: Future<Output = ()> + 'static,
    {
        if let Ok(mut connection) = builder.handshake(tcp).await {
            loop {
                tokio::select! {
                    accepted = connection.accept() => match accepted {
                        Some(Ok((request, respond))) => {
                            self.seen.lock().unwrap().push(head(&request));
                            tokio::task::spawn_local(script(request, respond));
                        }
                        _ => break,
                    },
                    () = self.goodbye.notified() => connection.graceful_shutdown(),
                }
            }
        }
        self.closed.fetch_add(1, SeqCst);
    }

    /// Tells those who are connected that no more streams are taken.
    pub fn say_goodbye(&self) {
        self.goodbye.notify_waiters();
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.accepted.load(SeqCst) - self.closed.load(SeqCst)
    }

    /// The request heads so far, as lines.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn head(request: &Request<RecvStream>) -> String {
    let fields = request.headers().iter().map(|(name, value)| format!("\n{name}: {}", value.to_str().unwrap()));
    format!("{} {}{}", request.method(), request.uri(), fields.collect::<String>())
}

/// A service whose instances speak it.
pub fn h2c(name: &str, targets: &[(&str, SocketAddr, Mode)]) -> Service {
    let speaks = |service: &mut Service| service.targets.iter_mut().for_each(|t| t.protocol = Protocol::H2c);
    with(service(name, targets), speaks)
}

/// Answers with a body and trailers.
pub fn answer(mut respond: SendResponse<Bytes>, body: &'static str, trailers: &[(&'static str, &str)]) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut send = respond.send_response(head, false).unwrap();
    send.send_data(Bytes::from_static(body.as_bytes()), false).unwrap();
    send.send_trailers(fields(trailers)).unwrap();
}

/// Fields.
pub fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

/// Runs what needs a runtime.
pub fn run<T>(task: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let limited = async { tokio::time::timeout(2 * LIMIT, task).await.expect("it takes too long") };
    runtime.block_on(local.run_until(limited))
}

/// Connects without TLS, as one who knows.
pub async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    connect_with(address, &h2::client::Builder::new()).await
}

/// The same, with other settings.
pub async fn connect_with(address: SocketAddr, builder: &h2::client::Builder) -> SendRequest<Bytes> {
    over(tokio::net::TcpStream::connect(address).await.unwrap(), builder).await
}

/// The same over what is connected already.
pub async fn over<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    builder: &h2::client::Builder,
) -> SendRequest<Bytes> {
    let (client, connection) = builder.handshake(stream).await.unwrap();
    tokio::task::spawn_local(connection);
    client.ready().await.unwrap()
}

/// Waits until a condition holds, while connections go on.
pub async fn settled(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A request without a body.
pub fn get(path: &str) -> Request<()> {
    Request::get(format!("http://shop.example{path}")).body(()).unwrap()
}

/// A call of gRPC.
pub fn call(path: &str) -> Request<()> {
    let call = Request::post(format!("http://shop.example{path}")).header("content-type", "application/grpc");
    call.header("te", "trailers").body(()).unwrap()
}

/// Begins a call, whose request goes on.
pub fn begin(client: &mut SendRequest<Bytes>, request: Request<()>) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    client.send_request(request, false).unwrap()
}

/// The next piece of a body.
pub async fn next(body: &mut RecvStream) -> Bytes {
    let data = body.data().await.expect("it has ended").unwrap();
    body.flow_control().release_capacity(data.len()).unwrap();
    data
}

/// Reads a body to its end, making room as it comes.
pub async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok(all)
}

/// Reads what is behind a body that has been read.
pub async fn trailers(body: &mut RecvStream) -> HeaderMap {
    body.trailers().await.unwrap().unwrap_or_default()
}

/// The status of a call that ended with its head.
pub fn outcome(head: &HeaderMap) -> &str {
    head.get("grpc-status").map_or("", |status| status.to_str().unwrap())
}

/// Three calls on one connection, each answered with a body and its end.
pub fn calls_are_answered(address: SocketAddr) {
    run(async {
        let mut client = connect(address).await;
        for _ in 0..3 {
            let (head, mut up) = begin(&mut client, call("/a/B"));
            up.send_data("hello".into(), true).unwrap();
            let mut body = head.await.unwrap().into_body();
            assert_eq!(read(&mut body).await.unwrap(), b"world");
            assert_eq!(outcome(&trailers(&mut body).await), "0");
        }
    });
}
