//! The launcher: a fresh process of one thread that becomes a sandbox, starts the agent in it and stays as its warden.
//!
//! The warden is the sandbox's first process: when it ends, the kernel ends all others. It ends when the runner tells
//! it to, when the agent's process has ended, and when the channel to the runner closes, however the runner died.

pub(crate) mod channel;
mod confine;
pub(crate) mod mounts;
mod network;
pub(crate) mod plan;
mod sys;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, getegid, geteuid, kill_process, kill_process_group,
    set_child_subreaper, set_dumpable_behavior, set_parent_process_death_signal, setsid, wait, waitpid,
};
use rustix::thread::{Gid, Uid, UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use self::channel::{Order, Report, receive, send};
use self::network::{Listeners, dial};
use self::plan::Plan;
use self::sys::Side;
use crate::Isolation;

/// Ends a process that could not become what it should.
const FAILED: u8 = 125;

/// The whole life of a launcher. To be called before anything else in `main`, where the process was started as one: a
/// process that has threads cannot become a sandbox.
pub fn main() -> ExitCode {
    let control = match rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3) {
        Ok(control) => control,
        Err(_) => return ExitCode::from(FAILED),
    };
    match run(&control) {
        Ok(code) => code,
        Err(error) => {
            // If nobody listens there is nobody to tell.
            let _ = send(&control, &Report::Failed(error.to_string()), &[]);
            ExitCode::from(FAILED)
        }
    }
}

fn run(control: &OwnedFd) -> io::Result<ExitCode> {
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let Some((Order::Begin, beside)) = receive(control)? else {
        return Err(io::Error::other("this subcommand is for the platform itself"));
    };
    let file = beside.into_iter().next().map(File::from).ok_or_else(|| io::Error::other("no plan"))?;
    let plan: Plan = serde_json::from_reader(io::BufReader::new(file))?;
    match plan.isolation {
        Isolation::Netns => apart(control, &plan),
        Isolation::Landlock | Isolation::Advisory => {
            set_child_subreaper(Some(rustix::process::getpid()))?;
            begin(control, &plan, vec![])
        }
    }
}

/// A sandbox with a network, processes and files of its own.
fn apart(control: &OwnedFd, plan: &Plan) -> io::Result<ExitCode> {
    let namespaces =
        UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if plan.user.is_some() {
        step("namespaces", sys::unshare(namespaces))?;
    } else {
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        step("user namespaces", sys::unshare(namespaces | UnshareFlags::NEWUSER))?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{SOMEBODY} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{SOMEBODY} {group} 1"))?;
    }
    rustix::system::sethostname(b"agent")?;
    let listeners = step("the network", Listeners::open(&plan.listen))?;
    send(control, &Report::Listening(plan.listen.clone()), &listeners.descriptors())?;
    drop(listeners);
    match sys::fork()? {
        Side::Parent(first) => {
            // Nothing is left to do but to end with it.
            let status = waitpid(Some(first), WaitOptions::empty())?;
            Ok(ExitCode::from(status.and_then(|(_, status)| status.exit_status()).map_or(FAILED, |code| code as u8)))
        }
        Side::Child => {
            let notes = step("the file system", mounts::enter(plan))?;
            confine::drop_bounds();
            if let Some(user) = plan.user {
                let (user, group) = (Uid::from_raw(user), Gid::from_raw(user));
                set_thread_groups(&[])?;
                set_thread_res_gid(group, group, group)?;
                set_thread_res_uid(user, user, user)?;
            }
            confine::drop_rights()?;
            // The agent is the same user: it must not look into its warden.
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            set_parent_process_death_signal(Some(Signal::KILL))?;
            begin(control, plan, notes)
        }
    }
}

/// Whom an agent is inside, where it is an ordinary user outside.
const SOMEBODY: u32 = 1000;

/// Starts the agent and stays with it.
fn begin(control: &OwnedFd, plan: &Plan, mut notes: Vec<String>) -> io::Result<ExitCode> {
    let filter = confine::filter(plan.isolation).map_err(io::Error::other)?;
    let (said, says) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let agent = match sys::fork()? {
        Side::Parent(agent) => agent,
        Side::Child => {
            drop(said);
            let error = match become_agent(plan, &filter) {
                // It was only to be seen whether all of this works.
                None => return Ok(ExitCode::SUCCESS),
                Some(error) => error,
            };
            let _ = io::Write::write_all(&mut File::from(says), error.to_string().as_bytes());
            return Ok(ExitCode::from(FAILED));
        }
    };
    drop(says);
    // It closes when the agent's program begins; before that it tells why there is none.
    let problem = io::read_to_string(File::from(said))?;
    if !problem.is_empty() {
        return Err(io::Error::other(problem));
    }
    if plan.limit_processes && plan.isolation != Isolation::Netns {
        notes.push("the number of processes is not limited without control groups".into());
    }
    send(control, &Report::Begun(notes), &[])?;
    let channel = control.try_clone()?;
    #[expect(clippy::disallowed_methods, reason = "the warden waits for two things, and each wait blocks")]
    std::thread::spawn(move || {
        let status = reap(agent);
        let code = status.and_then(WaitStatus::exit_status);
        let signal = status.and_then(WaitStatus::terminating_signal);
        let _ = send(&channel, &Report::Ended(code, signal), &[]);
        end();
    });
    loop {
        match receive(control) {
            Ok(Some((Order::Connect(number), _))) => {
                let dialed = dial(plan.port);
                let error = dialed.as_ref().err().map(|error| error.raw_os_error());
                let report = Report::Connected(number, error);
                match &dialed {
                    Ok(stream) => send(control, &report, &[stream.as_fd()])?,
                    Err(_) => send(control, &report, &[])?,
                }
            }
            Ok(Some((Order::Terminate, _))) => {
                // It may have ended at this moment.
                let _ = kill_process_group(agent, Signal::TERM);
            }
            Ok(Some((Order::Begin, _))) | Ok(None) | Err(_) => end(),
        }
    }
}

/// Waits until the agent's own process ends; what it left behind is taken away meanwhile.
fn reap(agent: Pid) -> Option<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == agent => return Some(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The end of everything in here.
fn end() -> ! {
    // The first process of a sandbox takes all others with it; otherwise every orphan is a child of this one.
    if rustix::process::getpid().as_raw_pid() != 1 {
        kill_children();
    }
    #[expect(clippy::disallowed_methods, reason = "two threads wait, and either may be the one that ends it")]
    std::process::exit(0)
}

/// Kills children until none is left; killing one makes its children ours.
fn kill_children() {
    loop {
        let lists = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let children: Vec<Pid> = lists
            .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
            .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
            .filter_map(Pid::from_raw)
            .collect();
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
    }
}

/// Gives everything up and becomes the agent's program; comes back only with the reason why not, or if there is none.
fn become_agent(plan: &Plan, filter: &seccompiler::BpfProgram) -> Option<io::Error> {
    let confined = || -> io::Result<()> {
        setsid()?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        confine::drop_rights()?;
        confine::limit(plan)?;
        if plan.isolation != Isolation::Advisory {
            step("Landlock", confine::landlock(plan).map_err(io::Error::other))?;
        }
        step("seccomp", seccompiler::apply_filter(filter).map_err(io::Error::other))
    };
    if let Err(error) = confined() {
        return Some(error);
    }
    let (program, arguments) = plan.command.split_first()?;
    let error = Command::new(OsStr::new(program))
        .args(arguments)
        .env_clear()
        .envs(&plan.environment)
        .current_dir(&plan.folder)
        .exec();
    Some(io::Error::new(error.kind(), format!("{program}: {error}")))
}

/// Says of an error which step it was.
fn step<T>(name: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
}
