//! A writer of chunks that knows two headers: format 0 to begin a message, format 3 to go on.
//! Unlike our encoder it mixes the chunks of several messages.

use rtmp_server::rtmp::Message;

const EXTENDED: u32 = 0xff_ffff;

/// The basic header; `long` writes 64 to 319 in three bytes, which is legal.
fn basic_header(fmt: u8, csid: u32, long: bool) -> Vec<u8> {
    let fmt = fmt << 6;
    match csid {
        2..=63 => vec![fmt | csid as u8],
        64..=319 if !long => vec![fmt, (csid - 64) as u8],
        _ => vec![fmt | 1, (csid - 64) as u8, ((csid - 64) >> 8) as u8],
    }
}

/// The chunks of `message` on `csid`, none of more than `chunk_size` bytes.
pub fn chunks(message: &Message, csid: u32, chunk_size: usize, long: bool) -> Vec<Vec<u8>> {
    let time = message.timestamp.0;
    let extended = if time >= EXTENDED {
        time.to_be_bytes().to_vec()
    } else {
        vec![]
    };
    let mut header = basic_header(0, csid, long);
    header.extend(&time.min(EXTENDED).to_be_bytes()[1..]);
    header.extend(&(message.payload.len() as u32).to_be_bytes()[1..]);
    header.push(message.kind.0);
    header.extend(message.stream.0.to_le_bytes());
    header.extend(&extended);
    let going_on = [basic_header(3, csid, long), extended].concat();
    let mut pieces = message.payload.chunks(chunk_size);
    let first = [&header, pieces.next().unwrap_or_default()].concat();
    let rest = pieces.map(|piece| [&going_on, piece].concat());
    [first].into_iter().chain(rest).collect()
}

/// The bytes of messages on different chunk streams, their chunks mixed as `picks` has it, and the
/// messages in the order in which they are whole.
pub fn mixed(
    messages: &[(u32, Message)],
    chunk_size: usize,
    picks: &[u8],
) -> (Vec<u8>, Vec<Message>) {
    let mut open: Vec<_> = messages
        .iter()
        .map(|(csid, message)| {
            let chunks = chunks(message, *csid, chunk_size, message.payload.len() % 2 == 1);
            (*csid, chunks.into_iter().peekable(), message)
        })
        .collect();
    let (mut bytes, mut whole) = (Vec::new(), Vec::new());
    let mut picks = picks.iter().cycle();
    while !open.is_empty() {
        let pick = usize::from(*picks.next().expect("some picks")) % open.len();
        // On one chunk stream messages come one after the other.
        let csid = open[pick].0;
        let first = open
            .iter()
            .position(|(id, ..)| *id == csid)
            .expect("the one picked");
        let (_, chunks, message) = &mut open[first];
        bytes.extend(chunks.next().expect("a chunk"));
        if chunks.peek().is_none() {
            whole.push((*message).clone());
            drop(open.remove(first));
        }
    }
    (bytes, whole)
}

/// What the peer was told on one chunk stream.
#[derive(Clone, Copy)]
struct Header<'a> {
    message: &'a Message,
    delta: u32,
}

/// Writes every header that RTMP §5.3.1.2 and §5.3.1.3 allow, and one that real peers use without
/// leave: steps backward, written as a delta modulo 2^32.
#[derive(Default)]
pub struct AnyHeader<'a> {
    told: Vec<(u32, Header<'a>)>,
}

impl<'a> AnyHeader<'a> {
    /// The chunks of `message` behind a header of the format `wish`, or the next that can be.
    pub fn chunks(
        &mut self,
        message: &'a Message,
        csid: u32,
        wish: u8,
        chunk_size: usize,
    ) -> Vec<u8> {
        let at = self.told.iter().position(|(id, _)| *id == csid);
        let before = at.map(|at| self.told[at].1);
        let fmt = allowed(before, message, wish);
        let time = message.timestamp.0;
        let delta = match (fmt, before) {
            (1.., Some(before)) => time.wrapping_sub(before.message.timestamp.0),
            // A format 3 behind a format 0 steps by the whole timestamp.
            _ => time,
        };
        let extended = if delta >= EXTENDED {
            delta.to_be_bytes().to_vec()
        } else {
            vec![]
        };
        let mut header = basic_header(fmt, csid, false);
        if fmt < 3 {
            header.extend(&delta.min(EXTENDED).to_be_bytes()[1..]);
        }
        if fmt < 2 {
            header.extend(&(message.payload.len() as u32).to_be_bytes()[1..]);
            header.push(message.kind.0);
        }
        if fmt == 0 {
            header.extend(message.stream.0.to_le_bytes());
        }
        header.extend(&extended);
        let going_on = [basic_header(3, csid, false), extended].concat();
        self.told.retain(|(id, _)| *id != csid);
        self.told.push((csid, Header { message, delta }));
        let mut pieces = message.payload.chunks(chunk_size);
        header.extend(pieces.next().unwrap_or_default());
        pieces.for_each(|piece| header.extend([&going_on, piece].concat()));
        header
    }
}

/// The format not above `wish` that can say `message` after what was told before.
fn allowed(before: Option<Header>, message: &Message, wish: u8) -> u8 {
    let Some(Header {
        message: last,
        delta,
    }) = before
    else {
        return 0;
    };
    let step = message.timestamp.0.wrapping_sub(last.timestamp.0);
    let alike = last.kind == message.kind && last.payload.len() == message.payload.len();
    match wish {
        3 if last.stream == message.stream && alike && step == delta => 3,
        2.. if last.stream == message.stream && alike => 2,
        1.. if last.stream == message.stream => 1,
        _ => 0,
    }
}
