//! Media playlists as RFC 8216 and its second edition have them, read by the letter: every tag has to
//! be where it may be and as often as it may be, and what players insist on is checked. Shares no
//! code with what writes them.

pub mod history;

use std::collections::{BTreeMap, BTreeSet};

/// 10 µs: what five digits behind the point can say.
pub type Ticks = u64;
pub const SECOND: Ticks = 100_000;

/// How far the date of a segment may be from where the one before ends, in ms.
const DATE_MS_MAX: u64 = 2;

#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub uri: String,
    pub duration: Ticks,
    pub is_independent: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Empty of the one that grows.
    pub uri: String,
    pub duration: Ticks,
    pub is_discontinuity: bool,
    pub map: String,
    pub program_ms: i64,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playlist {
    pub target: u64,
    pub part_target: Ticks,
    pub hold_back: Ticks,
    pub part_hold_back: Ticks,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    pub is_independent: bool,
    pub segments: Vec<Segment>,
    /// The segment that grows, if it has a part.
    pub open: Option<Segment>,
    pub hint: Option<String>,
    /// URI, segment and part of other playlists.
    pub reports: Vec<(String, u64, u64)>,
    pub is_over: bool,
}

impl Playlist {
    pub fn all(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().chain(&self.open)
    }

    /// Of all segments, and of the parts of the one that grows.
    pub fn duration(&self) -> Ticks {
        let whole = self.segments.iter().map(|segment| segment.duration);
        let open = self.open.iter().flat_map(|segment| &segment.parts);
        whole.chain(open.map(|part| part.duration)).sum()
    }

    /// The number of the segment that grows, or of the next one.
    pub fn open_sequence(&self) -> u64 {
        self.media_sequence + self.segments.len() as u64
    }
}

type Res<T> = Result<T, String>;

/// Reads a playlist.
pub fn read(text: &str) -> Res<Playlist> {
    let mut playlist = Playlist::default();
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, line)| line) != Some("#EXTM3U") || !text.ends_with('\n') {
        return Err("no playlist".to_owned());
    }
    let mut seen = BTreeSet::new();
    let mut state = Reading::default();
    for (number, line) in lines {
        state
            .line(line, &mut seen, &mut playlist)
            .map_err(|why| format!("line {}, {line}: {why}", number + 1))?;
    }
    state.finish(&mut playlist)?;
    for tag in [
        "VERSION",
        "TARGETDURATION",
        "SERVER-CONTROL",
        "PART-INF",
        "MEDIA-SEQUENCE",
    ] {
        if !seen.contains(tag) {
            return Err(format!("{tag} is missing"));
        }
    }
    check(&playlist)?;
    Ok(playlist)
}

/// What stands in front of the next segment.
#[derive(Default)]
struct Reading {
    next: Segment,
    map: String,
    has_time: bool,
    duration: Option<Ticks>,
    is_past_segments: bool,
}

impl Reading {
    fn line(
        &mut self,
        line: &str,
        seen: &mut BTreeSet<String>,
        playlist: &mut Playlist,
    ) -> Res<()> {
        if !line.starts_with('#') {
            let duration = self.duration.take().ok_or("a segment without EXTINF")?;
            let map = self.map.clone();
            if map.is_empty() || !self.has_time {
                return Err("a segment without MAP or time".to_owned());
            }
            self.has_time = false;
            playlist.segments.push(Segment {
                uri: uri(line)?,
                duration,
                map,
                ..std::mem::take(&mut self.next)
            });
            return Ok(());
        }
        let tag = line.strip_prefix("#EXT").ok_or("no tag")?;
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        let name = name.strip_prefix("-X-").unwrap_or(name);
        let in_head = playlist.segments.is_empty() && self.map.is_empty();
        let is_of_head = matches!(
            name,
            "VERSION"
                | "TARGETDURATION"
                | "SERVER-CONTROL"
                | "PART-INF"
                | "MEDIA-SEQUENCE"
                | "DISCONTINUITY-SEQUENCE"
                | "INDEPENDENT-SEGMENTS"
        );
        let is_once = is_of_head || matches!(name, "PRELOAD-HINT" | "ENDLIST");
        if is_once && !seen.insert(name.to_owned()) {
            return Err("a second time".to_owned());
        }
        if is_of_head && (!in_head || self.next.is_discontinuity) {
            return Err("behind a segment".to_owned());
        }
        if self.is_past_segments && name != "RENDITION-REPORT" {
            return Err("behind the end".to_owned());
        }
        if is_of_head {
            return head(name, value, playlist);
        }
        self.tag(name, value, playlist)
    }

    fn tag(&mut self, name: &str, value: &str, playlist: &mut Playlist) -> Res<()> {
        match name {
            "DISCONTINUITY" => {
                if self.next != Segment::default() || self.has_time {
                    return Err("not in front".to_owned());
                }
                self.next.is_discontinuity = true;
            }
            "MAP" => {
                if !self.map.is_empty() && !self.next.is_discontinuity {
                    return Err("another MAP without DISCONTINUITY".to_owned());
                }
                self.map = uri(&attributes(value, &["URI"], &[])?["URI"])?;
            }
            "PROGRAM-DATE-TIME" => {
                self.next.program_ms = date_ms(value).ok_or("no time")?;
                self.has_time = true;
            }
            "PART" => {
                let attributes = attributes(value, &["DURATION", "URI"], &["INDEPENDENT"])?;
                if self.map.is_empty() || !self.has_time {
                    return Err("a part without MAP or time".to_owned());
                }
                self.next.parts.push(Part {
                    uri: uri(&attributes["URI"])?,
                    duration: ticks(&attributes["DURATION"])?,
                    is_independent: attributes.get("INDEPENDENT").map(String::as_str)
                        == Some("YES"),
                });
            }
            "INF" => {
                let duration = value.strip_suffix(',').ok_or("a title")?;
                self.duration = Some(ticks(duration)?);
            }
            "PRELOAD-HINT" => {
                let attributes = attributes(value, &["TYPE", "URI"], &[])?;
                if attributes["TYPE"] != "PART" {
                    return Err("no part".to_owned());
                }
                playlist.hint = Some(uri(&attributes["URI"])?);
                self.is_past_segments = true;
            }
            "RENDITION-REPORT" => {
                let attributes = attributes(value, &["URI", "LAST-MSN", "LAST-PART"], &[])?;
                let number =
                    |name: &str| attributes[name].parse::<u64>().map_err(|e| e.to_string());
                playlist.reports.push((
                    attributes["URI"].clone(),
                    number("LAST-MSN")?,
                    number("LAST-PART")?,
                ));
            }
            "ENDLIST" => {
                playlist.is_over = true;
                self.is_past_segments = true;
            }
            _ => return Err("an unknown tag".to_owned()),
        }
        Ok(())
    }

    fn finish(self, playlist: &mut Playlist) -> Res<()> {
        if self.duration.is_some() {
            return Err("EXTINF without a segment".to_owned());
        }
        if !self.next.parts.is_empty() {
            playlist.open = Some(Segment {
                map: self.map,
                duration: self.next.parts.iter().map(|part| part.duration).sum(),
                ..self.next
            });
        } else if self.next != Segment::default() {
            return Err("tags of a segment that has nothing".to_owned());
        }
        Ok(())
    }
}

fn head(name: &str, value: &str, playlist: &mut Playlist) -> Res<()> {
    let number = || value.parse::<u64>().map_err(|why| why.to_string());
    match name {
        "VERSION" if number()? >= 9 => {}
        "TARGETDURATION" => playlist.target = number()?,
        "SERVER-CONTROL" => {
            let names = ["CAN-BLOCK-RELOAD", "PART-HOLD-BACK", "HOLD-BACK"];
            let attributes = attributes(value, &names, &[])?;
            if attributes["CAN-BLOCK-RELOAD"] != "YES" {
                return Err("cannot block".to_owned());
            }
            playlist.part_hold_back = ticks(&attributes["PART-HOLD-BACK"])?;
            playlist.hold_back = ticks(&attributes["HOLD-BACK"])?;
        }
        "PART-INF" => {
            playlist.part_target =
                ticks(&attributes(value, &["PART-TARGET"], &[])?["PART-TARGET"])?;
        }
        "MEDIA-SEQUENCE" => playlist.media_sequence = number()?,
        "DISCONTINUITY-SEQUENCE" => playlist.discontinuity_sequence = number()?,
        "INDEPENDENT-SEGMENTS" if value.is_empty() => playlist.is_independent = true,
        _ => return Err("not understood".to_owned()),
    }
    Ok(())
}

fn uri(text: &str) -> Res<String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if text.is_empty() || !is_plain {
        return Err(format!("{text:?} is no URI"));
    }
    Ok(text.to_owned())
}

/// Attributes, of which some have to be there, others may be, and none twice.
fn attributes(text: &str, needed: &[&str], allowed: &[&str]) -> Res<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').ok_or("no attribute")?;
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("no closing quote")?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        if !needed.contains(&name) && !allowed.contains(&name) {
            return Err(format!("{name} is not known"));
        }
        if found.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{name} twice"));
        }
        rest = match behind.strip_prefix(',') {
            Some(more) if !more.is_empty() => more,
            None if behind.is_empty() => behind,
            _ => return Err("no comma".to_owned()),
        };
    }
    match needed.iter().find(|name| !found.contains_key(**name)) {
        Some(missing) => Err(format!("{missing} is missing")),
        None => Ok(found),
    }
}

/// A decimal number of seconds, to the last digit.
pub fn ticks(text: &str) -> Res<Ticks> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 5 || text.ends_with('.') {
        return Err(format!("{text} has too many digits"));
    }
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("{text} is no number"))
    };
    Ok(number(whole)? * SECOND + number(&format!("{rest:0<5}"))?)
}

/// `2025-11-25T10:21:59.413Z` in ms since 1970.
fn date_ms(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, mark: char| -> Vec<i64> {
        text.split(mark)
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    let [year, month, day] = numbers(date, '-')[..] else {
        return None;
    };
    let (time, ms) = time.split_once('.')?;
    let [hour, minute, second] = numbers(time, ':')[..] else {
        return None;
    };
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut days: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let lengths = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    days += lengths[..(month - 1) as usize].iter().sum::<i64>() + day - 1;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + ms.parse::<i64>().ok().filter(|_| ms.len() == 3)?)
}

/// What players insist on, of one playlist.
fn check(playlist: &Playlist) -> Res<()> {
    let target = playlist.target * SECOND;
    if playlist.hold_back < 3 * target || playlist.part_hold_back < 3 * playlist.part_target {
        return Err("too near to the end".to_owned());
    }
    if playlist.part_target > target || playlist.part_target == 0 {
        return Err("no part target".to_owned());
    }
    if playlist.segments.is_empty() {
        return Err("no segment".to_owned());
    }
    if playlist.is_over != playlist.hint.is_none() || playlist.is_over && playlist.open.is_some() {
        return Err("the end is not clear".to_owned());
    }
    let mut uris = BTreeSet::new();
    let mut program_ms = i64::MIN;
    let mut ended_ms = None;
    for segment in playlist.all() {
        if (segment.duration + SECOND / 2) / SECOND > playlist.target || segment.duration == 0 {
            return Err(format!("a segment of {}", segment.duration));
        }
        if segment.program_ms < program_ms && !segment.is_discontinuity {
            return Err("time runs backward".to_owned());
        }
        let due_ms = ended_ms.filter(|_| !segment.is_discontinuity);
        if due_ms.is_some_and(|due_ms: i64| due_ms.abs_diff(segment.program_ms) > DATE_MS_MAX) {
            return Err(format!("{} where {due_ms:?} is due", segment.program_ms));
        }
        program_ms = segment.program_ms;
        ended_ms = Some(program_ms + (segment.duration * 1000 / SECOND) as i64);
        // Where media has a gap, its parts may not say how long they are.
        let parts: Ticks = segment.parts.iter().map(|part| part.duration).sum();
        if !segment.parts.is_empty() && parts > segment.duration {
            return Err(format!("{parts} in parts of {}", segment.duration));
        }
        let starts = segment.parts.first().is_none_or(|part| part.is_independent);
        if playlist.is_independent && !starts {
            return Err("a segment that is not independent".to_owned());
        }
        for (index, part) in segment.parts.iter().enumerate() {
            let is_last = index + 1 == segment.parts.len();
            let is_short = part.duration * 100 < playlist.part_target * 85;
            if part.duration > playlist.part_target || part.duration == 0 || is_short && !is_last {
                return Err(format!("a part of {}", part.duration));
            }
            if !uris.insert(&part.uri) {
                return Err(format!("{} twice", part.uri));
            }
        }
        let has_uri = !segment.uri.is_empty();
        if has_uri && !uris.insert(&segment.uri) {
            return Err(format!("{} twice", segment.uri));
        }
    }
    if playlist
        .hint
        .as_ref()
        .is_some_and(|hint| uris.contains(hint))
    {
        return Err("what is hinted at is there".to_owned());
    }
    Ok(())
}
