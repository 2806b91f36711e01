//! Damaged vectors: nothing that one wrong byte can do is a panic or a hang.

use super::chunks;
use super::handshake::packet_at;
use super::table::{Row, rows};
use rtmp_server::amf0;
use rtmp_server::media::Packet;
use rtmp_server::rtmp::chunk::Decoder;
use rtmp_server::rtmp::data::{self, Data};
use rtmp_server::rtmp::session::{Session, SessionEvent};
use rtmp_server::rtmp::{Message, MessageType, StreamId, aggregate, handshake};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Vectors up to this length meet all 255 wrong values at every byte, longer ones a few.
const THOROUGH_LEN: usize = 400;

/// Bits that turn lengths, markers, formats and signs around.
const FLIPS: [u8; 5] = [0x01, 0x09, 0x40, 0x80, 0xff];

/// Positions of a long vector that are damaged: its beginning, and then these far apart.
const FAR_APART: usize = 1021;

/// Names the damage if it was one too many.
struct Damage<'a> {
    id: &'a str,
    at: usize,
    flip: u8,
}

impl Drop for Damage<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Damage { id, at, flip } = self;
            eprintln!("{id} with byte {at} changed by {flip:#04x}");
        }
    }
}

#[test]
fn no_wrong_byte_is_fatal() {
    let rows = rows();
    let half = |parity: usize| {
        let half = rows.values().skip(parity).step_by(2);
        half.map(|row| damage(row, &rows)).sum::<usize>()
    };
    let count = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0) + other.join().expect("no wrong byte is fatal")
    });
    // As many as there are bytes to damage: none of the vectors was passed over.
    let short = rows.values().filter(|row| row.bytes.len() < THOROUGH_LEN);
    let bytes: usize = short.map(|row| row.bytes.len()).sum();
    assert!(count > 255 * bytes);
}

/// Damages a vector at every position in turn; returns how often.
fn damage(row: &Row, rows: &BTreeMap<String, Row>) -> usize {
    let mut bytes = row.bytes.clone();
    let mut target = Target::new(row, rows);
    let every = || (1..=255).collect::<Vec<u8>>();
    let thorough = bytes.len() < THOROUGH_LEN;
    let flips = if thorough { every() } else { FLIPS.to_vec() };
    let mut count = 0;
    for at in 0..bytes.len() {
        if !thorough && at >= THOROUGH_LEN && at % FAR_APART != 0 {
            continue;
        }
        for flip in &flips {
            let _damage = Damage {
                id: &row.id,
                at,
                flip: *flip,
            };
            bytes[at] ^= flip;
            target.feed(&bytes);
            bytes[at] ^= flip;
            count += 1;
        }
    }
    count
}

/// Who reads the vectors of a group.
enum Target {
    Handshake,
    Chunks { chunk_size: u32, peer: Peer },
    Values,
    Media(MessageType),
    Flv,
}

impl Target {
    fn new(row: &Row, rows: &BTreeMap<String, Row>) -> Target {
        match row.group() {
            'H' => Target::Handshake,
            'F' => Target::Values,
            'M' if row.meaning.starts_with("audio") => Target::Media(MessageType::AUDIO),
            'M' => Target::Media(MessageType::VIDEO),
            'L' => Target::Flv,
            _ => {
                let chunk_size = if row.meaning.starts_with("chunk 4096") {
                    4096
                } else {
                    128
                };
                Target::Chunks {
                    chunk_size,
                    peer: Peer::new(row, rows),
                }
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Target::Handshake => shake(bytes),
            Target::Chunks { chunk_size, peer } => {
                // Damage to a basic header is felt only with something behind it.
                let padded = [bytes, &[0; 16]].concat();
                peer.feed(*chunk_size, &padded);
            }
            Target::Values => _ = amf0::decode(bytes),
            Target::Media(kind) => _ = Packet::new(*kind, bytes),
            Target::Flv => {
                let message = Message::untimed(MessageType::AGGREGATE, StreamId(1), bytes.to_vec());
                aggregate::split(&message)
                    .unwrap_or_default()
                    .into_iter()
                    .for_each(look);
            }
        }
    }
}

fn shake(bytes: &[u8]) {
    _ = handshake::check_version(bytes[0]);
    if bytes.len() >= handshake::PACKET_LEN {
        let packet = packet_at(bytes, 0);
        let echo = handshake::echo(&packet, 1);
        assert_eq!(handshake::check_echo(&packet, &echo), Ok(()));
    }
}

/// A server's end of a connection: before connect for a vector that is one, publishing on stream 1
/// for all others.
struct Peer {
    session: Session,
    /// The messages that bring a session there.
    beginning: Rc<[Message]>,
}

impl Peer {
    fn new(row: &Row, rows: &BTreeMap<String, Row>) -> Peer {
        let ids: &[&str] = match row.meaning.contains("\"connect\"") {
            true => &[],
            false => &[
                "G01-connect-ffmpeg-publish",
                "G10-createStream",
                "G12-publish",
            ],
        };
        let vectors = ids.iter().map(|id| &rows[*id].bytes);
        let beginning = vectors.flat_map(|bytes| messages(&mut Decoder::default(), bytes));
        Peer::at(beginning.collect())
    }

    fn at(beginning: Rc<[Message]>) -> Peer {
        let mut peer = Peer {
            session: Session::new(4096),
            beginning: Rc::clone(&beginning),
        };
        beginning
            .iter()
            .for_each(|message| peer.take(message.clone()));
        peer
    }

    fn feed(&mut self, chunk_size: u32, bytes: &[u8]) {
        let mut decoder = Decoder::default();
        let messages = if chunk_size == 128 {
            messages(&mut decoder, bytes)
        } else {
            chunks::decoded(chunk_size, bytes).unwrap_or_default()
        };
        if self.beginning.is_empty() {
            self.session = Session::new(4096);
        }
        for message in messages {
            look(message.clone());
            self.take(message);
        }
    }

    /// Grants every request. After an error the client is another one.
    fn take(&mut self, message: Message) {
        let mut events = Vec::new();
        let fatal = self.session.handle(message, &mut events).is_err();
        for event in &events {
            match event {
                SessionEvent::Connect(_) => _ = self.session.accept_connect(None),
                SessionEvent::Publish(request) | SessionEvent::Play(request) => {
                    self.session.accept(request.stream);
                }
                _ => {}
            }
        }
        if fatal || events.contains(&SessionEvent::Close) {
            *self = Peer::at(Rc::clone(&self.beginning));
        }
    }
}

/// What comes before the first error.
fn messages(decoder: &mut Decoder, mut input: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Ok(Some(message)) = decoder.decode(&mut input) {
        messages.push(message);
    }
    messages
}

/// What a relay reads in a message; the session has read the commands.
fn look(message: Message) {
    match message.kind {
        MessageType::DATA | MessageType::DATA_AMF3 => _ = data::in_amf0(message).map(Data::new),
        MessageType::AGGREGATE => _ = aggregate::split(&message),
        kind => _ = Packet::new(kind, &message.payload),
    }
}
