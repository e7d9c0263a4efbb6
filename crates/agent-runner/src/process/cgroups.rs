//! Control groups: what an agent may use up, counted over all its processes. Version 2 where the host gives it to us,
//! else version 1, else each process is limited by itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Limits;

/// What this host gives, found out by trying.
#[derive(Debug)]
pub struct Cgroups {
    kind: Kind,
    /// Ours have names that begin with it.
    prefix: String,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Kind {
    /// All controllers in one folder.
    Unified(PathBuf),
    /// A folder for each controller that there is.
    Split { memory: Option<PathBuf>, processes: Option<PathBuf>, cpu: Option<PathBuf> },
}

/// One agent's group. Dropped, it is taken away, if nobody is in it any more.
#[derive(Debug)]
pub struct Group {
    folders: Vec<PathBuf>,
    memory: Option<PathBuf>,
    limits_processes: bool,
}

impl Cgroups {
    /// What the kernel says of this process (`/proc/self/cgroup`) and of what is mounted (`/proc/self/mounts`), tried.
    /// Groups with the same prefix that an earlier run left behind are taken away.
    pub fn find(prefix: &str) -> Cgroups {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (own, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mounts"));
        let mut notes = vec![];
        if let Some(base) = unified(&own, &mounts) {
            match delegate(&base) {
                Ok(()) => {
                    let found = Cgroups { kind: Kind::Unified(base), prefix: prefix.to_string(), notes: vec![] };
                    match found.usable() {
                        Ok(()) => return found,
                        Err(error) => notes.push(format!("control groups (version 2): {error}")),
                    }
                }
                Err(error) => notes.push(format!("control groups (version 2): {error}")),
            }
        }
        let mut controller = |name: &str, limited: &str| {
            let folder = split(name, &own, &mounts)?;
            match probe(&folder, prefix) {
                Ok(()) => Some(folder),
                Err(error) => {
                    notes.push(format!("{limited} is not limited by control groups: {error}"));
                    None
                }
            }
        };
        let kind = Kind::Split {
            memory: controller("memory", "memory"),
            processes: controller("pids", "the number of processes"),
            cpu: controller("cpu", "processor time"),
        };
        let mut found = Cgroups { kind, prefix: prefix.to_string(), notes };
        let Kind::Split { memory, processes, cpu } = &found.kind else { return found };
        match (memory, processes, cpu) {
            (Some(_), Some(_), Some(_)) => found.notes.clear(),
            (None, _, _) => found.notes.push("memory is limited for each process by itself".into()),
            _ => {}
        }
        if let Kind::Split { cpu: None, .. } = &found.kind {
            found.notes.push("processor time is not limited".into());
        }
        for folder in found.bases() {
            sweep(&folder, prefix);
        }
        found
    }

    /// What is missing, each as a sentence.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A group of this name with these limits.
    pub fn group(&self, name: &str, limits: &Limits) -> io::Result<Group> {
        let name = format!("{}{name}", self.prefix);
        let mut group = Group { folders: vec![], memory: None, limits_processes: false };
        let quota = u64::from(limits.cpu_millis).max(10) * PERIOD / 1000;
        let mut made = |base: &Path| -> io::Result<PathBuf> {
            let folder = base.join(&name);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            group.folders.push(folder.clone());
            Ok(folder)
        };
        match &self.kind {
            Kind::Unified(base) => {
                let folder = made(base)?;
                fs::write(folder.join("memory.max"), limits.memory.to_string())?;
                // Not every kernel counts swap, nor ends all of a group at once.
                let _ = fs::write(folder.join("memory.swap.max"), "0");
                let _ = fs::write(folder.join("memory.oom.group"), "1");
                fs::write(folder.join("pids.max"), limits.processes.to_string())?;
                fs::write(folder.join("cpu.max"), format!("{quota} {PERIOD}"))?;
                group.memory = Some(folder.join("memory.events"));
                group.limits_processes = true;
            }
            Kind::Split { memory, processes, cpu } => {
                let (mut memory_events, mut limits_processes) = (None, false);
                if let Some(base) = memory {
                    let folder = made(base)?;
                    fs::write(folder.join("memory.limit_in_bytes"), limits.memory.to_string())?;
                    let _ = fs::write(folder.join("memory.memsw.limit_in_bytes"), limits.memory.to_string());
                    memory_events = Some(folder.join("memory.oom_control"));
                }
                if let Some(base) = processes {
                    fs::write(made(base)?.join("pids.max"), limits.processes.to_string())?;
                    limits_processes = true;
                }
                if let Some(base) = cpu {
                    let folder = made(base)?;
                    fs::write(folder.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                    fs::write(folder.join("cpu.cfs_quota_us"), quota.to_string())?;
                }
                group.memory = memory_events;
                group.limits_processes = limits_processes;
            }
        }
        Ok(group)
    }

    fn bases(&self) -> Vec<PathBuf> {
        match &self.kind {
            Kind::Unified(base) => vec![base.clone()],
            Kind::Split { memory, processes, cpu } => [memory, processes, cpu].into_iter().flatten().cloned().collect(),
        }
    }

    fn usable(&self) -> io::Result<()> {
        for base in self.bases() {
            sweep(&base, &self.prefix);
        }
        self.group("probe", &Limits::default()).map(drop)
    }
}

/// Microseconds in which an agent gets its share of the processors.
const PERIOD: u64 = 100_000;

impl Group {
    /// Counts a process, and all that it will start, in this group.
    pub fn add(&self, process: u32) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), process.to_string()))
    }

    /// Whether memory is counted.
    pub fn limits_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Whether processes are counted.
    pub fn limits_processes(&self) -> bool {
        self.limits_processes
    }

    /// How many processes were ended because there was no memory left for them.
    pub fn out_of_memory(&self) -> u64 {
        let text = self.memory.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Whoever is left in it leaves soon; the next start looks again.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The folder of this process in the one hierarchy of version 2, if that has controllers.
fn unified(own: &str, mounts: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
    let folder = Path::new(mount).join(path.trim_start_matches('/'));
    let controllers = fs::read_to_string(folder.join("cgroup.controllers")).ok()?;
    let all = ["memory", "pids", "cpu"].iter().all(|name| controllers.split_whitespace().any(|has| has == *name));
    all.then_some(folder)
}

/// Hands the controllers of our folder down to the groups in it. The kernel wants nobody in a folder that does so, so
/// this process moves into a group beside those of agents.
fn delegate(base: &Path) -> io::Result<()> {
    let down = base.join("cgroup.subtree_control");
    let all =
        |text: String| ["memory", "pids", "cpu"].iter().all(|name| text.split_whitespace().any(|has| has == *name));
    if all(fs::read_to_string(&down)?) {
        return Ok(());
    }
    let own = base.join("platform");
    fs::create_dir_all(&own)?;
    fs::write(own.join("cgroup.procs"), "0")?;
    fs::write(&down, "+memory +pids +cpu")
}

/// The folder of this process in the hierarchy of one controller of version 1.
fn split(controller: &str, own: &str, mounts: &str) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        has(parts.next()?).then(|| parts.next()).flatten()
    })?;
    let mount = mounts.lines().find_map(|line| {
        let parts: Vec<&str> = line.split(' ').collect();
        let ours = parts.get(2) == Some(&"cgroup") && parts.get(3).is_some_and(|options| has(options));
        ours.then(|| parts[1])
    })?;
    Some(Path::new(mount).join(path.trim_start_matches('/')))
}

fn probe(base: &Path, prefix: &str) -> io::Result<()> {
    let folder = base.join(format!("{prefix}probe"));
    fs::create_dir_all(&folder)?;
    let _ = fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?;
    fs::remove_dir(&folder)
}

/// Takes groups away that an earlier run left behind.
fn sweep(base: &Path, prefix: &str) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_version_1_are_found_by_controller() {
        let own = "9:name=systemd:/\n8:pids:/\n4:memory:/service/one\n2:cpu,cpuacct:/\n0::/\n";
        let mounts = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert_eq!(split("memory", own, mounts), Some("/sys/fs/cgroup/memory/service/one".into()));
        assert_eq!(split("cpu", own, mounts), Some("/sys/fs/cgroup/cpu,cpuacct/".into()));
        assert_eq!(split("pids", own, mounts), None);
    }

    #[test]
    fn version_2_counts_only_with_the_controllers_that_are_needed() {
        let folder = std::env::temp_dir().join(format!("agent-runner-cgroups-{}", std::process::id()));
        fs::create_dir_all(folder.join("system/platform.service")).unwrap();
        let base = folder.join("system/platform.service");
        let own = "0::/system/platform.service\n";
        let mounts = format!("cgroup2 {} cgroup2 rw,nosuid 0 0\n", folder.display());
        for (controllers, usable) in [("cpuset cpu io memory pids\n", true), ("cpu pids\n", false), ("", false)] {
            fs::write(base.join("cgroup.controllers"), controllers).unwrap();
            assert_eq!(unified(own, &mounts).is_some(), usable, "{controllers}");
        }
        // What is written where, as far as plain files can show it.
        fs::write(base.join("cgroup.subtree_control"), "").unwrap();
        delegate(&base).unwrap();
        assert_eq!(fs::read_to_string(base.join("platform/cgroup.procs")).unwrap(), "0");
        assert_eq!(fs::read_to_string(base.join("cgroup.subtree_control")).unwrap(), "+memory +pids +cpu");
        let groups = Cgroups { kind: Kind::Unified(base.clone()), prefix: "agents-".into(), notes: vec![] };
        let limits = Limits { memory: 1 << 20, cpu_millis: 1500, processes: 3, ..Limits::default() };
        let group = groups.group("one", &limits).unwrap();
        let said = |file: &str| fs::read_to_string(base.join("agents-one").join(file)).unwrap();
        assert_eq!(
            (said("memory.max"), said("pids.max"), said("cpu.max")),
            ("1048576".into(), "3".into(), "150000 100000".into())
        );
        fs::write(base.join("agents-one/memory.events"), "low 0\noom 2\noom_kill 1\n").unwrap();
        assert_eq!(group.out_of_memory(), 1);
        drop(group);
        fs::remove_dir_all(&folder).unwrap();
    }
}
