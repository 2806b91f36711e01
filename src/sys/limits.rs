//! The limit of open descriptors.

use super::c::{RLIMIT_NOFILE, Rlimit, checked, getrlimit, setrlimit};
use std::io;

/// How many descriptors this process may have open.
///
/// # Errors
///
/// Those of getrlimit(2), which does not fail for this limit.
pub fn descriptor_limit() -> io::Result<u64> {
    Ok(descriptor_limits()?.soft)
}

fn descriptor_limits() -> io::Result<Rlimit> {
    let mut limit = Rlimit { soft: 0, hard: 0 };
    // SAFETY: `limit` is a live `struct rlimit` that the kernel fills in.
    checked(unsafe { getrlimit(RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit)
}

/// Raises the limit of open descriptors as far as the system allows, and returns the new one.
///
/// # Errors
///
/// Those of setrlimit(2); the limit is unchanged then.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = descriptor_limits()?;
    limit.soft = limit.hard;
    // SAFETY: `limit` is a live `struct rlimit` that the kernel only reads.
    checked(unsafe { setrlimit(RLIMIT_NOFILE, &limit) })?;
    Ok(limit.soft)
}
