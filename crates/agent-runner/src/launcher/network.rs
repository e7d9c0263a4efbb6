//! The network of a sandbox: a loopback device and nothing else, where the gateway listens before the agent exists.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, sendto, socket_with};

/// Where DNS is asked.
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);

/// All that listens for the gateway.
pub struct Listeners {
    tcp: Vec<TcpListener>,
    dns: (UdpSocket, TcpListener),
}

impl Listeners {
    /// Brings the loopback device up and listens at every port, whatever address is dialed: all of 127.0.0.0/8 is
    /// here, and nothing else is anywhere.
    pub fn open(ports: &[u16]) -> io::Result<Listeners> {
        loopback_up()?;
        let listen = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port));
        let tcp = ports.iter().map(listen).collect::<io::Result<_>>()?;
        Ok(Listeners { tcp, dns: (UdpSocket::bind(DNS)?, TcpListener::bind(DNS)?) })
    }

    /// In the order of the ports, then UDP and TCP of DNS.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let tcp = self.tcp.iter().map(AsFd::as_fd);
        tcp.chain([self.dns.0.as_fd(), self.dns.1.as_fd()]).collect()
    }
}

/// One message of rtnetlink: what `ip link set lo up` sends.
fn loopback_up() -> io::Result<()> {
    /// The loopback device is the first of every network.
    const LOOPBACK: u32 = 1;
    const UP: u32 = libc::IFF_UP as u32;
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(libc::RTM_NEWLINK.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    message.extend([0; 8]); // Number and sender.
    message.extend([0; 4]); // Any family, any type.
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(UP.to_ne_bytes()); // The flags to be.
    message.extend(UP.to_ne_bytes()); // The flags that change.
    sendto(&netlink, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 256];
    let (_, length) = recv(&netlink, &mut answer[..], RecvFlags::empty())?;
    match answer[..length] {
        // A header of 16 bytes, then a negative error, which is zero where all is well.
        [.., _] if length >= 20 => match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        },
        _ => Err(io::Error::other("the kernel did not answer")),
    }
}

/// A connection to the agent, made here, where the agent is. It may still be under way.
pub fn dial(port: u16) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&stream, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(stream).into()),
        Err(error) => Err(error),
    }
}
