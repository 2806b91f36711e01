//! How many connections the system allows.

use std::fs;

/// Threads of a connection: a reader and a writer.
const THREADS: u64 = 2;

/// Memory mappings of a connection: for each thread its stack, its signal stack, and a guard page
/// for both.
const MAPPINGS: u64 = 4 * THREADS;

/// What the process needs for itself, of anything.
const RESERVED: u64 = 64;

/// A limit of the system, and how many connections it leaves room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Whose limit it is.
    pub by: &'static str,
    /// How many connections fit.
    pub connections: u64,
}

impl Bound {
    fn new(by: &'static str, limit: Option<u64>, each: u64) -> Option<Bound> {
        Some(Bound {
            by,
            connections: limit?.saturating_sub(RESERVED) / each,
        })
    }
}

/// The lowest of the system's limits, with `descriptors` open files allowed.
pub fn lowest_bound(descriptors: Option<u64>) -> Option<Bound> {
    let bounds = [
        Bound::new("open files (ulimit -n)", descriptors, 1),
        Bound::new(
            "kernel.pid_max",
            number("/proc/sys/kernel/pid_max"),
            THREADS,
        ),
        Bound::new(
            "kernel.threads-max",
            number("/proc/sys/kernel/threads-max"),
            THREADS,
        ),
        Bound::new(
            "pids.max of the control group (TasksMax)",
            tasks_max(),
            THREADS,
        ),
        Bound::new(
            "vm.max_map_count",
            number("/proc/sys/vm/max_map_count"),
            MAPPINGS,
        ),
    ];
    bounds
        .into_iter()
        .flatten()
        .min_by_key(|bound| bound.connections)
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The limit of our own control group; `max` is none.
fn tasks_max() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    number(&format!("/sys/fs/cgroup{group}/pids.max"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_bound_first_when_they_are_few() {
        let bound = lowest_bound(Some(104)).unwrap();
        assert_eq!(
            bound,
            Bound {
                by: "open files (ulimit -n)",
                connections: 40
            }
        );
        assert_eq!(lowest_bound(Some(10)).unwrap().connections, 0);
    }

    #[test]
    fn without_that_something_else_does() {
        let bound = lowest_bound(None).unwrap();
        assert_ne!(bound.by, "open files (ulimit -n)");
        assert!(bound.connections > 100, "{bound:?}");
    }
}
