//! Logs: what an agent writes, line by line, in files that are turned over before they grow too large.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::{broadcast, mpsc};

use crate::lines::LONGEST_LINE;
use crate::{LogLine, LogStream};

/// Lines that may wait to be written; then the agent waits.
const WAITING: usize = 256;

/// Lines that who follows may be behind; then lines are missed.
const BEHIND: usize = 1024;

/// The log of one agent.
#[derive(Debug)]
pub struct Log {
    files: Arc<Mutex<Files>>,
    follow: broadcast::Sender<LogLine>,
    lines: mpsc::Sender<LogLine>,
    clock: fn() -> i64,
}

impl Log {
    /// In this folder, which is made if need be, and no larger than so many bytes. What is there stays.
    pub fn open(folder: &Path, bytes: u64, clock: fn() -> i64) -> io::Result<Log> {
        fs::create_dir_all(folder)?;
        let files = Arc::new(Mutex::new(Files::open(folder, bytes)?));
        let (follow, _) = broadcast::channel(BEHIND);
        let (lines, mut waiting) = mpsc::channel(WAITING);
        let (to, tell) = (files.clone(), follow.clone());
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, WAITING).await > 0 {
                let (to, tell, lines) = (to.clone(), tell.clone(), std::mem::take(&mut batch));
                // A disk that is slow holds up this agent and nobody else.
                let _ = tokio::task::spawn_blocking(move || write(&to, &tell, lines)).await;
            }
        });
        Ok(Log { files, follow, lines, clock })
    }

    /// A line of the runner's own, where nobody can wait. If the agent just wrote too much, it is missed.
    pub fn note(&self, text: String) {
        let _ = self.lines.try_send(self.line(LogStream::Runner, "", text));
    }

    /// A line of this log, of now.
    pub fn line(&self, stream: LogStream, version: &str, text: String) -> LogLine {
        LogLine { time: (self.clock)(), stream, version: version.to_string(), text }
    }

    /// Takes in a line; waits while too many others do.
    pub async fn write(&self, line: LogLine) {
        // The other end lives as long as this one.
        let _ = self.lines.send(line).await;
    }

    /// The last lines, and if `follow`, those to come.
    pub fn read(&self, tail: usize, follow: bool) -> BoxStream<'static, LogLine> {
        let (files, sender, clock) = (self.files.clone(), self.follow.clone(), self.clock);
        let begin = tokio::task::spawn_blocking(move || {
            let files = files.lock().unwrap_or_else(PoisonError::into_inner);
            // Both while nobody writes, so that no line is in neither or both.
            (files.tail(tail), follow.then(|| sender.subscribe()))
        });
        let all = async move {
            let (past, coming) = begin.await.unwrap_or_default();
            let coming = stream::unfold(coming, move |coming| async move {
                let mut coming = coming?;
                match coming.recv().await {
                    Ok(line) => Some((line, Some(coming))),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        let text = format!("{missed} lines were missed");
                        let version = String::new();
                        Some((LogLine { time: clock(), stream: LogStream::Runner, version, text }, Some(coming)))
                    }
                    Err(broadcast::error::RecvError::Closed) => None,
                }
            });
            stream::iter(past).chain(coming)
        };
        stream::once(all).flatten().boxed()
    }
}

/// The file that is written, and the one before.
#[derive(Debug)]
struct Files {
    path: PathBuf,
    before: PathBuf,
    file: File,
    size: u64,
    /// Of one file.
    most: u64,
}

impl Files {
    fn open(folder: &Path, bytes: u64) -> io::Result<Files> {
        let path = folder.join("log");
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Files { before: folder.join("log.1"), path, file, size, most: (bytes / 2).max(LONGEST_LINE as u64) })
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > self.most {
            fs::rename(&self.path, &self.before)?;
            self.file = OpenOptions::new().create(true).append(true).read(true).open(&self.path)?;
            self.size = 0;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    /// What cannot be read, such as a line that a crash cut off, is no line.
    fn tail(&self, count: usize) -> Vec<LogLine> {
        let mut newest_first = Vec::new();
        for path in [&self.path, &self.before] {
            let wanted = count - newest_first.len();
            if wanted == 0 {
                break;
            }
            let mut text = Vec::new();
            let read = File::open(path).and_then(|mut file| {
                file.seek(SeekFrom::Start(0))?;
                file.take(2 * self.most).read_to_end(&mut text)
            });
            if read.is_ok() {
                let lines = text.rsplit(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
                newest_first.extend(lines.take(wanted));
            }
        }
        newest_first.reverse();
        newest_first
    }
}

fn write(files: &Mutex<Files>, tell: &broadcast::Sender<LogLine>, lines: Vec<LogLine>) {
    let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
    for line in lines {
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        if let Err(error) = files.append(&text) {
            tracing::warn!(%error, "an agent's log cannot be written");
        }
        // Nobody may be following.
        let _ = tell.send(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("agent-runner-logs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[tokio::test]
    async fn a_log_keeps_the_newest_lines_within_its_bytes() {
        let folder = folder("bounded");
        let log = Log::open(&folder, 100_000, || 7).unwrap();
        // From the beginning: whether the first line is there when reading begins is not known.
        let mut live = log.read(usize::MAX, true);
        for n in 0..5_000 {
            log.write(log.line(LogStream::Stdout, "v1", format!("line {n}"))).await;
            // Following and writing at the same pace, nothing is missed.
            assert_eq!(live.next().await.unwrap().text, format!("line {n}"));
        }
        let kept: u64 = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!((50_000..=100_000).contains(&kept), "{kept}");
        let last: Vec<String> = log.read(2, false).map(|line| line.text).collect().await;
        assert_eq!(last, ["line 4998", "line 4999"]);
        assert!(log.read(usize::MAX, false).count().await > 500);
        // Another process finds them there, also after one was cut off in the middle.
        drop(log);
        OpenOptions::new().append(true).open(folder.join("log")).unwrap().write_all(b"{\"time\":").unwrap();
        let again = Log::open(&folder, 100_000, || 8).unwrap();
        let last: Vec<String> = again.read(1, false).map(|line| line.text).collect().await;
        assert_eq!(last, ["line 4999"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
