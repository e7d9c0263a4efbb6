//! `agentlint_analyzer`: the analyzer as a Python module. Types are in `agentlint_analyzer.pyi`, which the wheel carries.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use analyzer_core::{Options, Sources};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How often an analysis asks whether Ctrl-C was pressed.
const PATIENCE: Duration = Duration::from_millis(50);

/// The threads of one process. A process that was forked has none of its parent's.
struct Pool {
    process: u32,
    threads: Arc<ThreadPool>,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

fn pool() -> PyResult<Arc<ThreadPool>> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some(own) = pool.as_ref().filter(|pool| pool.process == process) {
        return Ok(own.threads.clone());
    }
    let threads = ThreadPoolBuilder::new().thread_name(|index| format!("agentlint-{index}")).build();
    let threads = threads.map_err(|error| PyRuntimeError::new_err(format!("no threads to analyze on: {error}")))?;
    let threads = Arc::new(threads);
    // Putting away a parent's threads would wait for them for ever.
    std::mem::forget(pool.replace(Pool { process, threads: threads.clone() }));
    Ok(threads)
}

/// The files as they were handed over, each with a message that names it where it is no text.
fn texts(files: &Bound<'_, PyDict>) -> PyResult<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for (path, text) in files {
        let Ok(path) = path.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!("paths are str, not {}", path.get_type().name()?)));
        };
        let path = path.to_str().map_err(|_| PyValueError::new_err("a path is no text: it holds half a character"))?;
        let Ok(text) = text.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!("the text of {path:?} is {}, not str", text.get_type().name()?)));
        };
        let text = text.to_str().map_err(|_| {
            PyValueError::new_err(format!(
                "{path:?} is no text: it holds half a character; decode it with errors=\"replace\""
            ))
        })?;
        texts.insert(path.to_owned(), text.to_owned());
    }
    Ok(texts)
}

/// Analyzes an agent's files: text by path, relative to the project. Nothing is executed, nothing is read but what is
/// given, and other Python threads run meanwhile.
///
/// Raises TypeError for what is no dict of str, and ValueError for paths and sizes that are not taken.
#[pyfunction]
#[pyo3(signature = (files, /))]
fn analyze<'py>(py: Python<'py>, files: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    let texts = texts(files)?;
    let pool = pool()?;
    let cancel = Arc::new(AtomicBool::new(false));
    let options = Options { cancel: Some(cancel.clone()), ..Options::default() };
    let (answer, mut answered) = sync_channel(1);
    pool.spawn(move || {
        let analyzed = Sources::new(texts).map_err(|error| error.to_string()).map(|sources| {
            let analysis = analyzer_core::analyze(&sources, &options);
            serde_json::to_string(&analysis).expect("an analysis is JSON")
        });
        // Whoever was interrupted wants no answer.
        let _ = answer.send(analyzed);
    });
    let analyzed = loop {
        let (answer, waiting) = py.detach(move || (answered.recv_timeout(PATIENCE), answered));
        answered = waiting;
        match answer {
            Ok(analyzed) => break analyzed,
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().inspect_err(|_| cancel.store(true, Ordering::Relaxed))?;
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("the analyzer failed: this is a defect, please report it"));
            }
        }
    };
    let json = analyzed.map_err(PyValueError::new_err)?;
    py.import("json")?.call_method1("loads", (json,))
}

/// Find what an AI agent will touch - tools, models, secrets, hosts, packages - before it is deployed.
#[pymodule(name = "agentlint_analyzer")]
mod module {
    #[pymodule_export]
    use super::analyze;

    /// The version of the analyzer.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
