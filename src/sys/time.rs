//! Clocks.

use super::c::{CLOCK_MONOTONIC, Timespec, Tm, clock_gettime, localtime_r};
use std::time::Duration;

/// The time since the system started, on the clock that nobody sets.
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

/// A time on the clock of this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Of the Gregorian calendar.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// The local time, by the variable `TZ` or `/etc/localtime` as they were at the first call, so many
/// seconds after 1970 began in UTC. A year that does not fit becomes 1970.
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
