//! What the system allows this process, and what is in use of it.

use crate::sys;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The memory of a machine that does not say how much it has, in bytes.
const MEMORY_UNKNOWN: usize = 1 << 30;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// Memory mappings of the process.
    Mappings,
    /// Threads and processes, of the system or of a control group.
    Tasks,
    /// Open files of the process.
    Descriptors,
    /// Memory of the machine or control group, in kB.
    Memory,
}

/// A limit of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// The name of the limit, as the log shows it.
    pub by: &'static str,
    pub counts: Usage,
    /// The highest number allowed.
    pub max: usize,
    /// The number now, of this process and of others that count against it.
    pub used: usize,
}

/// The limits of this system. One that cannot be read is left out: it does not bound.
/// Threads may take `memory_kb` of memory.
pub(super) fn read(memory_kb: usize) -> Vec<Limit> {
    let of_system = |by, path| {
        Some(Limit {
            by,
            counts: Usage::Tasks,
            max: number(path)?,
            used: tasks_of_system()?,
        })
    };
    let memory = Limit {
        by: "the memory of the machine or control group",
        counts: Usage::Memory,
        max: memory_kb,
        used: 0,
    };
    let single = [
        Some(memory),
        mappings(),
        descriptors(),
        of_system("kernel.pid_max", "/proc/sys/kernel/pid_max"),
        of_system("kernel.threads-max", "/proc/sys/kernel/threads-max"),
    ];
    let groups = group_dirs("pids").into_iter().filter_map(|dir| {
        Some(Limit {
            by: "pids.max of the control group (TasksMax)",
            counts: Usage::Tasks,
            max: number(dir.join("pids.max"))?,
            used: number(dir.join("pids.current"))?,
        })
    });
    single.into_iter().flatten().chain(groups).collect()
}

fn mappings() -> Option<Limit> {
    Some(Limit {
        by: "vm.max_map_count",
        counts: Usage::Mappings,
        max: number("/proc/sys/vm/max_map_count")?,
        used: lines(File::open("/proc/self/maps").ok()?)?,
    })
}

/// The number of lines, without all of them in memory.
fn lines(mut file: File) -> Option<usize> {
    let (mut buffer, mut lines) = (vec![0; 64 << 10], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some(lines),
            Ok(len) => lines += buffer[..len].iter().filter(|byte| **byte == b'\n').count(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

fn descriptors() -> Option<Limit> {
    Some(Limit {
        by: "open files (ulimit -n)",
        counts: Usage::Descriptors,
        max: usize::try_from(sys::descriptor_limit().ok()?).ok()?,
        used: fs::read_dir("/proc/self/fd").ok()?.count(),
    })
}

/// Threads of all processes: the number behind the slash in `0.1 0.2 0.3 2/345 678`.
fn tasks_of_system() -> Option<usize> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let (_, tasks) = load.split(' ').nth(3)?.split_once('/')?;
    tasks.parse().ok()
}

/// The memory of the machine or of our control group, whichever is less, in bytes.
pub(crate) fn memory() -> usize {
    let groups = group_dirs("memory").into_iter().flat_map(|dir| {
        let files = ["memory.max", "memory.limit_in_bytes"];
        files
            .into_iter()
            .filter_map(move |file| number(dir.join(file)))
    });
    let least = groups.chain(total_memory()).min();
    least.unwrap_or(MEMORY_UNKNOWN)
}

fn total_memory() -> Option<usize> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// A number in a file; `max` is none.
fn number(path: impl AsRef<Path>) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The directories of our control group and those above it, of either version, in which the limits
/// of `controller` are found.
fn group_dirs(controller: &str) -> Vec<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    dirs(&groups, controller)
}

fn dirs(groups: &str, controller: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let dirs = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let base = match controllers {
            "" => root.to_owned(),
            names if names.split(',').any(|name| name == controller) => root.join(controller),
            _ => return None,
        };
        let path = Path::new(path.trim_start_matches('/'));
        Some(path.ancestors().map(move |path| base.join(path)))
    });
    dirs.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_found_up_to_the_root() {
        let rows = [
            (
                "0::/system.slice/a.service\n",
                vec![
                    "/sys/fs/cgroup/system.slice/a.service",
                    "/sys/fs/cgroup/system.slice",
                    "/sys/fs/cgroup/",
                ],
            ),
            (
                "9:name=systemd:/x\n8:pids:/\n1:cpu,cpuacct:/y\n",
                vec!["/sys/fs/cgroup/pids/"],
            ),
            ("nothing\n", vec![]),
            ("", vec![]),
        ];
        for (groups, want) in rows {
            let want: Vec<_> = want.into_iter().map(PathBuf::from).collect();
            assert_eq!(dirs(groups, "pids"), want, "{groups:?}");
        }
    }

    #[test]
    fn the_memory_of_this_system_can_be_read() {
        let (memory, total) = (memory(), total_memory().unwrap());
        assert!(16 << 20 < memory && memory <= total, "{memory} of {total}");
    }

    #[test]
    fn the_limits_of_this_system_can_be_read() {
        let limits = read(1 << 30);
        for counts in [Usage::Mappings, Usage::Tasks, Usage::Descriptors] {
            let limit = limits.iter().find(|limit| limit.counts == counts).unwrap();
            assert!(0 < limit.used && limit.used < limit.max, "{limit:?}");
        }
    }
}
