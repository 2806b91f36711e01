//! The monotonic clock and local time.

use super::c::{CLOCK_MONOTONIC, Timespec, Tm, clock_gettime, localtime_r};
use std::time::Duration;

/// The time since the system started, on the clock that nobody can set.
pub fn monotonic() -> Duration {
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: `time` is a live `struct timespec` that the kernel fills in.
    let result = unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    debug_assert_eq!(result, 0, "every Linux has this clock");
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

/// A date and time of day in the local time zone, in the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, such as 2026.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 60: a leap second is 60.
    pub second: u8,
}

/// The local time `unix_seconds` after 1970 began in UTC. The zone is that of `TZ` or `/etc/localtime`
/// as they were at the first call. A year that does not fit becomes 1970.
pub fn local_time(unix_seconds: u64) -> LocalTime {
    let mut tm = Tm {
        second: 0,
        minute: 0,
        hour: 0,
        day: 1,
        month: 0,
        year: 70,
        weekday: 0,
        day_of_year: 0,
        is_dst: 0,
        offset: 0,
        zone: std::ptr::null(),
    };
    let seconds = i64::try_from(unix_seconds).unwrap_or_default();
    // SAFETY: both are live and of C's layout, and the function changes `tm` alone; where the year
    // does not fit, it leaves that as it is.
    unsafe { localtime_r(&seconds, &mut tm) };
    LocalTime {
        year: tm.year + 1900,
        month: (tm.month + 1) as u8,
        day: tm.day as u8,
        hour: tm.hour as u8,
        minute: tm.minute as u8,
        second: tm.second as u8,
    }
}
