//! Streams of messages as inputs: steps of a publication, with their times.

use super::draw::{Draw, blob};
use rtmp_server::media::Packet;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};

/// One step of a stream.
#[derive(Clone, Debug)]
pub enum Step {
    Message(Message),
    /// What else can happen to a stream; the meaning of the number is the target's.
    Event(u8),
}

/// Steps in one input at most, so that one is quick.
const STEPS_MAX: usize = 400;

/// Audio and video, each three times as likely as the others.
const KINDS: [MessageType; 7] = [
    MessageType::AUDIO,
    MessageType::VIDEO,
    MessageType::DATA,
    MessageType::DATA_AMF3,
    MessageType::VIDEO,
    MessageType::AUDIO,
    MessageType::VIDEO,
];

/// The number that takes the place of a kind for an event.
pub const EVENT: u8 = 7;

/// Reads steps: of each a byte with its kind and how its time follows, the time, the payload.
pub fn steps(draw: &mut Draw) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut time = Timestamp(0);
    while !draw.is_empty() && steps.len() < STEPS_MAX {
        let head = draw.u8();
        if head & 7 == EVENT {
            steps.push(Step::Event(head >> 3));
            continue;
        }
        time = match head >> 3 & 3 {
            0 => time,
            1 => time.plus(draw.u8().into()),
            2 => Timestamp(time.0.wrapping_add_signed((draw.u16() as i16).into())),
            _ => Timestamp(draw.u32()),
        };
        steps.push(Step::Message(Message {
            timestamp: time,
            kind: KINDS[usize::from(head & 7)],
            stream: StreamId(1),
            payload: draw.blob().into(),
        }));
    }
    steps
}

/// The messages among the steps.
pub fn messages(draw: &mut Draw) -> Vec<Message> {
    let steps = steps(draw).into_iter();
    let messages = steps.filter_map(|step| match step {
        Step::Message(message) => Some(message),
        Step::Event(_) => None,
    });
    messages.collect()
}

/// The input that means these messages; of long payloads the front.
pub fn written(messages: &[Message], payload_len_max: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = 0;
    for message in messages {
        let Some(kind) = KINDS.iter().position(|kind| *kind == message.kind) else {
            continue;
        };
        let time = message.timestamp.0;
        match time.wrapping_sub(last) {
            0 => out.push(kind as u8),
            step @ 1..=255 => out.extend([kind as u8 | 1 << 3, step as u8]),
            _ => {
                out.push(kind as u8 | 3 << 3);
                out.extend(time.to_be_bytes());
            }
        }
        last = time;
        let len = message.payload.len().min(payload_len_max);
        out.extend(blob(&message.payload[..len]));
    }
    out
}

/// The same message as one of a track of several.
pub fn of_track(message: &Message, id: u8) -> Message {
    let payload = &message.payload;
    let (front, codec, body) = match (message.kind, payload[1]) {
        (MessageType::VIDEO, 0) => ([0x96, 0], b"avc1", &payload[5..]),
        (MessageType::VIDEO, _) => ([0x80 | payload[0] & 0xf0 | 6, 1], b"avc1", &payload[2..]),
        (_, packet_type) => ([0x95, packet_type], b"mp4a", &payload[2..]),
    };
    Message {
        payload: [&front[..], codec, &[id], body].concat().into(),
        ..message.clone()
    }
}

/// The times of messages without their wrap, in ms, from well above 0.
#[derive(Default)]
pub struct LongClock(Option<(Timestamp, i64)>);

impl LongClock {
    pub fn ms(&mut self, time: Timestamp) -> u64 {
        let ms = match self.0 {
            Some((last, ms)) => ms + i64::from(time.since(last)),
            None => i64::from(time.0) + 10_000,
        };
        self.0 = Some((time, ms));
        ms.max(0).unsigned_abs()
    }
}

/// The same by frames alone: headers are dated as encoders like. Only audio and video have a time.
#[derive(Default)]
pub struct FrameClock {
    last: Option<(Timestamp, i64)>,
    /// Whether it stands still at 0, and goes on from there.
    pub stops_at_zero: bool,
}

impl FrameClock {
    pub fn ms(&mut self, message: &Message) -> u64 {
        let time = message.timestamp;
        let mut ms = match self.last {
            Some((last, ms)) => ms + i64::from(time.since(last)),
            None => i64::from(time.0) + 10_000,
        };
        if self.stops_at_zero {
            ms = ms.max(0);
        }
        if Packet::new(message.kind, &message.payload).is_frame() {
            self.last = Some((time, ms));
        }
        ms.max(0).unsigned_abs()
    }
}
