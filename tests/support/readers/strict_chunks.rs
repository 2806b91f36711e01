//! A decoder of chunks that knows RTMP §5.3 and forgives nothing.
//!
//! It also holds our encoder to what it promises beyond the specification: no step backward, none
//! that needs the extended field, the shortest header (but format 2 right after format 0), and no
//! chunk between the chunks of a message.

use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::collections::BTreeMap;

const EXTENDED: u32 = 0xff_ffff;

/// What has been said on a chunk stream.
#[derive(Clone, Copy)]
struct Said {
    time: u32,
    delta: u32,
    len: usize,
    kind: u8,
    stream: u32,
    extended: Option<u32>,
    after_format_0: bool,
}

/// The messages in `bytes`, or the first violation.
pub fn decode(bytes: &[u8]) -> Result<Vec<Message>, String> {
    let mut strict = Strict {
        rest: bytes,
        chunk_size: 128,
        said: BTreeMap::new(),
    };
    let mut messages = Vec::new();
    while !strict.rest.is_empty() {
        messages.push(strict.message()?);
    }
    Ok(messages)
}

struct Strict<'a> {
    rest: &'a [u8],
    chunk_size: usize,
    said: BTreeMap<u32, Said>,
}

fn rule(holds: bool, broken: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(broken.to_owned())
    }
}

impl Strict<'_> {
    fn take(&mut self, len: usize) -> Result<&[u8], String> {
        rule(len <= self.rest.len(), "ends inside a chunk")?;
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, len: usize) -> Result<u32, String> {
        Ok(self
            .take(len)?
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Format and chunk stream id.
    fn basic_header(&mut self) -> Result<(u8, u32), String> {
        let first = self.number(1)? as u8;
        let csid = match first & 0x3f {
            0 => 64 + self.number(1)?,
            1 => {
                let csid = 64 + self.number(1)? + 256 * self.number(1)?;
                rule(csid >= 320, "basic header longer than it must be")?;
                csid
            }
            csid => u32::from(csid),
        };
        Ok((first >> 6, csid))
    }

    /// A whole message, which must not be interrupted.
    fn message(&mut self) -> Result<Message, String> {
        let (fmt, csid) = self.basic_header()?;
        let before = self.said.get(&csid).copied();
        let now = self.message_header(fmt, before)?;
        if let Some(before) = before {
            shortest(fmt, &before, &now)?;
        }
        self.said.insert(csid, now);
        let mut payload = Vec::new();
        loop {
            let len = self.chunk_size.min(now.len - payload.len());
            payload.extend_from_slice(self.take(len)?);
            if payload.len() == now.len {
                break;
            }
            rule(
                self.basic_header()? == (3, csid),
                "chunk of another kind inside a message",
            )?;
            if now.extended.is_some() {
                rule(
                    Some(self.number(4)?) == now.extended,
                    "extended timestamp not repeated",
                )?;
            }
        }
        if now.kind == 1 {
            let size = payload.iter().take(4);
            self.chunk_size = size.fold(0, |size, byte| size << 8 | usize::from(*byte));
        }
        Ok(Message {
            timestamp: Timestamp(now.time),
            kind: MessageType(now.kind),
            stream: StreamId(now.stream),
            payload: payload.into(),
        })
    }

    fn message_header(&mut self, fmt: u8, before: Option<Said>) -> Result<Said, String> {
        let mut now = match (fmt, before) {
            (0, _) => {
                let extended = None;
                Said {
                    time: 0,
                    delta: 0,
                    len: 0,
                    kind: 0,
                    stream: 0,
                    extended,
                    after_format_0: true,
                }
            }
            (_, Some(before)) => before,
            (_, None) => return Err("chunk stream does not start with format 0".to_owned()),
        };
        let field = if fmt < 3 { self.number(3)? } else { 0 };
        if fmt < 2 {
            now.len = self.number(3)? as usize;
            now.kind = self.number(1)? as u8;
        }
        if fmt == 0 {
            now.stream = self.number(4)?.swap_bytes();
            now.time = field;
            if field == EXTENDED {
                now.time = self.number(4)?;
                rule(now.time >= EXTENDED, "extended timestamp without need")?;
                now.extended = Some(now.time);
            }
            now.delta = now.time;
            return Ok(now);
        }
        rule(field != EXTENDED, "a step that needs the extended field")?;
        if fmt < 3 {
            now.delta = field;
            now.extended = None;
        }
        rule(
            now.extended.is_none(),
            "format 3 begins a message with an extended timestamp",
        )?;
        now.time = now.time.wrapping_add(now.delta);
        now.after_format_0 = false;
        Ok(now)
    }
}

/// Whether no shorter header would have said the same.
fn shortest(fmt: u8, before: &Said, now: &Said) -> Result<(), String> {
    let step = now.time.wrapping_sub(before.time);
    let small = step < EXTENDED;
    let alike = (before.len, before.kind) == (now.len, now.kind);
    let repeats = alike && before.delta == step && !before.after_format_0;
    match fmt {
        0 => rule(
            !small || before.stream != now.stream,
            "format 0 without need",
        ),
        1 => rule(!alike, "format 1 without need"),
        2 => rule(!repeats, "format 2 without need"),
        _ => rule(!before.after_format_0, "format 3 right after format 0"),
    }
}
