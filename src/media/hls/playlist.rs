//! Playlists as text (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis).

use super::grid::{PartGrid, TICKS_A_SECOND};
use super::window::{HOLD_BACK_TARGETS, Segment, Window};
use crate::calendar::DateTime;
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
    let time = DateTime(segment.program_ms);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        assert_eq!(seconds(200_000), "2.00000");
        assert_eq!(seconds(1), "0.00001");
        assert_eq!(short_seconds(54_000), "0.54");
        assert_eq!(short_seconds(100_000), "1");
        assert_eq!(short_seconds(1_000_000), "10");
    }
}
