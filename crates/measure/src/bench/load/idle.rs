//! Clients that have asked once and keep their connection.

use std::io::{Error, Write};
use std::net::{SocketAddr, TcpStream};

use super::http::{answer, open, request};
use crate::bench::backend::MESSAGE;
use crate::bench::site::HOST;

/// Connections that are held until this is dropped.
#[derive(Debug)]
pub struct Idle(#[allow(dead_code, reason = "held, not used")] Vec<TcpStream>);

impl Idle {
    /// Opens so many.
    pub fn open(address: SocketAddr, connections: usize) -> Result<Self, Error> {
        let (request, mut buffer) = (request(HOST, MESSAGE, ""), vec![0; 4 << 10]);
        let one = |_| {
            let mut stream = open(address)?;
            stream.write_all(request.as_bytes())?;
            answer(&mut stream, &mut buffer, MESSAGE)?;
            Ok(stream)
        };
        (0..connections).map(one).collect::<Result<_, _>>().map(Self)
    }
}
