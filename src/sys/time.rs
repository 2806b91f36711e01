//! The monotonic clock, processor time, and local time.

use super::c;
use std::time::Duration;

/// The time since the system started, on the clock that nobody can set.
pub fn monotonic() -> Duration {
    duration(c::monotonic_time())
}

/// The processor time that all threads of this process have used, in the system's calls too.
pub fn processor_time() -> Duration {
    duration(c::processor_time())
}

fn duration(time: c::Timespec) -> Duration {
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
    let tm = c::local_time(i64::try_from(unix_seconds).unwrap_or_default());
    LocalTime {
        year: tm.year + 1900,
        month: (tm.month + 1) as u8,
        day: tm.day as u8,
        hour: tm.hour as u8,
        minute: tm.minute as u8,
        second: tm.second as u8,
    }
}
