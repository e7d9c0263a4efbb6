//! Slot: one version of an agent, kept running: started, started again when it ends, given up when it never gets ready.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::instance::{HostDoor, Instance, NotReady, Ready, Shared};
use super::logs::Log;
use super::sandbox::Dialer;
use crate::{Phase, Workload};

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// The pauses between attempts: this one, then each twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// A version that was never ready is given up after so many attempts. One that was is tried forever: what it needs may
/// come back.
const ATTEMPTS: u32 = 5;

/// Who stays up for so long begins anew with short pauses.
const STABLE: Duration = Duration::from_secs(60);

/// A version under supervision.
#[derive(Debug)]
pub struct Slot {
    /// Which.
    pub version: String,
    /// How far it is.
    pub state: watch::Receiver<State>,
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<()>,
}

/// How far a version is.
#[derive(Debug, Clone)]
pub struct State {
    /// In words for outside.
    pub phase: Phase,
    /// How often it ended by itself.
    pub restarts: u32,
    /// Where it answers, while it does.
    pub serving: Option<Serving>,
}

/// Where a version answers.
#[derive(Debug, Clone)]
pub struct Serving {
    pub version: String,
    pub dialer: Dialer,
    /// How many requests are under way.
    pub under_way: watch::Sender<usize>,
}

impl Slot {
    /// Begins.
    pub fn start(shared: Arc<Shared>, workload: Workload, log: Arc<Log>, host: Option<Arc<HostDoor>>) -> Slot {
        let version = workload.version.clone();
        let first = State { phase: Phase::Starting, restarts: 0, serving: None };
        let (tell, state) = watch::channel(first);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            keep(&shared, &workload, &log, host.as_deref(), &tell, stopped).await;
        });
        Slot { version, state, stop, task }
    }

    /// Lets requests under way finish for so long, then ends it; done when nothing is left.
    pub async fn stop(self, drain: Duration) {
        // If it has given up already, there is nobody to hear this.
        let _ = self.stop.send(drain);
        let _ = self.task.await;
    }
}

async fn keep(
    shared: &Shared,
    workload: &Workload,
    log: &Arc<Log>,
    host: Option<&HostDoor>,
    tell: &watch::Sender<State>,
    mut stop: oneshot::Receiver<Duration>,
) {
    let (mut restarts, mut in_a_row, mut was_ready) = (0, 0, false);
    let say = async |text: String| {
        log.write(log.line(crate::LogStream::Runner, &workload.version, text)).await;
    };
    let turn = |phase: Phase, restarts: u32, serving: Option<Serving>| {
        tell.send_replace(State { phase, restarts, serving });
    };
    loop {
        turn(Phase::Starting, restarts, None);
        let began = Instant::now();
        let started = tokio::select! {
            started = Instance::start(shared, workload, log, host) => started,
            _ = &mut stop => return turn(Phase::Stopped, restarts, None),
        };
        let reason = match started {
            Err(error) => format!("it could not be started: {error}"),
            Ok(instance) => {
                let ready = tokio::select! {
                    ready = instance.ready(shared.settings.ready_within) => ready,
                    _ = &mut stop => {
                        instance.stop(GRACE).await;
                        return turn(Phase::Stopped, restarts, None);
                    }
                };
                match ready {
                    Err(NotReady::Yet(reason)) => {
                        instance.stop(GRACE).await;
                        reason
                    }
                    Err(NotReady::Ever(reason)) => {
                        instance.stop(GRACE).await;
                        say(format!("failed: {reason}")).await;
                        return turn(Phase::Failed { reason }, restarts, None);
                    }
                    Ok(ready) => {
                        was_ready = true;
                        if ready == Ready::WithoutHandler {
                            say("the code was loaded and has no handler; the runtime's own loop answers".into()).await;
                        }
                        let under_way = watch::Sender::new(0);
                        let (version, dialer) = (workload.version.clone(), instance.dialer());
                        say("running".into()).await;
                        turn(Phase::Running, restarts, Some(Serving { version, dialer, under_way: under_way.clone() }));
                        tokio::select! {
                            reason = instance.ended() => {
                                instance.stop(Duration::ZERO).await;
                                reason
                            }
                            drain = &mut stop => {
                                let mut count = under_way.subscribe();
                                let none_left = count.wait_for(|count| *count == 0);
                                // Whoever takes longer is cut off.
                                let _ = tokio::time::timeout(drain.unwrap_or_default(), none_left).await;
                                instance.stop(GRACE).await;
                                say("stopped".into()).await;
                                return turn(Phase::Stopped, restarts, None);
                            }
                        }
                    }
                }
            }
        };
        restarts += 1;
        in_a_row = if began.elapsed() > STABLE { 1 } else { in_a_row + 1 };
        if !was_ready && in_a_row >= ATTEMPTS {
            say(format!("failed: {reason}")).await;
            return turn(Phase::Failed { reason }, restarts, None);
        }
        let retry_in = pause(in_a_row);
        say(format!("{reason}; starting again in {} ms", retry_in.as_millis())).await;
        turn(Phase::Waiting { reason, retry_in }, restarts, None);
        tokio::select! {
            () = sleep(retry_in) => {}
            _ = &mut stop => return turn(Phase::Stopped, restarts, None),
        }
    }
}

/// Before the next attempt after so many that ended soon.
fn pause(in_a_row: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << (in_a_row - 1).min(16)).min(LAST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<u128> = [1, 2, 3, 8, 9, 1_000].map(|n| pause(n).as_millis()).to_vec();
        assert_eq!(pauses, [500, 1_000, 2_000, 60_000, 60_000, 60_000]);
    }
}
