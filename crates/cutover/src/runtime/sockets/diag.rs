//! The connections of a network namespace, asked of the kernel by `NETLINK_SOCK_DIAG`; see sock_diag(7). Where it can be asked, it names only
//! the connections that are meant, once through its tables; `/proc/net/tcp` names all, those that wait for their end included,
//! and goes through the tables several times.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::IPPROTO_TCP;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// As much as the kernel puts into one message at most.
const MESSAGE: usize = 32 * 1024;

/// The peers of the connections that are open to a listening address, in the network namespace of a process. An error where the kernel
/// does not answer such questions, or not to this user.
pub(super) fn peers(of: SocketAddr, pid: i32) -> io::Result<BTreeSet<SocketAddr>> {
    let socket = socket_in_namespace_of(pid)?;
    let mut found = BTreeSet::new();
    // A socket of IPv6 may have connections by IPv4.
    for nobody in [SocketId::new_v4(), SocketId::new_v6()] {
        ask(&socket, SocketId { source_port: of.port(), ..nobody })?;
        receive(&socket, |id| {
            let [local, peer] = [(id.source_address, id.source_port), (id.destination_address, id.destination_port)]
                .map(|address| super::canonical(address.into()));
            if local == of {
                found.insert(peer);
            }
        })?;
    }
    Ok(found)
}

/// A socket belongs to the namespace it was made in, whoever uses it.
fn socket_in_namespace_of(pid: i32) -> io::Result<OwnedFd> {
    let [own, theirs] = ["self".to_owned(), pid.to_string()]
        .map(|who| std::fs::read_link(PathBuf::from("/proc").join(who).join("ns/net")));
    if own? == theirs? {
        return socket();
    }
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    let make = move || {
        // Only this thread is there, and it ends.
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        socket()
    };
    thread::Builder::new().name("namespace".to_owned()).spawn(make)?.join().expect("it does not panic")
}

fn socket() -> io::Result<OwnedFd> {
    let protocol = Some(netlink::SOCK_DIAG);
    Ok(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol)?)
}

fn ask(socket: &OwnedFd, socket_id: SocketId) -> io::Result<()> {
    let family = if socket_id.source_address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let request = InetRequest {
        family: u8::try_from(family.as_raw()).expect("both are small"),
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::ESTABLISHED,
        socket_id,
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    rustix::net::send(socket, &bytes, SendFlags::empty())?;
    Ok(())
}

/// All answers to one question.
fn receive(socket: &OwnedFd, mut each: impl FnMut(SocketId)) -> io::Result<()> {
    let mut buffer = vec![0; MESSAGE];
    loop {
        let (received, whole) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::TRUNC)?;
        if whole > received || received == 0 {
            return Err(io::Error::other("the kernel's answer is longer than it may be, or empty"));
        }
        let mut rest = &buffer[..received];
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => each(found.header.socket_id),
                NetlinkPayload::Done(done) if done.code == 0 => return Ok(()),
                NetlinkPayload::Done(done) => return Err(io::Error::from_raw_os_error(-done.code)),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                other => return Err(io::Error::other(format!("the kernel's answer is not understood: {other:?}"))),
            }
            // Each begins at a multiple of four.
            let length = usize::try_from(message.header.length).map_err(io::Error::other)?.next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}
