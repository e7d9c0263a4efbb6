//! The file system of a sandbox: a root of its own, into which a few folders of the host are shown, read-only.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::plan::Plan;
use super::sys;

/// Devices that programs expect.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Files of `/proc` about the whole host that nobody needs.
const HIDDEN: [&str; 6] = ["kcore", "keys", "latency_stats", "timer_list", "sched_debug", "sysrq-trigger"];

/// Makes the plan's root the only file system of this process; answers what could not be had.
pub fn enter(plan: &Plan) -> io::Result<Vec<String>> {
    let mut notes = Vec::new();
    // Or our mounts would appear outside.
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", &plan.root, "tmpfs", plain, Some(c"size=4m,mode=755"))?;
    let inside = |path: &Path| plan.root.join(path.strip_prefix("/").unwrap_or(path));

    for (from, to) in &plan.shown {
        show(from, &inside(to), libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV)
            .map_err(|error| about("showing", from, &error))?;
    }
    for path in &plan.hidden {
        let path = inside(path);
        if path.is_dir() {
            mount("tmpfs", &path, "tmpfs", plain | MountFlags::RDONLY, Some(c"size=4k,mode=755"))?;
        }
    }
    for device in DEVICES {
        let from = Path::new("/dev").join(device);
        show(&from, &inside(&from), libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC)
            .map_err(|error| about("showing", &from, &error))?;
    }
    for (path, text) in &plan.texts {
        let path = inside(path);
        make_folder_of(&path)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o444))?;
    }
    let standard = [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")];
    let standard = standard.map(|(name, rest)| (Path::new("/dev").join(name), format!("/proc/self/fd{rest}")));
    for (path, target) in plan.links.iter().chain(&standard) {
        make_folder_of(&inside(path))?;
        symlink(target, inside(path))?;
    }
    for path in &plan.writable {
        let options = format!("size={},mode=1777", plan.limits.disk);
        let path = inside(path);
        fs::create_dir_all(&path)?;
        let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
        mount("tmpfs", &path, "tmpfs", plain, Some(options.as_c_str()))?;
    }
    let proc = inside(Path::new("/proc"));
    fs::create_dir_all(&proc)?;
    match mount("proc", &proc, "proc", plain | MountFlags::NOEXEC, None) {
        Ok(()) => {
            for name in HIDDEN {
                let hidden = proc.join(name);
                if hidden.exists() {
                    show(Path::new("/dev/null"), &hidden, libc::MOUNT_ATTR_RDONLY)?;
                }
            }
            let settings = proc.join("sys");
            show(&settings, &settings, libc::MOUNT_ATTR_RDONLY)?;
        }
        // Where the host's own is partly hidden, as in many containers, there is no other.
        Err(error) => notes.push(format!("agents have no /proc: {error}")),
    }

    chdir(&plan.root)?;
    pivot_root(".", ".")?;
    // The old root lies over the new one now.
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    let root = open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    sys::set_mount_attributes(root.as_fd(), libc::MOUNT_ATTR_RDONLY, false)?;
    Ok(notes)
}

/// A file or folder of the host, with all that is mounted below it, at another place.
fn show(from: &Path, to: &Path, attributes: u64) -> io::Result<()> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, from, clone)?;
    sys::set_mount_attributes(tree.as_fd(), attributes, true)?;
    if !to.exists() {
        if fs::metadata(from)?.is_dir() {
            fs::create_dir_all(to)?;
        } else {
            make_folder_of(to)?;
            fs::write(to, "")?;
        }
    }
    move_mount(tree.as_fd(), "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(())
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn about(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{doing} {}: {error}", path.display()))
}

/// Paths of the host, each with the one at which it is seen.
pub type Shown = Vec<(PathBuf, PathBuf)>;

/// Symbolic links, each with what it leads to.
pub type Links = Vec<(PathBuf, String)>;

/// What every agent sees of the host beside its own: programs and libraries, no data.
pub fn system() -> (Shown, Links) {
    let mut shown = vec![];
    let mut links = vec![];
    for name in ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"] {
        let path = Path::new(name);
        match fs::read_link(path) {
            // Of a merged /usr.
            Ok(target) => links.push((path.to_path_buf(), target.display().to_string())),
            Err(_) if path.is_dir() => shown.push((path.to_path_buf(), path.to_path_buf())),
            Err(_) => {}
        }
    }
    let files =
        ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types", "ssl/openssl.cnf"];
    for path in files.map(|name| Path::new("/etc").join(name)) {
        if path.exists() {
            shown.push((path.clone(), path));
        }
    }
    (shown, links)
}
