//! A line for whoever waits at a terminal: there while long work is done, and gone afterwards.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Shorter work is done before anybody wonders.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// Does the work; when it takes longer than the patience, says what is being done until it ends.
pub fn during<T>(what: &str, patience: Duration, mut to: impl Write + Send, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                // Whether it can be seen does not matter to the work.
                let _ = write!(to, "{what} …").and_then(|()| to.flush());
                let _ = waiting.recv();
                let _ = write!(to, "\r\u{1b}[2K").and_then(|()| to.flush());
            }
        });
        let result = work();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender};

    use super::*;

    struct Shown(Sender<String>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn all(shown: &Receiver<String>) -> String {
        shown.iter().collect()
    }

    #[test]
    fn long_work_says_what_it_does_and_cleans_up() {
        let (to, shown) = channel();
        // The work ends when its line is there.
        let first = during("analyzing 3 files", Duration::ZERO, Shown(to), || shown.recv().unwrap());
        assert_eq!(first + &all(&shown), "analyzing 3 files …\r\u{1b}[2K");
    }

    #[test]
    fn short_work_says_nothing() {
        let (to, shown) = channel();
        assert_eq!(during("x", Duration::MAX, Shown(to), || 7), 7);
        assert_eq!(all(&shown), "");
    }
}
