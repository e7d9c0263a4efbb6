//! What a process gives up before the agent's code runs in it: rights, files, ports, system calls, resources.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::plan::Plan;
use crate::Isolation;

/// What rights of root could ever be had again. To be given up while there is still the right to do so: before
/// becoming somebody else.
pub fn drop_bounds() {
    for number in 0..64 {
        // Beyond those that the kernel knows there is nothing to give up, and without the right to there is no need.
        if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)).is_err() {
            break;
        }
    }
}

/// All rights of root, and every way to get one back.
pub fn drop_rights() -> io::Result<()> {
    drop_bounds();
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(set_no_new_privs(true)?)
}

/// Files, and where the network is the host's, ports; answers whether the kernel does all of it that matters.
///
/// It lies below the file system of a sandbox, and stands for it where there is none.
pub fn landlock(plan: &Plan) -> Result<bool, landlock::RulesetError> {
    let own_network = plan.isolation == Isolation::Netns;
    // The newest that this was written for; the kernel's own, if that is older.
    let abi = ABI::V6;
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(abi))?.scope(Scope::from_all(abi))?;
    if !own_network {
        // Without this one the tier is none.
        ruleset = ruleset
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessNet::from_all(ABI::V4))?
            .set_compatibility(CompatLevel::BestEffort);
    }
    let mut created = ruleset.create()?;
    if own_network {
        created = created.add_rules(path_beneath_rules(["/"], AccessFs::from_read(abi)))?;
    } else {
        let shown = plan.shown.iter().map(|(path, _)| path.as_path());
        let other = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/proc/self"].map(Path::new);
        created = created.add_rules(path_beneath_rules(shown.chain(other), AccessFs::from_read(abi)))?;
        for port in &plan.connect {
            created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        created = created.add_rule(NetPort::new(plan.port, AccessNet::BindTcp | AccessNet::ConnectTcp))?;
    }
    let devices = ["/dev/null", "/dev/zero", "/dev/full"];
    let write = AccessFs::WriteFile | AccessFs::ReadFile | AccessFs::Truncate;
    created = created.add_rules(path_beneath_rules(devices, write))?;
    created = created.add_rules(path_beneath_rules(&plan.writable, AccessFs::from_all(abi)))?;
    let status = created.restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// The highest number of a system call that was looked at. Those above it do not exist for an agent, nor do those of
/// another calling convention, whose numbers are higher still.
const LAST: i64 = libc::SYS_mseal;

/// System calls that no agent needs: they change the machine, look into other processes, or are doors through which
/// sandboxes were left before. Answered as if the kernel had none.
const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    // Its flags are behind a pointer, where no filter sees them; the C library falls back to `clone`.
    libc::SYS_clone3,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// The filter of system calls. Where the network is the host's, it also leaves nothing but plain TCP, since only that
/// is held to its ports.
pub fn filter(isolation: Isolation) -> Result<BpfProgram, seccompiler::Error> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let when = |argument, length, operator, value| SeccompCondition::new(argument, length, operator, value);
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = (0..=LAST).map(|number| (number, vec![])).collect();
    for number in REFUSED {
        allowed.remove(number);
    }
    // Processes and threads, but no namespaces: they would have rights of their own.
    let namespaces = [
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWUTS,
    ];
    let namespaces = namespaces.into_iter().fold(0, |all, flag| all | flag as u64);
    allowed.insert(libc::SYS_clone, vec![SeccompRule::new(vec![when(0, Qword, MaskedEq(namespaces), 0)?])?]);
    // Nothing is typed into a terminal.
    let typed = [libc::TIOCSTI, libc::TIOCLINUX].map(|request| when(1, Dword, Ne, request));
    let typed = typed.into_iter().collect::<Result<_, _>>()?;
    allowed.insert(libc::SYS_ioctl, vec![SeccompRule::new(typed)?]);

    let family = |family: i32| when(0, Dword, Eq, family as u64);
    let mut sockets = vec![SeccompRule::new(vec![family(libc::AF_UNIX)?])?];
    // Addresses and routes are looked up there.
    sockets.push(SeccompRule::new(vec![family(libc::AF_NETLINK)?, when(2, Dword, Eq, libc::NETLINK_ROUTE as u64)?])?);
    for internet in [libc::AF_INET, libc::AF_INET6] {
        if isolation == Isolation::Netns {
            sockets.push(SeccompRule::new(vec![family(internet)?])?);
            continue;
        }
        if isolation == Isolation::Advisory {
            sockets.push(SeccompRule::new(vec![family(internet)?])?);
            continue;
        }
        for protocol in [0, libc::IPPROTO_TCP] {
            sockets.push(SeccompRule::new(vec![
                family(internet)?,
                when(1, Dword, MaskedEq(0xf), libc::SOCK_STREAM as u64)?,
                when(2, Dword, Eq, protocol as u64)?,
            ])?);
        }
    }
    allowed.insert(libc::SYS_socket, sockets);
    if isolation == Isolation::Landlock {
        // These connect without `connect`, which is where ports are checked.
        let open = libc::MSG_FASTOPEN as u64;
        for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
            allowed.insert(call, vec![SeccompRule::new(vec![when(flags, Dword, MaskedEq(open), 0)?])?]);
        }
        let option = when(2, Dword, Ne, libc::TCP_FASTOPEN_CONNECT as u64)?;
        let level = when(1, Dword, Ne, libc::IPPROTO_TCP as u64)?;
        allowed.insert(libc::SYS_setsockopt, vec![SeccompRule::new(vec![level])?, SeccompRule::new(vec![option])?]);
    }
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let filter = SeccompFilter::new(allowed, absent, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

/// What one process may use up, and where nothing else counts them, all of them.
pub fn limit(plan: &Plan) -> io::Result<()> {
    let limits = &plan.limits;
    let most = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Core, most(0))?;
    setrlimit(Resource::Nofile, most(limits.open_files.into()))?;
    setrlimit(Resource::Fsize, most(limits.disk))?;
    if plan.limit_memory {
        setrlimit(Resource::Data, most(limits.memory))?;
    }
    // Counted for each user: elsewhere it would count what is not the agent's.
    if plan.limit_processes && plan.isolation == Isolation::Netns {
        setrlimit(Resource::Nproc, most(limits.processes.into()))?;
    }
    Ok(())
}
