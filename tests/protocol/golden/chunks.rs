//! Groups B, C, D, E, G and J: bytes of a chunk stream.

use super::table::{Direction, Row};
use super::{Outcome, differ, same, untested};
use crate::support::notation::{Notation, Script};
use rtmp_server::rtmp::chunk::{ChunkStreamId, Decoder, Encoder, Error};
use rtmp_server::rtmp::command::{Call, Command};
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::data::{self, Data};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, aggregate};

/// A header of format 0 behind the basic header: a message of 200 bytes.
const MESSAGE_HEADER: [u8; 11] = [0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];

/// Every message in `bytes`, from a peer that starts with chunks of `chunk_size` bytes.
pub fn decoded(chunk_size: u32, bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let mut decoder = Decoder::default();
    if chunk_size != 128 {
        let header = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
        let set = [&header[..], &chunk_size.to_be_bytes()].concat();
        all(&mut decoder, &set)?;
    }
    all(&mut decoder, bytes)
}

pub fn all(decoder: &mut Decoder, mut input: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = decoder.decode(&mut input)? {
        messages.push(message);
    }
    assert!(input.is_empty(), "bytes left over");
    Ok(messages)
}

/// The bytes of a row's messages by our encoder.
fn encoded(script: &Script) -> Vec<u8> {
    let mut encoder = Encoder::with_chunk_size(script.chunk_size);
    let mut bytes = Vec::new();
    for scripted in &script.messages {
        let message = &scripted.message;
        encoder.encode_on(scripted.csid, message.stream, message, &mut bytes);
    }
    bytes
}

pub fn check(row: &Row, direction: Direction) -> Outcome {
    if direction == Direction::Reject {
        return same(refusal(&row.bytes), row.error().to_owned());
    }
    let script = Notation::new(row.halves().0).script();
    match direction {
        Direction::Decode | Direction::Accept => read(row, &script),
        Direction::Encode => {
            for scripted in &script.messages {
                let Some(control) = scripted.control else {
                    continue;
                };
                same(&control.message(), &scripted.message)?;
            }
            same(encoded(&script), row.bytes.clone())
        }
        Direction::NeverSend => {
            let ours = encoded(&script);
            differ(&ours, &row.bytes)?;
            let messages: Vec<Message> = script.messages.into_iter().map(|m| m.message).collect();
            same(decoded(script.chunk_size, &ours), Ok(messages))
        }
        Direction::Reject | Direction::Relay => untested(),
    }
}

fn read(row: &Row, script: &Script) -> Outcome {
    let messages = decoded(script.chunk_size, &row.bytes).map_err(|error| error.to_string())?;
    same(messages.len(), script.messages.len())?;
    for (got, want) in messages.iter().zip(&script.messages) {
        let control = matches!(want.message.kind, MessageType(1..=6));
        // The time of control means nothing, and C21's is not written.
        same(got, &want.message)?;
        if control {
            same(Control::parse(got.kind, &got.payload).ok(), want.control)?;
        }
    }
    let (_, above) = row.halves();
    let last = messages.into_iter().next_back().ok_or("no message")?;
    match last.kind {
        MessageType::COMMAND | MessageType::COMMAND_AMF3 => {
            let call = Call::parse(last.kind, &last.payload).map_err(|error| error.to_string())?;
            same(
                format!("{:?}", Command::new(&call)).as_str(),
                above.unwrap_or_default(),
            )
        }
        MessageType::DATA | MessageType::DATA_AMF3 => {
            same(data_summary(last)?.as_str(), above.unwrap_or_default())
        }
        MessageType::AGGREGATE => read_aggregate(row, &last),
        _ => same(above, None),
    }
}

/// What a relay does with a data message. Whatever it keeps must be the message's own bytes.
pub fn data_summary(message: Message) -> Result<String, String> {
    let message = data::in_amf0(message).ok_or("a format that nobody knows")?;
    let whole = message.payload.clone();
    Ok(match Data::new(message) {
        Data::Retain { name, message } => {
            if !whole.ends_with(&message.payload) {
                return Err("kept are other bytes than came".to_owned());
            }
            let without = whole.len() - message.payload.len();
            format!(
                "retain {} without {without} bytes",
                String::from_utf8_lossy(&name)
            )
        }
        Data::Clear(name) => format!("clear {}", String::from_utf8_lossy(&name)),
        Data::Pass(_) => "pass".to_owned(),
    })
}

fn read_aggregate(row: &Row, message: &Message) -> Outcome {
    let (inside, times) = row.halves();
    let (_, inside) = inside.split_once('@').expect("a time");
    let mut notation = Notation::new(inside);
    notation.u32();
    let mut want = Vec::new();
    let mut times = Notation::new(times.unwrap_or_default());
    while !notation.is_empty() {
        let part = notation.part();
        let timestamp = Timestamp(times.u32());
        want.push(Message {
            timestamp,
            stream: StreamId(1),
            ..part
        });
        notation.eat("|");
    }
    same(aggregate::split(message), Ok(want))
}

/// The error of the chunk layer, or that of the command or aggregate it hands up.
fn refusal(bytes: &[u8]) -> String {
    let messages = match decoded(128, bytes) {
        Ok(messages) => messages,
        Err(error) => return format!("{error:?}"),
    };
    match messages.first() {
        Some(message) if message.kind == MessageType::AGGREGATE => {
            format!("{:?}", aggregate::split(message).expect_err("an error"))
        }
        Some(message) if message.kind == MessageType::COMMAND => {
            format!(
                "{:?}",
                Call::parse(message.kind, &message.payload).expect_err("an error")
            )
        }
        _ => format!("{messages:?}"),
    }
}

/// A basic header says which format and which chunk stream: both come back in the error for a
/// header that stands where it may not.
pub fn check_basic_header(row: &Row, direction: Direction) -> Outcome {
    let mut notation = Notation::new(&row.meaning);
    assert!(notation.eat("fmt "));
    let fmt = notation.u32() as u8;
    assert!(notation.eat("csid "));
    let csid = notation.u32();
    match direction {
        Direction::Decode | Direction::Accept => {
            let mut decoder = Decoder::default();
            if fmt > 0 {
                let error = all(&mut decoder, &row.bytes);
                return same(error, Err(Error::NoPreviousHeader { csid, fmt }));
            }
            let open = [&row.bytes, &MESSAGE_HEADER[..], &[0; 128]].concat();
            same(all(&mut decoder, &open), Ok(vec![]))?;
            same(
                all(&mut decoder, &row.bytes),
                Err(Error::HeaderInsideMessage { csid, fmt }),
            )
        }
        Direction::Encode => same(basic_header(fmt, csid, row.bytes.len()), row.bytes.clone()),
        Direction::NeverSend => differ(&basic_header(fmt, csid, row.bytes.len()), &row.bytes),
        Direction::Reject | Direction::Relay => untested(),
    }
}

/// The `len` bytes with which our encoder begins a chunk of format `fmt` on `csid`.
fn basic_header(fmt: u8, csid: u32, len: usize) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut bytes = Vec::new();
    let mut put = |payload: Vec<u8>| {
        let message = Message::untimed(MessageType::VIDEO, StreamId(1), payload);
        bytes.clear();
        encoder.encode_on(ChunkStreamId(csid), StreamId(1), &message, &mut bytes);
        bytes.clone()
    };
    let whole = put(vec![0; 129]);
    match fmt {
        0 => whole[..len].to_vec(),
        1 => put(vec![0; 2])[..len].to_vec(),
        // A continuation holds the one byte that is left.
        _ => whole[whole.len() - 1 - len..whole.len() - 1].to_vec(),
    }
}
