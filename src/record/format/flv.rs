//! One FLV file of a recording.
//!
//! Tags are gathered and written by one call, at the end of the file; nothing before is touched
//! until the file is complete. So at every moment it is a file that plays, perhaps with the
//! beginning of a tag at its end, which readers leave out.

use super::Recorded;
use crate::amf0::Pairs;
use crate::media::flv::{
    BODY_LEN_MAX, FLAGS_AT, FileTotals, Flags, HEADER_LEN, Keyframe, ScriptTag, TAG_HEADER_LEN,
    changed_metadata, put_header, put_tag,
};
use crate::record::disk::{Closed, Disk};
use crate::rtmp::{Message, MessageType};
use std::io;

/// Gathered bytes are written without waiting for more once there are this many.
const GATHERED_MAX: usize = 1 << 20;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct FlvFile {
    disk: Disk,
    script: ScriptTag,
    /// As they are in the file, and as what was written asks for.
    flags: (Flags, Flags),
    /// Bytes of the next write: tags, behind the header if that is not written yet.
    gathered: Vec<u8>,
    gathered_tags: Vec<Tag>,
    duration_ms: u32,
    index: KeyframeIndex,
}

/// A tag that is gathered.
#[derive(Clone, Copy, Debug)]
struct Tag {
    /// Where it begins and ends among the gathered bytes.
    start: usize,
    end: usize,
    kind: MessageType,
    time_ms: u32,
    is_entry: bool,
}

impl FlvFile {
    /// Begins a file that is still empty, with the publisher's `properties`, and an index with
    /// room for `room` keyframes.
    pub(crate) fn new(disk: Disk, flags: Flags, properties: Pairs, room: usize) -> Self {
        let script = ScriptTag::new(properties, room);
        let mut gathered = Vec::new();
        put_header(flags, &mut gathered);
        let body = script.body(&FileTotals::default());
        put_tag(MessageType::DATA, 0, &body, &mut gathered);
        let beginning = Tag {
            start: 0,
            end: gathered.len(),
            kind: MessageType::DATA,
            time_ms: 0,
            is_entry: false,
        };
        FlvFile {
            disk,
            script,
            flags: (flags, flags),
            gathered,
            gathered_tags: vec![beginning],
            duration_ms: 0,
            index: KeyframeIndex::new(room),
        }
    }

    /// Adds a tag. `is_entry`: players may begin here.
    fn put_tag(
        &mut self,
        kind: MessageType,
        time_ms: u32,
        body: &[u8],
        is_entry: bool,
    ) -> io::Result<()> {
        if body.len() > BODY_LEN_MAX {
            return Ok(());
        }
        let start = self.gathered.len();
        put_tag(kind, time_ms, body, &mut self.gathered);
        self.gathered_tags.push(Tag {
            start,
            end: self.gathered.len(),
            kind,
            time_ms,
            is_entry,
        });
        if self.gathered.len() < GATHERED_MAX {
            return Ok(());
        }
        self.flush()
    }

    /// Counts the gathered tags that are whole within the first `written` bytes.
    fn note_written(&mut self, written: usize) {
        let before = self.disk.len();
        let mut whole = 0;
        for tag in &self.gathered_tags {
            if tag.end > written {
                break;
            }
            whole = tag.end as u64;
            self.flags.1.insert(tag.kind);
            if tag.kind != MessageType::DATA && tag.kind != MessageType::DATA_AMF3 {
                self.duration_ms = self.duration_ms.max(tag.time_ms);
            }
            if tag.is_entry {
                self.index.push(Keyframe {
                    time_ms: tag.time_ms,
                    position: before + tag.start as u64,
                });
            }
        }
        self.disk.keep(whole);
    }

    fn patch_flags(&mut self) -> io::Result<()> {
        let (written, wanted) = self.flags;
        if written != wanted {
            self.disk.patch(FLAGS_AT, &[wanted.byte()])?;
            self.flags.0 = wanted;
        }
        Ok(())
    }

    /// Writes the first tag anew. If that is not done whole, its length is right all the same, and
    /// what is behind it stays within reach.
    fn patch(&mut self) -> io::Result<()> {
        let body = self.script.body(&FileTotals {
            duration_ms: self.duration_ms,
            filesize: self.disk.len(),
            keyframes: &self.index.keyframes,
        });
        let body_at = (HEADER_LEN + TAG_HEADER_LEN) as u64;
        self.disk.patch(body_at, &body)?;
        self.disk.sync()
    }
}

impl Recorded for FlvFile {
    fn disk(&self) -> &Disk {
        &self.disk
    }

    fn duration_ms(&self) -> u32 {
        self.duration_ms
    }

    fn put(&mut self, message: &Message, time_ms: u32, is_entry: bool) -> io::Result<()> {
        self.put_tag(message.kind, time_ms, &message.payload, is_entry)
    }

    fn put_metadata(&mut self, properties: &Pairs) -> io::Result<()> {
        // It belongs to the stream, not to a moment: at any other time than 0, players take it for a
        // track of its own.
        self.put_tag(MessageType::DATA, 0, &changed_metadata(properties), false)
    }

    /// Writes what is gathered. If that fails, the file ends behind the last tag that could be
    /// written whole.
    fn flush(&mut self) -> io::Result<()> {
        let (written, result) = self.disk.append(&self.gathered);
        self.note_written(written);
        self.gathered.clear();
        self.gathered_tags.clear();
        if let Err(error) = result {
            if written > 0 {
                self.disk.cut();
            }
            return Err(error);
        }
        self.patch_flags()?;
        self.disk.sync_if_due()
    }

    /// Writes what is left, and what is known of the file only now.
    fn close(mut self: Box<Self>) -> Closed {
        let flushed = self.flush();
        let script_end = HEADER_LEN + TAG_HEADER_LEN;
        if self.disk.len() < script_end as u64 {
            return self.disk.remove(flushed.err());
        }
        let patched = self.disk.check_whole().and_then(|()| self.patch());
        self.disk.close(self.duration_ms, flushed.and(patched))
    }
}

/// Keyframes of a file, fewer than twice as many as there is room for in the end: when there are
/// more, every other one goes, and the stride doubles.
#[derive(Debug)]
struct KeyframeIndex {
    keyframes: Vec<Keyframe>,
    room: usize,
    /// Sampling stride: one keyframe in `step` is taken.
    step: u64,
    seen: u64,
}

impl KeyframeIndex {
    fn new(room: usize) -> KeyframeIndex {
        KeyframeIndex {
            keyframes: Vec::new(),
            room,
            step: 1,
            seen: 0,
        }
    }

    fn push(&mut self, keyframe: Keyframe) {
        if self.seen.is_multiple_of(self.step) {
            self.keyframes.push(keyframe);
        }
        self.seen += 1;
        if self.keyframes.len() > 2 * self.room {
            let mut number = 0;
            self.keyframes.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.step = self.step.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_bounded_and_even() {
        let mut index = KeyframeIndex::new(8);
        for position in 0..1000 {
            index.push(Keyframe {
                time_ms: 0,
                position,
            });
            assert!(index.keyframes.len() <= 16);
            let step = index.step;
            let even = |(at, keyframe): (usize, &Keyframe)| keyframe.position == at as u64 * step;
            assert!(index.keyframes.iter().enumerate().all(even));
            assert!(index.keyframes.len() >= 8 || step == 1);
        }
    }
}
