//! The channel between a runner and a sandbox: one message a packet, with descriptors beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a runner says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Become the sandbox of the plan in the file beside this.
    Begin,
    /// Make a connection to the agent's port, and pass it back under this number.
    Connect(u64),
    /// Ask the agent to end.
    Terminate,
}

/// What a sandbox says. Whoever reads it believes none of it beyond its own sandbox: the agent lives in there.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The listeners of these ports are beside this, in order, and behind them those of DNS: UDP, then TCP.
    Listening(Vec<u16>),
    /// The agent's process was begun; what could not be had is said.
    Begun(Vec<String>),
    /// The connection of this number is beside this, or the error why it is not.
    Connected(u64, Option<i32>),
    /// The agent's process ended by itself, with this code or by this signal.
    Ended(Option<i32>, Option<i32>),
    /// There is no sandbox, and this is why.
    Failed(String),
}

/// Longer messages are refused.
const LONGEST: usize = 16 << 10;

/// More descriptors do not fit beside one.
pub const MOST_DESCRIPTORS: usize = 64;

/// Two ends.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// One message out.
pub fn send(to: impl AsFd, message: &impl Serialize, beside: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !beside.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(beside)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    sendmsg(to, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message in, or nothing when the other side is gone.
pub fn receive<T: DeserializeOwned>(from: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut text = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut beside = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            beside.extend(descriptors);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
    }
    let message = serde_json::from_slice(&text[..got.bytes])?;
    Ok(Some((message, beside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_arrive_beside_their_message() {
        let (one, other) = pair().unwrap();
        let file = std::fs::File::open("/proc/self/status").unwrap();
        send(&one, &Report::Connected(7, None), &[file.as_fd()]).unwrap();
        let (report, beside) = receive::<Report>(&other).unwrap().unwrap();
        assert!(matches!(report, Report::Connected(7, None)));
        let text = io::read_to_string(std::fs::File::from(beside.into_iter().next().unwrap())).unwrap();
        assert!(text.contains("Threads:"));
        drop(one);
        assert!(receive::<Report>(&other).unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_an_error_and_nothing_worse() {
        let (one, other) = pair().unwrap();
        for bytes in [&b"{"[..], b"null", b"\xff\xfe", &[b'9'; LONGEST + 1]] {
            rustix::net::send(&one, bytes, SendFlags::empty()).unwrap();
            assert!(receive::<Report>(&other).is_err());
        }
    }
}
