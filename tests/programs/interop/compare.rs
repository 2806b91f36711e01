//! Whether what was played is what was published.

use super::media::{GROUP_LEN, Packet, Track};
use super::wire::{AUDIO, DATA, Message, VIDEO};

/// How a played file may differ from the published one, by the nature of the player.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tolerance {
    /// Packets at the end of each track that the player may keep to itself.
    pub tail: usize,
    /// The container does not keep times or headers as they were, and may end inside a packet.
    pub remuxed: bool,
    /// The player writes decoder headers anew, from what it was told.
    pub new_headers: bool,
}

/// Compares the tracks of a played file with the published ones; returns how many packets agreed.
pub fn tracks(source: &[Track], played: &[Track], tolerance: Tolerance) -> Result<usize, String> {
    let codecs = |tracks: &[Track]| tracks.iter().map(|t| t.codec.clone()).collect::<Vec<_>>();
    let (wanted, found) = (codecs(source), codecs(played));
    if wanted != found {
        return Err(format!("streams {found:?}, published {wanted:?}"));
    }
    let mut shifts = Vec::new();
    let mut packets = 0;
    for (source, played) in source.iter().zip(played) {
        let name = &source.codec;
        let may_differ = tolerance.remuxed || tolerance.new_headers;
        if source.header != played.header && !may_differ {
            return Err(format!("{name}: another decoder header"));
        }
        let shift = track(source, played, tolerance).map_err(|e| format!("{name}: {e}"))?;
        shifts.push(shift);
        packets += played.packets.len();
    }
    if shifts.iter().any(|shift| *shift != shifts[0]) && !tolerance.remuxed {
        return Err(format!("streams moved against each other: {shifts:?} ms"));
    }
    Ok(packets)
}

/// Compares one track: a contiguous run of the published packets, video from a keyframe on.
/// Returns by how much all of its times are moved.
fn track(source: &Track, played: &Track, tolerance: Tolerance) -> Result<i32, String> {
    let (all, mut run) = (&source.packets, played.packets.as_slice());
    if tolerance.remuxed {
        run = &run[..run.len().saturating_sub(1)];
    }
    if run.len() < GROUP_LEN {
        return Err(format!("{} packets of {}", run.len(), all.len()));
    }
    let start = position(all, run, tolerance.tail)?;
    if source.is_video && start % GROUP_LEN != 0 {
        return Err(format!("starts at picture {start}, no keyframe"));
    }
    // Milliseconds of RTMP and FLV have 32 bits.
    let moved = |(a, b): (&Packet, &Packet)| (b.dts - a.dts) as i32;
    let mut shifts = all[start..].iter().zip(run).map(moved);
    let shift = shifts.next().unwrap_or_default();
    if tolerance.remuxed {
        return Ok(shift);
    }
    let pairs = || all[start..].iter().zip(run);
    if pairs().any(|(a, b)| a.pts_after_dts != b.pts_after_dts) {
        return Err("composition times differ".to_owned());
    }
    match shifts.enumerate().find(|(_, other)| *other != shift) {
        Some((index, other)) => Err(format!(
            "packet {}: moved by {other} ms, those before by {shift}",
            index + 1
        )),
        None => Ok(shift),
    }
}

/// Where in `all` the packets of `run` stand, with at most `tail` packets of `all` behind them.
fn position(all: &[Packet], run: &[Packet], tail: usize) -> Result<usize, String> {
    let latest = all.len().checked_sub(run.len());
    let latest = latest.ok_or_else(|| format!("{} packets of {}", run.len(), all.len()))?;
    let earliest = latest.saturating_sub(tail);
    let fits = |start: &usize| all[*start..].iter().zip(run).all(|(a, b)| a.hash == b.hash);
    (earliest..=latest).rev().find(fits).ok_or_else(|| {
        let missing = run.iter().filter(|p| !all.iter().any(|q| q.hash == p.hash));
        format!(
            "{} packets are no contiguous end of the {} published; {} were never published",
            run.len(),
            all.len(),
            missing.count()
        )
    })
}

/// Compares the messages that a player was sent with those that the publisher sent: metadata at
/// time 0, headers, then every message from a keyframe to the end, byte for byte and in order.
/// Returns how many agreed.
pub fn messages(published: &[Message], sent: &[Message]) -> Result<usize, String> {
    let published = Stream::new(published, true);
    let sent = Stream::new(sent, false);
    check_metadata(&published.metadata, &sent)?;
    check_headers(&published, &sent)?;
    frames(&published.frames, &sent.frames)
}

/// Frames sent are the end of those published, on one clock, and begin with a keyframe.
fn frames(all: &[&Message], run: &[&Message]) -> Result<usize, String> {
    let start = all.len().checked_sub(run.len());
    let start =
        start.ok_or_else(|| format!("{} frames sent, {} published", run.len(), all.len()))?;
    let pairs = all[start..].iter().zip(run);
    let shift = |theirs: &Message, ours: &Message| ours.timestamp.wrapping_sub(theirs.timestamp);
    let mut first = None;
    for (index, (theirs, ours)) in pairs.enumerate() {
        let name = |m: &Message| format!("type {} at {}", m.kind, m.timestamp);
        if (theirs.kind, &theirs.payload) != (ours.kind, &ours.payload) {
            let (ours, theirs, of) = (name(ours), name(theirs), run.len());
            return Err(format!(
                "frame {index} of {of} is {ours}, published was {theirs}"
            ));
        }
        let (shift, first) = (
            shift(theirs, ours),
            *first.get_or_insert(shift(theirs, ours)),
        );
        if shift != first {
            return Err(format!(
                "frame {index}: moved by {shift} ms, the first by {first}"
            ));
        }
    }
    match run.iter().find(|message| message.kind == VIDEO) {
        Some(video) if video.payload[0] >> 4 & 7 != 1 => Err("starts at no keyframe".to_owned()),
        None if all.iter().any(|message| message.kind == VIDEO) => Err("no video".to_owned()),
        _ if run.is_empty() => Err("no frames".to_owned()),
        _ => Ok(run.len()),
    }
}

/// The messages of a stream by what they are for.
struct Stream<'a> {
    metadata: Vec<(u32, &'a [u8])>,
    headers: Vec<&'a Message>,
    frames: Vec<&'a Message>,
    /// Whether metadata or a header came after the first frame of its kind.
    late: Option<String>,
}

/// The command, as AMF0 string, with which publishers introduce metadata.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

impl<'a> Stream<'a> {
    fn new(messages: &'a [Message], from_publisher: bool) -> Stream<'a> {
        let mut stream = Stream {
            metadata: Vec::new(),
            headers: Vec::new(),
            frames: Vec::new(),
            late: None,
        };
        for message in messages
            .iter()
            .filter(|message| !message.payload.is_empty())
        {
            let frames_before = stream.frames.iter().any(|frame| frame.kind == message.kind);
            match message.kind {
                DATA => {
                    let payload = message.payload.as_slice();
                    let bare = payload
                        .strip_prefix(SET_DATA_FRAME)
                        .filter(|_| from_publisher);
                    let metadata = (message.timestamp, bare.unwrap_or(payload));
                    if stream.metadata.is_empty() && !stream.frames.is_empty() {
                        stream.late = Some("first metadata after a frame".to_owned());
                    }
                    stream.metadata.push(metadata);
                }
                AUDIO | VIDEO if is_header(message) => {
                    stream.headers.push(message);
                    if frames_before {
                        stream.late = Some(format!("type {}: header after a frame", message.kind));
                    }
                }
                AUDIO | VIDEO => stream.frames.push(message),
                _ => {}
            }
        }
        stream
    }
}

/// The metadata arrives at time 0, with the bytes that the publisher sent last; so do those with
/// which the publisher replaces it later.
fn check_metadata(published: &[(u32, &[u8])], sent: &Stream) -> Result<(), String> {
    let payloads = |messages: &[(u32, &[u8])]| -> Vec<Vec<u8>> {
        messages.iter().map(|(_, bytes)| bytes.to_vec()).collect()
    };
    let found = payloads(&sent.metadata);
    match sent.metadata.first() {
        _ if !payloads(published).ends_with(&found) => {
            let (found, published) = (found.len(), published.len());
            Err(format!(
                "{found} data messages sent that are no end of the {published} published"
            ))
        }
        Some((0, _)) => Ok(()),
        Some((time, _)) => Err(format!("metadata at {time} ms instead of 0")),
        None => Err("no metadata".to_owned()),
    }
}

fn check_headers(published: &Stream, sent: &Stream) -> Result<(), String> {
    if let Some(late) = &sent.late {
        return Err(late.clone());
    }
    let of = |stream: &Stream, kind| -> Vec<Vec<u8>> {
        let headers = stream.headers.iter().filter(|header| header.kind == kind);
        headers.map(|header| header.payload.clone()).collect()
    };
    for kind in [AUDIO, VIDEO] {
        let (wanted, found) = (of(published, kind), of(sent, kind));
        if wanted != found {
            let (wanted, found) = (wanted.len(), found.len());
            return Err(format!(
                "type {kind}: {found} headers sent, {wanted} published, or others"
            ));
        }
    }
    Ok(())
}

/// Whether a message sets a decoder up: FLV E.4.2.2 and E.4.3.2, Enhanced RTMP packet types.
pub fn is_header(message: &Message) -> bool {
    let [first, rest @ ..] = message.payload.as_slice() else {
        return false;
    };
    let second = rest.first();
    let multitrack = if message.kind == VIDEO { 6 } else { 5 };
    let enhanced = match message.kind {
        VIDEO => first & 0x80 != 0,
        _ => first >> 4 == 9,
    };
    match (enhanced, message.kind) {
        // Sequence start; colours or channel layout.
        (true, _) if first & 15 == multitrack => second.is_some_and(|b| [0, 4].contains(&(b & 15))),
        (true, _) => [0, 4].contains(&(first & 15)),
        (false, VIDEO) => first & 15 == 7 && second == Some(&0),
        (false, _) => first >> 4 == 10 && second == Some(&0),
    }
}
