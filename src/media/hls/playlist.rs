//! Playlists as text (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis).

use super::grid::{PartGrid, TICKS_A_SECOND};
use super::window::{HOLD_BACK_TARGETS, Segment, Window};
use std::fmt::Write;

/// The version that Low-Latency HLS needs.
const VERSION: u32 = 9;

/// What a playlist says of another one of the same stream.
pub(super) struct Report {
    pub uri: String,
    pub segment: u64,
    pub part: usize,
}

/// What all media playlists of a stream have in common.
pub(super) struct Shared {
    pub grid: PartGrid,
    pub target_s: u64,
    pub is_over: bool,
}

/// The media playlist of a window.
pub(super) fn media(window: &Window, shared: &Shared, reports: &[Report]) -> String {
    let mut out = String::with_capacity(4096);
    put_head(&mut out, window, shared);
    let first_with_parts = window.first_with_parts(&shared.grid);
    let mut init = None;
    for (index, segment) in window.segments.iter().enumerate() {
        put_start(&mut out, segment, &mut init);
        if index >= first_with_parts {
            put_parts(&mut out, segment);
        }
        let duration = seconds(segment.duration);
        let _ = writeln!(out, "#EXTINF:{duration},\n{}.m4s", segment.name);
    }
    if let Some(open) = window.open.as_ref().filter(|open| !open.parts.is_empty()) {
        put_start(&mut out, open, &mut init);
        put_parts(&mut out, open);
    }
    if shared.is_over {
        out.push_str("#EXT-X-ENDLIST\n");
        return out;
    }
    let hint = &window.hint;
    let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{hint}.m4s\"");
    for Report { uri, segment, part } in reports {
        let _ = writeln!(
            out,
            "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={segment},LAST-PART={part}"
        );
    }
    out
}

/// What may never change, and where the window is.
fn put_head(out: &mut String, window: &Window, shared: &Shared) {
    let Shared { grid, target_s, .. } = shared;
    let part = short_seconds(grid.longest);
    let part_hold_back = short_seconds(grid.hold_back());
    let hold_back = HOLD_BACK_TARGETS * target_s;
    let _ = write!(
        out,
        "#EXTM3U\n\
         #EXT-X-VERSION:{VERSION}\n\
         #EXT-X-TARGETDURATION:{target_s}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,\
         PART-HOLD-BACK={part_hold_back},HOLD-BACK={hold_back}\n\
         #EXT-X-PART-INF:PART-TARGET={part}\n\
         #EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        window.media_sequence, window.discontinuity_sequence,
    );
    let open = window.open.iter().filter(|open| !open.parts.is_empty());
    if window
        .segments
        .iter()
        .chain(open)
        .all(Segment::is_independent)
    {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
}

/// What stands in front of a segment. `init` is the initialization that the one before has.
fn put_start<'a>(out: &mut String, segment: &'a Segment, init: &mut Option<&'a str>) {
    if segment.is_discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    let name = segment.init.name.as_str();
    if init.replace(name) != Some(name) {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{name}.m4s\"");
    }
    let time = date_time(segment.program_ms);
    let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{time}");
}

fn put_parts(out: &mut String, segment: &Segment) {
    for part in &segment.parts {
        let (duration, name) = (seconds(part.duration), &part.name);
        let independent = if part.is_independent {
            ",INDEPENDENT=YES"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "#EXT-X-PART:DURATION={duration},URI=\"{name}.m4s\"{independent}"
        );
    }
}

/// Ticks in seconds, to the last digit.
fn seconds(ticks: i64) -> String {
    let (whole, rest) = (ticks / TICKS_A_SECOND, ticks % TICKS_A_SECOND);
    format!("{whole}.{rest:05}")
}

/// The same without zeros that say nothing.
fn short_seconds(ticks: i64) -> String {
    let text = seconds(ticks);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Milliseconds since 1970 as ISO 8601 has them, in UTC.
fn date_time(ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let (days, ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let (seconds, ms) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Year, month and day of a day since 1970, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years that begin on the first of March, so that the leap day is the last.
    const ERA_DAYS: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_764_066_119_413, "2025-11-25T10:21:59.413Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ];
        for (ms, want) in rows {
            assert_eq!(date_time(ms), want);
        }
    }

    #[test]
    fn durations_are_exact() {
        assert_eq!(seconds(200_000), "2.00000");
        assert_eq!(seconds(1), "0.00001");
        assert_eq!(short_seconds(54_000), "0.54");
        assert_eq!(short_seconds(100_000), "1");
        assert_eq!(short_seconds(1_000_000), "10");
    }
}
