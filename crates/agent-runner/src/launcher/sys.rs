//! System calls that nobody made safe. Everything here runs in a process of one thread.
#![expect(unsafe_code, reason = "fork, unshare and mount_setattr have no safe form")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which of the two processes this is.
pub enum Side {
    /// The one that was there before.
    Parent(Pid),
    /// The new one.
    Child,
}

/// A second process that goes on from here.
///
/// It refuses where other threads exist: the child would have their locks and not them.
pub fn fork() -> io::Result<Side> {
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    // Without `/proc` this is a sandbox, whose first process was checked when it began.
    if threads.is_ok_and(|threads| threads != 1) {
        return Err(io::Error::other("a process with several threads does not become a sandbox"));
    }
    // SAFETY: there is one thread, so no lock of the allocator or of anything else is held by another one.
    match unsafe { libc::fork() } {
        0 => Ok(Side::Child),
        pid => match Pid::from_raw(pid).filter(|_| pid > 0) {
            Some(pid) => Ok(Side::Parent(pid)),
            None => Err(io::Error::last_os_error()),
        },
    }
}

/// Namespaces of our own.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: what is unsafe is sharing file descriptors between threads that do not know it; their table stays.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Attributes for a mount and, with `recursive`, for all below it.
pub fn set_mount_attributes(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the structure is what the size says, both outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
