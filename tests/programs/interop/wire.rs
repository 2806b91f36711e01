//! A decoder for the bytes of one direction that forgives nothing.
//!
//! It follows RTMP 1.0 from the text alone and shares no code with the server: where the two
//! differ, one of them is wrong.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// C0 C1 C2, or S0 S1 S2.
pub const HANDSHAKE_LEN: usize = 1 + 2 * PACKET_LEN;
const PACKET_LEN: usize = 1536;

pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const DATA: u8 = 18;

/// The value of a 24-bit time field that refers to the extended one (§5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub csid: u32,
    pub kind: u8,
    pub timestamp: u32,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What one direction said, and what it should not have said so.
#[derive(Debug, Default)]
pub struct Transcript {
    pub messages: Vec<Message>,
    pub complaints: Vec<String>,
}

/// What the headers of a chunk stream said last.
#[derive(Clone, Debug, Default)]
struct ChunkStream {
    timestamp: u32,
    delta: u32,
    len: usize,
    kind: u8,
    stream: u32,
    /// The value of the extended field, if the last full header had one.
    extended: Option<u32>,
    payload: Vec<u8>,
    open: bool,
}

/// The input ended.
struct Cut;

struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    chunk_size: usize,
    streams: HashMap<u32, ChunkStream>,
    uses: HashMap<u32, (u8, u32)>,
    transcript: Transcript,
}

/// Decodes what follows the handshake.
pub fn decode(bytes: &[u8]) -> Transcript {
    let mut decoder = Decoder {
        bytes,
        at: 0,
        chunk_size: 128,
        streams: HashMap::new(),
        uses: HashMap::new(),
        transcript: Transcript::default(),
    };
    while decoder.at < bytes.len() {
        let start = decoder.at;
        if decoder.chunk().is_err() {
            decoder.complain(start, "cut inside a chunk");
            return decoder.transcript;
        }
    }
    let open = decoder.streams.values().filter(|stream| stream.open);
    if open.count() > 0 {
        decoder.complain(bytes.len(), "ends inside a message");
    }
    decoder.transcript
}

impl Decoder<'_> {
    fn complain(&mut self, at: usize, what: &str) {
        let complaint = format!("byte {at} after the handshake: {what}");
        self.transcript.complaints.push(complaint);
    }

    fn take(&mut self, len: usize) -> Result<&[u8], Cut> {
        let taken = self.bytes.get(self.at..self.at + len).ok_or(Cut)?;
        self.at += len;
        Ok(taken)
    }

    /// An unsigned big-endian number of `len` bytes.
    fn number(&mut self, len: usize) -> Result<u32, Cut> {
        let bytes = self.take(len)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn chunk(&mut self) -> Result<(), Cut> {
        let start = self.at;
        let first = self.number(1)?;
        let (format, csid) = (first >> 6, self.csid(first & 0x3f)?);
        let mut stream = match self.streams.entry(csid) {
            Entry::Occupied(known) => known.remove(),
            Entry::Vacant(_) => ChunkStream::default(),
        };
        let known = self.uses.contains_key(&csid);
        if !known && format != 0 {
            self.complain(start, &format!("csid {csid} starts with format {format}"));
        }
        let opens = !stream.open;
        if format < 3 && !opens {
            self.complain(start, &format!("format {format} inside a message"));
            stream.payload.clear();
        }
        self.message_header(start, format, &mut stream)?;
        if opens {
            stream.open = true;
            self.check_use(start, csid, &stream);
        }
        let room = (stream.len - stream.payload.len()).min(self.chunk_size);
        stream.payload.extend_from_slice(self.take(room)?);
        if stream.payload.len() == stream.len {
            stream.open = false;
            self.complete(start, csid, &mut stream);
        }
        self.streams.insert(csid, stream);
        Ok(())
    }

    fn csid(&mut self, first: u32) -> Result<u32, Cut> {
        let start = self.at;
        let (csid, smallest) = match first {
            0 => (64 + self.number(1)?, 64),
            1 => (64 + self.number(1)? + 256 * self.number(1)?, 320),
            id => (id, 2),
        };
        if csid < smallest {
            self.complain(start, &format!("csid {csid} not in its smallest form"));
        }
        Ok(csid)
    }

    fn message_header(
        &mut self,
        start: usize,
        format: u32,
        stream: &mut ChunkStream,
    ) -> Result<(), Cut> {
        if format == 3 {
            return self.repeated_header(start, stream);
        }
        let mut time = self.number(3)?;
        if format < 2 {
            stream.len = self.number(3)? as usize;
            stream.kind = self.number(1)? as u8;
        }
        if format == 0 {
            stream.stream = self.number(4)?.swap_bytes();
        }
        stream.extended = None;
        if time == EXTENDED {
            time = self.number(4)?;
            stream.extended = Some(time);
            if time < EXTENDED {
                self.complain(start, &format!("extended time {time:#x} fits 24 bits"));
            }
        }
        if format > 0 && time >= 1 << 31 {
            self.complain(start, &format!("time step {time:#x} goes backward"));
        }
        stream.timestamp = match format {
            0 => time,
            _ => stream.timestamp.wrapping_add(time),
        };
        stream.delta = time;
        Ok(())
    }

    fn repeated_header(&mut self, start: usize, stream: &mut ChunkStream) -> Result<(), Cut> {
        if let Some(expected) = stream.extended {
            let repeated = self.number(4)?;
            if repeated != expected {
                let what = format!("extended time {repeated:#x} after {expected:#x}");
                self.complain(start, &what);
            }
        }
        if !stream.open {
            stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
        }
        Ok(())
    }

    /// One type of one message stream on each chunk stream (§5.3), control on csid 2 (§5.4).
    fn check_use(&mut self, start: usize, csid: u32, stream: &ChunkStream) {
        let now = (stream.kind, stream.stream);
        let before = *self.uses.entry(csid).or_insert(now);
        let is_control = (1..=6).contains(&stream.kind);
        if is_control != (csid == 2) || is_control && stream.stream != 0 {
            self.complain(start, &format!("type, stream {now:?} on csid {csid}"));
        }
        if !is_control && before != now {
            self.complain(start, &format!("csid {csid} had {before:?}, now {now:?}"));
        }
    }

    fn complete(&mut self, start: usize, csid: u32, stream: &mut ChunkStream) {
        let payload = std::mem::take(&mut stream.payload);
        if stream.kind == 1 {
            let size = payload.first_chunk().map(|four| u32::from_be_bytes(*four));
            match size {
                Some(size @ 1..=0x7fff_ffff) => self.chunk_size = size as usize,
                _ => self.complain(start, &format!("chunk size {size:?}")),
            }
        }
        self.transcript.messages.push(Message {
            csid,
            kind: stream.kind,
            timestamp: stream.timestamp,
            stream: stream.stream,
            payload,
        });
    }
}

/// Checks S0 S1 S2 against the C0 C1 C2 they answer (§5.2).
pub fn check_handshake(server: &[u8], client: &[u8]) -> Result<(), String> {
    let cut = || "cut inside the handshake".to_owned();
    let server = server.get(..HANDSHAKE_LEN).ok_or_else(cut)?;
    let client = client.get(..HANDSHAKE_LEN).ok_or_else(cut)?;
    let (s1, s2) = server[1..].split_at(PACKET_LEN);
    let c1 = &client[1..=PACKET_LEN];
    let checks = [
        (server[0] == 3, "S0 is not version 3"),
        (s1[4..8] == [0; 4], "S1: bytes 4 to 8 are not zero"),
        (s2[..4] == c1[..4], "S2 does not repeat C1's time"),
        (s2[8..] == c1[8..], "S2 does not repeat C1's random bytes"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err((*what).to_owned()),
        None => Ok(()),
    }
}
