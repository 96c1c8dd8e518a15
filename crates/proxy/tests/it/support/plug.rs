//! A unix socket before an instance that has none: whatever comes is passed on, both ways.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};

/// One that listens in a folder of its own. Its thread ends with the test's process.
pub struct Plug {
    /// Where it listens.
    pub path: PathBuf,
    accepted: Arc<AtomicUsize>,
    _folder: Option<tempfile::TempDir>,
}

impl Plug {
    /// A socket before this instance.
    pub fn before(instance: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        Self { _folder: Some(folder), ..Self::at(&path, instance) }
    }

    /// The same, at this path.
    pub fn at(path: &Path, instance: SocketAddr) -> Self {
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = UnixListener::from_std(listener).unwrap();
                loop {
                    let (mut unix, _) = listener.accept().await.unwrap();
                    count.fetch_add(1, SeqCst);
                    tokio::spawn(async move {
                        let mut tcp = TcpStream::connect(instance).await.unwrap();
                        let _ = copy_bidirectional(&mut unix, &mut tcp).await;
                    });
                }
            });
        });
        Self { path: path.to_owned(), accepted, _folder: None }
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}
