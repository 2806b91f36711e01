//! What arrives first on a connection: PROXY headers, the handshake, chunks, and what messages hold.

use super::draw::{Draw, pieces};
use crate::support::readers::strict_chunks;
use rtmp_server::amf0::{self, DEPTH_MAX, VALUES_MAX, Value};
use rtmp_server::media::flv;
use rtmp_server::net::proxy::{self, BODY_LEN_MAX, Client, Header};
use rtmp_server::rtmp::chunk::{ChunkStreamId, Decoder, Encoder, Error};
use rtmp_server::rtmp::command::{CLIENT_INFO_LEN_MAX, Call, Command, HOPS_MAX};
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::data::{self, Data};
use rtmp_server::rtmp::handshake::{self, HandshakePacket, PACKET_LEN};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, aggregate};
use rtmp_server::text::SHOWN_LEN_MAX;

/// The longest header of either version.
const PROXY_LEN_MAX: usize = 16 + BODY_LEN_MAX;

/// A header is read alike however it is cut, and never beyond its end.
pub fn proxy_header(data: &[u8]) {
    let whole = read_proxy(data, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(read_proxy(data, piece), whole, "{piece} bytes at a time");
    }
    let Some((len, header)) = whole else {
        if let Err(error) = proxy::parse(data) {
            assert!(error.to_string().len() < 100, "{error}");
        }
        return;
    };
    assert!(len <= PROXY_LEN_MAX);
    assert_eq!(proxy::parse(&data[..len]).as_ref(), Ok(&header));
    for cut in 0..len {
        assert!(proxy::parse(&data[..cut]).is_err(), "{cut} of {len} bytes");
    }
    let Header::Client(Client {
        addr: Some(addr),
        unique_id,
        ..
    }) = header
    else {
        return;
    };
    assert!(unique_id.len() <= len);
    let (family, ip, port) = match addr.ip() {
        ip if ip.is_ipv4() => ("TCP4", ip, addr.port()),
        ip => ("TCP6", ip, addr.port()),
    };
    let line = format!("PROXY {family} {ip} {ip} {port} {port}\r\n");
    let again = proxy::parse(line.as_bytes());
    let plain = Client {
        addr: Some(addr),
        ..Client::default()
    };
    assert_eq!(again, Ok(Header::Client(plain)), "{line}");
}

/// The header at the front and its length; `None`: there is none, or it is not complete.
fn read_proxy(stream: &[u8], piece: usize) -> Option<(usize, Header)> {
    let mut taken = 0;
    loop {
        let wanted = proxy::missing(&stream[..taken]).ok()?;
        if wanted == 0 {
            return Some((taken, proxy::parse(&stream[..taken]).ok()?));
        }
        assert!(taken + wanted <= PROXY_LEN_MAX, "asks for {wanted} more");
        let len = wanted.min(piece).min(stream.len() - taken);
        if len == 0 {
            return None;
        }
        taken += len;
    }
}

/// What is answered is what §5.2 has, and an echo is known from what is none.
pub fn handshake(data: &[u8]) {
    let mut draw = Draw(data);
    let (version, time, seed) = (draw.u8(), draw.u32(), draw.u32());
    let change = usize::from(draw.u16()) % PACKET_LEN;
    let is_ours = handshake::check_version(version).is_ok();
    assert_eq!(is_ours, version == handshake::VERSION);
    let mut theirs: HandshakePacket = [0; PACKET_LEN];
    let given = draw.take(PACKET_LEN);
    theirs[..given.len()].copy_from_slice(given);
    let answer = handshake::answer(&theirs, time, seed.into());
    assert_eq!(answer.len(), handshake::LEN);
    let (s1, s2) = answer[1..].split_at(PACKET_LEN);
    assert_eq!((answer[0], &s1[4..8]), (handshake::VERSION, &[0; 4][..]));
    let (s1, s2) = (s1.first_chunk(), s2.first_chunk());
    let (s1, s2) = s1.zip(s2).expect("two packets");
    assert_eq!(handshake::check_echo(&theirs, s2), Ok(()));
    let mut c2 = handshake::echo(s1, time);
    assert_eq!(handshake::check_answered(&answer, &c2), Ok(()));
    c2[change] ^= 1;
    let is_looked_at = !(4..8).contains(&change);
    let is_known = handshake::check_answered(&answer, &c2).is_err();
    assert_eq!(is_known, is_looked_at, "byte {change}");
    // What the peer sent may be the echo of something else.
    let _ = handshake::check_answered(&answer, &theirs);
}

/// However bytes are cut, the same messages come out of them and the same error; and messages come out
/// as they were put in.
pub fn chunks(data: &[u8]) {
    let mut draw = Draw(data);
    let cut_count = usize::from(draw.u8() % 5);
    let cuts = draw.take(cut_count);
    let csid = ChunkStreamId([2, 3, 63, 64, 319, 320, 65_599][usize::from(draw.u8() % 7)]);
    let (messages, end) = decoded(&[draw.0]);
    let (cut, cut_end) = decoded(&pieces(draw.0, cuts));
    assert_eq!(messages, cut);
    match (end, cut_end) {
        (Err(error), Err(cut_error)) => assert_eq!(error, cut_error),
        (Ok(one), Ok(other)) => {
            assert_eq!(one.is_between_messages(), other.is_between_messages());
            assert_eq!(one.tolerated(), other.tolerated());
        }
        (one, other) => panic!("{one:?} and {other:?}"),
    }
    let bytes: usize = messages.iter().map(|message| message.payload.len()).sum();
    assert!(bytes <= draw.0.len(), "more than there was");
    let mut encoder = Encoder::default();
    let mut encoded = Vec::new();
    for message in &messages {
        encoder.encode_on(csid, message.stream, message, &mut encoded);
    }
    let (again, end) = decoded(&pieces(&encoded, cuts));
    assert_eq!(again, messages);
    let decoder = end.expect("no error");
    assert!(decoder.is_between_messages());
    assert_eq!(decoder.tolerated().told().count(), 0);
    assert_eq!(strict_chunks::decode(&encoded), Ok(messages));
}

fn decoded(pieces: &[&[u8]]) -> (Vec<Message>, Result<Decoder, Error>) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        assert!(input.is_empty(), "a piece was not used up");
    }
    (messages, Ok(decoder))
}

/// Values stay within their limits, and mean the same when they are written again.
pub fn amf0(data: &[u8]) {
    let mut decoder = amf0::Decoder::new(data);
    let mut values = Vec::new();
    let end = loop {
        match decoder.next() {
            Ok(Some(value)) => values.push(value),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let whole = amf0::decode(data);
    assert_eq!(whole.as_ref().err(), end.as_ref().err());
    if let Ok(whole) = whole {
        assert_eq!(format!("{whole:?}"), format!("{values:?}"));
    }
    let count: usize = values.iter().map(|value| count(value, 1)).sum();
    assert!(count <= VALUES_MAX, "{count} values");
    let written = amf0::encode(&values);
    assert!(written.len() <= data.len(), "longer than it was");
    let again = amf0::decode(&written).expect("what was written is read");
    // A NaN is not equal to itself, but its bits and its name are.
    assert_eq!(amf0::encode(&again), written);
    assert_eq!(format!("{again:?}"), format!("{values:?}"));
}

/// How many values there are in one, itself among them.
fn count(value: &Value, depth: usize) -> usize {
    assert!(depth <= DEPTH_MAX + 1, "{depth} deep");
    let inner: usize = match value {
        Value::Object(pairs) | Value::EcmaArray(_, pairs) | Value::TypedObject(_, pairs) => {
            pairs.iter().map(|pair| count(&pair.1, depth + 1)).sum()
        }
        Value::StrictArray(values) => values.iter().map(|value| count(value, depth + 1)).sum(),
        _ => 0,
    };
    inner + 1
}

/// Messages that are no media: what is read of them is what is written of it, and what is kept of a
/// client's words has a limit.
pub fn commands(data: &[u8]) {
    let mut draw = Draw(data);
    let kind = MessageType(draw.u8());
    let message = Message::untimed(kind, StreamId(1), draw.0.to_vec());
    if let Ok(call) = Call::parse(kind, draw.0) {
        let again = Call::parse(MessageType::COMMAND, &call.payload()).expect("what was written");
        assert_eq!(format!("{again:?}"), format!("{call:?}"));
        command(&Command::new(&call));
    }
    if let Ok(control) = Control::parse(kind, draw.0) {
        let message = control.message();
        assert_eq!((message.kind, message.stream), (kind, StreamId::CONTROL));
        let again = Control::parse(kind, &message.payload);
        assert_eq!(again, Ok(control));
    }
    if let Some(message) = data::in_amf0(message) {
        data_message(&message);
    }
    if let Some(properties) = flv::properties(kind, draw.0) {
        let own = ["duration", "filesize", "keyframes", "padding"];
        assert!(
            !properties
                .iter()
                .any(|pair| own.iter().any(|own| own.as_bytes() == pair.0))
        );
    }
}

fn data_message(message: &Message) {
    match Data::new(message.clone()) {
        Data::Pass(passed) => assert_eq!(&passed, message),
        Data::Retain {
            name,
            message: kept,
        } => {
            assert!(kept.payload.len() <= message.payload.len());
            let sent = data::set_data_frame(&kept);
            let again = Data::new(sent);
            let message = kept;
            assert_eq!(again, Data::Retain { name, message });
        }
        Data::Clear(name) => assert!(name.len() <= message.payload.len()),
    }
}

fn command(command: &Command) {
    let Command::Connect(connect) = command else {
        return;
    };
    assert!(connect.flash_ver.len() <= SHOWN_LEN_MAX);
    assert!(connect.via.len() <= HOPS_MAX);
    let about = &connect.about;
    let texts = [
        &about.app,
        &about.app_query,
        &about.flash_ver,
        &about.swf_url,
        &about.tc_url,
        &about.page_url,
    ];
    let lens = texts.map(|text| text.len());
    assert!(
        lens.iter().all(|len| *len <= CLIENT_INFO_LEN_MAX),
        "{lens:?}"
    );
}

/// The parts of an aggregate are all of it, and the same when they are put together again.
pub fn aggregate(data: &[u8]) {
    let mut draw = Draw(data);
    let timestamp = Timestamp(draw.u32());
    let whole = |payload: Vec<u8>| Message {
        timestamp,
        ..Message::untimed(MessageType::AGGREGATE, StreamId(1), payload)
    };
    let parts = match aggregate::split(&whole(draw.0.to_vec())) {
        Ok(parts) => parts,
        Err(error) => {
            assert!(error.to_string().len() < 100, "{error}");
            return;
        }
    };
    let lens = parts.iter().map(|part| part.payload.len() + 15);
    assert_eq!(lens.sum::<usize>(), draw.0.len());
    if let Some(first) = parts.first() {
        assert_eq!(first.timestamp, timestamp);
    }
    let mut body = Vec::new();
    for part in &parts {
        assert_eq!(part.stream, StreamId(1));
        let Message {
            kind,
            timestamp,
            payload,
            ..
        } = part;
        flv::put_tag(*kind, timestamp.0, payload, &mut body);
    }
    assert_eq!(aggregate::split(&whole(body)), Ok(parts));
}
