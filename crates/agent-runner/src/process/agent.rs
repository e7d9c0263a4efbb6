//! Agent: its versions, of which one answers while another may be about to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::instance::{HostDoor, Shared};
use super::logs::Log;
use super::slot::{Serving, Slot, State};
use crate::{Phase, Status, Workload};

/// What an agent is told.
#[derive(Debug)]
pub enum Order {
    /// Run this version.
    Start(Box<Workload>),
    /// End all of them, and tell when that is done.
    Stop(Duration, oneshot::Sender<()>),
}

/// An agent as its runner holds it.
#[derive(Debug)]
pub struct Agent {
    /// Where to tell it.
    pub orders: mpsc::UnboundedSender<Order>,
    /// What it is doing.
    pub status: watch::Receiver<Status>,
    /// Where it answers.
    pub serving: Arc<Mutex<Option<Serving>>>,
    /// What the caller finds it by.
    pub labels: BTreeMap<String, String>,
}

impl Agent {
    /// Begins with its first version.
    pub fn start(shared: Arc<Shared>, log: Arc<Log>, host: Option<Arc<HostDoor>>, workload: Workload) -> Agent {
        let status = Status {
            phase: Phase::Starting,
            version: workload.version.clone(),
            serving: None,
            isolation: shared.isolation,
            restarts: 0,
        };
        let (tell, status) = watch::channel(status);
        let (orders, told) = mpsc::unbounded_channel();
        let serving: Arc<Mutex<Option<Serving>>> = Arc::default();
        let labels = workload.labels.clone();
        let current = Slot::start(shared.clone(), workload, log.clone(), host.clone());
        let versions = Versions {
            shared,
            log,
            host,
            current,
            next: None,
            failed: None,
            leaving: JoinSet::new(),
            serving: serving.clone(),
            tell,
        };
        tokio::spawn(versions.keep(told));
        Agent { orders, status, serving, labels }
    }
}

/// The versions of one agent.
struct Versions {
    shared: Arc<Shared>,
    log: Arc<Log>,
    host: Option<Arc<HostDoor>>,
    /// The one that answers, if any does.
    current: Slot,
    /// The one that is about to take over.
    next: Option<Slot>,
    /// One that should have, and why it did not.
    failed: Option<(String, State)>,
    /// Those that finish what they are at.
    leaving: JoinSet<()>,
    serving: Arc<Mutex<Option<Serving>>>,
    tell: watch::Sender<Status>,
}

impl Versions {
    async fn keep(mut self, mut told: mpsc::UnboundedReceiver<Order>) {
        loop {
            self.publish();
            let next_changed = async {
                match &mut self.next {
                    Some(next) => next.state.changed().await,
                    None => std::future::pending().await,
                }
            };
            let current_lives = self.current.state.has_changed().is_ok();
            tokio::select! {
                order = told.recv() => match order {
                    Some(Order::Start(workload)) => self.start(*workload),
                    Some(Order::Stop(drain, done)) => {
                        self.stop(drain).await;
                        let _ = done.send(());
                        return;
                    }
                    // The runner is gone.
                    None => return self.stop(Duration::ZERO).await,
                },
                // Whoever has given up changes no more.
                _ = self.current.state.changed(), if current_lives => {}
                _ = next_changed => self.take_over(),
                Some(_) = self.leaving.join_next(), if !self.leaving.is_empty() => {}
            }
        }
    }

    fn start(&mut self, workload: Workload) {
        let slot = Slot::start(self.shared.clone(), workload, self.log.clone(), self.host.clone());
        self.failed = None;
        // A newer version is wanted than the one that was about to be.
        if let Some(overtaken) = self.next.take() {
            self.leave(overtaken, Duration::ZERO);
        }
        if self.current.state.borrow().serving.is_some() {
            self.next = Some(slot);
        } else {
            let idle = std::mem::replace(&mut self.current, slot);
            self.leave(idle, Duration::ZERO);
        }
    }

    /// The next version is ready, or will not be.
    fn take_over(&mut self) {
        let Some(next) = &self.next else { return };
        let state = next.state.borrow().clone();
        match state.phase {
            Phase::Running => {
                let Some(next) = self.next.take() else { return };
                let old = std::mem::replace(&mut self.current, next);
                // First nobody new goes there, then it is waited for.
                self.publish();
                let drain = self.shared.settings.drain;
                self.leave(old, drain);
            }
            Phase::Failed { .. } | Phase::Stopped => {
                let Some(next) = self.next.take() else { return };
                self.failed = Some((next.version.clone(), state));
                self.leave(next, Duration::ZERO);
            }
            Phase::Starting | Phase::Waiting { .. } => {}
        }
    }

    fn leave(&mut self, slot: Slot, drain: Duration) {
        self.leaving.spawn(slot.stop(drain));
    }

    async fn stop(mut self, drain: Duration) {
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.tell.send_modify(|status| status.serving = None);
        let all = [Some(self.current), self.next.take()].into_iter().flatten();
        all.for_each(|slot| drop(self.leaving.spawn(slot.stop(drain))));
        while self.leaving.join_next().await.is_some() {}
        self.tell.send_modify(|status| status.phase = Phase::Stopped);
    }

    /// What outsiders see: where requests go, and how far the newest version is.
    fn publish(&self) {
        let current = self.current.state.borrow().clone();
        let serving = current.serving.as_ref().map(|serving| serving.version.clone());
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = current.serving.clone();
        let (version, state) = match (&self.next, &self.failed) {
            (Some(next), _) => (next.version.clone(), next.state.borrow().clone()),
            (None, Some((version, state))) => (version.clone(), state.clone()),
            (None, None) => (self.current.version.clone(), current),
        };
        let (phase, restarts, isolation) = (state.phase, state.restarts, self.shared.isolation);
        let status = Status { phase, version, serving, isolation, restarts };
        self.tell.send_if_modified(|old| {
            *old != status && {
                *old = status;
                true
            }
        });
    }
}
