//! A sandbox as the runner holds it: started, told what to do, gone when this is dropped.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixDatagram};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::{oneshot, watch};

use super::cgroups::Group;
use crate::Isolation;
use crate::launcher::channel::{Order, Report, pair, receive, send};
use crate::launcher::plan::Plan;

/// How long a sandbox may take until the agent's program begins, and to make one connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a sandbox's agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Code(i32),
    /// By a signal, from whomever.
    Signal(i32),
    /// Nobody knows: its warden is gone.
    Unknown,
}

/// A sandbox and the agent in it. Dropping it ends all of its processes.
#[derive(Debug)]
pub struct Sandbox {
    /// The launcher.
    child: Child,
    /// How to reach the agent.
    pub dialer: Dialer,
    /// What the agent writes.
    pub output: Option<(ChildStdout, ChildStderr)>,
    /// Where the gateway listens inside.
    pub listeners: Vec<TcpListener>,
    /// Where DNS is answered inside.
    pub dns: Option<(UdpSocket, TcpListener)>,
    /// What could not be had.
    pub notes: Vec<String>,
    ended: watch::Receiver<Option<End>>,
    control: Arc<Control>,
    reader: tokio::task::JoinHandle<()>,
    /// After the processes in it: fields are dropped in order.
    group: Group,
}

/// Makes connections to an agent.
#[derive(Debug, Clone)]
pub enum Dialer {
    /// To one with a network of its own: its warden makes them.
    Inside(Arc<Control>),
    /// To one on the host's loopback, at this port.
    Host(u16),
}

/// The channel to a sandbox's warden.
#[derive(Debug)]
pub struct Control {
    /// Of whole messages, as the type's are; that it is connected makes no difference to it.
    channel: UnixDatagram,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<io::Result<OwnedFd>>>>,
}

impl Sandbox {
    /// Starts the launcher, has it become the plan, and waits until the agent's program has begun.
    pub async fn start(launcher: &(PathBuf, Vec<OsString>), plan: &Plan, group: Group) -> io::Result<Sandbox> {
        let (ours, theirs) = pair()?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let mut child = Command::new(&launcher.0)
            .args(&launcher.1)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Signals of a terminal are for the platform, which then asks its agents to end.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", launcher.0.display())))?;
        if let Some(process) = child.id() {
            group.add(process).map_err(|error| io::Error::new(error.kind(), format!("control groups: {error}")))?;
        }
        let output = child.stdout.take().zip(child.stderr.take());
        let control = Arc::new(Control {
            channel: UnixDatagram::from_std(ours.into())?,
            next: AtomicU64::new(0),
            waiting: Mutex::default(),
        });
        let text = in_memory(plan)?;
        send(&control.channel, &Order::Begin, &[text.as_fd()])?;
        drop(text);
        let begun = begun(&control, plan);
        let (listeners, dns, notes) =
            tokio::time::timeout(PATIENCE, begun).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (tell, ended) = watch::channel(None);
        let reader = tokio::spawn(read(control.clone(), tell));
        let dialer = match plan.isolation {
            Isolation::Netns => Dialer::Inside(control.clone()),
            Isolation::Landlock | Isolation::Advisory => Dialer::Host(plan.port),
        };
        Ok(Sandbox { child, dialer, output, listeners, dns, notes, ended, control, reader, group })
    }

    /// Asks the agent to end.
    pub fn terminate(&self) {
        // If it cannot be told, it is gone.
        let _ = send(&self.control.channel, &Order::Terminate, &[]);
    }

    /// Waits until the agent has ended.
    pub async fn ended(&self) -> End {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|end| end.clone()).unwrap_or(End::Unknown)
    }

    /// Ends all that is left, and waits until it is gone.
    pub async fn gone(mut self) {
        // Its warden takes this for the end, and the launcher ends after everybody else.
        let _ = rustix::net::shutdown(&self.control.channel, rustix::net::Shutdown::Both);
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        self.reader.abort();
        let _ = (&mut self.reader).await;
    }

    /// Whether memory ran out in it.
    pub fn out_of_memory(&self) -> bool {
        self.group.out_of_memory() > 0
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

type Listening = (Vec<TcpListener>, Option<(UdpSocket, TcpListener)>, Vec<String>);

/// What a launcher reports until the agent's program has begun.
async fn begun(control: &Control, plan: &Plan) -> io::Result<Listening> {
    let (mut listeners, mut dns) = (vec![], None);
    loop {
        match control.report().await? {
            Some((Report::Listening(ports), mut beside)) => {
                if ports != plan.listen || beside.len() != ports.len() + 2 {
                    return Err(io::Error::other("the launcher is not of this version"));
                }
                let tcp = beside.pop().map(TcpListener::from);
                dns = beside.pop().map(UdpSocket::from).zip(tcp);
                listeners = beside.into_iter().map(TcpListener::from).collect();
            }
            Some((Report::Begun(notes), _)) => return Ok((listeners, dns, notes)),
            Some((Report::Failed(why), _)) => return Err(io::Error::other(why)),
            Some(_) | None => return Err(io::Error::other("the launcher ended without a word")),
        }
    }
}

/// Takes in what a warden reports, until it is gone.
async fn read(control: Arc<Control>, ended: watch::Sender<Option<End>>) {
    let end = loop {
        match control.report().await {
            Ok(Some((Report::Connected(number, error), beside))) => {
                let asked = control.waiting().remove(&number);
                let made = match (error, beside.into_iter().next()) {
                    (None, Some(stream)) => Ok(stream),
                    (error, _) => Err(io::Error::from_raw_os_error(error.unwrap_or(libc::ECONNREFUSED))),
                };
                // Nobody asked, or nobody waits any more.
                let _ = asked.map(|asked| asked.send(made));
            }
            Ok(Some((Report::Ended(code, signal), _))) => {
                break code.map(End::Code).or(signal.map(End::Signal)).unwrap_or(End::Unknown);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break End::Unknown,
        }
    };
    // Whoever waits for a connection learns that there will be none.
    control.waiting().clear();
    let _ = ended.send(Some(end));
}

impl Control {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<io::Result<OwnedFd>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn report(&self) -> io::Result<Option<(Report, Vec<OwnedFd>)>> {
        loop {
            self.channel.readable().await?;
            match self.channel.try_io(Interest::READABLE, || receive(&self.channel)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                report => return report,
            }
        }
    }

    async fn connect(&self) -> io::Result<OwnedFd> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting().insert(number, tell);
        if let Err(error) = send(&self.channel, &Order::Connect(number), &[]) {
            self.waiting().remove(&number);
            return Err(error);
        }
        let made = tokio::time::timeout(PATIENCE, told).await;
        self.waiting().remove(&number);
        made.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?
    }
}

impl Dialer {
    /// A connection to the agent's port.
    pub async fn dial(&self) -> io::Result<TcpStream> {
        let stream = match self {
            Dialer::Host(port) => TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, *port)).await?,
            Dialer::Inside(control) => {
                let stream = std::net::TcpStream::from(control.connect().await?);
                stream.set_nonblocking(true)?;
                let stream = TcpStream::from_std(stream)?;
                stream.writable().await?;
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                stream
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The plan in a file without a name, which nobody else can open.
fn in_memory(plan: &Plan) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("plan", MemfdFlags::CLOEXEC)?);
    let mut text = io::BufWriter::new(&file);
    serde_json::to_writer(&mut text, plan)?;
    text.flush()?;
    drop(text);
    file.rewind()?;
    Ok(file)
}
