//! The limit of open descriptors.

use super::c;
use std::io;

/// How many descriptors this process may have open.
///
/// # Errors
///
/// Those of getrlimit(2), which does not fail for this limit.
pub fn descriptor_limit() -> io::Result<u64> {
    Ok(c::descriptor_limits()?.soft)
}

/// Raises the limit of open descriptors as far as the system allows, and returns the new one.
///
/// # Errors
///
/// Those of setrlimit(2); the limit is unchanged then.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = c::descriptor_limits()?;
    limit.soft = limit.hard;
    c::set_descriptor_limits(&limit)?;
    Ok(limit.soft)
}
