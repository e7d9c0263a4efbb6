//! A command's processor time and memory, with those of the processes it starts.

use std::process::Command;

/// What a command took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Processor seconds, of all its processes.
    pub cpu: f64,
    /// Most memory at one time, in MiB, of all its processes.
    pub peak: f64,
}

/// Ticks of the system's clock per second, in `/proc`.
const TICKS: f64 = 100.0;

/// Processor seconds after which nobody waits any longer.
const PATIENCE: f64 = 120.0;

/// Runs a command to its end. What it prints is dropped, or kept in a file; its exit code is nobody's business, since
/// scanners exit with an error when they find something.
pub fn run(command: &mut Command) -> Result<Cost, String> {
    let line = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("{line} did not start: {error}"))?;
    let root = child.id();
    let mut cost = Cost::default();
    loop {
        let tree = processes(root);
        cost.peak = cost.peak.max(tree.iter().map(|process| process.memory).sum());
        cost.cpu = cost.cpu.max(tree.iter().map(|process| process.cpu).sum());
        if cost.cpu > PATIENCE {
            child.kill().and_then(|()| child.wait()).map_err(|error| format!("{line}: {error}"))?;
            return Err(format!("not done within {PATIENCE} processor seconds"));
        }
        // A process that has ended keeps its times until it is waited for.
        if tree.iter().any(|process| process.id == root && process.ended) || tree.is_empty() {
            break;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "what a foreign process takes can only be looked at again and again"
        )]
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.wait().map_err(|error| format!("{line}: {error}"))?;
    Ok(cost)
}

struct Process {
    id: u32,
    parent: u32,
    ended: bool,
    cpu: f64,
    memory: f64,
}

/// The process and what it started.
fn processes(root: u32) -> Vec<Process> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = folder.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let mut others: Vec<Process> = ids.filter_map(process).collect();
    let mut tree: Vec<Process> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let (own, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|p| p.parent == parent || p.id == root && parent == root);
        others = rest;
        parents.extend(own.iter().map(|process| process.id).filter(|id| *id != root));
        tree.extend(own);
    }
    tree
}

fn process(id: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    // Own time, and that of children that have ended.
    let cpu = (number(11)? + number(12)? + number(13)? + number(14)?) / TICKS;
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let memory = memory.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    let ended = fields.first() == Some(&"Z");
    Some(Process { id, parent: number(1)? as u32, ended, cpu, memory: memory.unwrap_or(0.0) / 1024.0 })
}
