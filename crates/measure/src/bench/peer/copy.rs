//! The least that a proxy can do: it copies bytes between two sockets, and nothing else. The floor for TCP routes.

use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;

use tokio::net::{TcpListener, TcpStream};

use super::{Started, spawn, up};
use crate::bench::site::{Doors, Site};

/// Starts it: ourselves, with another command.
pub fn start(site: &Site) -> Started {
    let (doors, out) = (Doors::free()?, site.dir("copy")?.join("out"));
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "copy", &doors.tcp.to_string(), &site.backends.tcp.to_string(), &site.threads.to_string()]);
    up(spawn("copy", doors, &out, &mut command)?, doors.tcp, &out)
}

/// Copies until it is ended.
pub fn copy(listen: SocketAddr, to: SocketAddr, threads: usize) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(pass(client, to));
        }
    })
}

async fn pass(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut instance = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    instance.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut instance).await?;
    Ok(())
}
