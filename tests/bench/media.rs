//! What is published: messages shaped like H.264 and AAC, each of which says when it was sent.

use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::time::Instant;

/// Pictures between two keyframes: two seconds.
const GOP: u64 = 60;

/// How many times longer a keyframe is than another picture.
const KEYFRAME_WEIGHT: u64 = 5;

const PICTURES_PER_SECOND: u64 = 30;

/// AAC frames of 1024 samples at 48 kHz.
const SOUNDS_PER_16_SECONDS: u64 = 750;

/// Bytes of a picture of a screen on which nothing moves.
const STILL_PICTURE_LEN: usize = 37;

/// 128 kbit/s.
const SOUND_LEN: usize = 341;

/// An AVCDecoderConfigurationRecord of Baseline, 720p, behind its five-byte tag header.
const VIDEO_HEADER: [u8; 54] = *b"\x17\x00\x00\x00\x00\x01\x42\xc0\x1f\xff\xe1\x00\x22\
    \x67\x42\xc0\x1f\xda\x01\x40\x16\xec\x04\x40\x00\x00\x03\x00\x40\x00\x00\x0f\x38\x10\x00\
    \x35\x39\x00\x06\xa7\x39\x28\x80\x1e\x30\x65\x40\x01\x00\x04\x68\xce\x3c\x80";

/// An AudioSpecificConfig of AAC-LC, 48 kHz, stereo, behind its two-byte tag header.
const AUDIO_HEADER: [u8; 4] = *b"\xaf\x00\x11\x90";

const MAGIC: [u8; 8] = *b"benchmsg";

/// Magic, kind, stream, number, time and hash. A small picture has to hold it.
pub const STAMP_LEN: usize = STAMP_BODY_LEN + HASH_LEN;
const STAMP_BODY_LEN: usize = 23;
const HASH_LEN: usize = 4;

/// The time of this run, on which publishers and viewers agree.
#[derive(Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that shows 0.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn ns(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// What streams consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Sound, and pictures that take up the rest of this many bits per second.
    Moving(u64),
    /// Sound, and pictures on which nothing moves.
    Still,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Picture,
    Sound,
}

/// What a message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What it is.
    pub kind: Kind,
    /// Which of the streams it is of.
    pub stream: u32,
    /// Its number in the stream.
    pub number: u64,
    /// When it was sent, on the [`Clock`].
    pub sent_ns: u64,
}

/// What a viewer finds in a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A message as it was sent.
    Whole(Stamp),
    /// A codec header or metadata.
    Header,
    /// Bytes that were not sent like that.
    Damaged,
}

/// Looks at a message that has arrived.
pub fn inspect(message: &Message) -> Found {
    let payload = &message.payload;
    let media = matches!(message.kind, MessageType::AUDIO | MessageType::VIDEO);
    if !media || **payload == VIDEO_HEADER || **payload == AUDIO_HEADER {
        return Found::Header;
    }
    let Some((body, hash)) = payload.split_last_chunk() else {
        return Found::Damaged;
    };
    let Some((_, stamp)) = body.split_last_chunk::<STAMP_BODY_LEN>() else {
        return Found::Damaged;
    };
    if stamp[..8] != MAGIC || *hash != stamp_hash(body) {
        return Found::Damaged;
    }
    Found::Whole(stamp_of(stamp))
}

/// The first stamp in `bytes` behind `from` that is there whole, and where it ends. For containers that
/// do not keep messages as they were.
pub fn find_stamp(bytes: &[u8], from: usize) -> Option<(usize, Stamp)> {
    let rest = bytes.get(from..)?;
    // Whether the first byte is right says nearly all, and is quick to see.
    let mut starts =
        (0..rest.len().saturating_sub(STAMP_LEN - 1)).filter(|at| rest[*at] == MAGIC[0]);
    let start = starts.find(|at| rest[*at..].starts_with(&MAGIC))?;
    let stamp = rest[start..].first_chunk::<STAMP_BODY_LEN>()?;
    Some((from + start + STAMP_LEN, stamp_of(stamp)))
}

fn stamp_of(bytes: &[u8; STAMP_BODY_LEN]) -> Stamp {
    let number = |at: usize, len: usize| {
        let bytes = bytes[at..at + len].iter();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    Stamp {
        kind: match bytes[8] {
            0 => Kind::Picture,
            _ => Kind::Sound,
        },
        stream: number(9, 2) as u32,
        number: number(11, 4),
        sent_ns: number(15, 8),
    }
}

/// Whether a message is the first picture that a viewer can show.
pub fn is_keyframe(message: &Message) -> bool {
    message.kind == MessageType::VIDEO && message.payload.starts_with(&[0x17, 0x01])
}

fn stamp_hash(bytes: &[u8]) -> [u8; HASH_LEN] {
    let hash = hash_of(bytes);
    ((hash ^ hash >> 32) as u32).to_be_bytes()
}

/// FNV-1a over words of eight bytes: cheap, and it sees every bit.
fn hash_of(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = words
        .by_ref()
        .map(|word| word.try_into().map_or(0, u64::from_le_bytes))
        .fold(0xcbf2_9ce4_8422_2325, step);
    let rest = words.remainder().iter();
    rest.fold(hash, |hash, byte| step(hash, u64::from(*byte)))
}

/// The messages of one stream, in the order in which they are due.
pub struct Source {
    stream: u32,
    picture_len: usize,
    pictures: u64,
    sounds: u64,
    /// Where the bytes of pictures come from.
    noise: Vec<u8>,
}

impl Source {
    /// Number `stream` of a run.
    pub fn new(stream: u32, content: Content) -> Source {
        let sound = SOUND_LEN as u64 * SOUNDS_PER_16_SECONDS / 16;
        let picture_len = match content {
            Content::Moving(bits_per_second) => {
                let per_gop = (bits_per_second / 8 - sound) * GOP / PICTURES_PER_SECOND;
                (per_gop / (GOP - 1 + KEYFRAME_WEIGHT)) as usize
            }
            Content::Still => STILL_PICTURE_LEN,
        };
        let words = (0..).map(|index: u64| hash_of(&index.to_be_bytes()).to_be_bytes());
        let noise_len = SOUND_LEN.max(picture_len * (KEYFRAME_WEIGHT as usize + 1));
        Source {
            stream,
            picture_len,
            pictures: 0,
            sounds: 0,
            noise: words.flatten().take(noise_len).collect(),
        }
    }

    /// The codec headers, which go first.
    pub fn headers(id: StreamId) -> [Message; 2] {
        let header = |kind, bytes: &[u8]| Message::untimed(kind, id, bytes.to_vec());
        [
            header(MessageType::VIDEO, &VIDEO_HEADER),
            header(MessageType::AUDIO, &AUDIO_HEADER),
        ]
    }

    /// When the next message is due, in microseconds of the stream.
    pub fn due_us(&self) -> u64 {
        self.picture_us().min(self.sound_us())
    }

    fn picture_us(&self) -> u64 {
        self.pictures * 1_000_000 / PICTURES_PER_SECOND
    }

    fn sound_us(&self) -> u64 {
        self.sounds * 16_000_000 / SOUNDS_PER_16_SECONDS
    }

    /// The next message, stamped with the time `now_ns`.
    pub fn next(&mut self, id: StreamId, now_ns: u64) -> (Stamp, Message) {
        let timestamp = Timestamp((self.due_us() / 1000) as u32);
        let stamp = Stamp {
            kind: match self.picture_us() <= self.sound_us() {
                true => Kind::Picture,
                false => Kind::Sound,
            },
            stream: self.stream,
            number: self.pictures + self.sounds,
            sent_ns: now_ns,
        };
        let (kind, mut bytes) = match stamp.kind {
            Kind::Picture => (MessageType::VIDEO, self.picture()),
            Kind::Sound => (MessageType::AUDIO, self.sound()),
        };
        bytes.extend(MAGIC);
        bytes.push(stamp.kind as u8);
        bytes.extend((stamp.stream as u16).to_be_bytes());
        bytes.extend((stamp.number as u32).to_be_bytes());
        bytes.extend(stamp.sent_ns.to_be_bytes());
        bytes.extend(stamp_hash(&bytes));
        let message = Message {
            timestamp,
            kind,
            stream: id,
            payload: bytes.into(),
        };
        (stamp, message)
    }

    /// One picture without its stamp: a tag header and one NAL unit that takes up all the rest.
    fn picture(&mut self) -> Vec<u8> {
        let keyframe = self.pictures.is_multiple_of(GOP);
        self.pictures += 1;
        let weight = if keyframe { KEYFRAME_WEIGHT } else { 1 };
        let len = self.picture_len * weight as usize;
        let start = self.pictures as usize * 61 % self.picture_len;
        let (tag, nal) = if keyframe { (0x17, 0x65) } else { (0x27, 0x41) };
        let mut bytes = Vec::with_capacity(len);
        bytes.extend([tag, 1, 0, 0, 0]);
        bytes.extend((len as u32 - 9).to_be_bytes());
        bytes.push(nal);
        let noise_len = len - bytes.len() - STAMP_LEN;
        bytes.extend(&self.noise[start..start + noise_len]);
        bytes
    }

    fn sound(&mut self) -> Vec<u8> {
        self.sounds += 1;
        let mut bytes = Vec::with_capacity(SOUND_LEN);
        bytes.extend([0xaf, 1]);
        bytes.extend(&self.noise[..SOUND_LEN - 2 - STAMP_LEN]);
        bytes
    }
}
